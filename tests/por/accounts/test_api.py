"""`me/`, and whom a session or a token acts for."""

from __future__ import annotations

import pytest

from por.accounts.models import Actor, Membership, Token
from tests.api import Api
from tests.factories import make_customer, make_member, make_partner, make_staff


@pytest.fixture
def both() -> Actor:
    """An administrator of a customer who also reads for a partner."""
    customer, partner = make_customer("Västerhamn Energi AB"), make_partner("Nordvik Cloud AB")
    actor = make_member(customer.organisation)
    Membership.objects.create(user=actor.user, organisation=partner.organisation, role="viewer")
    return actor


def test_a_session_knows_every_membership_and_marks_the_active_one(both):
    api = Api()
    api.client.force_login(both.user)

    me = api.get("me/").json()
    partner = me["memberships"][1]["organisation"]
    api.client.post("/switch", {"organisation": partner["id"]})
    switched = api.get("me/").json()

    assert (me["email"], me["language"], me["time_zone"]) == (both.user.email, "en", "Europe/Stockholm")
    assert me["memberships"] == [
        {
            "kind": "customer",
            "role": "administrator",
            "active": True,
            "organisation": {
                "id": both.organisation.pk,
                "name": "Västerhamn Energi AB",
                "tenant_id": both.organisation.number,
            },
        },
        {
            "kind": "partner",
            "role": "viewer",
            "active": False,
            "organisation": {"id": partner["id"], "name": "Nordvik Cloud AB", "mpn_id": partner["mpn_id"]},
        },
    ]
    assert "record.attach" in me["rights"]
    assert [one["active"] for one in switched["memberships"]] == [False, True]
    assert switched["rights"] == []


def test_a_token_knows_its_own_organisation_only_whatever_the_session_says(both):
    api = Api(both)

    (membership,) = api.get("me/").json()["memberships"]

    assert membership["organisation"]["id"] == both.organisation.pk


def test_a_read_only_token_has_the_rights_that_change_nothing(both):
    assert Api(both, read_only=True).get("me/").json()["rights"] == ["partner.check"]


def test_staff_belong_to_the_house():
    (membership,) = Api(make_staff("support")).get("me/").json()["memberships"]

    assert (membership["kind"], membership["role"]) == ("staff", "support")
    assert set(membership["organisation"]) == {"id", "name"}


def test_using_a_token_is_noted_and_its_secret_is_nowhere(both):
    api = Api(both)
    secret = api.headers["Authorization"].removeprefix("Bearer ")

    api.get("me/")

    token = Token.objects.get()
    assert token.last_used_at is not None
    assert secret not in str(vars(token))
