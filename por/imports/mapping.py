"""Mappings: how a file of another program becomes files of an estate.

A mapping is a file of YAML, described in docs/estates.md; those in `profiles` are known by the columns of a file. Each
line of the source becomes the line with the same number, so that what is refused is found in the source. A line
that is left out becomes an empty one.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingOf
from contextlib import suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import IO, Any

import yaml
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from por.errors import Refused
from por.imports import values
from por.imports.formats import WRITTEN, Written
from por.imports.mapping_shape import fault
from por.imports.opening import Columns, Opened, columns_in, is_errors, split
from por.imports.picking import Lines, Sums, Unstaged
from por.imports.reading import MONTH, Cells, Unfit, guid_of

PROFILES = Path(__file__).with_name("profiles")
#: What PowerShell and others write for a value that is a list or an object.
OBJECTS = ("System.", "Microsoft.", "[object ")
NO_GUID = re.compile(r"\{?0{8}(-?0{4}){3}-?0{12}\}?")
#: The longest mapping, in characters: a hundred times one of the product.
LONGEST = 65_536


class Mapping:
    """A mapping. Its parts are those of its file; Refused is raised if they make no mapping."""

    def __init__(self, name: str, given: Any) -> None:
        if wrong := fault(given):
            raise _no_mapping(name, wrong)
        self.name = name
        self.text = ""
        self.title: str = given.get("title", name)
        self.recognise: list[str] = given["recognise"]
        #: What the rows need and the file does not say, unless it has the column named here.
        self.needs: dict[str, str | None] = given.get("needs", {})
        self.files: dict[str, dict[str, Any]] = given["files"]
        #: How its files write numbers and days, for cells that do not tell it.
        self.formats: dict[str, str] = given.get("formats", {})
        #: The encoding of its files, where that is not Unicode; and the line with the names of their columns.
        self.encoding: str = given.get("encoding", "")
        self.header_line: int = given.get("header_line", 0)
        self._words = {column: _by_word(words) for column, words in given.get("words", {}).items()}
        self._own_words = {
            (file, column): _by_word(rule["words"])
            for file, part in self.files.items()
            for column, rule in part["columns"].items()
            if isinstance(rule, dict) and "words" in rule
        }

    def check(self, ours: MappingOf[str, Columns]) -> None:
        """Raise Refused if the mapping is for a file or a column that is not one of ours."""
        for file, part in self.files.items():
            if file not in ours or any(column not in ours[file].every for column in part["columns"]):
                raise _no_mapping(self.name, file)

    def source(self, ours: MappingOf[str, Columns], told: MappingOf[str, str]) -> Columns:
        """Return the columns of the source; which of them have numbers and days is told by those of our files."""
        numbers: list[str] = []
        days: list[str] = []
        for file, part in self.files.items():
            days += filter(None, [part.get("newest"), part.get("oldest")])
            for column, rule in part["columns"].items():
                days += [rule["not_before"]] if isinstance(rule, dict) and "not_before" in rule else []
                numbers += sources_of(rule) if column in ours[file].numbers else []
                days += sources_of(rule) if column in ours[file].days else []
        every = [*self.recognise, *self.used()]
        written = Written(**{name: told.get(name) or self.formats.get(name, "") for name in WRITTEN})
        return Columns(
            tuple(dict.fromkeys(every)),
            self.recognise,
            numbers,
            days,
            may_resemble=True,
            written=written,
            encoding=told.get("encoding") or self.encoding,
            header_line=self.header_line,
        )

    def known(self, columns: Sequence[str], required: Sequence[str], encoding: str = "") -> Columns:
        """Return the columns by which a file of this mapping is known, in the encoding that was told."""
        told = encoding or self.encoding
        return Columns(tuple(columns), required, may_resemble=True, encoding=told, header_line=self.header_line)

    def used(self) -> list[str]:
        """Return the columns of the source that something is made or told of."""
        found = [*filter(None, self.needs.values())]
        for part in self.files.values():
            found += [*part.get("filled", ()), *part.get("leave_out", ()), *part.get("each", ())]
            found += filter(None, [part.get("newest"), part.get("oldest")])
            for rule in part["columns"].values():
                found += [*sources_of(rule), *(rule[test]["column"] for test in _tests(rule))]
                found += [rule["not_before"]] if isinstance(rule, dict) and "not_before" in rule else []
        return found

    def lacks(self, file: IO[bytes], told: MappingOf[str, str]) -> list[str]:
        """Return the names of what the rows need, and neither the file nor anybody says."""
        return [
            name
            for name, column in self.needs.items()
            if not told.get(name)
            and not (column and columns_in(file, self.known([column], [column], told.get("encoding", ""))))
        ]

    def word(self, file: str, column: str, text: str) -> str:
        """Return our value for a word that the mapping itself explains; any other text as it is."""
        word = values.normal(text)
        own = self._own_words.get((file, column), {})
        return str(own[word] if word in own else self._words.get(column, {}).get(word, text))


def read(path: Path) -> Mapping:
    """Return the mapping in a file. Raises Refused if it is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _no_mapping(path.name, str(error)) from None
    return parse(path.name, text)


def parse(name: str, text: str) -> Mapping:
    """Return the mapping that a text describes. Raises Refused if it describes none."""
    if len(text) > LONGEST:
        raise _no_mapping(name, _("it has more than %(most)s characters") % {"most": LONGEST})
    try:
        mapping = Mapping(name, yaml.load(text, _Loader))  # noqa: S506  # a safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _no_mapping(name, str(error)) from None
    mapping.text = text
    return mapping


class _Loader(yaml.SafeLoader):
    """The safe loader without aliases, by which a few lines can stand for millions."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(_("it has an alias (*)"))
        return super().compose_node(parent, index)


@cache
def profiles() -> Sequence[Mapping]:
    """Return the mappings that the product brings."""
    return [read(path) for path in sorted(PROFILES.glob("*.yaml"))]


def best(file: IO[bytes], mappings: Iterable[Mapping], encoding: str = "") -> Mapping | None:
    """Return the mapping that knows most columns of a file, the first of equal ones; None if none is for it."""
    known = {}
    for one in mappings:
        if count := columns_in(file, one.known((*one.recognise, *one.used()), one.recognise, encoding)):
            known[one] = count
    return max(known, key=lambda one: known[one], default=None)


class Source:
    """A file of another program, its mapping, and what was told about its rows."""

    def __init__(
        self,
        path: Path,
        mapping: Mapping,
        told: MappingOf[str, str],
        ours: MappingOf[str, Columns],
        keys: MappingOf[str, Sequence[str]],
        *,
        name: str = "",
    ) -> None:
        """`ours` are the columns of our files, `keys` those that tell their rows apart; `name` is shown to people.

        Raises Refused if the mapping is for a file that is not one of ours.
        """
        mapping.check(ours)
        self.path, self.name = path, name or path.name
        self.mapping = mapping
        self.told = told
        self.ours, self.keys = ours, keys
        self.columns = mapping.source(ours, told)

    def check_told(self) -> None:
        """Raise Refused if the rows need something that neither the file nor anybody says."""
        with self.path.open("rb") as file:
            lacking = self.mapping.lacks(file, self.told)
        if lacking:
            text = _("%(file)s does not say the %(name)s of its rows. Give it with --set %(name)s=VALUE.")
            raise Refused("not_told", text % {"file": self.name, "name": lacking[0]})

    def write(
        self,
        file: str,
        place: Path,
        refuse: Callable[[int, Sequence[Unfit]], None],
        named: tuple[str, Unstaged] | None = None,
    ) -> list[str]:
        """Write a file of an estate; return notes about what was left out. Refuse lines that cannot be read.

        `named` collects what the lines name that become no row: a column of ours, and where to add it.
        """
        part = self.mapping.files[file]
        left_out: Counter[str] = Counter()

        def unreadable(line: int, faults: Sequence[Unfit]) -> None:
            refuse(line, faults)
            if named is not None:
                named[1].unread += 1

        with (
            Opened(self.path, self.columns) as opened,
            place.open("w", encoding="utf-8", newline="") as to,
        ):
            chosen = self._chosen(opened, file, part) if "each" in part else None
            columns = self._columns_of(file, opened)
            sums = self._sums(opened, file, columns, chosen) if "sum" in part else None
            rows = csv.writer(to, lineterminator="\n")
            to.write("\n" * (opened.header.lines - 1))
            rows.writerow(columns)
            for line, cells in _rows(opened, unreadable):
                why = "" if cells is None else self._why_left_out(part, cells)
                left_out.update([why] if why else [])
                is_taken = cells is not None and not why and (chosen is None or line in chosen)
                row = self._row(file, columns, cells, line, refuse) if cells is not None and is_taken else None
                if row is not None and sums is not None:
                    try:
                        row = sums.of(line)
                    except Unfit as unfit:
                        refuse(line, [unfit])
                        row = None
                if row is None and cells is not None and named is not None:
                    about = self._value(cells, file, named[0])
                    if about or not why:  # a line that is left out because it has no ID names nothing
                        named[1].add(about)
                if row is None:
                    to.write("\n")
                else:
                    rows.writerow(row)
        return _notes(self.name, file, left_out)

    def is_complete(self, file: str) -> bool:
        """Return whether a file has all rows that there are of the customers that it names."""
        return bool(self.mapping.files[file].get("complete"))

    def knows_starts_at_latest(self, file: str) -> bool:
        """Return whether the days of a file are only the latest ones on which something can have begun."""
        return bool(self.mapping.files[file].get("at_latest"))

    @property
    def names(self) -> list[str]:
        """Return the names under which its rows are reported."""
        return [self.name_of(file) for file in self.mapping.files]

    def name_of(self, file: str) -> str:
        return f"{self.name} → {file}"

    def notes(self) -> list[str]:
        """Return what people should know of the file as a whole: its mapping, and columns that nothing was made of."""
        given = {"file": self.name, "title": self.mapping.title, "columns": ", ".join(self._without_home())}
        notes = [_("%(file)s is read as: %(title)s.") % given]
        if given["columns"]:
            notes.append(_("These columns of %(file)s are not imported: %(columns)s.") % given)
        return notes

    def _without_home(self) -> list[str]:
        """Return the columns of the file that the mapping makes nothing of, even if the file is known by them."""
        used = {values.normal(column) for column in self.mapping.used()}
        with Opened(self.path, self.columns) as opened:
            names = split(opened.head, opened.header.separator)
        return [name for name in names if name and values.normal(name) not in used and not is_errors(name)]

    def _columns_of(self, file: str, opened: Opened) -> list[str]:
        """Return our columns that are written: those that the source has, and those that each row needs.

        A column that the source does not have says nothing, so what is stored stays.
        """
        return [
            column
            for column, rule in self.mapping.files[file]["columns"].items()
            if column in self.ours[file].required
            or (isinstance(rule, dict) and "value" in rule)
            or any(source in opened.header.columns for source in sources_of(rule))
        ]

    def _row(
        self,
        file: str,
        columns: Sequence[str],
        cells: Cells,
        line: int,
        refuse: Callable[[int, Sequence[Unfit]], None],
    ) -> list[str] | None:
        """Return the cells of a row; None if it was refused, because a day or a number in it cannot be told."""
        row, faults = [], []
        for column in columns:
            try:
                row.append(self._value(cells, file, column))
            except Unfit as fault:
                fault.value = cells.written(fault.column)
                faults.append(fault)
        if faults:
            refuse(line, faults)
        return None if faults else row

    def _why_left_out(self, part: dict[str, Any], cells: Cells) -> str:
        """Return why a row is none of the file, for people; "" if it is one."""
        for column, words in part.get("leave_out", {}).items():
            if values.has_no_row(words, cells.written(column)):  # such as "None"
                return f"{column} {cells.written(column)}"
        for column in part.get("filled", ()):
            if not _given(cells, column) or values.is_zero(_given(cells, column)):
                return _("no %(column)s") % {"column": column}
        return ""

    def _chosen(self, opened: Opened, file: str, part: dict[str, Any]) -> Lines:
        """Return the one line of each: the newest, the oldest, or the first."""
        chosen = Lines(oldest="oldest" in part)
        by = part.get("newest") or part.get("oldest")
        for line, cells in _rows(opened, lambda _line, _faults: None):
            if cells is not None and not self._why_left_out(part, cells):
                day = ""
                with suppress(Unfit):  # a day that cannot be told is taken last
                    day = str(cells.day(by) or "") if by else ""
                chosen.add("\0".join(self._meant(cells, file, column) for column in part["each"]), day, line)
        return chosen

    def _meant(self, cells: Cells, file: str, column: str) -> str:
        """Return the cell of a column of the source; if it becomes one of our closed values, that value."""
        text = _given(cells, column)
        for ours, (allowed, table) in self.ours[file].closed.items():
            if column in sources_of(self.mapping.files[file]["columns"].get(ours, ())):
                word = values.meaning(table, self.mapping.word(file, ours, text), allowed)
                return word.value if word and word.is_sure else text.casefold()
        return _comparable(text)

    def _sums(self, opened: Opened, file: str, columns: Sequence[str], chosen: Lines | None) -> Sums:
        """Return one row for each key, with the sums of its rows. A row that is refused is in no sum."""
        part = self.mapping.files[file]
        sums = Sums([columns.index(column) for column in part["sum"] if column in columns])
        keys = [column for column in columns if any(column in one for one in self.keys[file])]
        for line, cells in _rows(opened, lambda _line, _faults: None):
            if cells is None or self._why_left_out(part, cells) or (chosen is not None and line not in chosen):
                continue
            with suppress(Unfit):  # a row without a key is in no sum, and refused by itself
                key = [_comparable(self._value(cells, file, name)) for name in keys]
                sums.add("\0".join(key), line, self._row(file, columns, cells, line, lambda _line, _faults: None))
        return sums

    def _value(self, cells: Cells, file: str, column: str) -> str:
        """Return the cell of a column. Raises Unfit for a day or a number that cannot be told."""
        rule, ours = self.mapping.files[file]["columns"][column], self.ours[file]
        details = rule if isinstance(rule, dict) else {}
        for test in _tests(rule):
            found = self.mapping.word(file, column, _given(cells, details[test]["column"]))
            word = values.meaning(details[test].get("table", ""), found, details[test]["is"])
            if ((word.value if word and word.is_sure else found) in details[test]["is"]) != (test == "only_if"):
                return ""
        name = next((one for one in sources_of(rule) if _given(cells, one)), None)
        if name is None:
            constant = str(details.get("value", ""))
            return self.told.get(constant[1:], "") if constant.startswith("$") else constant
        if column in ours.days:
            if column in ours.months and MONTH.fullmatch(_given(cells, name)):
                return _given(cells, name)
            day = cells.day(name)
            if day and "not_before" in details:
                day = max(day, cells.day(details["not_before"]) or day)
            if day and details.get("whole_month"):
                return f"{day:%Y-%m}"
            return (day + timedelta(days=details.get("plus_days", 0))).isoformat() if day else ""
        if column in ours.numbers:
            number = cells.money(name)
            return "" if number is None else f"{number:f}"
        text = self.mapping.word(file, column, _given(cells, name))
        if "sure" in details and not ((word := values.meaning(details["sure"], text, (text,))) and word.is_sure):
            return ""
        return text


def _rows(opened: Opened, refuse: Callable[[int, Sequence[Unfit]], None]) -> Iterator[tuple[int, Cells | None]]:
    """Yield each line after the header with its cells; None for an empty or refused one."""
    for line, raw in enumerate(opened.lines(), opened.header.lines + 1):
        try:
            yield line, opened.cells(line, raw)
        except Unfit as unfit:
            refuse(line, [unfit])
            yield line, None


def _by_word(words: MappingOf[str, Sequence[Any]]) -> dict[str, str]:
    return {values.normal(str(word)): value for value, several in words.items() for word in several}


def _given(cells: Cells, column: str) -> str:
    """Return the cell of a source; "" for what its program writes for nothing."""
    text = cells.given(column)
    return "" if text.startswith(OBJECTS) or NO_GUID.fullmatch(text) else text


def _comparable(text: str) -> str:
    """Return a part of a key, so that a GUID is the same however it is written."""
    return str(guid_of(text) or text.casefold())


def sources_of(rule: Any) -> list[str]:
    """Return the columns of the source that a rule names; the first of them that is filled is taken."""
    found = rule.get("from", []) if isinstance(rule, dict) else rule
    return [found] if isinstance(found, str) else list(found)


def _tests(rule: Any) -> list[str]:
    return [test for test in ("only_if", "unless") if isinstance(rule, dict) and test in rule]


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
