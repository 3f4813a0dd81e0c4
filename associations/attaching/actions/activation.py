"""What a partner does itself: activating a subscription from Open licensing, and what follows from having sold one."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from associations.attaching.actions.attach import Attached, attach_locked
from associations.attaching.models import Consent
from associations.record import locking
from associations.record.access import subscriptions_visible_to
from associations.record.models import Association
from associations.record.policies import policy_on
from associations.record.rules import AssociationKind, Source
from por.accounts.models import SYSTEM, Actor
from por.directory import actions as directory
from por.directory.access import partners_of
from por.directory.models import Partner, Subscription
from por.directory.rules import Agreement, normal_mpn_id
from por.errors import Refused


@dataclass(frozen=True)
class Given:
    """Who of the customer agreed, and when, as the partner says."""

    name: str
    email: str
    on: date


@transaction.atomic
def activate(subscription_id: uuid.UUID, mpn_id: str, consent: Given, *, by: Actor) -> Attached:
    """The partner makes one of its own locations of record for a subscription from Open licensing, also afterwards.

    The customer's consent is kept, and the customer is told. Where another partner is of record, the customer is
    asked which of them does the work. Raises Absent (for one of another agreement too, where the partner cannot see
    it), Forbidden, Busy, or Refused: `not_open_licensing`, `not_your_mpn_id` on `mpn_id`, `consent_in_future` on
    `consent`, and what attaching refuses.
    """
    by.require("activation.write")
    number = normal_mpn_id(mpn_id)
    if number is not None and not partners_of(by).filter(mpn_id=number).exists():  # whatever else exists
        raise Refused("not_your_mpn_id", _("Enter the MPN ID of one of your own locations."), field="mpn_id")
    subscription = Subscription.objects.filter(subscription_id=subscription_id).first()
    if subscription is None or subscription.agreement != Agreement.OPEN:
        if not subscriptions_visible_to(by).filter(subscription_id=subscription_id).exists():
            raise locking.absent()
        raise Refused(
            "not_open_licensing",
            _("You can only activate a subscription from Open licensing. Ask the customer to attach you instead."),
        )
    subscription = locking.locked_by_system(subscription.pk)
    partner = directory.attachable(mpn_id, by=by)
    now = timezone.now()
    if consent.on > now.date():
        raise Refused(
            "consent_in_future", _("The date when the customer agreed cannot be in the future."), field="consent"
        )
    attached = attach_locked(subscription, partner, by=by, source=Source.ACTIVATION)
    if attached.outcome != "unchanged":
        Consent.objects.get_or_create(  # asked again about the same partner, it is the same question
            association=attached.association if attached.request is None else None,
            request=attached.request,
            partner=partner,
            defaults={
                "name": consent.name.strip(),
                "email": consent.email.strip(),
                "given_on": consent.on,
                "recorded_at": now,
                "recorded_by": by.user,
            },
        )
    return attached


#: The kinds whose partner has sold the subscription, by the agreement it was sold under.
SOLD_BY = {Agreement.MOSP: AssociationKind.TRANSACTING, Agreement.CSP: AssociationKind.CSP}


def attach_sellers() -> int:
    """Attaches whoever sold a new subscription, where nobody ever was of record; returns how many.

    New is what started within the policy's days: on the first load of an estate of many years nobody is attached to
    what has long been without a partner. What the customer has removed since is not attached again.
    """
    newest = timezone.now().date() - timedelta(days=policy_on(timezone.now().date()).automatic_attach_days)
    done = 0
    for agreement, kind in SOLD_BY.items():
        sold = Association.objects.open().filter(subscription=OuterRef("pk"), kind=kind)
        free = Subscription.objects.filter(
            Exists(sold.filter(partner__status=Partner.Status.ACTIVE)),
            ~Exists(Association.objects.of_record().filter(subscription=OuterRef("pk"))),
            agreement=agreement,
            status=Subscription.Status.ACTIVE,
            started_on__gte=newest,
        )
        for pk in list(free.order_by("pk").values_list("pk", flat=True)):
            done += _attach_seller(pk, kind)
    return done


@transaction.atomic
def _attach_seller(subscription_pk: int, kind: AssociationKind) -> bool:
    subscription = locking.locked_by_system(subscription_pk)
    sellers = Association.objects.open().filter(subscription=subscription, kind=kind)
    seller = sellers.filter(partner__status=Partner.Status.ACTIVE).order_by("began_at", "pk").first()
    if seller is None or locking.ever_of_record(subscription) or subscription.status != Subscription.Status.ACTIVE:
        return False
    partner = directory.locked(seller.partner_id)
    if partner.status != Partner.Status.ACTIVE or partner.kind == Partner.Kind.GLOBAL:
        return False
    attach_locked(subscription, partner, by=SYSTEM, source=Source.AUTOMATIC)
    return True
