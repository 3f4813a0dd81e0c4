"""What comes of a conflict: it is decided, closed, or its decision lapses."""

from __future__ import annotations

from functools import partial
from typing import TypedDict

from django.utils.translation import gettext_lazy as _

from associations.claims.events.conflicts import (
    ConflictContext,
    ConflictEvent,
    conflict_context,
    conflict_of,
    to_customer,
    to_partner,
)
from associations.claims.events.shared import (
    CONFLICT,
    CONFLICTS,
    AboutConflict,
    ConflictPayload,
)
from associations.record.events import Named, notify_both, notify_customer, partner_name
from por.directory.models import Partner
from por.history.events import Choice, register
from por.history.models import Event
from por.notifications.actions.notifying import notify_organisation


class Decided(AboutConflict):
    """The partner that the reviewer decided for, None for none, and the one whose claim was approved before.

    `waits` says that the decision is carried out later: the winner has another open conflict.
    """

    partner: Named | None
    holder: Named | None
    waits: bool


def _decision_context(event: Event) -> ConflictContext:
    """Return the values with the reviewer's note, which all sides and the customer read."""
    return {**conflict_context(event), "reason": conflict_of(event).note.splitlines()}


class Chosen(TypedDict):
    """The name of a partner; "" for none."""

    partner: str


class WithChoice(TypedDict):
    partner: Named | None


def _chosen(payload: WithChoice) -> Chosen:
    return {"partner": payload["partner"]["name"] if payload["partner"] else ""}


class Waiting(TypedDict):
    waits: bool


class WithWaits(TypedDict):
    waits: bool


def _waiting(payload: WithWaits) -> Waiting:
    return {"waits": payload["waits"]}


# --- Decided --------------------------------------------------------------------------------------------------------

WON = to_partner(
    "conflict_won",
    title=_("Conflict decided for your claim"),
    subject=_("The conflict about %(unit)s was decided for you (%(customer)s)"),
    paragraphs=(
        _("The reviewer has decided for your claim on %(unit)s of %(customer)s."),
        Choice(
            "waits",
            {True: _("Your claim has another open conflict. The decision is carried out when no other one is open.")},
            _("You are associated with it. The claim says from when."),
        ),
    ),
    context=_decision_context,
    inbox=Choice(
        "waits",
        {True: _("The conflict was decided for you. It is carried out when your claim has no other open conflict.")},
        _("The conflict was decided for you."),
    ),
    values=_waiting,
)
LOST = to_partner(
    "conflict_lost",
    title=_("Conflict decided for another claim"),
    subject=_("The conflict about %(unit)s was not decided for you (%(customer)s)"),
    paragraphs=(
        Choice(
            "partner",
            {"": _("The reviewer has decided that no proof for %(unit)s of %(customer)s is enough.")},
            _("The reviewer has decided for the claim of %(partner)s on %(unit)s of %(customer)s."),
        ),
        _("Your claim no longer includes %(unit)s. The claim says what has become of the rest, and what you can do."),
    ),
    context=_decision_context,
    inbox=_("The conflict was not decided for you. Your claim no longer includes it."),
)
OUSTED = to_partner(
    "conflict_ousted",
    title=_("Conflict decided against your approved claim"),
    subject=_("The conflict about %(unit)s was decided for another partner (%(customer)s)"),
    paragraphs=(
        _("The reviewer has decided for the claim of %(partner)s on %(unit)s of %(customer)s."),
        Choice(
            "waits",
            {
                True: _(
                    "You stay associated with it until that claim has no other open conflict. If it is withdrawn "
                    "before, you keep the association."
                )
            },
            _("Your association with it has ended."),
        ),
    ),
    context=_decision_context,
    inbox=Choice(
        "waits",
        {True: _("The conflict was decided for another partner. You keep the association until that is carried out.")},
        _("The conflict was decided for another partner. Your association has ended."),
    ),
    values=_waiting,
)
KEPT = to_partner(
    "conflict_kept",
    title=_("Conflict decided: you keep your association"),
    subject=_("You keep your association with %(unit)s (%(customer)s)"),
    paragraphs=(
        Choice(
            "partner",
            {"": _("The reviewer has decided that no other proof for %(unit)s of %(customer)s is enough.")},
            _("The reviewer has decided for your claim on %(unit)s of %(customer)s."),
        ),
        _("Nothing changes for you."),
    ),
    context=_decision_context,
    inbox=_("The conflict was decided. You keep your association."),
)
DECISION = to_customer(
    "conflict_decided",
    title=_("Conflict decided"),
    subject=_("The conflict about %(unit)s was decided"),
    paragraphs=(
        Choice(
            "partner",
            {"": _("The reviewer has decided that the proof of no new claim on %(unit)s is enough.")},
            _("The reviewer has decided for the claim of %(partner)s on %(unit)s."),
        ),
        Choice(
            "waits",
            {True: _("The decision is carried out when that claim has no other open conflict.")},
            _("The page of the conflict shows the decision and its reason."),
        ),
    ),
    context=_decision_context,
    inbox=Choice(
        "partner",
        {"": _("The conflict was decided: the proof of no new claim is enough.")},
        _("The conflict was decided for %(partner)s."),
    ),
    values=_chosen,
)


def _decided(event: Event) -> None:
    """Notify each side of what the decision means for it, and the customer."""
    winner, holder = (event.changes[name] and event.changes[name]["mpn_id"] for name in ("partner", "holder"))
    for pk, mpn_id in Partner.objects.filter(pk__in=event.parties).values_list("pk", "mpn_id").order_by("pk"):
        if mpn_id == holder:
            message = KEPT if winner in {None, holder} else OUSTED
        else:
            message = WON if mpn_id == winner else LOST
        notify_organisation(event, message, organisation_id=pk)
    notify_customer(event, DECISION)


register(
    ConflictEvent.DECIDED,
    payload=Decided,
    about=("conflict",),
    here=Choice(
        "partner",
        {None: _("A reviewer decided that no new proof is enough")},
        _("A reviewer decided for {partner}"),
    ),
    elsewhere=Choice(
        "partner",
        {None: _("A reviewer decided that no new proof for {object} is enough")},
        _("A reviewer decided the conflict about {object} for {partner}"),
    ),
    icon="check",
    tone="ok",
    groups=(CONFLICTS,),
    link=CONFLICT,
    mails=(WON, LOST, OUSTED, KEPT, DECISION),
    notify=_decided,
    names_parties=True,
)

# --- Closed ---------------------------------------------------------------------------------------------------------

CLOSED = to_partner(
    "conflict_closed",
    title=_("Conflict closed"),
    subject=_("The conflict about %(unit)s is closed (%(customer)s)"),
    paragraphs=(
        _("The claim of %(partner)s no longer includes %(unit)s of %(customer)s. One claim is left."),
        _("Nobody is approved by that: the claim that is left goes on as before."),
    ),
    inbox=_("The conflict is closed, because the claim of %(partner)s no longer includes it."),
    values=partner_name,
)
CLOSED_CUSTOMER = to_customer(
    "conflict_closed_customer",
    title=_("Conflict closed"),
    subject=_("The conflict about %(unit)s is closed"),
    paragraphs=(
        _("The claim of %(partner)s no longer includes %(unit)s. One claim is left."),
        _("Nobody is approved by that: the claim that is left goes on as before."),
    ),
    inbox=_("The conflict is closed, because the claim of %(partner)s no longer includes it."),
    values=partner_name,
)
LAPSED = to_partner(
    "conflict_lapsed",
    title=_("Decision about a conflict not carried out"),
    subject=_("The decision about %(unit)s is not carried out (%(customer)s)"),
    paragraphs=(
        _("The conflict about %(unit)s of %(customer)s was decided for %(partner)s. That claim no longer includes it."),
        _("So the decision is not carried out. An association with it that has not ended goes on."),
    ),
    inbox=_("The decision for %(partner)s is not carried out, because that claim no longer includes it."),
    values=partner_name,
)
LAPSED_CUSTOMER = to_customer(
    "conflict_lapsed_customer",
    title=_("Decision about a conflict not carried out"),
    subject=_("The decision about %(unit)s is not carried out"),
    paragraphs=(
        _("The conflict about %(unit)s was decided for %(partner)s. That claim no longer includes it."),
        _("So the decision is not carried out. An association with it that has not ended goes on."),
    ),
    inbox=_("The decision for %(partner)s is not carried out, because that claim no longer includes it."),
    values=partner_name,
)

register(
    ConflictEvent.CLOSED,
    payload=ConflictPayload,
    about=("conflict",),
    here=_("{partner} no longer claims it, so the conflict is closed"),
    elsewhere=_("{partner} no longer claims {object}, so the conflict is closed"),
    icon="check",
    tone="",
    groups=(CONFLICTS,),
    link=CONFLICT,
    mails=(CLOSED, CLOSED_CUSTOMER),
    notify=partial(notify_both, partner=CLOSED, customer=CLOSED_CUSTOMER),
    names_parties=True,
)
register(
    ConflictEvent.LAPSED,
    payload=ConflictPayload,
    about=("conflict",),
    here=_("The decision for {partner} was not carried out, because that claim no longer includes it"),
    elsewhere=_("The decision about {object} for {partner} was not carried out"),
    icon="x",
    tone="",
    groups=(CONFLICTS,),
    link=CONFLICT,
    mails=(LAPSED, LAPSED_CUSTOMER),
    notify=partial(notify_both, partner=LAPSED, customer=LAPSED_CUSTOMER),
    names_parties=True,
)
