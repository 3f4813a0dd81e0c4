"""When a digest is due: pure, no database and no clock."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

#: By the clock of whoever gets it.
DIGEST_AT = time(7)


def next_digest(now: datetime, time_zone: str) -> datetime:
    """The next seven o'clock in the morning in this zone, whether its clocks are moved before it or not."""
    zone = ZoneInfo(time_zone)
    local = now.astimezone(zone)
    day = local.date() if local.time() < DIGEST_AT else local.date() + timedelta(days=1)
    return datetime.combine(day, DIGEST_AT, zone).astimezone(UTC)
