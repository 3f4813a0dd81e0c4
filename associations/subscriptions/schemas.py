"""The API's representation of subscriptions, their usage and their events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, TypedDict

from django.db.models import Exists, F, OuterRef, QuerySet, TextField, Value
from django.db.models.functions import Cast

from associations.change_requests.models import ChangeRequest
from associations.change_requests.queries import open_requests
from associations.change_requests.schemas import QuestionShape, question_shape
from associations.record.former import at_end
from associations.record.models import Association, AssociationQuerySet
from associations.record.queries import seen
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
from associations.record.usage import MonthOfUsage
from por.accounts.models import Actor
from por.api.schema import Day, Guid, Is, Money, Month, Timestamp, money, timestamp
from por.db.prepared import AnyOf, Param, PreparedQuery
from por.directory.access import is_own
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


def usage_shape(month: MonthOfUsage) -> UsageShape:
    return {
        "month": month.month.isoformat()[:7],
        "paid_units": month.paid_units,
        "active_users": month.active_users,
        "consumed_usd": None if month.consumed_usd is None else money(month.consumed_usd),
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


_RECORD_VALUES = [
    *("subscription", "partner", "partner__organisation__parent", "partner__mpn_id", "partner_name"),
    *("began_at", "ended_at", "source", "is_contested"),
]


def _records(open_then: AssociationQuerySet, ids: Any, as_of: date | None = None) -> Any:
    requests = ChangeRequest.objects.open().filter(subscription=OuterRef("subscription"))
    found = open_then.of_record().filter(AnyOf(F("subscription"), ids))
    named = found.annotate(is_contested=Exists(requests), partner_name=name_on(as_of, "partner__organisation"))
    return named.values_list(*_RECORD_VALUES)


_RECORDS = PreparedQuery(lambda: _records(Association.objects.open(), Param("ids")))


def subscription_shapes(actor: Actor, subscriptions: Sequence[Any], as_of: date | None) -> list[SubscriptionShape]:
    """Return the shapes of rows of subscription_values, with the partner of record at the end of the day.

    The actor sees the partner of record and the usage only as far as it may know them.
    """
    ids = [one.pk for one in subscriptions]
    records = (
        _RECORDS.values(ids=ids) if as_of is None else _records(Association.objects.open(as_of), Value(ids), as_of)
    )
    holders, of_record, contested, in_force = {}, {}, [], set()
    for subscription, partner, company, mpn_id, name, since, until, source, is_contested in records:
        holders[subscription] = is_own(actor, partner, company)
        if until is None:
            in_force.add(subscription)
        if is_contested and as_of is None:
            contested.append(subscription)
        of_record[subscription] = PartnerOfRecordShape(mpn_id=mpn_id, name=name, since=timestamp(since), source=source)
    known, usage = seen(actor, ids, holders, as_of)
    requests = open_requests(actor, contested) if contested else {}
    # The rights are those of today: who is of record now sees the subscription as it is now.
    ended = at_end(actor, [pk for pk in ids if pk not in in_force or pk not in known])
    shown = [(one, ended.get(one.pk, one)) for one in subscriptions]
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
            "partner_of_record": of_record[one.pk] if one.pk in known else _HIDDEN if one.pk in holders else None,
            "change_request": question_shape(requests[one.pk]) if one.pk in requests else None,
            "usage": usage_shape(usage[one.pk]) if one.pk in usage else None,
            "version": as_seen.version,
        }
        for one, as_seen in shown
    ]


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
