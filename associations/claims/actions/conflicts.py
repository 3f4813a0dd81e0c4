"""Conflicts: a second company claims a unit, and a side leaves. The caller locks the customer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from associations.claims.actions.shared import due
from associations.claims.events.conflicts import ConflictEvent
from associations.claims.models import Claim, ClaimUnit, Conflict, ConflictSide
from associations.claims.policies import policy_of
from associations.claims.rules import CONFLICT, ClaimStatus, ConflictStatus, Outcome
from associations.record import recording
from por.errors import Refused
from por.history.actions import recording as history


def take(claim: Claim, units: Sequence[ClaimUnit], *, at: datetime) -> list[history.EventDraft]:
    """Make units of a claim live; open or join a conflict for each that another company has. Return the events.

    Raises Refused where the claimant's own company has one of them: `own_company_holds`.
    """
    events = []
    for unit in units:
        rivals = list(others(unit).select_related("claim__partner__organisation"))
        if any(one.company_id == unit.company_id for one in rivals):
            raise Refused(
                "own_company_holds",
                _("Your company has already claimed %(unit)s. See your other claims for this customer.")
                % {"unit": unit.label},
                field="units",
            )
        unit.live, unit.outcome = True, ""
        unit.save(update_fields=["live", "outcome"])
        if rivals:
            events.append(_open_or_join(claim, unit, [one.claim for one in rivals], at=at))
    return events


def others(unit: ClaimUnit) -> models.QuerySet[ClaimUnit]:
    """Return the live units of other claims on the same workload or subscription."""
    return live_on(unit).exclude(claim=unit.claim_id)


def live_on(of: ClaimUnit | Conflict) -> models.QuerySet[ClaimUnit]:
    """Return the live units of all claims on the workload or subscription of a unit, or of a conflict."""
    return ClaimUnit.objects.filter(_same(of), live=True).order_by("pk")


def _same(of: ClaimUnit | Conflict) -> Q:
    """Return the condition for units and conflicts on the same workload or subscription."""
    if of.workload:
        return Q(customer=of.customer_id, program=of.program, workload=of.workload, subscription=None)
    return Q(subscription=of.subscription_id, program=of.program, role=of.role)


def _open_or_join(claim: Claim, unit: ClaimUnit, rivals: Sequence[Claim], *, at: datetime) -> history.EventDraft:
    conflict = open_on(unit)
    verb = ConflictEvent.OPENED if conflict is None else ConflictEvent.JOINED
    if conflict is None:
        conflict = Conflict.objects.create(
            program=unit.program,
            role=unit.role,
            customer_id=unit.customer_id,
            workload=unit.workload,
            subscription=unit.subscription,
            opened_at=at,
            due_at=due(claim, policy_of(at).conflict_within, at),
        )
    else:
        conflict.status = CONFLICT.after(conflict.status, "[another claim]")
        conflict.version += 1
        conflict.save(update_fields=["status", "version"])
    for one in (*rivals, claim):
        ConflictSide.objects.get_or_create(
            conflict=conflict,
            claim=one,
            defaults={"joined_at": at, "held_before": one.status == ClaimStatus.APPROVED},
        )
    return told(verb, conflict, [*rivals, claim], {"partner": recording.named(claim.partner)})


def open_on(unit: ClaimUnit) -> Conflict | None:
    """Return the open conflict about the workload or subscription of a unit; None if there is none."""
    return Conflict.objects.open().filter(_same(unit)).select_related("customer__organisation").first()


def waiting_on(unit: ClaimUnit) -> models.QuerySet[Conflict]:
    """Return the decisions about the workload or subscription of a unit that are not carried out yet."""
    decided = Conflict.objects.filter(_same(unit), status=ConflictStatus.DECIDED, carried_out_at=None)
    return decided.exclude(winner=None).order_by("pk")


def open_conflicts(claim: Claim) -> list[Conflict]:
    """Return the open conflicts that a claim is a live side of."""
    return [one.conflict for one in open_sides().filter(claim=claim).select_related("conflict").order_by("conflict")]


def open_sides() -> models.QuerySet[ConflictSide]:
    """Return the sides of open conflicts whose claim still claims the unit: it may have left one that goes on.

    They are found from the open conflicts, which are few, whichever claims are asked for.
    """
    same = Q(claim__units__subscription=F("conflict__subscription")) | Q(claim__units__subscription=None)
    return ConflictSide.objects.filter(
        same,
        conflict__status=ConflictStatus.OPEN,
        claim__units__live=True,
        claim__units__workload=F("conflict__workload"),
    )


def require_none_open(claim: Claim) -> None:
    """Raise Refused, with the code `conflict_open`, while a conflict about the claim waits for its decision."""
    if open_conflicts(claim):
        raise Refused(*CONFLICT.refusals[ConflictStatus.OPEN])


def leave(claim: Claim, units: Sequence[ClaimUnit], *, at: datetime) -> list[history.EventDraft]:
    """Free units of a claim; close each of their open conflicts where one claim is left. Return the events.

    Nobody is approved by that. A decision for the claim that is not carried out yet lapses.
    """
    events = []
    ClaimUnit.objects.filter(pk__in=[one.pk for one in units]).update(live=False)
    for unit in units:
        unit.live = False
        events += lapse(claim, unit, at=at)
        conflict = open_on(unit)
        if conflict is None or len(_contenders(unit)) > 1:
            continue
        events.append(_close(conflict, claim, "[one claim is left]", ConflictEvent.CLOSED, at=at))
    return events


def _contenders(unit: ClaimUnit) -> list[ClaimUnit]:
    """Return the live units of other claims that still contend for it.

    A holder does not, if it has lost a decision that one of them has won and that is not carried out yet.
    """
    found = list(others(unit))
    if waiting_on(unit).filter(winner__in=[one.claim_id for one in found]).exists():
        return [one for one in found if one.outcome != Outcome.HELD]
    return found


def lapse(claim: Claim, unit: ClaimUnit, *, at: datetime) -> list[history.EventDraft]:
    """Close the conflicts that were decided for a claim which no longer has the unit. Return the events.

    What was decided for it and not carried out yet comes to nothing: who holds the unit keeps it.
    """
    return [
        _close(conflict, claim, "[the winner leaves]", ConflictEvent.LAPSED, at=at)
        for conflict in waiting_on(unit).filter(winner=claim.pk)
    ]


def _close(conflict: Conflict, left_by: Claim, step: str, event: str, *, at: datetime) -> history.EventDraft:
    """Close a conflict because a claim has left it; return the event, which names the partner of that claim."""
    conflict.status = CONFLICT.after(conflict.status, step)
    conflict.closed_at = at
    conflict.version += 1
    conflict.save(update_fields=["status", "closed_at", "version"])
    sides = [one.claim for one in sides_of(conflict)]
    return told(event, conflict, sides, {"partner": recording.named(left_by.partner)})


def sides_of(conflict: Conflict) -> list[ConflictSide]:
    """Return the sides of a conflict, with their claims and partners, in the order they came."""
    return list(conflict.sides.select_related("claim__partner__organisation").order_by("pk"))


def told(verb: str, conflict: Conflict, claims: Sequence[Claim], changes: dict[str, Any]) -> history.EventDraft:
    """Return an event of the conflict for the chain of its customer, which the partners of these claims read too.

    A partner whose claim joins later is a party of the events from then on.
    """
    facts = {
        "conflict": conflict.pk,
        "program": conflict.program,
        "role": conflict.role,
        "unit": {"workload": conflict.workload}
        if conflict.subscription is None
        else {"subscription": str(conflict.subscription.subscription_id), "name": conflict.label},
        "sides": len({one.partner_id for one in claims}),
    }
    about = history.ObjectRef("conflict", str(conflict.pk), conflict.label)
    return history.EventDraft(
        conflict.customer_id, facts | changes, about, sorted({one.partner_id for one in claims}), verb
    )
