"""Overrides of competencies over the API, for platform staff: the list, one of them, and the verbs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any, TypedDict

from django.http import HttpResponseBase
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from associations.record.rules import NOTE_LENGTH
from associations.record.schemas import NOT_FOUND, PARTNER_EXAMPLE, PartnerShape
from competencies.models import Override, OverrideStatus
from competencies.overrides import actions
from competencies.overrides.forms import OverrideFilter
from competencies.overrides.rules import OVERRIDE
from competencies.queries import company_for
from por.accounts.authentication import actor_of
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.accounts.writes import Target, write
from por.api.endpoint import DigitsField, Endpoint, entered, etag
from por.api.lists import filtered, listing
from por.api.schema import Day, Is, Timestamp, described, page_of, timestamp
from por.directory.actions import malformed
from por.directory.rules import normal_mpn_id
from por.errors import Refused


class OverrideShape(TypedDict):
    """An override of a level of a competency. It holds from `begins_on` until `until`, and no longer on `ended_on`.

    Before it is given, `begins_on` is the day that was asked for; null: the day of the confirmation.
    """

    id: int
    status: Annotated[str, Is(enum=OverrideStatus.values)]
    company: PartnerShape
    program: str
    level: str
    begins_on: Day | None
    until: Day | None
    ended_on: Day | None
    reason: str
    asked_by: str
    asked_at: Timestamp
    note: str
    decided_by: str
    decided_at: Timestamp | None
    withdrawal_note: str
    withdrawn_at: Timestamp | None
    end_reason: str
    ended_by: str
    ended_at: Timestamp | None
    version: int


class AskOverrideBody(serializers.Serializer[Any]):
    """The company, the level of a competency, why, and the first day. Left out, it is the day of the confirmation."""

    mpn_id = DigitsField(help_text="The company, or one of its locations.")
    program = serializers.CharField(max_length=60, help_text="A competency, such as competency.smcs.")
    level = serializers.CharField(max_length=10)
    reason = serializers.CharField(max_length=NOTE_LENGTH, help_text="The company can read it in its history.")
    begins_on = serializers.DateField(required=False, help_text="A UTC day, today or before.")


class OverrideNoteBody(serializers.Serializer[Any]):
    """A note, which is optional. The company can read it in its history."""

    note = serializers.CharField(required=False, allow_blank=True, max_length=NOTE_LENGTH)


class EndOverrideBody(serializers.Serializer[Any]):
    """Why it is ended, and the first day without it, which is today if left out."""

    reason = serializers.CharField(max_length=NOTE_LENGTH, help_text="The company can read it in its history.")
    ended_on = serializers.DateField(required=False, help_text="A UTC day within the override, today or before.")


EXAMPLE = {
    "id": 7,
    "status": "asked",
    "company": PARTNER_EXAMPLE,
    "program": "competency.smcs",
    "level": "silver",
    "begins_on": None,
    "until": None,
    "ended_on": None,
    "reason": "Their files of November are late.",
    "asked_by": "Robin Falk",
    "asked_at": "2018-03-05T09:41:07.318402Z",
    "note": "",
    "decided_by": "",
    "decided_at": None,
    "withdrawal_note": "",
    "withdrawn_at": None,
    "end_reason": "",
    "ended_by": "",
    "ended_at": None,
    "version": 1,
}
_DECIDED = {"decided_by": "Ines Duarte", "decided_at": "2018-03-05T10:12:44.102938Z", "version": 2}
GIVEN = EXAMPLE | _DECIDED | {"status": "given", "begins_on": "2018-03-05", "until": "2018-06-05"}
DECLINED = EXAMPLE | _DECIDED | {"status": "declined"}
_TAKEN_BACK = {"withdrawal_note": "Their files are there.", "withdrawn_at": "2018-03-05T10:12:44.102938Z"}
WITHDRAWN = EXAMPLE | _TAKEN_BACK | {"status": "withdrawn", "version": 2}
_ENDED = {"ended_by": "Robin Falk", "ended_at": "2018-04-01T08:02:11.502817Z", "end_reason": "Their files are there."}
ENDED = GIVEN | _ENDED | {"status": "ended", "ended_on": "2018-04-01", "version": 3}
COLUMNS = [name for name in EXAMPLE if name not in {"company", "version"}]
COLUMNS[2:2] = ["company.mpn_id", "company.name"]


def _refusals(verb: str) -> list[str]:
    """Return the codes with which the verb is refused by the status."""
    return [code for status, (code, _message) in OVERRIDE.refusals.items() if not OVERRIDE.allows(status, verb)]


class OverrideList(Endpoint):
    @described(
        "overrides",
        "Overrides",
        "For platform staff: the overrides of competencies, newest first. The list of anyone else is empty.",
        answers={200: OverrideShape},
        example=page_of(EXAMPLE),
        filters=OverrideFilter,
        problems={422: ["mpn_id_malformed"]},
        is_list=True,
    )
    def get(self, request: Request) -> HttpResponseBase:
        actor = actor_of(request)
        return listing(
            request,
            filtered(request, OverrideFilter).apply(Override.objects.visible_to(actor).for_listing(), actor),
            lambda page: [_shape(one) for one in page],
            order=("-pk",),
            columns=COLUMNS,
            name="overrides",
        )

    @described(
        "override_ask",
        "Ask for an override",
        """For reviewers and programme administrators. Nothing holds until another one of them confirms it. Then the
        competency counts as met from its first day, normally for three months.""",
        answers={201: OverrideShape},
        example=EXAMPLE,
        body=AskOverrideBody,
        body_example={
            "mpn_id": "4471902",
            "program": "competency.smcs",
            "level": "silver",
            "reason": "Their files of November are late.",
            "begins_on": "2018-03-05",
        },
        problems={
            404: ["not_found"],
            409: ["override_asked"],
            422: [
                "mpn_id_malformed",
                "reason_missing",
                "not_a_competency",
                "level_unknown",
                "begins_in_future",
                "no_rules_on_day",
                "blank",
                "max_string_length",
                "date",
                "datetime",
            ],
        },
        writes=True,
    )
    def post(self, request: Request) -> Response:
        actor = actor_of(request)

        def ask(_version: int | None) -> Response:
            given = entered(request, AskOverrideBody)
            company = company_for(actor, _mpn_id(given.pop("mpn_id")))
            return _answer(actor, actions.ask(company, by=actor, **given).pk, status=201)

        return write(request, Right.WRITE_OVERRIDES, ask)


class OverrideDetail(Endpoint):
    @described(
        "override",
        "One override",
        "For platform staff.",
        answers={200: OverrideShape},
        example=EXAMPLE,
        problems=NOT_FOUND,
    )
    def get(self, request: Request, override_id: int) -> Response:
        return _answer(actor_of(request), override_id)


class Confirm(Endpoint):
    @described(
        "override_confirm",
        "Confirm an override",
        "For another person than the one who asked for it. The company is told.",
        answers={200: OverrideShape},
        example=GIVEN,
        body=OverrideNoteBody,
        body_example={"note": "Seen."},
        problems=NOT_FOUND | {409: [*_refusals("confirm"), "interest", "own_request", "no_rules_on_day"]},
        writes=True,
    )
    def post(self, request: Request, override_id: int) -> Response:
        return _with_note(request, override_id, actions.confirm)


class Decline(Endpoint):
    @described(
        "override_decline",
        "Decline an override",
        "For another person than the one who asked for it. The company is not told.",
        answers={200: OverrideShape},
        example=DECLINED,
        body=OverrideNoteBody,
        body_example={"note": "The files are there."},
        problems=NOT_FOUND | {409: [*_refusals("decline"), "interest", "own_request"]},
        writes=True,
    )
    def post(self, request: Request, override_id: int) -> Response:
        return _with_note(request, override_id, actions.decline)


class Withdraw(Endpoint):
    @described(
        "override_withdraw",
        "Withdraw a request for an override",
        """For the person who asked for it, until another one has decided. The company is not told, but it can read the
        note in its history.""",
        answers={200: OverrideShape},
        example=WITHDRAWN,
        body=OverrideNoteBody,
        body_example={"note": "Their files are there."},
        problems=NOT_FOUND | {409: [*_refusals("withdraw"), "not_own_request"]},
        writes=True,
    )
    def post(self, request: Request, override_id: int) -> Response:
        return _with_note(request, override_id, actions.withdraw)


class End(Endpoint):
    @described(
        "override_end",
        "End an override early",
        "From `ended_on` on, today if it is left out, only what is measured counts. The company is told.",
        answers={200: OverrideShape},
        example=ENDED,
        body=EndOverrideBody,
        body_example={"reason": "Their files are there."},
        problems=NOT_FOUND
        | {409: [*_refusals("end"), "interest"], 422: ["reason_missing", "end_outside", "blank", "date", "datetime"]},
        writes=True,
    )
    def post(self, request: Request, override_id: int) -> Response:
        def end(actor: Actor) -> None:
            actions.end(override_id, by=actor, **entered(request, EndOverrideBody))

        return _write(request, override_id, end)


def _mpn_id(text: str) -> str:
    found = normal_mpn_id(text)
    if found is None:
        raise Refused("mpn_id_malformed", malformed(text), field="mpn_id")
    return found


def _with_note(request: Request, override_id: int, verb: Callable[..., Override]) -> Response:
    def act(actor: Actor) -> None:
        verb(override_id, by=actor, note=entered(request, OverrideNoteBody).get("note", ""))

    return _write(request, override_id, act)


def _write(request: Request, override_id: int, work: Callable[[Actor], object]) -> Response:
    actor = actor_of(request)

    def write_and_answer(_version: int | None) -> Response:
        work(actor)
        return _answer(actor, override_id)

    return write(request, Right.WRITE_OVERRIDES, write_and_answer, Target(lambda: _get_visible(actor, override_id)))


def _get_visible(actor: Actor, override_id: int) -> Override:
    found = Override.objects.visible_to(actor).for_listing().filter(pk=override_id).first()
    if found is None:
        raise actions.absent()
    return found


def _answer(actor: Actor, override_id: int, *, status: int = 200) -> Response:
    found = _get_visible(actor, override_id)
    return Response(_shape(found), status=status, headers={"ETag": etag(found.version)})


def _shape(one: Override) -> OverrideShape:
    return {
        "id": one.pk,
        "status": one.status,
        "company": {"mpn_id": one.company.number, "name": one.company.name},
        "program": one.program,
        "level": one.level,
        "begins_on": _day(one.begins_on),
        "until": _day(one.until),
        "ended_on": _day(one.ended_on),
        "reason": one.reason,
        "asked_by": one.asked_by_name,
        "asked_at": timestamp(one.asked_at),
        "note": one.decision_note,
        "decided_by": one.decided_by_name,
        "decided_at": _moment(one.decided_at),
        "withdrawal_note": one.withdrawal_note,
        "withdrawn_at": _moment(one.withdrawn_at),
        "end_reason": one.end_reason,
        "ended_by": one.ended_by_name,
        "ended_at": _moment(one.ended_at),
        "version": one.version,
    }


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else timestamp(moment)
