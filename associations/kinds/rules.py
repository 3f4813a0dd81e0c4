"""Dated statements of files: each with its source and how sure it is. The files are checked when they are read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Generic, TypeVar

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

NOT_PUBLISHED = _("Not published")


class Status(TextChoices):
    """How sure a statement is."""

    OFFICIAL = "official", _("Official")
    SECONDARY = "secondary", _("Secondary source")
    INFERRED = "inferred", _("Our interpretation")
    OURS = "ours", _("Our own rule")
    UNKNOWN = "unknown", NOT_PUBLISHED


Says = TypeVar("Says", covariant=True)


@dataclass(frozen=True)
class Dated(Generic[Says]):
    """What is valid from a day on, with its source; without a day, it is valid from the beginning."""

    says: Says
    since: date | None
    source: str
    status: Status


Statement = TypeVar("Statement", bound=Dated[Any])
Choice = TypeVar("Choice", bound=TextChoices)
Read = TypeVar("Read")


def in_force(statements: Iterable[Statement], day: date) -> Statement | None:
    """Return the newest of the statements, oldest first, that is valid on a day; None if none is yet."""
    valid = [one for one in statements if one.since is None or one.since <= day]
    return valid[-1] if valid else None


def dated(where: str, entries: Any, read: Callable[[Any], Read]) -> list[Dated[Read]]:
    """Return the statements in a list of a file, oldest first. Raises ValueError that names the entry and key."""
    found: list[Dated[Read]] = []
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{where}: {entries!r} is no list of entries")
    for number, entry in enumerate(entries, 1):
        place = f"{where}: entry {number}"
        if isinstance(entry, dict):
            entry = {"since": None} | entry
        same_names(place, entry, ["since", "says", "source", "status"])
        since = entry["since"]
        if since is not None and type(since) is not date:
            raise ValueError(f"{place}: since: {since!r} is no date")
        before = found[-1] if found else None
        if before is not None and (since is None or (before.since is not None and since <= before.since)):
            raise ValueError(f"{place}: since is no day after that of the entry before")
        for key, reader in (("says", read), ("status", word(Status))):
            try:
                entry[key] = reader(entry[key])
            except ValueError as error:
                raise ValueError(f"{place}: {key}: {error}") from error
        if not isinstance(entry["source"], str) or not entry["source"]:
            raise ValueError(f"{place}: source: {entry['source']!r} is no text")
        found.append(Dated(**entry))
    return found


def word(choices: type[Choice]) -> Callable[[Any], Choice]:
    """Return what reads a word of a closed list."""

    def read(value: Any) -> Choice:
        if value not in choices.values:
            raise ValueError(f"{value!r} is none of {', '.join(choices.values)}")
        return choices(value)

    return read


def words(choices: type[Choice]) -> Callable[[Any], tuple[Choice, ...]]:
    """Return what reads a list of different words of a closed list."""

    def read(value: Any) -> tuple[Choice, ...]:
        if not isinstance(value, list) or not value:
            raise ValueError(f"{value!r} is no list of words")
        found = tuple(map(word(choices), value))
        if len(set(found)) < len(found):
            raise ValueError("a word is there twice")
        return found

    return read


def same_names(where: str, given: Any, wanted: Collection[str]) -> None:
    """Raise ValueError if something in a file has not exactly these names."""
    if not isinstance(given, dict):
        raise ValueError(f"{where}: {given!r} has no names")
    if unknown := given.keys() - set(wanted):
        raise ValueError(f"{where}: {min(unknown)} is not known")
    if missing := set(wanted) - given.keys():
        raise ValueError(f"{where}: {min(missing)} is missing")
