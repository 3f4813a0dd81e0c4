"""What a customer sees of claims: who claims what, and until when it can decline."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import date
from functools import lru_cache
from typing import Any

from django.db.models import Q, QuerySet, Window, prefetch_related_objects
from django.db.models.functions import RowNumber
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from associations.claims.models import Claim, ClaimUnit
from associations.claims.queries.as_of import claims_then
from associations.claims.queries.claims import last_day
from associations.claims.queries.proofs import newest_proof_at
from associations.claims.rules import PENDING, ClaimStatus, Consent
from associations.record.access import Reader, events_visible_to
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.db.prepared import Param, PreparedQuery
from por.directory.models import ServicePlan, Subscription
from por.history.models import Event
from por.web.formatting import Deadline
from por.web.lists import ListTab

#: The claim that was made last is at the top.
NEWEST_FIRST = ("-pk",)
#: How many claims the page of a subscription shows.
FEW = 5


def claims_for_customer(actor: Actor) -> QuerySet[Claim]:
    """Return the claims on this customer, with their units and the date of the newest proof; nothing of its file."""
    return Claim.objects.visible_to(actor).for_listing().annotate(newest_proof_at=newest_proof_at())


def customer_tabs() -> list[ListTab]:
    """Return the saved views of a customer's list."""
    in_term = Q(status=ClaimStatus.APPROVED, consent=Consent.PENDING, consent_due_at__gt=timezone.now())
    return [
        ListTab("", _("All"), lambda found: found),
        ListTab("decline", _("To accept or decline"), lambda found: found.filter(in_term)),
        ListTab("approved", _("Approved"), lambda found: found.filter(status=ClaimStatus.APPROVED)),
        ListTab("review", _("In review"), lambda found: found.filter(status__in=sorted(PENDING))),
    ]


def waiting_for_consent(actor: Actor, count: int) -> list[Claim]:
    """Return the approved claims that a customer can still decline, those whose term ends first at the top."""
    found = _waiting_for_consent(count).all(organisation=actor.organisation_id, now=timezone.now())
    prefetch_related_objects(found, "units")
    return found


@lru_cache(maxsize=16)
def _waiting_for_consent(count: int) -> PreparedQuery[Claim]:
    own = Claim.objects.visible_to(Reader(OrganisationKind.CUSTOMER).actor())
    found = own.filter(status=ClaimStatus.APPROVED, consent=Consent.PENDING, consent_due_at__gt=Param("now"))
    named = found.select_related("customer__organisation", "partner__organisation")
    return PreparedQuery(lambda: named.order_by("consent_due_at", "pk")[:count])


def approved_by_partner(actor: Actor, partners: Collection[int], day: date | None) -> dict[int, list[Claim]]:
    """Return the newest approved claims of each of these partners on the customer, now or at the end of a UTC day."""
    found: QuerySet[Any] = Claim.objects.visible_to(actor) if day is None else claims_then(actor, day)
    approved = found.filter(**{"status" if day is None else "status_then": ClaimStatus.APPROVED})
    place = Window(RowNumber(), partition_by="partner", order_by="-pk")
    rows: Any = approved.filter(partner__in=partners).annotate(place=place).filter(place__lte=FEW)
    claims: dict[int, list[Claim]] = defaultdict(list)
    for one in rows.for_listing().order_by(*NEWEST_FIRST):
        claims[one.partner_id].append(one)
    return claims


def deadline_of(claim: Claim) -> Deadline | None:
    """Return the last day of the customer's term; None where it has none, or does not end with a day there."""
    return last_day(claim, claim.consent_due_at) if claim.consent_due_at else None


def events_of(actor: Actor, claim: Claim) -> QuerySet[Event]:
    """Return the events of a claim that the actor may read, the newest first."""
    return events_visible_to(actor).filter(object_kind="claim", object_id=str(claim.pk)).order_by("-id")


def claimed_on(actor: Actor, subscription: Subscription) -> list[ClaimUnit]:
    """Return the claims that are open or approved on a subscription and on its workloads, the newest first.

    Only for customers and staff: they may know who claims what.
    """
    if actor.kind not in (OrganisationKind.CUSTOMER, OrganisationKind.STAFF):
        return []
    workloads = ServicePlan.objects.filter(skus=subscription.sku_id).exclude(workload="").values("workload")
    units = ClaimUnit.objects.filter(
        Q(subscription=subscription) | Q(subscription=None, customer=subscription.customer_id, workload__in=workloads),
        live=True,
        claim__in=Claim.objects.visible_to(actor),
    )
    return list(
        units.select_related("claim__partner__organisation", "subscription__sku").order_by("-claim", "pk")[:FEW]
    )
