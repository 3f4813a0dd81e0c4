"""Verdicts: which level a programme's facts reach, or which total, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from math import inf

from por.programs.calendars import newest_month
from por.programs.codes import Code, Why
from por.programs.facts import TRACK, Facts
from por.programs.quantity import ZERO, Q, agreed, all_of, any_of, hull, point, total
from por.programs.rules import LevelOption, Metric, Program, Qualified, TrackRule, Version
from por.programs.scoring import Scored
from por.programs.tests import Checked

#: The level of who reaches none.
NO_LEVEL = "none"
#: The fact that tests of levels can ask for: the points of all metrics together.
TOTAL = "total"
#: The choice by which a partner picks one of the options of a level.
OPTION = "option"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict of one version about one set of facts.

    `level` is the highest level that is certain, None if even the lowest is undetermined; `possible` is the highest
    one that the facts do not exclude. `levels` says for each level whether it is reached and why.
    """

    version: str
    level: str | None = None
    possible: str = NO_LEVEL
    next_level: str | None = None
    levels: Mapping[str, Checked] = field(default_factory=dict)
    metrics: Mapping[str, Scored] = field(default_factory=dict)
    total: Q | None = None
    qualified: bool | None = None
    started: bool | None = None
    track: str | None = None
    codes: tuple[Code, ...] = ()

    def meets(self, level: str) -> bool | None:
        return self.levels[level].met


def judge(program: Program, version: Version, facts: Facts) -> Outcome:
    """Return the verdict. Where the better of several tracks counts and none is chosen, each is tried."""
    choice = program.choices.get(TRACK)
    if choice is None or choice.how is not TrackRule.BEST_TOTAL or TRACK in facts.choice:
        return _judged(program, version, facts)
    return _best([_judged(program, version, facts.chosen(track=track)) for track in choice.of], version)


def judge_on(program: Program, facts: Facts) -> Outcome:
    """Return the verdict by the rules of the facts' day; an undetermined one with `no_rule` where there are none."""
    version = program.on(facts.day) if facts.day is not None else None
    if version is None:
        day = facts.day.isoformat() if facts.day is not None else None
        return Outcome("", codes=(Code(Why.NO_RULE, {"program": program.id, "day": day}),))
    return judge(program, version, facts)


def with_earlier(program: Program, outcome: Outcome, earlier: Sequence[Facts], months: int) -> Outcome:
    """Return a verdict for which the days before count as well, the oldest first, and which of them decides it."""
    if outcome.qualified:
        return outcome
    open_on: date | None = None
    for facts in reversed(earlier):
        qualified = judge_on(program, facts).qualified
        if qualified:
            return _decided(outcome, Why.QUALIFIED_EARLIER, facts.day, months, qualified)
        if qualified is None and open_on is None:
            open_on = facts.day
    if open_on is None or outcome.qualified is None:
        return outcome
    return _decided(outcome, Why.EARLIER_UNDETERMINED, open_on, months, None)


def _decided(outcome: Outcome, why: Why, day: date | None, months: int, qualified: bool | None) -> Outcome:
    assert day is not None
    code = Code(why, {"month": newest_month(day).isoformat(), "months": months})
    return replace(outcome, qualified=qualified, codes=(*outcome.codes, code))


def score_metric(name: str, metric: Metric, facts: Facts) -> Scored:
    """Return a metric's value and what it is worth, with what is not certain of its facts."""
    scored = _scored(name, metric, facts)
    if not facts.reasons and metric.holding is None:
        return scored
    return replace(scored, codes=(*scored.codes, *_caveats(name, metric, facts, scored.value)))


def _scored(name: str, metric: Metric, facts: Facts) -> Scored:
    value = metric.value.of(facts)
    if metric.score is None:
        return Scored(value, ZERO)
    if metric.base is None and metric.requires is None:
        return metric.score.score(name, value, facts)
    return _conditional(name, metric, facts)


def _caveats(name: str, metric: Metric, facts: Facts, value: Q) -> tuple[Code, ...]:
    """Return what is not certain of the facts behind a metric: its own, those of its options, those it follows from."""
    behind = {name, *metric.value.names()}
    track = facts.choice.get(TRACK)
    found: dict[Why, None] = {}
    for fact, reasons in facts.reasons.items():
        first, *rest = fact.split(".")
        if first in behind and (track is None or not rest or rest[-1] == track):
            found |= dict.fromkeys(reasons)
    if metric.holding is not None and not metric.holding.complete:
        if metric.holding.any_of:
            found[Why.SOME_NAMES_NOT_PUBLISHED] = None
        elif not value.known:
            found[Why.NAMES_NOT_PUBLISHED] = None
    return tuple(Code(why, {"metric": name}) for why in found)


def _conditional(name: str, metric: Metric, facts: Facts) -> Scored:
    """Return the score of a metric that is worth nothing if its base is too small or its requirement is missing."""
    met: list[bool | None] = []
    codes: tuple[Code, ...] = ()
    if metric.base is not None and (checked := metric.base.check(facts)).asked:
        met.append(checked.met)
        if checked.met is not True:
            why = Why.BELOW_BASELINE if checked.met is False else Why.BASELINE_UNKNOWN
            codes += tuple(Code(why, {**code.figures, "metric": name}) for code in checked.codes)
        facts = _enough_base(metric, facts)
    if metric.requires is not None and (checked := metric.requires.check(facts)).asked:
        met.append(checked.met)
        codes += () if checked.met else (Code(Why.REQUIREMENT_MISSING, {"metric": name}), *checked.codes)
    assert metric.score is not None
    due = all_of(met)
    if due is False:
        return Scored(metric.value.of(facts), ZERO, codes)
    scored = metric.score.score(name, metric.value.of(facts), facts)
    points = scored.points if due else scored.points | ZERO
    return replace(scored, points=points, codes=codes + scored.codes)


def _enough_base(metric: Metric, facts: Facts) -> Facts:
    """Return the facts with what is known from points being due at all: the base is at least what is asked for."""
    assert metric.base is not None
    names = list(metric.base.value.names())
    if len(names) != 1:
        return facts
    enough = facts.number(names[0]) & Q(metric.base.figure.of(facts.choice).low, inf)
    track = facts.choice.get(TRACK)
    own = f"{names[0]}.{track}"
    return facts if enough is None else facts.having(**{own if own in facts.values else names[0]: enough})


# --- One track -------------------------------------------------------------------------------------------------------


def _judged(program: Program, version: Version, facts: Facts) -> Outcome:
    metrics = {name: score_metric(name, metric, facts) for name, metric in version.metrics.items()}
    scored = [metrics[name].points for name, metric in version.metrics.items() if metric.score is not None]
    points = total(scored) if scored else None
    started = any_of(one.value.gt(ZERO) for one in metrics.values()) if metrics else None
    rule = version.outcome
    outcome = Outcome(version.id, metrics=metrics, total=points, started=started, track=facts.choice.get(TRACK))
    if rule is None:
        return outcome
    if rule.options:
        if points is not None and facts.get(TOTAL) is None:
            facts = facts.having(**{TOTAL: points})
        outcome = _with_levels(outcome, program.levels, rule.options, facts)
    if rule.qualified is not None:
        given = {name: metrics[name].points for name, metric in version.metrics.items() if metric.score is not None}
        qualified, codes = qualify(rule.qualified, given, facts)
        outcome = replace(outcome, qualified=qualified, codes=outcome.codes + codes)
    return outcome


def _with_levels(outcome: Outcome, names: tuple[str, ...], options: Mapping[str, LevelOption], facts: Facts) -> Outcome:
    """Return the outcome with its levels. A level needs the lower ones, in whichever option they are reached."""
    chosen = facts.choice.get(OPTION)
    usable = {name: one for name, one in options.items() if _usable(one, facts)}
    levels: dict[str, Checked] = {}
    codes: tuple[Code, ...] = ()
    below: list[bool | None] = []
    for number, level in enumerate(names):
        each = {name: one.levels[level].check(facts) for name, one in usable.items() if level in one.levels}
        anyhow = _either(each)
        own = _either({chosen: each[chosen]} if chosen in each else each)
        met = all_of([*below, own.met])
        if met is not own.met and own.met:
            codes += (Code(Why.LEVEL_BELOW_MISSING, {"level": level, "below": names[number - 1]}),)
        levels[level] = replace(own, met=met)
        below.append(anyhow.met)
    return _ranked(replace(outcome, levels=levels, codes=outcome.codes + codes), names)


def _usable(option: LevelOption, facts: Facts) -> bool:
    """Return whether an option is in force, and known if it is judged from given facts only."""
    if option.begins is not None and facts.day is not None and facts.day < option.begins:
        return False
    return not option.given_only or any(
        test.check(replace(facts, given_only=True)).asked for test in option.levels.values()
    )


def _either(each: Mapping[str, Checked]) -> Checked:
    """Return whether one of the options is met, with the codes of each, named where there are several."""
    asked = [one for one in each.values() if one.asked]
    codes: list[Code] = []
    for name, one in each.items():
        named = {"option": name} if len(each) > 1 else {}
        codes += [Code(code.code, {**code.figures, **named}) if named else code for code in one.codes]
    return Checked(any_of(one.met for one in asked) if asked else None, tuple(codes), bool(asked))


def _ranked(outcome: Outcome, names: tuple[str, ...]) -> Outcome:
    """Return the outcome with the certain and the possible level, and the next one to reach."""
    met = [outcome.levels[name].met for name in names]
    certain = max((number for number, one in enumerate(met, 1) if one), default=0)
    possible = max((number for number, one in enumerate(met, 1) if one is not False), default=0)
    ranks = (NO_LEVEL, *names)
    codes = tuple(Code(Why.LEVEL_UNDETERMINED, {"level": ranks[one]}) for one in range(certain + 1, possible + 1))
    return replace(
        outcome,
        level=ranks[certain] if certain or not possible else None,
        possible=ranks[possible],
        next_level=ranks[certain + 1] if certain < len(names) else None,
        codes=outcome.codes + codes,
    )


def qualify(rule: Qualified, points: Mapping[str, Q], facts: Facts) -> tuple[bool | None, tuple[Code, ...]]:
    """Return whether points qualify: enough together, and each metric above what is asked of it."""
    need, above = rule.min_total.of(facts.choice), rule.each_above.of(facts.choice)
    have = total(points.values())
    enough = have.gte(need)
    each = {name: one.gt(above) for name, one in points.items()}
    codes = [Code(Why.AT_ZERO, {"metric": name, "have": points[name].json()}) for name, one in each.items() if not one]
    figures = {"need": need.json(), "have": have.json()}
    if enough:
        codes.append(Code(Why.MET, {"metric": TOTAL, **figures}))
    elif enough is False:
        codes.append(Code(Why.TOTAL_SHORT, figures | {"short": (need - have).json()}))
    else:
        codes.append(Code(Why.TOTAL_UNDETERMINED, figures))
    return all_of([enough, *each.values()]), tuple(codes)


# --- Several tracks --------------------------------------------------------------------------------------------------


def _best(tracks: list[Outcome], version: Version) -> Outcome:
    """Return the verdict of the track with the best total; of equal totals, the first.

    Where several may be the best, it has the figures and reasons of the first of them, and qualifies if all of these
    do. A track that may be the best is judged by what its total is then: at least that of the others.
    """
    assert version.outcome is not None
    leaders = [one for number, one in enumerate(tracks) if _may_lead(one, tracks[:number], tracks[number + 1 :])]
    rule = version.outcome.qualified
    if len(leaders) == 1 or rule is None:
        leader = leaders[0]
        return replace(leader, codes=(*leader.codes, Code(Why.BEST_TRACK, {"track": leader.track})))
    floor = max(_low(one) for one in tracks)
    qualified = agreed(_qualifies_from(rule, one, version, floor) for one in leaders)
    points = hull(one.total for one in leaders if one.total is not None)
    leader = leaders[0]
    codes = (*leader.codes, Code(Why.TRACK_UNDETERMINED, {"track": leader.track}))
    lead = Q(max(points.low, floor), points.high)
    return replace(leader, qualified=qualified, total=lead, track=None, codes=codes)


def _may_lead(one: Outcome, before: list[Outcome], after: list[Outcome]) -> bool:
    """Return whether a total can be the best: above those of the tracks before it, not below those after it."""
    high = one.total.high if one.total is not None else inf
    return all(high > _low(other) for other in before) and all(high >= _low(other) for other in after)


def _low(one: Outcome) -> int | float:
    return one.total.low if one.total is not None else -inf  # type: ignore[return-value]  # exact, or no bound


def _qualifies_from(rule: Qualified, track: Outcome, version: Version, floor: int | float) -> bool | None:
    """Return whether a track qualifies if its total is at least `floor`: then no metric can be far below its most."""
    points = {name: track.metrics[name].points for name, one in version.metrics.items() if one.score is not None}
    most = sum(one.high for one in points.values())
    tight = {name: Q(min(one.high, max(one.low, floor - (most - one.high))), one.high) for name, one in points.items()}
    choice = {TRACK: track.track} if track.track else {}
    qualified, _codes = qualify(rule, tight, Facts({}, choice))
    if qualified is None and point(floor).gte(rule.min_total.of(choice)):
        above = rule.each_above.of(choice)
        return all_of(one.gt(above) for one in tight.values())
    return qualified
