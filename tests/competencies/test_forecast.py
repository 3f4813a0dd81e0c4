"""Until when a level is safe, and whether a paid one is at risk: what is known on a day, judged by later days."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils.html import strip_tags

from associations.credit import Credit, Only
from competencies.forecast import Timeline
from competencies.judged import judged
from competencies.measures.asking import Ask
from competencies.measures.figures import Caveat, Dated
from competencies.programs import programs
from por.directory.models import Partner
from tests import estates
from tests.competencies.test_facts import subscription_id, tenant_id
from tests.estates import PARTNER
from tests.factories import make_member

SMCS, AZURE = "competency.smcs", "competency.cloud_platform"


def result(program: str, day: str) -> dict[str, Any]:
    company = Partner.objects.get(mpn_id=PARTNER).pk
    return judged(programs()[program], date.fromisoformat(day), [company])[company]


def load(directory: Path, **files: list[dict[str, str]]) -> None:
    assert not estates.load(estates.write(directory, partners=[estates.partner(market="developed")], **files)).errors


def sold(*begun: str, seats: str = "20") -> dict[str, list[dict[str, str]]]:
    """Return the files of customers of the partner, each new on a day."""
    each = list(enumerate(begun))
    return {
        "customers": [estates.customer(tenant_id(one), domain=f"c{one}.example") for one, _day in each],
        "subscriptions": [
            estates.subscription(subscription_id(one), tenant_id=tenant_id(one), started_on=day, seats=seats)
            for one, day in each
        ],
        "associations": [estates.association(subscription_id=subscription_id(one), began_on=day) for one, day in each],
    }


def holding(program: str = SMCS, level: str = "silver", **cells: str) -> dict[str, str]:
    row = {"mpn_id": PARTNER, "program": program, "level": level, "anniversary_on": "2018-06-30"}
    return {**row, "fee_paid_on": "2017-06-30", **cells}


FOUR = ("2017-09-01", "2017-10-02", "2017-11-03", "2017-12-04")


def test_a_level_is_safe_until_the_first_customer_it_needs_falls_out_of_the_window(tmp_path):
    load(tmp_path, **sold(*FOUR))
    found = result(SMCS, "2018-01-31")

    assert (found["level"], found["safe_until"]) == ("silver", "2018-08-31")
    assert result(SMCS, "2018-08-31")["level"] == "silver"
    assert result(SMCS, "2018-09-01")["level"] == "none"


def test_with_one_customer_to_spare_a_level_is_safe_until_the_second_falls_out(tmp_path):
    load(tmp_path, **sold("2017-08-01", *FOUR))
    assert result(SMCS, "2018-01-31")["safe_until"] == "2018-08-31"


def test_a_customer_of_the_leap_day_counts_one_day_longer(tmp_path):
    load(tmp_path, **sold("2016-02-29", "2016-03-01", "2016-03-02", "2016-03-03", seats="40"))
    assert result(SMCS, "2016-06-01")["safe_until"] == "2017-02-28"
    assert [result(SMCS, day)["level"] for day in ("2017-02-28", "2017-03-01")] == ["silver", "none"]


def test_a_level_is_safe_no_longer_than_there_are_rules(tmp_path):
    load(tmp_path, **sold(*[f"2022-08-{day:02}" for day in range(1, 11)]))
    found = result(SMCS, "2022-09-01")
    assert (found["level"], found["safe_until"]) == ("silver", "2022-10-02")


def test_a_level_is_not_safe_where_later_rules_ask_for_more(tmp_path):
    """From October 2019 on ten customers are asked for, not four."""
    load(tmp_path, **sold(*[f"2019-08-{day:02}" for day in range(1, 6)]))
    assert result(SMCS, "2019-09-01")["safe_until"] == "2019-09-30"


def azure(tmp_path: Path, amounts: dict[str, str], **files: list[dict[str, str]]) -> None:
    load(
        tmp_path,
        customers=[estates.customer()],
        subscriptions=[estates.subscription(product="azure", sku_string_id="", seats="", started_on="2015-12-01")],
        associations=[estates.association(began_on="2015-12-01")],
        usage=[
            estates.usage(month, workload="azure", paid_units="", active_users="", consumed_usd=amount)
            for month, amount in amounts.items()
        ],
        credentials=[
            {"person": "P", "mpn_id": PARTNER, "credential": "exam:70-533", "valid_from": "2016-01-01", "valid_to": ""}
        ],
        **files,
    )


def months(year: int, first: int, last: int, amount: str) -> dict[str, str]:
    return {f"{year}-{month:02}": amount for month in range(first, last + 1)}


def test_the_months_to_come_have_the_mean_of_the_last_three(tmp_path):
    """15,000 are asked for: 2,000 a month until September, and 500 from October on."""
    azure(tmp_path, months(2016, 1, 9, "2000") | months(2016, 10, 12, "500"))
    found = result(AZURE, "2016-12-31")

    # 19,500 in 2016; each month to come adds 500 in place of 2,000. With March it is 15,000, with April 13,500.
    assert (found["level"], found["safe_until"]) == ("silver", "2017-04-29")


def test_a_steady_sum_is_safe_as_far_as_is_looked(tmp_path):
    azure(tmp_path, months(2016, 1, 12, "1250"))
    found = result(AZURE, "2016-12-31")
    assert (found["level"], found["safe_until"]) == ("silver", None)


@pytest.mark.parametrize("day", ["2017-01-31", "2017-02-28", "2017-05-31", "2017-12-31"])
def test_a_steady_sum_stays_the_same_to_the_cent_in_whatever_order_its_months_are_read(day):
    ask = Ask(Credit(()), Only(), date(2016, 12, 31))
    year = [Dated(date(2016, month, 1), Decimal("1250"), Caveat(0)) for month in range(1, 13)]
    for first in range(12):
        timeline = Timeline(ask, True, {1: year[first:] + year[:first]}, Caveat(0))
        assert timeline.on(date.fromisoformat(day)).of(1).low == 15000


@pytest.mark.parametrize(
    ("anniversary", "at_risk"), [("2018-08-31", False), ("2018-09-01", True), ("2018-12-31", True)]
)
def test_a_paid_level_is_at_risk_if_it_will_not_be_met_at_its_anniversary(tmp_path, anniversary, at_risk):
    load(tmp_path, **sold(*FOUR), holdings=[holding(anniversary_on=anniversary)])
    found = result(SMCS, "2018-01-31")

    assert found["stage"] == {
        "name": "active", "at_risk": at_risk, "paid_level": "silver", "valid_until": anniversary
    }  # fmt: skip
    short = [figures for code, figures in found["ahead"] if code == "short_by"]
    assert [one["have"] for one in short] == ([] if not at_risk else [3 if anniversary == "2018-09-01" else 0])


def test_a_paid_gold_is_at_risk_where_only_silver_would_be_left(tmp_path):
    people = [
        {"person": one, "mpn_id": PARTNER, "credential": "exam:70-347", "valid_from": "2016-01-01", "valid_to": ""}
        for one in "AB"
    ]
    begun = [f"2017-11-{day:02}" for day in range(1, 26)]
    for level, at_risk in (("silver", False), ("gold", True)):
        load(
            tmp_path,
            **sold("2017-09-01", *begun[1:]),
            credentials=people,
            holdings=[holding(level=level, anniversary_on="2018-10-01")],
        )
        found = result(SMCS, "2018-01-31")
        assert (found["level"], found["stage"]["at_risk"], found["safe_until"]) == ("gold", at_risk, "2018-08-31")


def test_what_is_not_known_makes_no_level_safe_or_at_risk(tmp_path):
    """No month tells what was consumed since June, so nobody knows whether enough will be."""
    azure(
        tmp_path,
        months(2016, 1, 6, "2500"),
        holdings=[holding(AZURE, anniversary_on="2017-03-31", fee_paid_on="2016-03-31")],
    )
    found = result(AZURE, "2016-12-31")

    assert (found["level"], found["safe_until"]) == ("silver", "2017-01-30")
    assert (found["stage"]["name"], found["stage"]["at_risk"]) == ("active", None)


def test_no_level_is_at_risk_at_an_anniversary_without_rules(tmp_path):
    load(
        tmp_path,
        **sold(*[f"2022-05-{day:02}" for day in range(1, 11)]),
        holdings=[holding(anniversary_on="2023-01-31", fee_paid_on="2022-01-31")],
    )
    assert result(SMCS, "2022-06-30")["stage"]["at_risk"] is None


def test_without_a_paid_holding_nothing_is_at_risk(tmp_path):
    load(tmp_path, **sold(*FOUR))
    assert result(SMCS, "2018-01-31")["stage"]["at_risk"] is None


@pytest.mark.django_db
def test_page_says_once_what_both_a_paid_gold_and_the_silver_below_it_lack(tmp_path, client):
    load(tmp_path, **sold(*FOUR), holdings=[holding(level="gold", anniversary_on="2018-10-10")])
    client.force_login(make_member(Partner.objects.get(mpn_id=PARTNER).organisation).user)
    page = client.get(reverse("competencies:partner_competency", args=[SMCS]), {"as_of": "2018-01-31"}).text
    assert "if nothing is added: Net new customers: 2 of 25 customers. Missing: 23 customers." in " ".join(
        strip_tags(page).split()
    )


def test_page_and_api_say_what_is_missing_at_the_anniversary_and_until_when_a_level_is_safe(tmp_path, client):
    load(tmp_path, **sold(*FOUR), holdings=[holding(anniversary_on="2018-10-10")])
    partner = Partner.objects.get(mpn_id=PARTNER)
    member = make_member(partner.organisation)
    client.force_login(member.user)
    page = client.get(reverse("competencies:partner_competency", args=[SMCS]), {"as_of": "2018-01-31"}).text
    text = " ".join(strip_tags(page).split())

    assert "Active, at risk" in text
    assert (
        "At the anniversary on 10 Oct 2018 the requirements will not be met, if nothing is added: "
        "Net new customers: 2 of 4 customers. Missing: 2 customers." in text
    )
    assert "With what is known now, the level Silver lasts until 31 Aug 2018." in text
    answer = client.get(f"/api/v1/competencies/{SMCS}/", {"as_of": "2018-01-31"}).json()
    assert (answer["state"], answer["at_risk"], answer["safe_until"]) == ("active", True, "2018-08-31")
    assert [(one["code"], one["detail"]) for one in answer["ahead"]] == [
        ("short_by", "2 of 4 customers. Missing: 2 customers.")
    ]
