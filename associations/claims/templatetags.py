"""Claims on the pages of subscriptions: `{% load claims %}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template
from django.db.models import Q

from associations.claims.models import ClaimUnit
from associations.claims.queries.customers import claimed_on
from associations.claims.rules import ClaimStatus
from por.accounts.models import Actor
from por.directory.models import Subscription

register = template.Library()


@register.simple_tag(takes_context=True)
def claims_on(context: Mapping[str, Any], subscription: Subscription) -> list[ClaimUnit]:
    """Return the open and approved claims on a subscription and its workloads; none where the page shows a past day."""
    return [] if context.get("as_of") else claimed_on(context["actor"], subscription)


@register.simple_tag
def claimed_by_another(actor: Actor, subscription: Subscription) -> bool:
    """Return whether a claim of another company on the subscription, or on a workload that it has, is approved."""
    company = actor.organisation and (actor.organisation.parent_id or actor.organisation.pk)
    workloads = subscription.sku.plans.values("workload") if subscription.sku else []
    of_tenant = Q(customer=subscription.customer_id, subscription=None, workload__in=workloads)
    held = ClaimUnit.objects.filter(of_tenant | Q(subscription=subscription), live=True)
    return held.filter(claim__status=ClaimStatus.APPROVED).exclude(company=company).exists()
