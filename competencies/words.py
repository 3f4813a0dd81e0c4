"""What results are in words: metrics, amounts with their units, and why something is met or missed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy, pgettext_lazy

from associations.record.rules import AssociationKind
from competencies.results import QUALIFIED, UNREPORTED, Amount, MetricResult, Reason, Result
from por.programs.calendars import months_later
from por.programs.codes import Why
from por.programs.judging import NO_LEVEL, TOTAL
from por.programs.quantity import all_of, shown
from por.programs.rules import Measure, Metric, Unit, Version
from por.programs.scoring import Linear, PerUnit
from por.web.formatting import language, money_text, month_text, number_text

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

#: The names of levels. The last one is of a score.
LEVELS: Mapping[str, LazyText] = {
    NO_LEVEL: pgettext_lazy("level", "None"),
    "silver": gettext_lazy("Silver"),
    "gold": gettext_lazy("Gold"),
    QUALIFIED: pgettext_lazy("level", "Qualified"),
    "additional": gettext_lazy("Additional benefits"),
    "specialist": gettext_lazy("Specialisation"),
}

#: The names of metrics, and of the facts that tests ask for.
METRICS: Mapping[str, LazyText] = {
    "accelerator": gettext_lazy("Accelerator fee"),
    "active_entitlements": gettext_lazy("Active entitlements"),
    "active_users": gettext_lazy("Active users"),
    "advanced": gettext_lazy("Advanced skilling"),
    "advanced_elective": gettext_lazy("People with electives, advanced"),
    "advanced_required_1": gettext_lazy("People with the required step, advanced"),
    "advanced_certifications": gettext_lazy("Advanced certifications"),
    "amount": gettext_lazy("Amount"),
    "assessed_people": gettext_lazy("People with the assessments"),
    "azure_consumption": gettext_lazy("Azure consumption"),
    "certified_people": gettext_lazy("Certified people"),
    "compensable_units": gettext_lazy("Compensable units"),
    "consumption": gettext_lazy("Consumption"),
    "consumption_fee": gettext_lazy("Consumption fee"),
    "deployments": gettext_lazy("Deployments"),
    "developers": gettext_lazy("Developers"),
    "devices": gettext_lazy("Devices"),
    "elective": gettext_lazy("People with electives"),
    "functional_consultant_growth": gettext_lazy("Growth in functional consultants"),
    "functional_consultants": gettext_lazy("Functional consultants"),
    "functional_people": gettext_lazy("People with a functional exam"),
    "intermediate": gettext_lazy("Intermediate skilling"),
    "intermediate_elective": gettext_lazy("People with electives, intermediate"),
    "intermediate_required_1": gettext_lazy("People with the required step, intermediate"),
    "intermediate_certifications": gettext_lazy("Intermediate certifications"),
    "lost_customers": gettext_lazy("Lost customers"),
    "manage_a_month": gettext_lazy("Monthly management fee"),
    "mau_growth": gettext_lazy("Growth in active users"),
    "milestones": gettext_lazy("Milestones"),
    "net_customer_adds": gettext_lazy("Net customer adds"),
    "net_customer_adds_azure": gettext_lazy("Net customer adds, Azure"),
    "net_customer_adds_m365": gettext_lazy("Net customer adds, Microsoft 365"),
    "net_new_cloud_revenue": gettext_lazy("Net new cloud revenue"),
    "net_new_customers": gettext_lazy("Net new customers"),
    "net_new_revenue": gettext_lazy("Net new revenue"),
    "new_customers": gettext_lazy("New customers"),
    "new_large_deployments": gettext_lazy("New large deployments"),
    "other_requirements": gettext_lazy("Other requirements"),
    "pci_score": gettext_lazy("Partner contribution indicators"),
    "people": gettext_lazy("People"),
    "people_with_exam": gettext_lazy("People with the exam"),
    "power_bi_seats": gettext_lazy("Power BI seats"),
    "qualified_people": gettext_lazy("Qualified people"),
    "references": gettext_lazy("Customer references"),
    "required_1": gettext_lazy("People with the first required step"),
    "required_2": gettext_lazy("People with the second required step"),
    "seats_sold": gettext_lazy("Seats sold"),
    "sell": gettext_lazy("Sell fee"),
    "skilling_advanced": gettext_lazy("Advanced skilling"),
    "skilling_intermediate": gettext_lazy("Intermediate skilling"),
    "technical_people": gettext_lazy("People with a technical exam"),
    TOTAL: gettext_lazy("Total score"),
    "total_revenue": gettext_lazy("Total revenue"),
    "usage_fee": gettext_lazy("Usage fee"),
    "usage_growth": gettext_lazy("Usage growth"),
}

#: What a choice is, where a figure depends on it.
CHOICES: Mapping[str, LazyText] = {
    "market": gettext_lazy("market of the partner"),
    "track": gettext_lazy("track"),
    "option": gettext_lazy("option"),
    "path": gettext_lazy("product path"),
    "product": gettext_lazy("product"),
    "acquired": gettext_lazy("date of acquisition"),
}

_UNITS: Mapping[Unit, Any] = {
    Unit.CUSTOMERS: ngettext_lazy("%(n)s customer", "%(n)s customers", "count"),
    Unit.SEATS: ngettext_lazy("%(n)s seat", "%(n)s seats", "count"),
    Unit.ENTITLEMENTS: ngettext_lazy("%(n)s active entitlement", "%(n)s active entitlements", "count"),
    Unit.USERS: ngettext_lazy("%(n)s user", "%(n)s users", "count"),
    Unit.PEOPLE: ngettext_lazy("%(n)s person", "%(n)s people", "count"),
    Unit.SERVICES: ngettext_lazy("%(n)s service", "%(n)s services", "count"),
    Unit.DEPLOYMENTS: ngettext_lazy("%(n)s deployment", "%(n)s deployments", "count"),
    Unit.DEVICES: ngettext_lazy("%(n)s device", "%(n)s devices", "count"),
    Unit.POINTS: ngettext_lazy("%(n)s point", "%(n)s points", "count"),
    Unit.REFERENCES: ngettext_lazy("%(n)s reference", "%(n)s references", "count"),
    Unit.HOURS: ngettext_lazy("%(n)s hour", "%(n)s hours", "count"),
}


def amount_text(amount: Amount, unit: Unit) -> str:
    """Return an amount in words: 12 customers, USD 15,000, 20 %, at least 40 seats, between 1 and 3 people, unknown."""
    low, high = amount
    if low is not None and low == high:
        return number_with_unit(low, unit)
    if high is None and (not low or (unit is Unit.PERCENT and low <= -100)):  # nothing is less than none
        return _("unknown")
    if high is None and low is not None:
        return _("at least %(amount)s") % {"amount": number_with_unit(low, unit)}
    if low is None and high is not None:
        return _("at most %(amount)s") % {"amount": number_with_unit(high, unit)}
    assert low is not None
    assert high is not None
    least = number_with_unit(low, unit) if unit is Unit.USD else plain_number(low)
    return _range_text(least, number_with_unit(high, unit))


def _range_text(low: str, high: str) -> str:
    return _("between %(low)s and %(high)s") % {"low": low, "high": high}


def number_with_unit(number: Fraction, unit: Unit) -> str:
    """Return a number with its unit, rounded to two places."""
    return _number_with_unit(number, unit, language())


@lru_cache(4096)  # a page says the same numbers many times
def _number_with_unit(number: Fraction, unit: Unit, _language: str) -> str:
    if unit is Unit.USD:
        return money_text(shown(number, 2), "USD")
    if unit is Unit.PERCENT:
        return _("%(number)s%%") % {"number": plain_number(number)}
    return str(_UNITS[unit] % {"n": plain_number(number), "count": 1 if number == 1 else 2})


def plain_amount(amount: Amount) -> str:
    """Return points without their unit: 7.5, 10–20, at least 3."""
    if amount.is_known and amount.low is not None:
        return plain_number(amount.low)
    if amount.low is not None and amount.high is not None:
        return f"{plain_number(amount.low)}–{plain_number(amount.high)}"
    return _("unknown")


def plain_number(number: Fraction) -> str:
    """Return a number rounded to two places, without places that are zero."""
    rounded = shown(number, 2)
    for places in (0, 1):
        if rounded == rounded.quantize(Decimal(1).scaleb(-places)):
            return number_text(rounded, places)
    return number_text(rounded, 2)


# --- Reasons --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Words:
    """The sentence for a code. `figures` are the names in it that are amounts in the metric's unit.

    `tone` is ok, bad or info: met, missed, or not known.
    """

    text: LazyText
    tone: str


SENTENCES: Mapping[Why, Words] = {
    Why.MET: Words(gettext_lazy("Met: %(have)s. Required: %(need)s."), "ok"),
    Why.SHORT_BY: Words(gettext_lazy("%(have)s of %(need)s. Missing: %(short)s."), "bad"),
    Why.NOT_MET: Words(gettext_lazy("Not met: %(have)s."), "bad"),
    Why.NO_FACTS: Words(gettext_lazy("No data about this has been imported."), "info"),
    Why.FACTS_INCOMPLETE: Words(gettext_lazy("The data is not complete. Known: %(have)s. Required: %(need)s."), "info"),
    Why.CHOICE_UNKNOWN: Words(
        gettext_lazy("The requirement depends on the %(choice)s, which is not known: %(need)s. Measured: %(have)s."),
        "info",
    ),
    Why.FIGURE_NOT_PUBLISHED: Words(
        gettext_lazy("This was also required, but the figure was never published. It is left out."), "info"
    ),
    Why.BELOW_BASELINE: Words(
        gettext_lazy("No points: growth counts only from %(need)s a year before. Then it was %(have)s."), "bad"
    ),
    Why.BASELINE_UNKNOWN: Words(
        gettext_lazy("It is not known how much there was a year before. Growth counts from %(need)s."), "info"
    ),
    Why.REQUIREMENT_MISSING: Words(gettext_lazy("No points, because a requirement for them is not met."), "bad"),
    Why.REQUIRED_STEP_MISSING: Words(
        gettext_lazy(
            "Electives give no points until the required step is taken. Required: %(need)s. Measured: %(have)s."
        ),
        "bad",
    ),
    Why.CAPPED: Words(gettext_lazy("The maximum is reached: %(at)s."), "ok"),
    Why.MIXED_OPTIONS: Words(
        gettext_lazy("The best type of association counts, and they are not added up. %(each)s."), "info"
    ),
    Why.LEVEL_UNDETERMINED: Words(gettext_lazy("We cannot tell whether the level %(level)s is reached."), "info"),
    Why.LEVEL_BELOW_MISSING: Words(
        gettext_lazy("The requirements of %(level)s alone are met, but %(below)s is required as well."), "bad"
    ),
    Why.AT_ZERO: Words(gettext_lazy("%(metric)s: no points. Each metric must have some."), "bad"),
    Why.TOTAL_SHORT: Words(gettext_lazy("Total: %(have)s of %(need)s. Missing: %(short)s."), "bad"),
    Why.TOTAL_UNDETERMINED: Words(gettext_lazy("The total is not known: %(have)s. Required: %(need)s."), "info"),
    Why.BEST_TRACK: Words(gettext_lazy("The track with the best total counts: %(track)s."), "info"),
    Why.TRACK_UNDETERMINED: Words(
        gettext_lazy(
            "The track with the best total counts. It is not certain which one that is. These are the figures of the "
            "track %(track)s."
        ),
        "info",
    ),
    Why.QUALIFIED_EARLIER: Words(
        gettext_lazy("The figures of %(month)s qualify. One of the last %(months)s months is enough."), "ok"
    ),
    Why.EARLIER_UNDETERMINED: Words(
        gettext_lazy(
            "We cannot tell whether the figures of %(month)s qualify. One of the last %(months)s months is enough."
        ),
        "info",
    ),
    Why.SEATS_OF_TODAY: Words(
        gettext_lazy("For some subscriptions, no month reports the number of seats, so today’s number counts."), "info"
    ),
    Why.SEATS_UNKNOWN: Words(gettext_lazy("The number of seats of some subscriptions is not known."), "info"),
    Why.MONTHS_NOT_REPORTED: Words(gettext_lazy("For some months, no data has been imported."), "info"),
    Why.CURRENCIES_DIFFER: Words(
        gettext_lazy("Some amounts are in other currencies. Nothing is converted, so the sum is not known."), "info"
    ),
    Why.NAMES_NOT_PUBLISHED: Words(
        gettext_lazy("Which exams and certifications count was never published, so nobody is counted."), "info"
    ),
    Why.SOME_NAMES_NOT_PUBLISHED: Words(
        gettext_lazy(
            "Other credentials count as well, but their names were never published. Whoever has only those is not "
            "counted."
        ),
        "info",
    ),
    Why.NOTHING_KNOWN: Words(
        gettext_lazy("No result had been stored by then. The page of the same day says what is known now."), "info"
    ),
    Why.NO_RULE: Words(gettext_lazy("There were no rules for this on that day."), "info"),
}
#: The sentence where nothing is known that could decide. What follows it says why.
_NOT_KNOWN = Words(gettext_lazy("The figure is not known. Required: %(need)s."), "info")
#: The sentence where a figure that was never published decides.
_DECIDES = Words(
    gettext_lazy("How much is required was never published, so nobody can tell whether it is met."), "info"
)
#: The sentences where the best type of association counts, and what some of them have is not known.
_BEST_NOT_KNOWN = Words(
    gettext_lazy("The figure is not known. The best type of association counts, for at most %(need)s. %(each)s."),
    "info",
)
_BEST_INCOMPLETE = Words(
    gettext_lazy(
        "The data is not complete. The best type of association counts, for at most %(need)s. So far it gives "
        "%(have)s. %(each)s."
    ),
    "info",
)
#: The sentences where a part of what is needed for all points gives some of them.
_OF_PARTS: Mapping[Why, Words] = {
    **SENTENCES,
    Why.MET: Words(gettext_lazy("Measured: %(have)s. Needed for all points: %(need)s."), "ok"),
    Why.SHORT_BY: Words(gettext_lazy("%(have)s of %(need)s for all points. Missing: %(short)s."), "bad"),
    Why.FACTS_INCOMPLETE: Words(
        gettext_lazy("The data is not complete. Known: %(have)s. Needed for all points: %(need)s."), "info"
    ),
}
_PART_NOT_KNOWN = Words(gettext_lazy("The figure is not known. Needed for all points: %(need)s."), "info")
#: The sentence where the months without data can be named.
_OF_MONTHS = Words(gettext_lazy("No data has been imported for %(unreported)s."), "info")
#: Shares are not so much of another share.
_SHORT_OF_SHARE = gettext_lazy("Measured: %(have)s. Required: %(need)s.")
#: Codes whose amounts are points, whatever the metric counts.
_OF_POINTS = (Why.CAPPED, Why.TOTAL_SHORT, Why.TOTAL_UNDETERMINED, Why.AT_ZERO, Why.MIXED_OPTIONS)
#: The figure that a code has where its amounts are points by kinds of association.
_POINTS = "points"
#: The amounts in the figures of a code.
_AMOUNTS = ("need", "have", "short", "baseline", "at")

#: The ways to reach a level, where there are several.
OPTIONS: Mapping[str, LazyText] = {
    "office365": gettext_lazy("Office 365"),
    "cba_smb": gettext_lazy("Partner contribution indicators"),
    "enterprise": gettext_lazy("Enterprise"),
    "smb": gettext_lazy("Small and medium-sized business"),
    "customer_engagement": gettext_lazy("Customer Engagement"),
    "operations": gettext_lazy("Operations"),
    "office365_seats": gettext_lazy("Office 365 seats"),
    "crm_online_seats": gettext_lazy("CRM Online seats"),
    "advisory_hours": gettext_lazy("Advisory hours"),
    "": gettext_lazy("Requirements"),
}

TRACKS: Mapping[str, LazyText] = {
    "enterprise": gettext_lazy("Enterprise"),
    "smb": gettext_lazy("Small and medium-sized business"),
}

_NAMES: Mapping[str, Callable[[str], str]] = {
    "metric": lambda name: str(METRICS[name]),
    "level": lambda name: str(LEVELS[name]),
    "below": lambda name: str(LEVELS[name]),
    "choice": lambda name: str(CHOICES[name]),
    "track": lambda name: str(TRACKS[name]),
    "best": lambda name: str(AssociationKind(name).label),
    "month": lambda month: month_text(date.fromisoformat(month)),
}


def unit_of(reason: Reason, metric: Metric) -> Unit:
    """Return the unit of a reason's amounts: that of the metric, or of what it grew from."""
    if reason.code in (Why.BELOW_BASELINE, Why.BASELINE_UNKNOWN) and metric.unit is Unit.PERCENT:
        return Unit.USD if metric.measure is Measure.CONSUMPTION else Unit.USERS
    return metric.unit


def words_of(reason: Reason, *, of_part: bool = False) -> Words:
    """Return the sentence for a reason. A shortage whose size is not known is said as what is not known.

    `of_part` says that a part of what is needed gives some of the points.
    """
    code, have = reason.code, reason.figures.get("have")
    sentences = _OF_PARTS if of_part else SENTENCES
    if code is Why.FIGURE_NOT_PUBLISHED and reason.figures.get("blocks"):
        return _DECIDES
    if reason.figures.get(UNREPORTED):
        return _OF_MONTHS
    if code is Why.FACTS_INCOMPLETE and _POINTS in reason.figures:
        return _BEST_NOT_KNOWN if have in _NOTHING else _BEST_INCOMPLETE
    if "need" in reason.figures and (code is Why.NO_FACTS or (code in _SHORT and have in _NOTHING)):
        return _PART_NOT_KNOWN if of_part else _NOT_KNOWN
    if code in _SHORT and isinstance(have, list):
        return sentences[Why.FACTS_INCOMPLETE]
    return sentences[code]


#: The codes that say how much there is of what is needed, and what that is where nothing is known.
_SHORT = (Why.SHORT_BY, Why.FACTS_INCOMPLETE)
_NOTHING: tuple[Any, ...] = ([None, None], [0, None])


class _Values(dict[str, str]):
    """The figures of a sentence. What an older result lacks is unknown."""

    def __missing__(self, name: str) -> str:
        return _("unknown")


def metric_text(reason: Reason, name: str, rule: Metric | None) -> str:
    """Return why something of a metric is so, in the reader's language. Without a rule, amounts are points."""
    if rule is None:
        return reason_text(reason, Unit.POINTS)
    of_part = isinstance(rule.score, (Linear, PerUnit)) and reason.figures.get("metric") == name
    return reason_text(reason, unit_of(reason, rule), of_part=of_part)


def reason_text(reason: Reason, unit: Unit, *, of_part: bool = False) -> str:
    """Return why something is so, in the reader's language. Amounts are of this unit, those of scores are points."""
    figures = reason.figures
    of_metric = unit
    if reason.code in _OF_POINTS or figures.get("metric") == TOTAL or _POINTS in figures:
        unit = Unit.POINTS
    values = _Values()
    for name, value in figures.items():
        if name in _AMOUNTS:
            values[name] = amount_text(reason.amount(name), unit)
        elif name == "each":
            values[name] = _each(value, figures.get("best"), of_metric)
        elif name == UNREPORTED:
            values[name] = months_text(value)
        elif (named := _NAMES.get(name)) is not None and isinstance(value, str):
            values[name] = named(value)
        else:
            values[name] = str(value)
    words = words_of(reason, of_part=of_part)
    if reason.code in (Why.SHORT_BY, Why.TOTAL_SHORT) and (have := reason.amount("have")).is_known:
        if unit is Unit.PERCENT:
            return str(_OF_PARTS[Why.MET].text if of_part else _SHORT_OF_SHARE) % values
        if unit is not Unit.USD:
            values["have"] = plain_amount(have)  # its unit stands beside it
    elif reason.code is Why.TOTAL_SHORT and have.low is not None and have.high is not None:
        values["have"] = _range_text(plain_number(have.low), plain_number(have.high))
    return str(words.text) % values


def months_text(months: Sequence[date]) -> str:
    """Return months in words, the earliest first: Mar 2026, May 2026 and Jul 2026 to Dec 2026."""
    runs: list[list[date]] = []
    for month in months:
        if runs and month == months_later(runs[-1][-1], 1):
            runs[-1].append(month)
        else:
            runs.append([month])
    spans = [span for run in runs for span in _spans(run)]
    if len(spans) == 1:
        return spans[0]
    return _("%(first)s and %(last)s") % {"first": ", ".join(spans[:-1]), "last": spans[-1]}


def _spans(run: Sequence[date]) -> list[str]:
    """Return months that follow each other in words: one or two by name, more as the first and the last."""
    if len(run) < 3:
        return [month_text(one) for one in run]
    return [_("%(first)s to %(last)s") % {"first": month_text(run[0]), "last": month_text(run[-1])}]


def _each(each: Mapping[str, Any], best: Any, unit: Unit) -> str:
    """Return what there is by each type of association, and what gives all points, the best type first."""
    return "; ".join(
        _("%(kind)s: %(have)s of %(need)s")
        % {
            "kind": AssociationKind(kind).label,
            "have": plain_amount(Amount.of(have)),
            "need": amount_text(Amount.of(full), unit),
        }
        for kind, (have, full) in sorted(each.items(), key=lambda one: one[0] != best)
    )


def reason_of(reason: Reason, version: Version) -> str:
    """Return why something is so, after the name of the metric if the reason is about one."""
    metric = reason.figures.get("metric")
    if not isinstance(metric, str) or metric not in METRICS or reason.code is Why.AT_ZERO:
        return reason_text(reason, Unit.POINTS)
    text = metric_text(reason, metric, version.metrics.get(metric))
    return of_metric(metric, of_option(reason, text))


def of_metric(metric: str, text: str) -> str:
    """Return a text after the name of the metric that it is about."""
    return _("%(metric)s: %(text)s") % {"metric": METRICS[metric], "text": text}


def is_met(reason: Reason) -> bool | None:
    """Return whether a reason says that something is met; None if it cannot be said."""
    return {"ok": True, "bad": False}.get(words_of(reason).tone)


def target_of(result: Result) -> str | None:
    """Return the level to reach: the next one, or the highest if all are reached; None for a programme without."""
    return result.next_level or next((one.level for one in reversed(result.levels)), None)


def decisive(result: Result, metric: str) -> list[Reason]:
    """Return what the level to reach says of a metric. Of a level that is reached, only in the ways that reach it."""
    level = next((one for one in result.levels if one.level == target_of(result)), None)
    if level is None:
        return []
    missed = {_option(one) for one in level.reasons if is_met(one) is not True} if level.met else set()
    return [one for one in level.reasons if one.figures.get("metric") == metric and _option(one) not in missed - {""}]


def _option(reason: Reason) -> str:
    """Return the way to a level that a reason is about; "" if there is one way only."""
    return str(reason.figures.get("option", ""))


def of_option(reason: Reason, text: str) -> str:
    """Return a text with the way to a level that the reason is about, where there are several."""
    option = _option(reason)
    return _("%(option)s: %(text)s") % {"option": OPTIONS[option], "text": text} if option else text


def meets_next(result: Result, metric: MetricResult) -> bool | None:
    """Return whether a metric has what the next level needs: for a score, all its points."""
    if metric.points is not None and metric.most is not None:
        low, full = metric.points.low, metric.most.high
        if low is None or full is None:
            return None
        return True if low >= full else False if metric.points.is_known else None
    met = [is_met(reason) for reason in decisive(result, metric.metric)]
    return all_of(met) if met else None
