"""The files of other programs in an import. Each has an entry in `Import.sources`, with the mapping that reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import IO, TypedDict

import yaml
from django.db.models import QuerySet

from por.imports import values, whole
from por.imports.mapping import Mapping, Source, best, parse, profiles, sources_of
from por.imports.mapping_shape import MOST_TITLES
from por.imports.models import KeptMapping
from por.imports.opening import Columns, Opened, columns_in
from por.imports.reading import Unfit
from por.imports.sampling import Table, beginning_of, left_open, likely, likely_of

#: The name of such a file in the storage, by its number.
STORED = "other-{}.csv"


class Entry(TypedDict):
    shown: str  # the name that people gave the file
    mapping: str  # the text of the mapping, as it was when it was chosen; "" until there is one
    told: dict[str, str]  # what somebody said about the rows
    is_settled: bool  # whether nothing is left to ask


def new_entry(file: IO[bytes], shown: str, ours: str = "") -> Entry:
    """Return the entry of an uploaded file, with the mapping by which it is known, if there is one.

    `ours` is its name, if it is a file of ours in another encoding than Unicode: then its columns are ours already.
    """
    mapping = known_by(file) if not ours else None
    with beginning_of(file) as path:
        text = mapping.text if mapping else _of_ours(path, ours) if ours else ""
        entry = Entry(shown=shown, mapping=text, told={}, is_settled=False)
        if mapping is not None:
            entry["is_settled"] = not lacking(path, mapping) and not unclear(path, mapping)
    return entry


def _of_ours(path: Path, ours: str) -> str:
    """Return the text of a mapping by which the columns of a file stay what they are; "" if it has not all it needs."""
    columns = whole.columns()[ours]
    try:
        with Opened(path, replace(columns, encoding=likely_of(path))) as opened:
            found = [name for name in opened.header.columns if name]
    except Unfit:
        return ""
    part = {"columns": {name: name for name in found}}
    return yaml.safe_dump({"title": ours, "recognise": found, "files": {ours: part}}, sort_keys=False)


def known_by(file: IO[bytes]) -> Mapping | None:
    """Return the mapping that knows most columns of a file; of equal ones the newest that people keep, then ours."""
    encoding = likely(file)
    fitting = [parse(one.name, one.text) for one in _kept() if _may_have(file, one.recognise, encoding)]
    return best(file, [*fitting, *profiles()], encoding)


def _may_have(file: IO[bytes], names: list[str], encoding: str) -> bool:
    """Return whether the file may have these columns. Only then the text of the mapping is read."""
    wanted = Columns(tuple(names), names, may_resemble=True, encoding=encoding, header_line=MOST_TITLES)
    return columns_in(file, wanted) > 0


def kept_mappings() -> list[Mapping]:
    """Return the mappings that people keep, the newest first."""
    return [parse(one.name, one.text) for one in _kept()]


def _kept() -> QuerySet[KeptMapping]:
    return KeptMapping.objects.order_by("-changed_at", "-pk")


def lacking(path: Path, mapping: Mapping) -> dict[str, str]:
    """Return what is to be asked about the rows of a file, each with an example of a cell.

    That is its encoding, if it is not in Unicode and the mapping does not tell it, what the rows need and the file does
    not say, and how numbers and days are written if its cells do not tell.
    """
    with path.open("rb") as file:
        encoding = "" if mapping.encoding else likely(file)
        needed = dict.fromkeys(mapping.lacks(file, {}), "")
    asked = {"encoding": encoding} if encoding else {}
    return asked | needed | left_open(path, mapping.source(whole.columns(), asked))


def unclear(path: Path, mapping: Mapping, *, with_empty: bool = False) -> dict[tuple[str, str], list[str]]:
    """Return the values of a file that are none of ours for certain: by our file and column.

    A column that is left empty unless its value is certain has none, except `with_empty`.
    """
    ours, table = whole.columns(), Table(path, encoding=mapping.encoding)
    found: dict[tuple[str, str], list[str]] = {}
    for file, part in mapping.files.items():
        for column, rule in part["columns"].items():
            is_asked = column in ours[file].closed and (with_empty or not (isinstance(rule, dict) and "sure" in rule))
            for source in sources_of(rule) if is_asked else ():
                texts = [text for text in table.values_of(source) if not _is_clear(text, mapping, file, column, source)]
                if texts:
                    found[file, column] = found.get((file, column), []) + texts
    return found


def _is_clear(text: str, mapping: Mapping, file: str, column: str, source: str) -> bool:
    allowed, table = whole.columns()[file].closed[column]
    left_out = mapping.files[file].get("leave_out", {})
    word = mapping.word(file, column, text)
    if values.is_empty(text) or word in allowed or not word:
        return True
    if source in left_out and values.has_no_row(left_out[source], text):
        return True
    found = values.meaning(table, word, allowed)
    return found is not None and found.is_sure and found.value in allowed


def opened(path: Path, entry: Entry) -> Source:
    """Return the file with its mapping, to be imported."""
    return whole.source(path, parse(entry["shown"], entry["mapping"]), entry["told"], entry["shown"])
