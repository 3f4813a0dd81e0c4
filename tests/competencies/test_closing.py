"""Customers that would close a gap: what they would add is what the what-if says, and others are only counted."""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import partial
from html import unescape
from typing import Any
from uuid import UUID

import pytest
from django.urls import reverse

from associations.attaching.actions import attach as attaching
from associations.record.models import Association
from competencies.closing import gaps_of
from competencies.queries import attained_in
from competencies.supposing import WhatIf
from por.accounts.models import Actor, Organisation
from por.directory.models import Partner, Usage
from por.programs.calendars import month_end, newest_month
from tests import estates
from tests.api import Api
from tests.competencies.test_facts import load, tenant_id
from tests.competencies.test_recomputing import AZURE, make_azure, today
from tests.factories import make_administrator, make_member, make_partner, make_staff
from tests.pages import queries, signed_in

SMCS = "competency.smcs"
PAGE = reverse("competencies:partner_competency", args=[SMCS])
API = f"/api/v1/competencies/{SMCS}/closing/"
#: Cloud Solution Providers begin to count on the day after.
DAY = date(2016, 5, 23)


def of_csp(directory: Any, customers: int = 6) -> tuple[Organisation, Actor]:
    """Load a partner that sells to customers without a partner of record, each later one with more seats."""
    load(directory, began="2016-01-01", kind="csp", customers=customers)
    for number, one in enumerate(Usage.objects.order_by("pk")):
        Usage.objects.filter(pk=one.pk).update(paid_units=10 + number, month="2016-04-01")
    company = Partner.objects.get(mpn_id=estates.PARTNER).organisation
    return company, make_member(company)


def gaps(actor: Actor, company: Organisation, day: date = DAY, program: str = SMCS) -> dict[str, Any]:
    return {one.metric: one for one in gaps_of(actor, company, attained_in(company, program, day), day).each}


def level(company: Organisation, actor: Actor, attach: list[UUID]) -> str | None:
    found = WhatIf(attach=attach).results(company, DAY, actor)
    return next(one.supposed.level for one in found if one.today.program.id == SMCS)


@pytest.mark.django_db
def test_fewest_customers_that_close_the_gap_reach_the_level_and_one_less_does_not(tmp_path: Any) -> None:
    company, actor = of_csp(tmp_path)
    found = gaps(actor, company)
    assert found.keys() == {"new_customers", "seats_sold"}
    assert [int(one.amount) for one in found["seats_sold"].customers] == [15, 14, 13, 12, 11, 10]
    assert found["seats_sold"].smallest == 3, "15 and 14 and 13 are 42 of 40"
    assert found["new_customers"].smallest == 4

    ids = [one for customer in found["seats_sold"].customers for one in customer.subscriptions]
    assert level(company, actor, ids[:4]) == "silver"
    assert level(company, actor, ids[:3]) == "none", "these are enough seats, but one customer too few"


@pytest.mark.django_db
def test_each_customer_adds_what_the_what_if_adds(tmp_path: Any) -> None:
    company, actor = of_csp(tmp_path)
    before = {one.metric: one.value.low for one in attained_in(company, SMCS, DAY).metrics}
    for name, gap in gaps(actor, company).items():
        for customer in gap.customers:
            both = WhatIf(attach=customer.subscriptions).results(company, DAY, actor)
            after = next(one.supposed for one in both if one.today.program.id == SMCS)
            value = next(one.value.low for one in after.metrics if one.metric == name)
            assert value - before[name] == customer.amount


@pytest.mark.django_db
def test_customers_that_are_not_enough_say_so(tmp_path: Any) -> None:
    company, actor = of_csp(tmp_path, customers=3)
    assert gaps(actor, company)["new_customers"].smallest is None
    text = signed_in(actor).get(PAGE, {"as_of": DAY.isoformat()}).content.decode()
    assert "All of these together would add 3 customers. That is not enough." in text


@pytest.mark.django_db
def test_subscription_of_another_partner_of_record_is_not_named(tmp_path: Any) -> None:
    company, actor = of_csp(tmp_path)
    first = Association.objects.order_by("pk").first()
    assert first is not None
    rival = Partner.objects.get(mpn_id=estates.RIVAL)
    row = estates.association(
        rival.mpn_id, subscription_id=str(first.subscription.subscription_id), began_on="2016-02-01"
    )
    assert not estates.load_one(tmp_path, "associations", row).errors
    found = gaps(actor, company)["new_customers"].customers
    assert len(found) == 5
    assert first.customer_id not in {one.customer.pk for one in found}


@pytest.mark.django_db
def test_location_gets_other_locations_customers_only_as_a_count(tmp_path: Any) -> None:
    company, _actor = of_csp(tmp_path)
    group = make_partner("Nordvik Group", kind="global")
    Organisation.objects.filter(pk=company.pk).update(parent=group.organisation)
    other = make_partner(parent=group.organisation)
    reader = make_member(other.organisation)

    seen = gaps(make_member(Organisation.objects.get(pk=company.pk)), group.organisation)["new_customers"]
    assert (len(seen.customers), seen.hidden) == (6, 0)
    hidden = gaps(reader, group.organisation)["new_customers"]
    assert (hidden.customers, hidden.hidden, hidden.smallest) == ([], 6, None)

    text = signed_in(reader).get(PAGE, {"as_of": DAY.isoformat()}).content.decode()
    assert "and 6 customers of other locations of the company" in text
    assert tenant_id(0) not in text
    answer = Api(reader).get(API, {"as_of": DAY.isoformat()}).json()
    assert [one["customers"] for one in answer] == [[], []]


@pytest.mark.django_db
def test_page_leads_to_the_what_if_with_the_customers_and_to_inviting_them(tmp_path: Any) -> None:
    company, actor = of_csp(tmp_path)
    client = signed_in(actor)
    text = client.get(PAGE, {"as_of": DAY.isoformat()}).content.decode()
    assert "The first 4 customers close the gap." in text

    links = [unescape(one) for one in re.findall(r'href="(/p/competencies/what-if/\?attach[^"]*)"', text)]
    assert len(links) == 3, "for each gap, and for both together"
    asked = client.get(links[0])
    assert asked.status_code == 200
    assert "Silver" in asked.content.decode()
    invite = unescape(re.findall(r'href="(/p/invitations/new/\?[^"]*)"', text)[0])
    assert client.get(invite).status_code == 200


@pytest.mark.django_db
def test_viewer_is_not_asked_to_invite(tmp_path: Any) -> None:
    company, _actor = of_csp(tmp_path)
    text = signed_in(make_member(company, "viewer")).get(PAGE, {"as_of": DAY.isoformat()}).content.decode()
    assert "Customers that would close the gap" in text
    assert "/p/invitations/new/" not in text


@pytest.mark.django_db
def test_level_that_is_reached_has_no_gap(tmp_path: Any) -> None:
    load(tmp_path, customers=25, seats=10)
    company = Partner.objects.get(mpn_id=estates.PARTNER).organisation
    assert attained_in(company, SMCS, date(2016, 6, 30)).level == "gold"
    assert gaps(make_member(company), company, date(2016, 6, 30)) == {}


@pytest.mark.django_db
def test_staff_read_what_the_company_would_read(tmp_path: Any) -> None:
    company, actor = of_csp(tmp_path)
    assert gaps(make_staff("auditor"), company) == gaps(actor, company)
    page = reverse("competencies:staff_competency", args=[estates.PARTNER, SMCS])
    text = signed_in(make_staff("auditor")).get(page, {"as_of": DAY.isoformat()}).content.decode()
    assert "The first 4 customers close the gap." in text


@pytest.mark.django_db
def test_api_and_csv_have_who_closes_the_gap(tmp_path: Any) -> None:
    _company, actor = of_csp(tmp_path)
    found = Api(actor).get(API, {"as_of": DAY.isoformat()}).json()
    seats = next(one for one in found if one["metric"] == "seats_sold")
    assert (seats["missing"]["exact"], seats["smallest"], seats["hidden"]) == (40, 3, 0)
    assert [one["adds"] for one in seats["customers"]] == [15, 14, 13, 12, 11, 10]
    assert all(one["subscriptions"] for one in seats["customers"])

    answer = Api(actor).get(API, {"as_of": DAY.isoformat(), "format": "csv"})
    lines = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()
    assert len(lines) == 13, "six customers for each of two metrics"


@pytest.mark.django_db
def test_number_of_queries_does_not_grow_with_customers_to_ask(tmp_path: Any) -> None:
    _company, actor = of_csp(tmp_path, customers=3)
    few = queries(partial(signed_in(actor).get, PAGE, {"as_of": DAY.isoformat()}))
    Association.objects.filter(subscription__customer__tenant_id=tenant_id(0)).update(ended_at="2016-01-02T00:00Z")
    assert queries(partial(signed_in(actor).get, PAGE, {"as_of": DAY.isoformat()})) == few


@pytest.mark.django_db(transaction=True)
def test_score_names_customers_only_where_an_attachment_adds_already() -> None:
    partner = make_partner()
    held, admin = make_azure()
    attaching.attach(held.subscription_id, partner.mpn_id, by=admin, began_on=today() - timedelta(days=60))
    free, _admin = make_azure()
    make_administrator(free.customer, partner)
    actor = make_member(partner.organisation)
    last = month_end(newest_month(today()))

    on_last_day = gaps(actor, partner.organisation, last, AZURE)["total"]
    assert [(one.customer, one.amount) for one in on_last_day.customers] == [(free.customer, 10)]
    assert on_last_day.smallest is None
    assert gaps(actor, partner.organisation, last.replace(day=15), AZURE)["total"].customers == []
    page = reverse("competencies:partner_competency", args=[AZURE])
    text = signed_in(actor).get(page, {"as_of": last.replace(day=15).isoformat()}).content.decode()
    assert "No subscription that you see and that had no partner of record on that day would add to this." in text
