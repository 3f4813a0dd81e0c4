"""Importing the associations of an estate, and ending what an estate overtakes. docs/estates.md defines the lines."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import groupby
from operator import attrgetter

from django.db import connection
from django.db.models import Count
from django.utils import timezone
from django.utils.translation import gettext as _

from associations import starts
from associations.attaching.actions.activation import attach_sellers
from associations.attaching.actions.ending import end_overtaken, reopen_taken_back
from associations.change_requests.models import Challenger, ChangeRequest
from associations.changes import begun
from associations.invitations.actions import expire_invitations
from associations.invitations.models import Invitation
from associations.merging import AssociationLine, merge_units, unit_of
from associations.record import bulk, describing
from associations.record.models import Association, start_of
from associations.record.policies import digital_only, digital_only_from
from associations.record.recording import about_subscription, named, record_together
from associations.record.rules import FROM_OUTSIDE, TENANT_KINDS, AssociationKind, Source
from associations.renewals.actions import follow_replacements
from associations.renewals.events import RenewalEvent
from por.accounts.models import SYSTEM
from por.directory.imports.common import required_mpn_id
from por.directory.imports.corrections import Collision, Correction
from por.directory.imports.moves import join_by_time
from por.directory.imports.subscriptions import Changes
from por.directory.models import Partner, Subscription
from por.history.actions import recording as history
from por.imports.loading import HERE, File, Outcome, Places, Report
from por.imports.opening import Columns
from por.imports.reading import Cells, Unfit
from por.imports.staging import DAY, GUID, Plain

NAMES = ["subscription_id", "tenant_id", "mpn_id", "kind", "began_on", "ended_on"]


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
    if row.kind == AssociationKind.CPOR:
        message = _("Claims come from claims.csv, with their number, programme and units.")
        raise Unfit("kind", "cpor_comes_from_claims", message)
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
    return row


_OF_SUBSCRIPTION = "|".join(sorted(set(AssociationKind.values) - TENANT_KINDS - {AssociationKind.CPOR}))
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
    today = timezone.now().date().isoformat()
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
                    OR ended_on > '{today}'
                    OR has_left
                    OR (ended_on IS NULL AND (partner_status = 'closed' OR subscription_status = 'expired'))
                    OR (kind = 'dpor' AND began_on < max(coalesce(ended_on, 'infinity')) OVER (
                        PARTITION BY subscription_id, tenant_id, kind ORDER BY began_on, line
                        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                    )) IS TRUE AS may_be_refused
                FROM ({_looked_up()}) AS looked_up
                CROSS JOIN LATERAL ({_KNOWN.format(today=today)}) AS known
            ) AS judged
            WINDOW unit AS (PARTITION BY subscription_id, tenant_id)
        ) AS line
        WHERE NOT is_known_unit
        ORDER BY subscription_id, tenant_id, line
    """


def _looked_up() -> str:
    return f"""
        SELECT staged.*, subscription.id AS subscription_pk, subscription.started_on, subscription.agreement,
            subscription.status AS subscription_status, subscription.left_at IS NOT NULL AS has_left,
            coalesce(subscription.customer_id, customer.organisation_id) AS customer_pk,
            partner.organisation_id AS partner_pk, partner.kind AS partner_kind, partner.status AS partner_status
        FROM estate_staged_associations AS staged
        {join_by_time("staged", "staged.began_on", "day")}
        LEFT JOIN directory_customer AS customer ON customer.tenant_id = staged.tenant_id
        LEFT JOIN directory_partner AS partner USING (mpn_id)
    """


_REASONS = ", ".join(f"'{reason}'" for reason in sorted(FROM_OUTSIDE))
# The same rules as in merging.py: whether anything is stored of the unit, and whether this line says nothing new. An
# open line says nothing new of what was ended for a reason, while there is a reason.
_KNOWN = f"""
    SELECT count(*) > 0 AS is_stored,
        (array_agg(
            one.undone_at IS NULL AND CASE
                WHEN one.end_reason NOT IN ({_REASONS})
                THEN coalesce((one.ended_at AT TIME ZONE 'UTC')::date, one.ends_on) IS NOT DISTINCT FROM ended_on
                ELSE (ended_on IS NULL OR ended_on > '{{today}}') AND (
                    partner_status = 'closed' OR has_left
                    OR (looked_up.kind = 'dpor' AND subscription_status = 'expired') IS TRUE
                )
            END
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
        now = timezone.now()
        created = bulk.begin_selected(_TO_BEGIN, given, source=Source.ESTATE, attached_at=now)
        cursor.execute(_BUMP, given)
    outcome.created.update(created.values())
    record_together(begun(created), at=now, is_new_version=False)


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


# A file that does not give ends leaves what was ended for a reason to the files that give the reason.
_STORED = f"""
    SELECT DISTINCT ON (1, 2, 3, 4, 5) subscription.subscription_id,
        CASE WHEN subscription.id IS NULL THEN customer.tenant_id END AS tenant_id, mpn_id, one.kind,
        (began_at AT TIME ZONE 'UTC')::date AS began_on, CASE
            WHEN end_reason NOT IN ({_REASONS}) THEN coalesce((ended_at AT TIME ZONE 'UTC')::date, ends_on)
        END AS ended_on
    FROM associations_association AS one JOIN directory_partner AS partner ON partner.organisation_id = partner_id
    JOIN directory_customer AS customer ON customer.organisation_id = one.customer_id
    LEFT JOIN directory_subscription AS subscription ON subscription.id = one.subscription_id
    WHERE undone_at IS NULL ORDER BY 1, 2, 3, 4, 5, source <> 'estate', one.id
"""
ASSOCIATIONS = File(
    name="associations.csv",
    columns=Columns(NAMES, NAMES[2:5], days=NAMES[4:], closed={"kind": (AssociationKind.values, "attribution")}),
    key=["coalesce(subscription_id, tenant_id)", "mpn_id", "kind", "began_on"],
    stored=_STORED,
    line=AssociationLine,
    parse=_parse,
    plain=_plain,
    found=_found,
    merge_all=_merge_all,
    unit=unit_of,
    unit_key="coalesce(subscription_id, tenant_id)",
    merge=merge_units,
    recorded=describing.describe_new,
    keep_starts=starts.keep,
)


def record_changes(changes: Mapping[int, Changes]) -> None:
    """Record an event for each changed subscription; its partner of record, if there is one, is a party to it.

    Where there is one, an expiry is left out: the end of the record has an event of its own. What a subscription
    replaces is an event without the partner, unless the partner knows both of these: it may not know that they exist.
    """
    held = Association.objects.open().of_record().filter(subscription__in=changes)
    partners = {one.subscription_id: one.partner for one in held.select_related("partner__organisation")}
    replacing = {pk: partners[pk] for pk, one in changes.items() if "replaces" in one and pk in partners}
    known = _know_replaced(replacing, changes)
    events = []
    for one in Subscription.objects.filter(pk__in=changes).select_related("sku").order_by("pk"):
        about = about_subscription(one)
        if (partner := partners.get(one.pk)) is None:
            events.append(history.EventDraft(one.customer_id, {"subscription": changes[one.pk]}, about))
            continue
        told = {name: pair for name, pair in changes[one.pk].items() if pair[1] != Subscription.Status.EXPIRED}
        hidden = {} if one.pk in known or "replaces" not in told else {"replaces": told.pop("replaces")}
        if told:
            payload = {"partner": named(partner), "subscription": told}
            events.append(history.EventDraft(one.customer_id, payload, about, [partner.pk]))
        if hidden:
            events.append(history.EventDraft(one.customer_id, {"subscription": hidden}, about))
    history.record_each(RenewalEvent.CHANGED, by=SYSTEM, at=timezone.now(), events=events)


def _know_replaced(partners: Mapping[int, Partner], changes: Mapping[int, Changes]) -> set[int]:
    """Return those subscriptions whose partner is or was associated with all that they replace, before and now."""
    if not partners:
        return set()
    replaced = {pk: {one for one in changes[pk]["replaces"] if one} for pk in partners}
    found = Association.objects.not_undone().filter(
        subscription__subscription_id__in=set().union(*replaced.values()), partner__in=set(partners.values())
    )
    known = {(partner, str(one)) for partner, one in found.values_list("partner", "subscription__subscription_id")}
    return {pk for pk, partner in partners.items() if known >= {(partner.pk, one) for one in replaced[pk]}}


def collisions_with_record(corrections: Mapping[int, Correction]) -> Iterator[tuple[int, Collision]]:
    """Yield what a corrected start or agreement collides with: associations from before it, and legacy forms."""
    found = Association.objects.not_undone().filter(subscription__in=corrections).select_related("partner")
    for pk, stored in groupby(found.order_by("subscription", "began_at"), key=attrgetter("subscription_id")):
        associations, (started_on, agreement, before) = list(stored), corrections[pk]
        earlier = [one for one in associations if one.began_at < start_of(started_on)]
        if started_on > before.started_on and earlier:
            what = _("associations: %(count)s, the first on %(day)s, with MPN ID %(mpn_id)s") % {
                "count": len(earlier),
                "day": f"{earlier[0].began_at:%Y-%m-%d}",
                "mpn_id": earlier[0].partner.mpn_id,
            }
            yield pk, Collision("started_on", what)
            started_on = before.started_on
        forms = [one for one in associations if one.kind == AssociationKind.OSA_FORM]
        is_new = digital_only(agreement, started_on) and not digital_only(before.agreement, before.started_on)
        if forms and is_new:
            what = _("a legacy form, with MPN ID %(mpn_id)s, which a new deal under an EA cannot have") % {
                "mpn_id": forms[0].partner.mpn_id
            }
            yield pk, Collision("agreement" if agreement != before.agreement else "started_on", what)


def uses_of(locations: Collection[int]) -> Iterator[tuple[int, str]]:
    """Yield what these locations are still named in, so that none of them can become a global account."""
    associations = Association.objects.open().filter(partner__in=locations)
    challengers = Challenger.objects.filter(request__in=ChangeRequest.objects.open(), partner__in=locations)
    invitations = Invitation.objects.open().filter(partner__in=locations)
    for found, text in (
        (associations, _("associations in force: %(count)s")),
        (challengers, _("open change requests: %(count)s")),
        (invitations, _("open invitations: %(count)s")),
    ):
        for pk, count in found.values_list("partner").annotate(Count("pk")).order_by("partner"):
            yield pk, text % {"count": count}


def told_of_names(renamed: Collection[int]) -> Iterator[tuple[int, int]]:
    """Yield renamed customers with their partners, and renamed partners with their customers, as they are now."""
    in_force = Association.objects.open()
    yield from in_force.filter(customer__in=renamed).values_list("customer", "partner").distinct()
    yield from in_force.filter(partner__in=renamed).values_list("partner", "customer").distinct()


def settle(report: Report) -> None:
    """Do what follows once all files of an import are in: reopen, carry over and end associations, and count these."""
    report.reopened += reopen_taken_back()
    follow_replacements()
    report.ended += end_overtaken()
    expire_invitations()
    attach_sellers()
