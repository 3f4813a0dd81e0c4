"""The kinds of association, where one comes from, and the reasons why one ends."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

NOTE_LENGTH = 500


class AssociationKind(TextChoices):
    DPOR = "dpor", _("Partner of record")
    CPOR = "cpor", _("Claimed partner of record")
    PAL = "pal", _("Partner Admin Link")
    DELEGATED_ADMIN = "delegated_admin", _("Delegated administrator")
    TRANSACTING = "transacting", _("Transacting partner")
    CSP = "csp", _("Cloud Solution Provider")
    OSA_FORM = "osa_form", _("Legacy form")
    FASTTRACK = "fasttrack", _("FastTrack")


#: Kinds that apply to a whole tenant; the others apply to one subscription.
TENANT_KINDS = frozenset({AssociationKind.DELEGATED_ADMIN, AssociationKind.PAL, AssociationKind.FASTTRACK})


class Source(TextChoices):
    CUSTOMER = "customer", _("Attached by the customer")
    CHANGE = "change", _("Chosen by the customer in a change request")
    INVITATION = "invitation", _("Accepted invitation")
    ACTIVATION = "activation", _("Activated by the partner")
    AUTOMATIC = "automatic", _("Automatic (sold by the partner, carried over or moved by it)")
    CLAIM = "claim", _("Approved claim")
    ESTATE = "estate", _("Imported from files")


class EndReason(TextChoices):
    REMOVED = "removed", _("Removed by the customer")
    RESIGNED = "resigned", _("The partner resigned")
    MOVED = "moved", _("Moved to another location of the same company")
    CHANGED = "changed", _("Replaced by another partner")
    DISASSOCIATED = "disassociated", _("Ended by the partner")
    CUSTOMER_DECLINED = "customer_declined", _("Declined by the customer")
    CONFLICT_LOST = "conflict_lost", _("Another claim was approved")
    SUBSCRIPTION_EXPIRED = "subscription_expired", _("The subscription expired")
    SUBSCRIPTION_REPLACED = "subscription_replaced", _("The subscription was replaced")
    SUBSCRIPTION_MOVED = "subscription_moved", _("The subscription moved to another tenant")
    PARTNER_CLOSED = "partner_closed", _("The partner's account was closed")
    FILE = "file", _("An imported file says so")


#: Ends that an import made for a reason in its files. If the files take the reason back, the association goes on.
FROM_OUTSIDE = frozenset(
    {
        EndReason.SUBSCRIPTION_EXPIRED,
        EndReason.SUBSCRIPTION_REPLACED,
        EndReason.SUBSCRIPTION_MOVED,
        EndReason.PARTNER_CLOSED,
    }
)
