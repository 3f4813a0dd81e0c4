"""Merging the lines of claims.csv that say something new: those of a customer together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from django.db.models import Q
from django.utils.translation import gettext as _

from associations.claims.imports.saving import Correction, Wanted, save
from associations.claims.models import Claim, ClaimStep, ClaimUnit, ConflictSide, ProofUnit
from associations.claims.programs import claimable_then
from associations.claims.rules import CORRECTED, IMPORTED, ClaimStatus, Origin, Outcome, Program, Role
from associations.record.models import Association, start_of
from associations.record.rules import FROM_OUTSIDE
from por.directory import actions as directory
from por.directory.imports.common import unknown
from por.directory.models import Customer, Partner, Subscription
from por.imports.loading import Line
from por.imports.loading import Outcome as Counts
from por.imports.reading import Unfit

#: The role of every claim in a programme that files bring; files do not name one.
ROLES = {Program.OSU_M365: Role.USAGE, Program.OSU_BIZAPPS: Role.USAGE, Program.OSA_SELL: Role.PRESALES}
#: The steps that only files cause.
FROM_FILES = (IMPORTED, CORRECTED, "[nothing left]", "[goes on]")


@dataclass(slots=True)
class ClaimLine(Line):
    """The units of a line are sorted, with semicolons between them: so two lines about the same units are equal."""

    claim_number: str
    name: str
    mpn_id: str
    tenant_id: UUID
    program: str
    workloads: str
    subscription_ids: str
    approved_on: date


class _Period(NamedTuple):
    """The time in which a claim holds a unit, or has held it. A claim is known by its number, a draft by none."""

    number: str
    began_at: datetime
    ended_at: datetime | None


#: What is known of each unit.
_Periods = dict[tuple[str | int | None, ...], list[_Period]]


class _Line(NamedTuple):
    row: ClaimLine
    wanted: Wanted
    stored: Claim | None


def merge(rows: Sequence[ClaimLine], outcome: Counts) -> None:
    """Merge lines, all of each customer one after another, in the transaction of the batch."""
    known = _Known(rows)
    created: list[Wanted] = []
    corrected: list[Correction] = []
    for _tenant, lines in groupby(rows, key=attrgetter("tenant_id")):
        fit = []
        for row in lines:
            try:
                line = known.judged(row)
            except Unfit as unfit:
                outcome.refuse(row.line, unfit)
                continue
            if line is None:
                outcome.unchanged += 1
            else:
                fit.append(line)
        for line in _without_overlaps(fit, known.periods, outcome):
            if line.stored is None:
                created.append(line.wanted)
                outcome.created[line.wanted.customer.pk] += 1
            else:
                corrected.append(Correction(line.stored, line.wanted, known.units[line.stored.pk]))
                outcome.changed[line.wanted.customer.pk] += 1
    save(created, corrected)


class _Known:
    """What is stored of the customers, partners, subscriptions and claims that some lines name; all of it locked."""

    def __init__(self, rows: Sequence[ClaimLine]) -> None:
        tenants = Customer.objects.filter(tenant_id__in={row.tenant_id for row in rows}).order_by("pk")
        locked = tenants.select_related("organisation").select_for_update(of=("self",), no_key=True)
        self.customers = {one.tenant_id: one for one in locked}
        keys = [one.pk for one in self.customers.values()]
        ids = {one for row in rows for one in row.subscription_ids.split(";") if one}
        found = Subscription.objects.filter(subscription_id__in=ids).select_related("sku").order_by("pk")
        self.subscriptions: dict[str, list[Subscription]] = defaultdict(list)
        for subscription in found.select_for_update(of=("self",), no_key=True):
            self.subscriptions[str(subscription.subscription_id)].append(subscription)
        partners = Partner.objects.filter(mpn_id__in={row.mpn_id for row in rows}).order_by("pk")
        directory.lock([one.pk for one in partners])
        self.partners = {one.mpn_id: one for one in partners.select_related("organisation").all()}
        claims = Claim.objects.filter(number__in=[row.claim_number for row in rows])
        named = claims.select_related("partner__organisation", "customer__organisation")
        self.claims = {one.number: one for one in named}
        pks = [one.pk for one in self.claims.values()]
        self.units: dict[int, list[ClaimUnit]] = defaultdict(list)
        units = ClaimUnit.objects.filter(claim__in=pks).select_related("subscription__sku", "association")
        for unit in units.order_by("pk"):
            self.units[unit.claim_id].append(unit)
        self.in_conflict = set(ConflictSide.objects.filter(claim__in=pks).values_list("claim", flat=True))
        self.proved = set(ProofUnit.objects.filter(unit__claim__in=pks).values_list("unit", flat=True))
        steps = ClaimStep.objects.filter(claim__in=pks).exclude(verb__in=FROM_FILES)
        self.stepped = set(steps.values_list("claim", flat=True))
        self.periods = _periods(keys)

    def judged(self, row: ClaimLine) -> _Line | None:
        """Return the line with what it names; None if it says what is stored. Raises Unfit."""
        customer, partner = self.customers.get(row.tenant_id), self.partners.get(row.mpn_id)
        if customer is None:
            raise unknown("tenant_id", "customer")
        if partner is None:
            raise unknown("mpn_id", "partner", row.mpn_id)
        if partner.kind == Partner.Kind.GLOBAL:
            raise Unfit(
                "mpn_id", "partner_is_global", _("This MPN ID belongs to a global account. Enter a location’s ID.")
            )
        program = Program(row.program)
        wanted = Wanted(
            number=row.claim_number,
            name=row.name,
            partner=partner,
            customer=customer,
            program=program,
            role=ROLES[program],
            workloads=tuple(filter(None, row.workloads.split(";"))),
            subscriptions=tuple(self._subscription(one, customer, row) for one in _ids(row)),
            approved_at=start_of(row.approved_on),
        )
        _check_units(row, wanted)
        stored = self.claims.get(row.claim_number)
        if stored is not None:
            if (stored.partner_id, stored.customer_id, stored.program) != (partner.pk, customer.pk, program):
                raise _number_taken(row, stored)
            units = self.units[stored.pk]
            if (stored.name, stored.approved_at, {one.key for one in units}) == (
                *(wanted.name, wanted.approved_at),
                set(wanted.keys),
            ):
                return None
            self._check_can_be_corrected(stored, wanted)
        return _Line(row, wanted, stored)

    def _subscription(self, subscription_id: str, customer: Customer, row: ClaimLine) -> Subscription:
        found = self.subscriptions.get(subscription_id)
        if not found:
            raise unknown("subscription_ids", "subscription", subscription_id)
        one = next((one for one in found if one.customer_id == customer.pk), None)
        approved_at = start_of(row.approved_on)
        if one is None or (one.left_at is not None and one.left_at <= approved_at):
            raise Unfit(
                "subscription_ids",
                "not_on_tenant",
                _("This subscription belonged to another tenant on that day."),
                subscription_id,
            )
        if row.approved_on < one.started_on:
            raise Unfit(
                "approved_on",
                "began_before_subscription",
                _("The start date cannot be before %(day)s, when the subscription started.")
                % {"day": one.started_on.isoformat()},
            )
        return one

    def _check_can_be_corrected(self, stored: Claim, wanted: Wanted) -> None:
        if stored.status == ClaimStatus.ENDED and stored.end_reason in FROM_OUTSIDE:
            raise Unfit(
                "",
                "claim_has_ended",
                _("This claim has ended: %(why)s. It can be corrected if it goes on: then import the row again.")
                % {"why": stored.get_end_reason_display()},
            )
        gone = [one for one in self.units[stored.pk] if one.key not in wanted.keys]
        if (
            stored.origin != Origin.ESTATE
            or stored.status != ClaimStatus.APPROVED
            or stored.pk in self.stepped
            or stored.pk in self.in_conflict
            or any(map(_was_taken, self.units[stored.pk]))
            or any(one.pk in self.proved for one in gone)
        ):
            raise Unfit(
                "",
                "changed_in_product",
                _(
                    "This was changed in the product, so the import did not change it: the file says %(file)s, and "
                    "%(stored)s is stored."
                )
                % {"file": _said(wanted), "stored": self._said_of(stored)},
            )

    def _said_of(self, stored: Claim) -> str:
        units = ", ".join(sorted(one.workload or str(_id_of(one)) for one in self.units[stored.pk]))
        day = f"{stored.approved_at:%Y-%m-%d}" if stored.approved_at else "–"
        return f"{stored.name}, {units}, {day}, {stored.get_status_display()}"


def _was_taken(unit: ClaimUnit) -> bool:
    """Return whether a decision or a person has taken the unit; an end that files made is no such thing."""
    ended = unit.association is not None and unit.association.ended_at is not None
    reason = unit.association.end_reason if unit.association else ""
    return unit.outcome == Outcome.LOST or (ended and reason not in FROM_OUTSIDE)


def _ids(row: ClaimLine) -> list[str]:
    return [one for one in row.subscription_ids.split(";") if one]


def _id_of(unit: ClaimUnit) -> UUID | None:
    return unit.subscription.subscription_id if unit.subscription else None


def _said(wanted: Wanted) -> str:
    units = [*wanted.workloads, *(str(one.subscription_id) for one in wanted.subscriptions)]
    return f"{wanted.name}, {', '.join(units)}, {wanted.approved_at:%Y-%m-%d}"


def _check_units(row: ClaimLine, wanted: Wanted) -> None:
    """Raise Unfit unless these units can be claimed in the programme.

    Who sold a subscription and what has become of it do not matter: the claim was approved.
    """
    offered = claimable_then(wanted.program, row.approved_on)
    column = "workloads" if offered.workloads else "subscription_ids"
    if not wanted.keys:
        raise Unfit(column, "missing_value", _("Enter a value."))
    wrong = [one for one in wanted.workloads if one not in offered.workloads]
    wrong += [str(one.subscription_id) for one in wanted.subscriptions if one.product not in offered.products]
    if wrong:
        message = _("This cannot be claimed in this programme: %(units)s.") % {"units": ", ".join(wrong)}
        raise Unfit(column, "wrong_unit_for_program", message, wrong[0])


def _number_taken(row: ClaimLine, stored: Claim) -> Unfit:
    """Return the refusal of a line that gives the number of a stored claim another partner, customer or programme."""
    message = _(
        "The claim with this number is stored with another partner, customer or programme: MPN ID %(mpn_id)s, tenant "
        "%(tenant)s, %(program)s."
    )
    values = {
        "mpn_id": stored.partner.mpn_id,
        "tenant": stored.customer.tenant_id,
        "program": stored.program,
    }
    return Unfit("claim_number", "claim_number_taken", message % values, row.claim_number)


def _periods(customers: Iterable[int]) -> _Periods:
    """Return who has held or holds each unit of these customers: by an association, or by a claim that waits."""
    found: _Periods = defaultdict(list)
    claimed = Association.objects.not_undone().filter(~Q(program=""), customer__in=customers)
    for one in claimed:
        assert one.unit is not None
        found[one.unit].append(_Period(one.claim_number, one.began_at, one.ended_at))
    waiting = ClaimUnit.objects.filter(live=True, association=None, customer__in=customers).select_related("claim")
    for unit in waiting:
        assert unit.claim.submitted_at is not None
        found[unit.key].append(_Period(unit.claim.number, unit.claim.submitted_at, None))
    return found


def _without_overlaps(lines: Sequence[_Line], periods: _Periods, outcome: Counts) -> Iterator[_Line]:
    """Yield those lines whose units nobody else holds since they were approved; refuse the others.

    Of two that name one unit the first in the file is used. A line may have to wait for another one that frees a unit.
    """
    waiting = list(lines)
    while waiting:
        left = []
        for line in waiting:
            if next(_others(line, periods), None) is not None:
                left.append(line)
                continue
            _take(line, periods)
            yield line
        if len(left) == len(waiting):
            break
        waiting = left
    for line in waiting:
        outcome.refuse(line.row.line, _overlaps(line, next(_others(line, periods))))


def _others(line: _Line, periods: _Periods) -> Iterator[_Period]:
    """Yield the periods of other claims that overlap that of a line, which has no end."""
    for key in line.wanted.keys:
        for one in periods.get(key, ()):
            if one.number != line.wanted.number and (one.ended_at is None or one.ended_at > line.wanted.approved_at):
                yield one


def _take(line: _Line, periods: _Periods) -> None:
    number = line.wanted.number
    if line.stored is not None:
        for key, known in periods.items():
            periods[key] = [one for one in known if one.number != number]
    for key in line.wanted.keys:
        periods[key].append(_Period(number, line.wanted.approved_at, None))


def _overlaps(line: _Line, other: _Period) -> Unfit:
    message = _(
        "Another claim, %(number)s, holds one of these units: from %(began)s until %(ended)s. The row says from "
        "%(day)s on."
    )
    values = {
        "number": other.number,
        "began": f"{other.began_at:%Y-%m-%d}",
        "ended": f"{other.ended_at:%Y-%m-%d}" if other.ended_at else "..",
        "day": line.row.approved_on.isoformat(),
    }
    return Unfit("approved_on", "overlaps_another_period", message % values)
