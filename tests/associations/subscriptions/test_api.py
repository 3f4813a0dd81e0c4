"""Subscriptions, their partner of record, history, usage and associations over the API."""

from __future__ import annotations

import csv
import io
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.attaching.actions.undo import undo
from associations.record.models import Association
from por.accounts.models import IdempotencyKey
from por.directory.models import CheckOfId, Subscription, Usage
from por.history.actions import recording as history
from por.history.models import Event
from tests.api import Api
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription


def record(subscription: Subscription) -> str:
    return f"subscriptions/{subscription.subscription_id}/partner-of-record/"


def attach(subscription, partner, admin, **fields) -> Association:
    association = attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin, **fields).association
    subscription.refresh_from_db()
    return association


def etag(subscription: Subscription) -> str:
    return f'"{Subscription.objects.get(pk=subscription.pk).version}"'


def add_usage(subscription: Subscription, month: date, **figures: Any) -> None:
    Usage.objects.create(**{"subscription": subscription, "month": month, "workload": "exo"} | figures)


def refused(response, status: int, code: str, field: str | None = None) -> dict[str, Any]:
    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code), problem
    assert problem["status"] == status
    assert problem["detail"]
    assert response["Content-Type"].startswith("application/problem+json")
    assert [error["field"] for error in problem.get("errors", [])] == ([field] if field else [])
    return problem


def queries(call) -> int:
    """Return how many statements the call takes, without savepoints."""
    with CaptureQueriesContext(connection) as captured:
        call()
    return sum("SAVEPOINT" not in query["sql"] for query in captured.captured_queries)


# --- Reading --------------------------------------------------------------------------------------------------------


def test_subscription_has_the_fields_of_the_contract(api, subscription, partner, admin):
    association = attach(subscription, partner, admin)
    add_usage(subscription, date(2026, 1, 1), paid_units=400, active_users=300)
    add_usage(subscription, date(2026, 2, 1), paid_units=420, active_users=361, consumed_usd="1250.5")

    response = api.get(f"subscriptions/{subscription.subscription_id}/")

    assert response.status_code == 200
    assert response["ETag"] == etag(subscription)
    assert response.json() == {
        "id": str(subscription.subscription_id),
        "customer": {"tenant_id": str(subscription.customer.tenant_id), "name": "Västerhamn Energi AB"},
        "product": "office365",
        "sku": {"sku_string_id": "ENTERPRISEPACK", "name": subscription.sku.name},
        "agreement": "EA",
        "portal": "office_customer_portal",
        "seats": 420,
        "trial": False,
        "status": "active",
        "started_on": "2024-07-01",
        "renews_on": "2036-06-30",
        "missing_since": None,
        "partner_of_record": {
            "mpn_id": partner.mpn_id,
            "name": partner.organisation.name,
            "since": association.began_at.isoformat().replace("+00:00", "Z"),
            "source": "customer",
        },
        "change_request": None,
        "usage": {"month": "2026-02", "paid_units": 420, "active_users": 361, "consumed_usd": "1250.50"},
        "version": 2,
    }


def test_id_is_case_insensitive(api, subscription):
    assert api.get(f"subscriptions/{str(subscription.subscription_id).upper()}/").status_code == 200


def test_invisible_and_unknown_subscriptions_get_the_same_answer(api):
    foreign = make_subscription(make_customer("Another customer"))
    answers = []
    for subscription_id in (foreign.subscription_id, uuid.uuid4()):
        for path in ("", "history/", "usage/"):
            response = api.get(f"subscriptions/{subscription_id}/{path}", X_Request_ID="the-same-id")
            answers.append((response.status_code, response.content, sorted(response.headers.items())))
        for method in (api.put, api.delete):
            response = method(f"subscriptions/{subscription_id}/partner-of-record/", X_Request_ID="the-same-id")
            answers.append((response.status_code, response.content))
        response = api.post(f"subscriptions/{subscription_id}/partner-of-record/undo/", X_Request_ID="the-same-id")
        answers.append((response.status_code, response.content))

    assert {status for status, *_rest in answers} == {404}
    assert answers[:6] == answers[6:]
    assert len({content for _status, content, *_rest in answers}) == 1


def test_another_partner_of_record_is_hidden_from_a_partner(subscription, partner, admin):
    rival = make_partner("Rival AB")
    former = attach(subscription, rival, admin)
    attaching.remove(subscription.subscription_id, by=admin)
    attach(subscription, partner, admin)
    rivals_api = Api(make_member(rival.organisation))

    shown = rivals_api.get(f"subscriptions/{subscription.subscription_id}/").json()
    listed = rivals_api.get("associations/").json()["results"]

    assert shown["partner_of_record"] == {"hidden": True}
    assert [one["id"] for one in listed] == [former.pk]


def test_global_account_sees_what_its_locations_see(subscription, admin):
    company = make_partner("Nordvik Group", kind="global")
    location = make_partner("Nordvik Malmö", parent=company.organisation)
    attach(subscription, location, admin)

    (row,) = Api(make_member(company.organisation)).get("subscriptions/").json()["results"]

    assert row["partner_of_record"]["mpn_id"] == location.mpn_id


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ({"product": "word"}, "product", "invalid_choice"),
        ({"renews_before": "soon"}, "renews_before", "invalid"),
        ({"tenant_id": "me"}, "tenant_id", "invalid"),
        ({"search": "a"}, "search", "search_too_short"),
        ({"search": "a" * 200}, "search", "max_length"),
        ({"search": "abc\0"}, "search", "null_characters_not_allowed"),
        ({"partner_of_record": "12"}, "partner_of_record", "mpn_id_malformed"),
        ({"page_size": "0"}, "page_size", "page_size_invalid"),
        ({"page_size": "201"}, "page_size", "page_size_invalid"),
        ({"page_size": "many"}, "page_size", "page_size_invalid"),
        ({"cursor": "nonsense"}, "cursor", "cursor_invalid"),
        ({"cursor": "cD1hYmM="}, "cursor", "cursor_invalid"),  # p=abc
        ({"format": "xml"}, "format", "invalid_choice"),
    ],
)
def test_list_names_an_invalid_parameter(api, query, field, code):
    refused(api.get("subscriptions/", query), 422, code, field)


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ({"kind": "friend"}, "kind", "invalid_choice"),
        ({"mpn_id": "x"}, "mpn_id", "mpn_id_malformed"),
        ({"in_force_on": "9999-12-31"}, "in_force_on", "max_value"),
        ({"subscription": "x"}, "subscription", "invalid"),
    ],
)
def test_list_of_associations_names_an_invalid_parameter(api, query, field, code):
    refused(api.get("associations/", query), 422, code, field)


def test_subscriptions_are_filtered(api, customer, partner, admin):
    held = make_subscription(customer)
    free = make_subscription(customer, product="azure", agreement="MOSA", renews_on=date(2040, 1, 1))
    attach(held, partner, admin)

    def ids(**query: str) -> list[str]:
        return [row["id"] for row in api.get("subscriptions/", query).json()["results"]]

    assert ids() == [str(held.subscription_id), str(free.subscription_id)]
    assert ids(partner_of_record="none") == [str(free.subscription_id)]
    assert ids(partner_of_record=partner.mpn_id) == [str(held.subscription_id)]
    assert ids(product="azure") == ids(agreement="MOSA") == [str(free.subscription_id)]
    assert ids(renews_before="2037-01-01") == [str(held.subscription_id)]
    assert ids(tenant_id=str(uuid.uuid4())) == []
    assert ids(status="expired") == []
    assert api.get("subscriptions/", {"anything": "else"}).status_code == 422


def test_associations_are_filtered(api, customer, partner, admin):
    subscription, other = make_subscription(customer), make_subscription(customer)
    rival = make_partner("Rival AB")
    first = attach(subscription, partner, admin, began_on=date.today() - timedelta(days=60))
    second = attach(other, rival, admin)
    attaching.attach(other.subscription_id, rival.mpn_id, by=admin)

    def ids(**query: str) -> list[int]:
        return [row["id"] for row in api.get("associations/", query).json()["results"]]

    assert ids() == [first.pk, second.pk]
    assert ids(mpn_id=rival.mpn_id) == ids(subscription=str(other.subscription_id)) == [second.pk]
    assert ids(in_force_on=(timezone.now().date() - timedelta(days=30)).isoformat()) == [first.pk]
    assert ids(kind="dpor", tenant_id=str(customer.tenant_id)) == [first.pk, second.pk]
    assert ids(kind="cpor") == []


def test_undone_attach_is_not_listed_as_an_association(api, subscription, partner, admin):
    attach(subscription, partner, admin)
    undo(subscription.subscription_id, by=admin)

    assert api.get("associations/").json()["results"] == []


def test_pages_follow_each_other_both_ways_without_losing_a_row(api, customer):
    made = [str(make_subscription(customer).subscription_id) for _ in range(7)]

    seen, url = [], "/api/v1/subscriptions/?page_size=3"
    while url:
        page = api.get(url).json()
        seen.append([row["id"] for row in page["results"]])
        last, url = page, page["next"] and page["next"].removeprefix("http://testserver")
    back = api.get(last["previous"].removeprefix("http://testserver")).json()

    assert seen == [made[:3], made[3:6], made[6:]]
    assert [row["id"] for row in back["results"]] == made[3:6]


def test_csv_has_the_whole_list_without_formulas(api, customer, partner, admin, monkeypatch):
    monkeypatch.setattr("por.api.lists.CHUNK", 2)
    partner.organisation.name = "=cmd|' /C calc'!A0"
    partner.organisation.save()
    made = [make_subscription(customer) for _ in range(5)]
    attach(made[0], partner, admin)

    response = api.get("subscriptions/", {"format": "csv", "page_size": "1"})
    text = b"".join(response.streaming_content).decode()

    assert response["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["id"] for row in rows] == [str(one.subscription_id) for one in made]
    assert rows[0]["partner_of_record_name"].startswith("'=cmd")
    assert rows[0]["seats"] == "420"
    assert rows[1]["partner_of_record_mpn_id"] == ""
    assert rows[0]["customer_name"] == "Västerhamn Energi AB"


@pytest.mark.parametrize("path", ["associations/", "subscriptions/{}/history/", "subscriptions/{}/usage/"])
def test_other_lists_are_available_as_csv(api, subscription, partner, admin, path):
    attach(subscription, partner, admin)
    add_usage(subscription, date(2026, 2, 1), consumed_usd="-12.5")
    path = path.format(subscription.subscription_id)
    (shown,) = api.get(path).json()["results"]

    (row,) = csv.DictReader(io.StringIO(b"".join(api.get(path, {"format": "csv"}).streaming_content).decode()))

    for name, value in shown.items():
        if isinstance(value, str):
            assert row[name] == value


def test_history_is_newest_first_and_names_the_actor(api, subscription, partner, admin):
    attach(subscription, partner, admin, note="They migrate our mail.")
    attaching.remove(subscription.subscription_id, by=admin, reason="Done.")

    removed, attached = api.get(f"subscriptions/{subscription.subscription_id}/history/").json()["results"]

    assert (removed["verb"], removed["reason"]) == ("partner_of_record.removed", "Done.")
    assert attached["actor"] == {"name": "Elin Sandberg", "organisation": "Västerhamn Energi AB"}
    assert attached["object"]["id"] == str(subscription.subscription_id)
    assert attached["changes"]["partner"] == {"mpn_id": partner.mpn_id, "name": partner.organisation.name}
    assert attached["at"].endswith("Z")
    assert attached["changes"]["began_at"].endswith("Z")


def test_partner_reads_its_own_events_with_other_partners_unnamed(subscription, partner, admin):
    rival = make_partner("Rival AB")
    attach(subscription, rival, admin)
    attaching.remove(subscription.subscription_id, by=admin)
    attach(subscription, partner, admin)
    partner_api = Api(make_member(partner.organisation))
    path = f"subscriptions/{subscription.subscription_id}/history/"

    (event,) = partner_api.get(path).json()["results"]
    assert event["changes"]["partner"]["mpn_id"] == partner.mpn_id

    by = make_member(rival.organisation, name="Rut Rival")
    stored = Event.objects.get(pk=event["id"])
    history.record(
        stored.verb,
        history.ObjectRef("subscription", str(subscription.subscription_id), subscription.name),
        by=by,
        at=timezone.now(),
        chain=subscription.customer_id,
        parties=[partner.pk],
        changes=stored.changes | {"partner": {"mpn_id": rival.mpn_id, "name": "Rival AB"}},
    )
    response = partner_api.get(path)
    assert b"Rival" not in response.content
    assert rival.mpn_id.encode() not in response.content
    assert response.json()["results"][0]["actor"] == {"name": "", "organisation": "another partner"}
    assert response.json()["results"][0]["changes"]["partner"] == {"mpn_id": None, "name": "another partner"}


def test_usage_is_listed_by_month_newest_first_in_pages(api, subscription):
    for month in range(1, 6):
        add_usage(subscription, date(2026, month, 1), paid_units=10 * month)
        add_usage(subscription, date(2026, month, 1), workload="spo", paid_units=1, consumed_usd="1.10")
    path = f"subscriptions/{subscription.subscription_id}/usage/"

    first = api.get(path, {"page_size": "2"}).json()
    second = api.get(first["next"].removeprefix("http://testserver")).json()

    assert first["results"][0] == {
        "month": "2026-05",
        "paid_units": 50,
        "active_users": None,
        "consumed_usd": "1.10",
    }
    assert [one["month"] for one in second["results"]] == ["2026-03", "2026-02"]


def test_former_partner_sees_only_the_usage_of_its_period(subscription, partner, admin):
    association = attach(subscription, partner, admin)
    attaching.remove(subscription.subscription_id, by=admin)
    Association.objects.filter(pk=association.pk).update(began_at="2026-01-10T00:00Z", ended_at="2026-03-10T00:00Z")
    for month in (1, 2, 3):
        add_usage(subscription, date(2026, month, 1), paid_units=1)
    partner_api = Api(make_member(partner.organisation))

    usage = partner_api.get(f"subscriptions/{subscription.subscription_id}/usage/").json()["results"]

    assert [one["month"] for one in usage] == ["2026-02", "2026-01"]


@pytest.mark.parametrize("reader", ["customer", "partner", "staff"])
@pytest.mark.parametrize("path", ["subscriptions/", "associations/", "history/", "usage/"])
def test_list_takes_the_same_queries_for_any_number_of_rows(customer, partner, admin, reader, path):
    actors = {"customer": admin, "partner": make_member(partner.organisation), "staff": make_staff("auditor")}
    api = Api(actors[reader])
    main = make_subscription(customer)
    attach(main, partner, admin)
    add_usage(main, date(2026, 1, 1), paid_units=1)
    url = f"subscriptions/{main.subscription_id}/{path}" if path in {"history/", "usage/"} else path
    api.get(url)  # the token's last use is written once a minute
    few = queries(lambda: api.get(url))
    for month in range(2, 8):
        more = make_subscription(customer)
        attach(more, partner, admin)
        add_usage(more, date(2026, month, 1), paid_units=1)
        add_usage(main, date(2026, month, 1), paid_units=1)
        attaching.remove(main.subscription_id, by=admin)
        attach(main, partner, admin)

    assert len(api.get(url).json()["results"]) >= 7
    assert queries(lambda: api.get(url)) == few <= 5


# --- Attaching ------------------------------------------------------------------------------------------------------


def test_attaching_returns_the_association_and_the_new_version(api, subscription, partner):
    response = api.put(record(subscription), {"mpn_id": partner.mpn_id, "note": "Hello"}, If_Match=etag(subscription))

    assert response.status_code == 201
    association = response.json()["association"]
    assert association["partner"] == {"mpn_id": partner.mpn_id, "name": partner.organisation.name}
    assert association["subscription"]["id"] == str(subscription.subscription_id)
    assert (association["kind"], association["source"], association["ended_on"]) == ("dpor", "customer", None)
    assert response["ETag"] == etag(subscription) == '"2"'
    assert api.get("associations/").json()["results"] == [association]


def test_mpn_id_may_be_written_with_spaces_or_as_a_number(api, customer, partner):
    for given in (f" {partner.mpn_id[:3]} {partner.mpn_id[3:]}-", int(partner.mpn_id)):
        response = api.put(record(make_subscription(customer)), {"mpn_id": given}, If_Match="*")
        assert response.json()["association"]["partner"]["mpn_id"] == partner.mpn_id


def test_attaching_the_same_partner_again_changes_nothing(api, subscription, partner):
    first = api.put(record(subscription), {"mpn_id": partner.mpn_id}, If_Match="*")
    again = api.put(record(subscription), {"mpn_id": partner.mpn_id}, If_Match="*")

    assert (again.status_code, again.json(), again["ETag"]) == (200, first.json(), first["ETag"])
    assert Event.objects.count() == 1


def test_earlier_start_moves_the_association_back(api, subscription, partner):
    api.put(record(subscription), {"mpn_id": partner.mpn_id}, If_Match="*")
    day = (timezone.now().date() - timedelta(days=40)).isoformat()

    moved = api.put(record(subscription), {"mpn_id": partner.mpn_id, "began_on": day}, If_Match="*")

    assert moved.status_code == 200
    assert moved.json()["association"]["began_on"] == day
    assert moved["ETag"] == '"3"'


def test_attaching_refuses_by_the_codes_of_the_contract(api, customer, partner, admin):
    def put(subscription: Subscription, **body: Any):
        return api.put(record(subscription), {"mpn_id": partner.mpn_id} | body, If_Match="*")

    free = make_subscription(customer, started_on=admin.today - timedelta(days=90))
    company = make_partner("A company", kind="global")
    asleep = make_partner("Asleep", status="suspended")
    held = make_subscription(customer)
    attach(held, make_partner("Rival AB"), admin)
    today = admin.today

    assert put(held).status_code == 202
    refused(put(held, began_on=(today - timedelta(days=1)).isoformat()), 422, "overlaps_another_period", "began_on")
    refused(put(make_subscription(customer, status="expired")), 409, "subscription_expired")
    refused(put(make_subscription(customer, status="suspended")), 409, "subscription_suspended")
    refused(put(free, mpn_id=asleep.mpn_id), 409, "partner_suspended")
    refused(put(free, mpn_id=company.mpn_id), 409, "partner_is_global")
    refused(put(free, mpn_id="12"), 422, "mpn_id_malformed", "mpn_id")
    refused(put(free, mpn_id=""), 422, "mpn_id_malformed", "mpn_id")
    refused(put(free, mpn_id="9" * 5000), 422, "mpn_id_malformed", "mpn_id")
    refused(put(free, mpn_id="9999999999"), 422, "partner_not_found", "mpn_id")
    refused(put(free, began_on=(today + timedelta(days=1)).isoformat()), 422, "began_on_in_future", "began_on")
    refused(put(free, began_on="2001-01-01"), 422, "began_on_too_early", "began_on")
    assert Association.objects.open().count() == 1


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "required", "mpn_id"),
        ({"mpn_id": None}, "null", "mpn_id"),
        ({"mpn_id": True}, "invalid", "mpn_id"),
        ({"mpn_id": ["4471902"]}, "invalid", "mpn_id"),
        ({"mpn_id": {"is": "4471902"}}, "invalid", "mpn_id"),
        ({"mpn_id": "4471\0902"}, "null_characters_not_allowed", "mpn_id"),
        ({"mpn_id": 1e400}, "malformed_json", None),
        ({"mpn_id": "4471902", "began_on": "yesterday"}, "invalid", "began_on"),
        ({"mpn_id": "4471902", "began_on": 5}, "invalid", "began_on"),
        ({"mpn_id": "4471902", "note": "x" * 501}, "max_length", "note"),
        ({"mpn_id": "4471902", "note": "\0"}, "null_characters_not_allowed", "note"),
        ({"mpn_id": "4471902", "source": "estate"}, "unknown_field", "source"),
        ([], "body_not_an_object", None),
        ("4471902", "body_not_an_object", None),
        (None, "required", "mpn_id"),
        (b"{", "malformed_json", None),
        (b"\xff", "malformed_json", None),
        (b'{"mpn_id": "\\ud800"}', "malformed_json", None),
        (b'{"\\ud800": 1}', "malformed_json", None),
        (b'{"mpn_id": NaN}', "malformed_json", None),
        (b"[" * 100_000, "malformed_json", None),
        (b'{"mpn_id": ' + b"9" * 5000 + b"}", "malformed_json", None),
    ],
)
@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "a-key"}])
def test_invalid_body_is_refused_with_the_field(api, subscription, body, code, field, key):
    refused(api.put(record(subscription), body, If_Match="*", **key), 422, code, field)
    assert not IdempotencyKey.objects.exists()


def test_all_wrong_fields_are_named(api, subscription):
    response = api.put(record(subscription), {"began_on": "x", "colour": "red"}, If_Match="*")

    assert response.json()["code"] == "invalid"
    assert {error["field"] for error in response.json()["errors"]} == {"mpn_id", "began_on", "colour"}


def test_body_of_another_type_or_size_is_refused(api, subscription):
    refused(
        api.put(record(subscription), b"mpn_id=1", If_Match="*", Content_Type="application/x-www-form-urlencoded"),
        415,
        "unsupported_media_type",
    )
    refused(api.put(record(subscription), b" " * 3_000_000, If_Match="*"), 413, "body_too_large")


def test_unknown_ids_are_counted_like_checks_with_a_key_too(api, subscription):
    for number in range(20):
        key = {"Idempotency-Key": f"key {number}"} if number % 2 else {}
        refused(
            api.put(record(subscription), {"mpn_id": f"99999{number:02}"}, If_Match="*", **key),
            422,
            "partner_not_found",
            "mpn_id",
        )

    limited = api.put(record(subscription), {"mpn_id": "9999999"}, If_Match="*", **{"Idempotency-Key": "more"})

    refused(limited, 429, "too_many_checks")
    assert int(limited["Retry-After"]) > 0
    assert CheckOfId.objects.filter(outcome="partner_not_found").count() == 20


# --- Removing and undoing -------------------------------------------------------------------------------------------


def test_removing_ends_the_association(api, subscription, partner, admin):
    attach(subscription, partner, admin)

    response = api.delete(record(subscription), {"reason": "The project has ended."}, If_Match=etag(subscription))

    assert (response.status_code, response.content, response["ETag"]) == (204, b"", '"3"')
    (ended,) = api.get("associations/").json()["results"]
    assert (ended["end_reason"], ended["ended_on"]) == ("removed", ended["ended_at"][:10])
    refused(api.delete(record(subscription), If_Match="*"), 409, "no_partner_of_record")


def test_undo_reverts_an_attach_and_a_removal(api, subscription, partner, admin):
    association = attach(subscription, partner, admin)
    attaching.remove(subscription.subscription_id, by=admin)
    undo_path = record(subscription) + "undo/"

    reopened = api.post(undo_path, If_Match=etag(subscription))
    assert (reopened.status_code, reopened["ETag"]) == (200, '"4"')
    assert reopened.json()["association"]["id"] == association.pk
    refused(api.post(undo_path, If_Match="*"), 409, "nothing_to_undo")

    other = make_subscription(subscription.customer)
    attach(other, partner, admin)
    undone = api.post(record(other) + "undo/", If_Match="*")
    assert (undone.status_code, undone.json(), undone["ETag"]) == (200, {"association": None}, '"3"')


def test_undo_is_refused_after_half_an_hour(api, subscription, partner, admin):
    association = attach(subscription, partner, admin)
    Association.objects.filter(pk=association.pk).update(attached_at=timezone.now() - timedelta(minutes=31))

    refused(api.post(record(subscription) + "undo/", If_Match="*"), 409, "undo_too_late")


# --- Versions, for every write --------------------------------------------------------------------------------------

WRITES = ["put", "delete", "post"]


def write(api: Api, method: str, subscription: Subscription, partner, **headers: str):
    path = record(subscription) + ("undo/" if method == "post" else "")
    body = {"mpn_id": partner.mpn_id} if method == "put" else None
    return getattr(api, method)(path, body, **headers)


@pytest.fixture
def writable(subscription, partner, admin):
    """Return a function that prepares the subscription so that the write changes something."""

    def prepare(method: str) -> Subscription:
        if method != "put":
            attach(subscription, partner, admin)
        return subscription

    return prepare


@pytest.mark.parametrize("method", WRITES)
def test_write_needs_the_current_version(api, writable, partner, method):
    subscription = writable(method)
    version = Subscription.objects.get(pk=subscription.pk).version

    refused(write(api, method, subscription, partner), 428, "precondition_required")
    for stale in (f'"{version - 1}"', '"nonsense"', str(version), f'"{version}0", W/"x"'):
        refused(write(api, method, subscription, partner, If_Match=stale), 412, "stale")
    assert Subscription.objects.get(pk=subscription.pk).version == version
    done = write(api, method, subscription, partner, If_Match=f'"7000", W/"{version}"')
    assert done.status_code in {200, 201, 204}
    assert done["ETag"] == f'"{version + 1}"'
    refused(write(api, method, subscription, partner, If_Match=f'"{version}"'), 412, "stale")


@pytest.mark.parametrize("method", WRITES)
def test_refusals_come_in_a_fixed_order(subscription, partner, method, admin):
    """404 before 403 before 428 and 412 before 422 before 409."""
    viewer = Api(make_member(subscription.customer.organisation, "viewer"))
    reader = Api(admin, read_only=True)
    stranger = Api(make_member(make_customer("Other").organisation, "viewer"))
    ours = Api(admin)
    path = record(subscription) + ("undo/" if method == "post" else "")

    refused(getattr(Api(), method)(path, b"{"), 401, "not_authenticated")
    refused(getattr(stranger, method)(path, b"{"), 404, "not_found")
    refused(getattr(viewer, method)(path, b"{"), 403, "no_right")
    refused(getattr(reader, method)(path, b"{"), 403, "token_is_read_only")
    refused(getattr(ours, method)(path, b"{"), 428, "precondition_required")
    refused(getattr(ours, method)(path, b"{", If_Match='"99"'), 412, "stale")
    refused(getattr(ours, method)(path, b"{", If_Match="*"), 422, "malformed_json")


# --- Idempotency, for every write -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", WRITES)
def test_repeated_request_gets_the_first_answer_and_does_nothing(api, writable, partner, method):
    subscription = writable(method)
    headers = {"If_Match": etag(subscription), "Idempotency-Key": "8f1c"}
    first = write(api, method, subscription, partner, **headers)
    events = Event.objects.count()

    again = write(api, method, subscription, partner, **headers)

    assert "Idempotent-Replayed" not in first
    assert again["Idempotent-Replayed"] == "true"
    assert (again.status_code, again.content, again["ETag"]) == (first.status_code, first.content, first["ETag"])
    assert again.get("Content-Type") == first.get("Content-Type")
    assert Event.objects.count() == events


@pytest.mark.parametrize("method", WRITES)
def test_refusal_is_not_stored_under_the_key(api, writable, partner, method):
    subscription = writable(method)
    key = {"Idempotency-Key": "8f1c"}

    refused(write(api, method, subscription, partner, If_Match='"99"', **key), 412, "stale")

    assert not IdempotencyKey.objects.exists()
    assert write(api, method, subscription, partner, If_Match="*", **key).status_code < 300


def test_spaces_and_order_of_the_body_do_not_make_another_request(api, subscription, partner):
    key = {"Idempotency-Key": "8f1c", "If-Match": "*"}
    one = b'{"mpn_id":"%s","note":"x"}' % partner.mpn_id.encode()
    other = b'{ "note" : "x", "mpn_id" : "%s" }' % partner.mpn_id.encode()

    api.put(record(subscription), one, **key)

    assert api.put(record(subscription), other, **key)["Idempotent-Replayed"] == "true"


def test_key_is_for_one_request_only(api, customer, subscription, partner):
    key = {"Idempotency-Key": "8f1c", "If-Match": "*"}
    api.put(record(subscription), {"mpn_id": partner.mpn_id}, **key)

    for response in (
        api.put(record(subscription), {"mpn_id": partner.mpn_id, "note": "x"}, **key),
        api.put(record(make_subscription(customer)), {"mpn_id": partner.mpn_id}, **key),
        api.delete(record(subscription), **key),
    ):
        refused(response, 422, "idempotency_key_reused", "Idempotency-Key")


def test_same_key_of_another_organisation_is_another_key(api, subscription, partner):
    key = {"Idempotency-Key": "8f1c", "If-Match": "*"}
    api.put(record(subscription), {"mpn_id": partner.mpn_id}, **key)
    other = make_customer("Other")

    response = Api(make_member(other.organisation)).put(
        record(make_subscription(other)), {"mpn_id": partner.mpn_id}, **key
    )

    assert response.status_code == 201
    assert "Idempotent-Replayed" not in response


def test_key_does_not_give_rights(subscription, partner, admin, api):
    key = {"Idempotency-Key": "8f1c", "If-Match": "*"}
    api.put(record(subscription), {"mpn_id": partner.mpn_id}, **key)

    viewer = Api(make_member(subscription.customer.organisation, "viewer"))

    refused(viewer.put(record(subscription), {"mpn_id": partner.mpn_id}, **key), 403, "no_right")


@pytest.mark.parametrize("key", ["", " ", "k" * 256, "a\tb"])
def test_malformed_key_is_refused(api, subscription, partner, key):
    response = api.put(record(subscription), {"mpn_id": partner.mpn_id}, If_Match="*", **{"Idempotency-Key": key})

    refused(response, 422, "idempotency_key_malformed", "Idempotency-Key")


@pytest.mark.django_db(transaction=True)
def test_second_request_is_refused_while_the_first_one_runs(subscription, partner):
    organisation = subscription.customer.organisation
    api = Api(make_member(organisation))
    running = connection.copy()
    running.set_autocommit(False)
    with running.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"idempotency {organisation.pk} 8f1c"])
    key = {"Idempotency-Key": "8f1c", "If-Match": "*"}

    during = api.put(record(subscription), {"mpn_id": partner.mpn_id}, **key)
    running.rollback()
    running.close()
    after = api.put(record(subscription), {"mpn_id": partner.mpn_id}, **key)

    refused(during, 409, "idempotency_in_progress")
    assert after.status_code == 201


@pytest.mark.django_db(transaction=True)
def test_locked_subscription_answers_busy(subscription, partner):
    api = Api(make_member(subscription.customer.organisation))
    other = connection.copy()
    other.set_autocommit(False)
    with other.cursor() as cursor:
        cursor.execute("SELECT 1 FROM directory_subscription WHERE id = %s FOR UPDATE", [subscription.pk])
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 50")

    response = api.put(record(subscription), {"mpn_id": partner.mpn_id}, If_Match="*", **{"Idempotency-Key": "k"})
    other.rollback()
    other.close()
    connection.close()

    refused(response, 429, "busy")
    assert response["Retry-After"] == "1"


def test_attaching_takes_few_statements(api, customer, partner):
    def put(**headers: str) -> None:
        assert api.put(record(make), {"mpn_id": partner.mpn_id}, If_Match="*", **headers).status_code == 201

    make = make_subscription(customer)
    put()  # the token's last use is written once a minute

    make = make_subscription(customer)
    assert queries(put) <= 7
    make = make_subscription(customer)
    assert queries(lambda: put(**{"Idempotency-Key": "k"})) <= 10


@pytest.mark.django_db(transaction=True)
def test_concurrent_requests_with_one_key_have_one_effect_and_one_answer(subscription, partner):
    api = Api(make_member(subscription.customer.organisation))
    start = Barrier(8)

    def put(_number: int):
        try:
            start.wait(10)
            return api.put(record(subscription), {"mpn_id": partner.mpn_id}, If_Match='"1"', **{"Idempotency-Key": "k"})
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(put, range(8)))

    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert all(answer.json()["code"] == "idempotency_in_progress" for answer in answers if answer.status_code == 409)
    assert Event.objects.count() == Association.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("method", WRITES)
def test_of_two_writes_of_the_same_version_one_is_stale(subscription, partner, method):
    admin = make_member(subscription.customer.organisation)
    if method != "put":
        attach(subscription, partner, admin)
    api, start, version = Api(admin), Barrier(2), etag(subscription)

    def send(_number: int) -> int:
        try:
            start.wait(10)
            return write(api, method, subscription, partner, If_Match=version).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        done, stale = sorted(threads.map(send, range(2)))

    assert (done in {200, 201, 204}, stale) == (True, 412)
