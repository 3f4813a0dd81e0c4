"""What would reach a level: what counts for a metric, and what would have to be known of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from competencies.facts import Question, questions
from competencies.measures.asking import Ask
from competencies.results import Reason, Result
from competencies.words import CHOICES, OPTIONS
from por.directory.rules import Product
from por.programs.codes import Why
from por.programs.rules import Measure
from por.programs.scoring import BestOfOptions
from por.web.formatting import money_text, month_text, number_text

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

#: What would have to be known, or to be so, where a metric has a code. The other codes say it themselves.
WAYS: Mapping[Why, LazyText] = {
    Why.NO_FACTS: gettext_lazy("It is known once platform staff import %(file)s."),
    Why.MONTHS_NOT_REPORTED: gettext_lazy(
        "It is known once platform staff import %(file)s for the months that are not reported."
    ),
    Why.SEATS_UNKNOWN: gettext_lazy(
        "It is known once platform staff import the usage of these subscriptions, or their seats in subscriptions.csv."
    ),
    Why.CURRENCIES_DIFFER: gettext_lazy("It is known once all amounts in %(file)s are in %(currency)s."),
    Why.CHOICE_UNKNOWN: gettext_lazy("It is known once platform staff import the %(choice)s with partners.csv."),
    Why.FIGURE_NOT_PUBLISHED: gettext_lazy("Only Microsoft can say what is required."),
    Why.BELOW_BASELINE: gettext_lazy("Points are possible as soon as the month of a year before has that much."),
    Why.NAMES_NOT_PUBLISHED: gettext_lazy(
        "Ask Microsoft which ones count. As soon as the rules name them, everyone who has them in "
        "credentials.csv counts."
    ),
    Why.SOME_NAMES_NOT_PUBLISHED: gettext_lazy(
        "Ask Microsoft whether other credentials of the company’s people count."
    ),
}
#: The file from which platform staff bring what is measured.
FILES: Mapping[Measure, str] = {
    Measure.NEW_TENANTS: "subscriptions.csv",
    Measure.NET_NEW_TENANTS: "subscriptions.csv",
    Measure.LOST_TENANTS: "subscriptions.csv",
    Measure.SEATS_OF_NEW_SUBSCRIPTIONS: "subscriptions.csv",
    Measure.TENANTS: "usage.csv",
    Measure.ACTIVE_ENTITLEMENTS: "usage.csv",
    Measure.ACTIVE_USERS: "usage.csv",
    Measure.PAID_UNITS: "usage.csv",
    Measure.CONSUMPTION: "usage.csv",
    Measure.DEPLOYED_TENANTS: "usage.csv",
    Measure.SERVICES: "consumption.csv",
    Measure.REVENUE: "revenue.csv",
    Measure.PEOPLE: "credentials.csv",
}
#: What counts for each measure.
COUNTS: Mapping[Measure, LazyText] = {
    Measure.NEW_TENANTS: gettext_lazy(
        "A customer counts if its first subscription began in the %(months)s months up to this day."
    ),
    Measure.LOST_TENANTS: gettext_lazy(
        "A customer that lost its last subscription in the %(months)s months up to this day takes one away."
    ),
    Measure.NET_NEW_TENANTS: gettext_lazy(
        "A customer counts if its first subscription began in the %(months)s months up to this day. One that lost its "
        "last subscription in that time takes one away."
    ),
    Measure.SEATS_OF_NEW_SUBSCRIPTIONS: gettext_lazy(
        "The seats of a subscription count if it began in the %(months)s months up to this day."
    ),
    Measure.TENANTS: gettext_lazy(
        "A customer counts if the company has it at the end of %(span)s and it has %(size)s. Those of a year before "
        "are taken off."
    ),
    Measure.ACTIVE_ENTITLEMENTS: gettext_lazy("The active users of each workload in %(span)s count."),
    Measure.ACTIVE_USERS: gettext_lazy(
        "At customers with %(size)s, growth counts: how many more users are active in %(span)s than a year before, or "
        "than in the month in which the association began."
    ),
    Measure.PAID_UNITS: gettext_lazy("The paid seats of each workload in %(span)s count."),
    Measure.CONSUMPTION: gettext_lazy("The consumption of %(span)s counts."),
    Measure.SERVICES: gettext_lazy("An Azure service counts once if it was used in %(span)s."),
    Measure.DEPLOYED_TENANTS: gettext_lazy(
        "A customer with %(size)s counts once at least %(share)s%% of the paid seats of one workload are in use in "
        "%(span)s. Those of a year before are taken off."
    ),
    Measure.REVENUE: gettext_lazy("The revenue of %(span)s counts."),
    Measure.PEOPLE: gettext_lazy("A person counts with %(credentials)s."),
}


def ways_of(result: Result, name: str, reasons: Sequence[Reason], day: date) -> list[str]:
    """Return what would have to be known of a metric, and what counts for it on a day, in the reader's language."""
    asked = _asked(result, name, day)
    metric = result.version.metrics[name]
    measures = [*([metric.measure] if metric.measure else []), *(Measure(one.measure) for one in asked)]
    file = next((FILES[one] for one in measures if one in FILES), "")
    known_by = (_known_by(reason, file, result.program.currency or "USD") for reason in reasons)
    # Where the best type of association counts, the reason names them with what each of them has.
    credited = () if isinstance(metric.score, BestOfOptions) else _credited(asked, day)
    found = [*_one_of(reasons), *known_by, *_counted(asked), *credited]
    return [text for text in dict.fromkeys(found) if text]


def _one_of(reasons: Sequence[Reason]) -> Iterator[str]:
    """Yield in which ways a level can be reached, where there are several."""
    options = dict.fromkeys(str(one.figures["option"]) for one in reasons if "option" in one.figures)
    if options:
        yield _("One way is enough: %(ways)s.") % {"ways": _(", or ").join(str(OPTIONS[one]) for one in options)}


def _asked(result: Result, name: str, day: date) -> list[Question]:
    """Return what is asked for a metric in the track of its figures: for itself, or for those it follows from."""
    behind = {name, *result.version.metrics[name].value.names()}
    track = result.track_of_figures
    return [
        one
        for one in questions(result.program, result.version, day, ())
        if one.metric in behind and (track is None or one.track in ("", track))
    ]


def _known_by(reason: Reason, file: str, currency: str) -> str:
    """Return what would have to be known, or to be so, for a reason no longer to hold; "" if that says it itself."""
    if reason.code is Why.NO_FACTS and "need" in reason.figures:
        return ""  # another reason says why
    if reason.code is Why.FIGURE_NOT_PUBLISHED and not reason.figures.get("blocks"):
        return ""
    text = WAYS.get(reason.code)
    choice = CHOICES.get(str(reason.figures.get("choice")), "")
    return "" if text is None else text % {"file": file, "currency": currency, "choice": choice}


def _counted(asked: list[Question]) -> Iterator[str]:
    """Yield what counts, once for each measure."""
    for measure in dict.fromkeys(Measure(one.measure) for one in asked):
        asks = [one.ask for one in asked if one.measure == measure]
        spans = dict.fromkeys(_span(measure, ask) for ask in asks)
        text = COUNTS[measure]
        if measure is Measure.TENANTS and asks[0].spending is not None:
            text = _SPENT
        elif measure is Measure.CONSUMPTION and len(spans) > 1:
            text = _GROWN
        yield text % {
            "months": asks[0].window.months,
            "span": next(iter(spans)),
            "before": list(spans)[-1],
            "size": _size(asks[0]),
            "share": number_text(asks[0].share * 100),
            "usd": money_text(asks[0].spending, "USD"),
            "credentials": _(", or ").join(_(" and ").join(names) for names in asks[0].credentials),
        }


_SPENT = gettext_lazy(
    "A customer counts if the company has it and it consumed at least %(usd)s of Azure in %(span)s or the month "
    "before. Those of a year before are taken off."
)
_GROWN = gettext_lazy("What counts is how much the consumption of %(span)s is above that of %(before)s.")
#: The measures that look at one month, whatever their window.
_OF_A_MONTH = (
    Measure.TENANTS,
    Measure.ACTIVE_ENTITLEMENTS,
    Measure.ACTIVE_USERS,
    Measure.PAID_UNITS,
    Measure.DEPLOYED_TENANTS,
)


def _span(measure: Measure, ask: Ask) -> str:
    """Return the months that a measure looks at: May 2016, or Jun 2015 to May 2016."""
    first, last = ask.months[0], ask.newest_month
    if first == last or measure in _OF_A_MONTH:
        return month_text(last)
    return _("%(first)s to %(last)s") % {"first": month_text(first), "last": month_text(last)}


def _size(ask: Ask) -> str:
    """Return how large a customer must be, by its largest workload."""
    if ask.size is None:
        return ""
    if ask.size.high is None:
        return _("at least %(low)s paid seats of a workload") % {"low": number_text(ask.size.low)}
    given = {"low": number_text(ask.size.low), "high": number_text(ask.size.high)}
    return _("%(low)s to %(high)s paid seats of a workload") % given


def _credited(asked: list[Question], day: date) -> Iterator[str]:
    """Yield by which associations and of which products it counts."""
    of_units = [one.ask for one in asked if one.measure != Measure.PEOPLE]
    kinds = dict.fromkeys(str(kind.label) for ask in of_units for kind in ask.credit.kinds_on(day))
    if not kinds:
        return
    products = ", ".join(str(Product(one).label) for one in of_units[0].only.product)
    given = {"kinds": ", ".join(kinds), "products": products}
    if products:
        yield _("Products: %(products)s. Associations that count: %(kinds)s.") % given
    else:
        yield _("Associations that count: %(kinds)s.") % given
