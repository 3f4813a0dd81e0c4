"""The ten kinds of scores: how a value becomes points, or an amount of money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from por.programs.codes import Code, Why
from por.programs.facts import Facts
from por.programs.figures import Figure
from por.programs.quantity import ZERO, Number, Q, agreed, all_of, any_of, divided, greatest, hull, point, times, total
from por.programs.tests import Compare, Operator, Test, unpublished
from por.programs.values import Derivable, Fact


@dataclass(frozen=True, slots=True)
class Scored:
    """A value, what it is worth, and why. `parts` has what the points are made of, not rounded and not capped."""

    value: Q
    points: Q
    codes: tuple[Code, ...] = ()
    parts: Mapping[str, Q] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Threshold:
    """All points from a value on."""

    at: Figure
    points: Figure

    def score(self, name: str, value: Q, facts: Facts) -> Scored:
        checked = _enough(name, self.at).compared(value, facts)
        return Scored(value, _if(checked.met, self.points.of(facts.choice)), checked.codes)

    def most(self, choice: Mapping[str, str]) -> Q:
        return self.points.of(choice)


@dataclass(frozen=True, slots=True)
class Linear:
    """Points in proportion to the value, all of them at `at`."""

    max: Figure
    at: Figure

    def score(self, name: str, value: Q, facts: Facts) -> Scored:
        most, at = self.max.of(facts.choice), self.at.of(facts.choice)
        points = _proportion(value, at, most)
        codes = _enough(name, self.at).compared(value, facts).codes
        return Scored(value, points, codes + _capped(name, value.low > at.high, most))

    def most(self, choice: Mapping[str, str]) -> Q:
        return self.max.of(choice)


@dataclass(frozen=True, slots=True)
class Band:
    """Which growth is asked for from a baseline on, or how much there must be now."""

    base: Figure
    growth: Figure | None = None
    at_least: Figure | None = None


@dataclass(frozen=True, slots=True)
class AllOrNothing:
    """All points or none: for a growth that depends on the baseline, or for the test in `other`."""

    points: Figure
    base: Fact
    now: Fact
    bands: tuple[Band, ...]
    other: Test | None = None

    def score(self, name: str, value: Q, facts: Facts) -> Scored:
        met = [] if self._absent(facts) else [self._grown(facts)]
        other = self.other.check(facts) if self.other is not None else None
        if other is not None and other.asked:
            met.append(other.met)
        codes = () if other is None else other.codes
        reached = any_of(met) if met else None
        return Scored(value, _if(reached, self.points.of(facts.choice)), self._codes(name, facts, reached) + codes)

    def _absent(self, facts: Facts) -> bool:
        return facts.given_only and facts.get(self.base.name) is None and facts.get(self.now.name) is None

    def _grown(self, facts: Facts) -> bool | None:
        """Return whether the growth for the baseline is reached. An open choice is tried with each of its values."""
        by = next((band.base.leaf(facts.choice).by for band in self.bands if band.base.leaf(facts.choice).by), None)
        if by is not None:
            each = next(band.base.leaf(facts.choice).each for band in self.bands if band.base.leaf(facts.choice).by)
            return agreed({self._grown(facts.chosen(**{by: one})) for one in each})
        base, now = self.base.of(facts), self.now.of(facts)
        begins = [band.base.of(facts.choice).low for band in self.bands]
        said: set[bool | None] = {False} if base.low < begins[0] else set()
        for band, begin, end in zip(self.bands, begins, [*begins[1:], inf], strict=True):
            if base.high >= begin and base.low < end:
                said.add(self._in_band(band, Q(max(base.low, begin), min(base.high, end)), now, facts))
        return agreed(said)

    def _in_band(self, band: Band, base: Q, now: Q, facts: Facts) -> bool | None:
        if band.growth is not None:
            return now.gte(base * (point(1) + band.growth.of(facts.choice)))
        assert band.at_least is not None
        return now.gte(band.at_least.of(facts.choice))

    def _codes(self, name: str, facts: Facts, reached: bool | None) -> tuple[Code, ...]:
        base, now = self.base.of(facts), self.now.of(facts)
        figures = {"metric": name, "baseline": base.json(), "have": now.json()}
        if reached:
            return (Code(Why.MET, figures),)
        begins = self.bands[0].base.of(facts.choice)
        if base.lt(begins):
            return (Code(Why.BELOW_BASELINE, figures | {"need": begins.json()}),)
        if reached is None:
            return (Code(Why.FACTS_INCOMPLETE, figures),)
        need = hull(self._need(band, base, facts) for band in self.bands if base.high >= band.base.of(facts.choice).low)
        return (Code(Why.SHORT_BY, figures | {"need": need.json(), "short": (need - now).json()}),)

    def _need(self, band: Band, base: Q, facts: Facts) -> Q:
        if band.growth is not None:
            return base * (point(1) + band.growth.of(facts.choice))
        assert band.at_least is not None
        return band.at_least.of(facts.choice)

    def most(self, choice: Mapping[str, str]) -> Q:
        return self.points.of(choice)


@dataclass(frozen=True, slots=True)
class PerUnit:
    """Points for each unit, up to a maximum."""

    each: Figure
    max: Figure

    def score(self, name: str, value: Q, facts: Facts) -> Scored:
        each, most = self.each.of(facts.choice), self.max.of(facts.choice)
        raw = value * each
        points = _between(raw, most)
        met = raw.gte(most)
        unclear = Why.NO_FACTS if value.high == inf else Why.FACTS_INCOMPLETE
        why = Why.MET if met else Why.SHORT_BY if met is False else unclear
        code = Code(why, _per_unit(name, value, each, most))
        return Scored(value, points, (code, *_capped(name, raw.low > most.high, most)))

    def most(self, choice: Mapping[str, str]) -> Q:
        return self.max.of(choice)


def _per_unit(name: str, value: Q, each: Q, most: Q) -> dict[str, object]:
    need = most / each
    return {"metric": name, "need": need.json(), "have": value.json(), "short": (need - value).clamp(0, inf).json()}


@dataclass(frozen=True, slots=True)
class Step:
    """A step that some people must have taken. `points` is what it pays by itself."""

    step: Fact
    min_people: Figure
    points: Figure


@dataclass(frozen=True, slots=True)
class Ladder:
    """Required steps, and points for each person in electives once all required steps are taken."""

    max: Figure
    required: tuple[Step, ...]
    elective: Fact
    elective_points: Figure

    def score(self, name: str, value: Q, facts: Facts) -> Scored:
        checked = [Compare(one.step.name, one.step, Operator.GTE, one.min_people).check(facts) for one in self.required]
        people = self.elective.of(facts).clamp(0, inf)
        paid = total(
            _if(done.met, one.points.of(facts.choice)) for one, done in zip(self.required, checked, strict=True)
        )
        taken = all_of(one.met for one in checked)
        most = self.max.of(facts.choice)
        points = _between(paid + _if(taken, people * self.elective_points.of(facts.choice)), most)
        codes = [
            Code(Why.REQUIRED_STEP_MISSING, code.figures) if done.met is False else code
            for done in checked
            for code in done.codes
        ]
        return Scored(people, points, (*codes, *_capped(name, points.low >= most.high, most)))

    def most(self, choice: Mapping[str, str]) -> Q:
        return self.max.of(choice)


@dataclass(frozen=True, slots=True)
class Option:
    """A kind of association and the value that gives all points. `track` is the only track that has it."""

    at: Figure
    track: str = ""


@dataclass(frozen=True, slots=True)
class BestOfOptions:
    """Points by each kind of association on its own; the best counts, and they are not added up."""

    max: Figure
    options: Mapping[str, Option]

    def score(self, name: str, value: Q, facts: Facts) -> Scored:
        most = self.max.of(facts.choice)
        track = facts.choice.get("track", "")
        parts: dict[str, Q] = {}
        each: dict[str, object] = {}
        for kind, option in self.options.items():
            if track and option.track not in ("", track):
                continue
            fact = f"{name}.{kind}"
            if not (facts.given_only and facts.get(fact) is None):
                have, full = facts.number(fact), option.at.of(facts.choice)
                parts[kind] = _ratio(have, full) * most
                each[kind] = [have.json(), full.json()]
        if not parts:
            return Scored(value, _between(Q(-inf, inf), most), (Code(Why.NO_FACTS, {"metric": name}),))
        best = greatest(parts.values())
        known = {kind: one.json() for kind, one in parts.items()}
        leader = max(parts, key=lambda kind: parts[kind].low)
        why = Why.MIXED_OPTIONS if all(one.high < inf for one in parts.values()) else Why.FACTS_INCOMPLETE
        figures = {"metric": name, "best": leader, "points": known, "each": each}
        code = Code(why, figures | {"need": most.json(), "have": best.json()})
        best_ones = [kind for kind, one in parts.items() if kind == leader or one.high > parts[leader].low < most.high]
        value = hull(facts.number(f"{name}.{kind}") for kind in best_ones)  # what was measured, not what it is worth
        return Scored(value, _between(best, most), (code, *_capped(name, best.low > most.high, most)), parts)

    def most(self, choice: Mapping[str, str]) -> Q:
        return self.max.of(choice)


@dataclass(frozen=True, slots=True)
class Rate:
    """What each unit above a number of units pays."""

    above: Figure
    rate: Figure


@dataclass(frozen=True, slots=True)
class BandedRate:
    """A rate for the units of each band, nothing below a minimum, and a cap."""

    bands: tuple[Rate, ...]
    minimum: Figure | None = None
    cap: Figure | None = None

    def score(self, name: str, value: Q, facts: Facts) -> Scored:
        least = self.minimum.of(facts.choice) if self.minimum is not None else point(-inf)
        cap = self.cap.of(facts.choice) if self.cap is not None else point(inf)
        rates = [(one.above.of(facts.choice).low, one.rate.of(facts.choice)) for one in self.bands]
        low = _banded(value.low, least.high, cap.low, [(above, rate.low) for above, rate in rates])
        high = _banded(value.high, least.low, cap.high, [(above, rate.high) for above, rate in rates])
        codes = () if self.minimum is None else _enough(name, self.minimum).compared(value, facts).codes
        return Scored(value, Q(low, high), codes + _capped(name, low == cap.low, cap))

    def most(self, choice: Mapping[str, str]) -> Q:
        return self.cap.of(choice) if self.cap is not None else point(inf)


def _banded(units: Number, least: Number, cap: Number, rates: list[tuple[Number, Number]]) -> Number:
    if units < least:
        return 0
    ends = [above for above, _rate in rates[1:]] + [inf]
    amounts = [times(max(0, min(units, end) - above), rate) for (above, rate), end in zip(rates, ends, strict=True)]
    return min(cap, sum(amounts))


@dataclass(frozen=True, slots=True)
class RateTimesUnits:
    """An amount: the units times factors, which are facts such as a price, or figures such as a share."""

    times: tuple[Derivable | Figure, ...]
    per: Figure | None = None

    def score(self, name: str, value: Q, facts: Facts) -> Scored:
        amount = value
        codes: list[Code] = []
        for factor in self.times:
            if isinstance(factor, Figure):
                amount *= factor.of(facts.choice)
                leaf = factor.leaf(facts.choice)
                codes += [] if leaf.published or leaf.by else [unpublished(name, leaf)]
            else:
                amount *= factor.of(facts)
                codes += [Code(Why.NO_FACTS, {"metric": one}) for one in factor.names() if facts.get(one) is None]
        if self.per is not None:
            amount = amount / self.per.of(facts.choice)
        return Scored(value, amount, tuple(codes))

    def most(self, choice: Mapping[str, str]) -> Q:
        return point(inf)


@dataclass(frozen=True, slots=True)
class MilestoneStep:
    """What is paid once when so large a share is reached."""

    share: Figure
    amount: Figure


@dataclass(frozen=True, slots=True)
class Bucket:
    """The milestones for a size from `above` on."""

    above: Figure
    milestones: tuple[MilestoneStep, ...]


@dataclass(frozen=True, slots=True)
class Milestone:
    """A one-time amount for each milestone that is newly reached. The milestones depend on the size.

    `size` and `paid` are facts: the size, and how many milestones were paid before. `buckets` is None where they are
    not published.
    """

    size: Fact
    paid: Fact
    buckets: tuple[Bucket, ...] | None

    def score(self, name: str, value: Q, facts: Facts) -> Scored:
        if self.buckets is None:
            code = Code(Why.FIGURE_NOT_PUBLISHED, {"metric": name, "figure": "buckets", "status": "gated"})
            return Scored(value, Q(0, inf), (code,))
        size, paid = self.size.of(facts), self.paid.of(facts).clamp(0, inf)
        begins = [one.above.of(facts.choice).low for one in self.buckets]
        fitting = [
            self._amount(bucket, value, paid, facts)
            for bucket, begin, end in zip(self.buckets, begins, [*begins[1:], inf], strict=True)
            if size.high >= begin and size.low < end
        ]
        amounts = [*fitting, *([ZERO] if size.low < begins[0] else [])]
        return Scored(value, hull(amounts))

    def _amount(self, bucket: Bucket, share: Q, paid: Q, facts: Facts) -> Q:
        amounts = ZERO
        for number, one in enumerate(bucket.milestones):
            newly = all_of([share.gte(one.share.of(facts.choice)), paid.lte(point(number))])
            amounts += _if(newly, one.amount.of(facts.choice))
        return amounts

    def most(self, choice: Mapping[str, str]) -> Q:
        return point(inf)


@dataclass(frozen=True, slots=True)
class HighWaterMark:
    """An amount for each unit above the highest mark so far, limited by what was paid for and by a maximum.

    Parts: `opportunity_units` and `potential` if all paid seats were in use, `max_units` and
    `capped` by the maximum, `units` now.
    """

    mau: Fact
    pau: Fact
    prior_hwm: Fact
    rate: Fact
    max_earning: Fact

    def score(self, name: str, value: Q, facts: Facts) -> Scored:
        mau, pau, mark, rate, most = (
            one.of(facts) for one in (self.mau, self.pau, self.prior_hwm, self.rate, self.max_earning)
        )
        rate, most = rate.clamp(0, inf), most.clamp(0, inf)
        opportunity = (pau - mark).clamp(0, inf)
        potential = opportunity * rate
        units = (_least(mau, pau) - mark).clamp(0, inf)
        parts = {
            "opportunity_units": opportunity,
            "potential": potential,
            "max_units": most / rate,
            "capped": _least(potential, most),
            "units": units,
        }
        earned = _least(units * rate, most)
        codes = _capped(name, (units * rate).low > most.high, most)
        missing = [one.name for one in (self.mau, self.pau, self.prior_hwm, self.rate) if facts.get(one.name) is None]
        return Scored(units, earned, (*codes, *(Code(Why.NO_FACTS, {"metric": one}) for one in missing)), parts)

    def most(self, choice: Mapping[str, str]) -> Q:
        return point(inf)


Score = (
    Threshold
    | Linear
    | AllOrNothing
    | PerUnit
    | Ladder
    | BestOfOptions
    | BandedRate
    | RateTimesUnits
    | Milestone
    | HighWaterMark
)
KINDS: dict[str, type[Score]] = {
    "threshold": Threshold,
    "linear": Linear,
    "all_or_nothing": AllOrNothing,
    "per_unit": PerUnit,
    "ladder": Ladder,
    "best_of_options": BestOfOptions,
    "banded_rate": BandedRate,
    "rate_times_units": RateTimesUnits,
    "milestone": Milestone,
    "high_water_mark": HighWaterMark,
}


# --- Parts of the kinds ----------------------------------------------------------------------------------------------


def _enough(name: str, figure: Figure) -> Compare:
    return Compare(name, Fact(name), Operator.GTE, figure)


def _if(met: bool | None, amount: Q) -> Q:
    """Return the amount if it is due, 0 if not, and both where that is undetermined."""
    return amount if met else ZERO if met is False else amount | ZERO


def _between(quantity: Q, most: Q) -> Q:
    """Return the quantity from 0 up to what is the most."""
    return Q(min(max(quantity.low, 0), most.low), min(max(quantity.high, 0), most.high))


def _least(one: Q, other: Q) -> Q:
    return Q(min(one.low, other.low), min(one.high, other.high))


def _ratio(value: Q, at: Q) -> Q:
    if value.known and at.known and at.low > 0:
        return point(divided(value.low, at.low))
    return value / at


def _proportion(value: Q, at: Q, most: Q) -> Q:
    """Return min(value / at, 1) * most, not below 0. Points are multiplied as points where they are known."""
    if value.known and at.known and most.known and at.low > 0:
        if value.low <= 0:
            return ZERO
        return most if value.low >= at.low else point(divided(value.low * most.low, at.low))
    if at.low <= 0:  # not published: it may be any number above 0
        return ZERO if value.high <= 0 else Q(0, max(most.high, 0))
    return _between((value / at).clamp(0, 1) * most, most)


def _capped(name: str, reached: bool, most: Q) -> tuple[Code, ...]:
    return (Code(Why.CAPPED, {"metric": name, "at": most.json()}),) if reached else ()
