"""Parts of long lists: each continues after a row, forwards and backwards, for every kind of rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from django.core import signing

from por.accounts.models import User
from por.db.keyset import CursorInvalid, Prepared, count_each, read_part, read_parts
from por.db.prepared import Param
from por.directory.models import Customer, Subscription
from tests.factories import make_customer, make_subscription, make_user

PRODUCTS = ["office365", "azure", "intune", "azure", "office365", "azure", "office365"]
ORDERS = [("pk",), ("-pk",), ("product", "pk"), ("-product", "-pk"), ("product", "-pk"), ("-product", "pk")]


@pytest.fixture
def rows():
    customer = make_customer()
    for product in PRODUCTS:
        make_subscription(customer, product=product, sku=None)
    return Subscription.objects.filter(customer=customer)


def forwards(rows, order, size):
    """Return all parts from the first on, each as the keys of its rows, and the last part itself."""
    parts, part = [], read_part(rows, order, size)
    while True:
        parts.append([key(row) for row in part.rows])
        if not part.next:
            return parts, part
        part = read_part(rows, order, size, part.next)


def key(row) -> int:
    return row["pk"] if isinstance(row, dict) else row.pk


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", [1, 3, 7, 8])
@pytest.mark.parametrize("shape", ["models", "dicts", "named tuples"])
def test_parts_follow_each_other_both_ways_without_losing_a_row(rows, order, size, shape):
    everything = [row.pk for row in rows.order_by(*order)]
    if shape == "dicts":
        rows = rows.values("pk", "product")
    if shape == "named tuples":
        rows = rows.values_list("pk", "product", named=True)

    parts, part = forwards(rows, order, size)
    back = [parts[-1]]
    while part.previous:
        part = read_part(rows, order, size, part.previous)
        back.insert(0, [key(row) for row in part.rows])

    assert [pk for each in parts for pk in each] == everything
    assert [pk for each in back for pk in each] == everything
    assert [[key(row) for row in each] for each in read_parts(rows, order, size)] == parts


def test_no_row_is_skipped_or_repeated_when_others_come_and_go(rows):
    first = read_part(rows, ("-pk",), 3)
    customer = Customer.objects.get()
    make_subscription(customer)
    rows.filter(pk=first.rows[-1].pk).delete()

    second = read_part(rows, ("-pk",), 3, first.next)

    assert [one.pk for one in second.rows] == [first.rows[-1].pk - 1, first.rows[-1].pk - 2, first.rows[-1].pk - 3]


def test_instants_are_told_apart_to_the_microsecond():
    start = datetime(2026, 3, 1, tzinfo=UTC)
    people = [make_user(date_joined=start + timedelta(microseconds=one)) for one in range(5)]
    rows = User.objects.filter(pk__in=[one.pk for one in people])

    parts, _last = forwards(rows, ("date_joined", "pk"), 2)

    assert [pk for part in parts for pk in part] == [one.pk for one in people]


def test_a_part_takes_one_query(rows, django_assert_num_queries):
    cursor = read_part(rows, ("product", "pk"), 3).next
    with django_assert_num_queries(1):
        read_part(rows, ("product", "pk"), 3, cursor)
    with django_assert_num_queries(4):  # three parts, and one query that finds no more
        list(read_parts(rows, ("product", "pk"), 3))


def test_a_cursor_past_the_last_row_leads_to_an_empty_part(rows):
    part = read_part(rows, ("pk",), 6)
    rows.filter(pk__gt=part.rows[-1].pk).delete()

    rest = read_part(rows, ("pk",), 6, part.next)

    assert (rest.rows, rest.next, rest.previous) == ([], "", "")


def test_a_cursor_of_another_list_or_a_forged_one_is_refused(rows):
    cursor = read_part(rows, ("pk",), 3).next
    make_customer(), make_customer()
    foreign = [
        read_part(Customer.objects.all(), ("pk",), 1).next,
        read_part(rows, ("-pk",), 3).next,
        signing.dumps([False, [1]]),
        cursor[:-1] + ("a" if cursor[-1] != "a" else "b"),
        "nonsense",
        "cD1hYmM=",
        "å",
    ]

    for one in foreign:
        with pytest.raises(CursorInvalid):
            read_part(rows, ("pk",), 3, one)


@dataclass(frozen=True)
class OfProduct:
    """The shape of a list of the subscriptions of a product, which is a Param; or of none at all."""

    is_empty: bool = False
    planned_each_time = False

    def rows(self):
        found = Subscription.objects.filter(product=Param("product"))
        return found.none() if self.is_empty else found


def test_lists_are_counted_together_up_to_a_number(rows, django_assert_num_queries):
    product = rows[0].product
    lists = [Prepared(Subscription, OfProduct(is_empty), {"product": product}) for is_empty in (False, True, False)]
    of_it = rows.filter(product=product).count()
    assert of_it > 1
    with django_assert_num_queries(1):
        assert count_each(lists, 100) == [of_it, 0, of_it]
    assert count_each(lists, 1) == [1, 0, 1]
    assert count_each(lists[1:2], 100) == [0]
