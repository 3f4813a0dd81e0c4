"""Stored claims without a programme become claims named "FRP Migrated FRP"; of CRM Online, or of workloads of the SKU.

Imports made such associations while there were no claims. Some customers at a time have a transaction of their own, in
which their rows are locked; other customers are written meanwhile. If it is stopped, it is simply run again. What
cannot be a claim stays as it is and is listed in the log: Azure, a SKU without workloads, and what began while another
partner had the unit.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, migrations, transaction
from django.db.models import F, Q
from django.utils import timezone

from associations.record.describing import fingerprints_of
from por.accounts.models import SYSTEM
from por.history.actions import recording as history

logger = logging.getLogger(__name__)

CUSTOMERS = 100  # in one transaction
NAME = "FRP Migrated FRP"
M365, BIZAPPS, ROLE = "osu_m365", "osu_bizapps", "usage"
WORKLOADS = {"exo", "spo", "teams", "yammer", "proplus", "intune", "aadp", "aip"}
#: What an association keeps of its period and its end.
KEPT = (
    *("began_at", "ended_at", "ends_on", "end_reason", "end_inferred", "attached_at", "note", "end_note"),
    *("seats_at_end", "status_at_end", "renews_on_at_end", "version_at_end"),
)


class Unit(NamedTuple):
    """What one claim holds at a time: a workload of the tenant, or a subscription."""

    program: str
    workload: str
    subscription: int | None


class Left(NamedTuple):
    """An association, or one workload of it, that is no claim, and why."""

    association: int
    workload: str
    why: str


class Claimed(NamedTuple):
    """A period in which a partner has a unit, and the stored association that it comes from."""

    partner: int
    began_at: datetime
    ended_at: datetime | None
    source: Any


def migrate(apps: Any, schema_editor: Any) -> list[Left]:
    """Make claims of all stored associations that can be ones; log and return the others."""
    stored = apps.get_model("associations", "Association").objects.filter(kind="cpor", program="", undone_at=None)
    left: list[Left] = []
    last = 0
    while True:
        found = stored.filter(customer__gt=last).order_by("customer_id").values_list("customer_id", flat=True)
        if not (customers := list(found.distinct()[:CUSTOMERS])):
            break
        with transaction.atomic():
            left += _migrate(apps, stored.filter(customer__in=customers), customers)
        last = customers[-1]
    for one in left:
        what = f"association {one.association}" + (f", workload {one.workload}" if one.workload else "")
        logger.warning("This stays an association without a programme: %s (%s).", what, one.why)
    return left


def _migrate(apps: Any, stored: Any, customers: Sequence[int]) -> list[Left]:
    subscriptions = apps.get_model("directory", "Subscription").objects
    list(
        apps.get_model("directory", "Customer")
        .objects.filter(pk__in=customers)
        .order_by("pk")
        .select_for_update(no_key=True)
        .values_list("pk")
    )
    of_them = subscriptions.filter(pk__in=stored.values("subscription")).order_by("pk")
    list(of_them.select_for_update(no_key=True).values_list("pk"))
    rows = list(
        stored.select_related("subscription__sku", "partner__organisation", "customer__organisation").order_by(
            "customer", "began_at", "pk"
        )
    )
    workloads = _workloads(apps, {one.subscription.sku_id for one in rows})
    held = _held(apps, customers)
    left: list[Left] = []
    claims: dict[tuple[int, int, str], dict[Unit, list[Claimed]]] = defaultdict(lambda: defaultdict(list))
    for one in rows:
        units, why = _units_of(one, workloads)
        if why:
            left.append(Left(one.pk, "", why))
        for unit in units:
            periods = held[one.customer_id, unit]
            if any(other.partner != one.partner_id and _overlap(other, one) for other in periods):
                left.append(Left(one.pk, unit.workload, "another partner had it before"))
                continue
            mine = Claimed(one.partner_id, one.began_at, one.ended_at, one)
            periods.append(mine)
            claims[one.partner_id, one.customer_id, unit.program][unit].append(mine)
    now = timezone.now()
    events = [_make(apps, program, units, now) for (_partner, _customer, program), units in claims.items()]
    changed = {one.source.subscription_id for units in claims.values() for found in units.values() for one in found}
    subscriptions.filter(pk__in=changed).update(version=F("version") + 1)
    history.record_each(by=SYSTEM, at=now, events=events)
    return left


def _workloads(apps: Any, skus: set[int | None]) -> dict[int, set[str]]:
    pairs = apps.get_model("directory", "Sku").objects.filter(pk__in=skus - {None})
    found: dict[int, set[str]] = defaultdict(set)
    for sku, workload in pairs.values_list("pk", "plans__workload"):
        found[sku] |= {workload} & WORKLOADS
    return found


def _units_of(one: Any, workloads: dict[int, set[str]]) -> tuple[list[Unit], str]:
    """Return the units that an association is of, or why it is of none."""
    if one.subscription.product == "azure":
        return [], "Azure is no claim"
    if one.subscription.product == "crm_online":
        return [Unit(BIZAPPS, "", one.subscription_id)], ""
    found = sorted(workloads.get(one.subscription.sku_id, ()))
    return [Unit(M365, workload, None) for workload in found], "" if found else "the SKU has no workloads"


def _held(apps: Any, customers: Sequence[int]) -> dict[tuple[int, Unit], list[Claimed]]:
    """Return who has, or had, each unit of these customers by a claim already."""
    held: dict[tuple[int, Unit], list[Claimed]] = defaultdict(list)
    claimed = apps.get_model("associations", "Association").objects.filter(~Q(program=""), undone_at=None)
    for one in claimed.filter(customer__in=customers, role=ROLE):
        unit = Unit(one.program, one.workload, one.subscription_id)
        held[one.customer_id, unit].append(Claimed(one.partner_id, one.began_at, one.ended_at, one))
    waiting = apps.get_model("claims", "ClaimUnit").objects.filter(live=True, association=None, role=ROLE)
    for one in waiting.filter(customer__in=customers).select_related("claim"):
        unit = Unit(one.program, one.workload, one.subscription_id)
        held[one.customer_id, unit].append(Claimed(one.claim.partner_id, one.claim.submitted_at, None, one))
    return held


def _overlap(one: Any, other: Any) -> bool:
    return (one.ended_at is None or other.began_at < one.ended_at) and (
        other.ended_at is None or one.began_at < other.ended_at
    )


def _make(apps: Any, program: str, units: dict[Unit, list[Claimed]], now: datetime) -> history.EventDraft:
    """Make the claim of a partner for a customer in a programme, and the associations of its units; return the event."""
    claim_model, unit_model, step_model = (
        apps.get_model("claims", name) for name in ("Claim", "ClaimUnit", "ClaimStep")
    )
    association_model = apps.get_model("associations", "Association")
    sources = {one.source.pk: one.source for found in units.values() for one in found}
    first = min(sources.values(), key=lambda one: (one.began_at, one.pk))
    partner, customer = first.partner, first.customer
    pk, number = _number(claim_model)
    new: dict[Unit, list[Any]] = {}
    for unit, found in units.items():
        new[unit] = [
            association_model(
                kind="cpor",
                program=program,
                role=ROLE,
                workload=unit.workload,
                claim_number=number,
                customer=customer,
                subscription_id=unit.subscription,
                partner=partner,
                source="estate",
                **period,
            )
            for period in _joined(found, of_subscription=unit.subscription is not None)
        ]
    created = [one for found in new.values() for one in found]
    association_model.objects.bulk_create(created)
    for one in sources.values():
        one.undone_at = now
    association_model.objects.filter(pk__in=sources).update(undone_at=now)
    ends = [found[-1] for found in new.values()]
    is_open = any(one.ended_at is None for one in ends)
    last = max(ends, key=lambda one: (one.ended_at is None, one.ended_at or one.began_at))
    claim = claim_model.objects.create(
        pk=pk,
        number=number,
        name=NAME,
        program=program,
        role=ROLE,
        customer=customer,
        partner=partner,
        company_id=partner.organisation.parent_id or partner.pk,
        domain=customer.domain.lower(),
        origin="estate",
        status="approved" if is_open else "ended",
        consent="lapsed",
        end_reason="" if is_open else last.end_reason or "file",
        created_at=now,
        submitted_at=first.began_at,
        approved_at=first.began_at,
        closed_at=None if is_open else last.ended_at,
    )
    unit_model.objects.bulk_create(
        unit_model(
            claim=claim,
            program=program,
            role=ROLE,
            company_id=claim.company_id,
            customer=customer,
            workload=unit.workload,
            subscription_id=unit.subscription,
            live=found[-1].ended_at is None,
            outcome="held" if found[-1].ended_at is None else "ended",
            association=found[-1],
        )
        for unit, found in new.items()
    )
    steps = [("[imported]", "", "approved", claim.approved_at)]
    if not is_open:
        steps.append(("[nothing left]", "approved", "ended", claim.closed_at))
    step_model.objects.bulk_create(
        step_model(claim=claim, verb=verb, before=before, after=after, at=at) for verb, before, after, at in steps
    )
    payload = {
        "claim": pk,
        "number": number,
        "program": program,
        "role": ROLE,
        "partner": {"mpn_id": partner.mpn_id, "name": partner.organisation.name},
        "units": [_named(unit, sources.values()) for unit in units],
        "approved_at": claim.approved_at.isoformat(),
        "consent_due_at": None,
        "fingerprints": fingerprints_of(*sources.values(), *created),
    }
    about = history.ObjectRef("claim", str(pk), number)
    return history.EventDraft(customer.pk, payload, about, [partner.pk], "claim.imported")


def _number(claims: Any) -> tuple[int, str]:
    """Return a key for a claim, and a number that no claim has."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('claims_claim', 'id'))")
        pk: int = cursor.fetchone()[0]
    number = f"CPR-{pk:07d}"
    return pk, f"{number}-2" if claims.objects.filter(number=number).exists() else number


def _joined(found: Sequence[Claimed], *, of_subscription: bool) -> list[dict[str, Any]]:
    """Return the periods of a unit, in their order. Those that overlap or follow at once are one, with the later end."""
    periods: list[dict[str, Any]] = []
    for one in found:  # by their starts
        names = KEPT if of_subscription else KEPT[: KEPT.index("seats_at_end")]
        period = {name: getattr(one.source, name) for name in names}
        before = periods[-1] if periods else None
        if before is None or (before["ended_at"] is not None and before["ended_at"] < one.began_at):
            periods.append(period)
        elif before["ended_at"] is not None and (one.ended_at is None or one.ended_at > before["ended_at"]):
            periods[-1] = {**period, "began_at": before["began_at"], "attached_at": before["attached_at"]}
    return periods


def _named(unit: Unit, sources: Any) -> dict[str, str]:
    if unit.workload:
        return {"workload": unit.workload}
    one = next(one.subscription for one in sources if one.subscription_id == unit.subscription)
    return {"subscription": str(one.subscription_id), "name": one.sku.name if one.sku else one.product}


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ("claims", "0004_conflicts"),
        ("associations", "0030_seen_usage"),
        ("directory", "0015_enrolments"),
        ("accounts", "0009_former_names"),
        ("history", "0013_replay_event"),
    ]
    operations = [migrations.RunPython(migrate, migrations.RunPython.noop)]
