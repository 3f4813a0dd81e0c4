"""Revenue and consumption: what files say of one subscription in one month, and how a month is corrected."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from por.directory.models import Consumption, Revenue, Subscription
from por.history.models import Event
from tests import estates
from tests.estates import OTHER_SUBSCRIPTION, OTHER_TENANT, SUBSCRIPTION, TENANT, UNKNOWN, consumption, revenue


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """Import two customers with a subscription each."""
    subscriptions = [estates.subscription(), estates.subscription(OTHER_SUBSCRIPTION, tenant_id=OTHER_TENANT)]
    customers = [estates.customer(), estates.customer(OTHER_TENANT)]
    assert estates.load(estates.write(tmp_path, customers=customers, subscriptions=subscriptions)).failure == ""
    return tmp_path


def stored(model: type[Any]) -> list[tuple[str, ...]]:
    """Return the revisions of each month: which is open, and what it says."""
    part, figures = ("kind", ("amount", "currency")) if model is Revenue else ("service", ("amount_usd",))
    return [
        (
            f"{one.month:%Y-%m}",
            getattr(one, part),
            "closed" if one.superseded_at else "open",
            *(
                f"{value.normalize():f}" if isinstance(value, Decimal) else value
                for value in map(one.__getattribute__, figures)
            ),
        )
        for one in model.objects.order_by("month", part, "revision")
    ]


def test_file_gives_revenue_and_the_same_file_changes_nothing(estate):
    rows = [revenue(), revenue(kind="net_new_cloud", amount="-100", currency="usd"), revenue("2025-04")]
    assert "3 created, 0 changed, 0 unchanged, 0 failed" in estates.load_one(estate, "revenue", *rows).out
    assert stored(Revenue) == [
        ("2025-03", "net_new_cloud", "open", "-100", "USD"),
        ("2025-03", "total", "open", "1250.4", "EUR"),
        ("2025-04", "total", "open", "1250.4", "EUR"),
    ]
    assert "Nothing has changed" in estates.load_one(estate, "revenue", *rows).out
    rows[0] |= {"amount": "1250.400", "month": "2025-03-01"}
    assert "Nothing has changed" in estates.load_one(estate, "revenue", *rows).out


def test_file_gives_consumption_and_the_same_file_changes_nothing(estate):
    rows = [
        consumption(),
        consumption(service="Virtual Machines (Windows)", amount_usd="0.000000000000000001"),
        consumption(service='SQL, "Hyperscale"', amount_usd="7"),
        consumption(service="  Lagring, åäö ", amount_usd="8"),
    ]
    assert "4 created, 0 changed, 0 unchanged, 0 failed" in estates.load_one(estate, "consumption", *rows).out
    assert sorted(one[1:] for one in stored(Consumption)) == [
        ("Azure App Service", "open", "312.5"),
        ("Lagring, åäö", "open", "8"),
        ('SQL, "Hyperscale"', "open", "7"),
        ("Virtual Machines (Windows)", "open", "0.000000000000000001"),
    ]
    assert "Nothing has changed" in estates.load_one(estate, "consumption", *rows).out


@pytest.mark.parametrize(
    ("model", "file", "row", "other", "kept"),
    [
        (Revenue, "revenue", revenue(), {"amount": "9"}, [("closed", "1250.4", "EUR"), ("open", "9", "EUR")]),
        (Revenue, "revenue", revenue(), {"currency": "SEK"}, [("closed", "1250.4", "EUR"), ("open", "1250.4", "SEK")]),
        (Consumption, "consumption", consumption(), {"amount_usd": "9"}, [("closed", "312.5"), ("open", "9")]),
    ],
)
def test_correction_is_a_revision_and_what_was_known_before_stays(estate, model, file, row, other, kept):
    estates.load_one(estate, file, row)
    loaded = estates.load_one(estate, file, row | other)
    assert "0 created, 1 changed, 0 unchanged, 0 failed" in loaded.out
    assert [one[2:] for one in stored(model)] == kept
    first, second = model.objects.order_by("revision")
    assert first.superseded_at == second.known_from
    assert (first.revision, second.revision) == (1, 2)
    assert [one.revision for one in model.objects.current()] == [2]


@pytest.mark.parametrize(("file", "row"), [("revenue", revenue()), ("consumption", consumption())])
def test_rows_are_counted_for_the_customer_and_the_subscription_keeps_its_version(estate, file, row):
    before = Subscription.objects.get(subscription_id=SUBSCRIPTION).version
    estates.load_one(estate, file, row, row | {"month": "2025-04"}, row | {"subscription_id": OTHER_SUBSCRIPTION})
    loaded = Event.objects.filter(verb="estate.loaded", object_id=f"{file}.csv")
    assert sorted(event.changes["created"] for event in loaded) == [1, 2]
    assert not Event.objects.filter(verb="subscription.changed").exists()
    assert Subscription.objects.get(subscription_id=SUBSCRIPTION).version == before


@pytest.mark.parametrize(
    ("file", "row", "amount"), [("revenue", revenue(), "amount"), ("consumption", consumption(), "amount_usd")]
)
@pytest.mark.parametrize(
    ("cells", "column", "code"),
    [
        ({"month": "2025-13"}, "month", "malformed_month"),
        ({"month": "2025-03-02"}, "month", "malformed_month"),
        ({"month": ""}, "month", "missing_value"),
        ({"month": "2013-12"}, "month", "month_out_of_range"),
        ({"month": "2035-12"}, "month", "month_in_future"),
        ({"month": "2024-06"}, "month", "month_before_start"),
        ({"subscription_id": UNKNOWN}, "subscription_id", "unknown_subscription"),
        ({"subscription_id": "S-1"}, "subscription_id", "malformed_guid"),
        ({"amount": ""}, "amount", "missing_value"),
        ({"amount": "NULL"}, "amount", "missing_value"),
        ({"amount": "1,2,3"}, "amount", "malformed_number"),
        ({"amount": "1234567890123"}, "amount", "malformed_number"),
    ],
)
def test_row_that_cannot_be_is_refused_alone(estate, file, row, amount, cells, column, code):
    wrong = {amount if name == "amount" else name: value for name, value in cells.items()}
    loaded = estates.load_one(estate, file, row | wrong, row | {"subscription_id": OTHER_SUBSCRIPTION})
    assert loaded.codes == [("2", amount if column == "amount" else column, code)]
    assert (Revenue if file == "revenue" else Consumption).objects.count() == 1


@pytest.mark.parametrize(
    ("cells", "column", "code"),
    [
        ({"currency": ""}, "currency", "missing_value"),
        ({"currency": "€"}, "currency", "malformed_currency"),
        ({"currency": "Euro"}, "currency", "malformed_currency"),
        ({"currency": "XXX"}, "currency", "malformed_currency"),
        ({"kind": "profit"}, "kind", "unknown_value"),
        ({"kind": "cloud"}, "kind", "unknown_value"),
        ({"kind": ""}, "kind", "missing_value"),
    ],
)
def test_revenue_of_no_known_currency_or_kind_is_refused(estate, cells, column, code):
    assert estates.load_one(estate, "revenue", revenue(**cells)).codes == [("2", column, code)]


@pytest.mark.parametrize("service", ["", "s" * 101, "=Azure", "Azure\u202eApp"])
def test_consumption_of_no_readable_service_is_refused(estate, service):
    ((_line, column, _code),) = estates.load_one(estate, "consumption", consumption(service=service)).codes
    assert column == "service"


def test_of_two_rows_with_one_key_the_first_is_taken(estate):
    loaded = estates.load_one(estate, "revenue", revenue(amount="1"), revenue(amount="2"))
    assert loaded.codes == [("3", "", "duplicate_row")]
    assert [one[3] for one in stored(Revenue)] == ["1"]


def test_services_that_differ_in_one_letter_are_two(estate):
    names = ["Azure Functions", "azure functions", "None", "A" * 100, "B  C"]
    loaded = estates.load_one(estate, "consumption", *(consumption(service=name) for name in names))
    assert loaded.failure == ""
    assert sorted(one[1] for one in stored(Consumption)) == sorted(names)


def test_month_before_a_move_is_the_former_customers(estate):
    estates.load_one(estate, "subscriptions", estates.subscription(tenant_id=OTHER_TENANT))
    estates.load_one(estate, "revenue", revenue())
    assert str(Revenue.objects.get().subscription.customer.tenant_id) == TENANT


@pytest.mark.parametrize(
    ("model", "given"),
    [
        (Revenue, {"kind": "total", "amount": 1, "currency": "EUR"}),
        (Consumption, {"service": "Azure App Service", "amount_usd": 1}),
    ],
)
def test_database_keeps_one_open_revision_of_a_month(estate, model, given):
    subscription = Subscription.objects.get(subscription_id=SUBSCRIPTION)
    model.objects.create(subscription=subscription, month="2025-03-01", **given)
    with pytest.raises(IntegrityError, match="one_current_"), transaction.atomic():
        model.objects.create(subscription=subscription, month="2025-03-01", revision=2, **given)
    with pytest.raises(IntegrityError, match="_is_of_a_month"), transaction.atomic():
        model.objects.create(subscription=subscription, month="2025-04-02", **given)
