"""The months of services, customers, growth and deployments: they make the metric, and leave on a day that is said."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from typing import Any

import pytest

from competencies.facts import questions
from competencies.measures.asking import asked_once, measured
from competencies.measures.named import MEASURES
from competencies.months import Basis, MonthsOf, ask_ahead, months_of
from competencies.programs import programs
from competencies.supposing import WhatIf
from por.accounts.models import Actor, Organisation
from por.directory.models import Partner
from tests import estates
from tests.api import Api
from tests.competencies.coded import Estate, months
from tests.estates import PARTNER
from tests.factories import make_member
from tests.pages import queries, signed_in

MODERN_WORK, DATA_AI = "pcs.modern_work", "pcs.azure.data_ai"
#: A subscription that nobody is credited for.
FREE = "5c1d0f0e-7a53-4a86-8b0d-3f6f0f3f9999"
FREE_TENANT = "0a2f6f52-5d0c-4a30-9d55-1d1f3f1f9999"
REPORTED = months("2022-01", "2025-12")


def growing(of: Estate, key: str, *, begins: str = "2022-01") -> None:
    """Report a subscription of 400 seats that has ten more active users each month, from a month on."""
    for number, month in enumerate(REPORTED):
        if month >= begins:
            row = estates.usage(month, subscription_id=key, paid_units="400", active_users=str(10 * number + 10))
            of.add("usage", row)


def of_scores() -> dict[str, list[estates.Row]]:
    """Return an estate of one company with customers of Modern Work and of Azure, and a customer without a partner."""
    of = Estate()
    of.partner(PARTNER, "Nordvik Cloud AB")
    ((_tenant, key),) = of.sell(PARTNER, started_on="2021-06-01", seats="400")
    growing(of, key)
    ((_tenant, key),) = of.sell(PARTNER, started_on="2021-06-01", began_on="2024-01-20", seats="400")
    growing(of, key)
    ((_tenant, key),) = of.sell(PARTNER, started_on="2024-03-05", seats="400")
    growing(of, key, begins="2024-03")

    of.add("customers", estates.customer(FREE_TENANT, domain="free.example"))
    of.add("subscriptions", estates.subscription(FREE, tenant_id=FREE_TENANT, started_on="2021-01-01"))
    growing(of, FREE)
    # A former one, so that the company may ask what it would add.
    former = estates.association(PARTNER, subscription_id=FREE, began_on="2021-02-01", ended_on="2021-02-02")
    of.add("associations", former)

    key = of.azure(PARTNER, "2021-06-01")
    of.use(key, REPORTED, workload="azure", consumed_usd="2000")
    late = of.azure(PARTNER, "2024-04-01")
    of.use(late, [month for month in REPORTED if month >= "2024-04"], workload="azure", consumed_usd="1500")
    for month in REPORTED:
        of.add("consumption", estates.consumption(month, subscription_id=key, service="Azure SQL Database"))
    for month in ("2024-04", "2024-06"):
        of.add("consumption", estates.consumption(month, subscription_id=key, service="Azure Functions"))
    return of.files


@pytest.fixture(scope="module")
def reader(shared: None, tmp_path_factory: pytest.TempPathFactory) -> Actor:
    loaded = estates.load(estates.write(tmp_path_factory.mktemp("scores"), **of_scores()))
    assert not loaded.errors, loaded.errors
    return make_member(Partner.objects.get(mpn_id=PARTNER).organisation)


def company_of(reader: Actor) -> Organisation:
    assert reader.organisation is not None
    return reader.organisation


def found(reader: Actor, program: str, day: str, basis: Basis, metric: str) -> MonthsOf:
    """Return the months of one metric as a page has them."""
    company, rules, of_day = company_of(reader), programs()[program], date.fromisoformat(day)
    with asked_once(by_date=True):
        ask_ahead(company, [rules], of_day)
        some = months_of(company, rules, of_day, "enterprise")
    (one,) = [one for one in some if one.basis is basis and one.metric == metric]
    return one


def value(reader: Actor, program: str, day: date, metric: str) -> Any:
    """Return what is measured of a metric on a day, in the track of enterprises."""
    company, rules = company_of(reader), programs()[program]
    version = rules.on(day)
    assert version is not None
    asked = [
        one
        for one in questions(rules, version, day, (company.pk,))
        if one.metric == metric and one.track in ("", "enterprise") and ".cpor" not in one.fact
    ]
    return measured(MEASURES[asked[0].measure], asked[0].ask).of(company.pk).low


CASES = [
    (MODERN_WORK, Basis.AT_MONTH_END, "net_customer_adds"),
    (MODERN_WORK, Basis.COMPARED, "usage_growth"),
    (MODERN_WORK, Basis.AT_MONTH_END, "deployments"),
    (DATA_AI, Basis.AT_MONTH_END, "net_customer_adds"),
    (DATA_AI, Basis.LAST_USED, "deployments"),
]


@pytest.mark.parametrize(("program", "basis", "metric"), CASES)
@pytest.mark.parametrize("day", ["2024-05-31", "2024-07-15", "2025-03-31", "2025-06-01"])
def test_months_make_the_metric(reader: Actor, program: str, basis: Basis, metric: str, day: str) -> None:
    of = found(reader, program, day, basis, metric)
    assert len(of.months) == (12 if basis is Basis.LAST_USED else 13)
    assert of.total is not None
    assert of.total.low == of.total.high == value(reader, program, date.fromisoformat(day), metric)


def test_newest_month_has_the_customers_of_its_end(reader: Actor) -> None:
    of = found(reader, MODERN_WORK, "2024-05-31", Basis.AT_MONTH_END, "net_customer_adds")
    assert {one.month.isoformat(): int(one.amount) for one in of.months[-6:]} == {
        "2023-12-01": 1, "2024-01-01": 2, "2024-02-01": 2, "2024-03-01": 3, "2024-04-01": 3, "2024-05-01": 3,
    }  # fmt: skip


def test_growth_stands_in_the_month_with_which_it_is_compared(reader: Actor) -> None:
    of = found(reader, MODERN_WORK, "2024-05-31", Basis.COMPARED, "usage_growth")
    growth = {one.month.isoformat(): int(one.amount) for one in of.months if one.amount}
    assert growth == {"2023-05-01": 120, "2024-01-01": 40, "2024-03-01": 20}


def test_service_stands_in_the_last_month_of_its_use(reader: Actor) -> None:
    used = {
        day: {
            one.month.isoformat(): int(one.amount)
            for one in found(reader, DATA_AI, day, *CASES[4][1:]).months
            if one.amount
        }
        for day in ("2024-05-31", "2024-06-30")
    }
    assert used == {
        "2024-05-31": {"2024-04-01": 1, "2024-05-01": 1},
        "2024-06-30": {"2024-06-01": 2},
    }


@pytest.mark.parametrize(
    ("program", "basis", "metric", "month", "before", "after"),
    [
        # Two services until the month in which one of them was last used leaves.
        (DATA_AI, Basis.LAST_USED, "deployments", "2024-06-01", 2, 1),
        # The customer of March 2024 counts until it is one of a year before as well.
        (MODERN_WORK, Basis.AT_MONTH_END, "net_customer_adds", "2024-03-01", 1, 0),
        (DATA_AI, Basis.AT_MONTH_END, "net_customer_adds", "2024-04-01", 1, 0),
    ],
)
def test_month_leaves_on_the_day_that_is_said(
    reader: Actor, program: str, basis: Basis, metric: str, month: str, before: int, after: int
) -> None:
    of = found(reader, program, "2024-07-31", basis, metric)
    (leaves_on,) = [one.leaves_on for one in of.months if one.month.isoformat() == month]
    days = (leaves_on - timedelta(days=1), leaves_on)
    assert [int(value(reader, program, day, metric)) for day in days] == [before, after]


def test_growth_is_compared_with_a_later_month_from_the_day_that_is_said(reader: Actor) -> None:
    of = found(reader, MODERN_WORK, "2024-07-31", Basis.COMPARED, "usage_growth")
    (leaves_on,) = [one.leaves_on for one in of.months if one.month == date(2024, 1, 1)]
    assert leaves_on == date(2025, 2, 28)

    def since(day: date) -> set[str]:
        months_ = found(reader, MODERN_WORK, day.isoformat(), Basis.COMPARED, "usage_growth").months
        return {one.month.isoformat() for one in months_ if one.amount}

    assert "2024-01-01" in since(leaves_on - timedelta(days=1))
    assert "2024-01-01" not in since(leaves_on)


@pytest.mark.parametrize(("program", "basis", "metric"), CASES[:3])
@pytest.mark.parametrize(("day", "counts"), [("2024-06-15", False), ("2024-06-30", True)])
def test_new_partner_counts_in_the_months_that_the_what_if_adds(
    reader: Actor, program: str, basis: Basis, metric: str, day: str, counts: bool
) -> None:
    """On the last day of a month that month counts; growth begins with it, so it adds nothing yet."""
    of = found(reader, program, day, basis, metric)
    assert [one.month for one in of.months if one.counts] == ([date(2024, 6, 1)] if counts else [])
    assert of.next_month == date(2024, 6, 1)

    asked = WhatIf(attach=[uuid.UUID(FREE)]).results(company_of(reader), date.fromisoformat(day), reader)
    (both,) = [one for one in asked if one.today.program.id == program]
    before, after = (
        next(one.value.low for one in result.metrics if one.metric == metric) for result in (both.today, both.supposed)
    )
    assert after is not None
    assert before is not None
    assert after - before == (1 if counts and basis is Basis.AT_MONTH_END else 0)


def test_new_customer_is_taken_off_from_the_month_that_is_said(reader: Actor) -> None:
    """The customer of March 2024 was attached then: a year later it no longer adds one."""
    of = found(reader, MODERN_WORK, "2024-03-05", Basis.AT_MONTH_END, "net_customer_adds")
    assert (of.next_month, of.full_from) == (date(2024, 3, 1), date(2025, 3, 1))
    adds = [value(reader, MODERN_WORK, day, "net_customer_adds") for day in (date(2025, 3, 30), date(2025, 3, 31))]
    assert adds == [1, 0]


def test_page_shows_the_months_of_each_metric_and_asks_no_more_for_more_customers(reader: Actor) -> None:
    web = signed_in(reader)
    text = web.get(f"/p/competencies/{MODERN_WORK}/", {"as_of": "2024-05-31"}).content.decode()
    assert text.count('<td data-l="Taken off from">') == 26, "customers and deployments"
    assert text.count('<td data-l="Compared with a later month from">') == 13
    assert "Usage growth: Partner of record" in text
    assert queries(lambda: web.get(f"/p/competencies/{MODERN_WORK}/", {"as_of": "2024-05-31"})) <= 33
    assert queries(lambda: web.get(f"/p/competencies/{DATA_AI}/", {"as_of": "2024-05-31"})) <= 33


def test_api_and_csv_say_what_the_months_are(reader: Actor) -> None:
    api, address = Api(reader), f"/api/v1/competencies/{MODERN_WORK}/window/"
    metrics = api.get(address, {"as_of": "2024-05-31"}).json()["months"]
    assert [(one["metric"], one["kind"], one["basis"], one["total"]) for one in metrics] == [
        ("net_customer_adds", None, "at_month_end", 2.0),
        ("usage_growth", "dpor", "compared", 180.0),
        ("deployments", "dpor", "at_month_end", 2.0),
    ]
    answer = api.get(address, {"as_of": "2024-05-31", "format": "csv"})
    lines = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()
    assert len(lines) == 1 + 3 * 13
    assert lines[1] == f"{MODERN_WORK},net_customer_adds,customers,2023-05-01,1.0,1,0,,,2024-05-31,,at_month_end"
