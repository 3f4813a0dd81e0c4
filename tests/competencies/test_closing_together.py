"""Customers that close all gaps of a level together: they do, each of them is needed, and no minimum is claimed."""

from __future__ import annotations

import random
import re
from datetime import date
from html import unescape
from itertools import combinations
from typing import Any

import pytest
from django.urls import reverse
from django.utils.html import strip_tags

from competencies.closing import Gaps, gaps_of
from competencies.queries import attained_in
from competencies.supposing import WhatIf
from por.accounts.models import Actor, Organisation
from por.directory.models import Partner, Usage
from tests import estates
from tests.api import Api
from tests.competencies.test_closing import API, DAY, PAGE, SMCS, of_csp
from tests.competencies.test_facts import subscription_id, tenant_id
from tests.factories import make_member, make_partner
from tests.pages import signed_in

EMM = "competency.enterprise_mobility_management"
AS_OF = {"as_of": DAY.isoformat()}


def found(actor: Actor, company: Organisation, day: date = DAY, program: str = SMCS) -> Gaps:
    return gaps_of(actor, company, attained_in(company, program, day), day)


def with_seats(directory: Any, *seats: int) -> tuple[Organisation, Actor]:
    """Load a partner that sells to customers without a partner of record, which have so many seats."""
    company, actor = of_csp(directory, customers=len(seats))
    for number, count in enumerate(seats):
        Usage.objects.filter(subscription__subscription_id=subscription_id(number)).update(paid_units=count)
    return company, actor


def chosen(gaps: Gaps) -> list[str]:
    assert gaps.together is not None
    return [str(one.tenant_id) for one in gaps.together.customers]


def level_with(company: Organisation, actor: Actor, gaps: Gaps, tenants: list[str]) -> str | None:
    """Return the level that the what-if finds with all subscriptions of these customers that were tried."""
    ids = {key for gap in gaps.each for one in gap.customers if str(one.customer.tenant_id) in tenants
           for key in one.subscriptions}  # fmt: skip
    both = WhatIf(attach=sorted(ids)).results(company, DAY, actor)
    return next(one.supposed.level for one in both if one.today.program.id == SMCS)


@pytest.mark.parametrize("seed", range(3))
def test_set_reaches_the_level_without_one_of_it_it_does_not_and_it_is_not_far_from_the_smallest(tmp_path, seed):
    """Silver needs four customers and 40 seats."""
    chance = random.Random(seed)
    seats = [chance.choice([1, 2, 3, 8, 15, 25]) for _each in range(7)] + [12]
    company, actor = with_seats(tmp_path, *seats)
    gaps = found(actor, company)
    tenants = chosen(gaps)

    assert level_with(company, actor, gaps, tenants) == "silver"
    for left_out in tenants:
        assert level_with(company, actor, gaps, [one for one in tenants if one != left_out]) == "none"
    of = {tenant_id(number): count for number, count in enumerate(seats)}
    enough = [
        size for size in range(4, 9) if any(sum(of[one] for one in some) >= 40 for some in combinations(of, size))
    ]
    assert enough[0] <= len(tenants) <= enough[0] + 1


def test_more_customers_are_needed_for_both_gaps_than_for_one(tmp_path):
    company, actor = with_seats(tmp_path, 2, 2, 2, 2, 2, 30)
    gaps = found(actor, company)
    assert {one.metric: one.smallest for one in gaps.each} == {"new_customers": 4, "seats_sold": 6}
    assert len(chosen(gaps)) == 6
    assert gaps.together is not None
    assert gaps.together.is_reached is True


def test_customers_that_close_one_gap_but_not_both_are_no_set(tmp_path):
    company, actor = with_seats(tmp_path, 2, 2, 2, 2, 2)
    gaps = found(actor, company)
    assert {one.metric: one.smallest for one in gaps.each} == {"new_customers": 4, "seats_sold": None}
    assert chosen(gaps) == []
    assert "All customers that would add to one of these do not close all gaps together." in text(actor)


def test_one_gap_has_no_set_of_its_own(tmp_path):
    company, actor = with_seats(tmp_path, 50, 2, 2, 2, 2)
    row = estates.association(subscription_id=subscription_id(0), began_on="2016-01-01")
    assert not estates.load_one(tmp_path, "associations", row).errors
    gaps = found(actor, company)
    assert ([one.metric for one in gaps.each], gaps.together) == (["new_customers"], None)
    assert len(gaps.closers) == 3
    assert "All gaps together" not in text(actor)


def test_page_names_the_set_and_leads_to_the_what_if_with_it(tmp_path):
    _company, actor = with_seats(tmp_path, 2, 2, 2, 2, 2, 30)
    page = signed_in(actor, language="en").get(PAGE, AS_OF).content.decode()
    said = " ".join(strip_tags(page).split())
    assert "These 6 customers close all of these gaps together. There may be fewer that do." in said
    assert "With them, the level Silver is reached." in said
    links = [unescape(one) for one in re.findall(r'href="(/p/competencies/what-if/\?attach[^"]*)"', page)]
    assert len(links) == 3
    assert "Silver" in signed_in(actor, language="en").get(links[-1]).content.decode()


def test_api_and_csv_mark_the_customers_of_the_set(tmp_path):
    _company, actor = with_seats(tmp_path, 1, 1, 30, 12, 11, 10)
    gaps = Api(actor).get(API, AS_OF).json()
    marked = {one["tenant_id"]: one["closes_all"] for one in gaps[0]["customers"]}
    assert sorted(marked.values()) == [False, False, True, True, True, True]
    assert all({one["tenant_id"]: one["closes_all"] for one in gap["customers"]} == marked for gap in gaps)
    answer = Api(actor).get(API, AS_OF | {"format": "csv"})
    lines = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()
    assert lines[0].endswith(",closes,free_today,closes_all")
    assert len([one for one in lines if one.endswith(",1")]) == 8, "four customers, in each of two gaps"


def test_customers_of_other_locations_are_in_no_set_and_only_counted(tmp_path):
    company, _actor = with_seats(tmp_path, 15, 14, 13, 12)
    group = make_partner("Nordvik Group", kind="global")
    Organisation.objects.filter(pk=company.pk).update(parent=group.organisation)
    own = make_partner(parent=group.organisation)
    for number in (0, 1):
        row = estates.association(
            own.mpn_id, subscription_id=subscription_id(number), kind="csp", began_on="2016-02-01"
        )
        assert not estates.load_one(tmp_path, "associations", row).errors
    reader = make_member(own.organisation)
    gaps = found(reader, group.organisation)
    assert gaps.together is not None
    assert (gaps.together.customers, gaps.together.hidden) == ([], 2)
    assert {str(one.customer.tenant_id) for gap in gaps.each for one in gap.customers} == {tenant_id(0), tenant_id(1)}
    whole = found(make_member(Organisation.objects.get(pk=group.pk)), group.organisation)
    assert len(chosen(whole)) == 4, "control: the company sees all of them"


def text(actor: Actor, page: str = PAGE, day: date = DAY) -> str:
    answer = signed_in(actor, language="en").get(page, {"as_of": day.isoformat()})
    return " ".join(strip_tags(answer.content.decode()).split())


# --- A level with options -------------------------------------------------------------------------------------------


def of_emm(directory: Any, active: list[int]) -> tuple[Organisation, Actor]:
    """Load a partner that has a role in the tenants of customers, which use Intune and have no partner of record.

    Silver is for three new customers with 500 active entitlements, or for twenty with 125, each with two people.
    """
    numbers = range(len(active))
    exam = estates.credential(estates.RIVAL, person="P", credential="assessment:MDM", valid_from="2016-01-01")
    loaded = estates.load(
        estates.write(
            directory,
            partners=[estates.partner(), estates.partner(estates.RIVAL)],
            customers=[estates.customer(tenant_id(one), domain=f"c{one}.example") for one in numbers],
            subscriptions=[
                estates.subscription(
                    subscription_id(one), tenant_id=tenant_id(one), product="intune", sku_string_id="INTUNE_A",
                    started_on="2017-09-01",
                )
                for one in numbers
            ],
            associations=[
                estates.association(subscription_id="", tenant_id=tenant_id(one), kind="pal", began_on="2017-09-01")
                for one in numbers
            ],
            usage=[
                estates.usage(
                    "2017-12", subscription_id=subscription_id(one), workload="intune", paid_units="900",
                    active_users=str(count),
                )
                for one, count in enumerate(active)
            ],
            credentials=[exam],
        )
    )  # fmt: skip
    assert not loaded.errors
    company = Partner.objects.get(mpn_id=estates.PARTNER).organisation
    return company, make_member(company)


IN_JANUARY = date(2018, 1, 15)


@pytest.mark.parametrize(
    ("active", "size"),
    [
        ([200] * 4, 3),  # three with 600
        ([100] * 6, 5),  # five with 500
        ([10] * 20, 20),  # twenty with 200, by the other option
        ([10] * 19, 0),
    ],
)
def test_set_closes_all_gaps_of_one_option(tmp_path, active, size):
    company, actor = of_emm(tmp_path, active)
    gaps = found(actor, company, IN_JANUARY, EMM)
    assert [one.metric for one in gaps.each] == ["new_customers", "active_entitlements"]
    assert len(chosen(gaps)) == size


def test_page_says_what_customers_cannot_close(tmp_path):
    _company, actor = of_emm(tmp_path, [200] * 4)
    said = text(actor, reverse("competencies:partner_competency", args=[EMM]), IN_JANUARY)
    assert "These 3 customers close all of these gaps together." in said
    after = said.partition("For the level Silver, this is not met then, or not known:")[2]
    assert after.startswith("People with the assessments: Enterprise: 0 of 2 people. Missing: 2 people.")
