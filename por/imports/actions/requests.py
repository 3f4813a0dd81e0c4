"""Asking for a load in the browser: of files that were uploaded, or of those of a dry run; and taking that back."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from uuid import uuid4

from django.core.files import File
from django.core.files.storage import storages
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from por.accounts.models import Actor
from por.accounts.rules import Right
from por.db import outages
from por.db.locks import lock_timeout_as_busy
from por.errors import NotFound, Refused
from por.history.actions import recording as history
from por.imports import whole
from por.imports.events import ImportEvent
from por.imports.models import Import
from por.ops import watchdog
from por.ops.logs import request_id
from por.queue.wake import Wake

logger = logging.getLogger(__name__)

#: Where the uploaded files of each load lie, in a folder of their own that begins with the day.
UPLOADS = "loads"
#: Wakes the worker that runs loads after a commit.
wake = Wake()


def request(files: Sequence[File[bytes]], *, dry_run: bool, by: Actor) -> Import:
    """Keeps the files, each by its name in an estate, and asks for a load of them, or for one that is only tried.

    No transaction is open while they are kept, which takes its time. Raises Forbidden or Unavailable; then nothing is
    kept.
    """
    by.require(Right.IMPORT)
    folder = f"{UPLOADS}/{timezone.now():%Y-%m-%d}-{uuid4()}"
    order = whole.names()
    given = sorted(files, key=lambda file: order.index(file.name or ""))
    try:
        with watchdog.unbounded(), outages.of_storage():
            for file in given:
                storages["default"].save(f"{folder}/{file.name}", file)
        return _ask(Import(folder=folder, files=[(file.name, file.size) for file in given], dry_run=dry_run), by=by)
    except BaseException:
        forget(folder)
        raise


@transaction.atomic
def load_tried(load_id: int, *, by: Actor) -> Import:
    """Asks for a load of the files of a dry run; once it was asked for, that same load.

    Raises Forbidden, Absent, Busy, `not_tried` or `files_gone`.
    """
    by.require(Right.IMPORT)
    tried = _locked(load_id)
    if loaded := Import.objects.filter(tried=tried).first():
        return loaded
    if not (tried.dry_run and tried.status == Import.Status.DONE):
        raise Refused("not_tried", _("You can only import the files of a completed dry run."))
    if not Import.objects.needing_files().filter(pk=tried.pk).exists():
        raise Refused("files_gone", _("The files of this dry run have been deleted. Upload them again."))
    return _ask(Import(folder=tried.folder, files=tried.files, dry_run=False, tried=tried), by=by)


@transaction.atomic
def cancel(load_id: int, *, by: Actor) -> Import:
    """Takes back a load that has not begun; its files are deleted.

    Raises Forbidden, Absent, Busy, or `has_begun`: it runs, or it is over.
    """
    by.require(Right.IMPORT)
    load = _locked(load_id)
    if load.status != Import.Status.QUEUED:
        raise Refused("has_begun", _("This import has started, so you can no longer cancel it."))
    load.status, load.ended_at = Import.Status.CANCELLED, timezone.now()
    load.save(update_fields=["status", "ended_at"])
    transaction.on_commit(lambda: forget(load.folder))
    history.record(ImportEvent.CANCELLED, about(load), by=by, at=load.ended_at, of=None)
    return load


def forget(folder: str) -> None:
    """Deletes the files in a folder of uploads, as far as the storage lets us; else the next round tries again."""
    storage = storages["default"]
    try:
        for name in storage.listdir(folder)[1]:
            storage.delete(f"{folder}/{name}")
        storage.delete(folder)  # a directory has to go, too; a bucket knows none
    except FileNotFoundError:
        return
    except Exception as error:  # a disk's, a network's, a client's
        logger.warning("Uploaded files could not be deleted (%s); the next round tries again.", type(error).__name__)


def about(load: Import) -> history.ObjectRef:
    return history.ObjectRef("load", str(load.pk), ", ".join(load.names))


def _ask(load: Import, *, by: Actor) -> Import:
    """A load that waits for its turn, and its event."""
    assert by.user is not None  # without a person nobody has a right
    load.asked_by, load.asked_at, load.request_id = by.user, timezone.now(), request_id.get()
    with transaction.atomic():
        load.save(force_insert=True)
        wake.after_commit()
        history.record(
            ImportEvent.REQUESTED,
            about(load),
            by=by,
            at=load.asked_at,
            of=None,
            changes={"dry_run": load.dry_run, "files": dict(load.files)},
        )
    return load


def _locked(load_id: int) -> Import:
    with lock_timeout_as_busy():
        load = Import.objects.select_for_update(of=("self",), no_key=True).filter(pk=load_id).first()
    if load is None:
        raise NotFound("not_found", _("We could not find this import."))
    return load
