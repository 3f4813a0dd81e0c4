"""Subscriptions in the rows of lists: what the tags print, and that they escape and remember nothing too long."""

from __future__ import annotations

from datetime import UTC, date, datetime
from unittest.mock import patch

import pytest
from django.utils import translation

from por.directory.models import Subscription, Usage
from por.directory.templatetags import renewal, subscription_name, subscription_status, used


@pytest.mark.parametrize(
    ("status", "tone", "word"),
    [("active", "ok", "Active"), ("expired", "neutral", "Expired"), ("suspended", "warn", "Suspended")],
)
def test_status_is_a_badge_in_its_tone(status: str, tone: str, word: str) -> None:
    with translation.override("en"):
        shown = subscription_status(Subscription(status=status))
    assert f"badge--{tone}" in shown
    assert word in shown


def test_name_is_a_link_and_is_escaped(subscription: Subscription) -> None:
    subscription.nickname = subscription.offer_name = "<b>&"
    shown = subscription_name(subscription, "/c/subscriptions/1/", "?as_of=2026-01-01")
    assert 'href="/c/subscriptions/1/?as_of=2026-01-01"' in shown
    assert "<b>" not in shown
    assert str(subscription.subscription_id)[:8] in shown


def test_renewal_says_how_soon_on_each_day() -> None:
    subscription = Subscription(status="active", renews_on=date(2026, 6, 10))

    def shown(day: int) -> str:
        with patch("django.utils.timezone.now", lambda: datetime(2026, 6, day, tzinfo=UTC)):
            return renewal(subscription)

    with translation.override("en"):
        assert "in 9 days" in shown(1)
        assert "in 8 days" in shown(2)
        subscription.status = "expired"
        assert "days" not in shown(2)
    with translation.override("sv"):
        subscription.status = "active"
        assert "in 8 days" not in shown(2)


def test_use_is_seats_or_money_or_a_dash() -> None:
    with translation.override("en"):
        assert "<b>3</b>" in used(Usage(active_users=3, paid_units=5))
        assert "USD" in used(Usage(consumed_usd=12))
        assert used(None) == '<span class="muted">–</span>'
