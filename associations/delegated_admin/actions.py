"""A partner becomes a delegated administrator of a tenant when the customer accepts that, and the customer ends it."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from associations.delegated_admin.events import DelegatedAdminEvent
from associations.record import actions as record
from associations.record import locking, recording
from associations.record.models import Association, AssociationQuerySet
from associations.record.rules import AssociationKind, EndReason, Source
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.db.locks import lock_timeout_as_busy
from por.directory.models import Customer, Partner
from por.errors import NotFound, Refused


def locked_customer(pk: int) -> Customer:
    """Return the customer, locked until the transaction ends. Raises Locked."""
    with lock_timeout_as_busy():
        customers = Customer.objects.select_related("organisation")
        return customers.select_for_update(of=("self",), no_key=True).get(pk=pk)


def is_administrator(customer: Customer, partner: Partner) -> bool:
    """Return whether the partner is a delegated administrator of the tenant now."""
    return _all(customer, partner).open().exists()


def begin(customer: Customer, partner: Partner, *, by: Actor) -> bool:
    """Make the partner a delegated administrator of the tenant; return False if it is already.

    The caller has locked both, has checked the right, and that the partner may be attached.
    """
    known = list(_all(customer, partner))
    if any(one.is_in_force for one in known):
        return False
    now = locking.next_instant(known)
    kind, source = AssociationKind.DELEGATED_ADMIN, Source.INVITATION
    association = record.begin(record.draft(customer, partner, kind=kind, source=source, began_at=now, attached_at=now))
    recording.record_event(DelegatedAdminEvent.BEGUN, customer, by=by, at=now, association=association)
    return True


@transaction.atomic
def end(association_id: int, *, by: Actor, reason: str = "") -> Association:
    """End a delegated administrator of the actor's tenant; the partner can read why.

    Raise NotFound, Forbidden, Locked, or Refused: for another type of association, or one that has ended.
    """
    found = Association.objects.not_undone().visible_to(by).filter(pk=association_id).first()
    if found is None:
        raise absent()
    by.require(Right.REMOVE)
    customer = locked_customer(found.customer_id)
    association = Association.objects.with_names().get(pk=association_id)
    if association.kind != AssociationKind.DELEGATED_ADMIN:
        raise Refused("ends_elsewhere", _("An association of this type ends in another way."))
    if not association.is_in_force:
        raise Refused("association_ended", _("This association has already ended."))
    now = locking.next_instant(_all(customer, association.partner))
    record.end(association, at=now, reason=EndReason.REMOVED, note=reason)
    recording.record_event(
        DelegatedAdminEvent.ENDED, customer, by=by, at=now, association=association, reason=association.end_note
    )
    return association


def absent() -> NotFound:
    """Return the refusal, the same whether there is no such association or the actor may not see it."""
    return NotFound("not_found", _("This association does not exist, or you do not have access to it."))


def _all(customer: Customer, partner: Partner) -> AssociationQuerySet:
    """Return whenever the partner was a delegated administrator of the tenant, also what was undone."""
    return Association.objects.filter(customer=customer, partner=partner, kind=AssociationKind.DELEGATED_ADMIN)
