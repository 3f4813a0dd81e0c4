"""Mappings: how a file of another program becomes files of an estate.

A mapping is a file of YAML, described in docs/estates.md; those in `profiles` are known by the columns of a file. Each
line of the source becomes the line with the same number, so that what is refused is found in the source. A line
that is left out becomes an empty one.
"""

from __future__ import annotations

import csv
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as MappingOf
from contextlib import suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from por.errors import Refused
from por.imports import values
from por.imports.opening import Columns, Opened, columns_in
from por.imports.reading import Cells, Unfit

PROFILES = Path(__file__).with_name("profiles")
#: What PowerShell and others write for a value that is a list or an object.
OBJECTS = ("System.", "Microsoft.", "[object ")
NO_GUID = re.compile(r"\{?0{8}(-?0{4}){3}-?0{12}\}?")
MOST_DAYS = 1000


class Mapping:
    """A mapping. Its parts are those of its file; Refused is raised if they make no mapping."""

    def __init__(self, name: str, given: Any) -> None:
        if fault := _fault(given):
            raise _no_mapping(name, fault)
        self.name = name
        self.title: str = given.get("title", name)
        self.recognise: list[str] = given["recognise"]
        #: What the rows need and the file does not say, unless it has the column named here.
        self.needs: dict[str, str | None] = given.get("needs", {})
        self.files: dict[str, dict[str, Any]] = given["files"]
        self._words = {
            column: {values.normal(str(word)): value for value, several in words.items() for word in several}
            for column, words in given.get("words", {}).items()
        }

    def source(self, ours: MappingOf[str, Columns]) -> Columns:
        """Return the columns of the source; which of them have numbers and days is told by those of our files."""
        every: list[str] = [*self.recognise, *filter(None, self.needs.values())]
        numbers, days = [], []
        for file, part in self.files.items():
            every += [*part.get("filled", ()), *part.get("leave_out", ()), *part.get("each", ())]
            if newest := part.get("newest"):
                every.append(newest)
                days.append(newest)
            for column, rule in part["columns"].items():
                every += [*_sources(rule), *(rule[test]["column"] for test in _tests(rule))]
                numbers += _sources(rule) if column in ours[file].numbers else []
                days += _sources(rule) if column in ours[file].days else []
        return Columns(tuple(dict.fromkeys(every)), self.recognise, numbers, days, may_resemble=True)

    def fits(self, path: Path) -> bool:
        """Return whether the first line of a file has the columns by which the mapping is known."""
        columns = Columns(tuple(self.recognise), self.recognise, may_resemble=True)
        with path.open("rb") as file:
            return columns_in(file, columns) > 0

    def word(self, column: str, text: str) -> str:
        """Return our value for a word that the mapping itself explains; any other text as it is."""
        return str(self._words.get(column, {}).get(values.normal(text), text))


def read(path: Path) -> Mapping:
    """Return the mapping in a file. Raises Refused if it is none."""
    try:
        return Mapping(path.name, yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _no_mapping(path.name, str(error)) from None


@cache
def profiles() -> Sequence[Mapping]:
    """Return the mappings that the product brings."""
    return [read(path) for path in sorted(PROFILES.glob("*.yaml"))]


class Source:
    """A file of another program, its mapping, and what was told about its rows."""

    def __init__(self, path: Path, mapping: Mapping, told: MappingOf[str, str], ours: MappingOf[str, Columns]) -> None:
        """`ours` are the columns of our files. Raises Refused if the mapping is for a file that is not one of them."""
        self.path = path
        self.mapping = mapping
        self.told = told
        for file, part in mapping.files.items():
            if file not in ours or any(column not in ours[file].every for column in part["columns"]):
                raise _no_mapping(mapping.name, file)
        self.ours = ours
        self.columns = mapping.source(ours)

    def check_told(self) -> None:
        """Raise Refused if the rows need something that neither the file nor anybody says."""
        for name, column in self.mapping.needs.items():
            with self.path.open("rb") as file:
                is_there = column and columns_in(file, Columns([column], [column], may_resemble=True))
            if not is_there and not self.told.get(name):
                text = _("%(file)s does not say the %(name)s of its rows. Give it with --set %(name)s=VALUE.")
                raise Refused("not_told", text % {"file": self.path.name, "name": name})

    def write(self, file: str, place: Path, refuse: Callable[[int, Sequence[Unfit]], None]) -> list[str]:
        """Write a file of an estate; return notes about what was left out. Refuse lines that cannot be read."""
        part = self.mapping.files[file]
        left_out: Counter[str] = Counter()
        with (
            Opened(self.path, self.columns) as opened,
            place.open("w", encoding="utf-8", newline="") as to,
        ):
            chosen = self._chosen(opened, part) if "each" in part else None
            rows = csv.writer(to, lineterminator="\n")
            to.write("\n" * (opened.header.lines - 1))
            rows.writerow(part["columns"])
            for line, cells in _rows(opened, refuse):
                why = "" if cells is None else self._why_left_out(part, cells)
                left_out.update([why] if why else [])
                is_taken = cells is not None and not why and (chosen is None or line in chosen)
                row = self._row(file, cells, line, refuse) if cells is not None and is_taken else None
                if row is None:
                    to.write("\n")
                else:
                    rows.writerow(row)
        return _notes(self.path.name, file, left_out)

    @property
    def names(self) -> list[str]:
        """Return the names under which its rows are reported."""
        return [self.name_of(file) for file in self.mapping.files]

    def name_of(self, file: str) -> str:
        return f"{self.path.name} → {file}"

    def notes(self) -> list[str]:
        """Return what people should know of the file as a whole: its mapping, and columns that nothing was made of."""
        given = {"file": self.path.name, "title": self.mapping.title, "columns": ", ".join(self._without_home())}
        notes = [_("%(file)s is read as: %(title)s.") % given]
        if given["columns"]:
            notes.append(_("Columns of %(file)s that have no home here: %(columns)s.") % given)
        return notes

    def _without_home(self) -> list[str]:
        """Return the columns of the file that the mapping does not use."""
        with Opened(self.path, self.columns) as opened:
            return list(opened.header.ignored)

    def _row(
        self,
        file: str,
        cells: Cells,
        line: int,
        refuse: Callable[[int, Sequence[Unfit]], None],
    ) -> list[str] | None:
        """Return the cells of a row; None if it was refused, because a day or a number in it cannot be told."""
        row, faults = [], []
        for column, rule in self.mapping.files[file]["columns"].items():
            try:
                row.append(self._value(cells, column, rule, self.ours[file]))
            except Unfit as fault:
                fault.value = cells.written(fault.column)
                faults.append(fault)
        if faults:
            refuse(line, faults)
        return None if faults else row

    def _why_left_out(self, part: dict[str, Any], cells: Cells) -> str:
        """Return why a row is none of the file, for people; "" if it is one."""
        for column, table in part.get("leave_out", {}).items():
            if values.has_no_row(table, cells.written(column)):  # such as "None"
                return f"{column} {cells.written(column)}"
        for column in part.get("filled", ()):
            if not _given(cells, column):
                return _("no %(column)s") % {"column": column}
        return ""

    def _chosen(self, opened: Opened, part: dict[str, Any]) -> _Lines:
        """Return the one line of each: the newest, or the first."""
        chosen = _Lines()
        for line, cells in _rows(opened, lambda _line, _faults: None):
            if cells is not None and not self._why_left_out(part, cells):
                day = ""
                with suppress(Unfit):  # a day that cannot be told is older than any other
                    day = str(cells.day(part["newest"]) or "") if "newest" in part else ""
                chosen.add("\0".join(_given(cells, column).casefold() for column in part["each"]), day, line)
        return chosen

    def _value(self, cells: Cells, column: str, rule: Any, ours: Columns) -> str:
        """Return the cell of a column. Raises Unfit for a day or a number that cannot be told."""
        details = rule if isinstance(rule, dict) else {}
        for test in _tests(rule):
            found = self.mapping.word(column, _given(cells, details[test]["column"]))
            word = values.meaning(details[test].get("table", ""), found, ())
            if ((word.value if word and word.is_sure else found) in details[test]["is"]) != (test == "only_if"):
                return ""
        name = next((one for one in _sources(rule) if _given(cells, one)), None)
        if name is None:
            constant = str(details.get("value", ""))
            return self.told.get(constant[1:], "") if constant.startswith("$") else constant
        if column in ours.days:
            day = cells.day(name)
            return (day + timedelta(days=details.get("plus_days", 0))).isoformat() if day else ""
        if column in ours.numbers:
            number = cells.money(name)
            return "" if number is None else f"{number:f}"
        text = self.mapping.word(column, _given(cells, name))
        if "sure" in details and not ((word := values.meaning(details["sure"], text, (text,))) and word.is_sure):
            return ""
        return text


class _Lines:
    """The chosen line of each key. They are kept on disk, because a file may have millions."""

    def __init__(self) -> None:
        self._kept = sqlite3.connect("")
        self._kept.execute("CREATE TABLE chosen (key TEXT PRIMARY KEY, day TEXT, line INTEGER)")
        self._kept.execute("CREATE INDEX by_line ON chosen (line)")

    def add(self, key: str, day: str, line: int) -> None:
        self._kept.execute(
            "INSERT INTO chosen VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE"
            " SET day = excluded.day, line = excluded.line WHERE excluded.day > day",
            (key, day, line),
        )

    def __contains__(self, line: int) -> bool:
        return self._kept.execute("SELECT 1 FROM chosen WHERE line = ?", (line,)).fetchone() is not None


def _rows(opened: Opened, refuse: Callable[[int, Sequence[Unfit]], None]) -> Iterator[tuple[int, Cells | None]]:
    """Yield each line after the header with its cells; None for an empty or refused one."""
    for line, raw in enumerate(opened.lines(), opened.header.lines + 1):
        try:
            yield line, opened.cells(line, raw)
        except Unfit as unfit:
            refuse(line, [unfit])
            yield line, None


def _given(cells: Cells, column: str) -> str:
    """Return the cell of a source; "" for what its program writes for nothing."""
    text = cells.given(column)
    return "" if text.startswith(OBJECTS) or NO_GUID.fullmatch(text) else text


def _sources(rule: Any) -> list[str]:
    """Return the columns of the source that a rule names; the first of them that is filled is taken."""
    found = rule.get("from", []) if isinstance(rule, dict) else rule
    return [found] if isinstance(found, str) else list(found)


def _tests(rule: Any) -> list[str]:
    return [test for test in ("only_if", "unless") if isinstance(rule, dict) and test in rule]


def _fault(given: Any) -> str:
    """Return the first part of a mapping that is none, by its place; "" if all are."""
    parts = [
        ("recognise", isinstance(given, dict) and _is_names(given.get("recognise")) and given["recognise"]),
        ("title", isinstance(given, dict) and isinstance(given.get("title", ""), str)),
        (
            "needs",
            isinstance(given, dict) and _is_dict(given.get("needs", {}), lambda one: one is None or _is_name(one)),
        ),
        ("words", isinstance(given, dict) and _is_dict(given.get("words", {}), lambda one: _is_dict(one, _is_list))),
        ("files", isinstance(given, dict) and _is_dict(given.get("files"), _is_file) and given["files"]),
    ]
    wrong = [name for name, is_right in parts if not is_right]
    unknown = [str(name) for name in given if name not in dict(parts)] if isinstance(given, dict) else []
    return next(iter([*wrong, *unknown]), "")


def _is_file(part: Any) -> bool:
    tests: dict[str, Callable[[Any], bool]] = {
        "columns": lambda one: bool(one) and _is_dict(one, _is_rule),
        "filled": _is_names,
        "leave_out": lambda one: _is_dict(one, values.is_table),
        "each": _is_names,
        "newest": _is_name,
    }
    return "columns" in part and _is_made_of(part, tests) if isinstance(part, dict) else False


def _is_rule(rule: Any) -> bool:
    if not isinstance(rule, dict):
        return _is_name(rule) or _is_names(rule)
    tests: dict[str, Callable[[Any], bool]] = {
        "from": lambda one: _is_name(one) or _is_names(one),
        "value": lambda one: isinstance(one, str | int),
        "plus_days": lambda one: isinstance(one, int) and abs(one) < MOST_DAYS,
        "sure": values.is_table,
        "only_if": _is_test,
        "unless": _is_test,
    }
    return _is_made_of(rule, tests)


def _is_test(test: Any) -> bool:
    tests: dict[str, Callable[[Any], bool]] = {"column": _is_name, "is": _is_list, "table": values.is_table}
    return isinstance(test, dict) and {"column", "is"} <= test.keys() and _is_made_of(test, tests)


def _is_made_of(part: dict[Any, Any], tests: dict[str, Callable[[Any], bool]]) -> bool:
    return all(name in tests and tests[name](one) for name, one in part.items())


def _is_dict(part: Any, is_right: Callable[[Any], bool]) -> bool:
    return isinstance(part, dict) and all(_is_name(name) and is_right(one) for name, one in part.items())


def _is_list(part: Any) -> bool:
    return isinstance(part, list)


def _is_names(part: Any) -> bool:
    return isinstance(part, list) and all(map(_is_name, part))


def _is_name(part: Any) -> bool:
    return isinstance(part, str) and bool(part)


def _no_mapping(name: str, why: str) -> Refused:
    return Refused(
        "no_mapping", _("%(name)s is not a mapping. Correct this part: %(why)s.") % {"name": name, "why": why}
    )


def _notes(source: str, file: str, left_out: Counter[str]) -> list[str]:
    if not left_out:
        return []
    text = ngettext(
        "%(count)s row of %(source)s has no row in %(file)s: %(why)s.",
        "%(count)s rows of %(source)s have no row in %(file)s: %(why)s.",
        left_out.total(),
    )
    why = ", ".join(f"{reason} ({count})" for reason, count in left_out.most_common(10))
    return [text % {"count": left_out.total(), "source": source, "file": file, "why": why}]
