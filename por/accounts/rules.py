"""Roles and what each may do: one table, asked by the verbs, the pages and the API alike."""

from __future__ import annotations

from enum import StrEnum

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class OrganisationKind(TextChoices):
    """What an organisation is here."""

    CUSTOMER = "customer", _("Customer")
    PARTNER = "partner", _("Partner")
    STAFF = "staff", _("Platform staff")


class Role(TextChoices):
    """What a member of an organisation does there; ROLES says which kind has which."""

    ADMINISTRATOR = "administrator", _("Administrator")
    INCENTIVES = "incentives", _("Incentives")
    VIEWER = "viewer", _("Viewer")
    REVIEWER = "reviewer", _("Reviewer")
    PROGRAMME_ADMINISTRATOR = "programme_administrator", _("Programme administrator")
    SUPPORT = "support", _("Support")
    AUDITOR = "auditor", _("Auditor")


class Right(StrEnum):
    """What a member may do beyond reading; RIGHTS says which role has which."""

    CHECK_PARTNER = "partner.check"
    ATTACH = "record.attach"
    REMOVE = "record.remove"
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
    READ_METRICS = "metrics.read"


#: Everybody may read what their organisation may see; these are the rights beyond that.
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
                Right.MANAGE_TOKENS,
            }
        ),
        Role.VIEWER: frozenset(),
    },
    OrganisationKind.PARTNER: {
        Role.ADMINISTRATOR: frozenset(
            {Right.CHECK_PARTNER, Right.SUBMIT_STATEMENT, Right.INVITE, Right.ACTIVATE, Right.MANAGE_TOKENS}
        ),
        Role.INCENTIVES: frozenset({Right.CHECK_PARTNER, Right.SUBMIT_STATEMENT, Right.MANAGE_TOKENS}),
        Role.VIEWER: frozenset(),
    },
    OrganisationKind.STAFF: {
        Role.REVIEWER: frozenset({Right.CHECK_PARTNER, Right.MANAGE_TOKENS}),
        Role.PROGRAMME_ADMINISTRATOR: frozenset(
            {
                Right.CHECK_PARTNER,
                Right.MANAGE_TOKENS,
                Right.READ_IMPORTS,
                Right.IMPORT,
                Right.READ_DELIVERIES,
                Right.REPLAY,
                Right.MANAGE_PEOPLE,
                Right.READ_METRICS,
            }
        ),
        Role.SUPPORT: frozenset({Right.CHECK_PARTNER, Right.MANAGE_TOKENS}),
        Role.AUDITOR: frozenset({Right.READ_IMPORTS, Right.READ_DELIVERIES, Right.READ_METRICS}),
    },
}

#: Rights that change nothing, so that a read-only token has them too.
READING = frozenset({Right.CHECK_PARTNER, Right.READ_IMPORTS, Right.READ_DELIVERIES, Right.READ_METRICS})


def rights_of(kind: str, role: str) -> frozenset[Right]:
    """What this role may do in an organisation of this kind; nothing, for a pair the table does not know."""
    return RIGHTS.get(OrganisationKind(kind), {}).get(Role(role), frozenset())


def roles_of(kind: str) -> list[Role]:
    return list(RIGHTS[OrganisationKind(kind)])
