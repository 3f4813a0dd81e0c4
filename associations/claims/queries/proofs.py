"""Who sees what of the files of a claim. Names need the right to list proofs, contents the right to read them.

Customers and rivals have neither: they learn that there is a file, and the date of the newest one.
"""

from __future__ import annotations

from datetime import datetime

from django.core import signing
from django.db.models import OuterRef, Prefetch, Subquery
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from associations.claims.actions.proofs import unit_key
from associations.claims.actions.shared import visible
from associations.claims.models import Claim, ClaimUnit, Proof
from associations.claims.rules import READABLE, Scan
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.db import outages
from por.documents.proof_forms import ProofForm
from por.errors import NotFound, Refused
from por.files import proofs as files

#: Signs the links of files that no bucket serves.
SIGNER = signing.TimestampSigner(salt="proof of execution")

#: Why a file cannot be opened, by what the scan says of it.
CLOSED = {
    Scan.PENDING: ("scan_pending", _("This file is being scanned. Wait a moment, then try again.")),
    Scan.FAILED: ("scan_pending", _("This file could not be scanned yet. We try again every few minutes.")),
    Scan.INFECTED: ("proof_infected", _("Our scan found malware in this file. Nobody can open it.")),
}


def proofs_of(claim: Claim) -> list[Proof]:
    """Return the files of a claim with their units, the newest first."""
    units = ClaimUnit.objects.select_related("subscription__sku").order_by("pk")
    return list(claim.proofs.prefetch_related(Prefetch("units", units)).order_by("-number"))


def newest_proof_at(before: datetime | None = None) -> Subquery:
    """Return a subquery for when the newest file of a claim was uploaded that can be opened, of all or of those before.

    Customers and rivals learn no more of files.
    """
    found = Proof.objects.filter(claim=OuterRef("pk"), scan__in=READABLE)
    if before is not None:
        found = found.filter(uploaded_at__lt=before)
    return Subquery(found.order_by("-uploaded_at").values("uploaded_at")[:1])


def proof_of(claim: Claim, number: int) -> Proof:
    """Return a file of a claim. Raises NotFound."""
    proof = claim.proofs.filter(number=number).first()
    if proof is None:
        raise NotFound("not_found", _("This claim has no such file."))
    return proof


def opened(claim_id: int, number: int, *, by: Actor) -> Proof:
    """Return a file that the actor may open.

    Raises NotFound, Forbidden, or Refused: `scan_pending` or `proof_infected`.
    """
    proof = proof_of(visible(claim_id, by=by, to=Right.READ_PROOFS), number)
    if proof.scan not in READABLE:
        raise Refused(*CLOSED[Scan(proof.scan)])
    return proof


def link_to(claim_id: int, number: int, *, by: Actor) -> str:
    """Return a link that saves the file, valid for a minute. Raises what `opened` raises, or Unavailable."""
    proof = opened(claim_id, number, by=by)
    with outages.of_storage():
        link = files.link(proof.stored_as, filename=proof.filename, content_type=proof.content_type)
    return link or reverse("claims:file", args=[SIGNER.sign(str(proof.pk))])


def linked(signed: str) -> Proof:
    """Return the file of a link that this product has signed within a minute. Raises NotFound."""
    try:
        pk = int(SIGNER.unsign(signed, max_age=files.LINK_SECONDS))
    except (signing.BadSignature, ValueError):
        pk = 0
    proof = Proof.objects.filter(pk=pk, scan__in=READABLE).first()
    if proof is None:
        raise NotFound("not_found", _("This link is valid for one minute. Go back to the claim for a new one."))
    return proof


def page_of(proof: Proof, page: int) -> bytes:
    """Return the picture of a page. Raises NotFound, or Unavailable."""
    gone = NotFound("not_found", _("This file has no such page."))
    if not 1 <= page <= proof.pages:
        raise gone
    try:
        with outages.of_storage():
            return b"".join(files.pieces(files.page_name(proof.stored_as, page)))
    except FileNotFoundError:
        raise gone from None


def form_of(claim: Claim) -> ProofForm:
    """Return what the form for a proof says of a claim, in the active language."""
    units = claim.units.select_related("subscription__sku").order_by("pk")
    return ProofForm(
        claim=str(claim) or str(_("Draft")),
        program=claim.get_program_display(),
        role=claim.get_role_display(),
        partner=claim.partner.organisation.name,
        mpn_id=claim.partner.mpn_id,
        customer=claim.customer.organisation.name,
        domain=claim.domain,
        tenant_id=str(claim.customer.tenant_id),
        units=[one.label if one.workload else f"{one.label}, {unit_key(one)}" for one in units],
        project=claim.solution,
    )
