"""The filter of the gap finder."""

from __future__ import annotations

from associations.subscriptions.forms import SubscriptionFilter
from por.web.filters import shares_fields


@shares_fields
class GapFilter(SubscriptionFilter):
    """The filters of a list of subscriptions without a day to look back to: gaps are always today's."""

    as_of = None  # type: ignore[assignment]
