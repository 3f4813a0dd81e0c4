"""What /metrics shows of claims."""

from __future__ import annotations

from associations.claims.actions.scheduled import overdue
from por.ops.figures import register

register("claims_overdue", "Claims that a reviewer should have handled by now", overdue)
