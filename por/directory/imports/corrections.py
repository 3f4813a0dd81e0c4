"""Corrections of a stored subscription: a start or an agreement that does not fit what stands is not taken."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple, Protocol

from django.db import connection
from django.utils.translation import gettext as _

from por.directory.models import Subscription
from por.imports.reading import Unfit


class Correction(NamedTuple):
    """Another start or agreement of a stored subscription."""

    started_on: date
    agreement: str
    before: Subscription


class Collision(NamedTuple):
    """What a corrected value of a field collides with, in words."""

    field: str
    what: str


#: Called with corrections by the key of the subscription, which is locked; return what each collides with.
correction_checks: list[Callable[[Mapping[int, Correction]], Iterable[tuple[int, Collision]]]] = []


class Values(Protocol):
    """The values of a line that are compared with what stands."""

    started_on: date | None
    agreement: str


def collisions(pairs: Sequence[tuple[Values, Subscription]]) -> dict[int, dict[str, list[str]]]:
    """Return what these rows collide with, by subscription and field."""
    found: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    corrections = {
        old.pk: Correction(row.started_on, row.agreement, old)
        for row, old in pairs
        if row.started_on is not None and (row.started_on > old.started_on or row.agreement != old.agreement)
    }
    if corrections:
        for check in (_months_before, *correction_checks):
            for pk, collision in check(corrections):
                found[pk][collision.field].append(collision.what)
    return found


def _months_before(corrections: Mapping[int, Correction]) -> Iterable[tuple[int, Collision]]:
    """Yield the months of usage that a corrected start would leave before it."""
    later = {pk: one.started_on for pk, one in corrections.items() if one.started_on > one.before.started_on}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT its.id, count(DISTINCT usage.month), min(usage.month)
            FROM unnest(%s::bigint[], %s::date[]) AS its (id, started_on)
            JOIN directory_usage AS usage
                ON usage.subscription_id = its.id AND usage.month < date_trunc('month', its.started_on)
            WHERE usage.superseded_at IS NULL
            GROUP BY its.id
            """,
            [list(later), list(later.values())],
        )
        for pk, count, first in cursor.fetchall():
            what = _("months of usage: %(count)s, the first %(first)s") % {"count": count, "first": f"{first:%Y-%m}"}
            yield pk, Collision("started_on", what)


def kept(old: Subscription, column: str, row: Values, collisions: Sequence[str]) -> Unfit:
    """Return the report of a value that was not taken."""
    message = _(
        "%(stored)s stays, and the file says %(file)s, because that does not fit what is stored: %(what)s. The rest of "
        "the line was imported."
    )
    values = {"stored": getattr(old, column), "file": getattr(row, column), "what": "; ".join(collisions)}
    return Unfit(column, "collides_with_record", message % values)
