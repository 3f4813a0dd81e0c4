"""Conflicts: the list, one of them, the customer's answer, and the verbs of the reviewer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.http import HttpResponseBase
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from associations.claims.actions import deciding
from associations.claims.models import Conflict, ConflictQuerySet
from associations.claims.queries.conflicts import visible_conflicts
from associations.claims.rules import NOTE_LENGTH, ConflictStatus, Program
from associations.claims.schemas.claims import words_of
from associations.claims.schemas.conflicts import ConflictShape, conflict_shape
from associations.record.schemas import CUSTOMER_EXAMPLE, NOT_FOUND, PARTNER_EXAMPLE
from por.accounts.authentication import actor_of
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind, Right
from por.accounts.writes import Target, write
from por.api.endpoint import DigitsField, Endpoint, NoBody, TrueOrFalseField, entered, etag
from por.api.lists import filtered, listing
from por.api.schema import described, page_of
from por.directory.rules import Workload
from por.web.filters import FilterForm


class ConflictFilter(FilterForm):
    """The filters of the list. All are optional."""

    status = forms.ChoiceField(choices=ConflictStatus.choices, required=False)
    program = forms.ChoiceField(choices=Program.choices, required=False)
    workload = forms.ChoiceField(choices=Workload.choices, required=False)

    def apply(self, conflicts: ConflictQuerySet, actor: Actor) -> ConflictQuerySet:
        given = {name: value for name, value in self.cleaned_data.items() if value}
        return conflicts.filter(**given)


class ChecklistBody(serializers.Serializer[Any]):
    """What the reviewer found missing in the proof of one side."""

    claim = serializers.IntegerField()
    missing = serializers.ListField(child=serializers.CharField(max_length=24), max_length=20)


class DecideBody(serializers.Serializer[Any]):
    """The claim that the reviewer decides for, or null where no proof is enough."""

    winner = serializers.IntegerField(allow_null=True, help_text="The claim; null: no proof is enough.")
    reason = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=NOTE_LENGTH,
        help_text="Why, in a few words. One of reason and note is needed; all sides and the customer read both.",
    )
    note = serializers.CharField(required=False, allow_blank=True, max_length=NOTE_LENGTH)
    disclosed = TrueOrFalseField(
        required=False,
        help_text="The winner’s proof has the disclosure that a customer in the public sector needs.",
    )
    checklists = serializers.ListField(child=ChecklistBody(), required=False, max_length=50)


class AskProofBody(serializers.Serializer[Any]):
    """The claim that needs more proof."""

    claim = serializers.IntegerField()
    note = serializers.CharField(
        required=False, allow_blank=True, max_length=NOTE_LENGTH, help_text="What is needed. Only its partner reads it."
    )


class ConflictAnswerBody(serializers.Serializer[Any]):
    """The partner that is doing the work: a side, by its MPN ID, or null for none of them."""

    mpn_id = DigitsField(allow_null=True, help_text="A side of the conflict; null: none of them.")
    text = serializers.CharField(
        required=False, allow_blank=True, max_length=NOTE_LENGTH, help_text="Why. The partners cannot read it."
    )


COLUMNS = [
    "id",
    "status",
    "customer.tenant_id",
    "customer.name",
    "program",
    "role",
    "workload",
    "subscription_id",
    "opened_at",
    "due_at",
    "closed_at",
    "answer.mpn_id",
    "decision.mpn_id",
]
EXAMPLE = {
    "id": 14,
    "status": "open",
    "customer": CUSTOMER_EXAMPLE,
    "program": "osu_m365",
    "role": "usage",
    "workload": "exo",
    "subscription_id": None,
    "sides": [
        {
            "claim": 77,
            "number": "CPR-0000077",
            "partner": PARTNER_EXAMPLE,
            "joined_at": "2026-03-02T09:41:07.318402Z",
            "is_own": False,
            "is_there": True,
            "held_before": True,
            "status": "approved",
            "newest_proof_at": "2026-02-02T10:12:44.102938Z",
            "missing": [],
        }
    ],
    "opened_at": "2026-03-02T09:41:07.318402Z",
    "due_at": "2026-03-16T23:00:00Z",
    "asked_customer_at": None,
    "closed_at": None,
    "answer": None,
    "decision": None,
    "version": 1,
}
DECIDED = {
    "status": "decided",
    "closed_at": "2026-03-04T08:00:00Z",
    "decision": {
        "mpn_id": PARTNER_EXAMPLE["mpn_id"],
        "note": "Their proof is signed, and the newest.",
        "at": "2026-03-04T08:00:00Z",
        "carried_out_at": "2026-03-04T08:00:00Z",
        "lapsed": False,
    },
}
CLOSED = ["conflict_decided", "conflict_closed"]


class ConflictList(Endpoint):
    @described(
        "conflicts",
        "Conflicts",
        """A customer gets its own conflicts, a partner those that its claims are part of. A partner reads who the other
        sides are and when their newest proof came, and nothing else of their claims.""",
        answers={200: ConflictShape},
        example=page_of(EXAMPLE),
        filters=ConflictFilter,
        is_list=True,
    )
    def get(self, request: Request) -> HttpResponseBase:
        actor = actor_of(request)
        found = filtered(request, ConflictFilter).apply(Conflict.objects.visible_to(actor).for_listing(), actor)
        return listing(
            request, found, lambda page: _shapes(actor, page), order=("-pk",), columns=COLUMNS, name="conflicts"
        )


class ConflictDetail(Endpoint):
    @described(
        "conflict",
        "One conflict",
        "Its sides, the customer's answer and the decision.",
        answers={200: ConflictShape},
        example=EXAMPLE,
        problems=NOT_FOUND,
    )
    def get(self, request: Request, conflict_id: int) -> Response:
        return _answered(actor_of(request), conflict_id)


class Decide(Endpoint):
    @described(
        "conflict_decide",
        "Decide a conflict",
        """For a reviewer. The sides that lose are rejected, or go on with what they have left. The winner is approved
        once it has no other open conflict; until then, a partner whose claim was approved before stays.""",
        answers={200: ConflictShape},
        example=EXAMPLE | DECIDED,
        body=DecideBody,
        body_example={"winner": 77, "note": "Their proof is signed, and the newest."},
        problems=NOT_FOUND
        | {
            409: [
                *CLOSED,
                "interest",
                "scan_pending",
                "subscription_expired",
                "partner_closed",
                "partner_suspended",
                "partner_is_global",
            ],
            412: ["stale"],
            422: ["not_a_list", "note_missing", "not_a_side", "reason_unknown", "disclosure_missing"],
        },
        writes=True,
    )
    def post(self, request: Request, conflict_id: int) -> Response:
        def decide(version: int | None) -> Response:
            given = entered(request, DecideBody)
            checklists = {one["claim"]: one["missing"] for one in given.get("checklists", [])}
            deciding.decide(
                conflict_id,
                given["winner"],
                note=words_of(given, "reason", "note"),
                checklists=checklists,
                disclosed=given.get("disclosed", False),
                by=actor_of(request),
                version=version,
            )
            return _answered(actor_of(request), conflict_id)

        return _write(request, conflict_id, Right.DECIDE_CONFLICTS, decide)


class AskCustomer(Endpoint):
    @described(
        "conflict_ask_customer",
        "Ask the customer",
        "For a reviewer. The customer's administrators are asked which partner is doing the work.",
        answers={200: ConflictShape},
        example=EXAMPLE | {"asked_customer_at": "2026-03-03T08:00:00Z"},
        body=NoBody,
        body_example={},
        problems=NOT_FOUND | {409: [*CLOSED, "interest"], 412: ["stale"]},
        writes=True,
    )
    def post(self, request: Request, conflict_id: int) -> Response:
        def ask(version: int | None) -> Response:
            entered(request, NoBody)
            deciding.ask_customer(conflict_id, by=actor_of(request), version=version)
            return _answered(actor_of(request), conflict_id)

        return _write(request, conflict_id, Right.DECIDE_CONFLICTS, ask)


class AskProof(Endpoint):
    @described(
        "conflict_ask_proof",
        "Ask a side for more proof",
        """For a reviewer. A claim that is not approved waits for its partner from now on, and is rejected without an
        answer in time. An approved one stays as it is.""",
        answers={200: ConflictShape},
        example=EXAMPLE,
        body=AskProofBody,
        body_example={"claim": 77, "note": "The customer has not signed it."},
        problems=NOT_FOUND | {409: [*CLOSED, "interest", "claim_action_required"], 412: ["stale"], 422: ["not_a_side"]},
        writes=True,
    )
    def post(self, request: Request, conflict_id: int) -> Response:
        def ask(version: int | None) -> Response:
            given = entered(request, AskProofBody)
            deciding.ask_proof(
                conflict_id, given["claim"], note=given.get("note", ""), by=actor_of(request), version=version
            )
            return _answered(actor_of(request), conflict_id)

        return _write(request, conflict_id, Right.DECIDE_CONFLICTS, ask)


class AnswerConflict(Endpoint):
    @described(
        "conflict_answer",
        "Say which partner is doing the work",
        """For an administrator of the customer. The answer helps the reviewer, who decides by the proof. It can be
        changed until the decision.""",
        answers={200: ConflictShape},
        example=EXAMPLE
        | {"answer": {"mpn_id": PARTNER_EXAMPLE["mpn_id"], "text": "They do.", "at": "2026-03-03T09:00:00Z"}},
        body=ConflictAnswerBody,
        body_example={"mpn_id": PARTNER_EXAMPLE["mpn_id"], "text": "They do."},
        problems=NOT_FOUND | {409: CLOSED, 412: ["stale"], 422: ["not_a_side"]},
        writes=True,
    )
    def post(self, request: Request, conflict_id: int) -> Response:
        def answer(version: int | None) -> Response:
            given = entered(request, ConflictAnswerBody)
            deciding.answer(
                conflict_id, given["mpn_id"], text=given.get("text", ""), by=actor_of(request), version=version
            )
            return _answered(actor_of(request), conflict_id)

        return _write(request, conflict_id, Right.ANSWER_CONFLICT, answer)


def _write(request: Request, conflict_id: int, right: str, work: Callable[[int | None], Response]) -> Response:
    stale = _("This conflict has changed since you read it. Read it again, then try again.")
    return write(request, right, work, Target(lambda: _get_visible(actor_of(request), conflict_id), stale))


def _get_visible(actor: Actor, conflict_id: int) -> Conflict:
    found = Conflict.objects.visible_to(actor).filter(pk=conflict_id).first()
    if found is None:
        raise deciding.absent()
    return found


def _answered(actor: Actor, conflict_id: int) -> Response:
    shapes = _shapes(actor, list(Conflict.objects.visible_to(actor).for_listing().filter(pk=conflict_id)))
    if not shapes:
        raise deciding.absent()
    return Response(shapes[0], headers={"ETag": etag(shapes[0]["version"])})


def _shapes(actor: Actor, conflicts: list[Conflict]) -> list[ConflictShape]:
    for_partner = actor.kind == OrganisationKind.PARTNER
    return [conflict_shape(one, for_partner=for_partner) for one in visible_conflicts(actor, conflicts)]
