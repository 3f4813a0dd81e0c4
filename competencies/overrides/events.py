"""The events of an override and their texts. The company is told of what holds: given, and ended early."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import TypedDict

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from competencies.events import COMPETENCIES, COMPETENCY, CompetencyEvent, competency_page, to_company
from competencies.programs import programs
from competencies.words import LEVELS
from por.accounts.rules import OrganisationKind
from por.history.events import EventType, register
from por.history.models import Event
from por.notifications.actions.withdrawing import withdraw_waiting
from por.notifications.messages import mail
from por.notifications.models import Topic
from por.web.formatting import day_text


class OverrideEvent(EventType):
    ASKED = "override.asked"
    GIVEN = "override.given"
    DECLINED = "override.declined"
    WITHDRAWN = "override.withdrawn"
    ENDED = "override.ended"


class Asked(TypedDict):
    """An override of a level. Its first day is null if it is to be the day of the confirmation."""

    override: int
    program: str
    level: str
    begins_on: str | None


class Given(TypedDict):
    """An override with its first and its last day."""

    override: int
    program: str
    level: str
    begins_on: str
    until: str


class Ended(Given):
    """An override that no longer holds on `ended_on`. It was given until `until`."""

    ended_on: str


class GivenWords(TypedDict):
    level: str
    begins: str
    until: str


class EndedWords(TypedDict):
    level: str
    until: str
    ended: str


class GivenContext(GivenWords):
    program: str


class EndedContext(EndedWords):
    program: str


def _given(payload: Given) -> GivenWords:
    return {
        "level": str(LEVELS[payload["level"]]),
        "begins": _in_words(payload["begins_on"]),
        "until": _in_words(payload["until"]),
    }


def _ended(payload: Ended) -> EndedWords:
    return {
        "level": str(LEVELS[payload["level"]]),
        "until": _in_words(payload["until"]),
        "ended": _in_words(payload["ended_on"]),
    }


def _in_words(day: str) -> str:
    return day_text(date.fromisoformat(day))


def _given_context(event: Event) -> GivenContext:
    return {"program": event.object_name, **_given(event.changes)}


def _ended_context(event: Event) -> EndedContext:
    return {"program": event.object_name, **_ended(event.changes)}


def _period(event: Event) -> str:
    """Return what was given, and for which days."""
    return gettext("%(level)s, from %(begins)s until %(until)s") % _given(event.changes)


GIVEN_MAIL = mail(
    "override_given",
    Topic.COMPETENCY,
    to=(OrganisationKind.PARTNER,),
    title=_("Override of a competency given"),
    subject=_("%(program)s: override by platform staff until %(until)s"),
    paragraphs=(
        _(
            "Platform staff have given your company an override of %(program)s for the level %(level)s. From "
            "%(begins)s until %(until)s it stands in for what is not met."
        ),
        _("Meet the requirements by then: afterwards only what is measured counts."),
    ),
    context=_given_context,
    action=_("Show the competency"),
    url=competency_page,
    inbox=_("Platform staff have given your company an override for the level %(level)s until %(until)s."),
    values=_given,
)
ENDED_MAIL = mail(
    "override_ended",
    Topic.COMPETENCY,
    to=(OrganisationKind.PARTNER,),
    title=_("Override of a competency ended early"),
    subject=_("%(program)s: override by platform staff ended"),
    paragraphs=(
        _(
            "Platform staff have ended the override of %(program)s for the level %(level)s, which was given until "
            "%(until)s. From %(ended)s on, only what is measured counts."
        ),
        _("A level for which you have paid stays yours until its anniversary. The page shows what is missing."),
    ),
    context=_ended_context,
    action=_("Show the competency"),
    url=competency_page,
    inbox=_("Platform staff have ended the override for the level %(level)s, from %(ended)s on."),
    values=_ended,
)


def _notify_given(event: Event) -> None:
    """Notify the company. Mail that says that a level is at risk which the override keeps is withdrawn, if it waits."""
    given: Given = event.changes
    program = programs()[event.object_id]
    at_risk = Event.objects.filter(chain=event.chain, object_id=event.object_id, verb=CompetencyEvent.AT_RISK)
    withdraw_waiting(
        one.pk
        for one in at_risk
        if given["level"] in program.at_least(one.changes["level"])
        and given["begins_on"] <= one.changes["anniversary_on"] <= given["until"]
    )
    to_company(event, GIVEN_MAIL)


register(
    OverrideEvent.ASKED,
    payload=Asked,
    about=("competency",),
    here=_("Override by platform staff asked for"),
    elsewhere=_("{object}: override by platform staff asked for"),
    icon="shield",
    tone="info",
    groups=(COMPETENCIES,),
    link=COMPETENCY,
    mails=(),
)
register(
    OverrideEvent.GIVEN,
    payload=Given,
    about=("competency",),
    here=_("Override by platform staff given"),
    elsewhere=_("{object}: override by platform staff given"),
    detail=_period,
    icon="shield",
    tone="ok",
    groups=(COMPETENCIES,),
    link=COMPETENCY,
    mails=(GIVEN_MAIL,),
    notify=_notify_given,
)
register(
    OverrideEvent.DECLINED,
    payload=Asked,
    about=("competency",),
    here=_("Override by platform staff declined"),
    elsewhere=_("{object}: override by platform staff declined"),
    icon="shield",
    tone="",
    groups=(COMPETENCIES,),
    link=COMPETENCY,
    mails=(),
)
register(
    OverrideEvent.WITHDRAWN,
    payload=Asked,
    about=("competency",),
    here=_("Request for an override withdrawn by platform staff"),
    elsewhere=_("{object}: request for an override withdrawn by platform staff"),
    icon="x",
    tone="",
    groups=(COMPETENCIES,),
    link=COMPETENCY,
    mails=(),
)
register(
    OverrideEvent.ENDED,
    payload=Ended,
    about=("competency",),
    here=_("Override by platform staff ended early"),
    elsewhere=_("{object}: override by platform staff ended early"),
    icon="shield",
    tone="bad",
    groups=(COMPETENCIES,),
    link=COMPETENCY,
    mails=(ENDED_MAIL,),
    notify=partial(to_company, message=ENDED_MAIL),
)
