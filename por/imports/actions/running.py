"""Running the requested imports, in a worker, and deleting the files that no import needs any more."""

from __future__ import annotations

import csv
import io
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import timedelta
from math import inf
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from django.core.files import File
from django.core.files.storage import FileSystemStorage, storages
from django.db import Error, connection, transaction
from django.utils import timezone, translation

from por.accounts.models import SYSTEM
from por.db import outages
from por.db.locks import Held
from por.errors import Locked, Unavailable
from por.history.actions import recording as history
from por.imports import whole
from por.imports.actions.requests import UPLOADS, about, forget
from por.imports.events import ImportEvent
from por.imports.loading import Report, only_import
from por.imports.mapping import Source
from por.imports.models import Import, ImportQuerySet
from por.imports.reading import RowError
from por.imports.rejected import Rejected
from por.imports.rules import KEPT, MAX_TRIES, PAUSE, SHOWN
from por.imports.sources import opened
from por.ops.logs import Cause
from por.queue.work import Queue

logger = logging.getLogger(__name__)

#: The folder for what people get back of their files.
ERRORS = "load-errors"
#: Seconds between two reports of the progress of an import.
REPORT_EVERY = 1.0


class ImportQueue(Queue[Import]):
    """The queue of requested imports. An import takes hours, so its worker holds a lock instead of a lease.

    Only the worker with the lock of all imports runs any. A row that is `running` without that lock belongs to a worker
    that died, and its import is started again.
    """

    run_for = inf

    def __init__(self, held: Held) -> None:
        self.held = held

    def take(self) -> Generator[list[Import], None, None]:
        while (import_ := _take()) is not None:
            yield [import_]

    def cause_of(self, row: Import) -> Cause:
        return Cause(row.request_id, row.asked_by_id)

    def work(self, row: Import) -> None:
        with translation.override(row.asked_by.language):
            _run(row, self.held)

    def is_outage(self, error: Exception) -> bool:
        """Return whether another worker's lock, a disk or a server is at fault. Missing files are no outage."""
        if isinstance(error, FileNotFoundError):
            return False
        return isinstance(error, Locked | Unavailable | OSError) or super().is_outage(error)

    def give_back(self, row: Import) -> None:
        """Let it wait for its turn again. Rows that were imported already will be found unchanged."""
        _this_try(row).update(status=Import.Status.QUEUED, tries=row.tries - 1, next_at=timezone.now() + PAUSE)

    def fail(self, row: Import, error: Exception) -> None:
        """End it: the same files would fail again in the same way."""
        if isinstance(error, FileNotFoundError):
            return _fail(row, Import.Failure.FILES_GONE)
        logger.exception("Import %s failed.", row.pk)
        return _fail(row, Import.Failure.DEFECT)


def run() -> int:
    """Run the due imports, one after another, unless one is running already; return how many were started."""
    if Import.objects.due().exists():
        with suppress(Locked), only_import() as held:
            return ImportQueue(held).run()
    return 0


@transaction.atomic
def _take() -> Import | None:
    """Return the oldest due import, marked as running and its try counted; None if there is none."""
    due = Import.objects.due().select_for_update(of=("self",), no_key=True, skip_locked=True).select_related("asked_by")
    for import_ in due.order_by("pk"):
        import_.status, import_.started_at, import_.tries = Import.Status.RUNNING, timezone.now(), import_.tries + 1
        import_.bytes_done, import_.figures = 0, {}
        import_.save(update_fields=["status", "started_at", "tries", "bytes_done", "figures"])
        if import_.tries <= MAX_TRIES:
            return import_
        _fail(import_, Import.Failure.KILLED)
    return None


def _run(import_: Import, held: Held) -> None:
    with _local_files(import_) as paths, Errors() as errors, Progress(import_) as progress:
        report = progress.report = Report(
            errors, progress, dry_run=import_.dry_run, held=held, is_complete=import_.is_complete
        )
        files = {name: path for name, path in paths.items() if name not in import_.sources}
        sources = [opened(paths[name], one) for name, one in import_.sources.items()]
        whole.import_all(files, report, sources)
        errors_file = errors.keep(f"{ERRORS}/{import_.pk}.csv")
        rejected_file = errors.keep_rejected(f"{ERRORS}/{import_.pk}.zip", files, sources)
    figures = {name: asdict(tally) for name, tally in report.files.items()}
    _end(
        import_,
        ImportEvent.ENDED,
        changes={
            "dry_run": import_.dry_run,
            "ended": report.ended,
            "reopened": report.reopened,
            **asdict(report.total),
        },
        status=Import.Status.DONE,
        bytes_done=import_.size,
        figures=figures,
        ended=report.ended,
        reopened=report.reopened,
        marked=report.marked,
        notes=report.notes,
        errors=errors.first,
        errors_file=errors_file,
        rejected_file=rejected_file,
    )


@contextmanager
def _local_files(import_: Import) -> Iterator[dict[str, Path]]:
    """Yield the files by name: the uploaded ones if they are on this machine, else temporary copies."""
    storage = storages["default"]
    if isinstance(storage, FileSystemStorage):
        directory = Path(storage.path(import_.folder))
        found = {name: directory / name for name in import_.stored_names}
        if not all(path.is_file() for path in found.values()):
            raise FileNotFoundError(directory)
        yield found
        return
    with tempfile.TemporaryDirectory(prefix="por-import_-") as place:
        with outages.of_storage():
            for name in import_.stored_names:
                with storage.open(f"{import_.folder}/{name}") as kept, (Path(place) / name).open("wb") as copy:
                    shutil.copyfileobj(kept, copy)
        yield {name: Path(place) / name for name in import_.stored_names}


class Errors:
    """A collector of the rows that failed: the first ones for the page, and all of them for a file."""

    def __init__(self) -> None:
        self.first: list[RowError] = []
        self._all = tempfile.TemporaryFile()  # noqa: SIM115  # closed on leaving
        self._text = io.TextIOWrapper(self._all, encoding="utf-8", newline="")
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._rejected = Rejected()

    def __enter__(self) -> Errors:
        return self

    def __exit__(self, *_: object) -> None:
        self._text.close()
        self._rejected.__exit__()

    def __call__(self, error: RowError) -> None:
        if not self.first:
            self._writer.writerow(RowError._fields)
        if len(self.first) < SHOWN:
            self.first.append(error)
        self._writer.writerow(error)
        self._rejected(error)

    def keep(self, name: str) -> str:
        """Save the file with all failed rows; return its name in the storage, "" if no row failed."""
        if not self.first:
            return ""
        self._text.flush()
        with outages.of_storage():
            return storages["default"].save(name, File(self._all))

    def keep_rejected(self, name: str, files: Mapping[str, Path], sources: Sequence[Source]) -> str:
        """Save a zip with the refused rows of each file, as they were sent; return its name, "" if there are none."""
        with tempfile.TemporaryFile() as packed:
            with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
                count = whole.write_rejected(
                    files, sources, self._rejected, lambda one: archive.open(one, "w", force_zip64=True)
                )
            if not count:
                return ""
            with outages.of_storage():
                return storages["default"].save(name, File(packed))


class Progress:
    """A counter of the bytes that were read, which saves the progress about once a second, for the page to show.

    It has a connection of its own, because a dry run is one long transaction that no one else can see into.
    """

    def __init__(self, import_: Import) -> None:
        self.report: Report | None = None
        self._import, self._done = import_, 0
        self._next = time.monotonic() + REPORT_EVERY
        self._connection: Any = connection.copy()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Error):
            self._connection.close()

    def __call__(self, count: int) -> None:
        self._done = min(self._done + count, self._import.size)  # a file that becomes several tables is read again
        now = time.monotonic()
        if now >= self._next:
            self._next = now + REPORT_EVERY
            self._save()

    def _save(self) -> None:
        figures = {name: asdict(tally) for name, tally in self.report.files.items()} if self.report else {}
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(
                    "UPDATE estate_load SET bytes_done = %s, figures = %s"
                    " WHERE id = %s AND started_at = %s AND status = 'running'",
                    [self._done, json.dumps(figures), self._import.pk, self._import.started_at],
                )
        except Error as error:  # if it matters, the import fails by itself
            outages.note(error)


def _end(import_: Import, verb: ImportEvent, *, changes: dict[str, Any], **fields: Any) -> None:
    """Save and record the outcome, unless another worker has taken over; then delete files that no import needs."""
    now = timezone.now()
    with transaction.atomic():
        if not _this_try(import_).update(ended_at=now, **fields):
            logger.warning("Import %s was taken over by another worker.", import_.pk)
            return
        history.record(verb, about(import_), by=SYSTEM, at=now, chain=None, changes=changes)
    if not Import.objects.needing_files().filter(folder=import_.folder).exists():
        forget(import_.folder)


def _fail(import_: Import, failure: Import.Failure) -> None:
    _end(
        import_,
        ImportEvent.FAILED,
        changes={"dry_run": import_.dry_run, "failure": failure.value},
        status=Import.Status.FAILED,
        failure=failure,
    )


def _this_try(import_: Import) -> ImportQuerySet:
    """Return a query for the row, which finds it only while this try is the one that runs."""
    return Import.objects.filter(pk=import_.pk, status=Import.Status.RUNNING, started_at=import_.started_at)


# --- Files that are left over ---------------------------------------------------------------------------------------


def forget_unneeded() -> None:
    """Delete every folder of uploads that no import needs: of old dry runs, and what a crash left behind.

    It keeps folders of today and yesterday that no row knows, because someone may still be uploading to them.
    """
    try:
        with outages.of_storage():
            folders, _files = storages["default"].listdir(UPLOADS)
    except (FileNotFoundError, Unavailable):  # there is none yet, or the storage does not answer, which is logged
        return
    known = set(Import.objects.filter(folder__startswith=f"{UPLOADS}/").values_list("folder", flat=True))
    needed = set(Import.objects.needing_files().values_list("folder", flat=True))
    yesterday = f"{timezone.now() - timedelta(days=1):%Y-%m-%d}"
    for name in folders:
        folder = f"{UPLOADS}/{name}"
        is_new = folder not in known and name >= yesterday
        if folder not in needed and not is_new:
            forget(folder)


def forget_rejected() -> None:
    """Delete the rows that came back to people, as late as the files of a dry run."""
    old = Import.objects.filter(ended_at__lt=timezone.now() - KEPT).exclude(rejected_file="")
    for import_ in old.only("pk", "rejected_file"):
        with suppress(Unavailable, FileNotFoundError), outages.of_storage():
            storages["default"].delete(import_.rejected_file)
            Import.objects.filter(pk=import_.pk).update(rejected_file="")
