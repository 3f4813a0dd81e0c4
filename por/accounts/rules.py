"""Roles and their rights: one table for the verbs, the pages and the API."""

from __future__ import annotations

from enum import StrEnum

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class OrganisationKind(TextChoices):
    """The kind of an organisation."""

    CUSTOMER = "customer", _("Customer")
    PARTNER = "partner", _("Partner")
    STAFF = "staff", _("Platform staff")


class Role(TextChoices):
    """The role of a member in an organisation; RIGHTS says which kind of organisation has which roles."""

    ADMINISTRATOR = "administrator", _("Administrator")
    INCENTIVES = "incentives", _("Incentives")
    VIEWER = "viewer", _("Viewer")
    REVIEWER = "reviewer", _("Reviewer")
    PROGRAMME_ADMINISTRATOR = "programme_administrator", _("Programme administrator")
    SUPPORT = "support", _("Support")
    AUDITOR = "auditor", _("Auditor")


class Right(StrEnum):
    """A right of a member beyond reading; RIGHTS says which role has which rights."""

    CHECK_PARTNER = "partner.check"
    ATTACH = "record.attach"
    REMOVE = "record.remove"
    RESIGN = "record.resign"
    MOVE = "record.move"
    UNDO = "record.undo"
    ATTACH_MANY = "record.bulk"
    ANSWER_CHANGE_REQUEST = "change.answer"
    SUBMIT_STATEMENT = "change.state"
    ANSWER_INVITATION = "invitation.answer"
    INVITE = "invitation.write"
    ACTIVATE = "activation.write"
    MANAGE_TOKENS = "token.write"
    READ_IMPORTS = "estate.read"
    IMPORT = "estate.load"
    READ_DELIVERIES = "delivery.read"
    REPLAY = "delivery.replay"
    MANAGE_PEOPLE = "people.write"
    MANAGE_ORGANISATION = "organisation.write"
    READ_METRICS = "metrics.read"
    READ_SENT_MAIL = "mail.read"
    WRITE_CLAIMS = "claim.write"
    WRITE_PROOFS = "proof.write"
    LIST_PROOFS = "proof.list"
    READ_PROOFS = "proof.read"
    DISASSOCIATE = "claim.disassociate"
    DECLINE_CLAIM = "claim.decline"
    ANSWER_CONFLICT = "conflict.answer"
    REVIEW_CLAIMS = "claim.review"
    DECIDE_CONFLICTS = "conflict.decide"
    WRITE_INTEREST = "interest.write"
    END_CLAIM_BY_NUMBER = "claim.end_by_number"
    WRITE_OVERRIDES = "override.write"


#: The number and the name of the organisation of platform staff. There is one.
PLATFORM = ("house", "Programme office")

#: What those at a partner may do with claims who may see its money.
CLAIMING = frozenset({Right.WRITE_CLAIMS, Right.WRITE_PROOFS, Right.LIST_PROOFS, Right.READ_PROOFS, Right.DISASSOCIATE})

#: Every member may read what their organisation may see; these are the rights beyond that.
RIGHTS: dict[OrganisationKind, dict[Role, frozenset[Right]]] = {
    OrganisationKind.CUSTOMER: {
        Role.ADMINISTRATOR: frozenset(
            {
                Right.CHECK_PARTNER,
                Right.ATTACH,
                Right.REMOVE,
                Right.UNDO,
                Right.ATTACH_MANY,
                Right.ANSWER_CHANGE_REQUEST,
                Right.ANSWER_INVITATION,
                Right.DECLINE_CLAIM,
                Right.ANSWER_CONFLICT,
                Right.MANAGE_TOKENS,
                Right.MANAGE_ORGANISATION,
            }
        ),
        Role.VIEWER: frozenset(),
    },
    OrganisationKind.PARTNER: {
        Role.ADMINISTRATOR: frozenset(
            {
                Right.CHECK_PARTNER,
                Right.RESIGN,
                Right.MOVE,
                Right.SUBMIT_STATEMENT,
                Right.INVITE,
                Right.ACTIVATE,
                Right.MANAGE_TOKENS,
                Right.MANAGE_ORGANISATION,
            }
        )
        | CLAIMING,
        Role.INCENTIVES: frozenset({Right.CHECK_PARTNER, Right.SUBMIT_STATEMENT, Right.MANAGE_TOKENS}) | CLAIMING,
        Role.VIEWER: frozenset(),
    },
    OrganisationKind.STAFF: {
        Role.REVIEWER: frozenset(
            {
                Right.CHECK_PARTNER,
                Right.MANAGE_TOKENS,
                Right.LIST_PROOFS,
                Right.READ_PROOFS,
                Right.REVIEW_CLAIMS,
                Right.DECIDE_CONFLICTS,
                Right.WRITE_INTEREST,
                Right.WRITE_OVERRIDES,
            }
        ),
        Role.PROGRAMME_ADMINISTRATOR: frozenset(
            {
                Right.CHECK_PARTNER,
                Right.MANAGE_TOKENS,
                Right.READ_IMPORTS,
                Right.IMPORT,
                Right.READ_DELIVERIES,
                Right.REPLAY,
                Right.MANAGE_PEOPLE,
                Right.MANAGE_ORGANISATION,
                Right.READ_METRICS,
                Right.READ_SENT_MAIL,
                Right.WRITE_INTEREST,
                Right.WRITE_OVERRIDES,
            }
        ),
        Role.SUPPORT: frozenset(
            {Right.CHECK_PARTNER, Right.MANAGE_TOKENS, Right.LIST_PROOFS, Right.END_CLAIM_BY_NUMBER}
        ),
        Role.AUDITOR: frozenset({Right.READ_IMPORTS, Right.READ_DELIVERIES, Right.READ_METRICS, Right.LIST_PROOFS}),
    },
}

#: Rights that change nothing, so that a read-only token has them too.
READING = frozenset(
    {
        Right.CHECK_PARTNER,
        Right.READ_IMPORTS,
        Right.READ_DELIVERIES,
        Right.READ_METRICS,
        Right.READ_SENT_MAIL,
        Right.LIST_PROOFS,
        Right.READ_PROOFS,
    }
)


def rights_of(kind: str, role: str) -> frozenset[Right]:
    """Return the rights of this role in an organisation of this kind; none if the table does not have the pair."""
    return RIGHTS.get(OrganisationKind(kind), {}).get(Role(role), frozenset())


def roles_of(kind: str) -> list[Role]:
    """Return the roles of an organisation of this kind."""
    return list(RIGHTS[OrganisationKind(kind)])
