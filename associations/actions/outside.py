"""What the estate does to the record: an expired subscription, a closed account."""

from __future__ import annotations

from django.db import transaction

from associations.actions import changing, unit
from associations.models import Association
from associations.rules import Cancellation, EndReason, Kind
from por.accounts.models import NOBODY
from por.directory import actions as directory
from por.directory.models import Customer, Partner, Subscription
from por.waiting import busy_instead_of_a_lock_timeout

#: Why the question who does the work is cancelled when its incumbent ends so.
CANCELS = {
    EndReason.SUBSCRIPTION_EXPIRED: Cancellation.SUBSCRIPTION_EXPIRED,
    EndReason.SUBSCRIPTION_REPLACED: Cancellation.SUBSCRIPTION_EXPIRED,
    EndReason.PARTNER_CLOSED: Cancellation.PARTNER_CLOSED,
}


@transaction.atomic
def end_from_outside(association_id: int) -> bool:
    """Ends an association whose subscription has expired or whose partner's account is closed; says whether it did.

    Nobody's decision: the estate said so. Any other association, and one that has ended by itself, stays as it is.
    """
    association = Association.objects.select_related("customer__organisation").get(pk=association_id)
    of: Subscription | Customer = association.customer
    with busy_instead_of_a_lock_timeout():
        if association.subscription_id is None:
            Customer.objects.select_for_update(no_key=True).get(pk=association.customer_id)
        else:
            of = unit.locked_by_the_house(association.subscription_id)
        partner = directory.locked(association.partner_id)
    association.refresh_from_db(from_queryset=Association.objects.select_related("partner__organisation"))
    reason = end_reason_from_outside(association.kind, of, partner)
    if reason is None or association.ended_at is not None or association.undone_at is not None:
        return False
    end(association, of, reason)
    return True


def end(association: Association, of: Subscription | Customer, reason: EndReason) -> None:
    """Ends it now, and cancels the question that is open about it. All is locked by the caller."""
    record, requests = [association], []
    if isinstance(of, Subscription) and association.kind == Kind.DPOR:
        record, requests = unit.latest(of), unit.requests_of(of)
    association.ended_at = unit.clock(record, requests)
    association.end_reason = reason
    association.save(update_fields=["ended_at", "end_reason"])
    verb = "partner_of_record.ended" if association.kind == Kind.DPOR else "association.ended"
    unit.write_of(verb, of, association, by=NOBODY, at=association.ended_at)
    changing.cancel_open(requests, CANCELS[reason], by=NOBODY, at=association.ended_at)


def end_reason_from_outside(kind: str, of: Subscription | Customer, partner: Partner) -> EndReason | None:
    """Why an association of this kind cannot be in force now, whoever wants it to be; None if it can."""
    if partner.status == Partner.Status.CLOSED:
        return EndReason.PARTNER_CLOSED
    expired = isinstance(of, Subscription) and of.status == Subscription.Status.EXPIRED
    return EndReason.SUBSCRIPTION_EXPIRED if expired and kind == Kind.DPOR else None
