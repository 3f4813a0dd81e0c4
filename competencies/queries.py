"""What a company has reached: computed for a day, or as it was known on one."""

from __future__ import annotations

from datetime import date

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from associations.record.models import end_of
from competencies.judged import judged
from competencies.measures.asking import Suppose, asked_once
from competencies.models import Attainment, AttainmentQuerySet
from competencies.programs import computed_on
from competencies.results import Result
from por.accounts.models import Actor, Organisation
from por.accounts.rules import OrganisationKind
from por.directory.models import Partner
from por.errors import NotFound, Refused
from por.programs.rules import Program

# --- Whose ----------------------------------------------------------------------------------------------------------


def company_for(actor: Actor, mpn_id: str = "") -> Organisation:
    """Return the company whose competencies the actor asks for: its own, or that of an MPN ID which it may see.

    A competency is of the company: a global account with its locations, or a location without one. Staff must name it.
    Raises Refused if staff name none; NotFound, and the same for a partner that the actor may not see.
    """
    if actor.is_staff and not mpn_id:
        raise Refused("required", _("Name a partner by its MPN ID."), field="mpn_id")
    own = actor.organisation if actor.kind == OrganisationKind.PARTNER else None
    if not mpn_id and own is not None:
        return own.parent or own
    if mpn_id and (actor.is_staff or own is not None):
        partners = Partner.objects.select_related("organisation__parent").filter(mpn_id=mpn_id)
        if own is not None:
            of_company = own.parent_id or own.pk
            partners = partners.filter(Q(organisation=of_company) | Q(organisation__parent=of_company))
        if (found := partners.first()) is not None:
            return found.organisation.parent or found.organisation
    raise absent()


def absent() -> NotFound:
    """Return the refusal for competencies that do not exist, and the same for those the actor may not see."""
    return NotFound("not_found", _("This does not exist, or you do not have access to it."))


# --- What it has reached --------------------------------------------------------------------------------------------


def attained(company: Organisation, day: date, suppose: Suppose | None = None) -> list[Result]:
    """Return what a company had reached at the end of a day, computed from what is known now and perhaps supposed."""
    with asked_once():
        return [_attained(program, company, day, suppose) for program in computed_on(day)]


def attained_in(company: Organisation, program_id: str, day: date) -> Result:
    """Return what a company had reached in one programme. Raises NotFound if it had no rules in force on that day."""
    return _attained(program_on(program_id, day), company, day)


def known(company: Organisation, day: date, known_at: date) -> list[Result]:
    """Return what was stored about a day by the end of another: what was shown then. Nothing is computed."""
    found = {one.program: one.result for one in stored_on(company, day, known_at)}
    return [
        Result.read(program, found[program.id]) if program.id in found else Result.nothing_known(program, day)
        for program in computed_on(day)
    ]


def stored_on(company: Organisation, day: date, known_at: date) -> AttainmentQuerySet:
    """Return the rows that say what had been reached on a day, as it was known at the end of another."""
    return Attainment.objects.filter(company=company, recorded_at__lt=end_of(known_at)).newest(day)


def newest(company: Organisation, day: date) -> list[Result]:
    """Return what was stored last about a day, in one query; nothing of programmes of which nothing is stored."""
    return [one for one in known(company, day, timezone.localdate()) if one.level is not None or one.metrics]


def known_in(company: Organisation, program_id: str, day: date, known_at: date) -> Result:
    """Return what was stored about one programme. Raises NotFound if it had no rules in force on that day."""
    program = program_on(program_id, day)
    return next(one for one in known(company, day, known_at) if one.program is program)


def program_on(program_id: str, day: date) -> Program:
    """Return a computed programme. Raises NotFound if it has no rules in force on the day."""
    program = next((one for one in computed_on(day) if one.id == program_id), None)
    if program is None:
        raise absent()
    return program


def _attained(program: Program, company: Organisation, day: date, suppose: Suppose | None = None) -> Result:
    return Result.read(program, judged(program, day, [company.pk], suppose)[company.pk])
