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
from por.notifications.messages import Mail, MailContext, mail

#: Only staff read who opened a file.
OPENINGS = event_group("openings", _("Files opened"), internal=True)


class ProofEvent(EventType):
    UPLOADED = "proof.uploaded"
    INFECTED = "proof.infected"
    SCAN_FAILED = "proof.scan_failed"
    OPENED = "proof.opened"


class Uploaded(ClaimPayload):
    """The numbers of the files within the claim."""

    proofs: list[int]


class Opened(TypedDict):
    """The claim, and the number of the file within it."""

    claim: int
    proof: int


class Scanned(ClaimPayload):
    """The number of the file within the claim."""

    proof: int


class ScannedContext(MailContext):
    claim: str
    number: int


class Number(TypedDict):
    proof: int


def _proof(event: Event) -> Proof:
    found = Proof.objects.select_related("claim__customer__organisation")
    return found.get(claim=int(event.object_id), number=event.changes["proof"])


def _context(event: Event) -> ScannedContext:
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


def _number(payload: Scanned) -> Number:
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


SCAN_FAILED = mail(
    "proof_scan_failed",
    None,
    to=(OrganisationKind.PARTNER,),
    title=_("Your file could not be scanned"),
    subject=_("A file for the claim %(claim)s could not be scanned yet"),
    paragraphs=(
        _("We could not scan a file that you uploaded for the claim %(claim)s. Nobody can open it until we have."),
        _("We try again every few minutes, and you need not do anything. The page of proofs shows the outcome."),
        _("If it still has not been scanned after a day, save the document again and upload the new file."),
    ),
    context=_context,
    action=_("View proofs"),
    url=_page,
    inbox=_("File %(proof)s of a claim could not be scanned yet. We try again every few minutes."),
    values=_number,
    may=Right.WRITE_PROOFS,
)


def _to_uploader(event: Event, message: Mail) -> None:
    """Tell who uploaded the file; everyone at the location who may upload, if that person has left."""
    proof = _proof(event)
    ours = [proof.claim.partner_id, proof.claim.company_id]
    members = Membership.objects.usable().filter(user=proof.uploaded_by_id, organisation__in=ours)
    if (uploader := members.order_by("pk").first()) is not None:
        notify_member(event, message, user_id=uploader.user_id, organisation_id=uploader.organisation_id)
    else:
        notify_organisation(event, message, organisation_id=proof.claim.partner_id)


def _infected(event: Event) -> None:
    _to_uploader(event, INFECTED)


def _scan_failed(event: Event) -> None:
    _to_uploader(event, SCAN_FAILED)


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
    payload=Scanned,
    about=("claim",),
    here=_("The scan found malware in a file of {partner}"),
    elsewhere=_("The scan found malware in a file for the claim {object}"),
    icon="alert",
    tone="bad",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(INFECTED,),
    notify=_infected,
)
register(
    ProofEvent.SCAN_FAILED,
    payload=Scanned,
    about=("claim",),
    here=_("A file of {partner} could not be scanned yet"),
    elsewhere=_("A file for the claim {object} could not be scanned yet"),
    icon="clock",
    tone="",
    groups=(CLAIMS,),
    link=CLAIM,
    mails=(SCAN_FAILED,),
    notify=_scan_failed,
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
