"""Requesting an import, of uploaded files or of the files of a dry run, and cancelling it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
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
from por.imports.sources import Entry
from por.ops import watchdog
from por.ops.logs import request_id
from por.queue.wake import Wake

logger = logging.getLogger(__name__)

#: The folder for uploads. In it, each import has a folder of its own, whose name begins with the date.
UPLOADS = "loads"
#: Wakes the worker that runs imports, after a commit.
wake = Wake()


def request(
    files: Sequence[File[bytes]],
    *,
    dry_run: bool,
    by: Actor,
    sources: Mapping[str, Entry] | None = None,
    is_complete: bool | None = None,
) -> Import:
    """Save the files, each under its name in an estate, and request an import or a dry run of them; return it.

    `sources` are the entries of the files of other programs, by their names. With one of them it is always a dry run,
    which waits until everything about them is settled. `is_complete` says whether the files name all subscriptions of
    their customers.

    Saving may take long, so no transaction is open meanwhile. Raises Forbidden or Unavailable; then no file is kept.
    """
    by.require(Right.IMPORT)
    folder = f"{UPLOADS}/{timezone.now():%Y-%m-%d}-{uuid4()}"
    entries = sources or {}
    order = [*whole.names(), *entries]
    given = sorted(files, key=lambda file: order.index(file.name or ""))
    sizes = [(file.name, file.size) for file in given]
    try:
        with watchdog.unbounded(), outages.of_storage():
            for file in given:
                storages["default"].save(f"{folder}/{file.name}", file)
        import_ = Import(
            folder=folder,
            files=sizes,
            sources=entries,
            dry_run=dry_run or bool(entries),
            is_complete=is_complete,
        )
        return go_on(import_, by=by)
    except BaseException:
        forget(folder)
        raise


@transaction.atomic
def import_tried(import_id: int, *, by: Actor) -> Import:
    """Request an import of the files of a dry run; return it. A second call returns the same import.

    Raises Forbidden, NotFound, Locked, `not_tried` or `files_gone`.
    """
    by.require(Right.IMPORT)
    tried = locked(import_id)
    if existing := Import.objects.filter(tried=tried).first():
        return existing
    if not (tried.dry_run and tried.status == Import.Status.DONE):
        raise Refused("not_tried", _("You can only import the files of a completed dry run."))
    if not Import.objects.needing_files().filter(pk=tried.pk).exists():
        raise Refused("files_gone", _("The files of this dry run have been deleted. Upload them again."))
    same = Import(
        **{name: getattr(tried, name) for name in ("folder", "files", "sources", "is_complete")},
        dry_run=False,
        tried=tried,
    )
    return _request(same, by=by)


@transaction.atomic
def cancel(import_id: int, *, by: Actor) -> Import:
    """Cancel an import that has not started, and delete its files; return it.

    Raises Forbidden, NotFound, Locked, or `has_begun`: it is running, or has ended.
    """
    by.require(Right.IMPORT)
    import_ = locked(import_id)
    if import_.status not in (Import.Status.QUEUED, Import.Status.ASKING):
        raise Refused("has_begun", _("This import has started, so you can no longer cancel it."))
    import_.status, import_.ended_at = Import.Status.CANCELLED, timezone.now()
    import_.save(update_fields=["status", "ended_at"])
    transaction.on_commit(lambda: forget(import_.folder))
    history.record(ImportEvent.CANCELLED, about(import_), by=by, at=import_.ended_at, chain=None)
    return import_


def forget(folder: str) -> None:
    """Delete the files in a folder of uploads. If the storage does not allow it, the next run tries again."""
    storage = storages["default"]
    try:
        for name in storage.listdir(folder)[1]:
            storage.delete(f"{folder}/{name}")
        storage.delete(folder)  # deletes the directory; a bucket has none
    except FileNotFoundError:
        return
    except Exception as error:  # an error of the disk, the network or the client
        logger.warning("Uploaded files could not be deleted (%s); the next run tries again.", type(error).__name__)


def about(import_: Import) -> history.ObjectRef:
    """Return the import as the object of an event."""
    return history.ObjectRef("load", str(import_.pk), ", ".join(import_.names))


def go_on(import_: Import, *, by: Actor) -> Import:
    """Save the import, new or changed: it waits for its turn, or for what is still to be said about its files."""
    assert by.user is not None  # only a person has rights
    if all(entry["is_settled"] for entry in import_.sources.values()):
        return _request(import_, by=by)
    import_.asked_by, import_.asked_at, import_.status = by.user, timezone.now(), Import.Status.ASKING
    import_.save()
    return import_


def _request(import_: Import, *, by: Actor) -> Import:
    """Save the import, so that it waits for its turn, and record the event."""
    assert by.user is not None  # only a person has rights
    import_.asked_by, import_.asked_at, import_.request_id = by.user, timezone.now(), request_id.get()
    import_.status = Import.Status.QUEUED
    with transaction.atomic():
        import_.save()
        wake.after_commit()
        history.record(
            ImportEvent.REQUESTED,
            about(import_),
            by=by,
            at=import_.asked_at,
            chain=None,
            changes={"dry_run": import_.dry_run, "files": dict(import_.shown_files)},
        )
    return import_


def locked(import_id: int) -> Import:
    with lock_timeout_as_busy():
        import_ = Import.objects.select_for_update(of=("self",), no_key=True).filter(pk=import_id).first()
    if import_ is None:
        raise NotFound("not_found", _("We could not find this import."))
    return import_
