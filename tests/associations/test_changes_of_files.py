"""What a file changes is a change: an event for those concerned, and one mail to each of them for each import."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.record import checking
from associations.record.models import Association
from por.accounts.models import Actor, Organisation
from por.db.locks import advisory_lock
from por.directory.models import Customer, Partner, Subscription
from por.history.actions import verifying
from por.history.actions.relaying import relay
from por.history.models import Event, Party
from por.imports import loading
from por.imports.loading import IMPORTING
from por.notifications.actions.delivering import deliver
from por.notifications.models import SUMMARY, Delivery, Notification
from tests import estates
from tests.estates import OTHER_SUBSCRIPTION, PARTNER, RIVAL, SUBSCRIPTION, TENANT
from tests.factories import make_member
from tests.pages import signed_in

pytestmark = pytest.mark.usefixtures("any_time")

#: The events that say what a file did to an association or a subscription.
TOLD = ("partner_of_record.", "association.begun", "association.ended", "association.re", "subscription.")


class People:
    """An administrator of the customer and of both partners."""

    def __init__(self) -> None:
        self.customer = make_member(Organisation.objects.get(number=TENANT))
        self.partner = make_member(Organisation.objects.get(number=PARTNER))
        self.rival = make_member(Organisation.objects.get(number=RIVAL))


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """Import two partners, a customer, and two subscriptions, of which one has a partner of record."""
    loaded = estates.load(
        estates.write(
            tmp_path,
            partners=[estates.partner(), estates.partner(RIVAL)],
            customers=[estates.customer()],
            subscriptions=[estates.subscription(), estates.subscription(OTHER_SUBSCRIPTION)],
            associations=[estates.association()],
        )
    )
    assert loaded.failure == ""
    return tmp_path


@pytest.fixture
def people(estate: Path) -> People:
    return People()


def told() -> list[tuple[str, str, list[str], dict[str, Any]]]:
    """Return verb, chain, parties and payload of the events about what files have changed, oldest first."""
    numbers = dict(Organisation.objects.values_list("pk", "number"))
    found = []
    for event in Event.objects.order_by("pk"):
        if event.verb.startswith(TOLD):
            chain = numbers[int(event.chain.removeprefix("organisation:"))]
            parties = Party.objects.filter(event=event).values_list("organisation_id", flat=True)
            found.append((event.verb, chain, sorted(numbers[pk] for pk in parties), event.changes))
    return found


def verbs() -> list[str]:
    return [verb for verb, *_rest in told()]


def send() -> dict[str, list[str]]:
    """Relay and send all that waits; return the subjects of the mails of each recipient."""
    while relay():
        pass
    mail.outbox.clear()
    deliver()
    found: dict[str, list[str]] = {}
    for message in mail.outbox:
        found.setdefault(message.to[0], []).append(str(message.subject))
    return found


def address(actor: Actor) -> str:
    assert actor.user is not None
    return actor.user.email


def is_right() -> bool:
    """Return whether the chains are whole and explain every association."""
    return not list(verifying.verify()) and not list(checking.examine())


# --- Events ---------------------------------------------------------------------------------------------------------


def test_first_import_of_a_customer_is_one_event_for_each_file(estate):
    assert told() == []
    assert Event.objects.filter(verb="estate.loaded", object_id="associations.csv").count() == 1


def test_first_import_that_was_killed_stays_the_first(estate, monkeypatch):
    other = estates.customer(estates.OTHER_TENANT)
    rows = [estates.subscription(estates.UNKNOWN[:-1] + digit, tenant_id=estates.OTHER_TENANT) for digit in "123"]
    estates.load_one(estate, "customers", other)
    estates.load_one(estate, "subscriptions", *rows)
    new = [estates.association(subscription_id=row["subscription_id"]) for row in rows]
    with monkeypatch.context() as died:
        died.setattr(loading, "_record", lambda *_given: None)
        estates.load_one(estate, "associations", new[0])
    estates.load_one(estate, "associations", *new)
    assert Association.objects.count() == 4
    assert told() == []
    assert is_right()


def test_partner_that_a_file_replaces_is_an_end_and_a_beginning(estate, people):
    before = timezone.now()
    rows = [estates.association(ended_on="2025-03-01"), estates.association(RIVAL, began_on="2025-03-01")]
    assert estates.load_one(estate, "associations", *rows).failure == ""
    ended, begun = told()
    assert ended[:3] == ("partner_of_record.ended", TENANT, [PARTNER])
    assert (ended[3]["end_reason"], ended[3]["ended_at"]) == ("file", "2025-03-01T00:00:00+00:00")
    assert begun[:3] == ("partner_of_record.attached", TENANT, [RIVAL])
    assert (begun[3]["source"], begun[3]["began_at"]) == ("estate", "2025-03-01T00:00:00+00:00")
    new = Association.objects.get(pk=begun[3]["association"])
    assert before <= new.attached_at <= Event.objects.latest("pk").at
    assert is_right()

    again = estates.load_one(estate, "associations", *rows)
    assert "Nothing has changed" in again.out
    assert len(told()) == 2
    for reader, page in ((people.customer, f"/c/subscriptions/{SUBSCRIPTION}/history/"), (people.rival, "/p/history/")):
        text = signed_in(reader).get(page).text
        assert "No events yet" not in text
        assert "A file names" in text


def test_new_subscription_of_a_known_customer_has_an_event_for_its_partner(estate, people):
    """Nothing is stored of the subscription, so its row is merged with others in one statement."""
    row = estates.association(RIVAL, subscription_id=OTHER_SUBSCRIPTION)
    assert estates.load_one(estate, "associations", estates.association(), row).failure == ""
    (begun,) = told()
    assert begun[:3] == ("partner_of_record.attached", TENANT, [RIVAL])
    assert send().keys() == {address(people.customer), address(people.rival)}
    assert is_right()


def test_file_of_a_customer_that_works_here_already_has_events(tmp_path, customer, admin, partner):
    subscription = Subscription.objects.create(
        subscription_id=SUBSCRIPTION, customer=customer, product="office365", agreement="EA", started_on="2024-07-01"
    )
    other = Subscription.objects.create(
        subscription_id=OTHER_SUBSCRIPTION, customer=customer, product="ems", agreement="EA", started_on="2024-07-01"
    )
    attaching.attach(other.subscription_id, partner.mpn_id, by=admin)
    estates.load_one(tmp_path, "associations", estates.association(partner.mpn_id))
    assert verbs() == ["partner_of_record.attached"] * 2
    assert Event.objects.filter(object_id=str(subscription.subscription_id)).count() == 1


@pytest.mark.parametrize(
    ("cells", "dates"),
    [
        ({"ended_on": "2025-02-01"}, {"ended_at_before": "2025-03-01T00:00:00+00:00"}),
        ({"began_on": "2024-08-05", "ended_on": "2025-03-01"}, {"began_at_before": "2024-08-01T00:00:00+00:00"}),
    ],
)
def test_corrected_dates_are_an_event_with_the_dates_before(estate, cells, dates):
    estates.load_one(estate, "associations", estates.association(ended_on="2025-03-01"))
    estates.load_one(estate, "associations", estates.association(**cells))
    verb, chain, parties, changes = told()[-1]
    assert (verb, chain, parties) == ("partner_of_record.redated", TENANT, [PARTNER])
    assert {key: value for key, value in changes.items() if "before" in key} == dates
    assert verbs() == ["partner_of_record.ended", "partner_of_record.redated"]
    assert is_right()


def test_day_to_come_is_an_event_and_so_is_the_end_on_it(estate, people):
    day = timezone.now().date() + timedelta(days=20)
    estates.load_one(estate, "associations", estates.association(ended_on=day.isoformat()))
    ((verb, _chain, _parties, changes),) = told()
    assert (verb, changes["ends_on_before"], changes["ends_on"]) == ("partner_of_record.redated", None, day.isoformat())
    text = signed_in(people.customer).get(f"/c/subscriptions/{SUBSCRIPTION}/history/").text
    assert "Will end on: unknown →" in text


def test_other_kinds_have_events_that_their_partner_reads_too(estate):
    estates.load_one(estate, "associations", estates.association(RIVAL, kind="csp"))
    estates.load_one(estate, "associations", estates.association(RIVAL, kind="csp", ended_on="2025-03-01"))
    estates.load_one(estate, "associations", estates.association(RIVAL, kind="csp"))
    assert [(verb, parties) for verb, _chain, parties, _changes in told()] == [
        ("association.begun", [RIVAL]), ("association.ended", [RIVAL]), ("association.reopened", [RIVAL]),
    ]  # fmt: skip
    assert is_right()


def test_subscription_without_a_partner_has_its_changes_in_its_history(estate, people):
    row = estates.subscription(
        OTHER_SUBSCRIPTION, seats="400", trial="1", product="ems", sku_string_id="EMS", status="expired"
    )
    estates.load_one(estate, "subscriptions", row)
    ((verb, chain, parties, changes),) = told()
    assert (verb, chain, parties) == ("subscription.changed", TENANT, [])
    assert changes == {
        "subscription": {
            "product": ["office365", "ems"], "seats": [420, 400], "is_trial": [False, True],
            "status": ["active", "expired"], "sku": ["ENTERPRISEPACK", "EMS"],
        }
    }  # fmt: skip
    text = signed_in(people.customer).get(f"/c/subscriptions/{OTHER_SUBSCRIPTION}/history/").text
    assert "Seats: 420 → 400" in text
    assert "No events yet" not in text


def test_replaced_subscription_alone_is_a_change_that_is_told(estate, people):
    for given in ("", SUBSCRIPTION, ""):
        row = estates.subscription(OTHER_SUBSCRIPTION, replaces_subscription_id=given)
        assert estates.load_one(estate, "subscriptions", row).failure == ""
    found = [(parties, changes) for verb, _chain, parties, changes in told() if verb == "subscription.changed"]
    assert found == [
        ([], {"subscription": {"replaces": [None, SUBSCRIPTION]}}),
        ([], {"subscription": {"replaces": [SUBSCRIPTION, None]}}),
    ]
    text = signed_in(people.customer).get(f"/c/subscriptions/{OTHER_SUBSCRIPTION}/history/").text
    assert f"Replaces: none → {SUBSCRIPTION}" in text
    assert f"Replaces: {SUBSCRIPTION} → none" in text


def test_partner_is_not_told_of_a_replaced_subscription_that_it_does_not_know(estate, people):
    row = estates.subscription(seats="400", replaces_subscription_id=OTHER_SUBSCRIPTION)
    estates.load_one(estate, "subscriptions", row)
    assert [(parties, changes["subscription"]) for _verb, _chain, parties, changes in told()] == [
        ([PARTNER], {"seats": [420, 400]}),
        ([], {"replaces": [None, OTHER_SUBSCRIPTION]}),
    ]
    assert OTHER_SUBSCRIPTION not in signed_in(people.partner).get("/p/history/").text


def test_partner_is_told_of_a_replaced_subscription_that_it_knows(estate, people):
    known = estates.association(subscription_id=OTHER_SUBSCRIPTION, ended_on="2025-01-01")
    estates.load_one(estate, "associations", estates.association(), known)
    before = len(told())
    estates.load_one(estate, "subscriptions", estates.subscription(replaces_subscription_id=OTHER_SUBSCRIPTION))
    assert [(parties, changes["subscription"]) for _verb, _chain, parties, changes in told()[before:]] == [
        ([PARTNER], {"replaces": [None, OTHER_SUBSCRIPTION]}),
    ]
    assert f"Replaces none → {OTHER_SUBSCRIPTION}" in str(send()) + "".join(one.body for one in mail.outbox)


# --- Mail -----------------------------------------------------------------------------------------------------------


def change_much(estate: Path) -> None:
    """Change four things: seats, both associations, and a new one."""
    seats = [estates.subscription(seats="400"), estates.subscription(OTHER_SUBSCRIPTION, seats="7")]
    estates.load_one(estate, "subscriptions", *seats)
    rows = [
        estates.association(ended_on="2025-03-01"),
        estates.association(RIVAL, began_on="2025-03-01"),
        estates.association(RIVAL, subscription_id=OTHER_SUBSCRIPTION),
    ]
    assert estates.load_one(estate, "associations", *rows).failure == ""


def test_each_recipient_gets_one_mail_about_all_of_an_import(estate, people):
    change_much(estate)
    assert send() == {
        address(people.customer): ["Västerhamn Energi AB: imported files made 3 changes"],
        address(people.partner): ["Nordvik 4471902: imported files made 2 changes"],
        address(people.rival): ["Nordvik 4471903: imported files made 2 changes"],
    }
    (message,) = [one for one in mail.outbox if one.to == [address(people.partner)]]
    assert "You are no longer the partner of record. An imported file says so." in message.body
    assert "This subscription has changed: Seats 420 → 400." in message.body
    assert send() == {}
    assert Notification.objects.filter(membership__user=people.customer.user).count() == 3, "the inbox has each of them"


def test_single_change_has_the_mail_that_says_most(estate, people):
    estates.load_one(estate, "associations", estates.association(ended_on="2025-03-01"))
    assert send() == {
        address(people.customer): ["Nordvik 4471902 is no longer your partner of record for Office 365 E3"],
        address(people.partner): ["You are no longer the partner of record for Office 365 E3 (Västerhamn Energi AB)"],
    }
    assert not Delivery.objects.filter(template=SUMMARY).exists()


def test_contact_address_gets_one_mail_where_there_are_no_people(estate):
    Organisation.objects.filter(number=RIVAL).update(contact_email="hello@rival.example")
    change_much(estate)
    assert send() == {"hello@rival.example": ["Nordvik 4471903: inlästa filer gjorde 2 ändringar"]}


def test_mail_waits_until_the_import_has_ended_and_all_its_events_are_read(estate, people):
    change_much(estate)
    with advisory_lock(IMPORTING):
        assert send() == {}, "another file may change more"
    assert Delivery.objects.held().count() == 7
    estates.load_one(estate, "subscriptions", estates.subscription(OTHER_SUBSCRIPTION, seats="8"))
    deliver()
    assert mail.outbox == [], "an event is not read yet"
    assert len(send()) == 3


def test_mail_about_an_import_goes_behind_what_a_person_causes(estate, people):
    change_much(estate)
    while relay():
        pass
    attaching.attach(SUBSCRIPTION, PARTNER, by=people.customer)
    while relay():
        pass
    mail.outbox.clear()
    deliver()
    subjects = [str(message.subject) for message in mail.outbox]
    about_the_import = ["imported files" in subject for subject in subjects]
    assert about_the_import == sorted(about_the_import)
    assert True in about_the_import
    assert False in about_the_import


def test_control_mail_that_is_not_held_would_be_one_for_each_change(estate, people):
    change_much(estate)
    while relay():
        pass
    Delivery.objects.held().update(status=Delivery.Status.WAITING)
    assert sum(map(len, send().values())) == 7


# --- Many -----------------------------------------------------------------------------------------------------------


def test_events_equal_the_differences_and_each_organisation_gets_one_mail(tmp_path):
    """Forty subscriptions of eight customers and three partners, of which a few change in the second import."""
    mpn_ids, tenants = ["4471902", "4471903", "4471904"], [f"{TENANT[:-1]}{number}" for number in range(8)]
    keys = [f"{SUBSCRIPTION[:-2]}{number:02}" for number in range(40)]
    subscriptions = [estates.subscription(key, tenant_id=tenants[place % 8]) for place, key in enumerate(keys)]
    records = [estates.association(mpn_ids[place % 3], subscription_id=key) for place, key in enumerate(keys)]
    organisations = {
        "partners": [estates.partner(mpn_id, contact_email=f"a@{mpn_id}.example") for mpn_id in mpn_ids],
        "customers": [estates.customer(key, contact_email=f"a@c{place}.example") for place, key in enumerate(tenants)],
    }
    estates.load(estates.write(tmp_path, **organisations, subscriptions=subscriptions, associations=records))
    assert told() == []
    assert send() == {}

    subscriptions[1]["seats"], subscriptions[9]["seats"] = "100", "110"  # both of customer 1; partners 1 and 0
    records[3]["ended_on"] = "2025-03-01"  # customer 3, partner 0
    records.append(estates.association(mpn_ids[1], subscription_id=keys[3], began_on="2025-03-01"))
    loaded = estates.load(estates.write(tmp_path, **organisations, subscriptions=subscriptions, associations=records))
    assert loaded.failure == ""
    assert verbs() == ["subscription.changed"] * 2 + ["partner_of_record.ended", "partner_of_record.attached"]
    sent = send()
    assert sent.keys() == {"a@c3.example", "a@4471902.example", "a@4471903.example"}
    assert {len(subjects) for subjects in sent.values()} == {1}
    assert is_right()
    assert (Partner.objects.count(), Customer.objects.count()) == (3, 8)
