"""The override of a competency: one of the staff asks for it, another one decides, and it can be ended early."""

from __future__ import annotations

from datetime import date, datetime

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from associations.claims.actions.shared import require_no_interest
from competencies.models import Override, OverrideStatus
from competencies.overrides.events import OverrideEvent
from competencies.overrides.rules import OVERRIDE
from competencies.programs import COMPUTED, life_cycle_on, programs
from por.accounts.models import Actor, Organisation
from por.accounts.rules import Right
from por.db.locks import lock_timeout_as_busy
from por.errors import NotFound, Refused
from por.history.actions import recording as history
from por.programs.rules import Family, Program
from por.web.formatting import day_text


@transaction.atomic
def ask(
    company: Organisation, program: str, level: str, *, by: Actor, reason: str, begins_on: date | None = None
) -> Override:
    """Ask for an override of a level of a competency; return it. Nothing holds until another person confirms it.

    Without `begins_on`, it is to begin on the day of the confirmation. Raise Forbidden, Locked, or Refused: with a
    field for what was entered, else because another one is open.
    """
    by.require(Right.WRITE_OVERRIDES)
    text = _required(reason)
    found = _competency(program)
    if level not in found.levels:
        names = ", ".join(found.levels)
        message = _("This competency has no such level. Its levels are: %(levels)s.") % {"levels": names}
        raise Refused("level_unknown", message, field="level")
    if begins_on is not None and begins_on > by.today:
        raise Refused("begins_in_future", _("The date must be today or in the past."), field="begins_on")
    _last_day(found, begins_on or _today(), field="begins_on")
    _lock(company.pk)
    _require_none_open(company, program)
    override = Override(
        company=company,
        program=program,
        level=level,
        begins_on=begins_on,
        reason=text,
        asked_at=timezone.now(),
        asked_by=by.user,
        asked_by_name=by.name,
    )
    override.save(force_insert=True)
    _record(OverrideEvent.ASKED, override, by=by, at=override.asked_at, reason=text)
    return override


@transaction.atomic
def confirm(override_id: int, *, by: Actor, note: str = "") -> Override:
    """Give an override that another person has asked for. It holds until the day that the rules of its first day name.

    Raise NotFound, Forbidden, Locked, or Refused: `interest`, `own_request`, or by the status.
    """
    override, now = _decide(override_id, "confirm", by=by, note=note)
    override.begins_on = override.begins_on or _today()
    override.until = _last_day(programs()[override.program], override.begins_on)
    override.save()
    _record(OverrideEvent.GIVEN, override, by=by, at=now, reason=override.decision_note)
    return override


@transaction.atomic
def decline(override_id: int, *, by: Actor, note: str = "") -> Override:
    """Decline an override that another person has asked for. Raise as `confirm`."""
    override, now = _decide(override_id, "decline", by=by, note=note)
    override.save()
    _record(OverrideEvent.DECLINED, override, by=by, at=now, reason=override.decision_note)
    return override


@transaction.atomic
def withdraw(override_id: int, *, by: Actor, note: str = "") -> Override:
    """Take back one's own request for an override that nobody has decided yet.

    Raise NotFound, Forbidden, Locked, or Refused: `not_own_request`, or by the status.
    """
    override = _locked(override_id, by=by)
    override.status = OVERRIDE.after(override.status, "withdraw")
    if not override.is_asked_by(by):
        message = _("Another person asked for this override. Only they can withdraw it, but you can decline it.")
        raise Refused("not_own_request", message)
    override.withdrawn_at, override.withdrawal_note = max(timezone.now(), override.asked_at), note.strip()
    override.version += 1
    override.save()
    _record(OverrideEvent.WITHDRAWN, override, by=by, at=override.withdrawn_at, reason=override.withdrawal_note)
    return override


@transaction.atomic
def end(override_id: int, *, by: Actor, reason: str, ended_on: date | None = None) -> Override:
    """End an override that was given: on `ended_on`, today if that is None, and later it no longer holds.

    Raise NotFound, Forbidden, Locked, or Refused: with a field for what was entered, else `interest` or by the status.
    """
    override = _locked(override_id, by=by)
    require_no_interest(by, parties_of(override.company_id))
    text = _required(reason)
    override.status = OVERRIDE.after(override.status, "end")
    override.ended_on = _day_of_end(override, ended_on, by.today)
    override.ended_at, override.ended_by, override.ended_by_name = timezone.now(), by.user, by.name
    override.end_reason = text
    override.version += 1
    override.save()
    _record(OverrideEvent.ENDED, override, by=by, at=override.ended_at, reason=text)
    return override


def absent() -> NotFound:
    """Return the refusal, the same whether there is no such override or the actor may not see it."""
    return NotFound("not_found", _("This override does not exist, or you do not have access to it."))


def parties_of(company: int) -> QuerySet[Organisation]:
    """Return the organisations that an override concerns: the company with its locations."""
    return Organisation.objects.filter(Q(pk=company) | Q(parent=company))


def _decide(override_id: int, verb: str, *, by: Actor, note: str) -> tuple[Override, datetime]:
    """Return the override with the decision of a second person, and the instant of it. The caller saves it."""
    override = _locked(override_id, by=by)
    require_no_interest(by, parties_of(override.company_id))
    status = OVERRIDE.after(override.status, verb)
    if override.is_asked_by(by):
        message = _("You asked for this override. Another person of platform staff must confirm or decline it.")
        raise Refused("own_request", message)
    now = max(timezone.now(), override.asked_at)
    override.status, override.decision_note = status, note.strip()
    override.decided_at, override.decided_by, override.decided_by_name = now, by.user, by.name
    override.version += 1
    return override, now


def _locked(override_id: int, *, by: Actor) -> Override:
    """Return the override, its company locked. Raise NotFound if the actor may not see it, Forbidden, or Locked."""
    found = Override.objects.visible_to(by).filter(pk=override_id).first()
    if found is None:
        raise absent()
    by.require(Right.WRITE_OVERRIDES)
    _lock(found.company_id)
    return Override.objects.select_related("company").get(pk=override_id)


def _lock(company: int) -> None:
    """Lock the company until the transaction ends: it is the lock of its overrides."""
    with lock_timeout_as_busy():
        Organisation.objects.select_for_update(no_key=True).only("pk").get(pk=company)


def _require_none_open(company: Organisation, program: str) -> None:
    if Override.objects.filter(company=company, program=program, status=OverrideStatus.ASKED).exists():
        message = _(
            "An override of this competency already waits for a second person. Confirm, decline or withdraw it first."
        )
        raise Refused("override_asked", message)


def _required(reason: str) -> str:
    if not reason.strip():
        raise Refused("reason_missing", _("Enter a reason."), field="reason")
    return reason.strip()


def _competency(program: str) -> Program:
    """Return the programme. Raise Refused on `program` unless it is a competency that is computed."""
    found = programs().get(program)
    if found is None or program not in COMPUTED or found.family is not Family.COMPETENCY:
        message = _("Only competencies that are computed can have an override. Scores cannot.")
        raise Refused("not_a_competency", message, field="program")
    return found


def _last_day(program: Program, begins_on: date, *, field: str | None = None) -> date:
    """Return the last day of an override that begins on a day.

    Raise Refused, on the field, if the competency has no rules on that day.
    """
    version, rule = program.on(begins_on), life_cycle_on(begins_on)
    if version is None or version.begins > begins_on or rule is None:
        first, last = program.versions[0].begins, program.versions[-1].ends
        message = _("This competency has rules from %(first)s to %(last)s. Choose a first day between them.")
        raise Refused("no_rules_on_day", message % {"first": day_text(first), "last": day_text(last)}, field=field)
    return rule.override_until(begins_on)


def _day_of_end(override: Override, given: date | None, today: date) -> date:
    """Return the first day without the override. Raise Refused unless it lies in its days, and not in the future."""
    assert override.begins_on is not None, "it was given"
    assert override.until is not None, "it was given"
    day = given or max(_today(), override.begins_on)
    last = min(override.until, max(today, _today(), override.begins_on))
    if override.begins_on <= day <= last:
        return day
    message = _("Choose a day from %(first)s to %(last)s: within the override, and not in the future.")
    days = {"first": day_text(override.begins_on), "last": day_text(last)}
    raise Refused("end_outside", message % days, field="ended_on")


def _today() -> date:
    """Return the UTC day."""
    return timezone.now().date()


def _record(verb: OverrideEvent, override: Override, *, by: Actor, at: datetime, reason: str) -> None:
    """Record the event in the company's chain, as the last statement of a verb."""
    days = {"begins_on": override.begins_on, "until": override.until, "ended_on": override.ended_on}
    named = {
        OverrideEvent.ASKED: ("begins_on",),
        OverrideEvent.DECLINED: ("begins_on",),
        OverrideEvent.WITHDRAWN: ("begins_on",),
        OverrideEvent.GIVEN: ("begins_on", "until"),
        OverrideEvent.ENDED: ("begins_on", "until", "ended_on"),
    }[verb]
    program = programs()[override.program]
    history.record(
        verb,
        history.ObjectRef("competency", program.id, program.title),
        by=by,
        at=at,
        chain=override.company_id,
        changes={
            "override": override.pk,
            "program": program.id,
            "level": override.level,
            **{name: None if (day := days[name]) is None else day.isoformat() for name in named},
        },
        reason=reason,
    )
