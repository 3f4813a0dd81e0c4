"""Ending associations from outside: the subscription has expired or moved, or the partner's account is closed.

If a later file takes the reason back, they go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from associations.change_requests import actions as change_requests
from associations.change_requests.models import ChangeRequest
from associations.change_requests.rules import Cancellation
from associations.record import actions as record
from associations.record import bulk, locking, recording
from associations.record.events import EndEvent
from associations.record.file_events import FileEvent
from associations.record.models import Association, AssociationQuerySet, start_of
from associations.record.policies import policy_on
from associations.record.rules import FROM_OUTSIDE, AssociationKind, EndReason
from por.accounts.models import SYSTEM
from por.db.locks import lock_timeout_as_busy
from por.directory import actions as directory
from por.directory.models import Customer, Partner, Subscription

#: The partner of record and claims of a subscription end when it expires; other kinds do not.
ENDS_WITH_SUBSCRIPTION = Q(kind=AssociationKind.DPOR) | ~Q(program="")
#: How many associations are ended or reopened in one transaction.
BATCH = 500
#: Why an open change request is cancelled when its incumbent ends for this reason.
CANCELS = {
    EndReason.SUBSCRIPTION_EXPIRED: Cancellation.SUBSCRIPTION_EXPIRED,
    EndReason.SUBSCRIPTION_REPLACED: Cancellation.SUBSCRIPTION_EXPIRED,
    EndReason.SUBSCRIPTION_MOVED: Cancellation.SUBSCRIPTION_MOVED,
    EndReason.PARTNER_CLOSED: Cancellation.PARTNER_CLOSED,
    EndReason.FILE: Cancellation.ENDED,
}


def end_overtaken() -> int:
    """End the open associations of expired and moved subscriptions and of closed accounts; return how many.

    Open change requests that became pointless by this, or by an end in a file, are cancelled.
    """
    expired = ENDS_WITH_SUBSCRIPTION & Q(subscription__status=Subscription.Status.EXPIRED)
    moved = Q(subscription__left_at__isnull=False)
    overtaken = Association.objects.open().filter(expired | moved | Q(partner__status=Partner.Status.CLOSED))
    ended = _in_batches(overtaken, end_from_outside)
    change_requests.cancel_overtaken()
    return ended


def reopen_taken_back() -> int:
    """Let associations go on that an import ended for a reason, if its files have taken it back; return how many.

    Only within the policy's days after the end, and only where nobody else has come.
    """
    now = timezone.now()
    since = now - policy_on(now.date()).reopen_from_file
    taken_back = (
        Association.objects.not_undone()
        .filter(Q(ended_at__gt=since) | Q(ended_at__isnull=False, attached_at__gt=since), end_reason__in=FROM_OUTSIDE)
        .exclude(partner__status=Partner.Status.CLOSED)
        .exclude(partner__kind=Partner.Kind.GLOBAL)
        .exclude(subscription__left_at__isnull=False)
        .exclude(ENDS_WITH_SUBSCRIPTION, subscription__status=Subscription.Status.EXPIRED)
    )
    return _in_batches(taken_back, reopen_from_outside)


def _in_batches(found: AssociationQuerySet, act: Callable[[Sequence[int]], int]) -> int:
    pks = list(found.order_by("subscription", "pk").values_list("pk", flat=True))
    return sum(act(pks[start : start + BATCH]) for start in range(0, len(pks), BATCH))


@transaction.atomic
def end_from_outside(pks: Sequence[int]) -> int:
    """End those of the associations whose subscription has expired or moved, or whose partner's account is closed.

    Return how many. No person decided this: it comes from imported files. Every other association stays as it is.
    """
    units = _locked(pks)
    reasons = {one.pk: _reason_against(one) for one in units.associations if one.ended_at is None}
    ended = [one for one in units.associations if reasons.get(one.pk)]
    if not ended:
        return 0
    at = units.next_instant()
    return _end([bulk.End(one, at, reason) for one in ended if (reason := reasons[one.pk])], at=at)


def end_due() -> int:
    """End the associations whose day has come, if a file has given one; return how many."""
    return _in_batches(Association.objects.open().filter(ends_on__lte=timezone.now().date()), _end_on_their_day)


@transaction.atomic
def _end_on_their_day(pks: Sequence[int]) -> int:
    units = _locked(pks)
    today = timezone.now().date()
    ends = [
        bulk.End(one, start_of(one.ends_on), EndReason.FILE)
        for one in units.associations
        if one.ended_at is None and one.ends_on is not None and one.ends_on <= today
    ]
    return _end(ends, at=units.next_instant()) if ends else 0


def _end(ends: Sequence[bulk.End], *, at: datetime) -> int:
    """End associations, with their events, and cancel their open change requests; return how many."""
    bulk.end(ends)
    recording.record_together(
        [recording.Change(EndEvent.ended(one.association.kind), one.association) for one in ends], at=at
    )
    reasons = {one.association.pk: EndReason(one.reason) for one in ends}
    for request in ChangeRequest.objects.open().filter(incumbent__in=reasons).order_by("pk"):
        change_requests.cancel_open([request], CANCELS[reasons[request.incumbent_id]], by=SYSTEM, at=at)
    return len(ends)


@transaction.atomic
def reopen_from_outside(pks: Sequence[int]) -> int:
    """Let those of the associations go on whose end an import has no reason for any more; return how many."""
    units = _locked(pks)
    reopened = [
        one
        for one in units.associations
        if one.end_reason in FROM_OUTSIDE
        and one.partner.kind != Partner.Kind.GLOBAL
        and _reason_against(one) is None
        and not units.is_followed(one)
    ]
    if not reopened:
        return 0
    at = units.next_instant()
    done = []
    for one in reopened:
        assert one.ended_at is not None
        before = {"ended_at_before": one.ended_at.isoformat(), "end_reason_before": one.end_reason}
        done.append(recording.Change(FileEvent.reopened(one.kind), one, before))
    bulk.reopen(reopened)
    recording.record_together(done, at=at)
    return len(reopened)


class _Units(NamedTuple):
    """Some associations, and all others that their subscriptions and tenants ever had."""

    associations: list[Association]
    others: list[Association]

    def next_instant(self) -> datetime:
        """Return an instant for all of them, as the verbs do for one: a record follows all of its subscription."""
        subscriptions = [one.subscription_id for one in self.associations if one.kind == AssociationKind.DPOR]
        of_record = [
            one for one in self.others if one.kind == AssociationKind.DPOR and one.subscription_id in subscriptions
        ]
        requests = ChangeRequest.objects.filter(subscription__in=[pk for pk in subscriptions if pk is not None])
        return locking.next_instant(self.associations, of_record, requests)

    def is_followed(self, one: Association) -> bool:
        """Return whether anybody has its unit since; where a kind excludes nothing, whether the same partner came."""
        assert one.ended_at is not None
        return any(
            other.undone_at is None
            and other.began_at >= one.ended_at
            and (other.kind, other.customer_id, other.subscription_id)
            == (one.kind, one.customer_id, one.subscription_id)
            and (other.partner_id == one.partner_id if one.unit is None else other.unit == one.unit)
            for other in self.others
        )


def _locked(pks: Sequence[int]) -> _Units:
    """Return the associations that are not undone, with what events name, and lock their units and partners.

    The lock of a claim is that of its customer, whatever it is of.
    """
    found = Association.objects.filter(pk__in=pks)
    keys = list(found.values_list("customer_id", "subscription_id", "partner_id", "program"))
    tenants = {customer for customer, subscription, _partner, program in keys if subscription is None or program}
    subscriptions = {subscription for _customer, subscription, *_more in keys if subscription is not None}
    with lock_timeout_as_busy(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '60s'")  # as every batch of an import
        list(Customer.objects.filter(pk__in=tenants).order_by("pk").select_for_update(no_key=True))
        list(Subscription.objects.filter(pk__in=subscriptions).order_by("pk").select_for_update(no_key=True))
        directory.lock({partner for _customer, _subscription, partner, _program in keys})
    others = Association.objects.filter(Q(subscription__in=subscriptions) | Q(subscription=None, customer__in=tenants))
    return _Units(list(found.not_undone().with_names().order_by("pk")), list(others))


def _reason_against(association: Association) -> EndReason | None:
    of = association.subscription or association.customer
    return end_reason_from_outside(association.kind, of, association.partner, program=association.program)


def end_by_system(association: Association, of: Subscription | Customer, reason: EndReason) -> None:
    """End the association now, and cancel its open change request. The caller has locked all of them."""
    of_record, requests = [association], []
    if isinstance(of, Subscription) and association.kind == AssociationKind.DPOR:
        of_record, requests = locking.latest(of), change_requests.requests_of(of)
    now = locking.next_instant(of_record, requests)
    record.end(association, at=now, reason=reason)
    recording.record_event(EndEvent.ended(association.kind), of, by=SYSTEM, at=now, association=association)
    change_requests.cancel_open(requests, CANCELS[reason], by=SYSTEM, at=now)


def end_reason_from_outside(
    kind: str, of: Subscription | Customer, partner: Partner, *, program: str = ""
) -> EndReason | None:
    """Return why an association of this kind, or a claim in this programme, cannot be in force; None if it can."""
    if isinstance(of, Subscription) and of.left_at is not None:
        return EndReason.SUBSCRIPTION_MOVED
    if partner.status == Partner.Status.CLOSED:
        return EndReason.PARTNER_CLOSED
    expired = isinstance(of, Subscription) and of.status == Subscription.Status.EXPIRED
    ends_with_it = kind == AssociationKind.DPOR or program != ""
    return EndReason.SUBSCRIPTION_EXPIRED if expired and ends_with_it else None
