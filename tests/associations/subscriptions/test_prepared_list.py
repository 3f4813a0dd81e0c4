"""The prepared list of the API has the rows of its plain queryset."""

from __future__ import annotations

from datetime import date
from itertools import product

import pytest

from associations.attaching.actions.attach import attach
from associations.record import access
from associations.record.access import restrict_to_ids
from associations.record.queries import subscriptions_for_listing
from associations.subscriptions.forms import SubscriptionFilter
from associations.subscriptions.schemas import subscription_values
from por.accounts.models import SYSTEM
from por.db.keyset import Prepared, read_part, read_parts
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription

FILTERS = [
    {"product": chosen, "partner_of_record": held, "renews_before": day, "tenant_id": tenant}
    for chosen, held, day, tenant in product(
        ("", "office365"), ("", "none"), ("", "2031-01-01"), ("", "own", "7f000000-0000-4000-8000-000000000000")
    )
]


@pytest.fixture
def estate(customer, admin, partner):
    """Two customers; the partner has some subscriptions of one of them."""
    other = make_customer("Almvik AB")
    mine = [make_subscription(customer, renews_on=date(2030 + number % 3, 1, 1)) for number in range(6)]
    for number in range(3):
        make_subscription(other, renews_on=date(2030 + number, 1, 1))
    for one in mine[:4]:
        attach(one.subscription_id, partner.mpn_id, by=admin)
    return customer


@pytest.mark.parametrize("many", [False, True], ids=["few", "many"])
@pytest.mark.parametrize("reader", ["staff", "customer", "partner", "partner of none", "nobody"])
def test_a_prepared_list_has_the_rows_of_the_plain_one(estate, admin, amira, monkeypatch, reader, many):
    monkeypatch.setattr(access, "FEW", 2 if many else 1000)
    actors = {
        "staff": make_staff,
        "customer": lambda: admin,
        "partner": lambda: amira,
        "partner of none": lambda: make_member(make_partner("Other AB").organisation),
        "nobody": lambda: SYSTEM,
    }
    actor = actors[reader]()
    for given in FILTERS:
        tenant = str(estate.tenant_id) if given["tenant_id"] == "own" else given["tenant_id"]
        filters = SubscriptionFilter({**given, "tenant_id": tenant})
        assert filters.is_valid(), filters.errors
        visible = restrict_to_ids(subscriptions_for_listing(actor), actor)
        plain = subscription_values(filters.apply(visible, actor))
        prepared = filters.listed(actor)

        assert isinstance(prepared, Prepared)
        assert list(read_parts(prepared, ("pk",), 2)) == list(read_parts(plain, ("pk",), 2))
        first, expected = read_part(prepared, ("pk",), 2), read_part(plain, ("pk",), 2)
        assert (first.rows, first.previous) == (expected.rows, expected.previous)
        if first.next:
            second = read_part(prepared, ("pk",), 2, first.next)
            assert second.rows == read_part(plain, ("pk",), 2, expected.next).rows
            assert read_part(prepared, ("pk",), 2, second.previous).rows == first.rows


def test_a_list_as_of_a_day_is_not_prepared(admin):
    filters = SubscriptionFilter({"as_of": "2026-01-01", "search": "office"})
    assert filters.is_valid(), filters.errors

    assert not isinstance(filters.listed(admin), Prepared)
