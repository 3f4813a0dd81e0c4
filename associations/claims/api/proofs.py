"""The files of a claim over the API: uploading them as a form, the list, one of them, and a link that saves it."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from django.core.exceptions import SuspiciousOperation
from django.http import HttpResponseBase, HttpResponseRedirect
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from associations.claims.actions.proofs import Said, record_opening, unit_key, upload
from associations.claims.actions.shared import visible
from associations.claims.models import Claim, Proof
from associations.claims.queries import proofs as queries
from associations.claims.rules import DESCRIPTION_LENGTH, MOST_BYTES_AT_ONCE, Preview, Scan
from associations.record.schemas import NOT_FOUND
from por.accounts.authentication import actor_of
from por.accounts.rules import Right
from por.accounts.writes import Target, write
from por.api.endpoint import Endpoint, entered
from por.api.lists import listing
from por.api.parsers import FilesParser
from por.api.schema import Day, Is, Timestamp, described, page_of, timestamp
from por.db import outages
from por.documents.refusals import SENTENCES
from por.errors import Refused
from por.imports.uploads import Limit
from por.ops import watchdog


class ProofShape(TypedDict):
    """A file of a claim. `units` are workloads and IDs of subscriptions. `pages` is how many pictures there are.

    `id` and `number` are its number within the claim.
    """

    id: int
    number: int
    filename: str
    content_type: str
    size: int
    sha256: str
    units: list[str]
    acknowledged_on: Day
    description: str
    uploaded_at: Timestamp
    uploaded_by: str
    scan: Annotated[str, Is(enum=Scan.values)]
    preview: Annotated[str, Is(enum=Preview.values)]
    pages: int


class ProofBody(serializers.Serializer[Any]):
    """A file, and what it is for. A form as browsers send it: `units` may be there several times."""

    file = serializers.ListField(child=serializers.FileField(allow_empty_file=True), allow_empty=False, max_length=1)
    units = serializers.ListField(child=serializers.CharField(max_length=40), allow_empty=False)
    acknowledged_on = serializers.DateField()
    description = serializers.CharField(required=False, allow_blank=True, max_length=DESCRIPTION_LENGTH)


EXAMPLE = {
    "id": 1,
    "number": 1,
    "filename": "statement-of-work.pdf",
    "content_type": "application/pdf",
    "size": 48213,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "units": ["exo", "teams"],
    "acknowledged_on": "2026-02-20",
    "description": "Signed by the head of IT.",
    "uploaded_at": "2026-03-02T09:41:07.318402Z",
    "uploaded_by": "Amira Haddad",
    "scan": "clean",
    "preview": "drawn",
    "pages": 3,
}
COLUMNS = [name for name in EXAMPLE if name != "units"]
STALE = _("This claim has changed since you opened it. Check the changes, then try again.")
OF_NAMES = ["name_control", "name_path", "name_too_long", "file_ending", "double_ending"]
OF_UPLOADS = ["files_too_large", "proof_already_there", "too_many_files", "file_missing"]
OF_WORDS = [
    "units_missing",
    "unit_twice",
    "unit_unknown",
    "acknowledgement_in_future",
    "acknowledgement_too_old",
    "description_too_long",
    "empty",
    "no_name",
    "not_a_list",
    "malformed_form",
]
CLOSED = [
    "claim_under_review",
    "claim_approved",
    "claim_rejected",
    "claim_rejected_final",
    "claim_withdrawn",
    "claim_ended",
]


class Proofs(Endpoint):
    """The files of a claim. A body may be larger than elsewhere, and is read only for who may upload."""

    parser_classes = [FilesParser]

    @described(
        "proofs",
        "Files of a claim",
        "The newest first. For the claimant, and for reviewers, support and auditors.",
        answers={200: ProofShape},
        example=page_of(EXAMPLE),
        problems=NOT_FOUND | {403: ["no_right"]},
        is_list=True,
    )
    def get(self, request: Request, claim_id: int) -> HttpResponseBase:
        claim = visible(claim_id, by=actor_of(request), to=Right.LIST_PROOFS)
        return listing(
            request,
            Proof.objects.filter(claim=claim).prefetch_related("units__subscription"),
            lambda page: [_shape(one) for one in page],
            order=("-number",),
            columns=COLUMNS,
            name=f"proofs-{claim_id}",
        )

    @described(
        "upload_proof",
        "Upload proof",
        """For those at the partner who may upload. Sends a file as `multipart/form-data`. It is scanned before anybody
        can open it, and can be changed or deleted by nobody.""",
        answers={201: ProofShape},
        example=EXAMPLE,
        body=ProofBody,
        problems=NOT_FOUND
        | {
            409: [*CLOSED, "too_many_proofs", "too_many_bytes"],
            412: ["stale"],
            422: [*SENTENCES, *OF_NAMES, *OF_UPLOADS, *OF_WORDS],
        },
        writes=True,
    )
    def post(self, request: Request, claim_id: int) -> Response:
        actor = actor_of(request)

        def find() -> Claim:
            return visible(claim_id, by=actor, to=Right.WRITE_PROOFS)

        body = _read(request) if actor.may(Right.WRITE_PROOFS) and _is_there(claim_id, request) else None

        def add(version: int | None) -> Response:
            if body is not None:
                raise body
            given = entered(request, ProofBody)
            said = Said(given["units"], given["acknowledged_on"], given.get("description", ""))
            (proof,) = upload(claim_id, given["file"], said, by=actor, version=version)
            return Response(_shape(proof), status=201)

        return write(request, Right.WRITE_PROOFS, add, Target(find, STALE))


def _is_there(claim_id: int, request: Request) -> bool:
    return Claim.objects.visible_to(actor_of(request)).filter(pk=claim_id).exists()


def _read(request: Request) -> Exception | None:
    """Read the body before anything else is done; return what is wrong with it. It may take as long as it needs."""
    limit = Limit(MOST_BYTES_AT_ONCE)
    request._request.upload_handlers.insert(0, limit)
    try:
        with watchdog.unbounded(), outages.of_storage():
            request.data  # noqa: B018
    except (Refused, APIException, SuspiciousOperation) as error:
        return error
    if limit.is_passed:
        return Refused("files_too_large", _("The files are too large."), field="file")
    return None


class ProofDetail(Endpoint):
    @described(
        "proof",
        "One file of a claim",
        "What is known of it. Its content has an address of its own.",
        answers={200: ProofShape},
        example=EXAMPLE,
        problems=NOT_FOUND | {403: ["no_right"]},
    )
    def get(self, request: Request, claim_id: int, number: int) -> Response:
        claim = visible(claim_id, by=actor_of(request), to=Right.LIST_PROOFS)
        return Response(_shape(queries.proof_of(claim, number)))


class ProofContent(Endpoint):
    @described(
        "proof_content",
        "Save a file",
        """Leads to a link that saves the file as an attachment. The link is valid for one minute and needs no token, so
        give it to nobody. For the claimant and for reviewers; each opening is recorded.""",
        answers={302: None},
        example=None,
        problems=NOT_FOUND | {403: ["no_right"], 409: ["scan_pending", "proof_infected"]},
    )
    def get(self, request: Request, claim_id: int, number: int) -> HttpResponseBase:
        actor = actor_of(request)
        link = queries.link_to(claim_id, number, by=actor)
        record_opening(claim_id, number, by=actor)
        return HttpResponseRedirect(link)


def _shape(one: Proof) -> ProofShape:
    return {
        "id": one.number,
        "number": one.number,
        "filename": one.filename,
        "content_type": one.content_type,
        "size": one.size,
        "sha256": one.sha256,
        "units": [unit_key(unit) for unit in one.units.all()],
        "acknowledged_on": one.acknowledged_on.isoformat(),
        "description": one.description,
        "uploaded_at": timestamp(one.uploaded_at),
        "uploaded_by": one.uploaded_by_name,
        "scan": one.scan,
        "preview": one.preview,
        "pages": one.pages,
    }
