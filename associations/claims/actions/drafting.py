"""Drafts: a partner finds its customer, and says in which programme and role it works, for what, and since when."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date
from typing import TypedDict

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from associations.claims.actions import conflicts
from associations.claims.actions.shared import (
    lock_customer,
    locked,
    next_instant,
    record,
    step,
    told,
    told_privately,
    units_of,
)
from associations.claims.events.claims import ClaimEvent
from associations.claims.models import Claim, ClaimUnit
from associations.claims.policies import Policy, policy_of, policy_on
from associations.claims.programs import Claimable, claimable
from associations.claims.rules import CHECKLIST, CLAIM, ClaimStatus, Origin, Program, Role, own_fields
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.db.locks import one_at_a_time
from por.directory import actions as directory
from por.directory.access import partners_of
from por.directory.models import HERE_FIRST, Customer, Partner, Subscription
from por.directory.rules import Agreement, is_guid, normal_mpn_id
from por.errors import Refused

#: How many drafts a company can have at a time.
MOST_DRAFTS = 200
#: The statuses of a subscription that can be claimed.
CLAIMABLE_STATUSES = (Subscription.Status.ACTIVE, Subscription.Status.GRACE)


class Fields(TypedDict, total=False):
    """What a partner says in a claim. What is absent stays as it is."""

    name: str
    program: str
    role: str
    mpn_id: str
    workloads: Sequence[str]
    subscription_ids: Sequence[str]
    customer_contact_name: str
    customer_contact_title: str
    customer_contact_email: str
    partner_contact_name: str
    partner_contact_email: str
    opt_out_of_payment: bool
    transaction_on: date | None
    seller: str
    solution: str
    checked: Sequence[str]


#: Fields that can only be changed in a draft: they say what the claim is.
OF_DRAFTS = ("program", "role")
#: Fields that are stored as they are.
PLAIN = (
    "name",
    "customer_contact_name",
    "customer_contact_title",
    "customer_contact_email",
    "partner_contact_name",
    "partner_contact_email",
    "opt_out_of_payment",
    "transaction_on",
    "seller",
    "solution",
)


def find_customer(tenant_id: str, domain: str, *, by: Actor) -> Customer:
    """Return the customer with this tenant ID and this domain.

    An unknown tenant and a domain of another one answer alike, and count as a Check ID. Raises Forbidden, Refused on
    `tenant_id` or `domain`, and RateLimited.
    """
    by.require(Right.WRITE_CLAIMS)
    if not is_guid(tenant_id):
        raise Refused(
            "tenant_id_malformed",
            _("A tenant ID is a GUID, for example 3f2b6a1e-5c6d-4f0e-9a51-6d1c2b7a8e90."),
            field="tenant_id",
        )
    name = normal_domain(domain)
    if not name:
        raise Refused("domain_missing", _("Enter the customer’s domain, for example example.com."), field="domain")
    found = Customer.objects.select_related("organisation").filter(
        tenant_id=uuid.UUID(tenant_id.strip()), domain__iexact=name
    )
    if (customer := found.first()) is None:
        directory.note_unknown(tenant_id.strip(), by=by)
        raise Refused(
            "customer_not_found",
            _("No customer has this tenant ID together with this domain. Check both with your customer."),
            field="tenant_id",
        )
    return customer


def normal_domain(text: str) -> str:
    """Return a domain in lower case, without a scheme, a path, or what stands before the @ of an address."""
    bare = text.strip().lower().rsplit("@", 1)[-1]
    return bare.removeprefix("https://").removeprefix("http://").split("/", 1)[0].strip(".")


def draft(tenant_id: str, domain: str, fields: Fields, *, by: Actor, origin: Origin) -> Claim:
    """Return a new draft for the customer with this tenant ID and domain. Nobody else sees it until it is submitted.

    The location is the actor's own, or one of its company that `mpn_id` names. Raises what find_customer raises,
    Locked, and Refused: `too_many_drafts`, or on a field.
    """
    customer = find_customer(tenant_id, domain, by=by)
    with transaction.atomic():
        lock_customer(customer.pk)
        partner = _location(fields["mpn_id"], by=by) if fields.get("mpn_id") else _own_location(by)
        company = partner.company_id
        _require_few_drafts(company)
        claim = Claim(
            customer=customer,
            partner=partner,
            company_id=company,
            domain=normal_domain(domain),
            origin=origin,
            partner_contact_name=by.name[:150],
            partner_contact_email=by.user.email if by.user else "",
        )
        now = next_instant(claim)
        claim.created_at = now
        claim.save()
        _apply(claim, fields, by=by, today=now.date())
        claim.save()
    return claim


def _require_few_drafts(company: int) -> None:
    one_at_a_time("drafts of claims", company)
    drafts = Claim.objects.filter(company=company, submitted_at=None, status=ClaimStatus.DRAFT)
    if drafts.count() >= MOST_DRAFTS:
        raise Refused(
            "too_many_drafts",
            _("Your company has %(most)s drafts of claims. Submit or withdraw some of them first.")
            % {"most": MOST_DRAFTS},
        )


def _own_location(by: Actor) -> Partner:
    """Return the actor's location; of a global account, the only location or the first one that is active."""
    found = partners_of(by).filter(kind=Partner.Kind.LOCATION).exclude(status=Partner.Status.CLOSED)
    partner = found.select_related("organisation").order_by("status", "mpn_id").first()
    if partner is None:
        raise Refused("no_location", _("Your company has no location that can claim."), field="mpn_id")
    return partner


def _location(mpn_id: str, *, by: Actor) -> Partner:
    """Return one of the actor's locations. Raises Refused on `mpn_id`."""
    number = normal_mpn_id(mpn_id)
    own = partners_of(by).select_related("organisation")
    partner = own.filter(mpn_id=number).first() if number else None
    if partner is None:
        raise Refused(
            "not_your_location",
            directory.malformed(mpn_id, _("This is not the MPN ID of one of your company’s locations.")),
            field="mpn_id",
        )
    if partner.kind == Partner.Kind.GLOBAL:
        raise Refused(
            "partner_is_global",
            _("This MPN ID belongs to your global account. Choose the location that does the work."),
            field="mpn_id",
        )
    if partner.status != Partner.Status.ACTIVE:
        raise Refused("partner_suspended", _("This location is not active, so it cannot claim."), field="mpn_id")
    return partner


@transaction.atomic
def change(claim_id: int, fields: Fields, *, by: Actor, version: int | None = None) -> Claim:
    """Change what a claim says; return it. A draft can be changed in all fields, later not in programme and role.

    Raises NotFound, Forbidden, VersionConflict, Locked, or Refused: with the code of the status, or on a field.
    """
    claim = locked(claim_id, Right.WRITE_CLAIMS, by=by, version=version)
    now = next_instant(claim)
    if not may_change(claim, policy_of(now)):
        raise Refused(*CLAIM.refusals[ClaimStatus(claim.status)])
    before = units_of(claim)
    changed = _apply(claim, fields, by=by, today=now.date())
    if not changed:
        return claim
    if claim.status == ClaimStatus.DRAFT:
        claim.version += 1
        claim.save()
        return claim
    if "units" in changed and not claim.units.exists():
        raise Refused("units_missing", _("Choose at least one workload or subscription."), field="units")
    due_at, reminders = claim.due_at, claim.reminders
    step(claim, "change", by=by, at=now, due_at=due_at, changes={"fields": changed})
    claim.reminders = reminders  # the answer is due as before
    claim.save()
    units = units_of(claim)
    kept = {one.key for one in units}
    events = conflicts.leave(claim, [one for one in before if one.live and one.key not in kept], at=now)
    events += conflicts.take(claim, [one for one in units if not one.live and not one.outcome], at=now)
    record([*events, told_privately(ClaimEvent.CHANGED, claim, units, {"fields": changed})], by=by, at=now)
    return claim


def may_change(claim: Claim, policy: Policy) -> bool:
    """Return whether a claim can be changed under the policy of a day."""
    if claim.status == ClaimStatus.SUBMITTED and not policy.edit_submitted:
        return False
    return CLAIM.allows(claim.status, "change")


def _apply(claim: Claim, fields: Fields, *, by: Actor, today: date) -> list[str]:
    """Set what the fields say, and the units; return the names of those that have changed. The caller saves the claim.

    Raises Refused on the first field that is wrong.
    """
    is_draft = claim.status == ClaimStatus.DRAFT
    changed = []
    if not is_draft and any(fields.get(one, getattr(claim, one)) != getattr(claim, one) for one in OF_DRAFTS):
        raise Refused(
            "claim_is_no_draft",
            _("Programme and role cannot be changed after the claim was submitted. Withdraw it, and make a new one."),
            field="program",
        )
    if "mpn_id" in fields and normal_mpn_id(fields["mpn_id"]) != claim.partner.mpn_id:
        claim.partner = _location(fields["mpn_id"], by=by)
        claim.company_id = claim.partner.company_id
        changed.append("mpn_id")
    if {"program", "role"} & fields.keys():
        changed += _set_program(claim, fields, today)
    for name in PLAIN:
        if name in fields and fields[name] != getattr(claim, name):  # type: ignore[literal-required]
            setattr(claim, name, fields[name])  # type: ignore[literal-required]
            changed.append(name)
    if "checked" in fields and set(fields["checked"]) != set(claim.checked):
        if unknown := set(fields["checked"]) - set(CHECKLIST):
            raise Refused(
                "not_in_checklist",
                _("%(unknown)s is not in the checklist.") % {"unknown": min(unknown)},
                field="checked",
            )
        claim.checked = [one for one in CHECKLIST if one in fields["checked"]]
        changed.append("checked")
    if {"workloads", "subscription_ids"} & fields.keys() and _set_units(claim, fields, today):
        changed.append("units")
    return changed


def _set_program(claim: Claim, fields: Fields, today: date) -> list[str]:
    program, role = fields.get("program", claim.program), fields.get("role", claim.role)
    if (program, role) == (claim.program, claim.role):
        return []
    if program not in Program.values or program not in policy_on(today).takes_claims:
        raise Refused("program_unknown", _("Choose a programme that takes claims."), field="program")
    offered = claimable(Program(program), today)
    if offered is None or (role and role not in offered.roles):
        raise Refused("role_unknown", _("Choose a role in this programme."), field="role")
    claim.units.all().delete()  # they were claimed in another programme or role
    claim.program, claim.role = program, role
    if not role and len(offered.roles) == 1:
        claim.role = next(iter(offered.roles))
    for name in ("transaction_on", "seller", "solution"):
        if name not in own_fields(claim.program, claim.role):
            setattr(claim, name, None if name == "transaction_on" else "")
    return ["program", "role"]


def _set_units(claim: Claim, fields: Fields, today: date) -> bool:
    """Make the units of the claim those that the fields name; return whether any has changed."""
    if not claim.program or not claim.role:
        raise Refused("program_missing", _("Choose the programme and the role first."), field="program")
    offered = claimable(Program(claim.program), today)
    assert offered is not None
    wanted: dict[tuple[str | int | None, ...], ClaimUnit] = {}
    of = {
        "program": claim.program,
        "role": claim.role,
        "company_id": claim.company_id,
        "customer_id": claim.customer_id,
    }
    for workload in _once(fields.get("workloads", ()), "workloads"):
        _require_workload(workload, offered)
        unit = ClaimUnit(claim=claim, workload=workload, **of)
        wanted[unit.key] = unit
    for entered in _once(fields.get("subscription_ids", ()), "subscription_ids"):
        subscription = claimable_subscription(claim.customer_id, entered, offered)
        unit = ClaimUnit(claim=claim, subscription=subscription, **of)
        wanted[unit.key] = unit
    there = {one.key: one for one in units_of(claim)}
    gone = [one for key, one in there.items() if key not in wanted]
    new = [one for key, one in wanted.items() if key not in there]
    if any(one.association_id for one in gone):
        raise Refused("unit_approved", _("An approved unit cannot be taken out of the claim."), field="units")
    ClaimUnit.objects.filter(pk__in=[one.pk for one in gone]).delete()
    for unit in new:
        unit.save()
    return bool(gone or new)


def _once(values: Sequence[str], field: str) -> Sequence[str]:
    if len({one.strip().lower() for one in values}) < len(values):
        raise Refused("unit_twice", _("The same unit is named twice."), field=field)
    return values


def _require_workload(workload: str, offered: Claimable) -> None:
    if workload not in offered.workloads:
        names = ", ".join(str(one.label) for one in offered.workloads)
        message = _("Choose one of these workloads: %(names)s.") % {"names": names}
        none = _("This programme takes claims of subscriptions, not of workloads.")
        raise Refused("workload_unknown", message if names else none, field="workloads")


def claimable_subscription(customer: int, entered: str, offered: Claimable) -> Subscription:
    """Return the subscription of the customer with this ID, if it can be claimed. Raises Refused with its own code."""

    field, message = "subscription_ids", _("A subscription ID is a GUID. Copy it from the subscription.")
    if not is_guid(entered):
        raise Refused("subscription_id_malformed", message, field=field)
    found = Subscription.objects.select_related("sku").filter(
        customer=customer, subscription_id=uuid.UUID(entered.strip())
    )
    subscription = found.order_by(HERE_FIRST).first()
    if subscription is None or subscription.left_at is not None:
        message = _("This tenant has no such subscription. A new one can take some days to appear.")
        raise Refused("not_on_tenant", message, field=field)
    if subscription.product not in offered.products:
        names = ", ".join(str(one.label) for one in offered.products)
        other = _("This is a subscription of another product. The programme is for: %(names)s.") % {"names": names}
        none = _("This programme takes claims of workloads, not of subscriptions.")
        raise Refused("wrong_product", other if names else none, field=field)
    if subscription.agreement == Agreement.CSP:
        message = _("This subscription was sold by a Cloud Solution Provider: it cannot be claimed.")
        raise Refused("sold_through_csp", message, field=field)
    if subscription.status not in CLAIMABLE_STATUSES:
        message = _("Only an active subscription, or one in its grace period, can be claimed.")
        raise Refused("subscription_not_active", message, field=field)
    return subscription


@transaction.atomic
def withdraw(claim_id: int, *, by: Actor, version: int | None = None, note: str = "") -> Claim:
    """Withdraw a claim that is not decided yet; return it. Its units are free, and an open conflict may close.

    Raises NotFound, Forbidden, VersionConflict, Locked, or Refused with the code of the status.
    """
    claim = locked(claim_id, Right.WRITE_CLAIMS, by=by, version=version)
    now = next_instant(claim)
    was_draft = claim.submitted_at is None
    units = units_of(claim)
    step(claim, "withdraw", by=by, at=now, note=note)
    claim.closed_at = now
    claim.save()
    if was_draft:
        return claim
    events = conflicts.leave(claim, units, at=now)
    events.append(told(ClaimEvent.WITHDRAWN, claim, units))
    record(events, by=by, at=now)
    return claim


def roles_of(program: str, day: date) -> list[Role]:
    """Return the roles of a programme on a day."""
    offered = claimable(Program(program), day)
    return list(offered.roles) if offered else []
