"""The rules of a day as lines for people who write rules, and what differs between two days."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date
from enum import Enum

from por.programs.calendars import DAYS, Step
from por.programs.figures import Figure
from por.programs.gates import Gate
from por.programs.quantity import written
from por.programs.rules import KEYS, Credit, Holding, Version
from por.programs.scoring import KINDS
from por.programs.tests import All, Any, Compare, In, Is, Not, Same
from por.programs.values import Derived, Fact, Named

_KINDS: dict[type, str] = {kind: name for name, kind in KINDS.items()}
#: A key of a rule, and what stands there.
Line = tuple[str, str]


def lines(version: Version, day: date) -> list[Line]:
    """Return what holds on a day, by key. What the version has for other days is left out."""
    return list(_dataclass(version, "", day))


def differences(before: list[Line], after: list[Line]) -> list[str]:
    """Return what differs, as lines that begin with - for what was and + for what came."""
    old, new = dict(before), dict(after)
    keys = list(dict.fromkeys([*old, *new]))
    return [
        f"{sign} {key}: {lines[key]}"
        for key in keys
        if old.get(key) != new.get(key)
        for sign, lines in (("-", old), ("+", new))
        if key in lines
    ]


def _lines(value: object, key: str, day: date) -> Iterator[Line]:
    if isinstance(value, Figure):
        yield from _figure(value, key)
    elif isinstance(value, Compare | In | Is | Same | Not | All | Any):
        yield from _test(value, key, day)
    elif isinstance(value, Fact | Derived | Named):
        yield from _value(value, key, day)
    elif isinstance(value, Step):
        yield key, _step(value)
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from _lines(one, f"{key}.{name}" if name else key.removesuffix(".options"), day)
    elif isinstance(value, Holding):
        yield key, " or ".join(" and ".join(names) for names in value.on(day)) or "names not published"
    elif isinstance(value, tuple):
        yield from _tuple(value, key, day)
    elif is_dataclass(value):
        if type(value) in _KINDS:
            yield f"{key}.kind", _KINDS[type(value)]
        yield from _dataclass(value, f"{key}.", day)
    else:
        yield key, str(value.value if isinstance(value, Enum) else value)


def _dataclass(value: object, prefix: str, day: date) -> Iterator[Line]:
    """Yield the fields that say something: not those left at their default."""
    for field in fields(value):  # type: ignore[arg-type]  # it is a dataclass
        one = getattr(value, field.name)
        own = isinstance(one, Fact) and prefix.endswith(f".{one.name}.")  # a metric that is a fact by its name
        if not own and (field.default is MISSING or one != field.default):
            yield from _lines(one, f"{prefix}{KEYS.get(field.name, field.name)}", day)


def _tuple(values: tuple[object, ...], key: str, day: date) -> Iterator[Line]:
    current = _of_day(values, day)
    if all(isinstance(one, str | Enum) for one in current):
        if current:
            yield key, ", ".join(str(one) for one in current)
        return
    for number, one in enumerate(current):
        name = f"{key}.{one.code}" if isinstance(one, Gate) else f"{key}.{number}" if len(current) > 1 else key
        yield from _lines(one, name, day)


def _of_day(values: tuple[object, ...], day: date) -> list[object]:
    """Return the entries of a dated list that hold on a day."""
    gates = [one for one in values if not isinstance(one, Gate) or one.in_force(day)]
    credit = [one for one in gates if isinstance(one, Credit)]
    newest = {one.track: one for one in credit if one.begins is None or one.begins <= day}
    return [*newest.values()] if credit else gates


def _figure(figure: Figure, key: str) -> Iterator[Line]:
    for choices, leaf in figure.leaves():
        number = written(leaf.value.low) if leaf.published else "not published"
        note = "" if leaf.blocks else ", only shown"
        yield ".".join([key, *choices]), f"{number} ({leaf.status}{note}; {', '.join(leaf.sources)})"


def _test(test: object, key: str, day: date) -> Iterator[Line]:
    if isinstance(test, Compare):
        yield from _lines(test.figure, f"{key}.{test.label} {test.operator}", day)
    elif isinstance(test, In):
        yield f"{key}.{test.fact} in", ", ".join(test.among)
    elif isinstance(test, Is):
        yield f"{key}.is", test.fact
    elif isinstance(test, Same):
        yield f"{key}.same", ", ".join(test.facts)
    elif isinstance(test, Not):
        yield from _test(test.test, f"{key}.not", day)
    elif isinstance(test, All | Any):
        name = "all" if isinstance(test, All) else "any"
        for number, one in enumerate(test.tests):
            yield from _test(one, f"{key}.{name}.{number}", day)


def _value(value: object, key: str, day: date) -> Iterator[Line]:
    if isinstance(value, Fact):
        yield key, value.name
    elif isinstance(value, Named):
        yield from _value(value.otherwise, key, day)
    elif isinstance(value, Derived):
        for number, part in enumerate(value.parts):
            yield from _value(
                part, f"{key}.{value.how}.{number}" if len(value.parts) > 1 else f"{key}.{value.how}", day
            )
        if value.by is not None:
            yield from _figure(value.by, f"{key}.by")


def _step(step: Step) -> str:
    return f"{step.count}. {DAYS[step.weekday]}" if step.weekday is not None else f"{step.move} {step.count}"


def figures(value: object) -> Iterator[Figure]:
    """Yield every plain figure in a version, or in a part of one."""
    if isinstance(value, Figure):
        yield from (leaf for _choices, leaf in value.leaves())
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from figures(one)
    elif isinstance(value, tuple):
        for one in value:
            yield from figures(one)
    elif is_dataclass(value):
        for field in fields(value):
            yield from figures(getattr(value, field.name))
