"""What the storages have in common."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

#: Bytes that are read and written at a time.
PIECE = 1024 * 1024


@dataclass(frozen=True)
class Listed:
    """A file in a listing."""

    name: str
    size: int
    modified_at: datetime
