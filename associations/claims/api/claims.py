"""Claims over the API: a partner drafts, changes, submits and withdraws them; comments of both sides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from django import forms
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpResponseBase
from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request
from rest_framework.response import Response

from associations.claims.actions import commenting, drafting, submitting
from associations.claims.actions.shared import one_of, visible
from associations.claims.models import Claim
from associations.claims.queries.as_of import as_then, claims_then, with_all_then
from associations.claims.queries.claims import (
    claims_with_all,
    comments_of,
    is_claimant,
    of_workload,
    search,
)
from associations.claims.queries.migrated import unproved, without_readable_proof
from associations.claims.rules import LIVE, ClaimStatus, Origin, Program
from associations.claims.schemas.claims import (
    COMMENT_EXAMPLE,
    EXAMPLE,
    ClaimBody,
    ClaimShape,
    CommentBody,
    CommentShape,
    DraftBody,
    WordsBody,
    claim_shape,
    comment_shape,
    fields_of,
    words_of,
)
from associations.record.schemas import NOT_FOUND
from por.accounts.authentication import actor_of
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.accounts.writes import Target, write
from por.api.endpoint import Endpoint, NoBody, entered, etag
from por.api.lists import filtered, listing
from por.api.schema import described, page_of
from por.directory.forms import MpnIdField
from por.directory.rules import Workload
from por.web.filters import SEARCH_WITHIN, AsOfForm, SearchField, check_length

COLUMNS = [
    "id",
    "number",
    "name",
    "program",
    "role",
    "mpn_id",
    "tenant_id",
    "domain",
    "status",
    "consent",
    "end_reason",
    "whose_turn",
    "due_at",
    "proved_at",
]
#: The codes with which a field is refused.
FIELDS = [
    "empty",
    "not_a_list",
    "blank",
    "not_your_location",
    "partner_is_global",
    "partner_suspended",
    "program_missing",
    "program_unknown",
    "role_unknown",
    "workload_unknown",
    "unit_twice",
    "subscription_id_malformed",
    "not_on_tenant",
    "wrong_product",
    "sold_through_csp",
    "subscription_not_active",
    "not_in_checklist",
]
#: What a claim must have when it is submitted.
MISSING = [
    "program_missing",
    "program_unknown",
    "partner_suspended",
    "units_missing",
    "not_on_tenant",
    "wrong_product",
    "sold_through_csp",
    "subscription_not_active",
    "field_missing",
    "transaction_too_old",
    "proof_missing",
    "acknowledgement_too_old",
    "checklist_incomplete",
    "own_company_holds",
]
OVER = ["claim_withdrawn", "claim_rejected_final", "claim_ended"]
DECIDED = ["claim_approved", "claim_rejected", *OVER]
COMMENT_COLUMNS = ["id", "by", "organisation", "text", "at", "internal"]
STALE = _("This claim has changed since you read it. Read it again, then try again.")


class AsOf(AsOfForm):
    """The day as of which claims are shown."""

    as_of = forms.DateField(
        required=False,
        input_formats=["%Y-%m-%d"],
        help_text="Status, consent, due day, files and open conflicts at the end of this UTC day; the rest is today’s.",
    )


class ClaimFilter(AsOf):
    """The filters of the list; all may be left out."""

    status = forms.ChoiceField(choices=ClaimStatus.choices, required=False)
    program = forms.ChoiceField(choices=Program.choices, required=False)
    workload = forms.ChoiceField(choices=Workload.choices, required=False)
    mpn_id = MpnIdField()
    tenant_id = forms.UUIDField(required=False)
    needs_proof = forms.ChoiceField(
        choices=[("true", "true"), ("false", "false")],
        required=False,
        help_text="`true`: those that go on, with a unit for which no file can be opened; `false`: all others.",
    )
    search = SearchField(least=SEARCH_WITHIN, help_text="In numbers and names.")

    def apply(self, claims: QuerySet[Claim], actor: Actor) -> QuerySet[Claim]:
        given: dict[str, Any] = self.cleaned_data
        status = "status" if self.day is None else "status_then"
        for name, column in (("status", status), ("program", "program")):
            if given[name]:
                claims = claims.filter(**{column: given[name]})
        if given["workload"]:
            claims = of_workload(claims, given["workload"])
        if given["mpn_id"]:
            claims = claims.filter(partner__mpn_id=given["mpn_id"])
        if given["tenant_id"]:
            claims = claims.filter(customer__tenant_id=given["tenant_id"])
        if given["needs_proof"]:
            units = without_readable_proof() if self.day is None else unproved(self.day)
            needs = Exists(units.filter(claim=OuterRef("pk")))
            waiting = claims.filter(needs, **{f"{status}__in": [ClaimStatus.DRAFT, *LIVE]})
            claims = waiting if given["needs_proof"] == "true" else claims.exclude(pk__in=waiting.values("pk"))
        if given["search"]:
            check_length(given["search"], of_all=actor.is_staff)
            claims = search(claims, given["search"], names=is_claimant(actor) or actor.is_staff)
        return claims


class ClaimList(Endpoint):
    @described(
        "claims",
        "Claims",
        """The claims of a partner, or those that were submitted to a customer, newest first. Platform staff get all
        that were submitted. A customer reads who, units, status and contacts. With `as_of`, those that existed at the
        end of that day, as they were then.""",
        answers={200: ClaimShape},
        example=page_of(EXAMPLE),
        filters=ClaimFilter,
        problems={422: ["mpn_id_malformed", "search_too_short", "as_of_in_future"]},
        is_list=True,
    )
    def get(self, request: Request) -> HttpResponseBase:
        actor = actor_of(request)
        filters = filtered(request, ClaimFilter)
        return listing(
            request,
            filters.apply(_claims(actor, filters.day), actor),
            lambda page: [claim_shape(actor, one if filters.day is None else as_then(one)) for one in page],
            order=("-pk",),
            columns=COLUMNS,
            name="claims",
        )

    @described(
        "claim_draft",
        "Draft a claim",
        """For a partner. Nobody else sees a draft. The tenant and the domain must be those of one customer: an unknown
        tenant and a wrong domain answer alike, and count as a Check ID.""",
        answers={201: ClaimShape},
        example=EXAMPLE | {"status": "draft", "number": "", "due_at": None, "whose_turn": "partner", "version": 1},
        body=DraftBody,
        body_example={
            "tenant_id": EXAMPLE["tenant_id"],
            "domain": "vasterhamn.example",
            "name": "Exchange for all",
            "program": "osu_m365",
            "role": "usage",
            "workloads": ["exo"],
        },
        problems={
            409: ["too_many_drafts"],
            422: ["tenant_id_malformed", "domain_missing", "customer_not_found", "no_location", *FIELDS],
            429: ["too_many_checks"],
        },
        writes=True,
    )
    def post(self, request: Request) -> Response:
        actor = actor_of(request)

        def draft(_version: int | None) -> Response:
            given = entered(request, DraftBody)
            claim = drafting.draft(given["tenant_id"], given["domain"], fields_of(given), by=actor, origin=Origin.API)
            return answered(actor, claim.pk, status=201)

        return write(request, Right.WRITE_CLAIMS, draft)


class ClaimDetail(Endpoint):
    @described(
        "claim",
        "One claim",
        """With its files, for who may read their list, and its open conflicts. With `as_of`, as it was at the end of
        that day.""",
        answers={200: ClaimShape},
        example=EXAMPLE,
        filters=AsOf,
        problems=NOT_FOUND | {422: ["as_of_in_future"]},
    )
    def get(self, request: Request, claim_id: int) -> Response:
        return answered(actor_of(request), claim_id, day=filtered(request, AsOf).day)

    @described(
        "claim_change",
        "Change a claim",
        """For the partner, while it is a draft or waits for the partner. What is left out stays as it is. Programme and
        role can only be changed in a draft; another programme or role takes other units.""",
        answers={200: ClaimShape},
        example=EXAMPLE,
        body=ClaimBody,
        body_example={"name": "Exchange and Teams", "workloads": ["exo", "teams"]},
        problems=NOT_FOUND
        | {
            409: ["claim_submitted", "claim_under_review", "claim_disputed", *DECIDED],
            422: [*FIELDS, "claim_is_no_draft", "unit_approved", "units_missing", "own_company_holds"],
        },
        writes=True,
        versioned=True,
    )
    def patch(self, request: Request, claim_id: int) -> Response:
        def change(actor: Actor, version: int | None) -> None:
            drafting.change(claim_id, fields_of(entered(request, ClaimBody)), by=actor, version=version)

        return write_claim(request, claim_id, Right.WRITE_CLAIMS, change, must_match=True)


class Submit(Endpoint):
    @described(
        "claim_submit",
        "Submit a claim",
        """For the partner. A claim needs a file for each unit, and each point of the checklist. Where another company
        claims one of the units, a conflict opens: both partners and the customer are told, and a reviewer decides.""",
        answers={200: ClaimShape},
        example=EXAMPLE,
        body=NoBody,
        problems=NOT_FOUND
        | {
            409: ["claim_submitted", "claim_under_review", "claim_disputed", *DECIDED],
            412: ["stale"],
            422: MISSING,
            429: ["too_many_claims"],
        },
        writes=True,
    )
    def post(self, request: Request, claim_id: int) -> Response:
        def submit(actor: Actor, version: int | None) -> None:
            entered(request, NoBody)
            submitting.submit(claim_id, by=actor, version=version)

        return write_claim(request, claim_id, Right.WRITE_CLAIMS, submit)


class Withdraw(Endpoint):
    @described(
        "claim_withdraw",
        "Withdraw a claim",
        """For the partner, until the claim is decided. An open conflict about it closes if one other claim is left. The
        reviewer reads why.""",
        answers={200: ClaimShape},
        example=EXAMPLE | {"status": "withdrawn", "due_at": None, "whose_turn": "nobody"},
        body=WordsBody,
        body_example={"text": "Another location does the work."},
        problems=NOT_FOUND | {409: DECIDED, 412: ["stale"]},
        writes=True,
    )
    def post(self, request: Request, claim_id: int) -> Response:
        def withdraw(actor: Actor, version: int | None) -> None:
            note = words_of(entered(request, WordsBody))
            drafting.withdraw(claim_id, by=actor, version=version, note=note)

        return write_claim(request, claim_id, Right.WRITE_CLAIMS, withdraw)


class Comments(Endpoint):
    @described(
        "claim_comments",
        "Comments on a claim",
        "What partner and reviewer say to each other, oldest first. Only staff read internal comments.",
        answers={200: CommentShape},
        example=page_of(COMMENT_EXAMPLE),
        problems=NOT_FOUND | {403: ["no_right"]},
        is_list=True,
    )
    def get(self, request: Request, claim_id: int) -> HttpResponseBase:
        actor = actor_of(request)
        claim = visible(claim_id, by=actor, to=Right.LIST_PROOFS)
        return listing(
            request,
            comments_of(actor, claim),
            lambda page: [comment_shape(one) for one in page],
            order=("at", "pk"),
            columns=COMMENT_COLUMNS,
            name=f"comments-{claim.number or claim.pk}",
        )

    @described(
        "claim_comment",
        "Comment on a claim",
        """For the partner and for reviewers, from the submit until the claim is over. An organisation can add 50
        comments to a claim within a day.""",
        answers={201: CommentShape},
        example=COMMENT_EXAMPLE,
        body=CommentBody,
        body_example={"text": "The signed page is the last one."},
        problems=NOT_FOUND
        | {
            409: ["claim_is_draft", *OVER],
            422: ["blank", "comment_empty", "comment_too_long", "internal_is_for_staff"],
            429: ["too_many_comments"],
        },
        writes=True,
    )
    def post(self, request: Request, claim_id: int) -> Response:
        def comment(_version: int | None) -> Response:
            given = entered(request, CommentBody)
            written = commenting.comment(
                claim_id, given["text"], by=actor_of(request), internal=given.get("internal", False)
            )
            return Response(comment_shape(written), status=201)

        right = commenting.right_to_comment(actor_of(request))
        return write(request, right, comment, Target(lambda: visible(claim_id, by=actor_of(request))))


def write_claim(
    request: Request,
    claim_id: int,
    right: str,
    verb: Callable[[Actor, int | None], object],
    *,
    must_match: bool = False,
) -> Response:
    """Let the actor do a verb on a claim of this version; return the claim as the actor may read it then."""
    actor = actor_of(request)

    def work(version: int | None) -> Response:
        verb(actor, version)
        return answered(actor, claim_id)

    return write(request, right, work, Target(lambda: visible(claim_id, by=actor), STALE, must_match))


def answered(actor: Actor, claim_id: int, *, status: int = 200, day: date | None = None) -> Response:
    """Return the answer with a claim as the actor may read it, now or at the end of a day. Raises NotFound."""
    found = one_of(_claims(actor, day), claim_id)
    shape = claim_shape(actor, found if day is None else as_then(found))
    return Response(shape, status=status, headers={"ETag": etag(found.version)})


def _claims(actor: Actor, day: date | None) -> QuerySet[Claim]:
    """Return the claims that the actor may see, as they are, or those that existed at the end of a day."""
    return claims_with_all(actor) if day is None else with_all_then(claims_then(actor, day), day)
