"""The events of the files of a claim. They stand in the chain of its partner, and name no file: some read no names."""

from __future__ import annotations

from typing import TypedDict

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from associations.claims.events.shared import CLAIM, CLAIMS, ClaimPayload
from associations.claims.models import Proof
from por.accounts.models import Membership
from por.accounts.rules import OrganisationKind, Right
from por.history.events import EventType, event_group, register
from por.history.models import Event
from por.notifications.actions.notifying import notify_member, notify_organisation
from por.notifications.messages import MailContext, mail

#: Only staff read who opened a file.
OPENINGS = event_group("openings", _("Files opened"), internal=True)


class ProofEvent(EventType):
    UPLOADED = "proof.uploaded"
    INFECTED = "proof.infected"
    OPENED = "proof.opened"


class Uploaded(ClaimPayload):
    """The numbers of the files within the claim."""

    proofs: list[int]


class Opened(TypedDict):
    """The claim, and the number of the file within it."""

    claim: int
    proof: int


class Infected(ClaimPayload):
    """The number of the file within the claim."""

    proof: int


class InfectedContext(MailContext):
    claim: str
    number: int


class Number(TypedDict):
    proof: int


def _proof(event: Event) -> Proof:
    found = Proof.objects.select_related("claim__customer__organisation")
    return found.get(claim=int(event.object_id), number=event.changes["proof"])


def _context(event: Event) -> InfectedContext:
    proof = _proof(event)
    return {
        "claim": event.object_name,
        "number": proof.number,
        "rows": [
            (gettext("Claim"), event.object_name),
            (gettext("Customer"), proof.claim.customer.organisation.name),
            (gettext("File"), proof.filename),
        ],
    }


def _number(payload: Infected) -> Number:
    return {"proof": payload["proof"]}


def _page(event: Event) -> str:
    return reverse("claims:proofs", args=[event.object_id])


INFECTED = mail(
    "proof_infected",
    None,
    to=(OrganisationKind.PARTNER,),
    title=_("Malware found in a file of yours"),
    subject=_("Malware found in a file for the claim %(claim)s"),
    paragraphs=(
        _("Our scan found malware in a file that you uploaded for the claim %(claim)s. Nobody can open the file."),
        _("Check your computer. Then save the document again from a clean source, and upload that."),
    ),
    context=_context,
    action=_("View proofs"),
    url=_page,
    inbox=_("Our scan found malware in file %(proof)s of a claim. Nobody can open it. Upload it from a clean source."),
    values=_number,
    may=Right.WRITE_PROOFS,
)


def _notify(event: Event) -> None:
    """Tell who uploaded the file; everyone at the location who may upload, if that person has left."""
    proof = _proof(event)
    ours = [proof.claim.partner_id, proof.claim.company_id]
    members = Membership.objects.usable().filter(user=proof.uploaded_by_id, organisation__in=ours)
    if (uploader := members.order_by("pk").first()) is not None:
        notify_member(event, INFECTED, user_id=uploader.user_id, organisation_id=uploader.organisation_id)
    else:
        notify_organisation(event, INFECTED, organisation_id=proof.claim.partner_id)


register(
    ProofEvent.UPLOADED,
    payload=Uploaded,
    about=("claim",),
    here=_("{partner} uploaded proof"),
    elsewhere=_("{partner} uploaded proof for the claim {object}"),
    icon="upload",
    tone="info",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(),
)
register(
    ProofEvent.INFECTED,
    payload=Infected,
    about=("claim",),
    here=_("The scan found malware in a file of {partner}"),
    elsewhere=_("The scan found malware in a file for the claim {object}"),
    icon="alert",
    tone="bad",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(INFECTED,),
    notify=_notify,
)
register(
    ProofEvent.OPENED,
    payload=Opened,
    about=("claim",),
    here=_("File {proof} of the claim was opened"),
    elsewhere=_("File {proof} of the claim {object} was opened"),
    icon="eye",
    tone="",
    groups=(OPENINGS,),
    link=CLAIM,
    mails=(),
)
