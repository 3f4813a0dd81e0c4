"""The claims of the demo: one in each state, all made by the verbs that people use."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

from django.core.files.base import ContentFile
from django.utils import timezone

from associations.claims.actions import again, drafting, ending, examining, proofs, reviewing, submitting
from associations.claims.actions.deciding import decide
from associations.claims.models import Claim, Conflict
from associations.claims.rules import CHECKLIST, Origin, Program, Reason, Role
from por.accounts.models import Actor
from por.directory.models import Customer
from por.documents.proof_forms import ProofForm, as_pdf

#: How long ago the customers of the demo signed what its proofs show.
SIGNED = timedelta(days=40)


class Claiming:
    """Makes claims for two partners, with a reviewer. Customers are known by their names."""

    def __init__(self, partner: Actor, rival: Actor, reviewer: Actor) -> None:
        self.partner = partner
        self.rival = rival
        self.reviewer = reviewer

    def make_all(self, customer: Actor) -> None:
        """Make a claim in each state. The customer is the administrator of Västerhamn Energi AB."""
        partner, rival, reviewer = self.partner, self.rival, self.reviewer
        energy, building, care, port = "Västerhamn Energi AB", "Brosund Bygg AB", "Hagelby Sjukvård", "Torsnäs Hamn AB"
        self.draft(partner, building, "Office at Brosund", "proplus", checked=[])
        self.submitted(partner, building, "Mail at Brosund", "exo", as_pdf_too=True)
        self.reviewed(partner, building, "Sites at Brosund", "spo")
        asked = self.reviewed(partner, care, "Teams at Hagelby", "teams")
        note = "Which months does the statement of work cover?"
        reviewing.ask(asked.pk, [Reason.DATES, Reason.NO_PRODUCTS], by=reviewer, note=note)
        self.approved(partner, energy, "Teams at Västerhamn", "teams")
        self.rejected(partner, care, "Yammer at Hagelby", "yammer")
        disputed = self.rejected(partner, port, "Mail at Torsnäs", "exo")
        again.dispute(disputed.pk, "The second page of the order names the workloads.", by=partner)
        final = self.rejected(rival, care, "Office at Hagelby", "proplus")
        again.dispute(final.pk, "We have worked there for a year.", by=rival)
        reviewing.reject(final.pk, [Reason.INSUFFICIENT], by=reviewer, note="The documents show sales work alone.")
        withdrawn = self.submitted(partner, port, "Sites at Torsnäs", "spo")
        drafting.withdraw(withdrawn.pk, by=partner, note="Another location does this work.")
        declined = self.approved(rival, energy, "Office at Västerhamn", "proplus")
        ending.decline(declined.pk, by=customer, note="We have no project with them.")
        ended = self.approved(partner, port, "Teams at Torsnäs", "teams")
        ending.disassociate(ended.pk, "The project is over.", by=partner)
        for claimant in (partner, rival):
            self.submitted(claimant, energy, "Yammer at Västerhamn", "yammer")
        first, second = (self.submitted(claimant, care, "Mail at Hagelby", "exo") for claimant in (rival, partner))
        (conflict,) = Conflict.objects.open().filter(sides__claim=first)
        note = "The customer’s acknowledgement of the newer proof names the work of this year."
        decide(conflict.pk, second.pk, note=note, disclosed=True, by=reviewer)

    def draft(self, by: Actor, customer: str, name: str, workload: str, **fields: Any) -> Claim:
        assert by.organisation is not None
        of = Customer.objects.get(organisation__name=customer)
        domain = of.domain
        said: Any = {
            "name": name,
            "program": Program.OSU_M365,
            "role": Role.USAGE,
            "mpn_id": by.organisation.number,
            "workloads": [workload],
            "customer_contact_name": "Karin Lund",
            "customer_contact_title": "Head of IT",
            "customer_contact_email": f"karin.lund@{domain}",
            "checked": list(CHECKLIST),
        }
        return drafting.draft(str(of.tenant_id), domain, said | fields, by=by, origin=Origin.WIZARD)

    def submitted(self, by: Actor, customer: str, name: str, workload: str, *, as_pdf_too: bool = False) -> Claim:
        """Return a submitted claim. Its files are scanned at once, as the worker does."""
        claim = self.draft(by, customer, name, workload)
        files = [_mail(claim, by), *([_form(claim)] if as_pdf_too else [])]
        self._prove(claim, files, [workload], by=by)
        return submitting.submit(claim.pk, by=by)

    def _prove(self, claim: Claim, files: Sequence[ContentFile[bytes]], units: Sequence[str], *, by: Actor) -> None:
        said = proofs.Said(units, (timezone.now() - SIGNED).date(), "Order and acknowledgement of the customer")
        for one in proofs.upload(claim.pk, files, said, by=by):
            examining.scan(one.pk)

    def reviewed(self, by: Actor, customer: str, name: str, workload: str) -> Claim:
        return reviewing.start_review(self.submitted(by, customer, name, workload).pk, by=self.reviewer)

    def approved(self, by: Actor, customer: str, name: str, workload: str) -> Claim:
        return reviewing.approve(self.reviewed(by, customer, name, workload).pk, by=self.reviewer)

    def rejected(self, by: Actor, customer: str, name: str, workload: str) -> Claim:
        claim = self.reviewed(by, customer, name, workload)
        note = "No page names what was done in which month."
        return reviewing.reject(claim.pk, [Reason.NO_PRODUCTS, Reason.DATES], by=self.reviewer, note=note)


def _mail(claim: Claim, by: Actor) -> ContentFile[bytes]:
    """Return the mail in which the customer acknowledges the work."""
    mail = EmailMessage()
    mail["Subject"] = f"Acknowledgement: {claim.name}"
    mail["From"] = claim.customer_contact_email
    mail["To"] = claim.partner_contact_email
    mail["Date"] = timezone.now() - SIGNED
    mail.set_content(
        f"We confirm that {by.organisation} does this work for us: {claim.name}.\n\nKarin Lund\nHead of IT\n"
    )
    return ContentFile(mail.as_bytes(), "acknowledgement.eml")


def _form(claim: Claim) -> ContentFile[bytes]:
    """Return the form for a proof, filled with what the claim says."""
    form = ProofForm(
        claim=claim.name,
        program=claim.get_program_display(),
        role=claim.get_role_display(),
        partner=claim.partner.organisation.name,
        mpn_id=claim.partner.mpn_id,
        customer=claim.customer.organisation.name,
        domain=claim.domain,
        tenant_id=str(claim.customer.tenant_id),
        units=[one.label for one in claim.units.all()],
    )
    return ContentFile(as_pdf(form), "proof-of-execution.pdf")
