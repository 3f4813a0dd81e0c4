"""Who would close a gap on a past day: of the subscriptions that had no partner of record on it, as seen today."""

from __future__ import annotations

import re
from datetime import date, timedelta
from html import unescape
from typing import Any

import pytest
from django.urls import reverse
from django.utils.html import strip_tags

from associations.record.models import Association
from por.accounts.models import Actor, Organisation
from por.directory.models import Subscription
from tests import estates
from tests.api import Api
from tests.competencies.test_closing import API, DAY, PAGE, SMCS, gaps, of_csp
from tests.competencies.test_facts import subscription_id, tenant_id
from tests.factories import make_staff
from tests.pages import signed_in

ONE_DAY = timedelta(days=1)
AS_OF = {"as_of": DAY.isoformat()}


def named(actor: Actor, company: Organisation, day: date = DAY) -> set[str]:
    """Return the tenants of the customers that would add to the number of new customers."""
    found = gaps(actor, company, day)["new_customers"].customers
    return {str(one.customer.tenant_id) for one in found}


def of_record(directory: Any, began_on: date, ended_on: date | None = None, mpn_id: str = estates.RIVAL) -> None:
    """Make a partner the partner of record of the first customer's subscription for some time."""
    ends = "" if ended_on is None else ended_on.isoformat()
    row = estates.association(mpn_id, subscription_id=subscription_id(0), began_on=began_on.isoformat(), ended_on=ends)
    assert not estates.load_one(directory, "associations", row).errors


@pytest.mark.parametrize(
    ("began", "ended", "is_named"),
    [
        (DAY - ONE_DAY, None, False),
        (DAY, None, False),
        (DAY + ONE_DAY, None, True),
        (DAY - 20 * ONE_DAY, DAY - ONE_DAY, True),
        (DAY - 20 * ONE_DAY, DAY, True),  # no longer in force on the day of its end
        (DAY - 20 * ONE_DAY, DAY + ONE_DAY, False),
    ],
)
def test_customer_is_named_if_it_had_no_partner_of_record_at_the_end_of_the_day(tmp_path, began, ended, is_named):
    company, actor = of_csp(tmp_path)
    of_record(tmp_path, began, ended)
    found = named(actor, company)
    assert (tenant_id(0) in found) is is_named
    assert len(found) == 5 + is_named


def test_company_itself_may_be_the_partner_of_record_today(tmp_path):
    """The page of the day shows what was missing then."""
    company, actor = of_csp(tmp_path)
    of_record(tmp_path, DAY + ONE_DAY, mpn_id=estates.PARTNER)
    assert tenant_id(0) in named(actor, company)


@pytest.mark.parametrize(
    ("fields", "is_named"),
    [
        ({"started_on": DAY}, True),
        ({"started_on": DAY + ONE_DAY}, False),
        ({"status": "expired", "renews_on": DAY}, False),
        ({"status": "expired", "renews_on": DAY + ONE_DAY}, True),
        ({"status": "suspended"}, True),
    ],
)
def test_subscription_that_had_not_started_or_was_over_is_not_tried(tmp_path, fields, is_named):
    """Which status an active one had on the day is not known: only an end that has come is."""
    company, actor = of_csp(tmp_path)
    Subscription.objects.filter(subscription_id=subscription_id(0)).update(**fields)
    assert (tenant_id(0) in named(actor, company)) is is_named


def test_subscription_is_tried_for_the_customer_that_had_it_on_the_day(tmp_path):
    company, actor = of_csp(tmp_path)
    moved = Subscription.objects.get(subscription_id=subscription_id(0))
    for left_at, is_named in (("2016-05-24T00:00Z", True), ("2016-05-23T12:00Z", False)):
        Subscription.objects.filter(pk=moved.pk).update(left_at=left_at, status="expired")
        assert (tenant_id(0) in named(actor, company)) is is_named
    Subscription.objects.filter(pk=moved.pk).update(left_at=None, status="active", came_at="2016-05-24T00:00Z")
    assert tenant_id(0) not in named(actor, company)


def test_what_the_reader_sees_is_that_of_today(tmp_path):
    """A customer that the partner no longer serves is not named, whatever it had on the day."""
    company, actor = of_csp(tmp_path)
    served = Association.objects.filter(subscription__subscription_id=subscription_id(0))
    served.update(ended_at="2018-01-01T00:00Z")
    assert tenant_id(0) not in named(actor, company)
    assert len(named(actor, company)) == 5


def test_page_of_a_past_day_says_which_day_it_is_of_and_invites_only_who_can_still_be_attached(tmp_path):
    company, actor = of_csp(tmp_path)
    of_record(tmp_path, DAY + ONE_DAY)
    page = signed_in(actor, language="en").get(PAGE, AS_OF).content.decode()
    text = " ".join(strip_tags(page).split())
    assert (
        "Up to 200 subscriptions that had no partner of record on 23 May 2016 and that you see today are tried" in text
    )
    assert "Can no longer be attached" in text
    invited = [unescape(one) for one in re.findall(r'href="/p/invitations/new/\?([^"]*)"', page)]
    assert len(invited) == 13, "five of six customers for each gap, and three of the four for both together"
    assert not [one for one in invited if tenant_id(0) in one]


def test_api_has_what_is_still_without_a_partner_of_record(tmp_path):
    _company, actor = of_csp(tmp_path)
    of_record(tmp_path, DAY + ONE_DAY)
    for gap in Api(actor).get(API, AS_OF).json():
        free = {one["tenant_id"]: (one["subscriptions"], one["free_today"]) for one in gap["customers"]}
        assert free.pop(tenant_id(0)) == ([subscription_id(0)], [])
        assert all(named == free_today for named, free_today in free.values())


def test_staff_see_the_same_of_the_day(tmp_path):
    company, actor = of_csp(tmp_path)
    of_record(tmp_path, DAY + ONE_DAY)
    assert named(make_staff("auditor"), company) == named(actor, company)
    page = reverse("competencies:staff_competency", args=[estates.PARTNER, SMCS])
    shown = strip_tags(signed_in(make_staff("auditor"), language="en").get(page, AS_OF).content.decode())
    assert "had no partner of record on 23 May 2016" in " ".join(shown.split())
