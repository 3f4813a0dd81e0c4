"""One meaning of "no partner": the number on the home page, the list and its badges, and the gaps agree."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from associations.attaching.actions import attach as attaching
from por.directory.models import Subscription
from tests.factories import make_subscription

LIST = reverse("associations:subscription_list")


@pytest.fixture
def estate(customer, partner, admin) -> dict[str, Subscription]:
    """Return a subscription of each status, without and with a partner, and one that replaces another."""
    found = {}
    for status in Subscription.Status.values:
        for name in (f"{status}, free", f"{status}, held"):
            found[name] = make_subscription(customer)
    found["replacing"] = make_subscription(customer, replaces=found["expired, held"])
    for name, one in found.items():
        if name.endswith("held"):
            attaching.attach(one.subscription_id, partner.mpn_id, by=admin)
        Subscription.objects.filter(pk=one.pk).update(status=name.split(",")[0] if "," in name else "active")
    return found


WITHOUT = {"active, free", "grace, free", "replacing"}


def names(page: Any, estate: dict[str, Subscription], key: str = "rows") -> set[str]:
    by_key = {one.pk: name for name, one in estate.items()}
    return {by_key[row.subscription.pk] for row in page.context[key]}


def test_every_number_leads_to_its_rows(web: Client, estate):
    home = web.get(reverse("portal:customer_home"))
    assert home.context["without_title"] == "3 subscriptions have no partner"
    assert {one.pk for one in home.context["without"]} == {estate[name].pk for name in WITHOUT}
    tab = web.get(f"{LIST}?view=no_partner")
    assert names(tab, estate) == WITHOUT
    assert [one.count for one in tab.context["tabs"]][1] == 3
    gaps = web.get(reverse("associations:customer_gaps") + "?view=none")
    assert names(gaps, estate, "gaps") == WITHOUT
    assert next(one.count for one in gaps.context["tabs"] if one.label == "No partner of record") == 3


def test_list_marks_exactly_those_and_shows_a_dash_for_the_others(web: Client, estate):
    text = web.get(LIST).text
    marked = set()
    for name, one in estate.items():
        (row,) = re.findall(rf"<tr>(?:(?!</tr>).)*{one.subscription_id}.*?</tr>", text, re.DOTALL)
        (cell,) = re.findall(r'data-l="Partner of record"[^>]*>(.*?)</td>', row, re.DOTALL)
        words = " ".join(re.sub("<[^>]+>", " ", cell).split())
        if "held" not in name:
            assert words == ("No partner" if name in WITHOUT else "–")
        marked |= {name} if words == "No partner" else set()
    assert marked == WITHOUT
