"""A company reaches a level of a programme, loses it, or may lose it: the texts of the events, and who is notified."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import TypedDict

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from competencies.models import Override
from competencies.words import LEVELS
from por.accounts.rules import OrganisationKind
from por.history.actions.recording import organisation_of
from por.history.events import EventType, Link, event_group, register
from por.history.models import Event
from por.notifications.actions.notifying import notify_organisation
from por.notifications.messages import Mail, mail
from por.notifications.models import Topic
from por.web.formatting import day_text


class CompetencyEvent(EventType):
    REACHED = "competency.reached"
    LOST = "competency.lost"
    AT_RISK = "competency.at_risk"


class LevelChanged(TypedDict):
    """A level that was reached or lost, the level before, and the version of the rules."""

    program: str
    level: str
    before: str | None  # null: it could not be said
    rule_version: str


class LevelAtRisk(TypedDict):
    """A paid level that will not be met at its anniversary if nothing is added, and the version of the rules."""

    program: str
    level: str
    anniversary_on: str
    rule_version: str


COMPETENCIES = event_group("competencies", _("Competencies"))
COMPETENCY = Link("competency", partner="competencies:partner_competency")


class LevelContext(TypedDict):
    program: str
    level: str
    before: str


class LevelNames(TypedDict):
    level: str
    before: str


class RiskNames(TypedDict):
    level: str
    anniversary: str


class RiskContext(RiskNames):
    program: str


def level_names(payload: LevelChanged) -> LevelNames:
    """Return the levels of an event in the reader's language."""
    before = payload["before"]
    return {
        "level": str(LEVELS[payload["level"]]),
        "before": str(_("undetermined")) if before is None else str(LEVELS[before]),
    }


def _context(event: Event) -> LevelContext:
    payload: LevelChanged = event.changes
    return {"program": event.object_name, **level_names(payload)}


def risk_names(payload: LevelAtRisk) -> RiskNames:
    """Return the level at risk and its anniversary in the reader's language."""
    anniversary = date.fromisoformat(payload["anniversary_on"])
    return {"level": str(LEVELS[payload["level"]]), "anniversary": day_text(anniversary)}


def _risk_context(event: Event) -> RiskContext:
    return {"program": event.object_name, **risk_names(event.changes)}


def competency_page(event: Event) -> str:
    return reverse("competencies:partner_competency", args=[event.object_id])


def to_company(event: Event, message: Mail) -> None:
    """Notify the company: a global account, or a location without one."""
    company = organisation_of(event.chain)
    assert company is not None
    notify_organisation(event, message, organisation_id=company)


def _notify_at_risk(event: Event) -> None:
    """Notify the company, unless an override that was given since keeps the level at the anniversary."""
    risk: LevelAtRisk = event.changes
    kept = Override.objects.keeping(event.object_id, risk["level"], date.fromisoformat(risk["anniversary_on"]))
    if not kept.filter(company=organisation_of(event.chain)).exists():
        to_company(event, AT_RISK_MAIL)


REACHED_MAIL = mail(
    "competency_reached",
    Topic.COMPETENCY,
    to=(OrganisationKind.PARTNER,),
    title=_("Level of a competency reached"),
    subject=_("%(program)s: %(level)s reached"),
    paragraphs=(
        _("Your company now meets the requirements of %(program)s for the level %(level)s. Before, it was %(before)s."),
        _("The page shows what was measured, and what the next level requires."),
    ),
    context=_context,
    action=_("Show the competency"),
    url=competency_page,
    inbox=_("Your company now meets the requirements for the level %(level)s."),
    values=level_names,
)
LOST_MAIL = mail(
    "competency_lost",
    Topic.COMPETENCY,
    to=(OrganisationKind.PARTNER,),
    title=_("Level of a competency no longer met"),
    subject=_("%(program)s: %(before)s is no longer met"),
    paragraphs=(
        _(
            "Your company no longer meets the requirements of %(program)s for the level %(before)s. The level is now "
            "%(level)s."
        ),
        _("A level for which you have paid stays yours until its anniversary. The page shows what is missing."),
    ),
    context=_context,
    action=_("Show the competency"),
    url=competency_page,
    inbox=_("Your company no longer meets the requirements for the level %(before)s."),
    values=level_names,
)
AT_RISK_MAIL = mail(
    "competency_at_risk",
    Topic.COMPETENCY,
    to=(OrganisationKind.PARTNER,),
    title=_("Paid level of a competency at risk"),
    subject=_("%(program)s: %(level)s is at risk"),
    paragraphs=(
        _(
            "If nothing is added, your company will not meet the requirements of %(program)s for the level %(level)s "
            "at its anniversary on %(anniversary)s."
        ),
        _(
            "This is a forecast from what is known now. The level stays yours until that day. "
            "The page shows what will be missing."
        ),
    ),
    context=_risk_context,
    action=_("Show the competency"),
    url=competency_page,
    inbox=_("The level %(level)s is at risk at its anniversary on %(anniversary)s, if nothing is added."),
    values=risk_names,
)

register(
    CompetencyEvent.REACHED,
    payload=LevelChanged,
    about=("competency",),
    here=_("Requirements for a level met"),
    elsewhere=_("{object}: requirements for a level met"),
    icon="target",
    tone="ok",
    groups=(COMPETENCIES,),
    link=COMPETENCY,
    mails=(REACHED_MAIL,),
    notify=partial(to_company, message=REACHED_MAIL),
)
register(
    CompetencyEvent.LOST,
    payload=LevelChanged,
    about=("competency",),
    here=_("Requirements for a level no longer met"),
    elsewhere=_("{object}: requirements for a level no longer met"),
    icon="target",
    tone="bad",
    groups=(COMPETENCIES,),
    link=COMPETENCY,
    mails=(LOST_MAIL,),
    notify=partial(to_company, message=LOST_MAIL),
)
register(
    CompetencyEvent.AT_RISK,
    payload=LevelAtRisk,
    about=("competency",),
    here=_("Paid level at risk"),
    elsewhere=_("{object}: paid level at risk"),
    icon="target",
    tone="bad",
    groups=(COMPETENCIES,),
    link=COMPETENCY,
    mails=(AT_RISK_MAIL,),
    notify=_notify_at_risk,
)


def change_of(levels: tuple[str, ...], before: str | None, now: str | None) -> CompetencyEvent | None:
    """Return whether a level was reached or lost. What cannot be said is neither.

    `levels` are those of the programme, the lowest first.
    """
    if now is None:
        return None
    rank: Mapping[str, int] = {level: number for number, level in enumerate(levels, 1)}
    then, since = rank.get(before or "", 0), rank.get(now, 0)
    if since > then:
        return CompetencyEvent.REACHED
    return CompetencyEvent.LOST if since < then else None
