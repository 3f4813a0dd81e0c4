"""Loading the files of an estate: in batches, one transaction each; then one event for each organisation changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from por.accounts.models import SYSTEM
from por.db.locks import advisory_lock
from por.errors import Locked
from por.history.actions import recording as history
from por.imports.events import ImportEvent
from por.imports.reading import Cells, RowError, Unfit
from por.imports.staging import Plain, Staged

R = TypeVar("R", bound="Line")

BATCH = 5_000  # rows a transaction: long enough to be fast, short enough for people not to wait behind it
EVENTS = 1_000  # a transaction: whoever else writes in one of these chains waits for it


@dataclass(slots=True)
class Line:
    """What one line of a file says. Each file has its own, with more: its columns in the order of the header."""

    line: int


class Outcome:
    """What came of a batch: how many rows of which organisation were created or changed, and what was refused."""

    def __init__(self) -> None:
        self.created: Counter[int] = Counter()
        self.changed: Counter[int] = Counter()
        self.unchanged = 0
        self.refused: list[tuple[int, Unfit]] = []

    def refuse(self, line: int, unfit: Unfit) -> None:
        self.refused.append((line, unfit))


class Places(NamedTuple):
    """A batch of what was found: the lines after one place, up to and with another."""

    after: int
    last: int


#: In a statement that is given the places by name: those lines of the batch that are merged all at once.
HERE = "place > %(after)s AND place <= %(last)s AND NOT apart"


@dataclass(frozen=True)
class File(Generic[R]):
    """One file of an estate: what stands in it and how it gets into the database.

    Its lines are staged (por.estate.staging, where `plain` is explained); `key` is what no two of them share.
    `found` is a SELECT for `estate_found_<file>`: it leaves out what the database knows already, and adds what
    it knows of the rest. What that calls `apart` is merged by Python, line by line: `order`, if given, sees all
    of it and says in which order; `merge` takes a batch. Everything else is merged by `merge_all`, one statement
    for a whole batch, which may still set lines apart. Both lock what they change by primary key, inside the
    transaction of the batch.
    """

    name: str
    header: str
    key: Sequence[str]
    line: Callable[..., R]
    parse: Callable[[Cells], R]
    merge: Callable[[Sequence[R], Outcome], None] | None = None
    order: Callable[[Iterable[R], Callable[[R, Unfit], None]], Iterable[R]] | None = None
    plain: Callable[[], Plain] | None = None
    found: Callable[[], str] | None = None
    merge_all: Callable[[Places, Outcome], None] | None = None

    @property
    def stem(self) -> str:
        return self.name.removesuffix(".csv")


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

    @classmethod
    def of(cls, tallies: Collection[Tally]) -> Tally:
        """Those of several files together."""
        return cls(*(sum(figures) for figures in zip(*map(astuple, tallies), strict=True)))


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
        return Tally.of(self.files.values())


@contextmanager
def one_load() -> Iterator[None]:
    """Run the block as the only load on the database. Raises Busy while another one runs."""
    with advisory_lock("load of an estate") as mine:
        if not mine:
            raise Locked("busy", _("Another import is running. Wait until it finishes."), retry_after=60)
        yield


def load_file(path: Path, file: File[R], report: Report) -> None:
    """Loads one file. Each batch stands or falls by itself, so a load that was stopped is simply repeated."""
    tally = report.files.setdefault(file.name, Tally())

    def refuse(line: int, unfit: Unfit) -> None:
        tally.failed += 1
        report.on_error(RowError(file.name, line, unfit.column, unfit.code, unfit.reason))

    staged = Staged(file.stem, file.parse, file.plain() if file.plain else None)
    way = _Way(path.stat().st_size, report.on_bytes)
    staged.fill(path, file.header, refuse, way.read)
    with _much_memory():
        staged.refuse_doubles(file.key, refuse)
        count = _find(file, staged.table)
    tally.unchanged += staged.count - count

    def merged(merge: Callable[[Outcome], None]) -> None:
        outcome = Outcome()
        with transaction.atomic():
            _wait_patiently()
            merge(outcome)
            _count(file.name, outcome)
        tally.created += outcome.created.total()
        tally.changed += outcome.changed.total()
        tally.unchanged += outcome.unchanged
        for line, unfit in outcome.refused:
            refuse(line, unfit)

    if file.merge_all is not None:
        for places in _batches(count):
            merged(partial(file.merge_all, places))
            way.come(READ + MERGED * places.last / count)
    if file.merge is not None:
        rows: Iterable[R] = _apart(file, staged.names, count, way)
        if file.order is not None:
            rows = file.order(rows, lambda row, unfit: refuse(row.line, unfit))
        remaining = iter(rows)
        while batch := list(islice(remaining, BATCH)):
            merged(partial(file.merge, batch))
    way.come(1)
    staged.empty()
    if not report.dry_run:
        _record(file.name)


#: About how much of the way it is to have read the file, and then to have merged what goes in whole batches.
READ, MERGED = 0.4, 0.5


class _Way:
    """How far a file is, told in its bytes: they are all that is known of it at the start."""

    def __init__(self, size: int, moved: Callable[[int], None]) -> None:
        self._size = size
        self._moved = moved
        self._read = self._told = 0

    def read(self, count: int) -> None:
        self._read += count
        self.come(READ * self._read / max(self._size, 1))

    def come(self, share: float) -> None:
        ahead = int(self._size * min(share, 1)) - self._told
        if ahead > 0:
            self._told += ahead
            self._moved(ahead)


@contextmanager
def _much_memory() -> Iterator[None]:
    """For the few statements that look at a whole file at once."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '256MB'")
        yield


def _find(file: File[R], staged: str) -> int:
    """Gives each line that says something new a place; returns how many there are."""
    found = file.found() if file.found else f"SELECT staged.*, true AS apart FROM {staged} AS staged"
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO estate_found_{file.stem} SELECT row_number() OVER (), one.* FROM ({found}) AS one")
        count: int = cursor.rowcount
        cursor.execute("SELECT estate_analyze_found(%s)", [file.stem])
    return count


def _batches(count: int) -> Iterator[Places]:
    for after in range(0, count, BATCH):
        yield Places(after, after + BATCH)


def _apart(file: File[R], names: Sequence[str], count: int, way: _Way) -> Iterator[R]:
    for places in _batches(count):
        way.come(READ + MERGED + (1 - READ - MERGED) * places.after / count)
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT line, {', '.join(names)} FROM estate_found_{file.stem}"
                " WHERE apart AND place > %s AND place <= %s ORDER BY place",
                places,
            )
            rows = cursor.fetchall()
        for row in rows:
            yield file.line(*row)


def _wait_patiently() -> None:
    """People's verbs give up a lock after seconds; a load has time, and theirs are over soon."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '60s'")


def _count(file: str, outcome: Outcome) -> None:
    """Keeps what the events will say, in the transaction of the batch: a load that is killed leaves it to the next."""
    organisations = sorted(outcome.created.keys() | outcome.changed.keys())
    if not organisations:
        return
    counts = [[tally[organisation] for organisation in organisations] for tally in (outcome.created, outcome.changed)]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO estate_loaded AS loaded (file, organisation_id, created, changed)
            SELECT %s, * FROM unnest(%s::bigint[], %s::integer[], %s::integer[])
            ON CONFLICT (file, organisation_id) DO UPDATE
            SET created = loaded.created + excluded.created, changed = loaded.changed + excluded.changed
            """,
            [file, organisations, *counts],
        )


def _record(file: str) -> None:
    """One event in the chain of each organisation whose rows changed, some hundreds in a transaction."""
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                """
                DELETE FROM estate_loaded WHERE file = %s AND organisation_id IN (
                    SELECT organisation_id FROM estate_loaded WHERE file = %s ORDER BY organisation_id LIMIT %s
                )
                RETURNING organisation_id, created, changed
                """,
                [file, file, EVENTS],
            )
            about = history.ObjectRef("estate", file, file)
            events = [
                history.EventDraft(of, {"file": file, "created": created, "changed": changed}, about)
                for of, created, changed in cursor.fetchall()
            ]
            if not events:
                return
            history.record_each(ImportEvent.LOADED, by=SYSTEM, at=timezone.now(), events=events)
