"""Importing one file of an estate: in batches, one transaction each; then one event for each changed organisation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from por.accounts.models import SYSTEM
from por.db.locks import Held, advisory_lock
from por.errors import Locked
from por.history.actions import recording as history
from por.imports.ahead import Ahead
from por.imports.events import ImportEvent
from por.imports.mapping import Source
from por.imports.opening import Columns
from por.imports.picking import Unstaged
from por.imports.progress import MERGED, READ, Progress
from por.imports.reading import Cells, RowError, Unfit
from por.imports.second import Second
from por.imports.staging import Plain, Refuse, Staged
from por.imports.unknown import UNKNOWN_PARTNER, about_unknown

R = TypeVar("R", bound="Line")

BATCH = 5_000  # rows per transaction: enough to be fast, few enough that people do not wait long for its locks
TRIES = 10  # as many lines with one key are tried, each after the one before it was refused
EVENTS = 1_000  # per transaction: others who write to one of these chains wait for it

#: The work that only one worker does at a time.
IMPORTING = "load of an estate"
NOBODY = 0  #: What rows of reference data count for, instead of an organisation.


@dataclass(slots=True)
class Line:
    """The values of one line. Each file has a subclass, with its columns in the order of the header."""

    line: int


class Outcome:
    """The outcome of a batch: how many rows of each organisation were created or changed, and the refused lines.

    A reported line was changed only in part, and counts as failed.
    """

    def __init__(self) -> None:
        self.created: Counter[int] = Counter()
        self.changed: Counter[int] = Counter()
        self.unchanged = 0
        self.refused: list[tuple[int, Unfit]] = []
        self.reported: list[tuple[int, Sequence[Unfit]]] = []
        self.partly = 0

    def report(self, line: int, unfits: Sequence[Unfit], *, is_changed: bool) -> None:
        """Report a line of which some values were not taken; `is_changed` if the rest of it has changed something."""
        self.reported.append((line, unfits))
        self.partly += is_changed

    def refuse(self, line: int, unfit: Unfit) -> None:
        self.refused.append((line, unfit))


class Places(NamedTuple):
    """A batch of the found lines: those after one place, up to and including another."""

    after: int
    last: int


#: A condition for a statement that gets the places by name: the lines of the batch that one statement merges.
HERE = "place > %(after)s AND place <= %(last)s AND NOT apart"


class Absences(NamedTuple):
    """What a file no longer names and what it names again, by key.

    `unread` is how many lines cannot be read; as they may name anything, nothing is missing then.
    """

    missing: Sequence[int]
    named_again: Sequence[int]
    unread: int


@dataclass(frozen=True)
class File(Generic[R]):
    """One file of an estate: its columns, and how its lines are merged into the database.

    Its lines are staged (see por/imports/staging.py, which explains `plain`). `key` names the columns that no two lines
    may share. `stored` is a SELECT of what is stored, for the columns that a file leaves out; `needed` are those
    without which nothing new can be stored. `found` is a SELECT for `estate_found_<file>`: it leaves out lines that the
    database has already, and adds what the database knows about the others. Lines that it marks as `apart` are merged
    in Python, one by one: `order`, if given, gets all of them and returns them in order; `merge` takes a batch. If
    lines belong to a `unit`, which is `unit_key` in SQL, `found` returns those of a unit one after another, and a batch
    has all of them. All other lines are merged by `merge_all`, with one statement for a whole batch, which may still
    mark lines as apart. Both lock the rows that they change by primary key, in the transaction of the batch.
    `recorded`, if given, gets the organisations whose events have just been recorded, in the same transaction.
    `keep_starts` gives staged lines the starts that are stored, where a file knows only until when something had begun
    at the latest. `named_by` is the column with the GUID that each line is about. If it is given, `find_absent` returns
    what the staged file no longer names; it gets what other lines name, the number of staged lines, and whether the
    file is said to be complete. `mark` marks a batch of these.
    """

    name: str
    columns: Columns
    key: Sequence[str]
    stored: str
    line: Callable[..., R]
    parse: Callable[[Cells], R]
    merge: Callable[[Sequence[R], Outcome], None] | None = None
    order: Callable[[Iterable[R]], Iterable[R]] | None = None
    unit: Callable[[R], Hashable] | None = None
    unit_key: str = ""
    plain: Callable[[], Plain] | None = None
    found: Callable[[], str] | None = None
    merge_all: Callable[[Places, Outcome], None] | None = None
    recorded: Callable[[Sequence[int]], None] | None = None
    needed: Collection[str] = ()
    prepare: Callable[[Refuse], list[str]] | None = None
    keep_starts: Callable[[], None] | None = None
    named_by: str = ""
    find_absent: Callable[[Unstaged, int, bool | None], Absences] | None = None
    mark: Callable[..., None] | None = None

    @property
    def header(self) -> str:
        return ",".join(self.columns.every)

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
        """Return the sum of the tallies of several files."""
        return cls(*(sum(figures) for figures in zip(*map(astuple, tallies), strict=True)))


@dataclass
class Report:
    """The report of an import. It calls `on_error` for each fault of a failed row, and `on_bytes` as it moves on.

    A dry run records no events; the caller rolls its transaction back. `held` is the lock of all imports. `is_complete`
    says whether the files have all that there is of the customers that they name; None if nobody says it. `second` is
    the second connection, unless all is one transaction.
    """

    on_error: Callable[[RowError], None]
    on_bytes: Callable[[int], None]
    dry_run: bool = False
    held: Held | None = None
    is_complete: bool | None = None
    second: Second | None = None
    files: dict[str, Tally] = field(default_factory=dict)
    #: How many associations ended because of what the files say of other things, and how many go on again.
    ended: int = 0
    reopened: int = 0
    marked: int = 0  # what files no longer name, or name again
    notes: list[str] = field(default_factory=list)  # what people should know beside the figures

    @property
    def total(self) -> Tally:
        return Tally.of(self.files.values())


@contextmanager
def only_import() -> Iterator[Held]:
    """Run the block as the only import on the database; yield its lock. Raises Locked while another one runs."""
    with advisory_lock(IMPORTING) as held:
        if not held:
            raise Locked("busy", _("Another import is running. Wait until it finishes."), retry_after=60)
        yield held


@contextmanager
def _step(report: Report) -> Iterator[None]:
    """Run the block in one transaction, which is committed only while this is the only import: all share some tables.

    Raises OperationalError if the lock is lost.
    """
    with transaction.atomic():
        yield
        if report.held:
            report.held.check()


def import_file(
    path: Path, file: File[R], report: Report, source: Source | None = None, ahead: Ahead | None = None
) -> None:
    """Import one file. Each batch is committed by itself, so an import that was stopped is simply repeated.

    With a source, the file is made of that first. Of several lines with one key the first is used. If it was refused,
    the next one is tried, and with it all lines that were refused: what they refer to may be there now. `ahead` is the
    file, if the second connection stages it.
    """
    name = source.name_of(file.name) if source else file.name
    tally = report.files.setdefault(name, Tally())
    unknown: Counter[str] = Counter()

    def refuse(line: int, faults: Sequence[Unfit]) -> None:
        tally.failed += 1
        unknown.update(fault.value for fault in faults if fault.code == UNKNOWN_PARTNER)
        for fault in faults:
            report.on_error(RowError(name, line, fault.column, fault.code, fault.reason, fault.value))

    is_complete = report.is_complete
    ahead = ahead if ahead and ahead.is_done() else None
    staged = ahead.staged if ahead else _new_staged(file)
    if source is not None:
        is_complete = source.is_complete(file.name) if is_complete is None else is_complete
        named = (file.named_by, staged.unstaged) if file.named_by and is_complete else None
        report.notes += source.write(file.name, path, refuse, named)
    progress = Progress(path.stat().st_size, report.on_bytes)
    absences = None
    with _step(report):
        if ahead:
            ahead.tell(refuse, progress.read)
        else:
            staged.fill(path, file.columns, refuse, progress.read)
        if file.find_absent is not None:
            _use_more_memory()
            absences = file.find_absent(staged.unstaged, staged.count, is_complete)
    if staged.ignored:
        text = _("We do not know these columns of %(name)s. They are ignored: %(columns)s.")
        report.notes.append(text % {"name": name, "columns": ", ".join(staged.ignored)})
    known: Collection[int] = ()  # lines that are read again only because others of their unit are tried
    for tries_left in reversed(range(TRIES)):
        refused: dict[int, Sequence[Unfit]] = {}
        with _step(report):
            _use_more_memory()
            twins = ahead.twins if ahead and ahead.twins is not None else staged.take_twins(file.key)
            ahead = None
            if source is not None and source.knows_starts_at_latest(file.name) and file.keep_starts is not None:
                file.keep_starts()
            keep = refused.__setitem__ if twins or known else refuse
            staged.complete(file.key, file.stored, file.needed, keep)
            if file.prepare is not None:
                failed = tally.failed + len(refused)
                report.notes += file.prepare(keep)
                staged.count -= tally.failed + len(refused) - failed
            count = _find(file, staged.table)
        tally.unchanged += staged.count - count - len(known)
        for outcome in _merged(file, staged.names, count, report, progress):
            tally.created += outcome.created.total()
            tally.changed += outcome.changed.total() - outcome.partly
            tally.unchanged += outcome.unchanged
            for line, unfit in outcome.refused:
                keep(line, [unfit])
            for line, unfits in outcome.reported:
                refuse(line, unfits)
        for line in known:
            refused.pop(line, None)
        again = {line: first for line, first in twins.items() if first in refused} if tries_left else {}
        for line, first in twins.items():
            if line not in again:
                refuse(line, [_repeats(first)])
        for line, unfits in refused.items():
            if not again or line in again.values():
                refuse(line, unfits)
        if not again:
            break
        tried = again.keys() | (refused.keys() - set(again.values()))
        known = staged.beside(file.unit_key, refused) - refused.keys() if file.unit_key else ()
        with _step(report):
            staged.fill(path, file.columns, refuse, lambda count: None, {*tried, *known})
    if absences is not None:
        _mark(file, name, absences, report)
    report.notes += about_unknown(name, unknown)
    progress.reach(1)
    with _step(report):
        staged.empty()
    steps = [analyze_grown] if report.dry_run else [analyze_grown, *_recording(file, report)]
    if report.second:
        report.second.do(steps)
    else:
        for step in steps:
            step()


def _new_staged(file: File[Any]) -> Staged:
    return Staged(file.stem, file.parse, file.plain() if file.plain else None, file.named_by)


def stage_ahead(path: Path, file: File[Any], report: Report, second: Second) -> Ahead:
    """Let the second connection stage a file, once it has staged those before it."""

    def work(refuse: Refuse, moved: Callable[[int], None]) -> tuple[Staged, dict[int, int] | None]:
        staged = _new_staged(file)
        with _step(report):
            staged.fill(path, file.columns, refuse, moved)
            _use_more_memory()
            return staged, staged.take_twins(file.key) if file.find_absent is None else None

    return Ahead(second, work)


def _mark(file: File[R], name: str, absences: Absences, report: Report) -> None:
    """Mark what the file no longer names and what it names again, in batches, and note how many there are.

    It is done last. If the import is killed before, the next one finds the same.
    """
    for pks, is_missing in ((absences.named_again, False), (absences.missing, True)):
        for after in range(0, len(pks), BATCH):
            with _step(report):
                _set_limits()
                if file.mark is not None:
                    file.mark(pks[after : after + BATCH], is_missing=is_missing)
    given = {"name": name, "missing": len(absences.missing), "again": len(absences.named_again)}
    report.marked += len(absences.missing) + len(absences.named_again)
    if absences.missing:
        text = _(
            "%(name)s names other subscriptions of these customers, but not these: %(missing)s. They are shown as not "
            "in the last file. Nothing ends because of that."
        )
        report.notes.append(text % given)
    if absences.named_again:
        text = _("Subscriptions that were not in the last file, and that %(name)s names again: %(again)s.")
        report.notes.append(text % given)
    if absences.unread:
        text = _(
            "Some rows of %(name)s do not tell their subscription: %(unread)s. So we do not know which subscriptions "
            "the file does not name."
        )
        report.notes.append(text % {"name": name, "unread": absences.unread})


def _repeats(first: int) -> Unfit:
    message = _("This line repeats line %(line)s. Keep only one of them.") % {"line": first}
    return Unfit("", "duplicate_row", message)


def _merged(file: File[R], names: Sequence[str], count: int, report: Report, progress: Progress) -> Iterator[Outcome]:
    """Merge the found lines, batch by batch; yield the outcome of each once it is committed."""

    def merged(merge: Callable[[Outcome], None]) -> Outcome:
        outcome = Outcome()
        with _step(report):
            _set_limits()
            merge(outcome)
            _count(file.name, outcome)
        return outcome

    if file.merge_all is not None:
        for places in _batches(count):
            yield merged(partial(file.merge_all, places))
            progress.reach(READ + MERGED * places.last / count)
    if file.merge is not None:
        rows: Iterable[R] = _apart(file, names, count, progress)
        if file.order is not None:
            rows = file.order(rows)
        for batch in _batches_of(rows, file.unit):
            yield merged(partial(file.merge, batch))


def _use_more_memory() -> None:
    """Give this transaction more memory: for the few statements that process a whole file."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '256MB'")


def _find(file: File[R], staged: str) -> int:
    """Give a place to each line that contains something new; return how many there are."""
    found = file.found() if file.found else f"SELECT staged.*, true AS apart FROM {staged} AS staged"
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO estate_found_{file.stem} SELECT row_number() OVER (), one.* FROM ({found}) AS one")
        count: int = cursor.rowcount
        cursor.execute("SELECT estate_analyze_found(%s)", [file.stem])
    return count


def analyze_grown() -> None:
    """Let the database count the rows of the tables that have grown by a tenth, so that it plans for what is there."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT estate_analyze_grown()")


def _batches(count: int) -> Iterator[Places]:
    for after in range(0, count, BATCH):
        yield Places(after, after + BATCH)


def _batches_of(rows: Iterable[R], unit: Callable[[R], Hashable] | None) -> Iterator[list[R]]:
    """Yield the rows in batches. All rows of a unit are in one batch, which is larger if the unit alone is."""
    batch: list[R] = []
    for _unit, group in groupby(rows, key=unit or (lambda row: row.line)):
        together = list(group)
        if batch and len(batch) + len(together) > BATCH:
            yield batch
            batch = []
        batch += together
    if batch:
        yield batch


def _apart(file: File[R], names: Sequence[str], count: int, progress: Progress) -> Iterator[R]:
    for places in _batches(count):
        progress.reach(READ + MERGED + (1 - READ - MERGED) * places.after / count)
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT line, {', '.join(names)} FROM estate_found_{file.stem}"
                " WHERE apart AND place > %s AND place <= %s ORDER BY place",
                places,
            )
            rows = cursor.fetchall()
        for row in rows:
            yield file.line(*row)


def _set_limits() -> None:
    """Let this transaction wait longer for locks, and not for the disk. People give up after seconds.

    If the server itself crashes, the batches of its last second may be lost, all of each, with their own events and
    their counts for the events, and the import is repeated. The commit of the events waits for the disk, and for all
    that was before it; so does the commit of whoever has read one of a batch and acts on it.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '60s'; SET LOCAL synchronous_commit = off")


def _count(file: str, outcome: Outcome) -> None:
    """Save the counts for the events, in the transaction of the batch. If the import dies, the next records them."""
    organisations = sorted((outcome.created.keys() | outcome.changed.keys()) - {NOBODY})
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


def _recording(file: File[R], report: Report) -> list[Callable[[], None]]:
    """Return the steps that record an event in the chain of each organisation whose rows changed, EVENTS in each."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT organisation_id FROM estate_loaded WHERE file = %s ORDER BY 1", [file.name])
        found = [organisation for (organisation,) in cursor.fetchall()]
    parts = [found[at : at + EVENTS] for at in range(0, len(found), EVENTS)]
    return [partial(_record, file, report, part[0], part[-1]) for part in parts]


def _record(file: File[R], report: Report, first: int, last: int) -> None:
    """Record the events of the organisations with these keys and all between them."""
    with _step(report):
        with connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM estate_loaded WHERE file = %s AND organisation_id BETWEEN %s AND %s"
                " RETURNING organisation_id, created, changed",
                [file.name, first, last],
            )
            counts = cursor.fetchall()
        about = history.ObjectRef("estate", file.name, file.name)
        events = [
            history.EventDraft(organisation, {"file": file.name, "created": created, "changed": changed}, about)
            for organisation, created, changed in counts
        ]
        history.record_each(ImportEvent.LOADED, by=SYSTEM, at=timezone.now(), events=events)
        if file.recorded is not None:
            file.recorded([event.chain for event in events])
