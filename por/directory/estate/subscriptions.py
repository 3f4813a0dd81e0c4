"""`subscriptions.csv`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.utils.translation import gettext as _

from por.directory.estate.common import differs, unknown
from por.directory.models import Customer, Sku, Subscription
from por.directory.rules import Agreement, Product
from por.estate.loading import File, Line, Outcome
from por.estate.reading import Cells, Unfit, parents_first


@dataclass(slots=True)
class SubscriptionLine(Line):
    subscription_id: uuid.UUID
    tenant_id: uuid.UUID
    product: str
    sku: str
    agreement: str
    seats: int | None
    is_trial: bool
    started_on: date
    renews_on: date | None
    status: str
    replaces: uuid.UUID | None


def _parse_subscription(cells: Cells) -> SubscriptionLine:
    row = SubscriptionLine(
        line=cells.line,
        subscription_id=cells.required_guid("subscription_id"),
        tenant_id=cells.required_guid("tenant_id"),
        product=cells.choice("product", Product.values),
        sku=cells.given("sku_string_id"),
        agreement=cells.choice("agreement", Agreement.values),
        seats=cells.number("seats"),
        is_trial=cells.choice("trial", ("0", "1")) == "1",
        started_on=cells.required_day("started_on"),
        renews_on=cells.day("renews_on"),
        status=cells.choice("status", Subscription.Status.values),
        replaces=cells.guid("replaces_subscription_id"),
    )
    if row.renews_on is not None and row.renews_on < row.started_on:
        raise Unfit("renews_on", "renews_before_start", _("It cannot be renewed before it has started."))
    return row


def _order_subscriptions(
    rows: Iterable[SubscriptionLine], refuse: Callable[[SubscriptionLine, Unfit], None]
) -> Iterable[SubscriptionLine]:
    circle = Unfit(
        "replaces_subscription_id", "cycle_of_replacements", _("This subscription would replace itself in the end.")
    )
    return parents_first(
        rows, lambda row: row.subscription_id, lambda row: row.replaces, lambda row: refuse(row, circle)
    )


def _merge_subscriptions(rows: Sequence[SubscriptionLine], outcome: Outcome) -> None:
    tenants = {row.tenant_id for row in rows}
    customers = dict(Customer.objects.filter(tenant_id__in=tenants).values_list("tenant_id", "pk"))
    skus = dict(Sku.objects.values_list("string_id", "pk"))
    locked = Subscription.objects.filter(subscription_id__in=[row.subscription_id for row in rows])
    stored = {one.subscription_id: one for one in locked.order_by("pk").select_for_update(no_key=True)}
    replaced = Subscription.objects.filter(subscription_id__in={row.replaces for row in rows if row.replaces})
    others = {one.subscription_id: one for one in replaced} | stored
    todo: dict[uuid.UUID, Subscription] = {}
    replacing: list[tuple[Subscription, uuid.UUID]] = []  # what it replaces is new itself, so has no key yet
    for row in rows:
        old = stored.get(row.subscription_id)
        try:
            wanted = _check_subscription(row, old, customers, skus, todo, others)
        except Unfit as unfit:
            outcome.refuse(row, unfit)
            continue
        pending = row.replaces is not None and row.replaces not in others
        if old is not None and not pending and not differs(old, **wanted):
            outcome.unchanged += 1
            continue
        new = Subscription(subscription_id=row.subscription_id, version=old.version + 1 if old else 1, **wanted)
        todo[row.subscription_id] = new
        if pending and row.replaces is not None:
            replacing.append((new, row.replaces))
        (outcome.changed if old else outcome.created)[new.customer_id] += 1
    Subscription.objects.bulk_create(
        todo.values(),
        update_conflicts=True,
        unique_fields=["subscription_id"],
        update_fields=[*SUBSCRIPTION_FIELDS, "version"],
    )
    for new, replaces in replacing:
        new.replaces_id = todo[replaces].pk
    Subscription.objects.bulk_update([new for new, _replaces in replacing], ["replaces"])


#: What a line says about a subscription and a later line may change.
SUBSCRIPTION_FIELDS = (
    "product", "sku", "agreement", "seats", "is_trial", "started_on", "renews_on", "status", "replaces"
)  # fmt: skip


def _check_subscription(
    row: SubscriptionLine,
    old: Subscription | None,
    customers: dict[uuid.UUID, int],
    skus: dict[str, int],
    new: dict[uuid.UUID, Subscription],
    others: dict[uuid.UUID, Subscription],
) -> dict[str, Any]:
    """The values of the row's fields; `new` are those of this batch that were accepted, `others` those stored."""
    if row.tenant_id not in customers:
        raise unknown("tenant_id", "customer")
    customer = customers[row.tenant_id]
    if old is not None and old.customer_id != customer:
        raise Unfit(
            "tenant_id", "subscription_of_another_customer", _("This subscription is of another customer already.")
        )
    if row.sku and row.sku not in skus:
        raise Unfit("sku_string_id", "unknown_sku", _("The catalogue has no such SKU."))
    replaces = None
    if row.replaces is not None:
        replaces = others.get(row.replaces) or new.get(row.replaces)
        if replaces is None:
            raise unknown("replaces_subscription_id", "subscription")
        if replaces.customer_id != customer:
            raise Unfit(
                "replaces_subscription_id",
                "replaced_of_another_customer",
                _("A subscription can only replace one of the same customer."),
            )
    return {
        "customer_id": customer,
        "product": row.product,
        "sku_id": skus[row.sku] if row.sku else None,
        "agreement": row.agreement,
        "seats": row.seats,
        "is_trial": row.is_trial,
        "started_on": row.started_on,
        "renews_on": row.renews_on,
        "status": row.status,
        "replaces_id": replaces.pk if replaces else None,
    }


SUBSCRIPTIONS = File(
    name="subscriptions.csv",
    header="subscription_id,tenant_id,product,sku_string_id,agreement,seats,trial,started_on,renews_on,status,replaces_subscription_id",
    parse=_parse_subscription,
    key=lambda row: row.subscription_id,
    merge=_merge_subscriptions,
    order=_order_subscriptions,
)
