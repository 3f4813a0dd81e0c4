"""The events of a delegated administrator that people begin and end: their texts, and who is notified."""

from __future__ import annotations

from functools import partial

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from associations.record.events import (
    ATTACHED,
    ENDED_GROUP,
    TOLD_PARTNER,
    AssociationPayload,
    customer_of,
    moment_of,
    notify_partners,
    partner_name,
)
from por.accounts.models import Organisation
from por.accounts.rules import OrganisationKind
from por.history.events import EventType, Link, register
from por.history.models import Event
from por.notifications.actions.notifying import notify_actor
from por.notifications.messages import MailContext, mail
from por.notifications.models import Topic
from por.notifications.queries import unreached


class DelegatedAdminEvent(EventType):
    BEGUN = "delegated_admin.begun"
    ENDED = "delegated_admin.ended"


class EndedContext(MailContext):
    customer: str
    partner: str
    since: str
    until: str
    unreached: str


def _context(event: Event) -> EndedContext:
    customer, partner = Organisation.objects.get(pk=customer_of(event)).name, event.changes["partner"]
    rows = [
        (gettext("Customer"), customer),
        (gettext("Partner"), gettext("%(name)s, MPN ID %(mpn_id)s") % partner),
    ]
    if event.actor_name:
        rows.append((gettext("Done by"), event.actor_name))
    return {
        "customer": customer,
        "partner": partner["name"],
        "since": moment_of(event.changes["began_at"]),
        "until": moment_of(event.changes["ended_at"]),
        "unreached": unreached(event),
        "rows": rows,
        "reason": event.reason.splitlines(),
    }


def page(event: Event) -> str:
    """Return the customer's page of the association."""
    return reverse("associations:delegated_admin", args=[event.changes["association"]])


def _partner_page(event: Event) -> str:
    return reverse("portal:partner_customer_detail", args=[event.object_id])


ENDED_MAIL = mail(
    "delegated_admin_ended",
    Topic.RECORD,
    to=(OrganisationKind.PARTNER,),
    title=_("Notice to partner: no longer a delegated administrator"),
    subject=_("You are no longer a delegated administrator for %(customer)s"),
    paragraphs=(
        _("%(customer)s ended you as a delegated administrator on %(until)s. You had been one since %(since)s."),
        _(
            "You still see the names of their subscriptions here, but no longer their seats, status and renewal, "
            "unless you have another association with them."
        ),
    ),
    context=_context,
    action=_("View the customer"),
    url=_partner_page,
    inbox=_("You are no longer a delegated administrator."),
)
ENDED_RECEIPT = mail(
    "delegated_admin_ended_receipt",
    Topic.RECORD,
    to=(OrganisationKind.CUSTOMER,),
    title=_("Confirmation: delegated administration ended"),
    subject=_("You ended %(partner)s as a delegated administrator"),
    paragraphs=(
        (_("You ended %(partner)s as a delegated administrator on %(until)s."), TOLD_PARTNER),
        _("The partner’s roles in your tenant are not kept here. Take them away in your admin centre, too."),
    ),
    context=_context,
    action=_("View the association"),
    url=page,
    inbox=_("You ended %(partner)s as a delegated administrator."),
    values=partner_name,
)


def _ended(event: Event) -> None:
    """Notify the partner, and send a confirmation to the person who ended it."""
    notify_partners(event, ENDED_MAIL)
    notify_actor(event, ENDED_RECEIPT)


CUSTOMER = Link("customer", partner="portal:partner_customer_detail", staff="portal:staff_customer_detail")
_register = partial(register, payload=AssociationPayload, about=("customer",), link=CUSTOMER)

#: Who accepts is told by the mails of the invitation, and so is the partner.
_register(
    DelegatedAdminEvent.BEGUN,
    here=_("{partner} became a delegated administrator"),
    elsewhere=_("{partner} became a delegated administrator for {object}"),
    icon="link",
    tone="ok",
    groups=(ATTACHED,),
    mails=(),
)
_register(
    DelegatedAdminEvent.ENDED,
    here=_("{partner} is no longer a delegated administrator"),
    elsewhere=_("{partner} is no longer a delegated administrator for {object}"),
    icon="x",
    tone="bad",
    groups=(ENDED_GROUP,),
    mails=(ENDED_MAIL, ENDED_RECEIPT),
    notify=_ended,
)
