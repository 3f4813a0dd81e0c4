"""When a digest is due, and how many senders of mail there are. Pure: no database and no clock."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

#: The time of day in the time zone of the recipient.
DIGEST_AT = time(7)
#: The most senders at the same time, on all machines together.
SENDERS = 4
#: Senders beside the first help only if a mail left within this time. So a mail server that hangs holds only the first.
HELPS_WITHIN = timedelta(seconds=5)
#: Seconds for which such a sender helps before it lets other work of its worker go first.
HELPS_FOR = 2.0
#: The mails in a minute that loads and the clock cause. More of them wait: no load sends thousands at once.
OF_LOADS_A_MINUTE = 500


def next_digest(now: datetime, time_zone: str) -> datetime:
    """Return the next 7:00 in this time zone, also across a change of its clocks."""
    zone = ZoneInfo(time_zone)
    local = now.astimezone(zone)
    day = local.date() if local.time() < DIGEST_AT else local.date() + timedelta(days=1)
    return datetime.combine(day, DIGEST_AT, zone).astimezone(UTC)
