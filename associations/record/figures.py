"""What /metrics shows of the comparison of associations with their events."""

from __future__ import annotations

from associations.record import checking
from associations.record.models import Unexplained
from por.ops.figures import register
from por.queue import periodic


def _unexplained() -> float:
    return Unexplained.objects.count()


def _age() -> float:
    return periodic.age(checking.PERIODIC_RUN)


register("associations_unexplained", "Associations that differ from what their events say", _unexplained)
register("associations_check_age_seconds", "Since associations were last compared with their events", _age)
