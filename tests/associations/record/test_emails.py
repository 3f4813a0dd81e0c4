"""From a verb to the mail that is sent: who gets it, and with what words."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.attaching.actions import ending, undo
from associations.record import signing
from associations.record.models import Association
from por.history.actions import relaying
from por.history.models import Outbox
from por.notifications.actions.delivering import deliver
from por.notifications.models import Delivery
from tests.factories import make_member, make_partner
from tests.mails import says

PARTNER = "maja@nordvik.example"
ADMIN = "elin@vasterhamn.example"


@pytest.fixture
def partner():
    partner = make_partner(mpn_id="4471902")
    make_member(partner.organisation, email=PARTNER, name="Maja Ek", time_zone="Asia/Tokyo")
    return partner


@pytest.fixture(autouse=True)
def _colleague(customer) -> None:
    make_member(customer.organisation, email="colleague@vasterhamn.example")


@pytest.fixture
def attached(subscription, partner, admin, arrived) -> Association:
    """Attach a partner of record, with all mails about it sent."""
    association = attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin).association
    arrived()
    return association


def test_attaching_notifies_the_partner_and_confirms_to_the_person_who_did_it(subscription, partner, admin, arrived):
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin, note="They run our mail.")
    mails = arrived()
    assert mails.keys() == {PARTNER, ADMIN}
    facts = [
        "Västerhamn Energi AB",
        "Nordvik Cloud AB, MPN ID 4471902",
        "Office 365",
        str(subscription.subscription_id),
        "420",
        "Elin Sandberg",
        "They run our mail.",
    ]
    says(mails[PARTNER], *facts, f"http://testserver/p/subscriptions/{subscription.subscription_id}/", "(JST)")
    assert mails[PARTNER].subject.startswith("Västerhamn Energi AB attached you as the partner of record for ")
    says(mails[ADMIN], *facts, f"http://testserver/c/subscriptions/{subscription.subscription_id}/", "(CET)")
    receipt = f"http://testserver/receipts/{signing.sign(Association.objects.get().pk)}/"
    says(mails[PARTNER], receipt)
    says(mails[ADMIN], receipt)
    assert mails[ADMIN].subject.startswith("You attached Nordvik Cloud AB as the partner of record for ")


def test_removing_notifies_the_partner_with_the_reason(subscription, attached, admin, arrived):
    attaching.remove(subscription.subscription_id, by=admin, reason="We do it ourselves now.\nThank you.")
    mails = arrived()
    assert mails.keys() == {PARTNER, ADMIN}
    assert mails[PARTNER].subject.startswith("Västerhamn Energi AB removed you as the partner of record for ")
    says(mails[PARTNER], "We do it ourselves now.", "Thank you.", "you can see its usage only for the months")
    assert mails[ADMIN].subject.startswith("You removed Nordvik Cloud AB as the partner of record for ")
    says(mails[ADMIN], "You can undo this until")


def test_undoing_an_attach_notifies_the_partner_without_a_link_it_cannot_open(subscription, attached, admin, arrived):
    undo.undo(subscription.subscription_id, by=admin)
    mails = arrived()
    assert mails.keys() == {PARTNER, ADMIN}
    says(mails[PARTNER], "It counts as if it never happened.", "http://testserver/p/subscriptions/")
    assert f"/p/subscriptions/{subscription.subscription_id}" not in mails[PARTNER].body


def test_undoing_a_removal_notifies_the_partner(subscription, attached, admin, arrived):
    attaching.remove(subscription.subscription_id, by=admin)
    arrived()
    undo.undo(subscription.subscription_id, by=admin)
    mails = arrived()
    assert mails.keys() == {PARTNER, ADMIN}
    assert mails[PARTNER].subject.startswith(
        "You are the partner of record for Office 365 E3 (Västerhamn Energi AB) again"
    )


def test_earlier_start_notifies_the_partner_with_both_days(subscription, partner, attached, admin, arrived):
    began_on = (timezone.now() - timedelta(days=40)).date()
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin, began_on=began_on)
    mails = arrived()
    assert mails.keys() == {PARTNER, ADMIN}
    says(mails[PARTNER], "Your start date is now", "Before, it was")


def test_end_from_outside_notifies_partner_and_customer_with_the_reason(subscription, attached, arrived):
    subscription.status = "expired"
    subscription.save()
    assert ending.end_from_outside([attached.pk]) == 1
    mails = arrived()
    assert mails.keys() == {PARTNER, ADMIN, "colleague@vasterhamn.example"}
    says(mails[PARTNER], "The subscription expired.")
    says(mails[ADMIN], "The subscription expired.")
    assert "Done by" not in mails[ADMIN].body

    subscription.status = "active"
    subscription.save()
    assert ending.reopen_from_outside([attached.pk]) == 1
    mails = arrived()
    assert mails.keys() == {PARTNER, ADMIN, "colleague@vasterhamn.example"}
    says(mails[PARTNER], "A later file has taken that back.", "without a gap")
    says(mails[ADMIN], "A later file has taken that back.", "you can remove the partner at any time")


def test_attaching_the_same_partner_again_notifies_no_one(subscription, partner, attached, admin, arrived):
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    assert arrived() == {}


def test_second_call_of_a_handler_adds_no_mail(subscription, attached, admin, arrived):
    attaching.remove(subscription.subscription_id, by=admin)
    assert len(arrived()) == 2
    Outbox.objects.update(done_at=None, next_at=timezone.now())
    assert arrived() == {}
    assert Delivery.objects.count() == 4


def test_mail_works_for_a_subscription_without_sku_and_seats(subscription, partner, admin, arrived):
    subscription.sku = subscription.seats = None
    subscription.save()
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    attaching.remove(subscription.subscription_id, by=admin)
    relaying.relay()
    assert deliver() == 4
    undo.undo(subscription.subscription_id, by=admin)
    relaying.relay()
    assert deliver() == 2
    assert not Delivery.objects.exclude(last_error="").exists()
