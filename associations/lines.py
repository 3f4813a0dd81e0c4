"""What the inbox and the digest say of the record: one sentence each, and where to look. It asks no database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from associations.rules import EndReason
from por.directory.models import Subscription
from por.directory.rules import Agreement
from por.formats import day_text, number_text
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
        (
            "attached",
            _("You were attached as the partner of record."),
            _("You attached %(partner)s as the partner of record."),
        ),
        (
            "removed",
            _("You were removed as the partner of record."),
            _("You removed %(partner)s as the partner of record."),
        ),
        (
            "attach_undone",
            _("Attaching you was undone, so you are not the partner of record."),
            _("You undid attaching %(partner)s as the partner of record."),
        ),
        (
            "removal_undone",
            _("Your removal was undone. You are the partner of record again, without a gap."),
            _("You undid the removal of %(partner)s."),
        ),
        (
            "dated_back",
            _("Your start date as the partner of record is now %(day)s."),
            _("You moved the start date of %(partner)s earlier, to %(day)s."),
        ),
    )
}
ENDED = to_partner(_("You are no longer the partner of record. %(why)s."))
ENDED_CUSTOMER = to_customer(_("%(partner)s is no longer your partner of record. %(why)s."))


# --- Who does the work ----------------------------------------------------------------------------------------------


def _about_question(sentence: LazyText, page: str) -> Says:
    def says(event: Event) -> Line:
        partner = (event.changes.get("partner") or {}).get("name", "")
        return Line(sentence % {"partner": partner}, reverse(page, args=[event.changes["change_request"]]))

    return says


#: By the name of the message without its first word.
QUESTIONS: dict[str, Says] = {
    name: _about_question(sentence, page)
    for page, sentences in (
        (
            "associations:change_request",
            {
                "question": _("%(partner)s has been proposed. Which partner is doing the work?"),
                "reminder": _("Reminder: you still need to answer which partner is doing the work."),
                "forwarded": _("A colleague asks you to look at a change request."),
                "answered": _("The change request was answered."),
                "answer_undone_customer": _("The answer was undone. The change request needs a new answer."),
                "closed_customer": _("The change request was closed without an answer."),
            },
        ),
        (
            "associations:partner_change_request",
            {
                "contested": _(
                    "Another partner has been proposed. You stay the partner of record until the customer answers."
                ),
                "named": _("You have been proposed. We have asked the customer which partner is doing the work."),
                "joined": _("One more partner has been proposed."),
                "chosen": _("The customer answered that you are doing the work. You are now the partner of record."),
                "kept": _("The customer answered that you are doing the work. You are still the partner of record."),
                "lost": _(
                    "The customer answered that you are not doing the work. You are no longer the partner of record."
                ),
                "not_chosen": _("The customer answered that you are not doing the work."),
                "answer_undone": _("The answer was undone. The change request is open again."),
                "closed": _("The change request was closed without an answer."),
            },
        ),
    )
    for name, sentence in sentences.items()
}

# --- Invitations ----------------------------------------------------------------------------------------------------


def _about_invitation(sentence: LazyText, page: str) -> Says:
    return lambda event: Line(
        sentence % {"partner": event.changes["partner"]["name"]}, reverse(page, args=[event.object_id])
    )


INVITATIONS: dict[str, Says] = {
    name: _about_invitation(sentence, page)
    for name, sentence, page in (
        ("sent", _("%(partner)s asks to be your partner of record."), "associations:invitation"),
        ("revoked", _("%(partner)s has withdrawn its invitation."), "associations:invitation"),
        ("accepted", _("Your invitation was accepted."), "associations:partner_invitation"),
        ("accepted_receipt", _("You accepted the invitation from %(partner)s."), "associations:invitation"),
        ("declined", _("Your invitation was declined."), "associations:partner_invitation"),
        ("expired", _("Your invitation has expired."), "associations:partner_invitation"),
    )
}
ATTACHED_FOR = to_customer(
    _("%(partner)s became your partner of record without any action from you. You can remove this partner.")
)

# --- What a load has changed of a subscription ----------------------------------------------------------------------

#: What it may be, and how its value is said.
CHANGED: dict[str, tuple[LazyText, Callable[[Any], str]]] = {
    "seats": (_("Seats"), number_text),
    "status": (_("Status"), lambda value: str(Subscription.Status(value).label)),
    "agreement": (_("Agreement"), lambda value: str(Agreement(value).label)),
    "renews_on": (_("Renewal"), lambda value: day_text(date.fromisoformat(value))),
}


def changes(event: Event) -> list[tuple[str, str]]:
    """Of each thing that has changed its name, and what it was and is now."""
    told = []
    for name, values in event.changes.get("subscription", {}).items():
        label, say = CHANGED[name]
        was, now = (gettext("unknown") if value is None else say(value) for value in values)
        told.append((str(label), f"{was} → {now}"))
    return told


# --- Renewals and replacements --------------------------------------------------------------------------------------


def _about_renewal(sentence: LazyText, url: Callable[[Event], str]) -> Says:
    def says(event: Event) -> Line:
        renews_on = event.changes.get("renews_on")
        said = {
            "partner": event.changes["partner"]["name"],
            "day": day_text(date.fromisoformat(renews_on)) if renews_on else "",
        }
        return Line(sentence % said, url(event))

    return says


def confirmation_url(event: Event) -> str:
    """The customer's page with the partner filled in: opening it attaches nobody."""
    return f"{customer_url(event)}?mpn_id={event.changes['partner']['mpn_id']}"


def partners_list(event: Event) -> str:
    """The partner cannot open what it is not associated with."""
    return reverse("associations:partner_subscription_list")


def _changed(event: Event) -> Line:
    what = ", ".join(f"{label} {change}" for label, change in changes(event))
    return Line(gettext("This subscription has changed: %(what)s.") % {"what": what}, partner_url(event))


RENEWALS: dict[str, Says] = {
    "subscription_changed": _changed,
    "renewal_due": _about_renewal(_("This subscription renews on %(day)s."), partner_url),
    "renewal_due_customer": _about_renewal(
        _("This subscription renews on %(day)s. %(partner)s is the partner of record."), customer_url
    ),
    "record_carried_over": _about_renewal(
        _("This subscription replaces another one. You are still the partner of record."), partner_url
    ),
    "record_carried_over_customer": _about_renewal(
        _("This subscription replaces another one. %(partner)s is still the partner of record."), customer_url
    ),
    "subscription_replaced": _about_renewal(
        _(
            "This subscription replaces one where you were the partner of record. We have asked the customer "
            "to confirm you."
        ),
        partners_list,
    ),
    "subscription_replaced_customer": _about_renewal(
        _("This subscription replaces another one. Is %(partner)s still your partner?"), confirmation_url
    ),
}
