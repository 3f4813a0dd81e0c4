"""Mapping the files of other programs in the browser, and the mappings that are kept for the next time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from django.contrib import messages
from django.core.files.storage import storages
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.rules import OrganisationKind, Right
from por.db import outages
from por.errors import NotFound, Refused
from por.history.models import Event
from por.imports import whole
from por.imports.actions import mappings
from por.imports.building import chosen_before, table_of, text_of, with_words
from por.imports.loading import File
from por.imports.mapping import Mapping, parse, profiles
from por.imports.mapping_forms import ColumnsForm, TextForm, ToldForm, ValuesForm
from por.imports.mapping_shape import MOST_TITLES
from por.imports.models import Import, KeptMapping
from por.imports.reading import Unfit
from por.imports.rules import CELL_SHOWN, COLUMNS_SHOWN, ROWS_SHOWN
from por.imports.sampling import Table, beginning_of, encodings_of
from por.imports.sources import Entry, lacking, unclear
from por.imports.views.loads import next_page
from por.web.pages import posted, submit

NEWEST = 5
LINE_SHOWN = 100  # characters of a line that may have the names of the columns


class Mapped(NamedTuple):
    """A file of an import, and the beginning of it as a file of its own."""

    import_: Import
    number: int
    entry: Entry
    path: Path
    table: Table
    encodings: dict[str, str]  # those in which the file may be, if it is not in Unicode

    @property
    def mapping(self) -> Mapping | None:
        return parse(self.entry["shown"], self.entry["mapping"]) if self.entry["mapping"] else None

    def context(self, **more: Any) -> dict[str, Any]:
        rows = [[cell[:CELL_SHOWN] for cell in row[:COLUMNS_SHOWN]] for row in _first(self.table.rows(), ROWS_SHOWN)]
        return {
            "import": self.import_,
            "number": self.number,
            "shown": self.entry["shown"],
            "names": [name[:CELL_SHOWN] for name in self.table.names[:COLUMNS_SHOWN]],
            "hidden_columns": max(0, len(self.table.names) - COLUMNS_SHOWN),
            "rows": rows,
            "first_lines": [(number, line[:LINE_SHOWN]) for number, line in self.table.first_lines],
            "header_line": self.table.header_line,
            "mapping": self.mapping,
            "files": whole.files(),
            **more,
        }


@require_http_methods(["GET", "HEAD", "POST"])
@only(OrganisationKind.STAFF, to=Right.IMPORT)
def mapping_edit(request: Request, import_id: int, number: int) -> HttpResponseBase:
    """Show the first rows of a file, and ask how it is to be read: by a known mapping, or column by column."""
    with _opened(import_id, number, request) as file:
        to = next((one for one in whole.files() if one.name == request.GET.get("to")), None)
        if to is not None:
            return _columns(request, file, to)
        return _told(request, file)


@contextmanager
def _opened(import_id: int, number: int, request: Request) -> Iterator[Mapped]:
    """Yield a file of an import. Raises NotFound if there is none, or its import does not wait for anything.

    It is shown as the reader has chosen: its encoding, and the line with the names of its columns.
    """
    gone = NotFound("not_found", _("We could not find this file. Upload it again."))
    import_ = Import.objects.needing_files().filter(pk=import_id).first()
    if import_ is None or not import_.dry_run or not 1 <= number <= len(import_.sources):
        raise gone
    name, entry = list(import_.sources.items())[number - 1]
    with outages.of_storage():
        try:
            stored: IO[bytes] = storages["default"].open(f"{import_.folder}/{name}")
        except FileNotFoundError:
            raise gone from None
        with stored, beginning_of(stored) as path:
            encodings = encodings_of(stored)
            mapping = parse(entry["shown"], entry["mapping"]) if entry["mapping"] else None
            chosen = request.POST.get("encoding") or (mapping.encoding if mapping else "")
            line = _number(request.GET.get("header", ""))
            try:
                table = Table(
                    path,
                    encoding=chosen if chosen in encodings else "",
                    header_line=line if line <= MOST_TITLES else 0,
                )
            except Unfit:
                raise gone from None
            yield Mapped(import_, number, entry, path, table, encodings)


def _told(request: Request, file: Mapped) -> HttpResponse:
    """Ask what a file with a known mapping leaves open, and which table it is if it is to be mapped by hand."""
    mapping = file.mapping
    if mapping is None:
        return render(request, "imports/mapping.html", file.context())
    asked, needed = lacking(file.path, mapping), unclear(file.path, mapping)
    every = unclear(file.path, mapping, with_empty=True)
    data = request.POST if request.method == "POST" else None
    form = ToldForm(
        data,
        asked=asked,
        unclear=every,
        optional=every.keys() - needed.keys(),
        title=mapping.title,
        encodings=file.encodings,
    )
    context = file.context(form=form, words=[(*key, fields) for key, fields in form.fields_of().items()])
    if data is None:
        return render(request, "imports/mapping.html", context)

    def tell() -> Import:
        title = form.cleaned_data.get("title", "")
        text = with_words(mapping.text, form.meant, title=title) if form.meant else ""
        return mappings.map_file(file.import_.pk, file.number, title=title, text=text, told=form.told, by=request.actor)

    sent = submit(form, tell)
    if sent.is_done:
        return redirect(next_page(sent.result))
    return render(request, "imports/mapping.html", context, status=sent.status)


def _columns(request: Request, file: Mapped, to: File[Any]) -> HttpResponse:
    """Ask for the columns of one of our tables, then for the values; then keep the mapping."""
    mapping = file.mapping
    part = mapping.files.get(to.name) if mapping else None
    before, is_whole = chosen_before(part) if part else ({}, True)
    title = mapping.title if mapping else file.entry["shown"].rpartition(".")[0]
    data = request.POST if request.method == "POST" else None
    columns = ColumnsForm(
        data,
        file=to,
        table=file.table,
        before=before,
        part=part or {},
        title=title,
        encodings=file.encodings,
        encoding=mapping.encoding if mapping else "",
    )
    context = {"to": to.name, "columns": columns, "is_simple": is_whole, "more": data is not None and "more" in data}
    if data is None or "back" in data or not columns.is_valid():
        status = 422 if data is not None and "back" not in data else 200
        return render(request, "imports/mapping_columns.html", file.context(**context), status=status)
    written = mapping.formats if mapping else {}
    is_second = "is_second" in data
    form = ValuesForm(data if is_second else None, path=file.path, columns=columns, before=before, written=written)
    context["values"] = form
    if form.fields and not (is_second and form.is_valid()):
        status = 422 if is_second else 200
        return render(request, "imports/mapping_values.html", file.context(**context), status=status)
    if not form.fields:
        form.cleaned_data = {}
    cleaned = columns.cleaned_data
    part = table_of(
        to,
        form.chosen,
        rows=cleaned["rows"],
        newest=cleaned["newest"],
        is_last_day=cleaned.get("is_last_day", False),
        is_complete=cleaned.get("is_complete", False),
    )
    text = text_of(
        mapping.text if mapping else "",
        title=cleaned["title"],
        file=to.name,
        part=part,
        formats=form.written,
        names=file.table.names,
        encoding=cleaned.get("encoding", ""),
        header_line=file.table.header_line,
    )
    sent = submit(
        columns,
        lambda: mappings.map_file(
            file.import_.pk,
            file.number,
            title=cleaned["title"],
            text=text,
            is_last="more" not in data,
            by=request.actor,
        ),
    )
    if not sent.is_done:
        return render(request, "imports/mapping_columns.html", file.context(**context), status=sent.status)
    return redirect(next_page(sent.result))


def _first(rows: Iterator[list[str]], most: int) -> Iterator[list[str]]:
    for _place, row in zip(range(most), rows, strict=False):
        yield row


@require_safe
@only(OrganisationKind.STAFF, to=Right.READ_IMPORTS)
def mapping_list(request: Request) -> HttpResponse:
    kept = KeptMapping.objects.select_related("changed_by").order_by("name")
    return render(request, "imports/mapping_list.html", {"kept": kept, "profiles": profiles()})


@require_http_methods(["GET", "HEAD", "POST"])
@only(OrganisationKind.STAFF, to=Right.READ_IMPORTS)
def mapping_detail(request: Request, mapping_id: int) -> HttpResponseBase:
    """Show a kept mapping as text, for its reader to change."""
    if request.method != "POST":
        return _detail(request, mapping_id)
    request.actor.require(Right.IMPORT)
    form = TextForm(request.POST)

    def change() -> KeptMapping:
        given = form.cleaned_data
        version = _number(given["version"])
        return mappings.keep(given["title"], given["text"], version=version, pk=mapping_id, by=request.actor)

    sent = submit(form, change, reword=_about_the_text)
    if sent.is_done:
        messages.success(request, _("Mapping saved. The next file with its columns is read by it."))
        return redirect("estate:mapping_detail", mapping_id)
    return _detail(request, mapping_id, form, status=sent.status)


def _detail(
    request: Request, mapping_id: int, form: TextForm | None = None, refused: Refused | None = None, status: int = 200
) -> HttpResponse:
    kept = KeptMapping.objects.select_related("changed_by").filter(pk=mapping_id).first()
    if kept is None:
        raise NotFound("not_found", _("We could not find this mapping."))
    context = {
        "kept": kept,
        "form": form or TextForm(initial={"title": kept.name, "text": kept.text}),
        "refused": refused,
        "may_import": request.actor.may(Right.IMPORT),
        "events": Event.objects.filter(object_kind="mapping", object_id=str(mapping_id)).newest_first()[:NEWEST],
    }
    return render(request, "imports/mapping_detail.html", context, status=status)


def _number(text: str) -> int:
    """Return a version that was sent; 0, which nothing has, if it is none."""
    return int(text) if text.isascii() and text.isdecimal() else 0


def _about_the_text(refused: Refused) -> Refused:
    return Refused(refused.code, refused.message, field="text") if refused.code == "no_mapping" else refused


@posted("estate:mapping_detail")
@only(OrganisationKind.STAFF, to=Right.IMPORT)
def mapping_remove(request: Request, mapping_id: int) -> HttpResponseBase:
    version = _number(request.POST.get("version", ""))
    try:
        sent = submit(None, lambda: mappings.remove(mapping_id, version=version, by=request.actor))
    except NotFound:  # it is removed already
        return redirect("estate:mapping_list")
    if sent.refused:
        return _detail(request, mapping_id, refused=sent.refused, status=sent.status)
    messages.success(request, _("Mapping removed. Files with its columns are no longer known by it."))
    return redirect("estate:mapping_list")
