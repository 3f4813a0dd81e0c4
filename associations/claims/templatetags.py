"""Claims on the pages of subscriptions, customers and partners: `{% load claims %}`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import template
from django.db.models import Q
from django.utils import timezone

from associations.claims.actions.ending import can_decline
from associations.claims.models import Claim, ClaimUnit
from associations.claims.queries.as_of import open_then
from associations.claims.queries.claims import open_with
from associations.claims.queries.customers import FEW, claimed_on
from associations.claims.rules import ClaimStatus
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.directory.models import Customer, Partner, Subscription

register = template.Library()


@register.simple_tag(takes_context=True)
def claims_on(context: Mapping[str, Any], subscription: Subscription) -> list[ClaimUnit]:
    """Return the open and approved claims on a subscription and its workloads; none where the page shows a past day."""
    return [] if context.get("as_of") else claimed_on(context["actor"], subscription)


@register.simple_tag(takes_context=True)
def claims_with(context: Mapping[str, Any], customer: Customer) -> list[Claim]:
    """Return the reader's newest approved and open claims on a customer, now or at the end of the day of the page."""
    actor, day = context["actor"], context.get("as_of")
    return open_with(actor, customer, FEW) if day is None else open_then(actor, customer, day, FEW)


@register.filter
def claims_of(claims: Mapping[int, Sequence[Claim]], partner: Partner) -> Sequence[Claim]:
    """Return those of the claims, given by the key of their partner, that are of this one."""
    return claims.get(partner.pk, ())


@register.filter
def can_be_declined(claim: Claim, actor: Actor) -> bool:
    """Return whether the reader can decline this claim now."""
    return actor.may(Right.DECLINE_CLAIM) and can_decline(claim, timezone.now())


@register.simple_tag
def claimed_by_another(actor: Actor, subscription: Subscription) -> bool:
    """Return whether a claim of another company on the subscription, or on a workload that it has, is approved."""
    company = actor.organisation and (actor.organisation.parent_id or actor.organisation.pk)
    workloads = subscription.sku.plans.values("workload") if subscription.sku else []
    of_tenant = Q(customer=subscription.customer_id, subscription=None, workload__in=workloads)
    held = ClaimUnit.objects.filter(of_tenant | Q(subscription=subscription), live=True)
    return held.filter(claim__status=ClaimStatus.APPROVED).exclude(company=company).exists()
