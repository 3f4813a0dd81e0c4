"""What a company has reached: computed for a day, or as it was known on one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any, cast

from django.db import connection
from django.db.models import Func, JSONField, Q, QuerySet, Value
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from associations.record.models import end_of
from competencies.judged import judged
from competencies.measures.asking import Suppose, asked_once
from competencies.measures.kept import MOST_CHANGED, Answers
from competencies.models import Attainment, AttainmentQuerySet
from competencies.programs import computed_on
from competencies.results import Reached, Result, metrics_of
from competencies.taking import CONCERNED
from competencies.unreported import with_months
from por.accounts.models import Actor, Organisation
from por.accounts.rules import OrganisationKind
from por.db.prepared import Param, PreparedQuery
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


@contextmanager
def asked_about(company: Organisation) -> Iterator[None]:
    """Ask each question about a company once within the block, and read none again whose answer is kept.

    What a customer adds is read again while a change of it waits for the worker.
    """
    with asked_once(by_date=True, keeper=lambda: _kept_of(company.pk)):
        yield


def _kept_of(company: int) -> Answers | None:
    answers = Answers(company)
    if answers.known and (changed := _changed(company)) is not None:
        answers.changed = changed
        return answers
    return None


def _changed(company: int) -> tuple[int, ...] | None:
    """Return the customers with a change that waits for the worker; None if they are too many or not known."""
    with connection.cursor() as cursor:
        cursor.execute(_CHANGED, {"company": company, "most": MOST_WAITING})
        [(is_known, changed)] = cursor.fetchall()
    return tuple(changed) if is_known and len(changed) <= MOST_CHANGED else None


#: How many events are looked through. With more, an import has come.
MOST_WAITING = 1000
# An event waits for the relay, which queues the company. A row of older days that are left tells of no change.
_CHANGED = f"""
    WITH waiting AS MATERIALIZED (
        SELECT event_id FROM history_outbox WHERE done_at IS NULL AND dead_at IS NULL LIMIT %(most)s
    ), queued AS MATERIALIZED (
        SELECT customers FROM competencies_recompute
        WHERE company_id = %(company)s AND (until IS NULL OR until = since)
    )
    SELECT (SELECT count(*) FROM waiting) < %(most)s AND NOT EXISTS (SELECT FROM queued WHERE customers IS NULL),
        ARRAY(
            SELECT unnest(customers) FROM queued
            UNION
            SELECT of.customer_id FROM waiting JOIN history_event AS event ON event.id = waiting.event_id
            JOIN associations_association AS one ON one.customer_id = CASE
                WHEN event.chain LIKE 'organisation:%%' THEN substr(event.chain, 14)::bigint
            END
            {CONCERNED}
            WHERE coalesce(partner.parent_id, partner.id) = %(company)s
            ORDER BY 1
        )
"""


def attained(company: Organisation, day: date, suppose: Suppose | None = None) -> list[Result]:
    """Return what a company had reached at the end of a day, computed from what is known now and perhaps supposed."""
    with asked_about(company):
        return [_attained(program, company, day, suppose) for program in computed_on(day)]


def attained_in(company: Organisation, program_id: str, day: date) -> Result:
    """Return what a company had reached in one programme. Raises NotFound if it had no rules in force on that day."""
    with asked_about(company):
        return _attained(program_on(program_id, day), company, day)


def known(company: Organisation, day: date, known_at: date) -> list[Result]:
    """Return what was stored about a day by the end of another: what was shown then. No result is computed.

    Months that are not reported are named of what is known today. Of an earlier day nobody knows which they were.
    """
    return _known(computed_on(day), company, day, known_at)


def known_in(company: Organisation, program_id: str, day: date, known_at: date) -> Result:
    """Return what was stored about one programme. Raises NotFound if it had no rules in force on that day."""
    [result] = _known([program_on(program_id, day)], company, day, known_at)
    return result


def _known(programs: Sequence[Program], company: Organisation, day: date, known_at: date) -> list[Result]:
    rows = stored_on(company, day, known_at).filter(program__in=[one.id for one in programs])
    found = dict(rows.values_list("program", "result"))
    results = [
        Result.read(program, found[program.id]) if program.id in found else Result.nothing_known(program, day)
        for program in programs
    ]
    if known_at < timezone.localdate():
        return results
    with asked_about(company):
        return [with_months(one, company.pk, day) for one in results]


def stored_on(company: Organisation, day: date, known_at: date) -> AttainmentQuerySet:
    """Return the rows that say what had been reached on a day, as it was known at the end of another."""
    return Attainment.objects.filter(company=company, recorded_at__lt=end_of(known_at)).newest(day)


def reached(company: int, day: date) -> list[Reached]:
    """Return what was stored last about a company, given by its key, on a day: one line for each programme.

    Metrics and reasons are not read. There is no line for a programme of which nothing is stored.
    """
    rows = _REACHED.values(company=company, day=day, before=end_of(timezone.localdate()))
    found = {program: rest for program, *rest in rows}
    results = []
    for program in computed_on(day):
        if program.id in found:
            level, stage, total, metrics = found[program.id]
            if level is not None or metrics_of(program).keys() & set(json.loads(metrics)):
                results.append(Reached.read(program, json.loads(stage), level, json.loads(total)))
    return results


def _reached() -> QuerySet[Attainment, Any]:
    """Return the newest rows, with only that part of their results that a line shows."""
    stored = Attainment.objects.filter(company=Param("company"), recorded_at__lt=Param("before"))
    names = Func("result", Value("$.metrics[*].metric"), function="jsonb_path_query_array", output_field=JSONField())
    newest = stored.newest(cast(date, Param("day")))
    return Attainment.objects.filter(pk__in=newest.values("pk")).values_list(
        "program", "level", "result__stage", "result__total", names
    )


_REACHED = PreparedQuery(_reached)


def program_on(program_id: str, day: date) -> Program:
    """Return a computed programme. Raises NotFound if it has no rules in force on the day."""
    program = next((one for one in computed_on(day) if one.id == program_id), None)
    if program is None:
        raise absent()
    return program


def _attained(program: Program, company: Organisation, day: date, suppose: Suppose | None = None) -> Result:
    result = Result.read(program, judged(program, day, [company.pk], suppose)[company.pk])
    return with_months(result, company.pk, day, suppose)
