"""The overrides of a company in a competency, with what the reader can do about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from django import forms

from competencies.models import Override
from competencies.override_forms import AskForm, DecideForm, EndForm
from competencies.override_rules import OVERRIDE
from por.accounts.models import Actor, Organisation
from por.accounts.rules import Right
from por.programs.rules import Family, Program

#: How many overrides a page shows, the newest first. An open one is always the newest.
SHOWN = 20


class SentForm(NamedTuple):
    """A form of the card that was refused, and the status of its page."""

    form: forms.Form
    status: int


class Row(NamedTuple):
    """An override, and the form that ends it early, if the reader may."""

    override: Override
    end: EndForm | None


@dataclass(frozen=True)
class OverrideCard:
    """The overrides of a page for platform staff, the forms that its reader may send, and the one that was refused.

    `asked` waits for a second person; `is_own` says whether the reader asked for it.
    """

    asked: Override | None
    is_own: bool
    rows: list[Row]
    ask: AskForm | None
    decide: DecideForm | None
    sent: forms.Form | None


def card_of(
    actor: Actor, company: Organisation, program: Program, day: date, sent: forms.Form | None
) -> OverrideCard | None:
    """Return the card of a competency on a day; None for a score, and for readers who are not of the staff."""
    if not actor.is_staff or program.family is not Family.COMPETENCY:
        return None
    found = list(Override.objects.visible_to(actor).filter(company=company, program=program.id).order_by("-pk")[:SHOWN])
    asked = next((one for one in found if one.is_asked), None)
    may = actor.may(Right.WRITE_OVERRIDES)
    is_own = asked is not None and asked.asked_by_id == actor.user_id
    return OverrideCard(
        asked,
        is_own,
        [Row(one, _end(one, sent) if may else None) for one in found if not one.is_asked],
        _ask(program, day, actor.today, sent) if may and asked is None else None,
        _decide(asked, sent) if may and asked is not None and not is_own else None,
        sent,
    )


def _ask(program: Program, day: date, today: date, sent: forms.Form | None) -> AskForm:
    if isinstance(sent, AskForm):
        return sent
    return AskForm(program, initial={"begins_on": day} if day < today else {})


def _decide(asked: Override, sent: forms.Form | None) -> DecideForm:
    return sent if isinstance(sent, DecideForm) else DecideForm(initial={"override": asked.pk})


def _end(override: Override, sent: forms.Form | None) -> EndForm | None:
    """Return the form that ends an override; None where it cannot be ended."""
    if not OVERRIDE.allows(override.status, "end"):
        return None
    if isinstance(sent, EndForm) and str(sent["override"].value()) == str(override.pk):
        return sent
    return EndForm(initial={"override": override.pk})
