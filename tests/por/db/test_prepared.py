"""Prepared queries return what their querysets would return."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.db.models import Count
from django.test.utils import CaptureQueriesContext

from por.db import prepared
from por.db.prepared import Param, PreparedQuery
from por.directory.models import Customer, Subscription
from tests.factories import make_customer, make_subscription

OF_A_CUSTOMER = PreparedQuery(
    lambda: (
        Subscription.objects.filter(customer=Param("customer"), seats__gte=Param("seats"))
        .select_related("customer__organisation", "sku", "replaces")
        .order_by("seats")
    )
)


def test_a_prepared_query_returns_models_with_their_related_models(customer, django_assert_num_queries):
    many, few = make_subscription(customer, seats=9), make_subscription(customer, seats=7, replaces=None)
    make_subscription(customer, seats=1)
    make_subscription(make_customer("Other"))
    OF_A_CUSTOMER.all(customer=0, seats=0)

    with django_assert_num_queries(1):
        found = OF_A_CUSTOMER.all(customer=customer.pk, seats=5)
        names = [one.customer.organisation.name for one in found]
        skus = [one.sku and one.sku.string_id for one in found]

    assert found == [few, many]
    assert names == [customer.organisation.name] * 2
    assert skus == ["ENTERPRISEPACK"] * 2
    assert [one.replaces for one in found] == [None, None]
    found[0].seats = 8
    found[0].save()
    assert Subscription.objects.get(pk=few.pk).seats == 8


def test_values_are_never_part_of_the_sql(customer):
    named = PreparedQuery(lambda: Customer.objects.filter(organisation__name=Param("name")))
    organisation = customer.organisation
    organisation.name = "100 %s of O'Brien's; DROP TABLE"
    organisation.save()

    assert named.one(name=organisation.name) == customer
    assert named.one(name="' OR '1'='1") is None


def test_a_prepared_query_returns_annotations(customer):
    counted = PreparedQuery(
        lambda: Customer.objects.filter(tenant_id=Param("tenant")).annotate(size=Count("subscriptions"))
    )
    make_subscription(customer)
    make_subscription(customer)

    assert counted.one(tenant=customer.tenant_id).size == 2
    assert counted.one(tenant=uuid.uuid4()) is None


def test_a_prepared_query_is_built_once(customer):
    builds = []

    def build():
        builds.append(1)
        return Customer.objects.filter(pk=Param("pk"))

    query = PreparedQuery(build)

    assert [query.one(pk=pk) for pk in (customer.pk, customer.pk, 0)] == [customer, customer, None]
    assert builds == [1]


def test_a_query_that_can_match_no_row_does_not_ask_the_database(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert PreparedQuery(Customer.objects.none).all() == []


def test_a_lock_is_part_of_the_sql(customer):
    locked = PreparedQuery(lambda: Customer.objects.filter(pk=Param("pk")), lock="FOR SHARE")

    with CaptureQueriesContext(connection) as captured:
        locked.one(pk=customer.pk)

    assert captured.captured_queries[0]["sql"].endswith(" FOR SHARE")


@pytest.mark.django_db(transaction=True)
def test_every_thread_uses_its_own_connection(monkeypatch):
    monkeypatch.setattr(prepared, "compiled", {})
    customers = [make_customer(f"Customer {number}") for number in range(8)]
    by_id = PreparedQuery(lambda: Customer.objects.filter(pk=Param("pk")).select_related("organisation"))

    def find(customer: Customer) -> list[str]:
        try:
            return [by_id.one(pk=customer.pk).organisation.name for _ in range(20)]
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(find, customers))

    assert found == [[customer.organisation.name] * 20 for customer in customers]
