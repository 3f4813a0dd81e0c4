"""The words that other programs write for values of ours (values.yaml), and the texts that mean nothing is known."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from babel import Locale

_SKIPPED = re.compile(r"[\s_.\-\u00ad\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]+")


class Word(NamedTuple):
    """The meaning of a word: a value of ours; or, if `is_sure` is false, the likeliest one of several, or none."""

    value: str
    is_sure: bool


def normal(text: str) -> str:
    """Return the text as words are compared: without case, blanks, hyphens, underscores, dots and invisible marks."""
    return _SKIPPED.sub("", text.casefold())


def is_empty(text: str) -> bool:
    """Return whether a cell says that nothing is known: it is empty, or holds a word such as NULL or N/A."""
    return not text or normal(text) in _empty()


def is_zero(text: str) -> bool:
    """Return whether an ID is one that programs write for "none": 0, -1, or the GUID of zeros."""
    return text in _tables()["zeros"]


def is_no_day(text: str) -> bool:
    return text.casefold() in _tables()["no_day"]


def is_table(name: object) -> bool:
    found = _tables().get(name) if isinstance(name, str) else None
    return isinstance(found, dict) and "values" in found


def has_no_row(words: str | Sequence[str], text: str) -> bool:
    """Return whether a word stands for something that has no row here, such as a subscription that is pending.

    The words are those of a table, or given.
    """
    return normal(text) in map(normal, no_row(words) if isinstance(words, str) else words)


def no_row(table: str) -> Sequence[str]:
    """Return the words of a table that stand for something that has no row here."""
    words: Sequence[str] = _tables()[table].get("no_row", ())
    return words


def meaning(table: str, text: str, allowed: Collection[str]) -> Word | None:
    """Return what the text means by a table, or by its likeness to an allowed value; None if nothing is known of it.

    A table that holds a word under `ask` is asked first: "Expired" is not the same in all programs.
    """
    given = normal(text)
    words = _words(table) if table else {}
    if given in words:
        return words[given]
    for value in allowed:
        if normal(value) == given:
            return Word(value, True)
    return _contained(table, text.casefold()) if table else None


@cache
def headers() -> Mapping[str, Sequence[str]]:
    """Return what other programs call our columns. It is good for a guess only: one name can mean two things."""
    named: Mapping[str, Sequence[str]] = _tables()["headers"]
    return {column: [normal(name) for name in names] for column, names in named.items()}


@cache
def currencies() -> frozenset[str]:
    """Return the codes of all currencies, of past ones too; not those that stand for none, and for tests."""
    return frozenset(Locale("en").currencies) - {"XXX", "XTS"}


@cache
def _tables() -> dict[str, Any]:
    tables: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("values.yaml").read_text(encoding="utf-8"))
    return tables


@cache
def _empty() -> frozenset[str]:
    return frozenset(("", *map(normal, _tables()["empty"])))


@cache
def _words(table: str) -> Mapping[str, Word]:
    given = _tables()[table]
    words = _countries() if table == "market" else {}
    words |= {normal(word): Word(value, True) for value, several in given["values"].items() for word in several}
    words |= {normal(word): Word("", False) for word in given.get("no_row", ())}
    return words | {normal(word): Word(value, False) for word, value in given.get("ask", {}).items()}


def _countries() -> dict[str, Word]:
    """Return the names of all countries in English, Swedish and German, as Unicode has them.

    None of them is another country in another of these languages.
    """
    named = [pair for language in ("en", "sv", "de") for pair in Locale(language).territories.items()]
    return {normal(name): Word(code, True) for code, name in named if len(code) == 2 and code.isalpha()}


def _contained(table: str, text: str) -> Word | None:
    """Return the value whose part is in the text, which is a longer name; "ask" goes before."""
    given = _tables()[table]
    parts: Mapping[str, list[str]] = given.get("contains", {})
    if not parts:
        return None
    for word, value in given["ask"].items():
        if re.search(rf"\b{re.escape(word.casefold())}\b", text):
            return Word(value, False)
    for value, several in parts.items():
        if any(part in text for part in several) and not any(
            part in text for part in given.get("except", {}).get(value, ())
        ):
            return Word(value, True)
    return None
