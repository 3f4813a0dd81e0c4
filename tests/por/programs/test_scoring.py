"""The ten kinds of scores, at and beside their bounds, with what is known and what is not."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from por.programs.codes import Why
from por.programs.facts import Facts
from por.programs.judging import score_metric
from por.programs.quantity import EVERYTHING, Q, point
from por.programs.reading import read_text
from por.programs.rules import Metric
from por.programs.scoring import KINDS, Scored

FACTS = "[value, base, now, first, size, paid, pau, rate, cap, price, step_1, step_2, people, told]"


def metric(score: str, more: str = "value: value") -> Metric:
    """Return a metric with a score as it is written in YAML."""
    text = (
        "program: x\nfamily: score\ntitle: X\n"
        f"choices: {{market: {{of: [rich, poor]}}, track: {{of: [big, small]}}}}\nfacts: {FACTS}\n"
        "versions:\n  - {id: v, from: 2020-01-01, status: official, sources: [A], metrics: "
        f"{{m: {{unit: points, {more}, score: {{{score}}}}}}}}}\n"
    )
    return read_text("x.yaml", text, ("A",))[0].versions[0].metrics["m"]


def scored(score: str, facts: dict[str, Any], more: str = "value: value", **choice: str) -> Scored:
    values = {name: point(one) if type(one) is int else one for name, one in facts.items()}
    return score_metric("m", metric(score, more), Facts(values, choice))


def either(low: int | float, high: int | float) -> Q:
    return Q(low, high)


LINEAR = "kind: linear, max: 20, at: {rich: 10, poor: 5}"
BANDS = "bands: [{base: 15, growth: 0.35}, {base: 30, growth: 0.25}, {base: 50, at_least: 50}]"
GROWN = f"kind: all_or_nothing, points: 15, base: base, now: now, {BANDS}, other: {{fact: first, gte: 50}}"
LADDER = (
    "kind: ladder, max: 20, elective: people, elective_points: 4, required: "
    "[{step: step_1, min_people: 1, points: 4}, {step: step_2, min_people: 2, points: 0}]"
)
OPTIONS = "kind: best_of_options, max: 30, options: {cpor: {at: 10}, dpor: {track: big, at: 40}}"
BANDED = "kind: banded_rate, minimum: 150, cap: 60000, bands: [{above: 0, rate: 15}, {above: 1000, rate: 5}]"
STEPS = "milestones: [{share: 0.4, amount: 100}, {share: 0.8, amount: 200}]"
MILESTONE = f"kind: milestone, size: size, paid: paid, buckets: [{{above: 150, {STEPS}}}, {{above: 1000, {STEPS}}}]"
MARK = "kind: high_water_mark, mau: now, pau: pau, prior_hwm: base, rate: rate, max_earning: cap"
RATE = "kind: rate_times_units, times: [price, 0.08], per: 2"

POINTS: list[tuple[str, dict[str, Any], dict[str, str], Q]] = [
    ("kind: threshold, at: 5, points: 8", {"value": 4}, {}, point(0)),
    ("kind: threshold, at: 5, points: 8", {"value": 5}, {}, point(8)),
    ("kind: threshold, at: 5, points: 8", {"value": either(4, 5)}, {}, either(0, 8)),
    ("kind: threshold, at: {value: null, status: gated}, points: 8", {"value": 5}, {}, either(0, 8)),
    (LINEAR, {"value": -1}, {"market": "rich"}, point(0)),
    (LINEAR, {"value": 5}, {"market": "rich"}, point(10)),
    (LINEAR, {"value": 11}, {"market": "rich"}, point(20)),
    (LINEAR, {"value": 5}, {}, either(10, 20)),
    (LINEAR, {"value": 10}, {}, point(20)),
    (LINEAR, {"value": 0}, {}, point(0)),
    (LINEAR, {"value": EVERYTHING}, {"market": "rich"}, either(0, 20)),
    (LINEAR, {}, {"market": "rich"}, either(0, 20)),
    (LINEAR, {"value": either(-5, 5)}, {"market": "rich"}, either(0, 10)),
    ("kind: linear, max: 20, at: {value: null, status: unknown}", {"value": 3}, {}, either(0, 20)),
    ("kind: linear, max: 20, at: {value: null, status: unknown}", {"value": 0}, {}, point(0)),
    (GROWN, {"base": 14, "now": 99, "first": 0}, {}, point(0)),
    (GROWN, {"base": 29, "now": 39, "first": 0}, {}, point(0)),
    (GROWN, {"base": 29, "now": 40, "first": 0}, {}, point(15)),
    (GROWN, {"base": 30, "now": 38, "first": 0}, {}, point(15)),
    (GROWN, {"base": 50, "now": 50, "first": 0}, {}, point(15)),
    (GROWN, {"base": 50, "now": 49, "first": 0}, {}, point(0)),
    (GROWN, {"base": 14, "now": 14, "first": 50}, {}, point(15)),
    (GROWN, {"base": either(10, 40), "now": 60, "first": 0}, {}, either(0, 15)),
    (GROWN, {"base": either(15, 60), "now": 99, "first": 0}, {}, point(15)),
    (GROWN, {"base": either(15, 60), "now": 14, "first": 0}, {}, point(0)),
    (GROWN, {"base": either(0, 14), "now": EVERYTHING, "first": 0}, {}, point(0)),
    (GROWN, {"base": 20, "now": 27}, {}, point(15)),
    (GROWN, {"base": 20, "now": 26}, {}, either(0, 15)),
    ("kind: per_unit, each: 4, max: 20", {"value": 4}, {}, point(16)),
    ("kind: per_unit, each: 4, max: 20", {"value": 6}, {}, point(20)),
    ("kind: per_unit, each: 4, max: 20", {"value": -2}, {}, point(0)),
    ("kind: per_unit, each: 4, max: 20", {}, {}, either(0, 20)),
    (LADDER, {"step_1": 1, "step_2": 2, "people": 3}, {}, point(16)),
    (LADDER, {"step_1": 1, "step_2": 2, "people": 9}, {}, point(20)),
    (LADDER, {"step_1": 1, "step_2": 1, "people": 3}, {}, point(4)),
    (LADDER, {"step_1": 0, "step_2": 2, "people": 3}, {}, point(0)),
    (LADDER, {"step_1": 0, "people": 3}, {}, point(0)),
    (LADDER, {"step_1": 1, "step_2": 2}, {}, either(4, 20)),
    (LADDER, {"step_1": 1, "people": 2}, {}, either(4, 12)),
    (LADDER, {}, {}, either(0, 20)),
    (OPTIONS, {"m.cpor": 5, "m.dpor": 24}, {"track": "big"}, point(18)),
    (OPTIONS, {"m.cpor": 5, "m.dpor": 24}, {"track": "small"}, point(15)),
    (OPTIONS, {"m.cpor": 10}, {"track": "big"}, point(30)),
    (OPTIONS, {"m.cpor": 5}, {"track": "big"}, either(15, 30)),
    (OPTIONS, {"m.cpor": -5, "m.dpor": -4}, {"track": "big"}, point(0)),
    (BANDED, {"value": 149}, {}, point(0)),
    (BANDED, {"value": 150}, {}, point(2250)),
    (BANDED, {"value": 1001}, {}, point(15005)),
    (BANDED, {"value": 10001}, {}, point(60000)),
    (BANDED, {"value": either(100, 200)}, {}, either(0, 3000)),
    (BANDED, {}, {}, either(0, 60000)),
    (RATE, {"value": 10, "price": 100}, {}, point(40)),
    (RATE, {"value": 0}, {}, point(0)),
    (RATE, {"value": 10}, {}, EVERYTHING),
    ("kind: rate_times_units, times: [{value: null, status: gated}]", {"value": 3}, {}, EVERYTHING),
    (MILESTONE, {"value": 0, "size": 150, "paid": 0}, {}, point(0)),
    (MILESTONE, {"value": 1, "size": 149, "paid": 0}, {}, point(0)),
    (MILESTONE, {"value": 1, "size": 150, "paid": 0}, {}, point(300)),
    (MILESTONE, {"value": 1, "size": 999, "paid": 1}, {}, point(200)),
    (MILESTONE, {"value": 1, "size": 150, "paid": 2}, {}, point(0)),
    (MILESTONE, {"value": 1, "size": 150}, {}, either(0, 300)),
    (MILESTONE, {"value": 1, "size": either(100, 200), "paid": 0}, {}, either(0, 300)),
    ("kind: milestone, size: size, paid: paid, buckets: null", {"value": 1, "size": 9, "paid": 0}, {}, either(0, inf)),
    (MARK, {"now": 700, "pau": 1000, "base": 400, "rate": 2, "cap": 1000}, {}, point(600)),
    (MARK, {"now": 2000, "pau": 1000, "base": 400, "rate": 2, "cap": 1000}, {}, point(1000)),
    (MARK, {"now": 400, "pau": 1000, "base": 400, "rate": 2, "cap": 1000}, {}, point(0)),
    (MARK, {"now": 400, "pau": 1000, "base": 400}, {}, point(0)),
    (MARK, {"now": 700, "pau": 1000, "base": 400, "cap": 1000}, {}, either(0, 1000)),
]


@pytest.mark.parametrize(("score", "facts", "choice", "points"), POINTS)
def test_score_is_worth(score: str, facts: dict[str, Any], choice: dict[str, str], points: Q) -> None:
    assert scored(score, facts, **choice).points == points


def test_every_kind_is_tried() -> None:
    assert {score.split(",")[0].removeprefix("kind: ") for score, *_rest in POINTS} == set(KINDS)
    assert len(KINDS) == 10


@pytest.mark.parametrize(
    ("facts", "value"),
    [
        ({"m.cpor": 5, "m.dpor": 24}, point(24)),
        ({"m.cpor": 5, "m.dpor": 4}, point(5)),
        ({"m.cpor": 0}, EVERYTHING),
        ({"m.cpor": 5, "m.dpor": either(0, 19)}, point(5)),
        ({"m.cpor": 5, "m.dpor": either(0, 24)}, either(0, 24)),
        ({"m.cpor": 10}, point(10)),
    ],
)
def test_value_of_the_best_option_is_open_while_another_one_may_be_better(facts: dict[str, Any], value: Q) -> None:
    assert scored(OPTIONS, facts, track="big").value == value


@pytest.mark.parametrize(
    ("score", "facts", "why"),
    [
        (LINEAR, {"value": 3}, Why.SHORT_BY),
        (LINEAR, {"value": 10}, Why.MET),
        (LINEAR, {"value": 99}, Why.CAPPED),
        (LINEAR, {}, Why.NO_FACTS),
        (GROWN, {"base": 3, "now": 9, "first": 0}, Why.BELOW_BASELINE),
        (GROWN, {"base": 20, "now": 21, "first": 0}, Why.SHORT_BY),
        (GROWN, {"base": 20, "now": 27, "first": 0}, Why.MET),
        (GROWN, {"base": 20, "first": 0}, Why.FACTS_INCOMPLETE),
        ("kind: per_unit, each: 4, max: 20", {"value": 2}, Why.SHORT_BY),
        ("kind: per_unit, each: 4, max: 20", {}, Why.NO_FACTS),
        (LADDER, {"step_1": 0, "step_2": 2, "people": 3}, Why.REQUIRED_STEP_MISSING),
        (LADDER, {"step_1": 1, "step_2": 2, "people": 99}, Why.CAPPED),
        (OPTIONS, {"m.cpor": 5, "m.dpor": 24}, Why.MIXED_OPTIONS),
        (OPTIONS, {"m.cpor": 5}, Why.FACTS_INCOMPLETE),
        (BANDED, {"value": 149}, Why.SHORT_BY),
        (BANDED, {"value": 20000}, Why.CAPPED),
        (RATE, {"value": 10}, Why.NO_FACTS),
        ("kind: rate_times_units, times: [{value: null, status: gated}]", {"value": 3}, Why.FIGURE_NOT_PUBLISHED),
        ("kind: milestone, size: size, paid: paid, buckets: null", {"value": 1}, Why.FIGURE_NOT_PUBLISHED),
        (MARK, {"now": 700, "pau": 1000, "base": 400, "cap": 1000}, Why.NO_FACTS),
        (MARK, {"now": 900, "pau": 1000, "base": 400, "rate": 3, "cap": 1000}, Why.CAPPED),
    ],
)
def test_score_says_why(score: str, facts: dict[str, Any], why: Why) -> None:
    codes = scored(score, facts, market="rich", track="big").codes
    assert why in {code.code for code in codes}


def test_missing_requirement_gives_nothing_and_says_so() -> None:
    more = "value: value, requires: {is: told}"
    full = "kind: per_unit, each: 1, max: 9"
    assert scored(full, {"value": 5, "told": True}, more).points == point(5)
    missing = scored(full, {"value": 5, "told": False}, more)
    assert (missing.points, missing.codes[0].code) == (point(0), Why.REQUIREMENT_MISSING)
    assert scored(full, {"value": 5}, more).points == Q(0, 5)


def test_open_choice_is_tried_with_each_value() -> None:
    """A baseline of 20 that grows to 26: too little in one market, enough in the other, whatever the bounds overlap."""
    bands = "bands: [{base: {rich: 15, poor: 5}, growth: 0.35}, {base: {rich: 30, poor: 15}, growth: 0.25}]"
    score = f"kind: all_or_nothing, points: 15, base: base, now: now, {bands}"
    assert scored(score, {"base": 20, "now": 26}).points == Q(0, 15)
    assert scored(score, {"base": 20, "now": 24}).points == point(0)
    assert scored(score, {"base": 20, "now": 27}).points == point(15)


def test_parts_are_neither_rounded_nor_capped() -> None:
    best = scored(OPTIONS, {"m.cpor": 15, "m.dpor": 1}, track="big")
    assert best.value == point(15), "what was measured for the best kind, not its points"
    parts = best.parts
    assert (parts["cpor"], parts["dpor"].json()) == (point(45), "3/4")
    parts = scored(MARK, {"now": 400, "pau": 1000, "base": 400, "rate": 3, "cap": 1000}).parts
    assert (parts["max_units"].json(), parts["potential"]) == ("1000/3", point(1800))
