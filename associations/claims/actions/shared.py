"""What all verbs of claims share: the lock of the customer, the instant, the step, and the events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from associations.claims.events.claims import ClaimEvent
from associations.claims.models import Claim, ClaimStep, ClaimUnit, Conflict, Interest
from associations.claims.policies import policy_of
from associations.claims.rules import CLAIM, Reason
from associations.record import locking, recording
from associations.record.models import Association, SeenUsage
from por.accounts.models import SYSTEM, Actor, Organisation
from por.db.locks import lock_timeout_as_busy
from por.directory import actions as directory
from por.directory.models import Customer, Usage
from por.directory.rules import Workload
from por.errors import NotFound, Refused, VersionConflict
from por.history.actions import recording as history
from por.programs.policies import Term


def absent() -> NotFound:
    """Return the refusal for a claim that does not exist, and the same for one the actor may not see."""
    return NotFound("not_found", _("This claim does not exist, or you do not have access to it."))


def visible(claim_id: int, *, by: Actor, to: str | None = None) -> Claim:
    """Return the claim with its customer and partner.

    Raises NotFound if the actor may not see it, Forbidden without the right `to`.
    """
    claim = one_of(
        Claim.objects.visible_to(by).select_related("customer__organisation", "partner__organisation"), claim_id
    )
    if to:
        by.require(to)
    return claim


def one_of(claims: QuerySet[Claim], claim_id: int) -> Claim:
    """Return the one of these claims with this key. Raises NotFound."""
    claim = claims.filter(pk=claim_id).first()
    if claim is None:
        raise absent()
    return claim


def locked(claim_id: int, right: str, *, by: Actor, version: int | None = None) -> Claim:
    """Return the claim, its customer locked until the transaction ends.

    Raises NotFound if the actor may not see it, Forbidden without the right, VersionConflict or Locked.
    """
    visible(claim_id, by=by, to=right)
    claim = locked_by_system(claim_id)
    if version is not None and claim.version != version:
        raise VersionConflict(
            "stale", _("This claim has changed since you opened it. Check the changes, then try again.")
        )
    return claim


def locked_by_system(claim_id: int) -> Claim:
    """Return the claim with its customer, which is locked until the transaction ends, and its partner."""
    lock_customer(Claim.objects.only("customer").get(pk=claim_id).customer_id)
    return Claim.objects.select_related("customer__organisation", "partner__organisation").get(pk=claim_id)


def lock_customer(customer_id: int) -> None:
    """Lock the customer until the transaction ends: it is the lock of its claims, their units and conflicts."""
    with lock_timeout_as_busy():
        Customer.objects.select_for_update(no_key=True).only("pk").get(pk=customer_id)


def lock_partner(claim: Claim) -> None:
    """Lock the location of a claim until the transaction ends, so that its account is not closed meanwhile."""
    directory.lock([claim.partner_id])
    claim.partner.refresh_from_db(fields=["status"])


def units_of(claim: Claim) -> list[ClaimUnit]:
    """Return the units of a claim with what events name, in the order they were claimed."""
    return list(claim.units.select_related("subscription__sku", "association").order_by("pk"))


def usage_of_units(customer: int, workloads: Collection[str], subscriptions: Collection[int]) -> Q:
    """Return the condition for the usage of units: a workload counts on all subscriptions of the customer."""
    of_workloads = Q(subscription__customer=customer, workload__in=workloads)
    return of_workloads | Q(subscription__in=subscriptions, workload=Workload.CRM)


def usage_on(of: ClaimUnit | Conflict) -> QuerySet[Usage]:
    """Return what is known now of the usage of a unit, or of what a conflict is about."""
    workloads = [of.workload] if of.workload else []
    subscriptions = [of.subscription_id] if of.subscription_id else []
    return Usage.objects.current().filter(usage_of_units(of.customer_id, workloads, subscriptions))


def next_instant(claim: Claim, *, after: datetime | None = None) -> datetime:
    """Return an instant after all steps of claims on this customer and after all instants of its claimed units."""
    last = ClaimStep.objects.filter(claim__customer=claim.customer_id).order_by("-at")[:1]
    units = Association.objects.filter(~Q(program=""), customer=claim.customer_id)
    return locking.next_instant(last, units, after=after)


def has_interest(reviewer: int | None, claims: Iterable[Claim]) -> bool:
    """Return whether this person has an interest in a party of these claims."""
    return interests_in(parties_of(claims), reviewer).exists()


def require_no_interest(by: Actor, parties: Iterable[int] | QuerySet[Organisation]) -> None:
    """Raise Refused, with the code `interest`, if the reviewer has an interest in one of these organisations."""
    if interests_in(parties, by.user_id).exists():
        raise Refused("interest", _("You have an interest in one of the parties. Another reviewer must decide."))


def interests_in(parties: Iterable[int] | QuerySet[Organisation], reviewer: int | None) -> QuerySet[Interest]:
    """Return the interests of this person in these organisations."""
    return Interest.objects.filter(reviewer=reviewer, organisation__in=parties)


def parties_of(claims: Iterable[Claim]) -> set[int]:
    """Return the organisations that these claims concern: customers, partners and their companies."""
    return {pk for one in claims for pk in (one.customer_id, one.partner_id, one.company_id)}


def due(claim: Claim, term: Term | None, at: datetime) -> datetime | None:
    """Return when a term ends that begins now, in business days of the customer; None where there is no term."""
    if term is None:
        return None
    return term.end(at, ZoneInfo(claim.customer.organisation.time_zone), policy_of(at).holidays)


def step(
    claim: Claim,
    verb: str,
    *,
    by: Actor,
    at: datetime,
    reasons: Collection[Reason] = (),
    note: str = "",
    due_at: datetime | None = None,
    changes: dict[str, Any] | None = None,
) -> None:
    """Let a claim take a step of its state machine; keep the step. The caller saves the claim."""
    before = claim.status
    claim.status = CLAIM.after(before, verb)
    claim.version += 1
    claim.due_at, claim.reminders = due_at, 0
    ClaimStep.objects.create(
        claim=claim,
        verb=verb,
        before=before,
        after=claim.status,
        at=at,
        by=by.user,
        by_name=by.name,
        organisation=by.organisation,
        reasons=list(reasons),
        note=note.strip(),
        due_at=due_at,
        changes=changes or {},
    )


def about(claim: Claim) -> history.ObjectRef:
    """Return the claim as events store it."""
    return history.ObjectRef("claim", str(claim.pk), str(claim))


def facts_of(claim: Claim, units: Sequence[ClaimUnit]) -> dict[str, Any]:
    """Return the claim with these of its units as events store it."""
    return {
        "claim": claim.pk,
        "number": claim.number,
        "program": claim.program,
        "role": claim.role,
        "partner": recording.named(claim.partner),
        "units": [_unit(one) for one in units],
    }


def _unit(unit: ClaimUnit) -> dict[str, str]:
    if unit.subscription is None:
        return {"workload": unit.workload}
    return {"subscription": str(unit.subscription.subscription_id), "name": unit.label}


def told(
    verb: str, claim: Claim, units: Sequence[ClaimUnit], changes: dict[str, Any] | None = None
) -> history.EventDraft:
    """Return an event of the claim for the chain of its customer, which its partner reads too."""
    found = facts_of(claim, units) | (changes or {})
    return history.EventDraft(claim.customer_id, found, about(claim), [claim.partner_id], verb)


def told_privately(
    verb: str, claim: Claim, units: Sequence[ClaimUnit], changes: dict[str, Any] | None = None
) -> history.EventDraft:
    """Return an event of the claim for the chain of its partner, which the customer never reads."""
    found = facts_of(claim, units) | (changes or {})
    return history.EventDraft(claim.partner_id, found, about(claim), [], verb)


def record(events: Sequence[history.EventDraft], *, by: Actor, at: datetime) -> None:
    """Record the events of a verb, as its last statement. An approval is told to those who are of record there."""
    told_too = [other for one in events if one.verb == ClaimEvent.APPROVED for other in _to_partners_of_record(one)]
    history.record_each(by=by, at=at, events=[*events, *told_too], in_request=by != SYSTEM)


def _to_partners_of_record(approved: history.EventDraft) -> Iterator[history.EventDraft]:
    """Yield an event for each other company's partner of record of what was approved, in the chain of that partner.

    It does not say which partner has the claim.
    """
    claim = Claim.objects.select_related("customer__organisation").get(pk=approved.changes["claim"])
    units: dict[int, list[dict[str, str]]] = defaultdict(list)
    of_record = Association.objects.open().of_record().filter(customer=claim.customer_id)
    of_record = of_record.exclude(partner=claim.company_id).exclude(partner__organisation__parent=claim.company_id)
    for unit in claim.units.filter(live=True).select_related("subscription__sku").order_by("pk"):
        shown = SeenUsage.objects.filter(association=unit.association_id, subscription=OuterRef("subscription"))
        there = of_record.filter(Exists(shown)).order_by("partner")
        for pk in there.values_list("partner", flat=True).distinct():
            units[pk].append(_unit(unit))
    about = history.ObjectRef("customer", str(claim.customer.tenant_id), claim.customer.organisation.name)
    for pk, theirs in units.items():
        changes = {"program": claim.program, "units": theirs}
        yield history.EventDraft(pk, changes, about, [], ClaimEvent.OTHER_APPROVED)
