"""Imports in the browser: uploading the files, the progress, and the same report as on the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from django.contrib import messages
from django.core.files.storage import storages
from django.http import FileResponse, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render, resolve_url
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_safe

from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.rules import OrganisationKind, Right
from por.db import outages
from por.errors import NotFound, Refused
from por.history.models import Event
from por.imports import uploads, whole
from por.imports.actions import requests as imports
from por.imports.forms import ImportForm
from por.imports.models import Import
from por.imports.reading import RowError
from por.imports.rules import KEPT
from por.ops import watchdog
from por.web.bounds import bounds_its_body
from por.web.formatting import number_text
from por.web.lists import Listing, counted, csv_file, wants_csv
from por.web.pages import posted, render_page, submit

#: The newest first.
ORDER = ("-pk",)
NEWEST = 5


@bounds_its_body
@csrf_exempt  # checked below, after the files: a person without the right is refused before any file is read
@require_http_methods(["GET", "HEAD", "POST"])
@only(OrganisationKind.STAFF, to=Right.READ_IMPORTS)
def import_list(request: Request) -> HttpResponseBase:
    if request.method != "POST":
        return _list(request, ImportForm())
    request.actor.require(Right.IMPORT)
    limit = uploads.Limit()
    request.upload_handlers.insert(0, limit)
    with watchdog.unbounded(), outages.of_storage():
        request.POST  # noqa: B018  # reads the whole body; the database is not needed meanwhile
    return csrf_protect(_upload)(request, is_too_large=limit.is_passed)


def _upload(request: Request, *, is_too_large: bool) -> HttpResponseBase:
    with ExitStack() as scratch:
        form = ImportForm(request.POST, request.FILES, scratch=scratch, is_too_large=is_too_large)
        with watchdog.unbounded(), outages.of_storage():
            valid = form.is_valid()  # unpacks
        if valid:
            files = form.cleaned_data["file"]
            entries = uploads.entries_of(files)
            import_ = imports.request(
                files,
                dry_run=form.is_dry_run,
                by=request.actor,
                sources=entries,
                is_complete=form.is_complete,
            )
            return redirect(next_page(import_))
    return _list(request, form, status=422)


def next_page(import_: Import) -> str:
    """Return the address of an import: of its first file about which something is to be said, or of its report."""
    for number, entry in enumerate(import_.sources.values(), 1):
        if not entry["is_settled"] and import_.status == Import.Status.ASKING:
            return resolve_url("estate:mapping_edit", import_.pk, number)
    return resolve_url("estate:load_detail", import_.pk)


def _imports_text(count: int) -> str:
    return ngettext("%(n)s import", "%(n)s imports", count) % {"n": counted(count)}


def _list(request: Request, form: ImportForm, *, status: int = 200) -> HttpResponse:
    every = Import.objects.select_related("asked_by").defer("errors")
    context = {
        **Listing(request, every, order=ORDER, count_text=_imports_text).context,
        "form": form,
        "may_import": request.actor.may(Right.IMPORT),
        "files": [(file.name, file.header.split(",")) for file in whole.files()],
        "kept_days": KEPT.days,
    }
    return render(request, "imports/load_list.html", context, status=status)


@require_safe
@only(OrganisationKind.STAFF, to=Right.READ_IMPORTS)
def import_detail(request: Request, import_id: int) -> HttpResponseBase:
    """Show the report of an import, or its progress; as CSV, the faults; as a zip, the rows to correct."""
    import_ = _import(import_id)
    if request.GET.get("format") == "zip":
        return _rejected(import_)
    if wants_csv(request):
        name = _("failed-rows")
        return csv_file(f"{name}-{import_.pk}", RowError._fields, _all_errors(import_))
    return _detail(request, import_)


def _import(import_id: int) -> Import:
    import_ = Import.objects.select_related("asked_by", "tried", "loaded").filter(pk=import_id).first()
    if import_ is None:
        raise NotFound("not_found", _("We could not find this import."))
    return import_


def _detail(request: Request, import_: Import, *, refused: Refused | None = None, status: int = 200) -> HttpResponse:
    may_import = request.actor.may(Right.IMPORT)
    is_kept = import_.dry_run and import_.is_over and Import.objects.needing_files().filter(pk=import_.pk).exists()
    total = import_.total
    events = Event.objects.filter(object_kind="load", object_id=str(import_.pk))
    context: dict[str, Any] = {
        "import": import_,
        "total": total,
        "seconds": number_text(import_.seconds, 1),
        "rate": total.rows / import_.seconds if import_.seconds else None,
        "others_run": import_.status == Import.Status.QUEUED
        and Import.objects.filter(status=Import.Status.RUNNING).exists(),
        "may_cancel": may_import and import_.status in (Import.Status.QUEUED, Import.Status.ASKING),
        "may_import": may_import and is_kept and import_.status == Import.Status.DONE,
        "may_map": may_import and (is_kept or import_.status == Import.Status.ASKING),
        "sources": [(number, one) for number, one in enumerate(import_.sources.values(), 1)],
        "is_kept": is_kept,
        "events": events.newest_first()[:NEWEST],
        "refused": refused,
    }
    return render_page(request, "imports/load_detail.html", context, part="report", status=status)


def _rejected(import_: Import) -> HttpResponseBase:
    """Return the rows to correct. Sent again, they load."""
    gone = NotFound("not_found", _("The file with these rows is no longer available."))
    if not import_.rejected_file:
        raise gone
    try:
        with outages.of_storage():
            kept = storages["default"].open(import_.rejected_file)
    except FileNotFoundError:
        raise gone from None
    name = _("rows-to-correct")
    return FileResponse(kept, as_attachment=True, filename=f"{name}-{import_.pk}.zip", content_type="application/zip")


def _all_errors(import_: Import) -> Iterator[list[str]]:
    """Return the failed rows. The file is opened now, so that an outage has its own page, and read while it is sent."""
    if not import_.errors_file:
        return iter([])
    try:
        with outages.of_storage():
            kept = storages["default"].open(import_.errors_file)
    except FileNotFoundError:
        raise NotFound("not_found", _("The file with these rows is no longer available.")) from None

    def rows() -> Iterator[list[str]]:
        with kept, io.TextIOWrapper(kept, encoding="utf-8", newline="") as lines:
            reader = csv.reader(lines)
            next(reader)
            yield from reader

    return rows()


@posted("estate:load_detail")
@only(OrganisationKind.STAFF, to=Right.IMPORT)
def import_tried(request: Request, import_id: int) -> HttpResponseBase:
    """Import the files of a dry run."""
    sent = submit(None, lambda: imports.import_tried(import_id, by=request.actor))
    if sent.is_done:
        return redirect("estate:load_detail", sent.result.pk)
    return _detail(request, _import(import_id), refused=sent.refused, status=sent.status)


@posted("estate:load_detail")
@only(OrganisationKind.STAFF, to=Right.IMPORT)
def import_cancel(request: Request, import_id: int) -> HttpResponseBase:
    sent = submit(None, lambda: imports.cancel(import_id, by=request.actor))
    if not sent.is_done:
        return _detail(request, _import(import_id), refused=sent.refused, status=sent.status)
    messages.success(request, _("Import cancelled. Nothing was imported, and the files have been deleted."))
    return redirect("estate:load_detail", import_id)
