"""Attaching, removing, answering and inviting many: rows as JSON or CSV, and the job with the result of each row."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from django.http import HttpResponse, HttpResponseBase
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.mediatypes import media_type_matches

from associations.jobs.actions import bulk
from associations.jobs.actions.rows import MOST, NEITHER, Pair, pairs_from, too_many_rows
from associations.jobs.actions.running import RIGHTS
from associations.jobs.models import Job
from associations.record.rules import NOTE_LENGTH
from por.accounts.authentication import actor_of
from por.accounts.writes import write
from por.api.endpoint import DigitsField, Endpoint, asked, checked, wants_csv
from por.api.parsers import CsvParser, StrictJSONParser
from por.api.schema import Guid, Is, described
from por.web.csv_export import csv_lines

OUTCOMES = [
    "attached",
    "unchanged",
    "moved",
    "moved_back",
    "change_requested",
    "removed",
    "answered",
    "invited",
    "refused",
]


class JobResultShape(TypedDict):
    """The result of a row, or of a trial in a dry run. `code` and `detail` give the reason if it was refused."""

    row: int
    subscription_id: str
    mpn_id: str
    tenant_id: str
    outcome: Annotated[str, Is(enum=OUTCOMES)]
    code: str | None
    detail: str | None
    invitation: Guid | None


class JobShape(TypedDict):
    """A job, and its finished rows in their order."""

    id: int
    action: Annotated[str, Is(enum=Job.Action.values)]
    status: Annotated[str, Is(enum=Job.Status.values)]
    dry_run: bool
    done: int
    total: int
    results: list[JobResultShape]


class JobRequestedShape(TypedDict):
    """The new job, before its first row."""

    job: JobShape


class PairBody(serializers.Serializer[Any]):
    """A subscription, and the MPN ID of the partner to attach."""

    subscription_id = serializers.CharField(allow_blank=True)
    mpn_id = DigitsField(allow_blank=True)


class BulkBody(serializers.Serializer[Any]):
    """The rows. A bare list of rows, or text/csv with a header, is accepted too."""

    rows = serializers.ListField(child=PairBody(), help_text="1 to 1,000.")


class RemovalBody(serializers.Serializer[Any]):
    """A subscription whose partner of record is removed, and why: the partner can read it."""

    subscription_id = serializers.CharField(allow_blank=True)
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=NOTE_LENGTH)


class RemovalsBody(serializers.Serializer[Any]):
    """The rows. A bare list of rows, or text/csv with a header, is accepted too."""

    rows = serializers.ListField(child=RemovalBody(), help_text="1 to 1,000.")


class AnswerRowBody(serializers.Serializer[Any]):
    """A subscription with an open change request, and the partner who is doing the work; null for neither."""

    subscription_id = serializers.CharField(allow_blank=True)
    mpn_id = DigitsField(allow_blank=True, allow_null=True)
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=NOTE_LENGTH)


class AnswersBody(serializers.Serializer[Any]):
    """The rows. A bare list of rows, or text/csv with a header, is accepted too; there “neither” stands for null."""

    rows = serializers.ListField(child=AnswerRowBody(), help_text="1 to 1,000.")


class InvitationRowBody(serializers.Serializer[Any]):
    """A customer and one of its subscriptions to invite it for, and a message that the customer can read."""

    tenant_id = serializers.CharField(allow_blank=True)
    subscription_id = serializers.CharField(allow_blank=True)
    message = serializers.CharField(required=False, allow_blank=True, default="", max_length=NOTE_LENGTH)


class InvitationsBody(serializers.Serializer[Any]):
    """The rows. A bare list of rows, or text/csv with a header, is accepted too."""

    rows = serializers.ListField(child=InvitationRowBody(), help_text="1 to 1,000.")


class DryRun(serializers.Serializer[Any]):
    """Whether to change nothing."""

    dry_run = serializers.BooleanField(
        required=False, default=False, help_text="Check what would happen to each row, without changing anything."
    )


EXAMPLE = {
    "id": 41,
    "action": "attach",
    "status": "done",
    "dry_run": False,
    "done": 2,
    "total": 2,
    "results": [
        {
            "row": 1,
            "subscription_id": "0a8f6f5e-3f0c-4b7e-8d53-5a0c5a0f9b21",
            "mpn_id": "4471902",
            "tenant_id": "",
            "outcome": "attached",
            "code": None,
            "detail": None,
            "invitation": None,
        },
        {
            "row": 2,
            "subscription_id": "7f2b8a60-9d7e-4c54-8a55-2f1b9c0d3e10",
            "mpn_id": "4471092",
            "tenant_id": "",
            "outcome": "refused",
            "code": "partner_not_found",
            "detail": "No partner has this MPN ID.",
            "invitation": None,
        },
    ],
}
COLUMNS = ["row", "subscription_id", "mpn_id", "outcome", "code", "detail", "tenant_id", "invitation"]


class BulkAttach(Endpoint):
    parser_classes = [StrictJSONParser, CsvParser]

    @described(
        "bulk",
        "Attach to many subscriptions",
        """Each row is processed separately: attached, unchanged, change_requested if there is another partner of
        record, or refused. A worker processes the rows; read the job for the results. Every MPN ID that no partner has
        counts as a Check ID. After 20 different ones, the remaining rows are refused as `too_many_unknown`.""",
        answers={202: JobRequestedShape},
        example={"job": EXAMPLE | {"status": "queued", "done": 0, "results": []}},
        body=BulkBody,
        body_example={"rows": [{"subscription_id": "0a8f6f5e-3f0c-4b7e-8d53-5a0c5a0f9b21", "mpn_id": "4471902"}]},
        query=DryRun,
        takes_csv=True,
        problems={422: ["no_rows", "too_many_rows", "column_missing", "malformed_csv", "not_a_list", "not_storable"]},
        writes=True,
    )
    def post(self, request: Request) -> Response:
        return _ask(request, Job.Action.ATTACH, BulkBody)


_PROBLEMS = ["no_rows", "too_many_rows", "column_missing", "malformed_csv", "not_a_list", "not_storable"]
_ROW = {"row": 1, "subscription_id": "0a8f6f5e-3f0c-4b7e-8d53-5a0c5a0f9b21", "code": None, "detail": None}


class BulkRemove(Endpoint):
    parser_classes = [StrictJSONParser, CsvParser]

    @described(
        "bulk_removals",
        "Remove from many subscriptions",
        """Each row is processed separately: removed, unchanged if there is no partner of record, or refused. An open
        change request of the subscription is cancelled, as by a single removal. A worker processes the rows; read the
        job for the results.""",
        answers={202: JobRequestedShape},
        example={"job": EXAMPLE | {"action": "remove", "status": "queued", "done": 0, "results": []}},
        body=RemovalsBody,
        body_example={"rows": [{"subscription_id": _ROW["subscription_id"], "reason": "The project has ended."}]},
        query=DryRun,
        takes_csv=True,
        problems={422: [*_PROBLEMS, "reason_too_long"]},
        writes=True,
    )
    def post(self, request: Request) -> Response:
        return _ask(request, Job.Action.REMOVE, RemovalsBody)


class BulkAnswer(Endpoint):
    parser_classes = [StrictJSONParser, CsvParser]

    @described(
        "bulk_answers",
        "Answer many change requests",
        """Each row is processed separately: answered, or refused. It answers the open change request of its
        subscription: with the partner who is doing the work, or null for neither. A worker processes the rows; read the
        job for the results.""",
        answers={202: JobRequestedShape},
        example={"job": EXAMPLE | {"action": "answer", "status": "queued", "done": 0, "results": []}},
        body=AnswersBody,
        body_example={"rows": [{"subscription_id": _ROW["subscription_id"], "mpn_id": "4471902"}]},
        query=DryRun,
        takes_csv=True,
        problems={422: [*_PROBLEMS, "reason_too_long"]},
        writes=True,
    )
    def post(self, request: Request) -> Response:
        return _ask(request, Job.Action.ANSWER, AnswersBody)


class BulkInvite(Endpoint):
    parser_classes = [StrictJSONParser, CsvParser]

    @described(
        "bulk_invitations",
        "Invite many customers",
        """For an administrator of a partner’s location. The rows of one customer with the same message become one
        invitation, with up to 50 subscriptions. Each row is invited, or refused. A worker processes the rows; read the
        job for the results. After 20 subscriptions that do not belong to their customers, the remaining rows are
        refused as `too_many_unknown`. At most 200 invitations are sent in a day, and a dry run counts those too.""",
        answers={202: JobRequestedShape},
        example={"job": EXAMPLE | {"action": "invite", "status": "queued", "done": 0, "results": []}},
        body=InvitationsBody,
        body_example={
            "rows": [
                {
                    "tenant_id": "1c0d8f0e-5f0b-4b9e-9a0e-2f6f1f0f7a11",
                    "subscription_id": _ROW["subscription_id"],
                    "message": "As agreed on Monday.",
                }
            ]
        },
        query=DryRun,
        takes_csv=True,
        problems={422: [*_PROBLEMS, "reason_too_long"]},
        writes=True,
    )
    def post(self, request: Request) -> Response:
        return _ask(request, Job.Action.INVITE, InvitationsBody)


def _ask(request: Request, action: Job.Action, body: type[serializers.Serializer[Any]]) -> Response:
    """Create a job of the rows that were sent; return it."""
    actor = actor_of(request)

    def ask(_version: int | None) -> Response:
        dry_run = asked(request, DryRun)["dry_run"]
        job = bulk.request(_pairs(request, action, body), dry_run=dry_run, by=actor, action=action)
        return Response({"job": _shape(job)}, status=202)

    return write(request, RIGHTS[action], ask)


class JobDetail(Endpoint):
    @described(
        "job",
        "A job",
        "The progress of the job and the results of the finished rows. With `format=csv`, the results as a file.",
        answers={200: JobShape},
        example=EXAMPLE,
        problems={404: ["not_found"], 422: ["invalid_choice"]},
        is_file=True,
    )
    def get(self, request: Request, job_id: int) -> HttpResponseBase:
        job = Job.objects.visible_to(actor_of(request)).filter(pk=job_id).first()
        if job is None:
            raise bulk.absent()
        shape = _shape(job)
        if not wants_csv(request):
            return Response(shape)
        rows = ([one[name] for name in COLUMNS] for one in shape["results"])  # type: ignore[literal-required]
        response = HttpResponse(
            "".join(csv_lines(COLUMNS, rows, language="en")), content_type="text/csv; charset=utf-8"
        )
        response["Content-Disposition"] = f'attachment; filename="job-{job.pk}.csv"'
        return response


def _pairs(request: Request, action: Job.Action, shape: type[serializers.Serializer[Any]]) -> list[Pair]:
    body: Any = request.data
    if body and media_type_matches(CsvParser.media_type, request.content_type):
        return pairs_from(body["csv"], action)
    rows = body.get("rows") if isinstance(body, dict) else body
    if isinstance(rows, list) and len(rows) > MOST:  # before each of them is looked at
        raise too_many_rows()
    if body and isinstance(body, list):
        body = {"rows": body}
    return [
        Pair(
            one["subscription_id"].strip(),
            NEITHER if one.get("mpn_id", "") is None else one.get("mpn_id", "").strip(),
            one.get("reason", one.get("message", "")).strip(),
            one.get("tenant_id", "").strip(),
        )
        for one in checked(body, shape)["rows"]
    ]


def _shape(job: Job) -> JobShape:
    results: list[JobResultShape] = [
        {
            "row": one.row,
            "subscription_id": one.subscription_id,
            "mpn_id": one.mpn_id,
            "tenant_id": one.tenant_id,
            "outcome": one.outcome,
            "code": one.code or None,
            "detail": one.detail or None,
            "invitation": str(one.invitation) if one.invitation and not job.dry_run else None,
        }
        for one in job.rows.exclude(outcome="").order_by("row")
    ]
    return {
        "id": job.pk,
        "action": job.action,
        "status": job.status,
        "dry_run": job.dry_run,
        "done": len(results),
        "total": job.total,
        "results": results,
    }
