"""Replacements and renewals: no partner of record is lost silently, and no notice is given twice."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from associations import imports
from associations import tasks as associations
from associations.attaching.actions import attach as attaching
from associations.record.models import Association, start_of
from associations.record.rules import EndReason, Source
from associations.renewals import actions as renewals
from associations.renewals.models import RenewalNotice, Replacement
from por.directory.models import Partner, Subscription
from por.history.actions import relaying, verifying
from por.history.models import Event
from por.notifications.messages import compose
from por.notifications.models import Delivery
from tests.associations.change_requests.test_actions import at
from tests.estates import unread_report
from tests.factories import make_customer, make_member, make_partner, make_subscription

pytestmark = pytest.mark.usefixtures("any_time")


def today() -> date:
    return timezone.now().date()


class Renewed:
    """A subscription with a partner of record, and one that replaces it."""

    def __init__(self, *, old: str = "MOSP", new: str = "MOSP", expired: bool = True, started: int = 3) -> None:
        self.customer = make_customer()
        self.admin = make_member(self.customer.organisation)
        self.partner = make_partner()
        self.of_partner = make_member(self.partner.organisation)
        self.old = make_subscription(self.customer, agreement=old)
        self.held = attaching.attach(self.old.subscription_id, self.partner.mpn_id, by=self.admin).association
        Association.objects.filter(pk=self.held.pk).update(began_at=datetime(2025, 1, 1, tzinfo=UTC))
        self.new = make_subscription(
            self.customer, agreement=new, started_on=today() - timedelta(days=started), replaces=self.old
        )
        if expired:
            Subscription.objects.filter(pk=self.old.pk).update(status="expired")

    def of_record(self, subscription: Subscription) -> Association | None:
        return Association.objects.open().of_record().filter(subscription=subscription).first()


def mails_about(verb: str) -> set[str]:
    """Return the templates of the mails that this event type led to; they have recipients."""
    relaying.relay()
    return set(Delivery.objects.filter(event__verb=verb).exclude(recipient="").values_list("template", flat=True))


def test_partner_of_record_is_carried_over_to_a_renewal_and_both_sides_get_mail():
    case = Renewed()

    imports.settle(unread_report())

    made, ended = case.of_record(case.new), Association.objects.get(pk=case.held.pk)
    assert (made.partner, made.source, made.began_at) == (case.partner, Source.AUTOMATIC, start_of(case.new.started_on))
    assert (ended.end_reason, case.of_record(case.old)) == (EndReason.SUBSCRIPTION_REPLACED, None)
    assert mails_about("partner_of_record.carried_over") == {"record_carried_over", "record_carried_over_customer"}
    assert Event.objects.get(verb="partner_of_record.carried_over").parties == [case.partner.pk]
    count = Event.objects.count()
    imports.settle(unread_report())
    assert (Event.objects.count(), list(verifying.verify())) == (count, [])


def test_customer_is_asked_once_if_the_agreement_changes():
    case = Renewed(old="EA", new="CSP")

    imports.settle(unread_report())
    imports.settle(unread_report())

    assert case.of_record(case.new) is None
    assert Association.objects.get(pk=case.held.pk).end_reason == EndReason.SUBSCRIPTION_REPLACED
    assert Replacement.objects.get().outcome == "asked"
    assert mails_about("subscription.replaced") == {"subscription_replaced", "subscription_replaced_customer"}
    assert Event.objects.filter(verb="subscription.replaced").count() == 1


def test_link_in_the_mail_fills_in_the_partner_and_one_click_confirms():
    case = Renewed(old="EA", new="CSP")
    imports.settle(unread_report())
    relaying.relay()
    delivery = Delivery.objects.get(template="subscription_replaced_customer")
    path = re.search(rf"/c/subscriptions/{case.new.subscription_id}/\?mpn_id=\d+", compose(delivery).body)[0]
    client = Client()
    client.force_login(case.admin.user)

    page = client.get(path).content.decode()

    assert f"OK, attach {case.partner.organisation.name}" in page
    assert case.of_record(case.new) is None
    stranger = make_partner("Okänd AB")
    assert "Okänd AB" not in client.get(f"{path.partition('?')[0]}?mpn_id={stranger.mpn_id}").content.decode()
    version = Subscription.objects.get(pk=case.new.pk).version
    client.post(f"{path.partition('?')[0]}attach/", {"mpn_id": case.partner.mpn_id, "version": version})
    assert case.of_record(case.new).partner == case.partner


def test_each_replacement_gets_the_partner_and_an_active_subscription_keeps_it():
    case = Renewed(expired=False)
    other = make_subscription(case.customer, agreement="MOSP", started_on=today(), replaces=case.old)

    imports.settle(unread_report())

    assert {case.of_record(one).partner for one in (case.old, case.new, other)} == {case.partner}


def test_partner_is_carried_over_from_a_subscription_that_expired_earlier():
    case = Renewed()
    Subscription.objects.filter(pk=case.new.pk).update(status="suspended")  # as if it had not started
    imports.settle(unread_report())
    assert Association.objects.get(pk=case.held.pk).end_reason == EndReason.SUBSCRIPTION_EXPIRED
    Subscription.objects.filter(pk=case.new.pk).update(status="active")

    imports.settle(unread_report())

    assert case.of_record(case.new).partner == case.partner


@pytest.mark.parametrize("hindrance", ["long ago", "removed before", "partner suspended", "removed after"])
def test_partner_is_not_carried_over_if_removed_suspended_or_long_ago(hindrance):
    case = Renewed(started=200 if hindrance == "long ago" else 3)
    if hindrance == "removed before":
        attaching.remove(case.old.subscription_id, by=case.admin)
    if hindrance == "partner suspended":
        Partner.objects.filter(pk=case.partner.pk).update(status="suspended")
    imports.settle(unread_report())
    if hindrance == "removed after":
        attaching.remove(case.new.subscription_id, by=case.admin)
        imports.settle(unread_report())
    assert case.of_record(case.new) is None


# --- Notices --------------------------------------------------------------------------------------------------------


def renewal(verb: str = "subscription.renewal_due") -> list[int]:
    return [event.changes["days"] for event in Event.objects.filter(verb=verb).order_by("id")]


@pytest.mark.parametrize("zone", ["Europe/Stockholm", "America/New_York"])
@pytest.mark.parametrize("renews_on", [date(2028, 2, 29), date(2027, 3, 31), date(2027, 11, 7)])
def test_renewal_notices_are_given_90_60_and_30_days_ahead_once_each(renews_on, zone):
    customer, partner = make_customer(), make_partner()
    admin = make_member(customer.organisation, time_zone=zone)
    subscription = make_subscription(customer, renews_on=renews_on)
    make_subscription(customer, renews_on=renews_on)  # without a partner of record
    start = datetime.combine(renews_on - timedelta(days=100), datetime.min.time(), UTC)
    with at(start):
        attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    near = [day for day in range(101) if day % 10 == 0 or any(abs(100 - ahead - day) <= 2 for ahead in (90, 60, 30))]
    for day in near:
        for hour in (0, 23):
            with at(start + timedelta(days=day, hours=hour)):
                associations.run_scheduled()
    assert renewal() == [90, 60, 30]
    assert mails_about("subscription.renewal_due") == {"renewal_due_customer"} | (
        {"renewal_due"} if partner.organisation.memberships.exists() else set()
    )


def test_missed_notices_are_given_once_or_dropped_if_too_late(customer, partner):
    admin = make_member(customer.organisation)
    subscription = make_subscription(customer, renews_on=admin.today + timedelta(days=57))
    other = make_subscription(customer, renews_on=admin.today + timedelta(days=45))
    for one in (subscription, other):
        attaching.attach(one.subscription_id, partner.mpn_id, by=admin)

    assert (renewals.give_notice_of_renewals(), renewals.give_notice_of_renewals()) == (1, 0)

    assert renewal() == [57]
    Subscription.objects.filter(pk=subscription.pk).update(renews_on=admin.today + timedelta(days=88))
    assert renewals.give_notice_of_renewals() == 1  # a new day is a new renewal


def test_partner_gets_mail_about_changes_of_its_subscription(customer, partner):
    admin, of_partner = make_member(customer.organisation), make_member(partner.organisation)
    subscription = make_subscription(customer)
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    imports.record_changes({subscription.pk: {"seats": [420, 400], "status": ["active", "grace"]}})
    relaying.relay()

    delivery = Delivery.objects.get(template="subscription_changed")

    assert delivery.user == of_partner.user
    assert "420 → 400" in compose(delivery).body


@pytest.mark.parametrize(
    ("zone", "first"),
    [
        ("Pacific/Auckland", datetime(2027, 2, 9, 11, tzinfo=UTC)),
        ("Europe/Stockholm", datetime(2027, 2, 9, 23, tzinfo=UTC)),
        ("America/New_York", datetime(2027, 2, 10, 5, tzinfo=UTC)),
    ],
)
def test_notice_of_a_renewal_is_given_by_the_customers_day(zone, first):
    customer, partner = make_customer(), make_partner()
    customer.organisation.time_zone = zone
    customer.organisation.save()
    renews_on = date(2027, 3, 12)  # thirty days after 10 February
    subscription = make_subscription(customer, renews_on=renews_on)
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=make_member(customer.organisation))
    RenewalNotice.objects.create(subscription=subscription, renews_on=renews_on, days=60, at=timezone.now())

    with at(first - timedelta(microseconds=1)):
        assert renewals.give_notice_of_renewals() == 0
    with at(first):
        assert (renewals.give_notice_of_renewals(), renewals.give_notice_of_renewals()) == (1, 0)
    assert Event.objects.get(verb="subscription.renewal_due").changes["days"] == 30
