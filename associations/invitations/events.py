"""The events of invitations: their texts, and who is notified."""

from __future__ import annotations

from functools import partial
from typing import NotRequired

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from associations.invitations.models import Invitation
from associations.invitations.rules import Administering
from associations.record.events import (
    TOLD_PARTNER,
    WithPartner,
    notify_customer,
    notify_partners,
    partner_name,
    undo_until,
)
from por.accounts.rules import OrganisationKind, Right
from por.history.events import Choice, EventType, Link, event_group, register
from por.history.models import Event
from por.notifications.actions.notifying import notify_actor
from por.notifications.messages import MailContext, mail
from por.notifications.models import Topic
from por.notifications.queries import unreached
from por.web.formatting import deadline_text


class InvitationEvent(EventType):
    SENT = "invitation.sent"
    OPENED = "invitation.opened"
    ACCEPTED = "invitation.accepted"
    DECLINED = "invitation.declined"
    REPORTED = "invitation.reported"
    REVOKED = "invitation.revoked"
    EXPIRED = "invitation.expired"


class Sent(WithPartner):
    """Whether it also asks to be a delegated administrator of the tenant."""

    delegated_admin: NotRequired[bool]


class Accepted(WithPartner):
    """The outcome of each subscription, by its id: an outcome, or the code of a refusal.

    If the invitation asks to be a delegated administrator, what came of that.
    """

    outcomes: dict[str, str]
    delegated_admin: NotRequired[str]


INVITATIONS = event_group("invitations", _("Invitations"))
INVITATION = Link("invitation", customer="associations:invitation", partner="associations:partner_invitation")

#: The texts of the outcomes of an accepted invitation. Any other outcome means that it was not attached.
OUTCOMES = {
    "attached": _("attached"),
    "unchanged": _("already the partner of record"),
    "change_requested": _("another partner is the partner of record, so the customer must answer a change request"),
}


class InvitationContext(MailContext):
    customer: str
    partner: str
    mpn_id: str
    until: str
    undo_until: str
    unreached: str
    #: What of being a delegated administrator the mail is about; "" if nothing.
    administering: str


def _context(event: Event) -> InvitationContext:
    invitation = Invitation.objects.for_listing().get(invitation_id=event.object_id)
    customer, partner = invitation.customer.organisation.name, invitation.partner
    outcomes: dict[str, str] = event.changes.get("outcomes", {})
    rows = [
        (gettext("Customer"), customer),
        (gettext("Partner"), gettext("%(name)s, MPN ID %(mpn_id)s") % event.changes["partner"]),
    ]
    not_attached = gettext("not attached")  # here, because makemessages does not read f-strings
    for row in invitation.invited.all():
        subscription = row.subscription
        outcome = outcomes.get(str(subscription.subscription_id), "")
        label = f"{subscription.name}, {str(subscription.subscription_id)[:8]}"
        value = f"{label}: {OUTCOMES.get(outcome, not_attached)}" if outcomes else label
        rows.append((gettext("Subscription"), value))
    if invitation.asks_to_administer:
        rows.append((gettext("Delegated administrator"), _administering(event)))
    if event.actor_name:
        rows.append((gettext("Done by"), event.actor_name))
    return {
        "administering": event.changes.get("delegated_admin") or "",
        "customer": customer,
        "partner": partner.organisation.name,
        "mpn_id": partner.mpn_id,
        "until": deadline_text(invitation.deadline),
        "undo_until": undo_until(event),
        "unreached": unreached(event),
        "rows": rows,
        "reason": event.reason.splitlines(),
    }


def _administering(event: Event) -> str:
    """Return what came of the question to be a delegated administrator, or that it was asked."""
    outcome = event.changes.get("delegated_admin")
    return str(Administering(outcome).label) if outcome in Administering.values else gettext("Asked for")


def _sent_detail(event: Event) -> str:
    return gettext("Also asks to be a delegated administrator") if event.changes.get("delegated_admin") else ""


def _accepted_detail(event: Event) -> str:
    if "delegated_admin" not in event.changes:
        return ""
    return gettext("Delegated administrator: %(outcome)s") % {"outcome": _administering(event)}


def _customer_page(event: Event) -> str:
    return reverse("associations:invitation", args=[event.object_id])


def _partner_page(event: Event) -> str:
    return reverse("associations:partner_invitation", args=[event.object_id])


to_customer = partial(
    mail,
    topic=Topic.INVITATION,
    to=(OrganisationKind.CUSTOMER,),
    context=_context,
    action=_("View invitation"),
    url=_customer_page,
)
to_partner = partial(
    mail,
    topic=Topic.INVITATION,
    to=(OrganisationKind.PARTNER,),
    context=_context,
    action=_("View invitation"),
    url=_partner_page,
)

# --- What the partner does ------------------------------------------------------------------------------------------

SENT = to_customer(
    "invitation_sent",
    title=_("New invitation from a partner"),
    subject=_("%(partner)s asks to be your partner of record. Answer by the end of %(until)s"),
    paragraphs=(
        _("%(partner)s (MPN ID %(mpn_id)s) asks to be your partner of record for the subscriptions below."),
        _(
            "A partner of record can see how you use a subscription, and gets credit for helping you with it. Nothing "
            "changes until an administrator of your organisation accepts. You can accept for some or all of the "
            "subscriptions, decline, or report the invitation."
        ),
        Choice(
            "administering",
            {"": _("You can use this invitation once, until the end of %(until)s.")},
            (
                _(
                    "%(partner)s also asks to be a delegated administrator of your tenant. That opens all your "
                    "subscriptions to it: product, seats, status and renewal, but not usage. You can leave this out."
                ),
                _("You can use this invitation once, until the end of %(until)s."),
            ),
        ),
    ),
    inbox=_("%(partner)s asks to be your partner of record."),
    values=partner_name,
    may=Right.ANSWER_INVITATION,
)


register(
    InvitationEvent.SENT,
    payload=Sent,
    about=("invitation",),
    here=_("{partner} sent the invitation"),
    elsewhere=_("{partner} sent an invitation to {object}"),
    icon="send",
    tone="info",
    groups=(INVITATIONS,),
    link=INVITATION,
    mails=(SENT,),
    notify=partial(notify_customer, message=SENT),
    detail=_sent_detail,
)

REVOKED = to_customer(
    "invitation_revoked",
    title=_("Invitation withdrawn by the partner"),
    subject=_("%(partner)s withdrew its invitation"),
    paragraphs=(
        _(
            "%(partner)s no longer asks to be your partner of record for the subscriptions below. You do not need to "
            "do anything."
        ),
    ),
    inbox=_("%(partner)s has withdrawn its invitation."),
    values=partner_name,
    may=Right.ANSWER_INVITATION,
)


register(
    InvitationEvent.REVOKED,
    payload=WithPartner,
    about=("invitation",),
    here=_("{partner} withdrew the invitation"),
    elsewhere=_("{partner} withdrew its invitation to {object}"),
    icon="undo",
    tone="",
    groups=(INVITATIONS,),
    link=INVITATION,
    mails=(REVOKED,),
    notify=partial(notify_customer, message=REVOKED),
)

# --- What the customer does -----------------------------------------------------------------------------------------

register(
    InvitationEvent.OPENED,
    payload=WithPartner,
    about=("invitation",),
    here=_("Opened"),
    elsewhere=_("{object} opened the invitation from {partner}"),
    icon="eye",
    tone="",
    groups=(INVITATIONS,),
    link=INVITATION,
    mails=(),
)

UNDO_ATTACHED = _(
    "If we attached the partner to a subscription, you can undo that on the page of the subscription until "
    "%(undo_until)s. After that, you can remove the partner at any time."
)
ACCEPTED = to_partner(
    "invitation_accepted",
    title=_("Invitation accepted by the customer"),
    subject=_("%(customer)s accepted your invitation"),
    paragraphs=(_("%(customer)s accepted your invitation. The result for each subscription is below."),),
    inbox=_("Your invitation was accepted."),
)
ACCEPTED_RECEIPT = to_customer(
    "invitation_accepted_receipt",
    title=_("Confirmation: invitation accepted"),
    subject=_("You accepted the invitation from %(partner)s"),
    paragraphs=(
        (
            _("You accepted the invitation from %(partner)s."),
            TOLD_PARTNER,
            _("The result for each subscription is below."),
        ),
        Choice(
            "administering",
            {
                Administering.ACCEPTED: (
                    UNDO_ATTACHED,
                    _(
                        "%(partner)s is now a delegated administrator of your tenant, and sees all your subscriptions "
                        "without their usage. You can end that on the page of your partners at any time."
                    ),
                )
            },
            UNDO_ATTACHED,
        ),
    ),
    inbox=_("You accepted the invitation from %(partner)s."),
    values=partner_name,
)


def _accepted(event: Event) -> None:
    """Notify the partner, and send a confirmation to the person who accepted, both with every outcome."""
    notify_partners(event, ACCEPTED)
    notify_actor(event, ACCEPTED_RECEIPT)


register(
    InvitationEvent.ACCEPTED,
    payload=Accepted,
    about=("invitation",),
    here=_("Accepted"),
    elsewhere=_("{object} accepted the invitation from {partner}"),
    icon="check",
    tone="ok",
    groups=(INVITATIONS,),
    link=INVITATION,
    mails=(ACCEPTED, ACCEPTED_RECEIPT),
    notify=_accepted,
    detail=_accepted_detail,
)

DECLINED = to_partner(
    "invitation_declined",
    title=_("Invitation declined by the customer"),
    subject=_("%(customer)s declined your invitation"),
    paragraphs=(
        _("%(customer)s declined your invitation. Nothing has changed."),
        _("If you think this is a mistake, talk to the customer before you send another invitation."),
    ),
    inbox=_("Your invitation was declined."),
)


register(
    InvitationEvent.DECLINED,
    payload=WithPartner,
    about=("invitation",),
    here=_("Declined"),
    elsewhere=_("{object} declined the invitation from {partner}"),
    icon="x",
    tone="bad",
    groups=(INVITATIONS,),
    link=INVITATION,
    mails=(DECLINED,),
    notify=partial(notify_partners, message=DECLINED),
)
register(
    InvitationEvent.REPORTED,  # sends nothing: the partner only learns that the invitation was declined
    payload=WithPartner,
    about=("invitation",),
    here=_("Reported"),
    elsewhere=_("{object} reported the invitation from {partner}"),
    icon="flag",
    tone="bad",
    groups=(INVITATIONS,),
    link=INVITATION,
    mails=(),
)

# --- No answer ------------------------------------------------------------------------------------------------------

EXPIRED = to_partner(
    "invitation_expired",
    title=_("Invitation expired without an answer"),
    subject=_("Your invitation to %(customer)s has expired"),
    paragraphs=(
        _("%(customer)s did not answer your invitation in time. Nothing has changed. You can send another invitation."),
    ),
    inbox=_("Your invitation has expired."),
)


register(
    InvitationEvent.EXPIRED,
    payload=WithPartner,
    about=("invitation",),
    here=_("Expired without an answer"),
    elsewhere=_("The invitation from {partner} to {object} expired without an answer"),
    icon="clock",
    tone="",
    groups=(INVITATIONS,),
    link=INVITATION,
    mails=(EXPIRED,),
    notify=partial(notify_partners, message=EXPIRED),
)
