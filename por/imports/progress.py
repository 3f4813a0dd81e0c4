"""How far the import of a file is."""

from __future__ import annotations

from collections.abc import Callable

#: The share of the work that is reading the file, and the share that is merging whole batches, about.
READ, MERGED = 0.4, 0.5


class Progress:
    """How far a file is, in bytes of the file: its size is all that is known at the start."""

    def __init__(self, size: int, moved: Callable[[int], None]) -> None:
        self._size = size
        self._moved = moved
        self._read = self._reported = 0

    def read(self, count: int) -> None:
        self._read += count
        self.reach(READ * self._read / max(self._size, 1))

    def reach(self, share: float) -> None:
        ahead = int(self._size * min(share, 1)) - self._reported
        if ahead > 0:
            self._reported += ahead
            self._moved(ahead)
