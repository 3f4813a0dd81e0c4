"""Functions that make claims in each status, by the verbs. A proof's file is a row alone, unless a test needs it."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

from django.utils import timezone

from associations.claims.actions import drafting, reviewing, submitting
from associations.claims.models import Claim, Proof, ProofUnit
from associations.claims.rules import CHECKLIST, Origin, Scan
from por.accounts.models import Actor
from por.directory.models import Customer, Subscription
from tests.factories import make_staff

DOMAIN = "vasterhamn.example"
CONTACTS: drafting.Fields = {
    "name": "Exchange for all",
    "customer_contact_name": "Karin Lund",
    "customer_contact_title": "Head of IT",
    "customer_contact_email": "karin.lund@vasterhamn.example",
    "partner_contact_name": "Amira Haddad",
    "partner_contact_email": "amira@nordvik.example",
}
_numbers = itertools.count(1)


def make_draft(customer: Customer, by: Actor, *of: str | Subscription, **fields: Any) -> Claim:
    """Return a draft of some workloads, or of some subscriptions of CRM Online, with all that a claim needs but proof.

    The customer gets a domain if it has none.
    """
    if not customer.domain:
        customer.domain = DOMAIN
        customer.save(update_fields=["domain"])
    subscriptions = [str(one.subscription_id) for one in of if isinstance(one, Subscription)]
    workloads = [one for one in of if isinstance(one, str)] or ([] if subscriptions else ["exo"])
    program = "osu_bizapps" if subscriptions else "osu_m365"
    asked = {
        "program": program,
        "role": "usage",
        "workloads": workloads,
        "subscription_ids": subscriptions,
        "checked": list(CHECKLIST),
    }
    all_fields: Any = {**CONTACTS, **asked, **fields}
    return drafting.draft(str(customer.tenant_id), customer.domain, all_fields, by=by, origin=Origin.WIZARD)


def add_proof(claim: Claim, by: Actor, scan: Scan = Scan.CLEAN, **fields: Any) -> Proof:
    """Return a proof for all units of the claim, as an upload and its scan leave it."""
    number = next(_numbers)
    proof = Proof.objects.create(
        **{
            "claim": claim,
            "number": claim.proofs.count() + 1,
            "filename": f"statement-of-work-{number}.pdf",
            "content_type": "application/pdf",
            "size": 48_213,
            "sha256": f"{number:064x}",
            "stored_as": f"proofs/{number}",
            "acknowledged_on": timezone.now().date() - timedelta(days=30),
            "uploaded_by": by.user,
            "uploaded_by_name": by.name,
            "uploaded_at": timezone.now(),
            "scan": scan,
        }
        | fields
    )
    ProofUnit.objects.bulk_create(ProofUnit(proof=proof, unit=unit) for unit in claim.units.all())
    return proof


def make_submitted(
    customer: Customer, by: Actor, *of: str | Subscription, proof: dict[str, Any] | None = None, **fields: Any
) -> Claim:
    """Return a submitted claim. `proof` is what the row of its proof has."""
    claim = make_draft(customer, by, *of, **fields)
    add_proof(claim, by, **(proof or {}))
    return submitting.submit(claim.pk, by=by)


def make_under_review(
    customer: Customer, by: Actor, *of: str | Subscription, reviewer: Actor | None = None, **fields: Any
) -> Claim:
    """Return a claim under review."""
    claim = make_submitted(customer, by, *of, **fields)
    return reviewing.start_review(claim.pk, by=reviewer or make_staff())


def make_approved(
    customer: Customer, by: Actor, *of: str | Subscription, reviewer: Actor | None = None, **fields: Any
) -> Claim:
    """Return an approved claim, which its customer can decline."""
    reviewer = reviewer or make_staff()
    claim = make_under_review(customer, by, *of, reviewer=reviewer, **fields)
    return reviewing.approve(claim.pk, by=reviewer)
