"""Loading the files of an estate: in batches, one transaction each; then one event for each organisation changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Generic, TypeVar

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from por.accounts.models import NOBODY
from por.errors import Busy
from por.estate.reading import Cells, RowError, Unfit, read
from por.history import actions as history

R = TypeVar("R", bound="Line")

BATCH = 2_000  # rows a transaction: long enough to be fast, short enough for people not to wait behind it


@dataclass(slots=True)
class Line:
    """What one line of a file says. Each file has its own, with more."""

    line: int


class Outcome:
    """What came of a batch: how many rows of which organisation were created or changed, and what was refused."""

    def __init__(self) -> None:
        self.created: Counter[int] = Counter()
        self.changed: Counter[int] = Counter()
        self.unchanged = 0
        self.refused: list[tuple[int, Unfit]] = []

    def refuse(self, row: Line, unfit: Unfit) -> None:
        self.refused.append((row.line, unfit))


@dataclass(frozen=True)
class File(Generic[R]):
    """One file of an estate: what stands in it and how a batch of it gets into the database.

    `key` is what no two lines may share. `order`, if given, sees the whole file and says in which order its
    lines are loaded. `merge` locks what it changes by primary key, inside the transaction of the batch.
    """

    name: str
    header: str
    parse: Callable[[Cells], R]
    key: Callable[[R], Hashable]
    merge: Callable[[Sequence[R], Outcome], None]
    order: Callable[[Iterable[R], Callable[[R, Unfit], None]], Iterable[R]] | None = None


@dataclass
class Tally:
    """How many rows of a file were created, changed, found unchanged, or failed."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    failed: int = 0

    @property
    def rows(self) -> int:
        return self.created + self.changed + self.unchanged + self.failed


@dataclass
class Report:
    """What a load came to. `on_error` hears of every row that failed, `on_bytes` of every step forward.

    Of a dry run, whose one transaction is rolled back by the caller, no events are written.
    """

    on_error: Callable[[RowError], None]
    on_bytes: Callable[[int], None]
    dry_run: bool = False
    files: dict[str, Tally] = field(default_factory=dict)

    @property
    def total(self) -> Tally:
        tallies = self.files.values()
        return Tally(
            created=sum(one.created for one in tallies),
            changed=sum(one.changed for one in tallies),
            unchanged=sum(one.unchanged for one in tallies),
            failed=sum(one.failed for one in tallies),
        )


@contextmanager
def alone() -> Iterator[None]:
    """Only one load at a time: raises Busy while another one runs."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext('load of an estate'))")
        if not cursor.fetchone()[0]:
            raise Busy("busy", _("Another load is running. Wait until it has ended."), retry_after=60)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(hashtext('load of an estate'))")


def load_file(path: Path, file: File[R], report: Report) -> None:
    """Loads one file. Each batch stands or falls by itself, so a load that was stopped is simply repeated."""
    tally = report.files.setdefault(file.name, Tally())

    def refuse(line: int, unfit: Unfit) -> None:
        tally.failed += 1
        report.on_error(RowError(file.name, line, unfit.column, unfit.code, unfit.reason))

    rows: Iterable[R] = _rows(path, file, refuse, report.on_bytes)
    if file.order is not None:
        rows = file.order(rows, lambda row, unfit: refuse(row.line, unfit))
    remaining = iter(rows)
    created: Counter[int] = Counter()
    changed: Counter[int] = Counter()
    try:
        while batch := list(islice(remaining, BATCH)):
            outcome = Outcome()
            with transaction.atomic():
                _wait_patiently()
                file.merge(batch, outcome)
            created += outcome.created
            changed += outcome.changed
            tally.unchanged += outcome.unchanged
            for line, unfit in outcome.refused:
                refuse(line, unfit)
    finally:  # what was loaded before something went wrong is loaded
        tally.created, tally.changed = created.total(), changed.total()
        if not report.dry_run:
            _record(file.name, created, changed)


def _rows(path: Path, file: File[R], refuse: Callable[[int, Unfit], None], moved: Callable[[int], None]) -> Iterator[R]:
    first: dict[Hashable, int] = {}
    for cells in read(path, file.header.split(","), refuse, moved):
        try:
            row = file.parse(cells)
            earlier = first.setdefault(file.key(row), row.line)
            if earlier != row.line:
                raise Unfit("", "duplicate_row", _("Line %(line)s is about the same thing.") % {"line": earlier})
        except Unfit as unfit:
            refuse(cells.line, unfit)
        else:
            yield row


def _wait_patiently() -> None:
    """People's verbs give up a lock after seconds; a load has time, and theirs are over soon."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '60s'")


def _record(file: str, created: Counter[int], changed: Counter[int]) -> None:
    """One event in the chain of each organisation whose rows changed, each by itself: nobody waits for its chain."""
    for organisation_id in sorted(created.keys() | changed.keys()):
        history.record(
            "estate.loaded",
            history.About("estate", file, file),
            by=NOBODY,
            at=timezone.now(),
            of=organisation_id,
            changes={"file": file, "created": created[organisation_id], "changed": changed[organisation_id]},
        )
