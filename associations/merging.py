"""Merging those lines of associations.csv that are judged one by one: all lines of a unit together."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import chain
from typing import NamedTuple

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from associations.attaching.actions.ending import end_reason_from_outside
from associations.changes import Before, begun, changes_of, moved_by_people
from associations.record import actions as record
from associations.record import bulk
from associations.record.locking import TICK
from associations.record.models import Association, start_of
from associations.record.policies import digital_only, policy_on
from associations.record.recording import bump_all, record_together
from associations.record.rules import FROM_OUTSIDE, TENANT_KINDS, AssociationKind, EndReason, Source
from por.directory.imports.common import unknown
from por.directory.imports.moves import row_on
from por.directory.models import Customer, Partner, Subscription
from por.imports.loading import Line, Outcome
from por.imports.reading import Unfit

Unit = Subscription | Customer


@dataclass(slots=True)
class AssociationLine(Line):
    subscription_id: uuid.UUID | None
    tenant_id: uuid.UUID | None  # instead, for the kinds that apply to a tenant
    mpn_id: str
    kind: str
    began_on: date
    ended_on: date | None

    @property
    def unit_id(self) -> uuid.UUID:
        unit_id = self.subscription_id or self.tenant_id
        assert unit_id is not None
        return unit_id

    @property
    def of_tenant(self) -> bool:
        return self.kind in TENANT_KINDS


def unit_of(row: AssociationLine) -> tuple[bool, uuid.UUID]:
    """Return the tenant or subscription of a line."""
    return row.of_tenant, row.unit_id


def merge_units(rows: Sequence[AssociationLine], outcome: Outcome) -> None:
    """Merge lines, all of each unit one after another, in the transaction of the batch."""
    units = _locked_units(rows)
    partners = _locked_partners({row.mpn_id for row in rows})
    stored = _stored(one for found in units.values() for one in found)
    judged: dict[Unit, list[_Line]] = defaultdict(list)
    for row in rows:
        try:
            unit, partner = _check(row, units, partners)
            judged[unit].append(_Line(row, unit, partner))
        except Unfit as unfit:
            outcome.refuse(row.line, unfit)
    corrected = _corrected(chain.from_iterable(judged.values()), stored)
    merge = _Merge(outcome, timezone.now(), moved_by_people(corrected))
    for unit, lines in judged.items():
        merge.add(lines, stored[unit])
    merge.save()


def _corrected(lines: Iterable[_Line], stored: Mapping[Unit, Sequence[Association]]) -> set[uuid.UUID]:
    """Return the subscriptions of which a line may correct a stored start."""
    units = (one.unit for one in lines if stored[one.unit] and _same(one, stored[one.unit]) is None)
    return {unit.subscription_id for unit in units if isinstance(unit, Subscription)}


def _locked_units(rows: Sequence[AssociationLine]) -> dict[uuid.UUID, list[Unit]]:
    """Return the tenants and subscriptions, locked in the order of all verbs: customers, then subscriptions, by key.

    A subscription that moved to another tenant has several rows.
    """
    of_tenants = Customer.objects.filter(tenant_id__in={row.unit_id for row in rows if row.of_tenant})
    of_subscriptions = Subscription.objects.filter(
        subscription_id__in={row.unit_id for row in rows if not row.of_tenant}
    )
    units: dict[uuid.UUID, list[Unit]] = defaultdict(list)
    for customer in of_tenants.order_by("pk").select_for_update(no_key=True):
        units[customer.tenant_id].append(customer)
    for subscription in of_subscriptions.order_by("pk").select_for_update(no_key=True):
        units[subscription.subscription_id].append(subscription)
    return units


def _locked_partners(mpn_ids: set[str]) -> dict[str, Partner]:
    found = Partner.objects.raw(
        "SELECT * FROM directory_partner WHERE mpn_id = ANY(%s) ORDER BY organisation_id FOR SHARE", [list(mpn_ids)]
    )
    return {partner.mpn_id: partner for partner in found}


def _stored(units: Iterable[Unit]) -> dict[Unit, list[Association]]:
    """Return all associations that each unit ever had, the undone ones too."""
    by_key: dict[tuple[int, int | None], Unit] = {}
    for unit in units:
        if isinstance(unit, Subscription):
            by_key[unit.customer_id, unit.pk] = unit
        else:
            by_key[unit.pk, None] = unit
    stored: dict[Unit, list[Association]] = {unit: [] for unit in by_key.values()}
    subscriptions = [pk for _customer, pk in by_key if pk is not None]
    tenants = [customer for customer, pk in by_key if pk is None]
    found = Association.objects.filter(Q(subscription__in=subscriptions) | Q(subscription=None, customer__in=tenants))
    for one in found.select_related("partner").order_by("pk"):
        stored[by_key[one.customer_id, one.subscription_id]].append(one)
    return stored


def _check(
    row: AssociationLine, units: dict[uuid.UUID, list[Unit]], partners: dict[str, Partner]
) -> tuple[Unit, Partner]:
    found, partner = units[row.unit_id], partners.get(row.mpn_id)
    unit: Unit | None  # a subscription may have the GUID of a tenant, and the reverse
    if row.of_tenant:
        unit = next((one for one in found if isinstance(one, Customer)), None)
    else:
        unit = row_on((one for one in found if isinstance(one, Subscription)), row.began_on)
    if unit is None:
        raise unknown("tenant_id", "customer") if row.of_tenant else unknown("subscription_id", "subscription")
    if partner is None:
        raise unknown("mpn_id", "partner", row.mpn_id)
    if partner.kind == Partner.Kind.GLOBAL:
        raise Unfit("mpn_id", "partner_is_global", _("This MPN ID belongs to a global account. Enter a location’s ID."))
    return unit, partner


class _Line(NamedTuple):
    """A line whose unit and partner are stored."""

    row: AssociationLine
    unit: Unit
    partner: Partner


class _Period(NamedTuple):
    """A period of an association, as it is or as a line gives it."""

    association: Association
    began_at: datetime
    ended_at: datetime | None


class _End(NamedTuple):
    """How the association of a line ends: when and why; or the day on which it will, while it is open."""

    at: datetime | None
    reason: str = ""
    is_inferred: bool = False
    ends_on: date | None = None


class _Change(NamedTuple):
    """What a line changes: a new association, or another period of one that is stored."""

    row: AssociationLine
    period: _Period
    end: _End
    is_new: bool

    @property
    def is_shorter(self) -> bool:
        """Return whether it only frees days: then it is in the way of no other line."""
        before = self.period.association
        return (
            not self.is_new
            and self.period.began_at >= before.began_at
            and self.period.ended_at is not None
            and (before.ended_at is None or self.period.ended_at <= before.ended_at)
        )

    @property
    def is_moved(self) -> bool:
        """Return whether it gives another start to an association that is stored."""
        return self.period.began_at != self.period.association.began_at


class _Merge:
    """The changes of one batch: units are added one by one, then everything is saved together."""

    def __init__(self, outcome: Outcome, now: datetime, moved_by_people: Collection[int]) -> None:
        self.outcome = outcome
        self.now = now
        self.moved_by_people = moved_by_people
        self.created: list[Association] = []
        self.shortened: list[bulk.End] = []
        self.moved: list[_Change] = []
        self.lengthened: list[bulk.End] = []
        self.reopened: list[Association] = []
        self.foreseen: dict[int, date | None] = {}
        self.before: dict[int, Before] = {}

    def add(self, lines: Sequence[_Line], known: Sequence[Association]) -> None:
        """Add the lines of one unit to what is known of it.

        Each line is first judged by itself, and only those that pass are compared with each other. Of two that overlap
        the first in the file is used. A line may have to wait for another one, which ends what is in its way.
        """
        fit = []
        for line in lines:
            try:
                if _same(line, known) is None:
                    _check_can_begin(line.row, line.unit)
                fit.append(line)
            except Unfit as unfit:
                self.outcome.refuse(line.row.line, unfit)
        same = _matched(fit, known, self.moved_by_people)
        changes: list[_Change] = []
        for line in fit:
            try:
                change = self._change(line, same[line.row.line])
            except Unfit as unfit:
                self.outcome.refuse(line.row.line, unfit)
                continue
            if change is None:
                self.outcome.unchanged += 1
            else:
                changes.append(change)
        matched = {id(one) for one in same.values()}
        periods = {id(one): _Period(one, one.began_at, one.ended_at) for one in known if one.undone_at is None}
        waiting = sorted(changes, key=lambda change: not change.is_shorter)
        while waiting:
            left = [change for change in waiting if not self._apply(change, periods)]
            if len(left) == len(waiting):
                break
            waiting = left
        for change in waiting:
            self.outcome.refuse(change.row.line, _why_not(change, periods, matched))

    def _change(self, line: _Line, same: Association | None) -> _Change | None:
        """Return what the line changes; None if it says what is stored. Raises Unfit."""
        row, unit, partner = line
        began_at, end = start_of(row.began_on), self._end_of(line)
        if same is None:
            new = record.draft(
                unit,
                partner,
                kind=row.kind,
                source=Source.ESTATE,
                began_at=began_at,
                ended_at=end.at,
                end_reason=end.reason,
                end_inferred=end.is_inferred,
                ends_on=end.ends_on,
                attached_at=self.now,
            )
            return _Change(row, _Period(new, began_at, end.at), end, is_new=True)
        if same.undone_at is None and _says_the_same(row, same):
            return None
        if same.began_at.date() == row.began_on:
            began_at = same.began_at
        from_outside = same.end_reason in FROM_OUTSIDE
        if same.undone_at is not None or not (from_outside or _is_from_files(same)):
            raise _changed_in_product(row, same)
        if end.is_inferred and (from_outside or same.ended_at is None):
            # Another file gives the reason, and the end that it has made stands, or is made after all files.
            end = _End(same.ended_at, same.end_reason, same.end_inferred, same.ends_on)
        elif from_outside and end.at is None:
            self._check_can_reopen(row, same)
        elif end.at is not None and not end.is_inferred:
            end = end._replace(reason=same.end_reason if end.at == same.ended_at else EndReason.FILE)
        if (began_at, end.at, end.ends_on) == (same.began_at, same.ended_at, same.ends_on) and (
            not from_outside or end.reason == same.end_reason
        ):
            return None
        return _Change(row, _Period(same, began_at, end.at), end, is_new=False)

    def _end_of(self, line: _Line) -> _End:
        """Return how the association of a line ends. One that cannot be in force now has ended, if no one knows when.

        It has ended when its subscription was to be renewed, if that has passed; otherwise now.
        """
        row, unit, partner = line
        today = self.now.date()
        if row.ended_on is not None and row.ended_on <= today:
            return _End(start_of(row.ended_on))
        reason = end_reason_from_outside(row.kind, unit, partner)
        if reason is None:
            return _End(None, ends_on=row.ended_on)
        if reason == EndReason.SUBSCRIPTION_MOVED and isinstance(unit, Subscription) and unit.left_at is not None:
            return _End(unit.left_at, reason, is_inferred=True)
        renewal = _renewal_of_expired(unit) if row.kind == AssociationKind.DPOR else None
        if renewal is not None and row.began_on < renewal <= today:  # whatever has become of the partner since
            return _End(start_of(renewal), EndReason.SUBSCRIPTION_EXPIRED, is_inferred=True)
        return _End(max(self.now, start_of(row.began_on) + TICK), reason, is_inferred=True)

    def _check_can_reopen(self, row: AssociationLine, ended: Association) -> None:
        days = policy_on(self.now.date()).reopen_from_file_days
        assert ended.ended_at is not None
        if max(ended.ended_at, ended.attached_at) <= self.now - timedelta(days=days):
            raise Unfit(
                "ended_on",
                "ended_too_long_ago",
                _(
                    "An import ended this more than %(days)s days ago, so it stays ended: the file says %(file)s, and "
                    "%(stored)s is stored. Attach the partner in the product."
                )
                % {"days": days, "file": _of_row(row), "stored": _of_stored(ended)},
            )

    def _apply(self, change: _Change, periods: dict[int, _Period]) -> bool:
        """Make the change, unless another period is in its way; return whether it was made."""
        if any(_blocking(change, periods)):
            return False
        association = change.period.association
        periods[id(association)] = change.period
        if change.is_new:
            self.created.append(association)
            self.outcome.created[association.customer_id] += 1
            return True
        self.before[association.pk] = Before.of(association)
        if change.is_moved:
            self.moved.append(change)
        elif change.end.at is not None:
            ends = self.shortened if change.is_shorter else self.lengthened
            ends.append(bulk.End(association, change.end.at, change.end.reason, change.end.is_inferred))
        elif association.ended_at is not None:
            self.reopened.append(association)
        if change.end.ends_on != association.ends_on:
            self.foreseen[association.pk] = change.end.ends_on
        self.outcome.changed[association.customer_id] += 1
        return True

    def save(self) -> None:
        """Save the changes in an order in which no period overlaps another one at any time. The events are the last.

        What is shorter frees days for moves, which keep their order; what takes days comes after them.
        """
        bulk.end(self.shortened)
        for change in self.moved:
            association, began_at, ended_at = change.period
            reason, is_inferred = change.end.reason, change.end.is_inferred
            record.redate(
                association, began_at=began_at, ended_at=ended_at, end_reason=reason, end_inferred=is_inferred
            )
        bulk.end(self.lengthened)
        bulk.foresee(self.foreseen)
        bulk.begin(self.created)
        bulk.reopen(self.reopened)
        changed = Association.objects.filter(pk__in=self.before).with_names().order_by("pk")
        done = [change for one in changed for change in changes_of(self.before[one.pk], one)]
        described = self.before.keys() - {change.association.pk for change in done}
        done += begun({one.pk: one.customer_id for one in self.created})
        bump_all(one.subscription_id for one in (*changed, *self.created) if one.kind == AssociationKind.DPOR)
        record_together(done, at=timezone.now(), is_new_version=False, described=sorted(described))


def _blocking(change: _Change, periods: Mapping[int, _Period]) -> Iterator[_Period]:
    """Yield the periods of other partners of record that overlap that of the change. Other kinds may overlap."""
    one = change.period
    if one.association.kind == AssociationKind.DPOR:
        for other in periods.values():
            of_record = other.association.kind == AssociationKind.DPOR
            if of_record and other.association is not one.association and _overlap(one, other):
                yield other


def _why_not(change: _Change, periods: Mapping[int, _Period], matched: Collection[int]) -> Unfit:
    """Return why the change cannot be made. The same partner's period that no line is about was moved by a person."""
    found = next(_blocking(change, periods))
    other = found.association
    if other.partner_id == change.period.association.partner_id and other.pk and id(other) not in matched:
        return _changed_in_product(change.row, other)
    message = _(
        "This period, %(file)s, overlaps another partner’s period or another line: %(stored)s of MPN ID %(mpn_id)s."
    )
    stored = _iso(found.began_at.date(), found.ended_at and found.ended_at.date())
    values = {"file": _of_row(change.row), "stored": stored, "mpn_id": other.partner.mpn_id}
    return Unfit("began_on", "overlaps_another_period", message % values)


def _renewal_of_expired(unit: Unit) -> date | None:
    return unit.renews_on if isinstance(unit, Subscription) and unit.status == Subscription.Status.EXPIRED else None


def _says_the_same(row: AssociationLine, stored: Association) -> bool:
    """Return whether the line repeats what is stored. A day that replaces a reason from outside is something new."""
    ends_on = stored.ended_at.date() if stored.ended_at else stored.ends_on
    if (stored.began_at.date(), ends_on) != (row.began_on, row.ended_on):
        return False
    return row.ended_on is None or stored.end_reason not in FROM_OUTSIDE


def _is_from_files(stored: Association) -> bool:
    """Return whether the period is as files have given it, and no person has changed it since."""
    if stored.end_reason == EndReason.FILE:
        return True
    return stored.source == Source.ESTATE and stored.reopened_at is None and not stored.end_reason


def _matched(
    lines: Sequence[_Line], known: Sequence[Association], moved_by_people: Collection[int]
) -> dict[int, Association | None]:
    """Return the association that each line is about, by its number.

    It is the one with the same partner, kind and first day. A line without such a one may correct the first day of one
    that no other line is about: it overlaps it, files have given it, and no person has moved it.
    """
    found = {line.row.line: _same(line, known) for line in lines}
    taken = {id(one) for one in found.values()}
    for line in lines:
        if found[line.row.line] is None:
            for one in known:
                if id(one) not in taken and _may_be_moved(line, one, moved_by_people):
                    found[line.row.line] = one
                    taken.add(id(one))
                    break
    return found


def _may_be_moved(line: _Line, one: Association, moved_by_people: Collection[int]) -> bool:
    row = line.row
    if (one.partner_id, one.kind, one.undone_at) != (line.partner.pk, row.kind, None):
        return False
    given = _Period(one, start_of(row.began_on), start_of(row.ended_on) if row.ended_on else None)
    if not _overlap(given, _Period(one, one.began_at, one.ended_at)):
        return False
    is_from_files = one.source == Source.ESTATE and one.reopened_at is None
    return is_from_files and one.end_reason in {"", EndReason.FILE, *FROM_OUTSIDE} and one.pk not in moved_by_people


def _same(line: _Line, known: Sequence[Association]) -> Association | None:
    """Return the association a line is about: same unit, partner, kind and first day; preferably one not undone."""
    row = line.row
    found = [
        one
        for one in known
        if one.partner_id == line.partner.pk and one.kind == row.kind and one.began_at.date() == row.began_on
    ]
    return min(found, key=lambda one: (one.undone_at is not None, one.source != Source.ESTATE), default=None)


def _overlap(one: _Period, other: _Period) -> bool:
    return (one.ended_at is None or other.began_at < one.ended_at) and (
        other.ended_at is None or one.began_at < other.ended_at
    )


def _check_can_begin(row: AssociationLine, unit: Unit) -> None:
    if isinstance(unit, Subscription) and row.began_on < unit.started_on:
        raise Unfit(
            "began_on",
            "began_before_subscription",
            _("The start date cannot be before %(day)s, when the subscription started.")
            % {"day": unit.started_on.isoformat()},
        )
    if (
        row.kind == AssociationKind.OSA_FORM
        and isinstance(unit, Subscription)
        and digital_only(unit.agreement, unit.started_on)
    ):
        raise Unfit(
            "kind",
            "digital_only",
            _(
                "This Enterprise Agreement deal started on %(day)s. By then, only a digital partner of record "
                "was possible."
            )
            % {"day": unit.started_on.isoformat()},
        )


def _changed_in_product(row: AssociationLine, stored: Association) -> Unfit:
    message = _(
        "This was changed in the product, so the import did not change it: the file says %(file)s, and %(stored)s is "
        "stored."
    )
    return Unfit("", "changed_in_product", message % {"file": _of_row(row), "stored": _of_stored(stored)})


def _of_row(row: AssociationLine) -> str:
    return _iso(row.began_on, row.ended_on)


def _of_stored(stored: Association) -> str:
    if stored.undone_at is not None:
        return _("nothing, because it was undone,")
    return _iso(stored.began_at.date(), stored.ended_at.date() if stored.ended_at else stored.ends_on)


def _iso(began_on: date, ended_on: date | None) -> str:
    """Return a period as ISO 8601 writes it."""
    return f"{began_on.isoformat()}/{ended_on.isoformat() if ended_on else '..'}"
