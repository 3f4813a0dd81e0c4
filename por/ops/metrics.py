"""What processes count for /metrics. Labels are our own names, a few dozen; none comes from a caller."""

from __future__ import annotations

from prometheus_client import Counter

from por.db import outages
from por.errors import Refused

REFUSALS = Counter("refusals", "Refusals, by code and status", ["code", "status"])
LOCK_TIMEOUTS = Counter("lock_timeouts", "Requests that timed out while they waited for someone else's change")
TASKS = Counter("tasks", "Tasks that have ended, by name and outcome", ["task", "state"])
TASK_SECONDS = Counter("task_seconds", "Seconds that these tasks took", ["task"])
REPLAYS = Counter("idempotent_replays", "Answers given a second time under the same Idempotency-Key")


def refused(code: str, status: int, why: Refused | None = None) -> None:
    """Count one refusal, and a lock timeout if that caused it."""
    REFUSALS.labels(code, str(status)).inc()
    if outages.sqlstate(why) == outages.LOCK_TIMEOUT:
        LOCK_TIMEOUTS.inc()
