"""When a digest is due. Pure: no database and no clock."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

#: The time of day in the time zone of the recipient.
DIGEST_AT = time(7)


def next_digest(now: datetime, time_zone: str) -> datetime:
    """Return the next 7:00 in this time zone, also across a change of its clocks."""
    zone = ZoneInfo(time_zone)
    local = now.astimezone(zone)
    day = local.date() if local.time() < DIGEST_AT else local.date() + timedelta(days=1)
    return datetime.combine(day, DIGEST_AT, zone).astimezone(UTC)
