"""Claims on the pages of subscriptions: `{% load claims %}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template

from associations.claims.models import ClaimUnit
from associations.claims.queries.customers import claimed_on
from por.directory.models import Subscription

register = template.Library()


@register.simple_tag(takes_context=True)
def claims_on(context: Mapping[str, Any], subscription: Subscription) -> list[ClaimUnit]:
    """Return the open and approved claims on a subscription and its workloads; none where the page shows a past day."""
    return [] if context.get("as_of") else claimed_on(context["actor"], subscription)
