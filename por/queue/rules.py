"""How long a row is leased, when failed work is tried again, and when it is given up."""

from __future__ import annotations

from datetime import timedelta

#: A leased row belongs to its worker for this long. After that another worker may take it.
LEASE = timedelta(seconds=60)
#: A row that has failed this often is given up until a person replays it.
MAX_ATTEMPTS = 12
#: Seconds after which a run takes no more rows. A task has more time than this, and the next run is seconds away.
RUN_FOR = 120.0


def backoff(attempts: int) -> timedelta:
    """Return the wait before the next try: 2 s, 4 s, 8 s … and never more than an hour."""
    return timedelta(seconds=min(2**attempts, 3600))
