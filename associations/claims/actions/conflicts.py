"""Conflicts: a second company claims a unit, a side leaves, and a reviewer decides. The caller locks the customer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from associations.claims.actions.shared import due
from associations.claims.events.conflicts import ConflictEvent
from associations.claims.models import Claim, ClaimUnit, Conflict, ConflictSide
from associations.claims.policies import policy_on
from associations.claims.rules import CONFLICT, ClaimStatus, ConflictStatus
from associations.record import recording
from por.errors import Refused
from por.history.actions import recording as history


def take(claim: Claim, units: Sequence[ClaimUnit], *, at: datetime) -> list[history.EventDraft]:
    """Make units of a claim live; open or join a conflict for each that another company has. Return the events.

    Raises Refused where the claimant's own company has one of them: `own_company_holds`.
    """
    events = []
    for unit in units:
        rivals = list(_others(unit).select_related("claim__partner__organisation"))
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


def _others(unit: ClaimUnit) -> Any:
    """Return the live units of other claims on the same workload or subscription."""
    found = ClaimUnit.objects.filter(live=True, program=unit.program, workload=unit.workload)
    if unit.workload:
        return found.filter(customer=unit.customer_id, subscription=None).exclude(claim=unit.claim_id)
    return found.filter(subscription=unit.subscription_id, role=unit.role).exclude(claim=unit.claim_id)


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
            due_at=due(claim, policy_on(at.date()).conflict_within, at),
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
    found = Conflict.objects.open().filter(program=unit.program)
    if unit.workload:
        return found.filter(customer=unit.customer_id, workload=unit.workload, subscription=None).first()
    return found.filter(subscription=unit.subscription_id, role=unit.role).first()


def open_conflicts(claim: Claim) -> list[Conflict]:
    """Return the open conflicts that a claim is a live side of."""
    return list(
        Conflict.objects.open()
        .filter(sides__claim=claim)
        .filter(
            Q(subscription=None, workload__in=claim.units.filter(live=True).values("workload"))
            | Q(subscription__in=claim.units.filter(live=True).values("subscription"))
        )
        .distinct()
        .order_by("pk")
    )


def require_none_open(claim: Claim) -> None:
    """Raise Refused, with the code `conflict_open`, while a conflict about the claim waits for its decision."""
    if open_conflicts(claim):
        raise Refused(*CONFLICT.refusals[ConflictStatus.OPEN])


def leave(claim: Claim, units: Sequence[ClaimUnit], *, at: datetime) -> list[history.EventDraft]:
    """Free units of a claim; close each of their open conflicts where one claim is left. Return the events.

    Nobody is approved by that.
    """
    events = []
    ClaimUnit.objects.filter(pk__in=[one.pk for one in units]).update(live=False)
    for unit in units:
        unit.live = False
        conflict = open_on(unit)
        if conflict is None or _others(unit).count() > 1:
            continue
        sides = [one.claim for one in sides_of(conflict)]
        conflict.status = CONFLICT.after(conflict.status, "[one claim is left]")
        conflict.closed_at = at
        conflict.version += 1
        conflict.save(update_fields=["status", "closed_at", "version"])
        events.append(told(ConflictEvent.CLOSED, conflict, sides, {"partner": recording.named(claim.partner)}))
    return events


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
