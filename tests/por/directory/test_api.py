"""Check ID over the API."""

from __future__ import annotations

import pytest
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.jobs.actions import bulk
from por.directory.models import CheckOfId
from tests.api import Api
from tests.factories import make_member, make_partner, make_subscription


def test_partner_is_found_by_its_exact_id(api, partner):
    for entered in (partner.mpn_id, f" {partner.mpn_id[:3]}-{partner.mpn_id[3:]}"):
        response = api.get("partners/check/", {"mpn_id": entered})
        assert response.status_code == 200
        assert response.json() == {
            "mpn_id": partner.mpn_id,
            "name": "Nordvik Cloud AB",
            "city": "Göteborg",
            "country": "SE",
        }


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"status": "closed"}, 404, "partner_not_found"),
        ({"status": "suspended"}, 409, "partner_suspended"),
        ({"kind": "global"}, 409, "partner_is_global"),
    ],
)
def test_partner_that_cannot_be_attached_is_refused_with_a_code(api, fields, status, code):
    response = api.get("partners/check/", {"mpn_id": make_partner("No", **fields).mpn_id})

    assert (response.status_code, response.json()["code"]) == (status, code)


def test_closed_and_unknown_partner_get_the_same_answer(api):
    closed = make_partner("Closed", status="closed").mpn_id
    answers = [api.get("partners/check/", {"mpn_id": one}, X_Request_ID="12345678") for one in (closed, "99999999")]

    assert answers[0].content == answers[1].content


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({}, "required"),
        ({"mpn_id": ""}, "mpn_id_malformed"),
        ({"mpn_id": "12"}, "mpn_id_malformed"),
        ({"mpn_id": "9" * 2000}, "mpn_id_malformed"),
        ({"mpn_id": "44\0"}, "null_characters_not_allowed"),
    ],
)
def test_malformed_id_is_422_on_the_field(api, query, code):
    response = api.get("partners/check/", query)

    assert response.status_code == 422
    assert [(error["field"], error["code"]) for error in response.json()["errors"]] == [("mpn_id", code)]


def test_twenty_first_try_in_a_minute_must_wait(api, partner):
    for _ in range(20):
        api.get("partners/check/", {"mpn_id": partner.mpn_id})

    response = api.get("partners/check/", {"mpn_id": partner.mpn_id})

    assert (response.status_code, response.json()["code"]) == (429, "too_many_checks")
    assert 0 < int(response["Retry-After"]) <= 61
    assert CheckOfId.objects.count() == 21


def test_viewer_may_not_check(customer, partner):
    viewer = Api(make_member(customer.organisation, "viewer"))

    assert viewer.get("partners/check/", {"mpn_id": partner.mpn_id}).json()["code"] == "no_right"


def test_read_only_token_may_check(customer, partner):
    reader = Api(make_member(customer.organisation), read_only=True)

    assert reader.get("partners/check/", {"mpn_id": partner.mpn_id}).status_code == 200


@pytest.mark.parametrize("entered", ["{%s}", "%s", " %s "])
def test_guid_in_place_of_an_mpn_id_is_called_a_guid(api, subscription, entered):
    guid = entered % subscription.subscription_id
    checked = api.get("partners/check/", {"mpn_id": guid})
    attached = api.put(
        f"subscriptions/{subscription.subscription_id}/partner-of-record/", {"mpn_id": guid}, If_Match='"1"'
    )
    filtered = api.get("associations/", {"mpn_id": guid})
    for response in (checked, attached, filtered):
        assert response.status_code == 422
        (error,) = response.json()["errors"]
        assert (error["field"], error["code"]) == ("mpn_id", "mpn_id_malformed")
        assert error["detail"].startswith("This is a GUID")


def test_guid_is_called_a_guid_wherever_an_mpn_id_is_asked_for(api, customer, admin, amira, subscription):
    guid, version = str(subscription.subscription_id), {"If_Match": '"1"'}
    for partner in (make_partner(), make_partner()):
        attached = attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    assert attached.request is not None
    consent = {"name": "Elin", "email": "elin@kund.example", "given_on": timezone.localdate().isoformat()}
    theirs, open_one = Api(amira), make_subscription(customer, agreement="OPEN").subscription_id
    answers = [
        api.get("subscriptions/", {"partner_of_record": guid}),
        api.post(f"change-requests/{attached.request.pk}/answer/", {"mpn_id": guid}, **version),
        theirs.post(f"subscriptions/{open_one}/activate/", {"mpn_id": guid, "consent": consent}),
        theirs.post("partners/move/", {"from_mpn_id": guid, "to_mpn_id": guid}),
    ]
    for answer in answers:
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["detail"].startswith("This is a GUID"), answer.json()
    for action, other in (("attach", make_subscription(customer)), ("answer", subscription)):
        pairs = [bulk.Pair(str(other.subscription_id), guid)]
        job = bulk.request(pairs, dry_run=True, by=admin, action=action)
        bulk.run_jobs()
        assert job.rows.get().detail.startswith("This is a GUID"), action
