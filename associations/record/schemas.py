"""How the API shows associations, and what features share: shapes, codes and examples.

The OpenAPI document is generated from the types.
"""

from __future__ import annotations

import uuid
from datetime import UTC, date
from typing import Annotated, TypedDict

from rest_framework.request import Request

from associations.record.locking import absent
from associations.record.models import Association
from associations.record.queries import subscriptions_for_listing
from associations.record.rules import AssociationKind, EndReason, Source
from por.accounts.authentication import actor_of
from por.api.schema import Day, Guid, Is, Timestamp, timestamp
from por.directory.models import HERE_FIRST, Customer, Partner, Subscription
from por.directory.portals import PortalName
from por.directory.rules import Agreement, Product, Workload

NOT_FOUND = {404: ["not_found"]}

ProductCode = Annotated[str, Is(enum=Product.values)]
AgreementCode = Annotated[str, Is(enum=Agreement.values)]
PortalCode = Annotated[str, Is(enum=PortalName.values)]
StatusCode = Annotated[str, Is(enum=Subscription.Status.values)]
KindCode = Annotated[str, Is(enum=AssociationKind.values)]
WorkloadCode = Annotated[str, Is(enum=Workload.values)]
SourceCode = Annotated[str, Is(enum=Source.values)]
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


class SubscriptionNameShape(TypedDict):
    """The subscription of an association."""

    id: Guid
    product: ProductCode
    sku: SkuShape | None


class AssociationShape(TypedDict):
    """A partner is associated with a subscription, or with a whole tenant, over a half-open period.

    Of an approved claim, `program`, `role` and the number of the `claim` are given. It is of a subscription, or of a
    `workload` of the tenant. The days are the UTC days of the two instants; `attached_at` is when it was recorded.
    """

    id: int
    kind: KindCode
    partner: PartnerShape
    customer: CustomerShape
    subscription: SubscriptionNameShape | None
    program: str | None
    role: str | None
    workload: WorkloadCode | None
    claim: str | None
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


def sku_shape(subscription: Subscription) -> SkuShape | None:
    if subscription.sku is None:
        return None
    return {"sku_string_id": subscription.sku.string_id, "name": subscription.sku.name}


def customer_shape(customer: Customer) -> CustomerShape:
    return {"tenant_id": str(customer.tenant_id), "name": customer.organisation.name}


def partner_shape(partner: Partner) -> PartnerShape:
    return {"mpn_id": partner.mpn_id, "name": partner.organisation.name}


def _name(subscription: Subscription) -> SubscriptionNameShape:
    return {
        "id": str(subscription.subscription_id),
        "product": subscription.product,
        "sku": sku_shape(subscription),
    }


def association_shape(association: Association) -> AssociationShape:
    return {
        "id": association.pk,
        "kind": association.kind,
        "partner": partner_shape(association.partner),
        "customer": customer_shape(association.customer),
        "subscription": _name(association.subscription) if association.subscription else None,
        "program": association.program or None,
        "role": association.role or None,
        "workload": association.workload or None,
        "claim": association.claim_number or None,
        "began_on": association.began_at.astimezone(UTC).date().isoformat(),
        "ended_on": association.ended_at.astimezone(UTC).date().isoformat() if association.ended_at else None,
        "began_at": timestamp(association.began_at),
        "ended_at": timestamp(association.ended_at) if association.ended_at else None,
        "attached_at": timestamp(association.attached_at),
        "end_reason": association.end_reason or None,
        "source": association.source,
    }


def get_visible(request: Request, subscription_id: uuid.UUID, as_of: date | None = None) -> Subscription:
    """Return the subscription. Raises NotFound if the caller may not see it, as if it did not exist."""
    visible = subscriptions_for_listing(actor_of(request), as_of).filter(subscription_id=subscription_id)
    subscription = visible.order_by(HERE_FIRST).first()
    if subscription is None:
        raise absent()
    return subscription


# --- Examples in the document ---------------------------------------------------------------------------------------

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
    "missing_since": None,
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
    "role": None,
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
