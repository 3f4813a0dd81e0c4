"""Building a mapping from what a person chose on a page, and the first guess of what to choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from por.imports import values
from por.imports.loading import File
from por.imports.mapping import sources_of

#: The choices for a value of a file, beside our values: no row comes of it; the cell is empty.
NO_ROW, EMPTY = "no row", "empty"
#: Our columns whose amounts can be added up. Those of revenue cannot: they may be in several currencies.
ADDED_UP = ("consumed_usd", "amount_usd")


@dataclass
class Chosen:
    """What a person chose for one of our columns: the column of the file, and the value where that says nothing."""

    source: str = ""
    value: str = ""
    #: By the values of the file: one of ours, NO_ROW or EMPTY.
    words: dict[str, str] = field(default_factory=dict)

    def rule(self, **more: Any) -> Any:
        """Return the rule of the column, as short as it can be written."""
        words: dict[str, list[str]] = {}
        for word, value in self.words.items():
            if value != NO_ROW:
                words.setdefault("" if value == EMPTY else value, []).append(word)
        parts = {"from": self.source, "value": self.value, "words": words} | more
        given = {name: part for name, part in parts.items() if part}
        return self.source if list(given) == ["from"] else given


def columns_of_key(file: File[Any]) -> list[str]:
    """Return our columns that tell the rows of a file apart."""
    return [column for column in file.columns.every if any(column in one for one in file.key)]


def table_of(
    file: File[Any],
    chosen: dict[str, Chosen],
    *,
    rows: str = "all",
    newest: str = "",
    is_last_day: bool = False,
    is_complete: bool = False,
) -> dict[str, Any]:
    """Return the part of a mapping for one of our files.

    `rows`: take all, one of each, the newest of each, or the sum of each. `is_last_day`: the file names the last day of
    the term, which is renewed the day after. `is_complete`: it has all rows that there are of the customers in it.
    """
    columns = {}
    for name, one in chosen.items():
        more = {
            "whole_month": name in file.columns.months and bool(one.source),
            "plus_days": 1 if name == "renews_on" and is_last_day and one.source else 0,
        }
        columns[name] = one.rule(**more)
    part: dict[str, Any] = {"complete": True} if is_complete else {}
    left_out = {
        one.source: [word for word, value in one.words.items() if value == NO_ROW]
        for one in chosen.values()
        if NO_ROW in one.words.values()
    }
    if left_out:
        part["leave_out"] = left_out
    key = list(dict.fromkeys(chosen[name].source for name in columns_of_key(file) if name in chosen))
    if rows in ("first", "newest"):
        part["each"] = [source for source in key if source]
    if rows == "newest":
        part["newest"] = newest
    if rows == "sum":
        part["sum"] = [name for name in ADDED_UP if name in columns]
    return part | {"columns": columns}


def text_of(
    base: str,
    *,
    title: str,
    file: str,
    part: dict[str, Any],
    formats: dict[str, str],
    names: Sequence[str],
    encoding: str = "",
    header_line: int = 0,
) -> str:
    """Return the text of a mapping with this part; the other files of `base` stay. `names` are the file's columns.

    `header_line` is the line in which they are. It is kept if there are titles above it.
    """
    given: dict[str, Any] = yaml.safe_load(base) if base else {}
    files = given.get("files", {}) | {file: part}
    used = {values.normal(one) for part in files.values() for one in _used(part)}
    mapping: dict[str, Any] = {
        "title": title,
        "recognise": [name for name in dict.fromkeys(names) if values.normal(name) in used and name],
        **{name: given[name] for name in ("needs", "words") if name in given},
        **({"encoding": encoding} if encoding else {}),
        **({"header_line": header_line} if header_line > 1 else {}),
        **({"formats": given.get("formats", {}) | formats} if formats or "formats" in given else {}),
        "files": files,
    }
    return yaml.safe_dump(mapping, allow_unicode=True, sort_keys=False, width=100)


def with_words(base: str, words: Mapping[tuple[str, str], Mapping[str, str]], *, title: str) -> str:
    """Return the text of a mapping that also explains these words: by the file and column that is ours."""
    given: dict[str, Any] = yaml.safe_load(base)
    for (file, column), meant in words.items():
        part = given["files"][file]
        rule = part["columns"][column]
        rule = dict(rule) if isinstance(rule, dict) else {"from": rule}
        told = {
            value: [word for word in several if str(word) not in meant]
            for value, several in rule.get("words", {}).items()
        }
        for word, value in meant.items():
            if value == NO_ROW:
                for source in sources_of(rule):
                    before = part.setdefault("leave_out", {}).get(source, [])
                    listed = values.no_row(before) if isinstance(before, str) else before
                    part["leave_out"][source] = [*listed, word]
            else:
                told.setdefault("" if value == EMPTY else value, []).append(word)
        part["columns"][column] = rule | {"words": {value: several for value, several in told.items() if several}}
    return yaml.safe_dump(given | {"title": title}, allow_unicode=True, sort_keys=False, width=100)


def _used(part: dict[str, Any]) -> list[str]:
    """Return the columns of the source that a part is made of."""
    found = [one for rule in part["columns"].values() for one in sources_of(rule)]
    return [*found, *part.get("each", ()), *filter(None, [part.get("newest")])]


def guesses(file: File[Any], names: Sequence[str]) -> dict[str, str]:
    """Return a column of the file for each of ours that one is named like. Each is guessed once."""
    free = {values.normal(name): name for name in names}
    found: dict[str, str] = {}
    for column in file.columns.every:
        for name in (values.normal(column), *values.headers().get(column, ())):
            if name in free and free[name] not in found.values():
                found[column] = free[name]
                break
    return found


def chosen_before(part: dict[str, Any]) -> tuple[dict[str, Chosen], bool]:
    """Return what a part of a mapping chooses for each column, and whether that is all that it says."""
    found, is_whole = {}, part.keys() <= {"columns", "leave_out", "each", "newest", "sum", "complete"}
    left_out = part.get("leave_out", {})
    is_whole = is_whole and all(isinstance(words, list) for words in left_out.values())
    for column, rule in part["columns"].items():
        details = rule if isinstance(rule, dict) else {}
        sources = sources_of(rule)
        one = Chosen(sources[0] if sources else "", str(details.get("value", "")))
        for value, words in details.get("words", {}).items():
            one.words |= {str(word): value or EMPTY for word in words}
        if isinstance(left_out.get(one.source), list):
            one.words |= dict.fromkeys(left_out[one.source], NO_ROW)
        known = {"from", "value", "words", "whole_month", "plus_days"}
        is_whole = is_whole and len(sources) < 2 and details.keys() <= known and not one.value.startswith("$")
        found[column] = one
    return found, is_whole
