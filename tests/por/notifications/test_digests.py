"""The daily digest: one mail in the morning with all that was not mailed immediately, in each reader's time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from por.accounts.models import Actor
from por.history.actions import recording as history
from por.history.actions import relaying
from por.history.models import Event
from por.notifications.actions.digests import put_together
from por.notifications.actions.notifying import choose, notify_organisation
from por.notifications.messages import _mails
from por.notifications.models import Delivery, How, Notification, NotificationQuerySet
from por.notifications.rules import next_digest
from por.notifications.tasks import put_digests_together
from tests.at_once import at_once, together
from tests.factories import make_customer, make_member, make_partner, make_subscription, suspend

pytestmark = pytest.mark.usefixtures("any_time")

WANTED = "record_attached"


class Clock:
    """The current time, as set by a test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def set(self, text: str) -> None:
        now = datetime.fromisoformat(text).astimezone(UTC)
        self.monkeypatch.setattr(timezone, "now", lambda: now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(monkeypatch)
    clock.set("2027-03-10T12:00Z")
    return clock


def make_reader(organisation, how: How = How.DIGEST, **fields) -> Actor:
    """Create a member who wants the mail once a day, or as given."""
    reader = make_member(organisation, **fields)
    choose(reader.user.memberships.get(organisation=organisation), {WANTED: how})
    return reader


def notify(partner, *, name: str = WANTED, event: Event | None = None) -> Event:
    """Notify a partner of an event, of a new one if none is given; return the event."""
    if event is None:
        about = history.ObjectRef("subscription", "5d1c6f0e-0f5c-4a55-9a1b-0d6f0c2b7f11", "Office 365 E3")
        changes = {
            "association": 1,
            "partner": {"name": "Nordvik", "mpn_id": "4471902"},
            "source": "customer",
            "began_at": "2027-01-01T00:00:00+00:00",
            "ended_at": None,
        }
        by = make_member(make_customer().organisation)
        at = timezone.now()
        key = history.record(
            "partner_of_record.attached", about, by=by, at=at, chain=by.organisation_id, changes=changes
        )
        event = Event.objects.get(pk=key)
    notify_organisation(event, _mails[name], organisation_id=partner.pk)
    return event


def digests() -> list[Delivery]:
    return list(Delivery.objects.filter(template="digest").order_by("pk"))


# --- When it is due ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "zone", "due"),
    [
        pytest.param("2027-01-10T05:59:59Z", "Europe/Stockholm", "2027-01-10T06:00Z", id="this morning"),
        pytest.param("2027-01-10T06:00:00Z", "Europe/Stockholm", "2027-01-11T06:00Z", id="at seven, so tomorrow"),
        pytest.param("2027-03-27T12:00:00Z", "Europe/Stockholm", "2027-03-28T05:00Z", id="the night clocks go forward"),
        pytest.param("2027-10-30T12:00:00Z", "Europe/Stockholm", "2027-10-31T06:00Z", id="the night they go back"),
        pytest.param("2027-03-13T20:00:00Z", "America/New_York", "2027-03-14T11:00Z", id="forward in New York"),
        pytest.param("2027-11-06T20:00:00Z", "America/New_York", "2027-11-07T12:00Z", id="back in New York"),
        pytest.param("2027-01-10T12:00:00Z", "Asia/Kolkata", "2027-01-11T01:30Z", id="half an hour off"),
        pytest.param("2027-01-10T12:00:00Z", "Pacific/Kiritimati", "2027-01-10T17:00Z", id="tomorrow there already"),
        pytest.param("2028-02-28T12:00:00Z", "UTC", "2028-02-29T07:00Z", id="leap day"),
    ],
)
def test_digest_is_due_at_the_next_seven_in_the_morning_of_the_time_zone(now, zone, due):
    assert next_digest(datetime.fromisoformat(now), zone) == datetime.fromisoformat(due)


def test_each_member_gets_the_digest_in_their_morning_also_when_clocks_change(partner, clock):
    clock.set("2027-03-13T23:00Z")  # New York goes forward in the night, Stockholm two weeks later
    make_reader(partner.organisation, email="stockholm@nordvik.example", time_zone="Europe/Stockholm")
    make_reader(partner.organisation, email="newyork@nordvik.example", time_zone="America/New_York")
    notify(partner)
    made = []
    for now in ("05:59:59", "06:00", "10:59:59", "11:00", "12:00"):
        clock.set(f"2027-03-14T{now}Z")
        made.append(put_together())
    assert made == [0, 1, 0, 1, 0]
    assert [one.recipient for one in digests()] == ["stockholm@nordvik.example", "newyork@nordvik.example"]


# --- Its content ------------------------------------------------------------------------------------------------


def test_digest_has_all_of_a_day_by_subscription_in_the_language_of_the_reader(clock, send):
    customer, partner = make_customer(), make_partner("Nordvik Cloud AB")
    admin = make_member(customer.organisation)
    reader = make_reader(partner.organisation, language="sv", time_zone="Asia/Tokyo", email="maja@nordvik.example")
    choose(reader.user.memberships.get(), {"record_removed": How.DIGEST})
    first, other = make_subscription(customer), make_subscription(customer, product="intune")
    for subscription in (first, other):
        attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    attaching.remove(first.subscription_id, by=admin)
    relaying.relay()
    assert not Delivery.objects.filter(user=reader.user).exists()
    clock.set("2027-03-11T12:00Z")
    put_together()

    (mail,) = [mail for mail in send() if mail["To"] == "maja@nordvik.example"]
    text = mail.get_body(["plain"]).get_content()
    assert mail["Subject"] == "Nordvik Cloud AB: 3 händelser"
    groups = [text.index(f"{one.name} · {str(one.subscription_id)[:8]} · {customer}") for one in (first, other)]
    assert groups == sorted(groups), "the newest first"
    assert text.count("Ni gjordes till partner of record.") == 2
    assert "- 10 mars 2027 kl. 21:00: Ni togs bort som partner of record." in text
    assert f"http://testserver/p/subscriptions/{first.subscription_id}/" in text
    assert "http://testserver/inbox/" in text
    assert f"<{digests()[0].message_id}@por.example>" == mail["Message-ID"]


def test_long_digest_shows_how_many_more_messages_there_are(partner, clock, send, monkeypatch):
    monkeypatch.setattr("por.notifications.digest.LONGEST", 2)
    make_reader(partner.organisation)
    for _ in range(3):
        notify(partner)
    clock.set("2027-03-11T12:00Z")
    put_together()
    text = send()[0].get_body(["plain"]).get_content()
    assert text.count("You were attached as the partner of record.") == 2
    assert "There is 1 more message in your inbox." in text


# --- Once, and never lost ---------------------------------------------------------------------------------------


def test_empty_digest_is_not_sent_and_no_line_is_sent_twice(partner, clock):
    make_reader(partner.organisation)
    put_digests_together()
    assert digests() == []
    notify(partner)
    clock.set("2027-03-11T12:00Z")
    assert [put_together(), put_together()] == [1, 0]
    clock.set("2027-03-12T12:00Z")
    assert put_together() == 0
    assert Notification.objects.exclude(digest=digests()[0]).count() == 0


def test_several_missed_days_are_covered_by_one_digest(partner, clock):
    make_reader(partner.organisation)
    for day in (10, 11, 12):
        clock.set(f"2027-03-{day}T12:00Z")
        notify(partner)
    clock.set("2027-03-12T20:00Z")
    assert [put_together(), put_together()] == [1, 0]
    assert Notification.objects.filter(digest=digests()[0]).count() == 3
    clock.set("2027-03-13T12:00Z")
    assert put_together() == 0


def test_later_notification_of_an_old_event_is_in_the_next_digest(partner, clock):
    reader = make_reader(partner.organisation)
    choose(reader.user.memberships.get(), {"record_dated_back": How.DIGEST})
    event = notify(partner)
    clock.set("2027-03-11T12:00Z")
    put_together()
    notify(partner, name="record_dated_back", event=event)
    clock.set("2027-03-12T12:00Z")
    assert put_together() == 1
    assert [one.event_id for one in digests()] == [event.pk] * 2


def test_member_of_two_organisations_gets_a_digest_for_each(partner, clock):
    other = make_partner()
    reader = make_reader(partner.organisation)
    membership = other.organisation.memberships.create(user=reader.user, role="viewer")
    choose(membership, {WANTED: How.DIGEST})
    event = notify(partner)
    notify(other, event=event)
    clock.set("2027-03-11T12:00Z")
    assert put_together() == 2
    assert {one.organisation_id for one in digests()} == {partner.pk, other.pk}


def test_deferred_digest_is_sent_later_as_the_same_mail(partner, clock, mail_server, send):
    make_reader(partner.organisation)
    notify(partner)
    clock.set("2027-03-11T12:00Z")
    put_together()
    mail_server.to_data = ["451 Try again later"]
    assert send() == []
    clock.set("2027-03-11T12:01Z")
    assert [str(digests()[0].message_id) in mail["Message-ID"] for mail in send()] == [True]


def test_person_who_left_before_the_sending_gets_no_empty_digest(partner, clock, send):
    reader = make_reader(partner.organisation)
    notify(partner)
    clock.set("2027-03-11T12:00Z")
    put_together()
    reader.user.memberships.all().delete()
    assert send() == []
    assert digests()[0].last_error == "LookupError: no lines are left"


def test_mail_that_is_turned_off_leaves_the_digest_and_mail_now_wanted_immediately_stays(partner, clock):
    off, immediate = make_reader(partner.organisation), make_reader(partner.organisation)
    notify(partner)
    choose(off.user.memberships.get(), {WANTED: How.OFF})
    choose(immediate.user.memberships.get(), {WANTED: How.AT_ONCE})
    clock.set("2027-03-11T12:00Z")
    put_together()
    assert [one.user for one in digests()] == [immediate.user]


def test_suspended_member_gets_the_digest_after_reactivation(partner, clock):
    reader = make_reader(partner.organisation)
    notify(partner)
    suspend(reader)
    clock.set("2027-03-11T12:00Z")
    assert put_together() == 0
    reader.user.is_active = True
    reader.user.save()
    assert put_together() == 1


def test_contact_address_gets_no_mail_that_a_member_wants_once_a_day(partner, clock):
    partner.organisation.contact_email = "hello@nordvik.example"
    partner.organisation.save()
    make_reader(partner.organisation)
    notify(partner)
    assert not Delivery.objects.exists(), "the contact address gets no mail either"


@pytest.mark.django_db(transaction=True)
def test_one_of_two_simultaneous_workers_creates_the_digest(partner, monkeypatch):
    make_reader(partner.organisation)
    notify(partner)
    Notification.objects.update(digest_at=timezone.now() - timedelta(minutes=1))
    monkeypatch.setattr(NotificationQuerySet, "put_aside", together(NotificationQuerySet.put_aside))
    assert at_once(put_together, put_together) == ["done", "done"]
    assert len(digests()) == 1
