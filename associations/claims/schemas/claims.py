"""How the API shows claims, and the bodies it takes. A reader who may not read a field gets null."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict, cast

from rest_framework import serializers

from associations.claims.actions.drafting import Fields
from associations.claims.models import Claim, Comment, Proof
from associations.claims.queries.claims import due_at, may_read_all, proved_at
from associations.claims.rules import (
    CHECKLIST,
    NAME_LENGTH,
    NOTE_LENGTH,
    ClaimStatus,
    Consent,
    Program,
    Role,
    Scan,
    Turn,
)
from associations.record.schemas import CUSTOMER_EXAMPLE, PARTNER_EXAMPLE, EndReasonCode, WorkloadCode
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.api.endpoint import DigitsField, TrueOrFalseField
from por.api.schema import Day, Guid, Is, Timestamp, timestamp

#: How many units a body can name.
MOST_UNITS = 200

ProgramCode = Annotated[str, Is(enum=Program.values)]
RoleCode = Annotated[str, Is(enum=Role.values)]
ClaimStatusCode = Annotated[str, Is(enum=ClaimStatus.values)]
ConsentCode = Annotated[str, Is(enum=Consent.values)]
TurnCode = Annotated[str, Is(enum=Turn.values)]
CheckCode = Annotated[str, Is(enum=[one.value for one in CHECKLIST])]


class CustomerContactShape(TypedDict):
    """The partner's contact at the customer."""

    name: str
    title: str
    email: str


class PartnerContactShape(TypedDict):
    """The customer's contact at the partner."""

    name: str
    email: str


class ListedProofShape(TypedDict):
    """A file that shows the partner's work. `id` and `number` are its number within the claim."""

    id: int
    number: int
    filename: str
    size: int
    sha256: str
    content_type: str
    scan: Annotated[str, Is(enum=Scan.values)]
    uploaded_at: Timestamp


class ClaimShape(TypedDict):
    """A partner says that it does the work for some workloads or subscriptions of a customer.

    A customer reads who, units, status and contacts; other fields are null for it. `proofs` is null for who may not
    read the list of files; `proved_at` is when the newest one was uploaded that can be opened. `conflicts` are the
    open ones.
    """

    id: int
    number: str
    name: str | None
    program: ProgramCode | None
    role: RoleCode | None
    mpn_id: str
    tenant_id: Guid
    domain: str
    workloads: list[WorkloadCode]
    subscription_ids: list[Guid]
    customer_contact: CustomerContactShape
    partner_contact: PartnerContactShape
    opt_out_of_payment: bool | None
    transaction_on: Day | None
    seller: str | None
    solution: str | None
    checked: list[CheckCode] | None
    status: ClaimStatusCode
    consent: ConsentCode | None
    end_reason: EndReasonCode | None
    due_at: Timestamp | None
    whose_turn: TurnCode
    proofs: list[ListedProofShape] | None
    proved_at: Timestamp | None
    conflicts: list[int]
    version: int


class CommentShape(TypedDict):
    """What partner and reviewer say to each other. `internal` ones are for platform staff."""

    id: int
    by: str
    organisation: str
    text: str
    at: Timestamp
    internal: bool


class CustomerContactBody(serializers.Serializer[Any]):
    """The partner's contact at the customer."""

    name = serializers.CharField(required=False, allow_blank=True, max_length=150)
    title = serializers.CharField(required=False, allow_blank=True, max_length=150)
    email = serializers.EmailField(required=False, allow_blank=True, max_length=254)


class PartnerContactBody(serializers.Serializer[Any]):
    """The customer's contact at the partner."""

    name = serializers.CharField(required=False, allow_blank=True, max_length=150)
    email = serializers.EmailField(required=False, allow_blank=True, max_length=254)


class ClaimBody(serializers.Serializer[Any]):
    """What a partner says in a claim. What is left out stays as it is."""

    name = serializers.CharField(required=False, allow_blank=True, max_length=NAME_LENGTH)
    program = serializers.CharField(required=False, max_length=20)
    role = serializers.CharField(required=False, max_length=20)
    mpn_id = DigitsField(required=False, max_length=40, help_text="The location that claims; your own if left out.")
    workloads = serializers.ListField(child=serializers.CharField(max_length=10), required=False, max_length=MOST_UNITS)
    subscription_ids = serializers.ListField(
        child=serializers.CharField(max_length=64), required=False, max_length=MOST_UNITS
    )
    customer_contact = CustomerContactBody(required=False)
    partner_contact = PartnerContactBody(required=False)
    opt_out_of_payment = TrueOrFalseField(required=False)
    transaction_on = serializers.DateField(required=False, allow_null=True, help_text="osa_sell: when it was sold.")
    seller = serializers.CharField(required=False, allow_blank=True, max_length=200, help_text="Role revenue.")
    solution = serializers.CharField(required=False, allow_blank=True, max_length=200, help_text="Role revenue.")
    checked = serializers.ListField(
        child=serializers.CharField(max_length=24),
        required=False,
        max_length=MOST_UNITS,
        help_text="The points of the checklist that you have checked in your own proof.",
    )


class DraftBody(ClaimBody):
    """The customer, by its tenant and its domain, and what a partner says in a claim."""

    tenant_id = serializers.CharField(max_length=64)
    domain = serializers.CharField(max_length=300)


class WordsBody(serializers.Serializer[Any]):
    """Why, in a few words, in more, or in both. Who reads it is said with each address."""

    reason = serializers.CharField(required=False, allow_blank=True, max_length=NOTE_LENGTH)
    text = serializers.CharField(required=False, allow_blank=True, max_length=NOTE_LENGTH)


def words_of(given: dict[str, Any], *names: str) -> str:
    """Return what was entered in these fields, by default in those of WordsBody, one below the other."""
    return "\n".join(given[one].strip() for one in names or ("reason", "text") if given.get(one, "").strip())


class CommentBody(serializers.Serializer[Any]):
    """A comment. `internal` is for platform staff."""

    text = serializers.CharField(max_length=NOTE_LENGTH)
    internal = TrueOrFalseField(required=False)


def fields_of(given: dict[str, Any]) -> Fields:
    """Return a body as the verbs take it: the parts of a contact as fields of their own."""
    fields = {name: value for name, value in given.items() if name not in ("tenant_id", "domain")}
    for contact in ("customer_contact", "partner_contact"):
        fields |= {f"{contact}_{name}": value for name, value in fields.pop(contact, {}).items()}
    return cast("Fields", fields)


def claim_shape(actor: Actor, one: Claim) -> ClaimShape:
    """Return a claim of claims_with_all as the actor may read it."""
    reads_all = may_read_all(actor)
    due, proved = due_at(one), proved_at(one)
    units = list(one.units.all())
    return {
        "id": one.pk,
        "number": one.number,
        "name": one.name if reads_all else None,
        "program": one.program or None,
        "role": one.role or None,
        "mpn_id": one.partner.mpn_id,
        "tenant_id": str(one.customer.tenant_id),
        "domain": one.domain,
        "workloads": [unit.workload for unit in units if unit.workload],
        "subscription_ids": [str(unit.subscription.subscription_id) for unit in units if unit.subscription],
        "customer_contact": {
            "name": one.customer_contact_name,
            "title": one.customer_contact_title,
            "email": one.customer_contact_email,
        },
        "partner_contact": {"name": one.partner_contact_name, "email": one.partner_contact_email},
        "opt_out_of_payment": one.opt_out_of_payment if reads_all else None,
        "transaction_on": one.transaction_on.isoformat() if reads_all and one.transaction_on else None,
        "seller": one.seller if reads_all else None,
        "solution": one.solution if reads_all else None,
        "checked": list(one.checked) if reads_all else None,
        "status": one.status,
        "consent": one.consent or None,
        "end_reason": one.end_reason or None,
        "due_at": timestamp(due) if due and (reads_all or due == one.consent_due_at) else None,
        "whose_turn": one.turn.value,
        "proofs": [_proof(proof) for proof in one.proofs.all()] if actor.may(Right.LIST_PROOFS) else None,
        "proved_at": timestamp(proved) if proved else None,
        "conflicts": [side.conflict_id for side in one.sides.all()],
        "version": one.version,
    }


def _proof(one: Proof) -> ListedProofShape:
    return {
        "id": one.number,
        "number": one.number,
        "filename": one.filename,
        "size": one.size,
        "sha256": one.sha256,
        "content_type": one.content_type,
        "scan": one.scan,
        "uploaded_at": timestamp(one.uploaded_at),
    }


def comment_shape(one: Comment) -> CommentShape:
    return {
        "id": one.pk,
        "by": one.by_name,
        "organisation": one.organisation.name,
        "text": one.text,
        "at": timestamp(one.at),
        "internal": one.internal,
    }


EXAMPLE = {
    "id": 61077,
    "number": "CPR-0061077",
    "name": "Exchange for all",
    "program": "osu_m365",
    "role": "usage",
    "mpn_id": PARTNER_EXAMPLE["mpn_id"],
    "tenant_id": CUSTOMER_EXAMPLE["tenant_id"],
    "domain": "vasterhamn.example",
    "workloads": ["exo"],
    "subscription_ids": [],
    "customer_contact": {"name": "Karin Lund", "title": "Head of IT", "email": "karin.lund@vasterhamn.example"},
    "partner_contact": {"name": "Amira Haddad", "email": "amira@nordvik.example"},
    "opt_out_of_payment": False,
    "transaction_on": None,
    "seller": "",
    "solution": "",
    "checked": [one.value for one in CHECKLIST],
    "status": "submitted",
    "consent": None,
    "end_reason": None,
    "due_at": "2026-03-09T23:00:00Z",
    "whose_turn": "reviewer",
    "proofs": [
        {
            "id": 1,
            "number": 1,
            "filename": "acknowledgement.pdf",
            "size": 48213,
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "content_type": "application/pdf",
            "scan": "clean",
            "uploaded_at": "2026-03-02T09:41:07.318402Z",
        }
    ],
    "proved_at": "2026-03-02T09:41:07.318402Z",
    "conflicts": [],
    "version": 4,
}
COMMENT_EXAMPLE = {
    "id": 12,
    "by": "Amira Haddad",
    "organisation": PARTNER_EXAMPLE["name"],
    "text": "The signed page is the last one.",
    "at": "2026-03-04T08:12:55.102938Z",
    "internal": False,
}
