"""Looking back: the record as it was at the end of a day, on pages, in files and over the API."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from associations.record.models import Association
from por.directory.models import Customer, Partner, Subscription, Usage
from tests.api import Api
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.pages import signed_in

#: In the fall of 2015: Nordvik until noon of 15 October, Halden from then to the end of November, Nordvik again.
NOON = datetime(2015, 10, 15, 12, tzinfo=UTC)
DECEMBER = datetime(2015, 12, 1, tzinfo=UTC)


def of_record(subscription: Subscription, partner: Partner, began_at: datetime, ended_at: Any = None, **fields: Any):
    return Association.objects.create(
        **{
            "kind": "dpor",
            "customer": subscription.customer,
            "subscription": subscription,
            "partner": partner,
            "began_at": began_at,
            "ended_at": ended_at,
            "end_reason": "removed" if ended_at else "",
            "end_note": "They have done their part." if ended_at else "",
            "source": "customer",
        }
        | fields
    )


@pytest.fixture
def nordvik() -> Partner:
    return make_partner("Nordvik Cloud AB")


@pytest.fixture
def halden() -> Partner:
    return make_partner("Halden Konsult AB")


@pytest.fixture
def subscription(customer: Customer, nordvik: Partner, halden: Partner) -> Subscription:
    subscription = make_subscription(customer, started_on=date(2015, 7, 1), seats=420)
    of_record(subscription, nordvik, datetime(2015, 7, 1, tzinfo=UTC), NOON)
    of_record(subscription, halden, NOON, DECEMBER)
    of_record(subscription, nordvik, DECEMBER)
    for month in range(8, 13):
        Usage.objects.create(
            subscription=subscription, month=date(2015, month, 1), workload="exo", paid_units=420, active_users=month
        )
    return subscription


def holder(api: Api, subscription: Subscription, as_of: str) -> Any:
    """Return the partner of record in the API; it is the same in the list and for one subscription."""
    (listed,) = api.get("subscriptions/", {"as_of": as_of}).json()["results"]
    alone = api.get(f"subscriptions/{subscription.subscription_id}/", {"as_of": as_of}).json()
    assert listed == alone
    found = alone["partner_of_record"]
    return found and (found.get("name") or found)


@pytest.mark.parametrize(
    ("as_of", "name"),
    [
        ("2015-07-01", "Nordvik Cloud AB"),
        pytest.param("2015-10-14", "Nordvik Cloud AB", id="the day before the change"),
        pytest.param("2015-10-15", "Halden Konsult AB", id="the end of the day of the change counts"),
        ("2015-11-15", "Halden Konsult AB"),
        pytest.param("2015-11-30", "Halden Konsult AB", id="an end at midnight leaves the day before whole"),
        pytest.param("2015-12-01", "Nordvik Cloud AB", id="a start at midnight has that day"),
    ],
)
def test_partner_of_record_of_a_day_is_that_at_its_end(api, subscription, as_of, name):
    assert holder(api, subscription, as_of) == name


def test_as_of_today_equals_now(api, subscription, nordvik):
    today = timezone.now().date().isoformat()
    assert holder(api, subscription, today) == "Nordvik Cloud AB"
    assert api.get("subscriptions/", {"as_of": today}).json() == api.get("subscriptions/").json()
    assert api.get("associations/", {"as_of": today}).json() == api.get("associations/").json()


def test_subscription_that_had_not_started_is_not_found(api, subscription):
    assert api.get("subscriptions/", {"as_of": "2015-06-30"}).json()["results"] == []
    assert api.get(f"subscriptions/{subscription.subscription_id}/", {"as_of": "2015-06-30"}).status_code == 404


def test_undone_association_counts_on_no_day(api, subscription, nordvik):
    Association.objects.filter(partner=nordvik, ended_at=NOON).update(undone_at=timezone.now())
    assert holder(api, subscription, "2015-08-31") is None


def test_start_that_was_moved_back_later_counts_as_known_now(api, subscription, halden):
    Association.objects.filter(partner=halden).update(attached_at=datetime(2016, 1, 5, tzinfo=UTC))
    assert holder(api, subscription, "2015-11-15") == "Halden Konsult AB"


def test_usage_of_a_day_is_the_newest_month_begun_by_then(api, subscription):
    def month(as_of: str) -> Any:
        return api.get(f"subscriptions/{subscription.subscription_id}/", {"as_of": as_of}).json()["usage"]

    assert month("2015-10-31")["month"] == "2015-10"
    assert month("2015-11-01")["active_users"] == 11
    assert month("2015-07-31") is None


def test_seats_status_renewal_and_version_are_those_of_today(api, subscription):
    then = api.get(f"subscriptions/{subscription.subscription_id}/", {"as_of": "2015-08-01"})
    now = api.get(f"subscriptions/{subscription.subscription_id}/")
    changed = {name for name in now.json() if now.json()[name] != then.json()[name]}
    assert changed == {"partner_of_record", "usage"}
    assert then["ETag"] == now["ETag"]


@pytest.mark.parametrize("path", ["subscriptions/", "associations/", "subscriptions/{id}/"])
def test_future_day_and_malformed_day_are_refused(api, admin, subscription, path):
    path = path.replace("{id}", str(subscription.subscription_id))
    tomorrow = admin.today + timedelta(days=1)
    for as_of, code in [(tomorrow, "as_of_in_future"), ("9999-12-31", "as_of_in_future"), ("2015-02-29", "invalid")]:
        answer = api.get(path, {"as_of": str(as_of)})
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert [error["field"] for error in answer.json()["errors"]] == ["as_of"]


def test_first_possible_day_is_accepted(api, subscription):
    assert api.get("subscriptions/", {"as_of": "0001-01-01"}).json()["results"] == []
    assert api.get("associations/", {"as_of": "0001-01-01"}).json()["results"] == []


def test_day_is_a_utc_day_for_every_reader(api, admin, subscription, halden):
    admin.user.time_zone, admin.user.own_time_zone = "Pacific/Auckland", True
    admin.user.save()
    Association.objects.filter(partner=halden).update(began_at=NOON.replace(hour=23, minute=59))
    assert holder(api, subscription, "2015-10-15") == "Halden Konsult AB"


def test_filters_apply_to_the_past_day(api, subscription, halden, nordvik, customer):
    free = make_subscription(customer, started_on=date(2015, 1, 1))

    def found(**query: str) -> list[str]:
        return [one["id"] for one in api.get("subscriptions/", {"as_of": "2015-11-15", **query}).json()["results"]]

    assert found(partner_of_record=halden.mpn_id) == [str(subscription.subscription_id)]
    assert found(partner_of_record=nordvik.mpn_id) == []
    assert found(partner_of_record="none") == [str(free.subscription_id)]
    assert found(search="Halden") == [str(subscription.subscription_id)]
    assert found(search="Nordvik") == []


def test_associations_are_listed_as_they_were_at_the_end_of_the_day(api, subscription, customer, nordvik):
    Association.objects.create(
        kind="delegated_admin", customer=customer, partner=nordvik, source="estate",
        began_at=datetime(2015, 11, 15, tzinfo=UTC), ended_at=datetime(2015, 11, 16, tzinfo=UTC),
    )  # fmt: skip

    def listed(as_of: str) -> list[tuple[str, str, str | None, str | None]]:
        found = api.get("associations/", {"as_of": as_of}).json()["results"]
        return [(one["kind"], one["began_on"], one["ended_on"], one["end_reason"]) for one in found]

    assert listed("2015-11-15") == [
        ("dpor", "2015-07-01", "2015-10-15", "removed"),
        ("dpor", "2015-10-15", None, None),
        ("delegated_admin", "2015-11-15", None, None),
    ]
    assert listed("2015-11-30")[1:] == [
        ("dpor", "2015-10-15", None, None),
        ("delegated_admin", "2015-11-15", "2015-11-16", None),
    ]
    assert Association.objects.filter(ended_at=None).count() == 1  # looking changes nothing


def test_csv_of_a_past_day_matches_its_list(api, subscription):
    answer = api.get("subscriptions/", {"as_of": "2015-11-15", "format": "csv"})
    (row,) = csv.DictReader(io.StringIO(b"".join(answer).decode()))
    assert (row["partner_of_record_name"], row["usage_month"]) == ("Halden Konsult AB", "2015-11")


# --- Looking back shows no more than the reader may see today -------------------------------------------------------


def test_partner_sees_itself_on_its_days_and_a_hidden_partner_on_others(subscription, halden, nordvik):
    theirs = Api(make_member(halden.organisation))
    assert holder(theirs, subscription, "2015-11-15") == "Halden Konsult AB"
    assert holder(theirs, subscription, "2015-10-14") == {"hidden": True}
    assert holder(theirs, subscription, "2015-12-01") == {"hidden": True}


def test_former_partner_sees_usage_of_its_own_months_only(subscription, halden):
    theirs = Api(make_member(halden.organisation))
    address = f"subscriptions/{subscription.subscription_id}/"
    usage = {day: theirs.get(address, {"as_of": day}).json()["usage"] for day in ("2015-11-15", "2015-12-01")}
    assert usage["2015-11-15"]["month"] == "2015-11"
    assert usage["2015-12-01"] is None


def test_later_partner_was_not_the_partner_of_record_on_an_earlier_day(subscription):
    late = make_partner("Senare AB")
    Association.objects.create(
        kind="csp", customer=subscription.customer, subscription=subscription, partner=late, source="estate",
        began_at=datetime(2020, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    theirs = Api(make_member(late.organisation))
    assert holder(theirs, subscription, "2015-11-15") == {"hidden": True}
    assert theirs.get("associations/", {"as_of": "2019-12-31"}).json()["results"] == []


def test_stranger_finds_nothing_on_any_day(subscription):
    stranger = Api(make_member(make_customer("Ekholmen AB").organisation))
    assert stranger.get("subscriptions/", {"as_of": "2015-11-15"}).json()["results"] == []
    address = f"subscriptions/{subscription.subscription_id}/"
    assert stranger.get(address, {"as_of": "2015-11-15"}).status_code == 404


@pytest.mark.parametrize("reader", ["customer", "partner", "staff"])
@pytest.mark.parametrize("path", ["subscriptions/", "associations/"])
def test_number_of_queries_for_a_past_day_does_not_grow_with_the_rows(
    subscription, customer, nordvik, admin, reader, path
):
    actors = {"customer": admin, "partner": make_member(nordvik.organisation), "staff": make_staff("auditor")}
    api = Api(actors[reader])

    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert api.get(path, {"as_of": "2015-12-15"}).json()["results"]
        return len(captured)

    cost()  # the token's last use is written once a minute
    few = cost()
    for _more in range(5):
        of_record(make_subscription(customer, started_on=date(2015, 7, 1)), nordvik, datetime(2015, 8, 1, tzinfo=UTC))
    assert cost() == few <= 5


# --- Pages ----------------------------------------------------------------------------------------------------------


def url(name: str, subscription: Subscription | None = None) -> str:
    room = "portal" if name == "customer_partners" else "associations"
    return reverse(f"{room}:{name}", args=[subscription.subscription_id] if subscription else [])


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())  # no-break spaces become plain ones


def test_customers_list_shows_the_record_of_the_day_and_marks_what_is_of_today(web, subscription):
    page = web.get(url("subscription_list") + "?as_of=2015-11-15")
    (row,) = page.context["rows"]
    assert row.record.partner.organisation.name == "Halden Konsult AB"
    assert 'Record on <time datetime="2015-11-15">15 Nov 2015</time>' in text(page)
    assert "Seats, statuses and renewal dates are today’s" in text(page)
    assert f"{url('subscription_detail', subscription)}?as_of=2015-11-15" in text(page)
    assert [tab.url for tab in page.context["tabs"]] == [
        "/c/subscriptions/?as_of=2015-11-15",
        "/c/subscriptions/?as_of=2015-11-15&view=no_partner",
        "/c/subscriptions/?as_of=2015-11-15&view=missing",
    ]


def test_customers_page_of_a_past_day_offers_no_actions(web, subscription):
    past = web.get(url("subscription_detail", subscription) + "?as_of=2015-11-15")
    now = web.get(url("subscription_detail", subscription))
    assert past.context["current"].association.partner.organisation.name == "Halden Konsult AB"
    assert [one.association.partner.organisation.name for one in past.context["periods"]] == [
        "Halden Konsult AB",
        "Nordvik Cloud AB",
    ]
    assert past.context["use"].month == date(2015, 11, 1)
    assert 'method="post" action="/c/subscriptions/' in text(now)
    assert 'method="post" action="/c/subscriptions/' not in text(past)
    assert "They have done their part." in text(now)
    (ended, *_rest) = past.context["periods"]
    assert ended.association.end_note == ""


def test_page_of_a_day_without_a_partner_of_record_shows_that(web, subscription, halden):
    Association.objects.filter(partner=halden).delete()
    page = web.get(url("subscription_detail", subscription) + "?as_of=2015-11-15")
    assert "The subscription had no partner of record at the end of that day." in text(page)
    assert not page.context["may_attach"]


@pytest.mark.parametrize("name", ["subscription_list", "subscription_detail", "customer_partners"])
def test_wrong_day_shows_an_error_on_the_customers_pages(web, subscription, name):
    address = url(name, subscription if name == "subscription_detail" else None)
    page = web.get(f"{address}?as_of=2999-01-01")
    assert page.status_code == 422
    assert "The date must be today or in the past." in text(page)


@pytest.mark.parametrize("name", ["subscription_detail", "partner_subscription_detail"])
def test_day_before_the_subscription_started_shows_an_error(web, subscription, nordvik, name):
    reader = web if name == "subscription_detail" else signed_in(make_member(nordvik.organisation))
    page = reader.get(url(name, subscription) + "?as_of=2015-06-30")
    assert page.status_code == 422
    assert "The subscription had not started on that date. Choose a later date." in text(page)


def test_customers_partners_are_those_of_the_day(web, subscription):
    page = web.get(url("customer_partners") + "?as_of=2015-11-15")
    ((partner, kinds, _administrator),) = page.context["partners"]
    assert (partner.organisation.name, kinds, partner.of_record) == ("Halden Konsult AB", ["Partner of record"], 1)
    empty = web.get(url("customer_partners") + "?as_of=2015-06-30")
    assert "No partners on that date" in text(empty)


def test_partners_tabs_are_those_of_the_day(subscription, halden, nordvik):
    client = signed_in(make_member(halden.organisation))

    def counts(as_of: str) -> dict[str, int]:
        page = client.get(url("partner_subscription_list") + f"?as_of={as_of}")
        return {str(tab.label): tab.count for tab in page.context["tabs"]}

    assert counts("2015-11-15") == {"Partner of record": 1, "Your own tenant": 0, "Former": 0, "All": 1}
    assert counts("2015-12-15") == {"Partner of record": 0, "Your own tenant": 0, "Former": 1, "All": 1}
    assert counts("2015-09-15") == {"Partner of record": 0, "Your own tenant": 0, "Former": 0, "All": 1}


def test_partners_page_of_a_past_day_names_no_other_partner(subscription, halden):
    client = signed_in(make_member(halden.organisation))
    own = client.get(url("partner_subscription_detail", subscription) + "?as_of=2015-11-15")
    others = client.get(url("partner_subscription_detail", subscription) + "?as_of=2015-09-15")
    assert own.context["row"].record.partner.organisation.name == "Halden Konsult AB"
    assert own.context["periods"][0].association.ended_at is None
    assert "Another partner was the partner of record at the end of that day." in text(others)
    assert "Nordvik" not in text(others)


def test_partners_page_of_a_customer_shows_the_day(subscription, halden, customer):
    client = signed_in(make_member(halden.organisation))
    address = reverse("portal:partner_customer_detail", args=[customer.tenant_id])
    then, now = client.get(f"{address}?as_of=2015-11-15"), client.get(address)
    assert [one.kind for one in then.context["live"]] == ["dpor"]
    assert list(then.context["ended"]) == []
    assert list(now.context["live"]) == []
    assert client.get(f"{address}?as_of=x").status_code == 422


def test_file_of_a_past_day_has_the_day_in_its_name(web, subscription):
    answer = web.get(url("subscription_list") + "?as_of=2015-11-15&format=csv")
    assert "2015-11-15.csv" in answer["Content-Disposition"]
    assert "Halden Konsult AB" in b"".join(answer).decode()
