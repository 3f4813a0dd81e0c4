"""The filter of the gap finder."""

from __future__ import annotations

from associations.subscriptions.forms import SubscriptionFilter


class GapFilter(SubscriptionFilter):
    """The same filters where only today is of interest."""

    as_of = None  # type: ignore[assignment]
