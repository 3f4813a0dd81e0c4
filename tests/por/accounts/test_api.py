"""The endpoint `me/`, and the actor of a session or a token."""

from __future__ import annotations

import pytest

from por.accounts.models import Actor, Membership, Token
from tests.api import Api
from tests.factories import make_customer, make_member, make_partner, make_staff


@pytest.fixture
def both() -> Actor:
    """Return an administrator of a customer who is also a viewer of a partner."""
    customer, partner = make_customer("Västerhamn Energi AB"), make_partner("Nordvik Cloud AB")
    actor = make_member(customer.organisation)
    Membership.objects.create(user=actor.user, organisation=partner.organisation, role="viewer")
    return actor


def test_session_returns_every_membership_and_marks_the_active_one(both):
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


def test_token_returns_only_its_own_organisation(both):
    api = Api(both)

    (membership,) = api.get("me/").json()["memberships"]

    assert membership["organisation"]["id"] == both.organisation.pk


def test_read_only_token_has_only_the_rights_that_change_nothing(both):
    assert Api(both, read_only=True).get("me/").json()["rights"] == ["partner.check"]


def test_staff_are_members_of_the_platform():
    (membership,) = Api(make_staff("support")).get("me/").json()["memberships"]

    assert (membership["kind"], membership["role"]) == ("staff", "support")
    assert set(membership["organisation"]) == {"id", "name"}


def test_use_of_a_token_is_saved_and_its_secret_is_not(both):
    api = Api(both)
    secret = api.headers["Authorization"].removeprefix("Bearer ")

    api.get("me/")

    token = Token.objects.get()
    assert token.last_used_at is not None
    assert secret not in str(vars(token))
