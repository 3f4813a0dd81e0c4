"""Rows of the database as objects: what Django's constructor would make of them."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import models
from django.db.models.signals import post_init
from django.utils.translation import override

from associations.record.models import Association
from por.accounts.models import Membership, Organisation
from por.db.models import RowModel
from por.db.prepared import PreparedQuery
from por.directory.models import Customer, Partner, Sku, Subscription
from tests.factories import make_customer, make_subscription


def listening(*_: Any, **__: Any) -> None:
    """Do nothing: while anything listens, Django's constructor makes the objects."""


@contextmanager
def constructor() -> Iterator[None]:
    post_init.connect(listening)
    try:
        yield
    finally:
        post_init.disconnect(listening)


def state(one: models.Model) -> Any:
    forward = {field.name for field in one._meta.concrete_fields}
    found = {name: value for name, value in one._state.fields_cache.items() if name in forward}
    related = {name: state(value) if value else None for name, value in found.items()}
    own = {name: value for name, value in one.__dict__.items() if name != "_state"}
    return type(one), own, one._state.adding, one._state.db, related


def test_an_object_is_the_one_that_the_constructor_makes(subscription: Subscription) -> None:
    assert all(issubclass(one, RowModel) for one in (Organisation, Membership, Customer, Partner, Sku, Association))
    for found in (
        Subscription.objects.select_related("customer__organisation", "sku", "replaces"),
        Subscription.objects.only("seats", "customer__country").select_related("customer"),
        Subscription.objects.annotate(more=models.F("seats") + 1),
        Sku.objects.filter(pk=subscription.sku_id),
    ):
        quick = found.get()
        with constructor():
            assert state(quick) == state(found.all().get())


def test_an_object_can_be_changed_saved_and_kept_like_any_other(subscription: Subscription) -> None:
    found = Subscription.objects.select_related("customer").get()
    other = make_customer("Other")
    assert found.customer != other
    found.customer_id = other.pk  # the customer that came with it is not its customer any more
    assert found.customer == other
    found.seats = 8
    found.save()
    found.refresh_from_db()
    assert (found.seats, found.customer) == (8, other)
    assert pickle.loads(pickle.dumps(found)) == found
    assert Subscription.objects.only("seats").get().get_deferred_fields()
    make_subscription(other)
    assert Subscription.objects.count() == 2


def test_each_language_has_its_own_word_for_a_choice(subscription: Subscription) -> None:
    subscription.status = Subscription.Status.SUSPENDED
    for language in ("en", "sv", "en"):
        with override(language):
            assert subscription.get_status_display() == str(Subscription.Status.SUSPENDED.label)
    assert subscription.get_status_display() == "Suspended"


def test_a_value_that_is_no_choice_is_its_own_word(subscription: Subscription) -> None:
    subscription.status = "hibernating"
    assert subscription.get_status_display() == "hibernating"
    assert Partner(market=None).get_market_display() is None  # type: ignore[misc]


def test_rows_that_name_the_same_customer_share_its_object(subscription: Subscription) -> None:
    make_subscription(subscription.customer)
    make_subscription(make_customer("Other"))
    query = PreparedQuery(lambda: Subscription.objects.select_related("customer__organisation", "sku").order_by("pk"))
    first, second, third = query.all()
    assert first.customer is second.customer
    assert first.customer.organisation is second.customer.organisation
    assert first.customer.organisation.customer is first.customer
    assert third.customer.organisation.name == "Other"
    assert [one.sku for one in (first, second, third)] == [one.sku for one in Subscription.objects.order_by("pk")]


def test_a_field_that_a_row_leaves_out_is_read_when_it_is_asked_for(subscription: Subscription) -> None:
    quick = Subscription.objects.only("seats", "customer__tenant_id").select_related("customer").get()

    assert quick.get_deferred_fields() >= {"status", "agreement"}
    assert (quick.seats, quick.status) == (subscription.seats, subscription.status)
    assert quick.customer.domain == subscription.customer.domain
