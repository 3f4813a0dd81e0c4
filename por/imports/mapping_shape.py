"""The shape of a mapping: which parts it may have, and what they are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from por.imports import values
from por.imports.formats import ENCODINGS, WRITTEN

MOST_DAYS = 1000
#: The last line that may have the names of the columns.
MOST_TITLES = 100


def fault(given: Any) -> str:
    """Return the first part of a mapping that is none, by its place; "" if all are."""
    parts = [
        ("recognise", isinstance(given, dict) and _is_names(given.get("recognise")) and given["recognise"]),
        ("title", isinstance(given, dict) and isinstance(given.get("title", ""), str)),
        (
            "needs",
            isinstance(given, dict) and _is_dict(given.get("needs", {}), lambda one: one is None or _is_name(one)),
        ),
        ("words", isinstance(given, dict) and _is_dict(given.get("words", {}), _is_words)),
        ("encoding", isinstance(given, dict) and given.get("encoding", "") in ("", *ENCODINGS)),
        ("header_line", isinstance(given, dict) and _is_line(given.get("header_line", 0))),
        ("formats", isinstance(given, dict) and _is_formats(given.get("formats", {}))),
        ("files", isinstance(given, dict) and _is_dict(given.get("files"), _is_file) and given["files"]),
    ]
    wrong = [name for name, is_right in parts if not is_right]
    unknown = [str(name) for name in given if name not in dict(parts)] if isinstance(given, dict) else []
    return next(iter([*wrong, *unknown]), "")


def _is_line(line: Any) -> bool:
    return type(line) is int and 0 <= line <= MOST_TITLES


def _is_file(part: Any) -> bool:
    tests: dict[str, Callable[[Any], bool]] = {
        "columns": lambda one: bool(one) and _is_dict(one, _is_rule),
        "filled": _is_names,
        "leave_out": lambda one: _is_dict(one, lambda words: values.is_table(words) or _is_names(words)),
        "each": _is_names,
        "newest": _is_name,
        "oldest": _is_name,
        "at_latest": lambda one: one is True,
        "complete": lambda one: one is True,
        "sum": lambda one: _is_names(one) and set(one) <= part["columns"].keys(),
    }
    return "columns" in part and _is_made_of(part, tests) if isinstance(part, dict) else False


def _is_rule(rule: Any) -> bool:
    if not isinstance(rule, dict):
        return _is_name(rule) or _is_names(rule)
    tests: dict[str, Callable[[Any], bool]] = {
        "from": lambda one: _is_name(one) or _is_names(one),
        "value": lambda one: isinstance(one, str | int),
        "not_before": _is_name,
        "whole_month": lambda one: isinstance(one, bool),
        "plus_days": lambda one: isinstance(one, int) and abs(one) < MOST_DAYS,
        "words": _is_words,
        "sure": values.is_table,
        "only_if": _is_test,
        "unless": _is_test,
    }
    return _is_made_of(rule, tests)


def _is_words(words: Any) -> bool:
    """Return whether this lists words for our values. The value "" means that they say nothing."""
    return isinstance(words, dict) and all(
        isinstance(value, str) and _is_list(several) for value, several in words.items()
    )


def _is_formats(formats: Any) -> bool:
    return isinstance(formats, dict) and all(formats[name] in WRITTEN.get(name, ()) for name in formats)


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
