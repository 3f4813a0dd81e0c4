"""The months and days behind a figure: they add up to it, and say which months a new partner of record has."""

from __future__ import annotations

import uuid
from datetime import date
from functools import partial
from typing import Any

import pytest
from django.urls import reverse

from competencies.months import leaves_on, months_of
from competencies.queries import attained_in
from competencies.supposing import WhatIf
from por.accounts.models import Actor
from por.directory.models import Partner
from por.programs.calendars import months_later
from tests import estates
from tests.api import Api
from tests.competencies.test_facts import load, subscription_id, tenant_id
from tests.factories import make_member, make_partner
from tests.pages import queries, signed_in

CLOUD = "competency.cloud_platform"
PAGE = reverse("competencies:partner_competency", args=[CLOUD])
SMCS = reverse("competencies:partner_competency", args=["competency.smcs"])
HELP = reverse("competencies:retroactive")


def load_azure(directory: Any, *, began: str = "2016-12-01", ended: str = "") -> Actor:
    """Load a partner with two Azure subscriptions, the second one not its own, each with 1,000 US dollars a month.

    Nothing is reported of May 2018 for the second one. Return an actor of the partner.
    """
    months = [f"{year}-{month:02}" for year in (2017, 2018, 2019) for month in range(1, 13)]
    loaded = estates.load(
        estates.write(
            directory,
            partners=[estates.partner(market="developed")],
            customers=[estates.customer(tenant_id(one), domain=f"c{one}.example") for one in range(2)],
            subscriptions=[
                estates.subscription(
                    subscription_id(one),
                    tenant_id=tenant_id(one),
                    product="azure",
                    sku_string_id="",
                    seats="",
                    started_on="2016-12-01",
                )
                for one in range(2)
            ],
            associations=[
                estates.association(subscription_id=subscription_id(0), began_on=began),
                estates.association(subscription_id=subscription_id(1), began_on="2017-01-01", ended_on="2017-01-02"),
            ],
            usage=[
                estates.usage(
                    month,
                    subscription_id=subscription_id(one),
                    workload="azure",
                    paid_units="",
                    active_users="",
                    consumed_usd=str(1000 + number),
                )
                for number, month in enumerate(months)
                for one in range(2)
            ],
        )
    )
    assert not loaded.errors
    return make_member(Partner.objects.get(mpn_id=estates.PARTNER).organisation)


def of_day(actor: Actor, day: date, program: str = CLOUD) -> Any:
    assert actor.organisation is not None
    result = attained_in(actor.organisation, program, day)
    (found,) = months_of(actor.organisation, result.program, day, result.track)
    value = next(one.value for one in result.metrics if one.metric == found.metric)
    return found, value


@pytest.mark.django_db
@pytest.mark.parametrize("day", [date(2018, 6, 30), date(2018, 12, 30), date(2019, 6, 30), date(2019, 1, 1)])
def test_twelve_months_add_up_to_the_metric(tmp_path: Any, day: date) -> None:
    found, value = of_day(load_azure(tmp_path, began="2018-03-10"), day)
    assert len(found.months) == 12
    assert found.total is not None
    assert found.total.low == value.low > 0


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("day", "counted", "first"),
    [
        (date(2018, 6, 15), 12, date(2017, 6, 1)),  # the whole window
        (date(2019, 6, 15), 0, date(2019, 6, 1)),  # from the association on
        (date(2019, 6, 30), 1, date(2019, 6, 1)),  # on the last day of a month, that month is full
    ],
)
def test_months_that_a_new_attachment_fills_are_those_that_the_what_if_adds(
    tmp_path: Any, day: date, counted: int, first: date
) -> None:
    actor = load_azure(tmp_path)
    found, before = of_day(actor, day)
    assert (found.counted, found.next_month) == (counted, first)

    asked = WhatIf(attach=[uuid.UUID(subscription_id(1))]).results(actor.organisation, day, actor)
    after = next(one.supposed for one in asked if one.today.program.id == CLOUD)
    added = next(one.value.low for one in after.metrics if one.metric == found.metric) - before.low
    assert added == sum(one.amount for one in found.months if one.counts)


@pytest.mark.django_db
def test_all_months_are_there_from_the_month_that_the_page_names(tmp_path: Any) -> None:
    found, _value = of_day(load_azure(tmp_path), date(2019, 1, 15))
    assert (found.next_month, found.full_from) == (date(2019, 1, 1), date(2019, 12, 1))
    assert found.full_from == months_later(found.next_month, 11)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("day", "said"),
    [
        ("2018-06-15", "A partner attached on 15 Jun 2018 immediately has all 12 months"),
        ("2019-06-15", "has none of these months. The first month that counts is Jun 2019"),
        ("2019-06-30", "has 1 of 12 months: those from Jun 2019 on."),
    ],
)
@pytest.mark.parametrize("page", [PAGE, HELP])
def test_pages_say_which_months_count_by_the_rule_of_the_day(tmp_path: Any, page: str, day: str, said: str) -> None:
    text = signed_in(load_azure(tmp_path)).get(page, {"as_of": day}).content.decode()
    assert said in text
    assert text.count('<td data-l="New partner of record">') >= 12


@pytest.mark.django_db
def test_month_without_a_report_says_so(tmp_path: Any) -> None:
    actor = load_azure(tmp_path)
    text = signed_in(actor).get(PAGE, {"as_of": "2020-02-29"}).content.decode()
    assert "not reported" in text
    assert "not reported" not in signed_in(actor).get(PAGE, {"as_of": "2019-12-31"}).content.decode()


@pytest.mark.parametrize(
    ("begins", "leaves"),
    [
        (date(2015, 9, 1), date(2016, 9, 1)),
        (date(2016, 2, 29), date(2017, 3, 1)),  # it still counts on 28 February
        (date(2015, 2, 28), date(2016, 2, 28)),
    ],
)
def test_day_leaves_a_window_of_a_year(begins: date, leaves: date) -> None:
    assert leaves_on(begins, 12) == leaves


@pytest.mark.django_db
def test_customer_counts_until_the_day_that_the_page_names(tmp_path: Any) -> None:
    load(tmp_path)
    actor = make_member(Partner.objects.get(mpn_id=estates.PARTNER).organisation)
    text = signed_in(actor).get(SMCS, {"as_of": "2016-06-30"}).content.decode()
    assert text.count('datetime="2016-09-01"') == 8, "four customers, for new customers and for seats"

    def customers(day: date) -> Any:
        found = attained_in(actor.organisation, "competency.smcs", day)
        return next(one.value.low for one in found.metrics if one.metric == "new_customers")

    assert (customers(date(2016, 8, 31)), customers(date(2016, 9, 1))) == (4, 0)


@pytest.mark.django_db
def test_api_and_csv_have_the_months_and_the_days(tmp_path: Any) -> None:
    api = Api(load_azure(tmp_path))
    found = api.get(f"/api/v1/competencies/{CLOUD}/window/", {"as_of": "2018-06-15"}).json()
    (metric,) = found["months"]
    assert len(metric["months"]) == 12
    assert sum(one["amount"] for one in metric["months"]) == metric["total"]
    assert all(one["counts"] for one in metric["months"])
    assert "all 12 months" in metric["detail"]

    answer = api.get(f"/api/v1/competencies/{CLOUD}/window/", {"as_of": "2018-06-15", "format": "csv"})
    lines = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()
    assert len(lines) == 13
    assert lines[1].startswith(f"{CLOUD},azure_consumption,usd,2017-06-01,1005")


@pytest.mark.django_db
def test_partner_reads_the_months_of_no_other_company() -> None:
    mine, rival = make_partner(), make_partner()
    api = Api(make_member(mine.organisation))
    address = f"/api/v1/competencies/{CLOUD}/window/"
    assert api.get(address, {"as_of": "2018-06-15"}).status_code == 200
    assert api.get(address, {"as_of": "2018-06-15", "mpn_id": rival.mpn_id}).status_code == 404
    assert api.get(address).status_code == 404, "there are no rules today"


@pytest.mark.django_db
def test_help_needs_no_data() -> None:
    client = signed_in(make_member(make_partner().organisation))
    assert client.get(HELP).status_code == 200
    text = client.get(HELP, {"as_of": "2014-08-31"}).content.decode()
    assert "so there is no example" in text
    assert client.get(HELP, {"as_of": "2099-01-01"}).status_code == 422


@pytest.mark.django_db
def test_number_of_queries_of_the_help_is_bounded(tmp_path: Any) -> None:
    actor = load_azure(tmp_path)
    assert queries(partial(signed_in(actor).get, HELP)) < 20
