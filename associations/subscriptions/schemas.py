"""The API's representation of subscriptions, their usage and their events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, TypedDict

from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from associations.change_requests.schemas import QuestionShape, question_shapes
from associations.record.former import at_end
from associations.record.schemas import (
    PARTNER_EXAMPLE,
    SUBSCRIPTION_EXAMPLE,
    AgreementCode,
    CustomerShape,
    PortalCode,
    ProductCode,
    SkuShape,
    SourceCode,
    StatusCode,
)
from associations.subscriptions.records import Record, records_of
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.api.schema import Day, Guid, Is, Money, Month, Timestamp, money, timestamp
from por.directory.models import Subscription
from por.directory.portals import portal_code
from por.directory.queries import name_on
from por.directory.rules import missing_by


class PartnerOfRecordShape(TypedDict):
    """The partner of record, its start date (`began_at` of the association), and how it was attached."""

    mpn_id: str
    name: str
    since: Timestamp
    source: SourceCode


class HiddenShape(TypedDict):
    """Another partner is the partner of record. This reader cannot see which one."""

    hidden: Annotated[bool, Is(const=True)]


_HIDDEN: HiddenShape = {"hidden": True}


class UsageShape(TypedDict):
    """The usage of one subscription in one month: the highest number of seats and of active users of any workload, and
    the total of the money."""

    month: Month
    paid_units: int | None
    active_users: int | None
    consumed_usd: Money | None


class SubscriptionShape(TypedDict):
    """A subscription as this reader sees it. `usage` is the latest month that the reader can see.

    A former partner sees `seats`, `status`, `renews_on` and `version` as they were when its last association ended; if
    that is not known, they are null, and the version is 0. `missing_since` is since when the last complete file
    of the customer does not name the subscription; with `as_of`, only if that was so on that day, as it is known now.
    """

    id: Guid
    customer: CustomerShape
    product: ProductCode
    sku: SkuShape | None
    agreement: AgreementCode
    portal: PortalCode
    seats: int | None
    trial: bool
    status: StatusCode | None
    started_on: Day
    renews_on: Day | None
    missing_since: Day | None
    partner_of_record: PartnerOfRecordShape | HiddenShape | None
    change_request: QuestionShape | None
    usage: UsageShape | None
    version: int


class DoerShape(TypedDict):
    """The person who did something, and their organisation."""

    name: str
    organisation: str


class ThingShape(TypedDict):
    """The object of an event."""

    kind: str
    id: str
    name: str


class EventShape(TypedDict):
    """Something that happened. `actor` is null for the system: a scheduled task, or an import."""

    id: int
    at: Timestamp
    verb: str
    actor: DoerShape | None
    object: ThingShape
    changes: dict[str, Any]
    reason: str


def usage_shape(
    month: date, paid_units: int | None, active_users: int | None, consumed_usd: Decimal | None
) -> UsageShape:
    return {
        "month": month.isoformat()[:7],
        "paid_units": paid_units,
        "active_users": active_users,
        "consumed_usd": None if consumed_usd is None else money(consumed_usd),
    }


def subscription_values(
    subscriptions: QuerySet[Subscription], as_of: date | None = None
) -> QuerySet[Subscription, Any]:
    """Return the values of the shapes of these subscriptions, as named tuples.

    To build fifty models would take longer than all queries of the list. IDs are read as the text that they become.
    """
    as_text = TextField()
    found = subscriptions.annotate(
        shown_id=Cast("subscription_id", as_text),
        tenant_text=Cast("customer__tenant_id", as_text),
        customer_name=name_on(as_of, "customer__organisation"),
    )
    return found.values_list(
        *("pk", "shown_id", "tenant_text", "customer_name", "product", "sku__string_id", "sku__name"),
        *("agreement", "seats", "is_trial", "status", "started_on", "renews_on", "version"),
        "missing_since",
        named=True,
    )


def subscription_shapes(actor: Actor, subscriptions: Sequence[Any], as_of: date | None) -> list[SubscriptionShape]:
    """Return the shapes of rows of subscription_values, with the partner of record at the end of the day.

    The actor sees the partner of record and the usage only as far as it may know them.
    """
    records = records_of(actor, [one.pk for one in subscriptions], as_of)
    own = actor.organisation_id if actor.kind == OrganisationKind.PARTNER else None
    known = {pk for pk, one in records.items() if one.partner and (own is None or own in (one.partner, one.company))}
    contested = [pk for pk, one in records.items() if one.is_contested] if as_of is None else []
    questions = question_shapes(actor, contested) if contested else {}
    # The rights are those of today: who is of record now sees the subscription as it is now.
    ended = at_end(actor, [pk for pk, one in records.items() if pk not in known or one.until]) if own else {}
    return [
        {
            "id": one.shown_id,
            "customer": {"tenant_id": one.tenant_text, "name": one.customer_name},
            "product": one.product,
            "sku": {"sku_string_id": one.sku__string_id, "name": one.sku__name} if one.sku__string_id else None,
            "agreement": one.agreement,
            "portal": portal_code(one.agreement, one.product),
            "seats": as_seen.seats,
            "trial": one.is_trial,
            "status": as_seen.status or None,
            "started_on": one.started_on.isoformat(),
            "renews_on": _text(as_seen.renews_on),
            "missing_since": as_seen.missing_since and _text(missing_by(as_seen.missing_since, as_of)),
            "partner_of_record": _partner(record) if one.pk in known else _HIDDEN if record.partner else None,
            "change_request": questions.get(one.pk),
            "usage": _usage(record),
            "version": as_seen.version,
        }
        for one in subscriptions
        for record, as_seen in [(records[one.pk], ended.get(one.pk, one))]
    ]


def _usage(record: Record) -> UsageShape | None:
    if record.month is None:
        return None
    return usage_shape(record.month, record.paid_units, record.active_users, record.consumed_usd)


def _partner(record: Record) -> PartnerOfRecordShape:
    return {"mpn_id": record.mpn_id, "name": record.name, "since": timestamp(record.since), "source": record.source}


def _text(day: date | None) -> str | None:
    return day.isoformat() if day else None


EVENT_EXAMPLE = {
    "id": 120733,
    "at": "2026-03-02T09:41:07.318402Z",
    "verb": "partner_of_record.attached",
    "actor": {"name": "Elin Sandberg", "organisation": "Västerhamn Energi AB"},
    "object": {"kind": "subscription", "id": SUBSCRIPTION_EXAMPLE["id"], "name": "Office 365 E3"},
    "changes": {
        "association": 90412,
        "partner": PARTNER_EXAMPLE,
        "began_at": "2026-03-02T09:41:07.318402Z",
        "ended_at": None,
    },
    "reason": "They migrate our mail.",
}
