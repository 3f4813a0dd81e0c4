"""Running the loads that were asked for, in a worker; and deleting the files that none of them needs any more."""

from __future__ import annotations

import csv
import io
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import timedelta
from math import inf
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.files.storage import FileSystemStorage, storages
from django.db import Error, connection, transaction
from django.utils import timezone, translation

from por.accounts.models import SYSTEM
from por.db import outages
from por.errors import Locked, Unavailable
from por.history.actions import recording as history
from por.imports import whole
from por.imports.actions.requests import UPLOADS, about, forget
from por.imports.events import ImportEvent
from por.imports.loading import Report, one_load
from por.imports.models import Import, ImportQuerySet
from por.imports.reading import RowError
from por.imports.rules import MAX_TRIES, PAUSE, SHOWN
from por.queue.work import Queue

logger = logging.getLogger(__name__)

#: Seconds between two words on how far a load is.
SAY_EVERY = 1.0


class Loads(Queue[Import]):
    """The loads that were asked for. A load takes hours, so its worker holds a lock instead of a lease.

    Only the worker with the lock of all loads runs any: a row that says `running` then belongs to a worker that is
    gone, and its load is begun again.
    """

    run_for = inf

    def take(self) -> Generator[Import, None, None]:
        while (load := _take()) is not None:
            yield load

    def request_id_of(self, row: Import) -> str:
        return row.request_id

    def work(self, row: Import) -> None:
        with translation.override(row.asked_by.language):
            _load(row)

    def is_outage(self, error: Exception) -> bool:
        """Return whether another worker's lock, a disk, or a server is at fault; not if the files are gone."""
        if isinstance(error, FileNotFoundError):
            return False
        return isinstance(error, Locked | Unavailable | OSError) or super().is_outage(error)

    def give_back(self, row: Import) -> None:
        """Let it wait for its turn again. What was loaded is loaded, and found unchanged then."""
        _mine(row).update(status=Import.Status.QUEUED, tries=row.tries - 1, next_at=timezone.now() + PAUSE)

    def fail(self, row: Import, error: Exception) -> None:
        """End it: the same files fail in the same way."""
        if isinstance(error, FileNotFoundError):
            return _fail(row, Import.Failure.FILES_GONE)
        logger.exception("Load %s failed.", row.pk)
        return _fail(row, Import.Failure.DEFECT)


def run() -> int:
    """Run what is due, one after another, unless some load is running already; return how many were begun."""
    with suppress(Locked), one_load():
        return Loads().run()
    return 0


@transaction.atomic
def _take() -> Import | None:
    """Return the oldest that is due, marked and counted before the work; None if there is none."""
    due = Import.objects.due().select_for_update(of=("self",), no_key=True, skip_locked=True).select_related("asked_by")
    for load in due.order_by("pk"):
        load.status, load.started_at, load.tries = Import.Status.RUNNING, timezone.now(), load.tries + 1
        load.bytes_done, load.figures = 0, {}
        load.save(update_fields=["status", "started_at", "tries", "bytes_done", "figures"])
        if load.tries <= MAX_TRIES:
            return load
        _fail(load, Import.Failure.KILLED)
    return None


def _load(load: Import) -> None:
    with _at_hand(load) as directory, Errors() as errors, Progress(load) as progress:
        report = progress.report = Report(on_error=errors, on_bytes=progress, dry_run=load.dry_run)
        ended = whole.load(directory, report)
        errors_file = errors.keep(f"load-errors/{load.pk}.csv")
    figures = {name: asdict(tally) for name, tally in report.files.items()}
    _end(
        load,
        ImportEvent.ENDED,
        changes={"dry_run": load.dry_run, "ended": ended, **asdict(report.total)},
        status=Import.Status.DONE,
        bytes_done=load.size,
        figures=figures,
        ended=ended,
        errors=errors.first,
        errors_file=errors_file,
    )


@contextmanager
def _at_hand(load: Import) -> Iterator[Path]:
    """The directory with the files: their own where they lie on this machine, else one for the while."""
    storage = storages["default"]
    if isinstance(storage, FileSystemStorage):
        directory = Path(storage.path(load.folder))
        if len(whole.present(directory)) < len(load.files):
            raise FileNotFoundError(directory)
        yield directory
        return
    with tempfile.TemporaryDirectory(prefix="por-load-") as place:
        with outages.of_storage():
            for name in load.names:
                with storage.open(f"{load.folder}/{name}") as kept, (Path(place) / name).open("wb") as copy:
                    shutil.copyfileobj(kept, copy)
        yield Path(place)


class Errors:
    """Hears of the rows that failed: keeps the first ones for the page, and all of them for a file."""

    def __init__(self) -> None:
        self.first: list[RowError] = []
        self._all = tempfile.TemporaryFile()  # noqa: SIM115  # closed on leaving
        self._text = io.TextIOWrapper(self._all, encoding="utf-8", newline="")
        self._writer = csv.writer(self._text, lineterminator="\n")

    def __enter__(self) -> Errors:
        return self

    def __exit__(self, *_: object) -> None:
        self._text.close()

    def __call__(self, error: RowError) -> None:
        if not self.first:
            self._writer.writerow(RowError._fields)
        if len(self.first) < SHOWN:
            self.first.append(error)
        self._writer.writerow(error)

    def keep(self, name: str) -> str:
        """The name in the storage of the file of all of them; nothing where no row failed."""
        if not self.first:
            return ""
        self._text.flush()
        with outages.of_storage():
            return storages["default"].save(name, File(self._all))


class Progress:
    """Hears how many bytes were read and writes it down about once a second, for the page to show.

    Over a connection of its own: a dry run is one long transaction, of which nobody else sees anything.
    """

    def __init__(self, load: Import) -> None:
        self.report: Report | None = None
        self._load, self._done = load, 0
        self._next = time.monotonic() + SAY_EVERY
        self._connection: Any = connection.copy()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Error):
            self._connection.close()

    def __call__(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now >= self._next:
            self._next = now + SAY_EVERY
            self._say()

    def _say(self) -> None:
        figures = {name: asdict(tally) for name, tally in self.report.files.items()} if self.report else {}
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(
                    "UPDATE estate_load SET bytes_done = %s, figures = %s"
                    " WHERE id = %s AND started_at = %s AND status = 'running'",
                    [self._done, json.dumps(figures), self._load.pk, self._load.started_at],
                )
        except Error as error:  # the load itself will find out whether that matters
            outages.note(error)


def _end(load: Import, verb: ImportEvent, *, changes: dict[str, Any], **fields: Any) -> None:
    """Writes down what came of it, unless another worker has it by now; then deletes the files nobody needs."""
    now = timezone.now()
    with transaction.atomic():
        if not _mine(load).update(ended_at=now, **fields):
            logger.warning("Load %s was taken over by another worker.", load.pk)
            return
        history.record(verb, about(load), by=SYSTEM, at=now, of=None, changes=changes)
    if not Import.objects.needing_files().filter(folder=load.folder).exists():
        forget(load.folder)


def _fail(load: Import, failure: Import.Failure) -> None:
    _end(
        load,
        ImportEvent.FAILED,
        changes={"dry_run": load.dry_run, "failure": failure.value},
        status=Import.Status.FAILED,
        failure=failure,
    )


def _mine(load: Import) -> ImportQuerySet:
    """The row, as long as it is this try that runs."""
    return Import.objects.filter(pk=load.pk, status=Import.Status.RUNNING, started_at=load.started_at)


# --- Files that are left over ---------------------------------------------------------------------------------------


def forget_unneeded() -> None:
    """Deletes every folder of uploads that no load needs: of dry runs nobody loaded, and what a crash left behind.

    Those of today and yesterday that no row knows are spared: somebody may be uploading them.
    """
    try:
        with outages.of_storage():
            folders, _files = storages["default"].listdir(UPLOADS)
    except (FileNotFoundError, Unavailable):  # none yet; or not to be reached, as the log says
        return
    known = set(Import.objects.filter(folder__startswith=f"{UPLOADS}/").values_list("folder", flat=True))
    needed = set(Import.objects.needing_files().values_list("folder", flat=True))
    yesterday = f"{timezone.now() - timedelta(days=1):%Y-%m-%d}"
    for name in folders:
        folder = f"{UPLOADS}/{name}"
        is_new = folder not in known and name >= yesterday
        if folder not in needed and not is_new:
            forget(folder)
