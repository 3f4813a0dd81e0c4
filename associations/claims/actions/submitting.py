"""Submitting a claim: what is missing, what was used at that moment, and the conflicts it opens."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import Max, Sum
from django.utils.translation import gettext_lazy as _

from associations.claims.actions import conflicts
from associations.claims.actions.drafting import claimable_subscription
from associations.claims.actions.shared import (
    due,
    lock_partner,
    locked,
    next_instant,
    record,
    step,
    told,
    units_of,
    usage_on,
)
from associations.claims.events.claims import ClaimEvent
from associations.claims.models import Claim, ClaimUnit, Proof
from associations.claims.policies import Policy, policy_of, policy_on
from associations.claims.programs import claimable
from associations.claims.rules import CHECKLIST, Program, Scan, own_fields
from associations.record.policies import months_before
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.db.locks import one_at_a_time
from por.directory.models import Partner
from por.errors import RateLimited, Refused

#: What a claim must have, with the message for each field that is empty.
CONTACTS = {
    "name": _("Enter a name for the claim."),
    "customer_contact_name": _("Enter the name of your contact at the customer."),
    "customer_contact_title": _("Enter the title of your contact at the customer."),
    "customer_contact_email": _("Enter the email address of your contact at the customer."),
    "partner_contact_name": _("Enter the name of your own contact."),
    "partner_contact_email": _("Enter the email address of your own contact."),
}


@transaction.atomic
def submit(claim_id: int, *, by: Actor, version: int | None = None) -> Claim:
    """Submit a draft, or again what the reviewer asked more about; return the claim.

    Its units are live from now on. Where another company has one, a conflict opens: a reviewer decides. The first
    submit gives the claim its number, and keeps the usage of each unit. Raises NotFound, Forbidden, VersionConflict,
    Locked, RateLimited, or Refused: with the code of the status, `own_company_holds`, or what `missing` found first.
    """
    claim = locked(claim_id, Right.WRITE_CLAIMS, by=by, version=version)
    now = next_instant(claim)
    units = units_of(claim)
    is_first = claim.submitted_at is None
    policy = policy_of(now)
    lock_partner(claim)
    step(claim, "submit", by=by, at=now, due_at=due(claim, policy.start_review_within, now))
    if found := missing(claim, units, by.today):
        raise found[0]
    if is_first:
        _require_few_claims(claim, policy, now)
        claim.submitted_at = now
        claim.number = _number(claim)
        _keep_usage(units)
    claim.save()
    events = conflicts.take(claim, [one for one in units if not one.live and not one.outcome], at=now)
    record([told(ClaimEvent.SUBMITTED, claim, units, {"again": not is_first}), *events], by=by, at=now)
    return claim


def missing(claim: Claim, units: Sequence[ClaimUnit], today: date) -> list[Refused]:
    """Return what keeps a claim from being submitted, each with its field, in the order of the wizard."""
    policy = policy_on(today)
    found = [*_wrong_units(claim, units, policy, today)]
    fields = {name: text for name, text in CONTACTS.items() if not getattr(claim, name)}
    found += [Refused("field_missing", text, field=name) for name, text in fields.items()]
    for name, label in own_fields(claim.program, claim.role).items():
        if not getattr(claim, name):
            found.append(Refused("field_missing", _("Enter: %(label)s.") % {"label": label}, field=name))
    if claim.transaction_on is not None and not (
        today - timedelta(days=policy.transaction_within_days) <= claim.transaction_on <= today
    ):
        found.append(
            Refused(
                "transaction_too_old",
                _("The transaction must be at most %(days)s days ago, and not in the future.")
                % {"days": policy.transaction_within_days},
                field="transaction_on",
            )
        )
    found += _wrong_proofs(claim, units, policy, today)
    if set(claim.checked) != set(CHECKLIST):
        found.append(
            Refused(
                "checklist_incomplete",
                _("Check each point of the list: a claim without it is refused."),
                field="checked",
            )
        )
    return found


def _wrong_units(claim: Claim, units: Sequence[ClaimUnit], policy: Policy, today: date) -> list[Refused]:
    if not claim.program or not claim.role:
        return [Refused("program_missing", _("Choose the programme and the role first."), field="program")]
    offered = claimable(Program(claim.program), today)
    if offered is None or claim.program not in policy.takes_claims:
        return [Refused("program_unknown", _("Choose a programme that takes claims."), field="program")]
    if claim.partner.status != Partner.Status.ACTIVE:
        message = _("This location is not active, so it cannot claim.")
        return [Refused("partner_suspended", message, field="mpn_id")]
    if not units:
        return [Refused("units_missing", _("Choose at least one workload or subscription."), field="units")]
    found = []
    for unit in units:
        if unit.subscription is not None:
            try:
                claimable_subscription(claim.customer_id, str(unit.subscription.subscription_id), offered)
            except Refused as refused:
                found.append(refused)
    return found


def _wrong_proofs(claim: Claim, units: Sequence[ClaimUnit], policy: Policy, today: date) -> list[Refused]:
    proofs = Proof.objects.filter(claim=claim).exclude(scan=Scan.INFECTED)
    proved = set(proofs.values_list("units", flat=True))
    found = [
        Refused("proof_missing", _("Add a proof of execution for %(unit)s.") % {"unit": unit.label}, field="proofs")
        for unit in units
        if unit.pk not in proved
    ]
    oldest = months_before(today, policy.acknowledged_within_months)
    fresh = proofs.filter(acknowledged_on__gte=oldest)
    recent = set(fresh.values_list("units", flat=True))
    found += [
        Refused(
            "acknowledgement_too_old",
            _("The acknowledgement for %(unit)s is older than %(months)s months. Add a newer proof.")
            % {"unit": unit.label, "months": policy.acknowledged_within_months},
            field="proofs",
        )
        for unit in units
        if unit.pk in proved and unit.pk not in recent
    ]
    return found


def _require_few_claims(claim: Claim, policy: Policy, now: datetime) -> None:
    one_at_a_time("claims of a day", claim.company_id)
    day = timedelta(days=1)
    sent = Claim.objects.filter(company=claim.company_id, submitted_at__gt=now - day).order_by("-submitted_at")
    oldest = sent[policy.claims_a_day - 1 : policy.claims_a_day].first()
    if oldest is not None and oldest.submitted_at is not None:
        raise RateLimited(
            "too_many_claims",
            _("Your company has submitted %(most)s claims within a day. Submit the others later.")
            % {"most": policy.claims_a_day},
            retry_after=1 + int((oldest.submitted_at + day - now).total_seconds()),
        )


def _number(claim: Claim) -> str:
    """Return a number that no claim has; one that came with a file may look like ours."""
    number = f"CPR-{claim.pk:07d}"
    return f"{number}-2" if Claim.objects.filter(number=number).exists() else number


def _keep_usage(units: Sequence[ClaimUnit]) -> None:
    """Keep the paid units and active users of the last known month with each unit."""
    for unit in units:
        month, unit.paid_units, unit.active_users = usage_of(unit)
        unit.month = month
        unit.save(update_fields=["month", "paid_units", "active_users"])


def usage_of(unit: ClaimUnit) -> tuple[date | None, int | None, int | None]:
    """Return the last month that is known of a unit, its paid units and active users; None for what is not known."""
    usage = usage_on(unit)
    month = usage.aggregate(month=Max("month"))["month"]
    if month is None:
        return None, None, None
    sums = usage.filter(month=month).aggregate(paid=Sum("paid_units"), active=Sum("active_users"))
    return month, sums["paid"], sums["active"]
