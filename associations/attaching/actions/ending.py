"""Ending associations from outside: the subscription has expired, or the partner's account is closed."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Q

from associations.change_requests import actions as change_requests
from associations.change_requests.rules import Cancellation
from associations.record import actions as record
from associations.record import locking, recording
from associations.record.events import EndEvent
from associations.record.models import Association
from associations.record.rules import AssociationKind, EndReason
from por.accounts.models import SYSTEM
from por.db.locks import lock_timeout_as_busy
from por.directory import actions as directory
from por.directory.models import Customer, Partner, Subscription

#: Why an open change request is cancelled when its incumbent ends for this reason.
CANCELS = {
    EndReason.SUBSCRIPTION_EXPIRED: Cancellation.SUBSCRIPTION_EXPIRED,
    EndReason.SUBSCRIPTION_REPLACED: Cancellation.SUBSCRIPTION_EXPIRED,
    EndReason.PARTNER_CLOSED: Cancellation.PARTNER_CLOSED,
}


@transaction.atomic
def end_from_outside(association_id: int) -> bool:
    """End an association whose subscription has expired or whose partner's account is closed; return whether it did.

    No person decided this: it comes from imported files. Every other association stays as it is.
    """
    association = Association.objects.select_related("customer__organisation").get(pk=association_id)
    of: Subscription | Customer = association.customer
    with lock_timeout_as_busy():
        if association.subscription_id is None:
            Customer.objects.select_for_update(no_key=True).get(pk=association.customer_id)
        else:
            of = locking.locked_by_system(association.subscription_id)
        partner = directory.locked(association.partner_id)
    association.refresh_from_db(from_queryset=Association.objects.select_related("partner__organisation"))
    reason = end_reason_from_outside(association.kind, of, partner)
    if reason is None or association.ended_at is not None or association.undone_at is not None:
        return False
    end_by_system(association, of, reason)
    return True


def end_overtaken() -> int:
    """End the open associations of expired subscriptions and closed accounts; return how many.

    Open change requests that became pointless by this, or by an end in a file, are cancelled.
    """
    overtaken = Association.objects.open().filter(
        Q(kind=AssociationKind.DPOR, subscription__status=Subscription.Status.EXPIRED)
        | Q(partner__status=Partner.Status.CLOSED)
    )
    ended = sum(end_from_outside(pk) for pk in overtaken.order_by("subscription", "pk").values_list("pk", flat=True))
    change_requests.cancel_overtaken()
    return ended


def end_by_system(association: Association, of: Subscription | Customer, reason: EndReason) -> None:
    """End the association now, and cancel its open change request. The caller has locked all of them."""
    of_record, requests = [association], []
    if isinstance(of, Subscription) and association.kind == AssociationKind.DPOR:
        of_record, requests = locking.latest(of), change_requests.requests_of(of)
    now = locking.next_instant(of_record, requests)
    record.end(association, at=now, reason=reason)
    verb = EndEvent.ENDED if association.kind == AssociationKind.DPOR else EndEvent.OTHER_KIND_ENDED
    recording.record_event(verb, of, by=SYSTEM, at=now, association=association)
    change_requests.cancel_open(requests, CANCELS[reason], by=SYSTEM, at=now)


def end_reason_from_outside(kind: str, of: Subscription | Customer, partner: Partner) -> EndReason | None:
    """Return why an association of this kind cannot be in force now; None if it can."""
    if partner.status == Partner.Status.CLOSED:
        return EndReason.PARTNER_CLOSED
    expired = isinstance(of, Subscription) and of.status == Subscription.Status.EXPIRED
    return EndReason.SUBSCRIPTION_EXPIRED if expired and kind == AssociationKind.DPOR else None
