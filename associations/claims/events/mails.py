"""The values in the mails of claims, and to whom these go."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from associations.claims.events.shared import ClaimPayload, Unit
from associations.claims.models import Claim, ClaimStep
from associations.claims.policies import policy_of
from associations.claims.rules import Program, Reason
from associations.record.events import PartnerName, partner_name
from associations.record.rules import EndReason
from por.accounts import zones
from por.accounts.rules import OrganisationKind
from por.directory.rules import Workload
from por.history.models import Event
from por.notifications.actions.notifying import notify_organisation
from por.notifications.messages import Mail, MailContext, mail
from por.notifications.queries import unreached
from por.web.formatting import Deadline, day_text, deadline_text, moment_text


class ClaimContext(MailContext):
    """The values in the mails of claims. Texts are "" where the event has nothing of the kind.

    `due` is until when the reader can act, `renews_on` when a claimed subscription renews; `unreached` are the
    organisations where no one could be told.
    """

    customer: str
    partner: str
    claim: str
    units: str
    due: str
    renews_on: str
    why: str
    ended_by: str
    struck: bool
    can_decline_later: bool
    unreached: str


class ClaimValues(PartnerName):
    units: str


class EndedValues(ClaimValues):
    why: str


def units_text(units: list[Unit]) -> str:
    """Return the names of workloads and subscriptions, for a sentence."""
    return ", ".join(one.get("name") or str(Workload(one["workload"]).label) for one in units)


def claim_values(payload: ClaimPayload) -> ClaimValues:
    """Return what a line of the inbox says of a claim."""
    return {**partner_name(payload), "units": units_text(payload["units"])}


def why_text(payload: Any) -> str:
    """Return why the claim or a unit of it ended; "" for an event that does not say."""
    reason = payload.get("end_reason")
    return str(EndReason(reason).label) if reason else ""


def partner_context(event: Event) -> ClaimContext:
    """Return the values for the claimant: with the name of the claim, the reasons, and what was written."""
    claim, step = _claim_of(event), _step_of(event)
    context = _context(event, claim)
    context["claim"] = f"{claim.number} ({claim.name})" if claim.number and claim.name else str(claim)
    if step is not None:
        if step.reasons:
            label = gettext("Reasons")
            context["rows"].append((label, "; ".join(str(Reason(one).label) for one in step.reasons)))
        context["reason"] = step.note.splitlines()
    return context


def customer_context(event: Event) -> ClaimContext:
    """Return the values for the customer, which reads neither the reasons nor what partner and reviewer write."""
    return _context(event, _claim_of(event))


def receipt_context(event: Event) -> ClaimContext:
    """Return the values for the person at the customer who has declined, with what they wrote."""
    step = _step_of(event)
    return {**customer_context(event), "reason": step.note.splitlines() if step else []}


def _claim_of(event: Event) -> Claim:
    names = Claim.objects.select_related("customer__organisation", "partner__organisation")
    return names.get(pk=event.changes["claim"])


def _step_of(event: Event) -> ClaimStep | None:
    return ClaimStep.objects.filter(claim=event.changes["claim"], at=event.at).order_by("-pk").first()


def _context(event: Event, claim: Claim) -> ClaimContext:
    changes = event.changes
    customer, units = claim.customer.organisation.name, units_text(changes["units"])
    rows = [
        (gettext("Customer"), customer),
        (gettext("Partner"), gettext("%(name)s, MPN ID %(mpn_id)s") % changes["partner"]),
        (gettext("Claim"), changes["number"]),
        (gettext("Programme"), str(Program(changes["program"]).label)),
        (gettext("For"), units),
    ]
    if event.actor_name and event.actor_organisation_id in {claim.customer_id, claim.partner_id, claim.company_id}:
        rows.append((gettext("Done by"), event.actor_name))
    due_at, renews_on = changes.get("due_at") or changes.get("consent_due_at"), changes.get("renews_on")
    approved = claim.approved_at
    return {
        "customer": customer,
        "partner": changes["partner"]["name"],
        "claim": changes["number"],
        "units": units,
        "due": until_text(claim, datetime.fromisoformat(due_at)) if due_at else "",
        "renews_on": day_text(date.fromisoformat(renews_on)) if renews_on else "",
        "why": why_text(changes),
        "ended_by": _ended_by(event, claim),
        "struck": changes.get("struck", False),
        "can_decline_later": approved is not None and policy_of(approved).decline_after_consent,
        "unreached": unreached(event),
        "rows": rows,
        "reason": [],
    }


def _ended_by(event: Event, claim: Claim) -> str:
    """Return which side ended a claim; "" where that follows from something else, which the reason says."""
    if event.changes.get("end_reason") != EndReason.DISASSOCIATED:
        return ""
    return "partner" if event.actor_organisation_id in {claim.partner_id, claim.company_id} else "support"


def until_text(claim: Claim, instant: datetime) -> str:
    """Return until when something is possible: the end of a day of the customer, or an instant."""
    zone = claim.customer.organisation.time_zone
    day = zones.day_in(zone, instant - timedelta(microseconds=1))
    if zones.end_of_day(day, zone) == instant:
        return gettext("the end of %(day)s") % {"day": deadline_text(Deadline(day, instant))}
    return moment_text(instant, zone=True)


def partner_page(event: Event) -> str:
    """Return the claimant's page of the claim."""
    return reverse("claims:claim", args=[event.changes["claim"]])


def customer_page(event: Event) -> str:
    """Return the customer's page of the claim."""
    return reverse("claims:customer_claim", args=[event.changes["claim"]])


def is_of_files(event: Event) -> bool:
    """Return whether the system did it, because of an import: its mail waits for the end of that."""
    return event.actor_organisation_id is None


#: A mail to the claimant, and one to the customer.
to_partner = partial(
    mail,
    to=(OrganisationKind.PARTNER,),
    context=partner_context,
    action=_("Open the claim"),
    url=partner_page,
    values=claim_values,
)
to_customer = partial(
    mail,
    to=(OrganisationKind.CUSTOMER,),
    context=customer_context,
    action=_("Open the claim"),
    url=customer_page,
    values=claim_values,
)


def notify_claimant(event: Event, message: Mail, *, held: bool = False) -> None:
    """Notify the members of the location that claims, whichever chain the event is in."""
    claim = Claim.objects.only("partner").get(pk=event.changes["claim"])
    notify_organisation(event, message, organisation_id=claim.partner_id, held=held)
