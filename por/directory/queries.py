"""The partners of companies, and the names that organisations had before: on a past day, and found by a search."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from por.accounts.models import FormerName, Organisation


def partners_of(companies: Collection[int]) -> dict[int, int]:
    """Return the company of each partner of some companies, by key: of their locations, and of themselves.

    A condition on these keys is answered by an index, and one on the company of each row reads all rows.
    """
    found = Organisation.objects.filter(Q(parent__in=companies) | Q(parent=None, pk__in=companies))
    return {partner: company or partner for partner, company in found.values_list("pk", "parent")}


def names_on(day: date, organisations: Collection[int]) -> dict[int, str]:
    """Return the names at the end of a day, by key, of those of the organisations that have had another one since."""
    later = FormerName.objects.filter(organisation__in=organisations, until__gte=_end_of(day))
    first = later.order_by("organisation", "until").distinct("organisation")
    return dict(first.values_list("organisation", "name"))


def name_on(day: date | None, organisation: str) -> Combinable:
    """Return the name of the organisation in this column at the end of a day, or now, as an expression."""
    name = F(f"{organisation}__name")
    if day is None:
        return name
    later = FormerName.objects.filter(organisation=OuterRef(organisation), until__gte=_end_of(day)).order_by("until")
    return Coalesce(Subquery(later.values("name")[:1]), name)


def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def show_names_on(day: date, organisations: Iterable[Organisation]) -> None:
    """Set in each organisation its name at the end of a day. Never save one of them afterwards."""
    shown = list(organisations)
    names = names_on(day, {one.pk for one in shown})
    for one in shown:
        one.name = names.get(one.pk, one.name)


class Formerly(NamedTuple):
    """An organisation, and the former name that a search has found."""

    name: str
    former: str


def formerly(text: str, organisations: Iterable[Organisation]) -> list[Formerly]:
    """Return those of the organisations that have this text in a former name, but not in the one of today."""
    others = {one.pk: one.name for one in organisations if text.casefold() not in one.name.casefold()}
    if not text or not others:
        return []
    found = FormerName.objects.filter(organisation__in=others, name__icontains=text).order_by("organisation", "-until")
    newest = found.distinct("organisation").values_list("organisation", "name")
    return sorted(Formerly(others[pk], name) for pk, name in newest)
