"""Staging files while others before them are merged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial

from por.imports.reading import Unfit
from por.imports.second import Second
from por.imports.staging import Refuse, Staged

#: The refused lines that are kept until it is their file's turn.
MOST_REFUSED = 1_000

Moved = Callable[[int], None]
#: Stages a file; returns it, and the lines that were deleted as twins, None if they were not looked for.
Stage = Callable[[Refuse, Moved], tuple[Staged, dict[int, int] | None]]


class _TooMany(Exception):
    """A file has so many refused lines that it is staged in its turn."""


class Ahead:
    """A file that the second connection stages. Its refused lines and its progress are told in its turn."""

    def __init__(self, second: Second, stage: Stage) -> None:
        self._second = second
        self._calls: list[Callable[[Refuse, Moved], None]] = []
        self._count = 0
        self._future: Future[tuple[Staged, dict[int, int] | None]] = second.start(
            partial(stage, self._refuse, self._moved)
        )

    def _refuse(self, line: int, faults: Sequence[Unfit]) -> None:
        self._count += 1
        if self._count > MOST_REFUSED:
            raise _TooMany
        self._calls.append(lambda refuse, moved: refuse(line, faults))

    def _moved(self, count: int) -> None:
        self._second.check_stopped()
        self._calls.append(lambda refuse, moved: moved(count))

    def is_done(self) -> bool:
        """Wait for the lines; return whether they are staged.

        If not, the file is staged once more in its turn: that fails in the same way, or refuses lines without a limit.
        """
        return self._future.exception() is None

    @property
    def staged(self) -> Staged:
        return self._future.result()[0]

    @property
    def twins(self) -> dict[int, int] | None:
        return self._future.result()[1]

    def tell(self, refuse: Refuse, moved: Moved) -> None:
        """Tell the refused lines, and how far it is, as if the file were staged now."""
        for call in self._calls:
            call(refuse, moved)
