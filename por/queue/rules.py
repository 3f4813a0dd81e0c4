"""How long a row is leased, when failed work is tried again, and when it is given up."""

from __future__ import annotations

from datetime import timedelta

#: A leased row belongs to its worker for this long. After that another worker may take it.
LEASE = timedelta(seconds=60)
#: Rows of a batch are begun, one after another, for this long. The last one must end within the lease.
BATCH_FOR = 10.0
#: A row holds back the later ones with its ordering key while it is due, in work, or due again within this time.
HOLDS_BACK = timedelta(minutes=5)
#: A row that has failed this often is given up until a person replays it.
MAX_ATTEMPTS = 12
#: Seconds after which a run takes no more rows. A task has more time than this, and the next run is seconds away.
RUN_FOR = 120.0
#: Seconds for which a worker does what loads have caused, before other work of that worker gets its turn.
LOADS_FOR = 2.0


def backoff(attempts: int) -> timedelta:
    """Return the wait before the next try: 2 s, 4 s, 8 s … and never more than an hour."""
    return timedelta(seconds=min(2**attempts, 3600))


def priority_of(user_id: int | None) -> int:
    """Return 0 for work that a person caused; 1 for what an import or the clock did, which may be ten thousand rows."""
    return int(user_id is None)
