"""The import of `subscriptions.csv`."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from por.directory.imports.common import differs, unknown
from por.directory.imports.corrections import collisions, kept
from por.directory.imports.moves import Moves, Others
from por.directory.imports.skus import find_skus
from por.directory.models import Customer, Sku, Subscription
from por.directory.rules import Agreement, Product
from por.imports.loading import HERE, File, Line, Outcome, Places
from por.imports.opening import Columns
from por.imports.reading import Cells, Unfit, guid_of, parents_first
from por.imports.staging import DAY, GUID, NUMBER, Plain, Refuse


@dataclass(slots=True)
class SubscriptionLine(Line):
    subscription_id: uuid.UUID
    tenant_id: uuid.UUID
    product: str  # empty only until the SKU has told it
    sku_string_id: str
    agreement: str
    seats: int | None
    is_trial: bool
    started_on: date | None  # None only until the stored day is put in its place
    renews_on: date | None
    status: str
    replaces: uuid.UUID | None


def _parse_subscription(cells: Cells) -> SubscriptionLine:
    sku = _sku(cells)
    row = SubscriptionLine(
        line=cells.line,
        subscription_id=cells.required_guid("subscription_id"),
        tenant_id=cells.required_guid("tenant_id"),
        product=cells.choice("product", Product.values, words="product", default="" if sku else None),
        sku_string_id=sku,
        agreement=cells.choice("agreement", Agreement.values, words="agreement"),
        seats=cells.number("seats"),
        is_trial=cells.has("trial") and cells.yes_or_no("trial"),
        started_on=cells.required_day("started_on") if cells.has("started_on") else None,
        renews_on=cells.day("renews_on"),
        status=cells.choice("status", Subscription.Status.values, words="status"),
        replaces=cells.guid("replaces_subscription_id"),
    )
    if row.renews_on is not None and row.started_on is not None and row.renews_on < row.started_on:
        raise _renews_before_start()
    return row


def _renews_before_start() -> Unfit:
    return Unfit("renews_on", "renews_before_start", _("The renewal date cannot be before the start date."))


def _sku(cells: Cells) -> str:
    """Return what names the SKU: its string, its GUID in the usual form, or its name."""
    text = cells.text("sku_string_id", most=150)
    return str(guid_of(text) or text)


CIRCLE = "cycle_of_replacements"


def _circle() -> Unfit:
    return Unfit(
        "replaces_subscription_id",
        "cycle_of_replacements",
        _("This subscription would end up replacing itself. Enter a different subscription to replace."),
    )


def _order_subscriptions(rows: Iterable[SubscriptionLine]) -> Iterable[SubscriptionLine]:
    replacing = []
    for row in rows:
        if row.replaces is None:
            yield row
        else:
            replacing.append(row)
    replacing.sort(key=lambda row: row.line)
    yield from parents_first(replacing, lambda row: row.subscription_id, lambda row: row.replaces)


#: A SKU that is certainly not written in another way, and no word for "unknown".
SKU = r"(?!(?i:null|none|n_?a|nan|unknown|not_?available|not_?applicable|no_?data),)[A-Za-z0-9_]{0,100}"
_PLAIN = re.compile(
    rf"{GUID},{GUID},(?:{'|'.join(Product.values)}),{SKU},(?:{'|'.join(Agreement.values)}),"
    rf"(?:{NUMBER})?,[01],({DAY}),({DAY})?,(?:{'|'.join(Subscription.Status.values)}),(?:{GUID})?".encode()
)


def _plain() -> Plain:
    def plain(line: bytes) -> bytes | None:
        match = _PLAIN.fullmatch(line)
        return None if match is None or (match[2] or b"~") < match[1] else line

    return plain


def _prepare(refuse: Refuse) -> list[str]:
    """Find each row's SKU, and by it the product of rows that do not say it. Return a note of SKUs that are kept."""
    notes = find_skus()
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM estate_staged_subscriptions WHERE product = '')")
        if cursor.fetchone()[0]:
            cursor.execute(_PRODUCT_OF_SKU)
            cursor.execute("DELETE FROM estate_staged_subscriptions WHERE product = '' RETURNING line, sku_string_id")
            for line, sku in sorted(cursor.fetchall()):
                text = _("The SKU does not tell the product. Enter one of these values: %(values)s.")
                given = {"values": ", ".join(Product.values)}
                refuse(line, [Unfit("product", "unknown_value", text % given, sku)])
        # A file without one of the two days has been given the stored one.
        cursor.execute("DELETE FROM estate_staged_subscriptions WHERE renews_on < started_on RETURNING line")
        for (line,) in sorted(cursor.fetchall()):
            refuse(line, [_renews_before_start()])
    return notes


# A suite is named by the workload that most of its people use; SharePoint tells nothing, because many SKUs have it.
_PRODUCT_OF_SKU = """
    WITH told AS (
        SELECT sku.string, array_agg(plan.workload::text) AS workloads
        FROM directory_sku AS sku
        JOIN directory_sku_plans AS pair ON pair.sku_id = sku.id
        JOIN directory_serviceplan AS plan ON plan.id = pair.serviceplan_id
        GROUP BY sku.string
    )
    UPDATE estate_staged_subscriptions SET product = CASE
        WHEN workloads && '{exo,teams,proplus,sfb,yammer}' THEN 'office365'
        WHEN 'crm' = ANY (workloads) THEN 'crm_online'
        WHEN workloads @> '{intune,aadp}' THEN 'ems'
        WHEN 'intune' = ANY (workloads) THEN 'intune'
        WHEN 'aadp' = ANY (workloads) THEN 'aadp'
        ELSE ''
    END
    FROM told WHERE product = '' AND sku_string_id = string
"""


def _found() -> str:
    """Return the SQL of the rows that differ from what is stored.

    `apart` are those that change a subscription, are unfit, or replace another, which may come later in the file.
    """
    return """
        SELECT staged.*, (
                stored.id IS NOT NULL OR customer.organisation_id IS NULL
                OR (sku_string_id <> '' AND sku.id IS NULL) OR staged.replaces IS NOT NULL
            ) AS apart, customer.organisation_id AS customer_pk, sku.id AS sku_pk
        FROM estate_staged_subscriptions AS staged
        LEFT JOIN directory_customer AS customer USING (tenant_id)
        LEFT JOIN directory_sku AS sku ON sku.string = sku_string_id
        LEFT JOIN directory_subscription AS stored
            ON stored.subscription_id = staged.subscription_id AND stored.left_at IS NULL
        LEFT JOIN directory_subscription AS replaced ON replaced.id = stored.replaces_id
        WHERE (staged.product, staged.agreement, staged.seats, staged.is_trial, staged.started_on, staged.renews_on,
                staged.status, staged.replaces, customer.organisation_id, sku_string_id)
            IS DISTINCT FROM (stored.product, stored.agreement, stored.seats, stored.is_trial, stored.started_on,
                stored.renews_on, stored.status, replaced.subscription_id, stored.customer_id,
                coalesce((SELECT string FROM directory_sku WHERE id = stored.sku_id), ''))
    """


def _merge_all(places: Places, outcome: Outcome) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH created AS (
                INSERT INTO directory_subscription
                    (subscription_id, customer_id, product, sku_id, agreement, seats, is_trial, started_on, renews_on,
                    status, version)
                SELECT subscription_id, customer_pk, product, sku_pk, agreement, seats, is_trial, started_on,
                    renews_on, status, 1
                FROM estate_found_subscriptions WHERE {HERE}
                RETURNING customer_id
            )
            SELECT customer_id, count(*) FROM created GROUP BY customer_id
            """,
            places._asdict(),
        )
        outcome.created.update(dict(cursor.fetchall()))


def _merge_subscriptions(rows: Sequence[SubscriptionLine], outcome: Outcome) -> None:
    tenants = {row.tenant_id for row in rows}
    customers = dict(Customer.objects.filter(tenant_id__in=tenants).values_list("tenant_id", "pk"))
    skus = dict(Sku.objects.values_list("string_id", "pk"))
    names: dict[int | None, str] = {pk: string for string, pk in skus.items()}
    locked = Subscription.objects.filter(subscription_id__in=[row.subscription_id for row in rows])
    every = list(locked.order_by("pk").select_for_update(no_key=True))
    stored = {one.subscription_id: one for one in every if one.left_at is None}
    moves = Moves(every)
    replaced = Subscription.objects.filter(subscription_id__in={row.replaces for row in rows if row.replaces})
    others = Others([*replaced, *every])
    before = [one.replaces_id for one in stored.values() if one.replaces_id]
    ids = dict(Subscription.objects.filter(pk__in=before).values_list("pk", "subscription_id"))
    above = _above([one.pk for row in rows for one in others.of(row.replaces)])
    ahead = {row.subscription_id for row in rows}  # not judged yet: one of these that a row replaces is in its circle
    todo: dict[uuid.UUID, Subscription] = {}
    changed: dict[int, Changes] = {}
    replacing: list[tuple[Subscription, uuid.UUID]] = []  # what it replaces is new itself, so has no key yet
    pairs = [(row, old) for row in rows if (old := stored.get(row.subscription_id)) is not None]
    found = collisions([(row, old) for row, old in pairs if customers.get(row.tenant_id) == old.customer_id])
    for row in rows:
        old = stored.get(row.subscription_id)
        try:
            wanted = _check_subscription(row, customers, skus, todo, others, ahead)
            _check_circle(row, above)
        except Unfit as unfit:
            outcome.refuse(row.line, unfit)
            if unfit.code != CIRCLE:
                ahead.discard(row.subscription_id)
            continue
        pending = row.replaces is not None and wanted["replaces_id"] is None
        if old is not None and old.customer_id != wanted["customer_id"]:
            new = moves.add(old, wanted)
            others.forget(old.subscription_id)
            outcome.changed[old.customer_id] += 1
        else:
            stays = [] if old is None else [kept(old, field, row, what) for field, what in found[old.pk].items()]
            wanted |= {unfit.column: getattr(old, unfit.column) for unfit in stays}
            is_same = old is not None and not pending and not differs(old, **wanted)
            if stays:
                outcome.report(row.line, stays, is_changed=not is_same)
            if is_same:
                outcome.unchanged += not stays
                continue
            new = Subscription(
                subscription_id=row.subscription_id,
                version=old.version + 1 if old else 1,
                came_at=old.came_at if old else None,
                **wanted,
            )
            (outcome.changed if old else outcome.created)[new.customer_id] += 1
            if old is not None:
                changes = _changes(old, new, names)
                if (was := ids.get(old.replaces_id or 0)) != row.replaces:
                    changes["replaces"] = [str(one) if one else None for one in (was, row.replaces)]
                if changes:
                    changed[old.pk] = changes
        todo[row.subscription_id] = new
        if pending and row.replaces is not None:
            replacing.append((new, row.replaces))
    moves.leave()
    Subscription.objects.bulk_create(
        todo.values(),
        update_conflicts=True,
        unique_fields=["subscription_id", "customer"],
        update_fields=[*SUBSCRIPTION_FIELDS, "version", "came_at", "left_at"],
    )
    for new, replaces in replacing:
        new.replaces_id = todo[replaces].pk
    Subscription.objects.bulk_update([new for new, _replaces in replacing], ["replaces"])
    if changed:
        for listener in change_listeners:
            listener(changed)
    moves.tell()


#: The changes of a subscription: field → old and new value.
Changes = dict[str, list[Any]]
#: Called with the changes by the key of the subscription, in the transaction that makes them.
change_listeners: list[Callable[[dict[int, Changes]], None]] = []
TOLD_FIELDS = ("product", "seats", "is_trial", "status", "agreement", "started_on", "renews_on")


def _changes(old: Subscription, new: Subscription, skus: Mapping[int | None, str]) -> Changes:
    pairs = {name: [getattr(old, name), getattr(new, name)] for name in TOLD_FIELDS}
    pairs["sku"] = [skus.get(old.sku_id), skus.get(new.sku_id)]
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _above(pks: Collection[int]) -> dict[uuid.UUID, uuid.UUID]:
    """Return what these replace, what that replaces, and so on, by ID."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH RECURSIVE above (id, replaces_id) AS (
                SELECT id, replaces_id FROM directory_subscription WHERE id = ANY(%s) AND replaces_id IS NOT NULL
                UNION
                SELECT one.id, one.replaces_id FROM directory_subscription AS one
                JOIN above ON one.id = above.replaces_id WHERE one.replaces_id IS NOT NULL
            )
            SELECT one.subscription_id, replaced.subscription_id
            FROM above
            JOIN directory_subscription AS one USING (id)
            JOIN directory_subscription AS replaced ON replaced.id = above.replaces_id
            """,
            [list(pks)],
        )
        return dict(cursor.fetchall())


def _check_circle(row: SubscriptionLine, above: dict[uuid.UUID, uuid.UUID]) -> None:
    """Raise Unfit if the subscription would in the end replace itself; else add the pair, for the rows that follow."""
    at = row.replaces
    while at is not None:
        if at == row.subscription_id:
            raise _circle()
        at = above.get(at)
    above.pop(row.subscription_id, None)
    if row.replaces is not None:
        above[row.subscription_id] = row.replaces


#: The fields of a subscription that a later import may change.
SUBSCRIPTION_FIELDS = (
    "product", "sku", "agreement", "seats", "is_trial", "started_on", "renews_on", "status", "replaces"
)  # fmt: skip


def _check_subscription(
    row: SubscriptionLine,
    customers: dict[uuid.UUID, int],
    skus: dict[str, int],
    new: dict[uuid.UUID, Subscription],
    others: Others,
    ahead: Collection[uuid.UUID],
) -> dict[str, Any]:
    """Return the values of the row's fields. `new` are those accepted in this batch, `others` are stored.

    Rows come after what they replace. So one of `ahead`, which are not accepted yet, is in a circle with the row.
    Raise Unfit if a value does not fit what is stored.
    """
    if row.tenant_id not in customers:
        raise unknown("tenant_id", "customer")
    customer = customers[row.tenant_id]
    replaces = None
    if row.replaces is not None:
        replaces = others.get(row.replaces, customer) or new.get(row.replaces)
        if replaces is None and row.replaces in ahead:
            raise _circle()
        if replaces is None:
            raise unknown("replaces_subscription_id", "subscription")
        if replaces.customer_id != customer:
            raise Unfit(
                "replaces_subscription_id",
                "replaced_of_another_customer",
                _("A subscription can only replace another subscription of the same customer."),
            )
    return {
        "customer_id": customer,
        "product": row.product,
        "sku_id": skus[row.sku_string_id] if row.sku_string_id else None,
        "agreement": row.agreement,
        "seats": row.seats,
        "is_trial": row.is_trial,
        "started_on": row.started_on,
        "renews_on": row.renews_on,
        "status": row.status,
        "replaces_id": replaces.pk if replaces else None,
    }


_STORED = """
    SELECT one.subscription_id, coalesce(sku.string, '') AS sku_string_id, one.seats, one.is_trial, one.started_on,
        one.renews_on, replaced.subscription_id AS replaces
    FROM directory_subscription AS one
    LEFT JOIN directory_sku AS sku ON sku.id = one.sku_id
    LEFT JOIN directory_subscription AS replaced ON replaced.id = one.replaces_id
    WHERE one.left_at IS NULL
"""
SUBSCRIPTIONS = File(
    name="subscriptions.csv",
    columns=Columns(
        every=(
            *("subscription_id", "tenant_id", "product", "sku_string_id", "agreement", "seats", "trial", "started_on"),
            *("renews_on", "status", "replaces_subscription_id"),
        ),
        required=("subscription_id", "tenant_id", "product", "agreement", "status"),
        numbers=("seats",),
        days=("started_on", "renews_on"),
        closed={
            "product": (Product.values, "product"),
            "agreement": (Agreement.values, "agreement"),
            "trial": (("0", "1"), "boolean"),
            "status": (Subscription.Status.values, "status"),
        },
    ),
    key=["subscription_id"],
    stored=_STORED,
    needed=("started_on",),
    line=SubscriptionLine,
    parse=_parse_subscription,
    merge=_merge_subscriptions,
    order=_order_subscriptions,
    plain=_plain,
    found=_found,
    merge_all=_merge_all,
    prepare=_prepare,
)
