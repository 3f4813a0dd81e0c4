"""Roles and what each may do: one table, asked by the verbs, the pages and the API alike."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Kind(TextChoices):
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


#: Everybody may read what their organisation may see; these are the rights beyond that.
RIGHTS: dict[Kind, dict[Role, frozenset[str]]] = {
    Kind.CUSTOMER: {
        Role.ADMINISTRATOR: frozenset(
            {
                "partner.check",
                "record.attach",
                "record.remove",
                "record.undo",
                "record.bulk",
                "change.answer",
                "invitation.answer",
                "token.write",
            }
        ),
        Role.VIEWER: frozenset(),
    },
    Kind.PARTNER: {
        Role.ADMINISTRATOR: frozenset(
            {"partner.check", "change.state", "invitation.write", "activation.write", "token.write"}
        ),
        Role.INCENTIVES: frozenset({"partner.check", "change.state", "token.write"}),
        Role.VIEWER: frozenset(),
    },
    Kind.STAFF: {
        Role.REVIEWER: frozenset({"partner.check", "token.write"}),
        Role.PROGRAMME_ADMINISTRATOR: frozenset(
            {
                "partner.check",
                "token.write",
                "estate.read",
                "estate.load",
                "delivery.read",
                "delivery.replay",
                "people.write",
                "metrics.read",
            }
        ),
        Role.SUPPORT: frozenset({"partner.check", "token.write"}),
        Role.AUDITOR: frozenset({"estate.read", "delivery.read", "metrics.read"}),
    },
}

#: Rights that change nothing, so that a read-only token has them too.
READING = frozenset({"partner.check", "estate.read", "delivery.read", "metrics.read"})


def rights_of(kind: str, role: str) -> frozenset[str]:
    """What this role may do in an organisation of this kind; nothing, for a pair the table does not know."""
    return RIGHTS.get(Kind(kind), {}).get(Role(role), frozenset())


def roles_of(kind: str) -> list[Role]:
    return list(RIGHTS[Kind(kind)])
