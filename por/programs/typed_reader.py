"""Reads nodes of YAML into dataclasses. The types of the fields say how each key is written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date
from difflib import get_close_matches
from enum import Enum
from functools import cache, partial
from types import NoneType, UnionType
from typing import Any as Anything
from typing import get_args, get_origin, get_type_hints

import yaml

from por.programs.figures import Figure
from por.programs.nodes import DEEPEST, Node, RuleError, line_of, pairs, tag
from por.programs.rules import KEYS, Program

#: The most values read from one file; aliases count each time.
MOST_VALUES = 100_000
NOTHING: Mapping[str, Anything] = {}


class Recorded(Exception):
    """Something could not be read, and its errors are recorded already."""


class TypedReader:
    """Reads nodes of one file by types, and records every error. `special` has the types with a form of their own."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.errors: list[RuleError] = []
        self.lines: dict[str, int] = {}
        self.count = 0
        self.special: dict[Anything, Callable[[Node, str], Anything]] = {}

    def read(self, hint: Anything, node: Node, key: str) -> Anything:
        """Return what the node has, of the wanted type. Raises RuleError for this value, Recorded for inner ones."""
        self.bounded(node, key)
        optional = get_origin(hint) is UnionType and NoneType in get_args(hint)
        if optional and tag(node) == "null" and shape(hint) != frozenset({Figure}):
            return None
        special = self.special.get(shape(hint))
        if special is not None:
            return special(node, key)
        if get_origin(hint) is UnionType:
            (hint,) = set(get_args(hint)) - {NoneType}
            return self.read(hint, node, key)
        if get_origin(hint) is tuple:
            return self.each(get_args(hint)[0], node, key)
        if get_origin(hint) is not None:  # a Mapping
            return self.named_each(get_args(hint)[1], node, key)
        return self.filled(hint, node, key) if is_dataclass(hint) else self.scalar(hint, node, key)

    def bounded(self, node: Node, key: str) -> None:
        """Note the line of a key. Raises RuleError if there is too much, as where aliases multiply each other."""
        self.lines[key] = line_of(node)
        self.count += 1
        if self.count > MOST_VALUES or key.count(".") > DEEPEST:
            raise self.error(node, key, "there is too much in this file, or it nests too deep")

    def scalar(self, hint: Anything, node: Node, key: str) -> Anything:
        text = str(node.value) if isinstance(node, yaml.ScalarNode) else ""
        if isinstance(hint, type) and issubclass(hint, Enum):
            names = [str(one.value) for one in hint]
            if text not in names or not isinstance(node, yaml.ScalarNode):
                raise self.error(node, key, f"{said(node)} is none of {', '.join(names)}{nearest(text, names)}")
            return hint(text)
        wanted, name, read = _SCALARS[hint]
        try:
            if tag(node) == wanted:
                return read(text)
        except ValueError:
            pass
        raise self.error(node, key, f"{said(node)} is no {name}")

    def each(self, hint: Anything, node: Node, key: str) -> tuple[Anything, ...]:
        items = enumerate(self.items(node, key))
        return tuple(self.together(partial(self.read, hint, one, f"{key}.{number}") for number, one in items))

    def named_each(self, hint: Anything, node: Node, key: str) -> dict[str, Anything]:
        prefix = f"{key}." if key else ""
        entries = self.entries(node, key)
        values = self.together(partial(self.read, hint, one, f"{prefix}{name}") for name, _key, one in entries)
        return dict(zip((name for name, _key, _one in entries), values, strict=True))

    def filled(
        self,
        kind: Anything,
        node: Node,
        key: str,
        *,
        ignore: Collection[str] = (),
        given: Mapping[str, Anything] = NOTHING,
    ) -> Anything:
        """Return a dataclass from a mapping. `given` has the fields that do not stand in the mapping."""
        known = self.mapping(node, key)
        hints = _hints(kind)
        keys = {name: _key_of(kind, name) for name in hints if name not in given}
        prefix = f"{key}." if key else ""
        problems = [*self.unknown(node, key, [*keys.values(), *ignore])]
        problems += [
            self.error(node, f"{prefix}{keys[name]}", "it is missing")
            for name in _needed(kind) - set(given)
            if keys[name] not in known
        ]
        self.errors += problems
        present = [name for name in keys if keys[name] in known]
        values = self.together(
            partial(self.read, hints[name], known[keys[name]], f"{prefix}{keys[name]}") for name in present
        )
        if problems:
            raise Recorded
        return kind(**given, **dict(zip(present, values, strict=True)))

    def together(self, reads: Iterable[Callable[[], Anything]]) -> list[Anything]:
        """Return what all read, after all were tried. Raises Recorded if one failed."""
        found, bad = [], False
        for read in reads:
            try:
                found.append(read())
            except RuleError as error:
                self.errors.append(error)
                bad = True
            except Recorded:
                bad = True
        if bad:
            raise Recorded
        return found

    # --- Nodes

    def mapping(self, node: Node, key: str) -> dict[str, Node]:
        """Return the values of a mapping by key. Raises RuleError for anything else, and for a key twice."""
        return {name: value for name, _key, value in self.entries(node, key)}

    def entries(self, node: Node, key: str) -> list[tuple[str, Node, Node]]:
        if not isinstance(node, yaml.MappingNode):
            raise self.error(node, key, f"{said(node)} is no mapping")
        found = list(pairs(node))
        seen: set[str] = set()
        for name, key_node, _value in found:
            at = f"{key}.{name}" if key else name
            if not name:
                raise self.error(key_node, key, "a key is a plain word")
            if name in seen:
                raise self.error(key_node, at, "the key stands here twice")
            seen.add(name)
        return found

    def items(self, node: Node, key: str) -> list[Node]:
        if not isinstance(node, yaml.SequenceNode):
            raise self.error(node, key, f"{said(node)} is no list")
        return list(node.value)

    def known(self, node: Node, key: str, names: Collection[str]) -> None:
        """Raise RuleError for the first key that is none of the names."""
        for error in self.unknown(node, key, names):
            raise error

    def unknown(self, node: Node, key: str, names: Collection[str]) -> Iterator[RuleError]:
        """Yield an error for each key that is none of the names."""
        for name, key_node, _value in self.entries(node, key):
            if name not in names:
                at = f"{key}.{name}" if key else name
                yield self.error(key_node, at, f"the key is not known{nearest(name, names)}")

    def error(self, node: Node, key: str, reason: str) -> RuleError:
        return RuleError(self.file, line_of(node), key, reason)


#: For each plain type its tag in YAML, its name for people, and how its text is read.
_SCALARS: dict[Anything, tuple[str, str, Callable[[str], Anything]]] = {
    str: ("str", "text", str),
    int: ("int", "whole number", int),
    bool: ("bool", "true or false", lambda text: text.lower() == "true"),
    date: ("timestamp", "day such as 2015-09-01", date.fromisoformat),
}


def shape(hint: Anything) -> Anything:
    """Return what a type is known by: the set of its alternatives, without None."""
    if get_origin(hint) is UnionType:
        return frozenset(get_args(hint)) - {NoneType}
    return hint if get_origin(hint) is not None else frozenset({hint})


@cache
def _hints(kind: Anything) -> dict[str, Anything]:
    return get_type_hints(kind)


def _key_of(kind: Anything, name: str) -> str:
    return "program" if kind is Program and name == "id" else KEYS.get(name, name)


@cache
def _needed(kind: Anything) -> frozenset[str]:
    return frozenset(one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING)


def said(node: Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return repr(node.value[:60])
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


def nearest(name: str, names: Iterable[str]) -> str:
    close = get_close_matches(name, [str(one) for one in names], 1)
    return f"; did you mean {close[0]}?" if close else ""
