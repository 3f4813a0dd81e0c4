"""Importing the associations of an estate, and ending what an estate overtakes. docs/estates.md defines the lines."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby

from django.db import connection
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from associations.attaching.actions.activation import attach_sellers
from associations.attaching.actions.ending import end_overtaken, end_reason_from_outside
from associations.invitations.actions import expire_invitations
from associations.record import actions as record
from associations.record import bulk, describing
from associations.record.models import Association, start_of
from associations.record.policies import digital_only, digital_only_from
from associations.record.recording import about_subscription, named
from associations.record.rules import TENANT_KINDS, AssociationKind, EndReason, Source
from associations.renewals.actions import follow_replacements
from associations.renewals.events import RenewalEvent
from por.accounts.models import SYSTEM
from por.directory.imports.common import required_mpn_id, unknown
from por.directory.imports.subscriptions import Changes
from por.directory.models import Customer, Partner, Subscription
from por.history.actions import recording as history
from por.imports.loading import HERE, File, Line, Outcome, Places
from por.imports.opening import Columns
from por.imports.reading import Cells, Unfit
from por.imports.staging import DAY, GUID, Plain

Unit = Subscription | Customer

NAMES = ["subscription_id", "tenant_id", "mpn_id", "kind", "began_on", "ended_on"]

#: An end that an import itself made is kept.
FROM_OUTSIDE = {EndReason.SUBSCRIPTION_EXPIRED, EndReason.PARTNER_CLOSED}


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


def _parse(cells: Cells) -> AssociationLine:
    subscription, tenant = cells.guid("subscription_id"), cells.guid("tenant_id")
    row = AssociationLine(
        line=cells.line,
        subscription_id=subscription,
        tenant_id=tenant,
        mpn_id=required_mpn_id(cells, "mpn_id"),
        kind=cells.choice("kind", AssociationKind.values, words="attribution"),
        began_on=cells.required_day("began_on"),
        ended_on=cells.day("ended_on"),
    )
    if (subscription is None) == (tenant is None):
        raise Unfit("subscription_id", "one_of_subscription_and_tenant", _("Enter either a subscription or a tenant."))
    if row.of_tenant and subscription:
        raise Unfit(
            "subscription_id", "wrong_unit_for_kind", _("This type applies to a tenant, not to a subscription.")
        )
    if not row.of_tenant and tenant:
        raise Unfit("tenant_id", "wrong_unit_for_kind", _("This type applies to a subscription, not to a tenant."))
    today = timezone.now().date()
    if row.began_on > today:
        raise Unfit("began_on", "began_in_future", _("The start date cannot be in the future."))
    if row.ended_on and row.ended_on <= row.began_on:
        raise Unfit("ended_on", "ended_not_after_began", _("The end date must be after the start date."))
    if row.ended_on and row.ended_on > today:
        raise Unfit("ended_on", "ended_in_future", _("The end date cannot be in the future."))
    return row


def _order(
    rows: Iterable[AssociationLine], refuse: Callable[[AssociationLine, Unfit], None]
) -> Iterable[AssociationLine]:
    """Yield the lines of each unit, ended ones before those that follow. Refuse the second of two that overlap."""
    for _unit, lines in groupby(rows, key=lambda row: (row.of_tenant, row.unit_id)):
        kept: list[AssociationLine] = []
        for row in lines:
            if row.kind == AssociationKind.DPOR and any(
                other.kind == AssociationKind.DPOR and _lines_overlap(row, other) for other in kept
            ):
                refuse(row, _overlaps())
            else:
                kept.append(row)
        yield from sorted(kept, key=lambda row: (row.ended_on or date.max, row.began_on))


def _lines_overlap(one: AssociationLine, other: AssociationLine) -> bool:
    return one.began_on < (other.ended_on or date.max) and other.began_on < (one.ended_on or date.max)


_OF_SUBSCRIPTION = "|".join(kind for kind in AssociationKind.values if kind not in TENANT_KINDS)
_PLAIN = re.compile(
    rf"(?:{GUID},,[0-9]{{4,10}},(?:{_OF_SUBSCRIPTION})|,{GUID},[0-9]{{4,10}},(?:{'|'.join(TENANT_KINDS)}))"
    rf",({DAY}),({DAY})?".encode()
)


def _plain() -> Plain:
    today = timezone.now().date().isoformat().encode()

    def plain(line: bytes) -> bytes | None:
        match = _PLAIN.fullmatch(line)
        if match is None:
            return None
        began, ended = match.groups()
        return line if began <= today and (ended is None or began < ended <= today) else None

    return plain


def _found() -> str:
    """Return SQL for the lines of every unit that differs from what is stored, the lines of a unit together.

    A unit is apart, and is merged line by line, if something is stored of it, two of its lines overlap, or one of its
    lines may be refused.
    """
    return f"""
        SELECT {", ".join(f"line.{name}" for name in ("line", *NAMES))},
            apart, subscription_pk, customer_pk, partner_pk
        FROM (
            SELECT judged.*, bool_and(is_known) OVER unit AS is_known_unit,
                coalesce(bool_or(may_be_refused) OVER unit, false) AS apart
            FROM (
                SELECT looked_up.*,
                    coalesce(known.is_known, false) AS is_known,
                    known.is_stored
                    OR partner_pk IS NULL OR customer_pk IS NULL OR partner_kind = 'global'
                    OR began_on < started_on
                    OR (kind = 'osa_form' AND agreement = 'EA' AND started_on >= '{digital_only_from().isoformat()}')
                    OR (ended_on IS NULL AND (partner_status = 'closed' OR subscription_status = 'expired'))
                    OR (kind = 'dpor' AND began_on < max(coalesce(ended_on, 'infinity')) OVER (
                        PARTITION BY subscription_id, tenant_id, kind ORDER BY began_on, line
                        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                    )) IS TRUE AS may_be_refused
                FROM ({_LOOKED_UP}) AS looked_up
                CROSS JOIN LATERAL ({_KNOWN}) AS known
            ) AS judged
            WINDOW unit AS (PARTITION BY subscription_id, tenant_id)
        ) AS line
        WHERE NOT is_known_unit
        ORDER BY subscription_id, tenant_id, line
    """


_LOOKED_UP = """
    SELECT staged.*, subscription.id AS subscription_pk, subscription.started_on, subscription.agreement,
        subscription.status AS subscription_status,
        coalesce(subscription.customer_id, customer.organisation_id) AS customer_pk,
        partner.organisation_id AS partner_pk, partner.kind AS partner_kind, partner.status AS partner_status
    FROM estate_staged_associations AS staged
    LEFT JOIN directory_subscription AS subscription USING (subscription_id)
    LEFT JOIN directory_customer AS customer USING (tenant_id)
    LEFT JOIN directory_partner AS partner USING (mpn_id)
"""
# The same rules as in _same and _Merge.add: whether anything is stored of the unit, and whether this line is stored.
_KNOWN = f"""
    SELECT count(*) > 0 AS is_stored,
        (array_agg(
            one.undone_at IS NULL AND (
                (one.ended_at AT TIME ZONE 'UTC')::date IS NOT DISTINCT FROM ended_on
                OR one.end_reason IN ({", ".join(f"'{reason}'" for reason in sorted(FROM_OUTSIDE))})
            )
            ORDER BY one.undone_at IS NOT NULL, one.source <> 'estate', one.id
        ) FILTER (
            WHERE one.partner_id = partner_pk AND one.kind = looked_up.kind
                AND (one.began_at AT TIME ZONE 'UTC')::date = began_on
        ))[1] AS is_known
    FROM (
        SELECT * FROM associations_association WHERE subscription_id = subscription_pk
        UNION ALL
        SELECT * FROM associations_association
        WHERE subscription_pk IS NULL AND customer_id = customer_pk AND subscription_id IS NULL
    ) AS one
"""


def _merge_all(places: Places, outcome: Outcome) -> None:
    """Insert the lines of units that nothing is stored of. Units where this has changed by now are set apart."""
    given = places._asdict()
    with connection.cursor() as cursor:
        for statement in (*_LOCKS, _SET_APART):
            cursor.execute(statement, given)
        outcome.created.update(bulk.begin_selected(_TO_BEGIN, given, source=Source.ESTATE, attached_at=timezone.now()))
        cursor.execute(_BUMP, given)


_PKS = f"SELECT {{}} FROM estate_found_associations WHERE {HERE}"
_LOCKS = [
    f"""
    SELECT 1 FROM directory_customer WHERE organisation_id IN ({_PKS.format("customer_pk")} AND subscription_pk IS NULL)
    ORDER BY organisation_id FOR NO KEY UPDATE
    """,
    f"""
    SELECT 1 FROM directory_subscription WHERE id IN ({_PKS.format("subscription_pk")})
    ORDER BY id FOR NO KEY UPDATE
    """,
    f"""
    SELECT 1 FROM directory_partner WHERE organisation_id IN ({_PKS.format("partner_pk")})
    ORDER BY organisation_id FOR SHARE
    """,
]
_SET_APART = f"""
    UPDATE estate_found_associations AS found SET apart = true
    FROM directory_partner AS partner
    WHERE {HERE} AND partner.organisation_id = partner_pk AND (
        (ended_on IS NULL AND partner.status = 'closed')
        OR (ended_on IS NULL AND EXISTS (
            SELECT FROM directory_subscription WHERE id = subscription_pk AND status = 'expired'
        ))
        OR EXISTS (SELECT FROM associations_association AS one WHERE one.subscription_id = subscription_pk)
        OR (subscription_pk IS NULL AND EXISTS (
            SELECT FROM associations_association AS one
            WHERE one.customer_id = customer_pk AND one.subscription_id IS NULL
        ))
    )
"""
_TO_BEGIN = f"""
    SELECT kind, customer_pk, subscription_pk, partner_pk, began_on::timestamp AT TIME ZONE 'UTC',
        ended_on::timestamp AT TIME ZONE 'UTC'
    FROM estate_found_associations WHERE {HERE}
"""
_BUMP = f"""
    UPDATE directory_subscription SET version = version + 1
    WHERE id IN (SELECT subscription_pk FROM estate_found_associations WHERE {HERE} AND kind = 'dpor')
"""


def _merge(rows: Sequence[AssociationLine], outcome: Outcome) -> None:
    units = _locked_units(rows)
    partners = _locked_partners({row.mpn_id for row in rows})
    stored = _stored(units.values())
    merge = _Merge(outcome, timezone.now())
    for row in rows:
        try:
            unit, partner = _check(row, units, partners)
            merge.add(row, unit, partner, stored[unit])
        except Unfit as unfit:
            outcome.refuse(row.line, unfit)
    merge.save()


def _locked_units(rows: Sequence[AssociationLine]) -> dict[uuid.UUID, Unit]:
    """Return the tenants and subscriptions, locked in the order of all verbs: customers, then subscriptions, by key."""
    of_tenants = Customer.objects.filter(tenant_id__in={row.unit_id for row in rows if row.of_tenant})
    of_subscriptions = Subscription.objects.filter(
        subscription_id__in={row.unit_id for row in rows if not row.of_tenant}
    )
    units: dict[uuid.UUID, Unit] = {}
    for customer in of_tenants.order_by("pk").select_for_update(no_key=True):
        units[customer.tenant_id] = customer
    for subscription in of_subscriptions.order_by("pk").select_for_update(no_key=True):
        units[subscription.subscription_id] = subscription
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
    for one in Association.objects.filter(
        Q(subscription__in=subscriptions) | Q(subscription=None, customer__in=tenants)
    ).order_by("pk"):
        stored[by_key[one.customer_id, one.subscription_id]].append(one)
    return stored


def _check(row: AssociationLine, units: dict[uuid.UUID, Unit], partners: dict[str, Partner]) -> tuple[Unit, Partner]:
    unit, partner = units.get(row.unit_id), partners.get(row.mpn_id)
    if row.of_tenant != isinstance(unit, Customer):  # a subscription may have the GUID of a tenant, and the reverse
        unit = None
    if unit is None:
        raise unknown("tenant_id", "customer") if row.of_tenant else unknown("subscription_id", "subscription")
    if partner is None:
        raise unknown("mpn_id", "partner")
    if partner.kind == Partner.Kind.GLOBAL:
        raise Unfit("mpn_id", "partner_is_global", _("This MPN ID belongs to a global account. Enter a location’s ID."))
    return unit, partner


class _Merge:
    """The changes of one batch: lines are added one by one, then everything is saved together."""

    def __init__(self, outcome: Outcome, now: datetime) -> None:
        self.outcome = outcome
        self.now = now
        self.created: list[Association] = []
        self.changed: list[Association] = []
        #: The id() of each association, stored or new, that a line of this batch is about.
        self.matched: set[int] = set()

    def add(self, row: AssociationLine, unit: Unit, partner: Partner, known: list[Association]) -> None:
        """Add one line to what is known of its unit. Raises Unfit if they contradict each other."""
        ended_at = start_of(row.ended_on) if row.ended_on else None
        same = _same(row, partner, known)
        if same is None:
            _check_can_begin(row, unit)
            _check_can_be_open(row, unit, partner)
            new = record.draft(
                unit,
                partner,
                kind=row.kind,
                source=Source.ESTATE,
                began_at=start_of(row.began_on),
                ended_at=ended_at,
                attached_at=self.now,
            )
            self._check_overlap(new, known)
            known.append(new)
            self.matched.add(id(new))
            self.created.append(new)
            self.outcome.created[new.customer_id] += 1
            return
        self.matched.add(id(same))
        ends_on = same.ended_at.date() if same.ended_at else None
        if same.undone_at is None and (ends_on == row.ended_on or same.end_reason in FROM_OUTSIDE):
            self.outcome.unchanged += 1
            return
        if same.source != Source.ESTATE or same.undone_at or same.reopened_at or same.end_reason:
            raise _changed_in_product()
        _check_can_be_open(row, unit, partner)
        before = same.ended_at
        same.ended_at = ended_at
        try:
            self._check_overlap(same, known)
        except Unfit:
            same.ended_at = before
            raise
        self.changed.append(same)
        self.outcome.changed[same.customer_id] += 1

    def _check_overlap(self, one: Association, known: list[Association]) -> None:
        """Raise Unfit for a second partner of record at the same time. Other kinds may overlap."""
        if one.kind != AssociationKind.DPOR:
            return
        for other in known:
            if (
                other is one
                or other.kind != AssociationKind.DPOR
                or other.undone_at is not None
                or not _overlap(one, other)
            ):
                continue
            if other.partner_id == one.partner_id and id(other) not in self.matched:
                raise _changed_in_product()  # the same period, whose start was moved
            raise _overlaps()

    def save(self) -> None:
        """Save the changed associations, then the new ones, which overlap nothing after that."""
        bulk.redate(self.changed)
        bulk.begin(self.created)
        of_record = [one for one in self.created + self.changed if one.kind == AssociationKind.DPOR]
        touched = {one.subscription_id for one in of_record if one.subscription_id is not None}
        Subscription.objects.filter(pk__in=touched).update(version=F("version") + 1)
        describing.describe([one.pk for one in self.changed])


def _same(row: AssociationLine, partner: Partner, known: list[Association]) -> Association | None:
    """Return the association a line is about: same unit, partner, kind and first day; preferably one not undone."""
    found = [
        one
        for one in known
        if one.partner_id == partner.pk and one.kind == row.kind and one.began_at.date() == row.began_on
    ]
    return min(found, key=lambda one: (one.undone_at is not None, one.source != Source.ESTATE), default=None)


def _overlap(one: Association, other: Association) -> bool:
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


def _check_can_be_open(row: AssociationLine, unit: Unit, partner: Partner) -> None:
    """Raise Unfit for a line without an end that cannot be in force now."""
    reason = None if row.ended_on else end_reason_from_outside(row.kind, unit, partner)
    if reason == EndReason.SUBSCRIPTION_EXPIRED:
        raise Unfit("ended_on", "subscription_is_expired", _("The subscription has expired. Enter the end date."))
    if reason == EndReason.PARTNER_CLOSED:
        raise Unfit("ended_on", "partner_is_closed", _("The partner’s account is closed. Enter the end date."))


def _overlaps() -> Unfit:
    return Unfit(
        "began_on", "overlaps_another_period", _("This period overlaps another partner’s period or another line.")
    )


def _changed_in_product() -> Unfit:
    return Unfit("", "changed_in_product", _("This was changed in the product, so the import did not change it."))


_STORED = """
    SELECT DISTINCT ON (1, 2, 3, 4, 5) subscription.subscription_id,
        CASE WHEN subscription.id IS NULL THEN customer.tenant_id END AS tenant_id, mpn_id, one.kind,
        (began_at AT TIME ZONE 'UTC')::date AS began_on, (ended_at AT TIME ZONE 'UTC')::date AS ended_on
    FROM associations_association AS one JOIN directory_partner AS partner ON partner.organisation_id = partner_id
    JOIN directory_customer AS customer ON customer.organisation_id = one.customer_id
    LEFT JOIN directory_subscription AS subscription ON subscription.id = one.subscription_id
    WHERE undone_at IS NULL ORDER BY 1, 2, 3, 4, 5, source <> 'estate', one.id
"""
ASSOCIATIONS = File(
    name="associations.csv",
    columns=Columns(every=NAMES, required=("mpn_id", "kind", "began_on"), days=("began_on", "ended_on")),
    key=["coalesce(subscription_id, tenant_id)", "mpn_id", "kind", "began_on"],
    stored=_STORED,
    line=AssociationLine,
    parse=_parse,
    plain=_plain,
    found=_found,
    merge_all=_merge_all,
    order=_order,
    merge=_merge,
    recorded=describing.describe_new,
)


def record_changes(changes: Mapping[int, Changes]) -> None:
    """Record an event for each changed subscription with a partner of record, which is a party to it."""
    held = Association.objects.open().of_record().filter(subscription__in=changes)
    events = []
    for one in held.select_related(
        "subscription__sku", "subscription__customer__organisation", "partner__organisation"
    ).order_by("subscription"):
        subscription = one.subscription
        assert subscription is not None
        payload = {"partner": named(one.partner), "subscription": changes[subscription.pk]}
        events.append(history.EventDraft(one.customer_id, payload, about_subscription(subscription), [one.partner_id]))
    if events:
        history.record_each(RenewalEvent.CHANGED, by=SYSTEM, at=timezone.now(), events=events)


def settle() -> int:
    """Do what follows once all files of an import are in; return how many associations that has ended."""
    follow_replacements()
    ended = end_overtaken()
    expire_invitations()
    attach_sellers()
    return ended
