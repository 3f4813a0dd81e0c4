"""Fixtures of the tests of competencies."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest
from django.utils import timezone

from por.programs.calendars import month_end


@pytest.fixture
def last_day_of_month(any_time: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be the last day of this month, from noon on.

    Most figures are of a month's end, so only what is done on that day changes them at once.
    """
    real = timezone.now
    begun = real()
    noon = datetime.combine(month_end(begun.date()), time(12), UTC)
    monkeypatch.setattr(timezone, "now", lambda: noon + (real() - begun))
