"""The people of a company with their credentials, as files name them, and what each of them counts for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from competencies.measures.people import HOME, VALID
from competencies.programs import computed_on
from competencies.words import METRICS
from por.accounts.models import Organisation
from por.directory.models import Credential
from por.programs.rules import Measure, Program

#: How long before its last day a credential is said to expire.
SOON = timedelta(days=90)
ORDER = ("person", "credential", "valid_from", "pk")


@dataclass(frozen=True)
class Held:
    """A credential of a person. `counts` are the programmes and metrics for which the person counts with it.

    `is_elsewhere` says that the person counts for another company, which is not named.
    """

    credential: Credential
    counts: list[tuple[Program, str]]
    is_valid: bool
    expires_soon: bool
    is_elsewhere: bool

    @property
    def said(self) -> list[str]:
        """Return what the person counts for, in words."""
        return [
            _("%(programme)s: %(metric)s") % {"programme": program.title, "metric": METRICS[metric]}
            for program, metric in self.counts
        ]


def credentials_of(company: Organisation) -> QuerySet[Credential]:
    """Return the credentials of a company's people, at all its locations."""
    of_company = Q(partner__organisation=company) | Q(partner__organisation__parent=company)
    return Credential.objects.filter(of_company).select_related("partner__organisation")


def valid_on(day: date) -> Q:
    """Return the condition that a credential is valid on a day, its last day included."""
    return Q(valid_from__lte=day) & (Q(valid_to=None) | Q(valid_to__gte=day))


def expiring_from(day: date) -> Q:
    """Return the condition that a credential is valid on a day and has its last one within 90 days."""
    return valid_on(day) & Q(valid_to__lte=day + SOON)


def held(company: Organisation, rows: Sequence[Credential], day: date) -> list[Held]:
    """Return some credentials of a company with what their people count for on a day, in three queries at most."""
    people = {one.person for one in rows}
    homes = _homes(people, day)
    owned: dict[str, set[str]] = defaultdict(set)
    for person, name in (
        credentials_of(company).filter(valid_on(day), person__in=people).values_list("person", "credential")
    ):
        owned[person].add(name)
    asked = list(_asked(day))
    return [_held(one, homes.get(one.person), company.pk, owned[one.person], asked, day) for one in rows]


def _held(
    one: Credential,
    home: int | None,
    company: int,
    owned: set[str],
    asked: list[tuple[Program, str, tuple[tuple[str, ...], ...]]],
    day: date,
) -> Held:
    is_valid = one.valid_from <= day and (one.valid_to is None or one.valid_to >= day)
    counts = [
        (program, metric)
        for program, metric, sets in asked
        if is_valid and home == company and any(one.credential in names and owned >= set(names) for names in sets)
    ]
    soon = is_valid and one.valid_to is not None and one.valid_to <= day + SOON
    return Held(one, counts, is_valid, soon, is_valid and home != company)


def _asked(day: date) -> Iterator[tuple[Program, str, tuple[tuple[str, ...], ...]]]:
    """Yield the metrics of people whose credentials are known, with the sets that are accepted on a day."""
    for program in computed_on(day):
        version = program.on(day)
        for name, metric in version.metrics.items() if version else ():
            if metric.measure is Measure.PEOPLE and metric.holding and (sets := metric.holding.on(day)):
                yield program, name, sets


def _homes(people: Collection[str], day: date) -> dict[str, int]:
    """Return the company at which each person counts on a day, as the measure of people finds it."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH {VALID}, {HOME} SELECT person, company FROM home WHERE person = ANY(%(people)s)",  # noqa: S608
            {"day": day, "people": list(people)},
        )
        return dict(cursor.fetchall())
