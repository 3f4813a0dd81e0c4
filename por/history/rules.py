"""When a failed piece of work is tried again, and when it is given up."""

from __future__ import annotations

from datetime import timedelta

#: Work that is being done belongs to its worker for this long; then somebody else may take it.
LEASE = timedelta(seconds=60)
#: Tries before a piece of work is put aside for a person.
MAX_ATTEMPTS = 12


def backoff(attempts: int) -> timedelta:
    """The wait before the next try: 2 s, 4 s, 8 s … and never more than an hour."""
    return timedelta(seconds=min(2**attempts, 3600))
