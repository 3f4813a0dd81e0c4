"""The people of a company with their credentials, as files name them, and what each of them counts for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from competencies.measures.people import HOME, valid
from competencies.programs import computed_on
from competencies.required import Requirement, credentials_text, requirements
from competencies.words import METRICS
from por.accounts.models import Actor, Organisation
from por.directory.models import Credential
from por.programs.rules import Measure, Program

#: How long before its last day a credential is said to expire.
SOON = timedelta(days=90)
ORDER = ("person", "credential", "valid_from", "pk")


@dataclass(frozen=True)
class Asked:
    """A metric of a programme that asks for people on a day: which credentials count, and how many people are required.

    `is_complete` is false where further credentials count whose names are not published; then `sets` may be empty.
    """

    program: Program
    metric: str
    sets: tuple[tuple[str, ...], ...]
    is_complete: bool
    required: list[Requirement]

    @property
    def name(self) -> str:
        return str(METRICS[self.metric])

    @property
    def needs(self) -> list[str]:
        """Return how many people are required for what, in words."""
        return [
            _("%(what)s: %(text)s") % {"what": self._what(one), "text": figure.text}
            for one in self.required
            for figure in one.figures
        ]

    def _what(self, required: Requirement) -> str:
        return required.what if required.metric == self.name else f"{required.what}, {required.metric}"

    @property
    def credentials(self) -> list[str]:
        """Return which credentials count, in words."""
        return credentials_text(self.sets, is_complete=self.is_complete)


@dataclass(frozen=True)
class Held:
    """A credential of a person. `counts` are the programmes and metrics for which the person counts with it.

    `lacking` has, where the credential counts only together with others, those of them that the person does not have.
    `elsewhere` is the company for which the person counts, if that is another one; None if the reader may not know it.
    """

    credential: Credential
    counts: list[tuple[Program, str]]
    lacking: list[tuple[Program, str, tuple[str, ...]]]
    is_valid: bool
    expires_soon: bool
    is_elsewhere: bool
    elsewhere: Organisation | None
    is_any_named: bool

    @property
    def said(self) -> list[str]:
        """Return what the person counts for, in words."""
        return [
            _("%(programme)s: %(metric)s") % {"programme": program.title, "metric": METRICS[metric]}
            for program, metric in self.counts
        ]

    @property
    def why_not(self) -> str:
        """Return why the person counts for nothing with it, and what would change that; "" if the person counts."""
        if self.counts:
            return ""
        if self.elsewhere is not None:
            text = _(
                "Counts for %(company)s (MPN ID %(number)s), which had a valid credential of this person first. A "
                "person counts for one company."
            )
            return text % {"company": self.elsewhere.name, "number": self.elsewhere.number}
        if self.is_elsewhere:
            return _(
                "Counts for another company, which had a valid credential of this person first. A person counts for "
                "one company. If that is wrong, ask platform staff to correct credentials.csv."
            )
        if not self.is_valid:
            return _("Not valid on this day.")
        if self.lacking:
            program, metric, names = self.lacking[0]
            text = _("Counts for %(programme)s (%(metric)s) only together with %(credentials)s.")
            given = {"programme": program.title, "metric": METRICS[metric], "credentials": _(" and ").join(names)}
            return text % given
        if self.is_any_named:
            return _("No programme of this day names this credential.")
        return _("No programme of this day names the credentials that count, so nobody is counted.")


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


def asked_on(day: date) -> list[Asked]:
    """Return the metrics of computed programmes that ask for people on a day."""
    found = []
    for program in computed_on(day):
        version = program.on(day)
        assert version is not None
        needs = requirements(version)
        for name, metric in version.metrics.items():
            if metric.measure is Measure.PEOPLE and metric.holding is not None:
                required = [one for one in needs if one.name == name]
                found.append(Asked(program, name, metric.holding.on(day), metric.holding.complete, required))
    return found


def held(company: Organisation, rows: Sequence[Credential], day: date, actor: Actor) -> list[Held]:
    """Return some credentials of a company with what their people count for on a day, in four queries at most.

    Staff read for which other company somebody counts; a company does not.
    """
    people = {one.person for one in rows}
    homes = _homes(people, day)
    owned: dict[str, set[str]] = defaultdict(set)
    for person, name in (
        credentials_of(company).filter(valid_on(day), person__in=people).values_list("person", "credential")
    ):
        owned[person].add(name)
    others = Organisation.objects.in_bulk(set(homes.values()) - {company.pk}) if actor.is_staff else {}
    asked = [one for one in asked_on(day) if one.sets]
    return [_held(one, homes.get(one.person), company.pk, others, owned[one.person], asked, day) for one in rows]


def _held(
    one: Credential,
    home: int | None,
    company: int,
    others: Mapping[int, Organisation],
    owned: set[str],
    asked: list[Asked],
    day: date,
) -> Held:
    is_valid = one.valid_from <= day and (one.valid_to is None or one.valid_to >= day)
    is_here = is_valid and home == company
    of_one = [(of, names) for of in asked for names in of.sets if one.credential in names] if is_here else []
    counts = {(of.program.id, of.metric): (of.program, of.metric) for of, names in of_one if owned >= set(names)}
    lacking = [
        (of.program, of.metric, tuple(name for name in names if name not in owned))
        for of, names in of_one
        if (of.program.id, of.metric) not in counts
    ]
    return Held(
        one,
        list(counts.values()),
        lacking,
        is_valid,
        is_valid and one.valid_to is not None and one.valid_to <= day + SOON,
        is_valid and not is_here,
        others.get(home) if is_valid and home is not None else None,
        bool(asked),
    )


def _homes(people: Collection[str], day: date) -> dict[str, int]:
    """Return the company at which each person counts on a day, as the measure of people finds it."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH {valid('SELECT DISTINCT unnest(%(people)s::text[])')}, {HOME} SELECT person, company FROM home",  # noqa: S608
            {"day": day, "people": list(people)},
        )
        return dict(cursor.fetchall())
