"""Reads nodes of YAML into programmes: figures, values, tests and scores have forms of their own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any as Anything

import yaml

from por.programs.calendars import COUNTING, DAYS, Move, Step
from por.programs.figures import UNPUBLISHED, Figure, Status
from por.programs.nodes import Node, line_of, pairs, tag
from por.programs.quantity import EVERYTHING, exact, hull, point
from por.programs.rules import COUNTED, Choice, LevelOption, Metric, OutcomeRule, Program, Qualified, Version
from por.programs.scoring import KINDS, BestOfOptions, Score
from por.programs.tests import All, Any, Compare, In, Is, Not, Operator, Same, Test
from por.programs.typed_reader import TypedReader, nearest, said, shape
from por.programs.values import PARTS, Derivable, Derivation, Derived, Fact, Named

#: A fact that every programme has: the points of all metrics together.
TOTAL = "total"
_FIGURE_KEYS = ("value", "status", "sources", "blocks")
_TESTS = ("all", "any", "not", "is", "same", "fact", "metric", "value")
_NUMBERS = ("int", "float")
#: The longest number that a rule can have, in characters, and the largest.
LONGEST_NUMBER = 40
LARGEST_NUMBER = 10**15


@dataclass
class Defaults:
    """What a figure has if it says nothing itself."""

    status: Status | None = None
    sources: tuple[str, ...] = ()


class Reader(TypedReader):
    """Reads the programmes of one file, and records every error."""

    def __init__(self, file: str, sources: Collection[str]) -> None:
        super().__init__(file)
        self.sources = sources
        self.choices: Mapping[str, Choice] = {}
        self.declared: dict[str, Fact] = {}
        self.facts: dict[str, Fact] = {}
        self.named: dict[str, Derivable] = {}
        self.metrics: dict[str, Metric] = {}
        self.defaults = Defaults()
        special: list[tuple[Anything, Callable[[Node, str], Anything]]] = [
            (Figure, self.figure),
            (Step, self.step),
            (Version, self.version),
            (OutcomeRule, self.outcome),
            (Mapping[str, Metric], self.metrics_of),
            (Mapping[str, Derivable], self.values),
            (Fact, self.fact),
            (Derivable, self.derivable),
            (Derivable | Figure, self.factor),
            (Test, self.test),
            (Compare, self.compare),
            (Score, self.score),
        ]
        self.special = {shape(hint): read for hint, read in special}

    # --- Programmes and versions

    def program(self, node: Node) -> Program:
        """Return a programme. Raises Recorded."""
        known = self.mapping(node, "")
        self.choices, self.declared = {}, {}
        if "choices" in known:
            self.choices = self.read(Mapping[str, Choice], known["choices"], "choices")
        if "facts" in known:
            self.declared = {name: Fact(name) for name in self.read(tuple[str, ...], known["facts"], "facts")}
        return self.filled(Program, node, "", given={"file": self.file})  # type: ignore[no-any-return]

    def version(self, node: Node, key: str) -> Version:
        known = self.mapping(node, key)
        self.named, self.metrics, self.defaults = {}, {}, Defaults()
        self.facts = {**self.declared, TOTAL: Fact(TOTAL)}
        if "sources" in known:
            self.defaults.sources = self.source_keys(known["sources"], f"{key}.sources")
        if "status" in known:
            self.defaults.status = self.read(Status, known["status"], f"{key}.status")
        return self.filled(Version, node, key)  # type: ignore[no-any-return]

    def read(self, hint: Anything, node: Node, key: str) -> Anything:
        return self.source_keys(node, key) if key.rpartition(".")[2] == "sources" else super().read(hint, node, key)

    def source_keys(self, node: Node, key: str) -> tuple[str, ...]:
        found: tuple[str, ...] = super().read(tuple[str, ...], node, key)
        for one in found:
            if one not in self.sources:
                raise self.error(node, key, f"{one} is no source of sources.yaml{nearest(one, self.sources)}")
        return found

    def values(self, node: Node, key: str) -> dict[str, Derivable]:
        """Return the named values of a version; each may use those before it."""
        for name, _key_node, value in self.entries(node, key):
            self.named[name] = self.derivable(value, f"{key}.{name}")
        return dict(self.named)

    def metrics_of(self, node: Node, key: str) -> dict[str, Metric]:
        entries = self.entries(node, key)
        for name, key_node, _value in entries:
            if name in self.declared:
                raise self.error(key_node, f"{key}.{name}", "a metric has another name than the facts of the programme")
        self.facts |= {name: _counted(name, value) for name, _key, value in entries if not _has(value, "value")}
        self.together(partial(self.metric, value, f"{key}.{name}", name) for name, _key_node, value in entries)
        return dict(self.metrics)

    def metric(self, node: Node, key: str, name: str) -> None:
        """Read a metric, which later ones and tests can name. Without `value` it is the fact with its name."""
        self.lines[key] = line_of(node)
        given = {} if _has(node, "value") else {"value": self.facts[name]}
        read: Metric = self.filled(Metric, node, key, given=given)
        if not given:
            read = replace(read, value=Named(name, read.value))
        self.metrics[name] = read
        if isinstance(read.score, BestOfOptions):
            self.facts |= {(fact := f"{name}.{kind}"): Fact(fact) for kind in read.score.options}

    def outcome(self, node: Node, key: str) -> OutcomeRule:
        """Return what comes out. `levels` is short for one option without a name."""
        known = self.mapping(node, key)
        if "levels" not in known:
            return self.filled(OutcomeRule, node, key)  # type: ignore[no-any-return]
        if "options" in known:
            raise self.error(node, f"{key}.options", "levels stand either in options or alone")
        self.known(node, key, ("levels", "qualified"))
        levels = self.read(Mapping[str, Test], known["levels"], f"{key}.levels")
        qualified = self.read(Qualified, known["qualified"], f"{key}.qualified") if "qualified" in known else None
        return OutcomeRule({"": LevelOption(levels)}, qualified)

    # --- Figures, values, tests and scores

    def figure(self, node: Node, key: str) -> Figure:
        """Return a figure: a number, a fraction in quotes, null, a mapping with `value`, or one for each choice."""
        if not isinstance(node, yaml.MappingNode):
            return self.plain_figure(node, key, self.defaults.status, self.defaults.sources, True)
        known = self.mapping(node, key)
        if "value" not in known:
            return self.figure_by_choice(node, known, key)
        self.known(node, key, _FIGURE_KEYS)
        status = self.read(Status, known["status"], f"{key}.status") if "status" in known else self.defaults.status
        sources = self.source_keys(known["sources"], f"{key}.sources") if "sources" in known else self.defaults.sources
        blocks = self.read(bool, known["blocks"], f"{key}.blocks") if "blocks" in known else True
        return self.plain_figure(known["value"], key, status, sources, blocks)

    def plain_figure(
        self, node: Node, key: str, status: Status | None, sources: tuple[str, ...], blocks: bool
    ) -> Figure:
        number = None if tag(node) == "null" else self.number(node, key)
        if status is None:
            raise self.error(node, key, "the figure has no status: give one here or for the version")
        if not sources and status is not Status.OURS:
            raise self.error(node, key, "the figure has no source: name one here or for the version")
        if number is None and status not in UNPUBLISHED:
            raise self.error(node, key, f"null says that nobody published it, but its status is {status}")
        if number is not None and status in UNPUBLISHED:
            raise self.error(node, key, f"the status {status} belongs to null, not to a number")
        if number is not None and not blocks:
            raise self.error(node, f"{key}.blocks", "only a figure that is null can be said not to block")
        value = EVERYTHING if number is None else point(number)
        return Figure(value, status, sources, key, published=number is not None, blocks=blocks)

    def figure_by_choice(self, node: yaml.MappingNode, known: Mapping[str, Node], key: str) -> Figure:
        by = next((name for name, choice in self.choices.items() if set(known) & set(choice.of)), None)
        if by is None:
            names = [*_FIGURE_KEYS, *(one for choice in self.choices.values() for one in choice.of)]
            self.known(node, key, names)
            raise self.error(node, key, "a figure is a number, null, a mapping with value, or one for each choice")
        self.known(node, key, self.choices[by].of)
        if missing := [one for one in self.choices[by].of if one not in known]:
            raise self.error(node, key, f"the figure for {missing[0]} is missing")
        each = {one: self.figure(known[one], f"{key}.{one}") for one in self.choices[by].of}
        first = next(iter(each.values()))
        value = hull(one.value for one in each.values())
        published = all(one.published for one in each.values())
        blocks = any(one.blocks for one in each.values())
        return Figure(value, first.status, first.sources, key, published, blocks, by, each)

    def number(self, node: Node, key: str) -> Anything:
        if isinstance(node, yaml.ScalarNode) and (tag(node) in _NUMBERS or (tag(node) == "str" and "/" in node.value)):
            text = str(node.value)
            if len(text) > LONGEST_NUMBER or "e" in text.lower():
                reason = f"{said(node)} is no exact number: write up to {LONGEST_NUMBER} digits, and no exponent"
                raise self.error(node, key, reason)
            try:
                number = exact(text)
            except (ValueError, ZeroDivisionError) as error:
                raise self.error(node, key, f"{said(node)} is no exact number") from error
            if not -LARGEST_NUMBER <= number <= LARGEST_NUMBER:
                raise self.error(node, key, f"{said(node)} is larger than any figure of a rule")
            return number
        raise self.error(node, key, f"{said(node)} is no number")

    def factor(self, node: Node, key: str) -> Derivable | Figure:
        """Return a factor of an amount: a fact by its name or a value that follows from some, or else a figure."""
        if isinstance(node, yaml.MappingNode):
            derives = set(self.mapping(node, key)) & set(Derivation)
            return self.derivable(node, key) if derives else self.figure(node, key)
        word = tag(node) == "str" and "/" not in str(node.value)
        return self.derivable(node, key) if word else self.figure(node, key)

    def fact_name(self, node: Node, key: str) -> str:
        name: str = self.read(str, node, key)
        if name not in self.facts:
            raise self.error(node, key, f"{name} is neither a metric nor one of the facts{nearest(name, self.facts)}")
        return name

    def fact(self, node: Node, key: str) -> Fact:
        return self.facts[self.fact_name(node, key)]

    def derivable(self, node: Node, key: str) -> Derivable:
        """Return a value: a fact or a named value by its name, or one derivation."""
        self.bounded(node, key)
        if not isinstance(node, yaml.MappingNode):
            name = str(getattr(node, "value", ""))
            return self.named[name] if name in self.named else self.fact(node, key)
        known = self.mapping(node, key)
        self.known(node, key, [*Derivation, "by"])
        hows = [one for one in Derivation if one in known]
        if len(hows) != 1:
            raise self.error(node, key, f"one of {', '.join(Derivation)} is needed")
        how, at = hows[0], f"{key}.{hows[0]}"
        if (how is Derivation.SCALED) != ("by" in known):
            raise self.error(node, key, "scaled needs by, and nothing else has it")
        nodes = [known[how]] if how is Derivation.SCALED else self.items(known[how], at)
        if not nodes or len(nodes) != PARTS.get(how, len(nodes)):
            raise self.error(known[how], at, f"it has {len(nodes)} parts, not {PARTS.get(how, 'one or more')}")
        parts = tuple(self.derivable(one, f"{at}.{number}") for number, one in enumerate(nodes))
        return Derived(how, parts, self.figure(known["by"], f"{key}.by") if "by" in known else None)

    def test(self, node: Node, key: str) -> Test:
        self.bounded(node, key)
        known = self.mapping(node, key)
        kinds = [one for one in _TESTS if one in known]
        if len(kinds) != 1:
            self.known(node, key, [*_TESTS, *Operator, "in"])
            raise self.error(node, key, f"a test has one of {', '.join(_TESTS)}")
        kind, inner, at = kinds[0], known[kinds[0]], f"{key}.{kinds[0]}"
        if kind in ("fact", "metric", "value"):
            return self.comparison(kind, known, node, key)
        self.known(node, key, (kind,))
        if kind in ("all", "any"):
            tests = tuple(self.test(one, f"{at}.{number}") for number, one in enumerate(self.items(inner, at)))
            if not tests:
                raise self.error(inner, at, "it has no tests")
            return All(tests) if kind == "all" else Any(tests)
        if kind == "not":
            return Not(self.test(inner, at))
        if kind == "is":
            return Is(self.fact_name(inner, at))
        names = [self.fact_name(one, f"{at}.{number}") for number, one in enumerate(self.items(inner, at))]
        if len(names) != 2:
            raise self.error(inner, at, "it compares two facts")
        return Same((names[0], names[1]))

    def compare(self, node: Node, key: str) -> Compare:
        test = self.test(node, key)
        if not isinstance(test, Compare):
            raise self.error(node, key, "it is no comparison with a figure")
        return test

    def comparison(self, kind: str, known: Mapping[str, Node], node: yaml.Node, key: str) -> Test:
        self.known(node, key, [kind, *Operator, "in"])
        operators = [one for one in (*Operator, "in") if one in known]
        if len(operators) != 1:
            raise self.error(node, key, f"a comparison has one of {', '.join(Operator)}, in")
        operator, at = operators[0], f"{key}.{operators[0]}"
        if operator == "in":
            return In(self.fact_name(known[kind], f"{key}.{kind}"), self.read(tuple[str, ...], known["in"], at))
        label, value = self.compared(kind, known[kind], f"{key}.{kind}")
        return Compare(label, value, Operator(operator), self.figure(known[operator], at))

    def compared(self, kind: str, node: Node, key: str) -> tuple[str, Derivable]:
        """Return what a comparison is about: its name in codes, and the value."""
        if kind == "fact":
            name = self.fact_name(node, key)
            return name, self.facts[name]
        if kind == "value":
            value = self.derivable(node, key)
            names = str(node.value) if isinstance(node, yaml.ScalarNode) else "_".join(value.names())
            return names, value
        name = self.read(str, node, key)
        if name not in self.metrics:
            raise self.error(node, key, f"{name} is no metric of this version{nearest(name, self.metrics)}")
        return name, self.metrics[name].value

    def score(self, node: Node, key: str) -> Score:
        known = self.mapping(node, key)
        if "kind" not in known:
            raise self.error(node, f"{key}.kind", "it is missing")
        kind = self.read(str, known["kind"], f"{key}.kind")
        if kind not in KINDS:
            raise self.error(known["kind"], f"{key}.kind", f"{kind} is no kind of score{nearest(kind, KINDS)}")
        return self.filled(KINDS[kind], node, key, ignore=("kind",))  # type: ignore[no-any-return]

    def step(self, node: Node, key: str) -> Step:
        known = self.mapping(node, key)
        if "weekday" in known:
            self.known(node, key, ("weekday", "nth"))
            day = self.read(str, known["weekday"], f"{key}.weekday")
            if day not in DAYS:
                raise self.error(known["weekday"], f"{key}.weekday", f"{day} is no day of the week{nearest(day, DAYS)}")
            nth = self.read(int, known["nth"], f"{key}.nth") if "nth" in known else 1
            if not 1 <= nth <= 4:
                raise self.error(node, f"{key}.nth", "not every month has it: nth is 1 to 4")
            return Step(None, nth, DAYS.index(day))
        self.known(node, key, [*Move, "weekday"])
        if len(known) != 1:
            raise self.error(node, key, "a step has one move")
        move = Move(next(iter(known)))
        count = self.read(int, known[move], f"{key}.{move}")
        if move not in COUNTING and not 1 <= count <= 31 or abs(count) > 1000:
            raise self.error(node, f"{key}.{move}", f"{count} is out of bounds")
        return Step(move, count)


def _has(node: Node, name: str) -> bool:
    return isinstance(node, yaml.MappingNode) and any(key == name for key, _node, _value in pairs(node))


def _counted(name: str, node: Node) -> Fact:
    """Return the fact of a metric, not below 0 if it is counted."""
    entries = pairs(node) if isinstance(node, yaml.MappingNode) else ()
    counted = any(key == "measure" and str(value.value) in COUNTED for key, _key, value in entries)
    return Fact(name, 0) if counted else Fact(name)
