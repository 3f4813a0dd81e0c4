"""Saying how the files of an import are read, and keeping mappings for the next time."""

from __future__ import annotations

import hashlib

from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from por.accounts.models import Actor
from por.accounts.rules import Right
from por.db.locks import lock_timeout_as_busy
from por.errors import NotFound, Refused, VersionConflict
from por.history.actions import recording as history
from por.imports import whole
from por.imports.actions.requests import go_on, locked
from por.imports.events import ImportEvent
from por.imports.mapping import Mapping, parse
from por.imports.models import Import, KeptMapping
from por.imports.rules import LONGEST_NAME, MOST_KEPT
from por.imports.sources import Entry


@transaction.atomic
def map_file(
    import_id: int,
    number: int,
    *,
    by: Actor,
    title: str = "",
    text: str = "",
    told: dict[str, str] | None = None,
    is_last: bool = True,
) -> Import:
    """Say how a file of an import is read, and return the import to go on with: a new dry run if this one is done.

    A new mapping is kept under its title. `told` is what the file does not say about its rows. Without `is_last`,
    another table of the same file follows.
    Raises Forbidden, NotFound, Locked, `no_mapping`, `files_gone`, `name_taken`, `too_many_mappings`.
    """
    import_, entry = _open(import_id, number, by=by)
    if text:
        before = KeptMapping.objects.filter(name=title).first()
        if before is not None and entry["mapping"] != before.text:
            raise Refused("name_taken", _("Another mapping has this name. Choose another name."), field="title")
        keep(title, text, version=before.version if before else None, by=by)
        entry["mapping"] = text
    if told is not None:
        entry["told"] = told
    entry["is_settled"] = is_last and bool(entry["mapping"])
    return go_on(import_, by=by)


@transaction.atomic
def keep(name: str, text: str, *, by: Actor, version: int | None = None, pk: int | None = None) -> KeptMapping:
    """Keep a mapping under a name, or change the one that has it, or the key; return it.

    Raises Forbidden, NotFound, Locked, VersionConflict, `no_mapping`, `name_taken`, `too_many_mappings`.
    """
    by.require(Right.IMPORT)
    assert by.user is not None  # only a person has rights
    mapping = _checked(name, text)
    if pk is None and version is None:
        kept = KeptMapping()
        _leave_room()
    else:
        kept = _locked(pk=pk) if pk is not None else _locked(name=name)
        if (kept.name, kept.text) == (name, text):
            return kept
        _check_version(kept, version)
    kept.name, kept.text, kept.recognise = name, text, mapping.recognise
    kept.changed_by, kept.changed_at = by.user, timezone.now()
    is_new = kept.pk is None
    kept.version = 1 if is_new else kept.version + 1
    try:
        with transaction.atomic(), lock_timeout_as_busy():
            kept.save()
    except IntegrityError:
        raise Refused("name_taken", _("Another mapping has this name. Choose another name."), field="title") from None
    _record(ImportEvent.MAPPING_KEPT if is_new else ImportEvent.MAPPING_CHANGED, kept, by=by)
    return kept


@transaction.atomic
def remove(pk: int, *, version: int, by: Actor) -> None:
    """Remove a mapping. Imports that were requested with it are not changed: they have its text.

    Raises Forbidden, NotFound, Locked, VersionConflict.
    """
    by.require(Right.IMPORT)
    kept = _locked(pk=pk)
    _check_version(kept, version)
    _record(ImportEvent.MAPPING_REMOVED, kept, by=by)
    kept.delete()


def _open(import_id: int, number: int, *, by: Actor) -> tuple[Import, Entry]:
    """Return the import about whose file something may be said, and the entry of the file.

    Of a dry run that is done, it is a new dry run of the same files.
    """
    by.require(Right.IMPORT)
    import_ = locked(import_id)
    if not 1 <= number <= len(import_.sources):
        raise NotFound("not_found", _("We could not find this file."))
    is_open = import_.status == Import.Status.ASKING or (import_.status == Import.Status.DONE and import_.dry_run)
    if not is_open or not Import.objects.needing_files().filter(pk=import_.pk).exists():
        raise Refused("files_gone", _("The files of this import are no longer waiting. Upload them again."))
    if import_.status == Import.Status.DONE:
        same = {name: getattr(import_, name) for name in ("folder", "files", "sources", "is_complete")}
        import_ = Import(**same, dry_run=True)
    entry: Entry = list(import_.sources.values())[number - 1]
    return import_, entry


def _checked(name: str, text: str) -> Mapping:
    if not name or len(name) > LONGEST_NAME:
        most = _("Enter a name of at most %(most)s characters.") % {"most": LONGEST_NAME}
        raise Refused("name_wrong", most, field="title")
    mapping = parse(name, text)
    mapping.check(whole.columns())
    return mapping


def _leave_room() -> None:
    """Raise Refused if there are too many mappings. Nobody else adds one until this transaction ends."""
    with lock_timeout_as_busy(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE estate_mapping IN SHARE ROW EXCLUSIVE MODE")
    if KeptMapping.objects.count() >= MOST_KEPT:
        text = _("You keep %(most)s mappings already. Remove one that you no longer need.")
        raise Refused("too_many_mappings", text % {"most": MOST_KEPT})


def _locked(**by: int | str) -> KeptMapping:
    with lock_timeout_as_busy():
        kept = KeptMapping.objects.select_for_update(of=("self",), no_key=True).filter(**by).first()
    if kept is None:
        raise NotFound("not_found", _("We could not find this mapping."))
    return kept


def _check_version(kept: KeptMapping, version: int | None) -> None:
    if kept.version != version:
        text = _("This mapping has changed since you opened it. Check the changes, then try again.")
        raise VersionConflict("stale", text)


def _record(verb: ImportEvent, kept: KeptMapping, *, by: Actor) -> None:
    files = list(parse(kept.name, kept.text).files)
    digest = hashlib.sha256(kept.text.encode()).hexdigest()
    about = history.ObjectRef("mapping", str(kept.pk), kept.name)
    history.record(verb, about, by=by, at=timezone.now(), chain=None, changes={"files": files, "sha256": digest})
