"""The parts of a competency's page that explain it, in the reader's language."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from competencies.closing import MOST, Closing, Gap, Gaps, Together
from competencies.measures.figures import Caveat
from competencies.months import Basis, DaysOf, Leaving, Month, MonthsOf
from competencies.results import Amount
from competencies.tracks import Tracks
from competencies.words import (
    LEVELS,
    METRICS,
    TRACKS,
    amount_text,
    is_met,
    number_with_unit,
    of_metric,
    plain_amount,
    reason_of,
)
from por.directory.models import Customer
from por.programs.rules import Unit, Version
from por.web.formatting import day_text, month_text, number_text

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

# --- Months and days ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MonthRow:
    """A month of a page. `share` of 100 says how much it has beside the month that has most; None if not known."""

    month: date
    name: str
    amount: str
    share: Decimal | None
    counts: bool
    leaves_on: date


@dataclass(frozen=True)
class MonthsTable:
    """The months of a metric on a page. `total` is empty where there is no such number."""

    key: str
    name: str
    rows: list[MonthRow]
    is_empty: bool
    total_name: str
    total: str
    leaves: str
    said: list[str]


_LEAVES = gettext_lazy("No longer counts on")
#: What the months of a metric are, what they are together, and what happens on the day on which they leave.
_OF_BASIS: dict[Basis, tuple[LazyText, LazyText, LazyText]] = {
    Basis.SUM: (gettext_lazy("The months add up to the figure."), gettext_lazy("Sum"), _LEAVES),
    Basis.LAST_USED: (
        gettext_lazy("Each service is in the last month in which it was used, and counts until that month leaves."),
        gettext_lazy("Sum"),
        _LEAVES,
    ),
    Basis.COMPARED: (
        gettext_lazy(
            "The newest month is compared with a year before, or with the month in which the association began. Each "
            "row has what grew since that month."
        ),
        gettext_lazy("Growth"),
        gettext_lazy("Compared with a later month from"),
    ),
    Basis.AT_MONTH_END: (
        gettext_lazy("What there was at the end of each month. The newest month counts, less that of a year before."),
        gettext_lazy("Difference"),
        gettext_lazy("Taken off from"),
    ),
}


def months_table(of: MonthsOf, day: date) -> MonthsTable:
    """Return what a page shows of the months of a metric."""
    rows = [
        MonthRow(
            one.month,
            month_text(one.month),
            _of_month(one, of.unit),
            abs(one.amount) * 100 / of.largest if of.largest and one.is_reported else None,
            one.counts,
            one.leaves_on,
        )
        for one in of.months
    ]
    about, total_name, leaves = _OF_BASIS[of.basis]
    if of.basis is Basis.AT_MONTH_END and of.unit is Unit.USD:
        about = gettext_lazy("What each month had. What counts is how much the newest month grew since a year before.")
    name = str(METRICS[of.metric])
    return MonthsTable(
        of.metric,
        f"{name}: {of.kind.label}" if of.kind else name,
        rows,
        of.is_empty,
        str(total_name),
        _total(of),
        str(leaves),
        [str(about), counted_text(of, day)],
    )


def _of_month(one: Month, unit: Unit) -> str:
    amount = number_with_unit(Fraction(one.amount), unit)
    if not one.is_reported:
        return _("at least %(amount)s") % {"amount": amount} if one.amount > 0 else _("not reported")
    if one.caveats & Caveat.CURRENCIES_DIFFER:
        return _("%(amount)s, and amounts in other currencies") % {"amount": amount}
    return amount


def _total(of: MonthsOf) -> str:
    if of.total is None:
        return ""
    low, high = (None if one is None else Fraction(one) for one in (of.total.low, of.total.high))
    return amount_text(Amount(low, high), of.unit)


def counted_text(of: MonthsOf, day: date) -> str:
    """Return which of the months count for a partner that is attached on the day, by the rule of that day."""
    if not of.is_credited:
        kinds = ", ".join(str(kind.label) for kind in of.kinds)
        return _("A partner of record does not count for this. These types of association do: %(kinds)s.") % {
            "kinds": kinds
        }
    values = {
        "day": day_text(day),
        "first": month_text(of.next_month),
        "full": month_text(of.full_from),
        "n": of.counted,
        "all": len(of.months),
    }
    if of.basis is Basis.COMPARED:
        text = _(
            "A partner attached on %(day)s is compared with %(first)s: what is added after that month counts. From the "
            "end of %(full)s on, a whole year counts."
        )
    elif of.basis is Basis.AT_MONTH_END and of.unit is Unit.USD:
        text = _(
            "For a partner attached on %(day)s, consumption counts from %(first)s on. From the end of %(full)s on, it "
            "counts in both months that are compared."
        )
    elif of.basis is Basis.AT_MONTH_END:
        text = _(
            "For a partner attached on %(day)s, a customer counts from the end of %(first)s on. From the end of "
            "%(full)s on, it is taken off as well, as one of a year before."
        )
    elif of.counted == len(of.months):
        text = ngettext(
            "A partner attached on %(day)s immediately has this month, although it is earlier.",
            "A partner attached on %(day)s immediately has all %(n)s months, although they are earlier.",
            of.counted,
        )
    elif of.counted:
        text = _(
            "A partner attached on %(day)s has %(n)s of %(all)s months: those from %(first)s on. "
            "All months are there from the end of %(full)s on."
        )
    else:
        text = _(
            "A partner attached on %(day)s has none of these months. The first month that counts is "
            "%(first)s, and all months are there from the end of %(full)s on."
        )
    return text % values


@dataclass(frozen=True)
class DaysTable:
    """What leaves the window of a metric, on a page: each customer with its days and what it adds."""

    key: str
    name: str
    rows: list[tuple[Customer, date, date, str]]
    more: int
    hidden: int


def days_table(of: DaysOf) -> DaysTable:
    """Return what a page shows of the days on which customers leave a window."""
    rows = [(one.customer, one.counts_from, one.leaves_on, _of_part(one, of.unit)) for one in of.leaving]
    return DaysTable(of.metric, str(METRICS[of.metric]), rows, of.more, of.hidden)


def _of_part(one: Leaving, unit: Unit) -> str:
    is_known = not one.caveats & Caveat.SEATS_UNKNOWN or one.amount
    return number_with_unit(Fraction(one.amount), unit) if is_known else _("unknown")


# --- Who would close a gap ------------------------------------------------------------------------------------------

#: How many subscriptions the link to the what-if page names, so that its address is not too long.
IN_A_LINK = 150


@dataclass(frozen=True)
class GapTable:
    """A gap on a page: who would add how much to it, who closes it, and the query of the what-if page with them.

    A row has the customer, what it would add, and the query of the page that invites it; "" if none of its
    subscriptions lacks a partner of record any more.
    """

    key: str
    name: str
    missing: str
    rows: list[tuple[Customer, list[str], str]]
    more: int
    hidden: int
    said: str
    query: str


def gap_table(gap: Gap) -> GapTable:
    """Return what a page shows of a gap."""
    rows = [(one.customer, [number_with_unit(one.amount, gap.unit)], _invite(one)) for one in gap.customers[:MOST]]
    return GapTable(
        gap.metric,
        str(METRICS[gap.metric]),
        "" if gap.missing.is_unknown else amount_text(gap.missing, gap.unit),
        rows,
        max(0, len(gap.customers) - MOST),
        gap.hidden,
        closing_text(gap),
        _attach(gap.chosen),
    )


def _invite(one: Closing) -> str:
    """Return the query of the page that invites a customer, with the subscriptions that can still be attached."""
    named = {"tenant_id": one.customer.tenant_id, "subscription": one.free_today}
    return urlencode(named, doseq=True) if one.free_today else ""


def _attach(chosen: Iterable[Closing]) -> str:
    """Return the query of the what-if page with all subscriptions of these customers."""
    ids = [one for customer in chosen for one in customer.subscriptions][:IN_A_LINK]
    return urlencode({"attach": ids}, doseq=True)


def closing_text(gap: Gap) -> str:
    """Return whether customers close a gap, and how many of them are enough."""
    if not gap.customers:
        return _("No subscription that you see and that had no partner of record on that day would add to this.")
    if gap.smallest is None:
        total = number_with_unit(sum((one.amount for one in gap.customers), Fraction(0)), gap.unit)
        return _("All of these together would add %(amount)s. That is not enough.") % {"amount": total}
    return ngettext("The first customer closes the gap.", "The first %(n)s customers close the gap.", gap.smallest) % {
        "n": gap.smallest
    }


@dataclass(frozen=True)
class TogetherTable:
    """Who closes all gaps together, on a page: each customer with what it would add to each, and the same queries."""

    said: list[str]
    rows: list[tuple[Customer, list[str], str]]
    more: int
    hidden: int
    query: str


def together_table(gaps: Gaps, version: Version) -> TogetherTable | None:
    """Return what a page shows of the customers that close all gaps together; None if there are not several gaps."""
    if gaps.together is None:
        return None
    keys = [one.pk for one in gaps.together.customers]
    adds: dict[int, list[str]] = {pk: [] for pk in keys}
    rows: dict[int, Closing] = {}
    for gap in gaps.each:
        for one in gap.customers:
            if one.customer.pk in adds:
                adds[one.customer.pk].append(of_metric(gap.metric, number_with_unit(one.amount, gap.unit)))
                rows[one.customer.pk] = one
    return TogetherTable(
        list(together_text(gaps.together, version)),
        [(rows[pk].customer, adds[pk], _invite(rows[pk])) for pk in keys[:MOST]],
        max(0, len(keys) - MOST),
        gaps.together.hidden,
        _attach(rows[pk] for pk in keys),
    )


def together_text(together: Together, version: Version) -> Iterator[str]:
    """Yield whether customers close all gaps together, and what is known of the level then."""
    count, level = len(together.customers), {"level": LEVELS[together.level]}
    if not count:
        yield _("All customers that would add to one of these do not close all gaps together.")
        return
    if count == 1:
        yield _("This customer alone closes all of these gaps.")
    else:
        text = _("These %(n)s customers close all of these gaps together. There may be fewer that do.")
        yield text % {"n": number_text(count)}
    if together.is_reached:
        yield _("With them, the level %(level)s is reached.") % level
        return
    yield _("For the level %(level)s, this is not met then, or not known:") % level
    left = (one for one in together.left if is_met(one) is not True)
    yield from dict.fromkeys(reason_of(one, version) for one in left)


# --- Tracks ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TracksTable:
    """The tracks of a score on a page: their names, and a row for each metric with the points in each track.

    Points stand with the name of their track.
    """

    names: list[tuple[str, bool]]
    rows: list[tuple[str, list[tuple[str, str]]]]
    totals: list[tuple[str, str]]
    said: str


def tracks_table(tracks: Tracks) -> TracksTable:
    """Return what a page shows of the tracks of a score."""
    names = [str(TRACKS[one.track or ""]) for one in tracks.each]
    rows = [
        (str(METRICS[same[0].metric]), list(zip([_points(one.points, one.most) for one in same], names, strict=True)))
        for same in zip(*(one.metrics for one in tracks.each), strict=True)
        if same[0].points is not None
    ]
    totals = [amount_text(one.total or Amount(None, None), Unit.POINTS) for one in tracks.each]
    counts = [one.track == tracks.counts for one in tracks.each]
    return TracksTable(
        list(zip(names, counts, strict=True)), rows, list(zip(totals, names, strict=True)), track_text(tracks)
    )


def track_text(tracks: Tracks) -> str:
    """Return which track counts, and why."""
    if tracks.counts is None:
        if tracks.is_best:
            return _("The track with the best total counts. It is not certain which one that is.")
        return _("The company’s customers decide which track counts. Too little is known of them to say which one.")
    name = TRACKS[tracks.counts]
    if tracks.is_best:
        return _("The track with the best total counts: %(track)s.") % {"track": name}
    return _("The company’s customers decide which track counts: %(track)s.") % {"track": name}


def _points(points: Amount | None, most: Amount | None) -> str:
    have = points or Amount(None, None)
    if most is None:
        return amount_text(have, Unit.POINTS)
    return _("%(points)s of %(most)s") % {"points": plain_amount(have), "most": amount_text(most, Unit.POINTS)}
