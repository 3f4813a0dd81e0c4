"""The events of subscriptions that a file moves to another tenant, and what both customers are told."""

from __future__ import annotations

from functools import partial
from typing import NotRequired, TypedDict

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from associations.record.events import (
    ATTACHED,
    ENDED_GROUP,
    SUBSCRIPTION,
    Named,
    customer_of,
    notify_customer,
    subscription_page,
    to_customer,
)
from por.accounts.rules import Right
from por.directory.models import Subscription
from por.history.events import Choice, EventType, register
from por.history.models import Event
from por.notifications.messages import MailContext
from por.notifications.models import Topic


class MovedEvent(EventType):
    MOVED_AWAY = "subscription.moved_away"
    MOVED_IN = "subscription.moved_in"
    MOVED_BACK = "subscription.moved_back"


class Moved(TypedDict):
    """A move. The other customer is left out: neither learns who it is."""


class MovedIn(TypedDict):
    """A move to this customer, and the partner of record that it is asked about, if there was one."""

    partner: NotRequired[Named]


class MovedContext(MailContext):
    subscription: str
    partner: str


class PartnerText(TypedDict):
    partner: str


def _context(event: Event) -> MovedContext:
    of_customer = Subscription.objects.select_related("sku").filter(customer=customer_of(event))
    subscription = of_customer.get(subscription_id=event.object_id)
    partner = event.changes.get("partner")
    rows = [
        (gettext("Product"), subscription.get_product_display()),
        (gettext("Subscription ID"), event.object_id),
    ]
    if partner:
        rows.append((gettext("Partner"), gettext("%(name)s, MPN ID %(mpn_id)s") % partner))
    return {"subscription": subscription.name, "partner": partner["name"] if partner else "", "rows": rows}


def _partner(payload: MovedIn) -> PartnerText:
    partner = payload.get("partner")
    return {"partner": partner["name"] if partner else ""}


def _confirmation(event: Event) -> str:
    """Return the customer's page, with the partner filled in if there was one. Opening it attaches no one."""
    partner = event.changes.get("partner")
    return subscription_page(event) + (f"?mpn_id={partner['mpn_id']}" if partner else "")


def _list(event: Event) -> str:
    return reverse("associations:subscription_list")


AWAY_MAIL = to_customer(
    "subscription_moved_away",
    Topic.RECORD,
    title=_("A subscription moved to another tenant"),
    subject=_("%(subscription)s moved to another tenant"),
    paragraphs=(
        _("Imported files say that %(subscription)s now belongs to another tenant."),
        _(
            "Its partners no longer have an association with it through your organisation. It stays in your list as "
            "expired, with its usage and its history until now."
        ),
    ),
    context=_context,
    inbox=_("This subscription moved to another tenant."),
)
IN_MAIL = to_customer(
    "subscription_moved_in",
    Topic.RECORD,
    title=_("A subscription moved to your tenant"),
    subject=Choice(
        "partner",
        {"": _("%(subscription)s moved to your tenant")},
        _("Is %(partner)s still your partner for %(subscription)s?"),
    ),
    paragraphs=(
        _("Imported files say that %(subscription)s moved from another tenant to yours. It has no partner of record."),
        Choice(
            "partner",
            {"": _("You can attach the partner who does the work.")},
            (
                _("Until now, its partner of record was %(partner)s."),
                _(
                    "If %(partner)s works for you, confirm them as your partner of record. The page already shows "
                    "their details, and no partner is attached until you select OK."
                ),
            ),
        ),
    ),
    context=_context,
    action=_("Check and confirm"),
    url=_confirmation,
    inbox=Choice(
        "partner",
        {"": _("This subscription moved to your tenant. It has no partner of record.")},
        _("This subscription moved to your tenant. Is %(partner)s still your partner?"),
    ),
    values=_partner,
    may=Right.ATTACH,
)
BACK_MAIL = to_customer(
    "subscription_moved_back",
    Topic.RECORD,
    title=_("A subscription moved back to your tenant"),
    subject=_("%(subscription)s is in your tenant again"),
    paragraphs=(
        _("An imported file had moved %(subscription)s to another tenant. A later file has taken that back."),
        _("What the move had ended goes on, where no other partner has come."),
    ),
    context=_context,
    inbox=_("This subscription is in your tenant again: a later file has taken the move back."),
)

register(
    MovedEvent.MOVED_AWAY,
    payload=Moved,
    about=("subscription",),
    here=_("Moved to another tenant by a file"),
    elsewhere=_("A file moved {object} to another tenant"),
    icon="x",
    tone="bad",
    groups=(ENDED_GROUP,),
    link=SUBSCRIPTION,
    mails=(AWAY_MAIL,),
    notify=partial(notify_customer, message=AWAY_MAIL, held=True),
)
register(
    MovedEvent.MOVED_IN,
    payload=MovedIn,
    about=("subscription",),
    here=_("Moved here from another tenant by a file"),
    elsewhere=_("A file moved {object} here from another tenant"),
    icon="flag",
    tone="info",
    groups=(ATTACHED,),
    link=SUBSCRIPTION,
    mails=(IN_MAIL,),
    notify=partial(notify_customer, message=IN_MAIL, held=True),
)
register(
    MovedEvent.MOVED_BACK,
    payload=Moved,
    about=("subscription",),
    here=_("Moved back here by a file"),
    elsewhere=_("A file moved {object} back here"),
    icon="undo",
    tone="ok",
    groups=(ATTACHED,),
    link=SUBSCRIPTION,
    mails=(BACK_MAIL,),
    notify=partial(notify_customer, message=BACK_MAIL, held=True),
)
