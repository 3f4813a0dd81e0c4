"""The events of a conflict: all partners that claim the unit read them, and know each other by name."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from associations.claims.events.shared import CONFLICT, CONFLICTS, AboutConflict, ConflictPayload
from associations.claims.models import Comment, Conflict
from associations.record.events import Named, notify_customer, notify_partners, partner_name
from por.accounts.rules import OrganisationKind, Right
from por.directory.models import Partner
from por.history.events import Choice, EventType, register
from por.history.models import Event
from por.notifications.actions.notifying import notify_organisation
from por.notifications.messages import MailContext, mail
from por.notifications.models import Topic
from por.notifications.queries import unreached
from por.web.formatting import deadline_text, moment_text


class ConflictEvent(EventType):
    OPENED = "conflict.opened"
    JOINED = "conflict.joined"
    PROOF_ASKED = "conflict.proof_asked"
    CUSTOMER_ASKED = "conflict.customer_asked"
    ANSWERED = "conflict.answered"
    DECIDED = "conflict.decided"
    CLOSED = "conflict.closed"
    LAPSED = "conflict.lapsed"


# --- Payloads -------------------------------------------------------------------------------------------------------


class ProofAsked(ConflictPayload):
    """When the answer is due; None where the partner need not answer."""

    due_at: str | None


class Answered(AboutConflict):
    """The partner that the customer says is doing the work; None for neither."""

    partner: Named | None


# --- What all of them share -----------------------------------------------------------------------------------------


class ConflictContext(MailContext):
    """The values in the mails of a conflict. All sides and the customer may know them."""

    customer: str
    unit: str
    partner: str  # "" where the event names none
    due: str  # "" where there is no term
    answer_due: str  # until when a partner should send more proof; "" where it need not
    waits: bool
    unreached: str  # the organisations where no one could be told; "" if there are none


def conflict_of(event: Event) -> Conflict:
    """Return the conflict of an event."""
    return Conflict.objects.for_listing().get(pk=event.changes["conflict"])


def conflict_context(event: Event) -> ConflictContext:
    """Return the values for all sides and the customer."""
    conflict = conflict_of(event)
    claimants = ", ".join(_with_id(one.claim.partner) for one in conflict.sides.all())
    rows = [
        (gettext("Customer"), conflict.customer.organisation.name),
        (gettext("Claimed"), conflict.label),
        (gettext("Programme"), conflict.get_program_display()),
        (gettext("Claimed by"), claimants),
    ]
    answer_due = event.changes.get("due_at")
    return {
        "customer": conflict.customer.organisation.name,
        "unit": conflict.label,
        "partner": (event.changes.get("partner") or {}).get("name", ""),
        "due": deadline_text(conflict.deadline) if conflict.deadline else "",
        "answer_due": moment_text(datetime.fromisoformat(answer_due), zone=True) if answer_due else "",
        "waits": bool(event.changes.get("waits")),
        "unreached": unreached(event),
        "rows": rows,
    }


def _proof_context(event: Event) -> ConflictContext:
    """Return the values with what the reviewer has written to this partner."""
    asked = Comment.objects.filter(claim__sides__conflict=event.changes["conflict"], at=event.at, internal=False)
    written = asked.filter(claim__partner__in=event.parties).first()
    return {**conflict_context(event), "reason": written.text.splitlines() if written else []}


def _with_id(partner: Partner) -> str:
    return gettext("%(name)s, MPN ID %(mpn_id)s") % {"name": partner.organisation.name, "mpn_id": partner.mpn_id}


def _partner_page(event: Event) -> str:
    return reverse("claims:conflict", args=[event.changes["conflict"]])


def _customer_page(event: Event) -> str:
    return reverse("claims:customer_conflict", args=[event.changes["conflict"]])


to_partner = partial(
    mail,
    topic=Topic.CONFLICT,
    to=(OrganisationKind.PARTNER,),
    context=conflict_context,
    action=_("Open the conflict"),
    url=_partner_page,
)
to_customer = partial(
    mail,
    topic=Topic.CONFLICT,
    to=(OrganisationKind.CUSTOMER,),
    context=conflict_context,
    action=_("Open the conflict"),
    url=_customer_page,
)

# --- Opened, and joined ---------------------------------------------------------------------------------------------

DECIDED_BY = Choice(
    "due",
    {"": _("A reviewer decides by the proof. Nobody is approved for it before.")},
    _("A reviewer decides by the proof, by the end of %(due)s. Nobody is approved for it before."),
)
RIVAL = to_partner(
    "conflict_rival",
    title=_("Another partner claims what you have claimed"),
    subject=_("%(partner)s has also claimed %(unit)s (%(customer)s)"),
    paragraphs=(
        _("%(partner)s has submitted a claim for %(unit)s of %(customer)s, which you have claimed too."),
        DECIDED_BY,
        _("Check that the proof of your claim is complete and recent. You can add proof until the decision."),
    ),
    inbox=_("%(partner)s has claimed it too. A reviewer decides."),
    values=partner_name,
)
CLAIMANT = to_partner(
    "conflict_claimant",
    title=_("You have claimed what another partner has claimed"),
    subject=_("Another partner has claimed %(unit)s before you (%(customer)s)"),
    paragraphs=(
        _("You have submitted a claim for %(unit)s of %(customer)s. Another partner has claimed it before you."),
        DECIDED_BY,
        _("Check that the proof of your claim is complete and recent. You can add proof until the decision."),
    ),
    inbox=_("Another partner had claimed it before you. A reviewer decides."),
)
QUESTION = to_customer(
    "conflict_question",
    title=_("Several partners claim the same"),
    subject=_("More than one partner says that it works on %(unit)s for you"),
    paragraphs=(
        _("%(partner)s has submitted a claim for %(unit)s, which another partner has claimed too."),
        DECIDED_BY,
        _("You can tell the reviewer which of them is doing the work, or that none of them is."),
    ),
    may=Right.ANSWER_CONFLICT,
    inbox=_("%(partner)s has claimed what another partner has claimed too. Which of them is doing the work?"),
    values=partner_name,
)


def _opened(event: Event) -> None:
    """Notify the claimant, all others that claim the unit, and the customer's administrators."""
    claimants = Partner.objects.filter(pk__in=event.parties).values_list("pk", "mpn_id").order_by("pk")
    for pk, mpn_id in claimants:
        message = CLAIMANT if mpn_id == event.changes["partner"]["mpn_id"] else RIVAL
        notify_organisation(event, message, organisation_id=pk)
    notify_customer(event, QUESTION)


register(
    ConflictEvent.OPENED,
    payload=ConflictPayload,
    about=("conflict",),
    here=_("{partner} claimed what another partner has claimed"),
    elsewhere=_("{partner} claimed {object}, which another partner has claimed"),
    icon="people",
    tone="bad",
    groups=(CONFLICTS,),
    link=CONFLICT,
    mails=(RIVAL, CLAIMANT, QUESTION),
    notify=_opened,
    names_parties=True,
)
register(
    ConflictEvent.JOINED,
    payload=ConflictPayload,
    about=("conflict",),
    here=_("{partner} claimed it too"),
    elsewhere=_("{partner} claimed {object} too"),
    icon="people",
    tone="bad",
    groups=(CONFLICTS,),
    link=CONFLICT,
    mails=(RIVAL, CLAIMANT, QUESTION),
    notify=_opened,
    names_parties=True,
)

# --- Asked, and answered --------------------------------------------------------------------------------------------

MORE_PROOF = to_partner(
    "conflict_proof_asked",
    title=_("The reviewer of a conflict asks for more proof"),
    subject=_("The reviewer asks you for more proof for %(unit)s (%(customer)s)"),
    paragraphs=(
        _("You and another partner claim %(unit)s of %(customer)s. The reviewer asks you for more proof."),
        Choice(
            "answer_due",
            {"": _("You need not send any. Your claim stays as it is until the decision.")},
            _("Add it and submit your claim again by %(answer_due)s. After that, your claim is rejected."),
        ),
    ),
    context=_proof_context,
    may=Right.WRITE_PROOFS,
    inbox=_("The reviewer asks you for more proof."),
)
ASKED = to_customer(
    "conflict_customer_asked",
    title=_("The reviewer of a conflict asks for your answer"),
    subject=_("Which partner is doing the work for %(unit)s?"),
    paragraphs=(
        _("More than one partner claims %(unit)s. The reviewer asks you which of them is doing the work."),
        _("You can name one of them, or say that none of them is. You can change your answer until the decision."),
    ),
    may=Right.ANSWER_CONFLICT,
    inbox=_("The reviewer asks you which partner is doing the work."),
)

register(
    ConflictEvent.PROOF_ASKED,
    payload=ProofAsked,
    about=("conflict",),
    here=_("The reviewer asked {partner} for more proof"),
    elsewhere=_("The reviewer asked {partner} for more proof for {object}"),
    icon="info",
    tone="info",
    groups=(CONFLICTS,),
    link=CONFLICT,
    mails=(MORE_PROOF,),
    notify=partial(notify_partners, message=MORE_PROOF),
)
register(
    ConflictEvent.CUSTOMER_ASKED,
    payload=AboutConflict,
    about=("conflict",),
    here=_("The customer was asked which partner is doing the work"),
    elsewhere=_("The customer was asked which partner is doing the work for {object}"),
    icon="help",
    tone="info",
    groups=(CONFLICTS,),
    link=CONFLICT,
    mails=(ASKED,),
    notify=partial(notify_customer, message=ASKED),
)
register(
    ConflictEvent.ANSWERED,
    payload=Answered,
    about=("conflict",),
    here=Choice(
        "partner",
        {None: _("The customer answered that none of them is doing the work")},
        _("The customer answered that {partner} is doing the work"),
    ),
    elsewhere=Choice(
        "partner",
        {None: _("The customer answered that none of the partners is doing the work for {object}")},
        _("The customer answered that {partner} is doing the work for {object}"),
    ),
    icon="people",
    tone="info",
    groups=(CONFLICTS,),
    link=CONFLICT,
    mails=(),
    names_parties=True,
)
