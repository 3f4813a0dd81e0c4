"""Attaching without a click of the customer: a partner activates a subscription, or has sold a new one."""

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
from associations.record.policies import months_before, policy_on
from associations.record.rules import AssociationKind, Source
from por import names
from por.accounts.models import SYSTEM, Actor
from por.accounts.rules import Right
from por.directory import actions as directory
from por.directory.access import partners_of
from por.directory.models import Partner, Subscription
from por.directory.rules import Agreement, normal_mpn_id
from por.errors import Refused


@dataclass(frozen=True)
class StatedConsent:
    """The consent of the customer, as the partner states it: who gave it, and when."""

    name: str
    email: str
    on: date


@transaction.atomic
def activate(subscription_id: uuid.UUID, mpn_id: str, consent: StatedConsent, *, by: Actor) -> Attached:
    """Attach a location of the actor's company to a subscription from Open licensing, new or old; return the outcome.

    The customer's consent is stored, and the customer is notified. Where another partner is the partner of record, a
    change request is opened or joined. Raises NotFound (also for one that cannot be activated, if the actor cannot see
    it), Forbidden, Locked, or Refused: `not_open_licensing`, `not_your_mpn_id` on `mpn_id`, `consent_in_future` or
    `consent_too_early` on `consent`, `direction_mark` on `consent.name`, and what attaching refuses.
    """
    by.require(Right.ACTIVATE)
    number = normal_mpn_id(mpn_id)
    if (
        number is not None and not partners_of(by).filter(mpn_id=number).exists()
    ):  # the same for an ID of another partner and an unknown one
        raise Refused("not_your_mpn_id", _("Enter the MPN ID of one of your own locations."), field="mpn_id")
    today = by.today
    earliest = months_before(today, policy_on(today).back_dating_months)
    _check_consent(consent, earliest, today)  # first, so that it says the same of a subscription that does not exist
    subscription = Subscription.objects.filter(left_at=None, subscription_id=subscription_id).first()
    if subscription is None or not (_can_be_activated(subscription) or _sees(by, subscription)):
        raise locking.absent()
    if subscription.agreement != Agreement.OPEN:
        raise Refused(
            "not_open_licensing",
            _("You can only activate a subscription from Open licensing. Ask the customer to attach you instead."),
        )
    subscription = locking.locked_by_system(subscription.pk)
    partner = directory.attachable(mpn_id, by=by)
    _check_consent(consent, max(earliest, subscription.started_on), today)
    now = timezone.now()
    name = names.clean(consent.name, field="consent.name")
    attached = attach_locked(subscription, partner, by=by, source=Source.ACTIVATION)
    if attached.outcome != "unchanged":
        Consent.objects.get_or_create(  # the same partner again joins the same change request
            association=attached.association if attached.request is None else None,
            request=attached.request,
            partner=partner,
            defaults={
                "name": name,
                "email": consent.email.strip(),
                "given_on": consent.on,
                "recorded_at": now,
                "recorded_by": by.user,
            },
        )
    return attached


def _can_be_activated(subscription: Subscription) -> bool:
    """Return whether a partner that cannot see the subscription may activate it, and so learn that it exists."""
    return subscription.agreement == Agreement.OPEN and subscription.status == Subscription.Status.ACTIVE


def _sees(actor: Actor, subscription: Subscription) -> bool:
    return subscriptions_visible_to(actor).filter(pk=subscription.pk).exists()


def _check_consent(consent: StatedConsent, earliest: date, today: date) -> None:
    if consent.on > today:
        raise Refused(
            "consent_in_future", _("The date when the customer agreed cannot be in the future."), field="consent"
        )
    if consent.on < earliest:
        raise Refused(
            "consent_too_early",
            _("The date when the customer agreed must be %(day)s or later.") % {"day": earliest.isoformat()},
            field="consent",
        )


#: The kind of association of the partner that sold a subscription, by the agreement of the sale.
SOLD_BY = {Agreement.MOSP: AssociationKind.TRANSACTING, Agreement.CSP: AssociationKind.CSP}


def attach_sellers() -> int:
    """Attach the sellers of new subscriptions that never had a partner of record; return how many.

    New means started within the policy's days: the first import of an old estate attaches no one to a subscription
    that has long been without a partner. A partner that the customer has removed is not attached again.
    """
    newest = timezone.now().date() - timedelta(days=policy_on(timezone.now().date()).automatic_attach_days)
    count = 0
    for agreement, kind in SOLD_BY.items():
        sold = Association.objects.open().filter(subscription=OuterRef("pk"), kind=kind)
        found = Subscription.objects.filter(
            Exists(sold.filter(partner__status=Partner.Status.ACTIVE)),
            ~Exists(Association.objects.of_record().filter(subscription=OuterRef("pk"))),
            agreement=agreement,
            status=Subscription.Status.ACTIVE,
            started_on__gte=newest,
        )
        for pk in list(found.order_by("pk").values_list("pk", flat=True)):
            count += _attach_seller(pk, kind)
    return count


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
