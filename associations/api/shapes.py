"""What the API says: one type for each thing, and how it is made from ours. The document is written from the types."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, TypedDict

from django.db.models import Exists, F, OuterRef, Value

from associations.models import Association, AssociationQuerySet, ChangeRequest, is_own
from associations.reading import MonthOfUsage, seen
from associations.reading.changing import Question, Side, open_questions
from associations.rules import ChangeStatus, EndReason, Kind, Source
from por.accounts.models import Actor
from por.api.schema import Day, Guid, Is, Money, Month, Timestamp
from por.directory.models import Customer, Partner, Subscription
from por.directory.portals import PortalName, portal_for
from por.directory.rules import Agreement, Product
from por.statements import Among, Given, Statement

ProductCode = Annotated[str, Is(enum=Product.values)]
AgreementCode = Annotated[str, Is(enum=Agreement.values)]
PortalCode = Annotated[str, Is(enum=PortalName.values)]
StatusCode = Annotated[str, Is(enum=Subscription.Status.values)]
KindCode = Annotated[str, Is(enum=Kind.values)]
SourceCode = Annotated[str, Is(enum=Source.values)]
ChangeStatusCode = Annotated[str, Is(enum=ChangeStatus.values)]
EndReasonCode = Annotated[str, Is(enum=EndReason.values)]


class CustomerShape(TypedDict):
    """A customer, by its tenant."""

    tenant_id: Guid
    name: str


class PartnerShape(TypedDict):
    """A partner's location, by its MPN ID."""

    mpn_id: str
    name: str


class SkuShape(TypedDict):
    """The product that was bought, with its name in the catalogue."""

    sku_string_id: str
    name: str


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


class IncumbentShape(TypedDict):
    """The partner of record while the change request is open. `statement` is null for the other partners."""

    mpn_id: str
    name: str
    since: Timestamp
    statement: str | None


class ChallengerShape(TypedDict):
    """A proposed partner. `statement` is null for the other partners."""

    mpn_id: str
    name: str
    joined_at: Timestamp
    statement: str | None


class QuestionShape(TypedDict):
    """The open change request."""

    id: int
    status: ChangeStatusCode
    incumbent: IncumbentShape
    challengers: list[ChallengerShape]
    opened_at: Timestamp
    due_at: Timestamp


class SubscriptionShape(TypedDict):
    """A subscription as this reader sees it. `usage` is the latest month that the reader can see."""

    id: Guid
    customer: CustomerShape
    product: ProductCode
    sku: SkuShape | None
    agreement: AgreementCode
    portal: PortalCode
    seats: int | None
    trial: bool
    status: StatusCode
    started_on: Day
    renews_on: Day | None
    partner_of_record: PartnerOfRecordShape | HiddenShape | None
    change_request: QuestionShape | None
    usage: UsageShape | None
    version: int


class SubscriptionNameShape(TypedDict):
    """The subscription of an association."""

    id: Guid
    product: ProductCode
    sku: SkuShape | None


class AssociationShape(TypedDict):
    """That a partner is associated with a subscription, or with a whole tenant, over a period; half-open.

    The days are the UTC days of the two instants; `attached_at` is when it was recorded.
    """

    id: int
    kind: KindCode
    partner: PartnerShape
    customer: CustomerShape
    subscription: SubscriptionNameShape | None
    program: None
    workload: None
    claim: None
    began_on: Day
    ended_on: Day | None
    began_at: Timestamp
    ended_at: Timestamp | None
    attached_at: Timestamp
    end_reason: EndReasonCode | None
    source: SourceCode


class RecordShape(TypedDict):
    """The association that the answer led to; null if there is no partner of record."""

    association: AssociationShape | None


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


def timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def money(amount: Decimal) -> str:
    return f"{amount:.2f}"


def sku_shape(subscription: Subscription) -> SkuShape | None:
    if subscription.sku is None:
        return None
    return {"sku_string_id": subscription.sku.string_id, "name": subscription.sku.name}


def customer_shape(customer: Customer) -> CustomerShape:
    return {"tenant_id": str(customer.tenant_id), "name": customer.organisation.name}


def partner_shape(partner: Partner) -> PartnerShape:
    return {"mpn_id": partner.mpn_id, "name": partner.organisation.name}


def usage_shape(month: MonthOfUsage) -> UsageShape:
    return {
        "month": f"{month.month:%Y-%m}",
        "paid_units": month.paid_units,
        "active_users": month.active_users,
        "consumed_usd": None if month.consumed_usd is None else money(month.consumed_usd),
    }


#: What a subscription's shape is made of. Rows of values: models of fifty take longer than all queries of the list.
SUBSCRIPTION_VALUES = [
    *("pk", "subscription_id", "customer__tenant_id", "customer__organisation__name", "product"),
    *("sku__string_id", "sku__name", "agreement", "seats", "is_trial", "status", "started_on", "renews_on", "version"),
]
_RECORD_VALUES = [
    *("subscription", "partner", "partner__organisation__parent", "partner__mpn_id", "partner__organisation__name"),
    *("began_at", "source", "is_contested"),
]


def _records(open_then: AssociationQuerySet, ids: Any) -> Any:
    asked = ChangeRequest.objects.open().filter(subscription=OuterRef("subscription"))
    found = open_then.of_record().filter(Among(F("subscription"), ids))
    return found.annotate(is_contested=Exists(asked)).values_list(*_RECORD_VALUES)


_RECORDS = Statement(lambda: _records(Association.objects.open(), Given("ids")))


def subscription_shapes(actor: Actor, subscriptions: Sequence[Any], as_of: date | None) -> list[SubscriptionShape]:
    """Rows of SUBSCRIPTION_VALUES, with who was of record at the end of the day, as the actor may know it."""
    ids = [one.pk for one in subscriptions]
    records = _RECORDS.values(ids=ids) if as_of is None else _records(Association.objects.open(as_of), Value(ids))
    holders, of_record, contested = {}, {}, []
    for subscription, partner, company, mpn_id, name, since, source, is_contested in records:
        holders[subscription] = is_own(actor, partner, company)
        if is_contested and as_of is None:
            contested.append(subscription)
        of_record[subscription] = PartnerOfRecordShape(mpn_id=mpn_id, name=name, since=timestamp(since), source=source)
    known, usage = seen(actor, ids, holders, as_of)
    asked = open_questions(actor, contested) if contested else {}
    return [
        {
            "id": str(one.subscription_id),
            "customer": {"tenant_id": str(one.customer__tenant_id), "name": one.customer__organisation__name},
            "product": one.product,
            "sku": {"sku_string_id": one.sku__string_id, "name": one.sku__name} if one.sku__string_id else None,
            "agreement": one.agreement,
            "portal": portal_for(one.agreement, one.product).name.value,
            "seats": one.seats,
            "trial": one.is_trial,
            "status": one.status,
            "started_on": one.started_on.isoformat(),
            "renews_on": one.renews_on.isoformat() if one.renews_on else None,
            "partner_of_record": of_record[one.pk] if one.pk in known else _HIDDEN if one.pk in holders else None,
            "change_request": question_shape(asked[one.pk]) if one.pk in asked else None,
            "usage": usage_shape(usage[one.pk]) if one.pk in usage else None,
            "version": one.version,
        }
        for one in subscriptions
    ]


def question_shape(question: Question) -> QuestionShape:
    incumbent = question.incumbent
    return {
        "id": question.request.pk,
        "status": question.request.status,
        "incumbent": {
            **partner_shape(incumbent.partner),
            "since": timestamp(incumbent.since),
            "statement": _text(incumbent),
        },
        "challengers": [
            {**partner_shape(one.partner), "joined_at": timestamp(one.since), "statement": _text(one)}
            for one in question.challengers
        ],
        "opened_at": timestamp(question.request.opened_at),
        "due_at": timestamp(question.request.due_at),
    }


def _text(side: Side) -> str | None:
    return side.statement.text if side.statement else None


def _name(subscription: Subscription) -> SubscriptionNameShape:
    return {
        "id": str(subscription.subscription_id),
        "product": subscription.product,
        "sku": sku_shape(subscription),
    }


def association_shape(one: Association) -> AssociationShape:
    return {
        "id": one.pk,
        "kind": one.kind,
        "partner": partner_shape(one.partner),
        "customer": customer_shape(one.customer),
        "subscription": _name(one.subscription) if one.subscription else None,
        "program": None,
        "workload": None,
        "claim": None,
        "began_on": one.began_at.astimezone(UTC).date().isoformat(),
        "ended_on": one.ended_at.astimezone(UTC).date().isoformat() if one.ended_at else None,
        "began_at": timestamp(one.began_at),
        "ended_at": timestamp(one.ended_at) if one.ended_at else None,
        "attached_at": timestamp(one.attached_at),
        "end_reason": one.end_reason or None,
        "source": one.source,
    }


# --- What the document shows ----------------------------------------------------------------------------------------

SKU_EXAMPLE = {"sku_string_id": "ENTERPRISEPACK", "name": "Office 365 E3"}
CUSTOMER_EXAMPLE = {"tenant_id": "5d1c6f0e-0f5c-4a55-9a1b-0d6f0c2b7f11", "name": "Västerhamn Energi AB"}
PARTNER_EXAMPLE = {"mpn_id": "4471902", "name": "Nordvik Cloud AB"}
SUBSCRIPTION_EXAMPLE = {
    "id": "0a8f6f5e-3f0c-4b7e-8d53-5a0c5a0f9b21",
    "customer": CUSTOMER_EXAMPLE,
    "product": "office365",
    "sku": SKU_EXAMPLE,
    "agreement": "EA",
    "portal": "office_customer_portal",
    "seats": 420,
    "trial": False,
    "status": "active",
    "started_on": "2024-07-01",
    "renews_on": "2027-06-30",
    "partner_of_record": {**PARTNER_EXAMPLE, "since": "2026-03-02T09:41:07.318402Z", "source": "customer"},
    "change_request": None,
    "usage": {"month": "2026-02", "paid_units": 420, "active_users": 361, "consumed_usd": None},
    "version": 7,
}
ASSOCIATION_EXAMPLE = {
    "id": 90412,
    "kind": "dpor",
    "partner": PARTNER_EXAMPLE,
    "customer": CUSTOMER_EXAMPLE,
    "subscription": {"id": SUBSCRIPTION_EXAMPLE["id"], "product": "office365", "sku": SKU_EXAMPLE},
    "program": None,
    "workload": None,
    "claim": None,
    "began_on": "2026-03-02",
    "ended_on": None,
    "began_at": "2026-03-02T09:41:07.318402Z",
    "ended_at": None,
    "attached_at": "2026-03-02T09:41:07.318402Z",
    "end_reason": None,
    "source": "customer",
}
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


def page_of(example: dict[str, Any]) -> dict[str, Any]:
    return {"next": None, "previous": None, "results": [example]}
