"""What the inbox and the digest say of the record: one sentence each, and where to look. It asks no database."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from associations.rules import EndReason
from por.formats import day_text
from por.history.models import Event
from por.notifications.emails import Line, Says

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText


def partner_url(event: Event) -> str:
    """Once an attach is undone the subscription is no longer the partner's to open."""
    if event.verb == "partner_of_record.attach_undone":
        return reverse("associations:partner_subscription_list")
    return reverse("associations:partner_subscription_detail", args=[event.object_id])


def customer_url(event: Event) -> str:
    return reverse("associations:subscription_detail", args=[event.object_id])


def to_partner(sentence: LazyText) -> Says:
    return lambda event: Line(_said(sentence, event), partner_url(event))


def to_customer(sentence: LazyText) -> Says:
    return lambda event: Line(_said(sentence, event), customer_url(event))


def _said(sentence: LazyText, event: Event) -> str:
    reason = event.changes.get("end_reason")
    return sentence % {
        "partner": event.changes["partner"]["name"],
        "day": day_text(datetime.fromisoformat(event.changes["began_at"])),
        "why": EndReason(reason).label if reason else "",
    }


#: By the end of the verb: to the partner, and to who did it.
RECORD: dict[str, tuple[Says, Says]] = {
    what: (to_partner(theirs), to_customer(ours))
    for what, theirs, ours in (
        ("attached", _("You were made partner of record."), _("You made %(partner)s partner of record.")),
        ("removed", _("You were removed as partner of record."), _("You removed %(partner)s as partner of record.")),
        (
            "attach_undone",
            _("You are not partner of record: making you so was undone."),
            _("You undid making %(partner)s partner of record."),
        ),
        (
            "removal_undone",
            _("You are partner of record again, without a gap: the removal was undone."),
            _("You undid the removal of %(partner)s."),
        ),
        (
            "dated_back",
            _("You are now partner of record since %(day)s."),
            _("You moved the start of %(partner)s back to %(day)s."),
        ),
    )
}
ENDED = to_partner(_("You are no longer partner of record. %(why)s."))
ENDED_CUSTOMER = to_customer(_("%(partner)s is no longer your partner of record. %(why)s."))
