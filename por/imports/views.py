"""Loading in the browser: the files, how far it is, and the same report as on the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from django.contrib import messages
from django.core.files.storage import storages
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_safe

from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.rules import OrganisationKind
from por.db import outages
from por.errors import NotFound, Refused
from por.history.models import Event
from por.imports import uploads, whole
from por.imports.actions import requests as imports
from por.imports.forms import LoadForm
from por.imports.models import Import
from por.imports.reading import RowError
from por.imports.rules import KEPT
from por.ops import watchdog
from por.web.formatting import number_text
from por.web.lists import Listing, counted, csv_file, wants_csv
from por.web.pages import posted, render_page, submit

#: The newest first.
ORDER = ("-pk",)
NEWEST = 5


@csrf_exempt  # checked below, once the files are in: who may not load is refused before any of it is read
@require_http_methods(["GET", "HEAD", "POST"])
@only(OrganisationKind.STAFF, to="estate.read")
def load_list(request: Request) -> HttpResponseBase:
    if request.method != "POST":
        return _list(request, LoadForm())
    request.actor.require("estate.load")
    limit = uploads.Limit()
    request.upload_handlers.insert(0, limit)
    with watchdog.unbounded(), outages.of_storage():
        request.POST  # noqa: B018  # reads all that is sent; the database is not needed meanwhile
    return csrf_protect(_upload)(request, is_too_large=limit.is_passed)


def _upload(request: Request, *, is_too_large: bool) -> HttpResponseBase:
    with ExitStack() as scratch:
        form = LoadForm(request.POST, request.FILES, scratch=scratch, is_too_large=is_too_large)
        with watchdog.unbounded(), outages.of_storage():
            valid = form.is_valid()  # unpacks
        if valid:
            load = imports.request(form.cleaned_data["file"], dry_run=form.is_dry, by=request.actor)
            return redirect("estate:load_detail", load.pk)
    return _list(request, form, status=422)


def _loads_text(count: int) -> str:
    return ngettext("%(n)s import", "%(n)s imports", count) % {"n": counted(count)}


def _list(request: Request, form: LoadForm, *, status: int = 200) -> HttpResponse:
    loads = Import.objects.select_related("asked_by").defer("errors")
    context = {
        **Listing(request, loads, order=ORDER, count_text=_loads_text).context,
        "form": form,
        "may_load": request.actor.may("estate.load"),
        "files": [(file.name, file.header.split(",")) for file in whole.files()],
        "kept_days": KEPT.days,
    }
    return render(request, "imports/load_list.html", context, status=status)


@require_safe
@only(OrganisationKind.STAFF, to="estate.read")
def load_detail(request: Request, load_id: int) -> HttpResponseBase:
    """What came of a load, or how far it is; the rows that failed as a file."""
    load = _load(load_id)
    if wants_csv(request):
        name = _("failed-rows")
        return csv_file(f"{name}-{load.pk}", RowError._fields, _all_errors(load))
    return _detail(request, load)


def _load(load_id: int) -> Import:
    load = Import.objects.select_related("asked_by", "tried", "loaded").filter(pk=load_id).first()
    if load is None:
        raise NotFound("not_found", _("We could not find this import."))
    return load


def _detail(request: Request, load: Import, *, refused: Refused | None = None, status: int = 200) -> HttpResponse:
    may_load = request.actor.may("estate.load")
    is_kept = load.dry_run and load.is_over and Import.objects.needing_files().filter(pk=load.pk).exists()
    total = load.total
    events = Event.objects.filter(object_kind="load", object_id=str(load.pk))
    context: dict[str, Any] = {
        "load": load,
        "total": total,
        "seconds": number_text(load.seconds, 1),
        "rate": total.rows / load.seconds if load.seconds else None,
        "others_run": load.status == Import.Status.QUEUED
        and Import.objects.filter(status=Import.Status.RUNNING).exists(),
        "may_cancel": may_load and load.status == Import.Status.QUEUED,
        "may_load": may_load and is_kept,
        "is_kept": is_kept,
        "events": events.newest_first()[:NEWEST],
        "refused": refused,
    }
    return render_page(request, "imports/load_detail.html", context, part="report", status=status)


def _all_errors(load: Import) -> Iterator[list[str]]:
    """Opened now, so that a storage that is away is an answer of its own; read as it is sent."""
    if not load.errors_file:
        return iter([])
    try:
        with outages.of_storage():
            kept = storages["default"].open(load.errors_file)
    except FileNotFoundError:
        raise NotFound("not_found", _("The file with these rows is no longer available.")) from None

    def rows() -> Iterator[list[str]]:
        with kept, io.TextIOWrapper(kept, encoding="utf-8", newline="") as lines:
            reader = csv.reader(lines)
            next(reader)
            yield from reader

    return rows()


@posted("estate:load_detail")
@only(OrganisationKind.STAFF, to="estate.load")
def load_tried(request: Request, load_id: int) -> HttpResponseBase:
    """Loads the files of a dry run."""
    sent = submit(None, lambda: imports.load_tried(load_id, by=request.actor))
    if sent.is_done:
        return redirect("estate:load_detail", sent.result.pk)
    return _detail(request, _load(load_id), refused=sent.refused, status=sent.status)


@posted("estate:load_detail")
@only(OrganisationKind.STAFF, to="estate.load")
def load_cancel(request: Request, load_id: int) -> HttpResponseBase:
    sent = submit(None, lambda: imports.cancel(load_id, by=request.actor))
    if not sent.is_done:
        return _detail(request, _load(load_id), refused=sent.refused, status=sent.status)
    messages.success(request, _("Import cancelled. Nothing was imported, and the files have been deleted."))
    return redirect("estate:load_detail", load_id)
