"""A file moves a subscription to another tenant: the former customer keeps what was, the new one is asked."""

from __future__ import annotations

import uuid
from datetime import timedelta
from pathlib import Path
from unittest import mock

import pytest
from django.core import mail
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.change_requests.models import ChangeRequest
from associations.record import checking
from associations.record.models import Association
from por.accounts.models import Actor, Organisation
from por.directory.models import Partner, Subscription, Usage
from por.history.actions import verifying
from por.history.models import Event, Party
from por.imports import loading
from tests import estates
from tests.api import Api
from tests.associations.attaching.test_actions import refused
from tests.estates import OTHER_SUBSCRIPTION, OTHER_TENANT, PARTNER, RIVAL, SUBSCRIPTION, TENANT, Row
from tests.factories import make_member, make_staff
from tests.pages import signed_in
from tests.por.directory.test_changes_of_files import send

THIS = uuid.UUID(SUBSCRIPTION)


def state(tenant: str = TENANT, **cells: str) -> Row:
    return estates.subscription(tenant_id=tenant, **cells)


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """Import two customers, and a subscription of the first with a partner of record and usage."""
    customers = [
        estates.customer(contact_email="it@ek.example"),
        estates.customer(OTHER_TENANT, name="Alm AB", contact_email="it@alm.example", domain="alm.example"),
    ]
    partners = [estates.partner(contact_email="a@nordvik.example", language="en"), estates.partner(RIVAL)]
    associations = [estates.association(), estates.association(RIVAL, kind="csp", began_on="2024-09-01")]
    estates.write(tmp_path, partners=partners, customers=customers, subscriptions=[state()])
    estates.write(tmp_path, associations=associations, usage=[estates.usage("2025-03")])
    assert estates.load(tmp_path).failure == ""
    return tmp_path


def move(estate: Path, tenant: str = OTHER_TENANT, **cells: str) -> None:
    assert estates.load_one(estate, "subscriptions", state(tenant, **cells)).codes == []
    assert list(verifying.verify()) == []
    assert list(checking.examine()) == []


def organisation(number: str) -> Organisation:
    return Organisation.objects.get(number=number)


def people(*numbers: str) -> list[Actor]:
    return [make_member(organisation(number)) for number in numbers]


def row(tenant: str) -> Subscription:
    return Subscription.objects.get(subscription_id=THIS, customer__tenant_id=tenant)


def ends() -> list[tuple[str, str, str, str]]:
    """Return tenant, kind, partner and end reason of each association; "" for one in force."""
    found = Association.objects.select_related("customer", "partner").order_by("pk")
    return [(str(one.customer.tenant_id), one.kind, one.partner.mpn_id, one.end_reason) for one in found]


def events(tenant: str) -> list[str]:
    chain = f"organisation:{organisation(tenant).pk}"
    found = Event.objects.filter(chain=chain, object_kind="subscription").order_by("seq")
    return [event.verb for event in found]


def test_associations_of_the_old_tenant_end_and_the_new_one_has_none(estate):
    move(estate)
    assert ends() == [
        (TENANT, "dpor", PARTNER, "subscription_moved"),
        (TENANT, "csp", RIVAL, "subscription_moved"),
    ]
    assert (row(TENANT).status, row(OTHER_TENANT).status) == ("expired", "active")
    assert events(TENANT) == ["subscription.moved_away", "partner_of_record.ended", "association.ended"]
    assert events(OTHER_TENANT) == ["subscription.moved_in"]
    assert "Nothing has changed" in estates.load_one(estate, "subscriptions", state(OTHER_TENANT)).out


def test_old_customer_and_partner_are_told_and_the_new_customer_is_asked(estate):
    move(estate)
    assert send() == [
        ("a@nordvik.example", "You are no longer the partner of record for Office 365 E3 (Västerhamn Energi AB)"),
        ("it@alm.example", f"Is Nordvik {PARTNER} still your partner for Office 365 E3?"),
        ("it@ek.example", "Västerhamn Energi AB: imported files made 2 changes"),
    ]
    bodies = {message.to[0]: message.body for message in mail.outbox}
    assert "The subscription moved to another tenant" in bodies["a@nordvik.example"]
    assert f"/c/subscriptions/{SUBSCRIPTION}/?mpn_id={PARTNER}" in bodies["it@alm.example"]
    assert "Alm" not in bodies["a@nordvik.example"] + bodies["it@ek.example"]
    assert "Västerhamn" not in bodies["it@alm.example"]
    (admin,) = people(OTHER_TENANT)
    page = signed_in(admin).get(f"/c/subscriptions/{SUBSCRIPTION}/?mpn_id={PARTNER}").text
    assert f"Nordvik {PARTNER}" in page
    assert f"Nordvik {RIVAL}" not in signed_in(admin).get(f"/c/subscriptions/{SUBSCRIPTION}/?mpn_id={RIVAL}").text
    assert attaching.attach(THIS, PARTNER, by=admin).outcome == "attached"


def test_neither_customer_nor_partner_sees_what_is_the_others(estate):
    """The former customer and its partners see what they saw, as it was; the new customer sees nothing of before."""
    old, new, partner, rival = people(TENANT, OTHER_TENANT, PARTNER, RIVAL)
    staff = make_staff("auditor")
    move(estate, seats="7")
    apis = {one: Api(one) for one in (old, new, partner, rival, staff)}
    seen = {
        name: apis[one].get(f"subscriptions/{SUBSCRIPTION}/").json()
        for name, one in (("old", old), ("new", new), ("partner", partner), ("rival", rival), ("staff", staff))
    }
    assert {name: one["customer"]["name"] for name, one in seen.items()} == {
        "old": "Västerhamn Energi AB", "new": "Alm AB", "partner": "Västerhamn Energi AB",
        "rival": "Västerhamn Energi AB", "staff": "Alm AB",
    }  # fmt: skip
    assert {name: one["seats"] for name, one in seen.items()} == {
        "old": 420, "new": 7, "partner": 420, "rival": 420, "staff": 7,
    }  # fmt: skip
    months = {
        name: len(apis[one].get(f"subscriptions/{SUBSCRIPTION}/usage/").json()["results"])
        for name, one in (("old", old), ("new", new), ("partner", partner))
    }
    assert months == {"old": 1, "new": 0, "partner": 1}
    associations = {
        name: apis[one].get(f"associations/?subscription={SUBSCRIPTION}").json()["results"]
        for name, one in (("old", old), ("new", new), ("partner", partner))
    }
    assert {name: [one["end_reason"] for one in found] for name, found in associations.items()} == {
        "old": ["subscription_moved", "subscription_moved"], "new": [], "partner": ["subscription_moved"],
    }  # fmt: skip
    for reader, kind, hidden in ((old, "c", "Alm AB"), (new, "c", "Västerhamn"), (partner, "p", "Alm AB")):
        web = signed_in(reader)
        for address in (f"subscriptions/{SUBSCRIPTION}/", "subscriptions/", "history/"):
            page = web.get(f"/{kind}/{address}")
            assert page.status_code == 200, address
            assert hidden not in page.text, address
    assert "Nordvik" not in str(apis[new].get(f"subscriptions/{SUBSCRIPTION}/?as_of=2025-03-01").json())
    assert not Party.objects.filter(event__verb="subscription.moved_in").exists()


def test_former_customer_can_attach_no_one(estate):
    old, new = people(TENANT, OTHER_TENANT)
    move(estate)
    refused("subscription_expired", lambda: attaching.attach(THIS, RIVAL, by=old))
    assert attaching.attach(THIS, RIVAL, by=new).outcome == "attached"
    web = signed_in(new)
    day = f"{timezone.now().date() - timedelta(days=1):%Y-%m-%d}"
    refused(
        "began_on_too_early",
        lambda: attaching.attach(THIS, RIVAL, by=new, began_on=timezone.now().date() - timedelta(days=1)),
        field="began_on",
    )
    assert web.get(f"/c/subscriptions/?as_of={day}").status_code == 200
    assert SUBSCRIPTION[:8] not in web.get(f"/c/subscriptions/?as_of={day}").text


def test_open_change_request_is_cancelled(estate):
    (admin,) = people(TENANT)
    attaching.attach(THIS, RIVAL, by=admin)
    move(estate)
    request = ChangeRequest.objects.get()
    assert (request.status, request.cancelled_because) == ("cancelled", "subscription_moved")
    assert Api(admin).get(f"change-requests/{request.pk}/").status_code == 200
    assert Api(people(OTHER_TENANT)[0]).get(f"change-requests/{request.pk}/").status_code == 404


def test_corrected_file_takes_the_move_back_without_a_gap(estate):
    before = list(Association.objects.order_by("pk").values("pk", "began_at"))
    move(estate)
    (new,) = people(OTHER_TENANT)
    attaching.attach(THIS, RIVAL, by=new)
    send()
    move(estate, TENANT)
    assert [one[3] for one in ends()] == ["", "", "subscription_moved"]
    assert (
        list(Association.objects.filter(customer__tenant_id=TENANT).order_by("pk").values("pk", "began_at")) == before
    )
    assert row(TENANT).left_at is None
    assert events(TENANT)[-3:] == ["subscription.moved_back", "partner_of_record.reopened", "association.reopened"]
    subjects = dict(send())
    assert subjects["a@nordvik.example"].startswith("You are the partner of record for Office 365 E3")
    assert subjects["it@ek.example"] == "Västerhamn Energi AB: imported files made 2 changes"


def test_move_that_is_taken_back_too_late_asks_the_customer(estate):
    move(estate)
    long_ago = timezone.now() - timedelta(days=91)
    Association.objects.update(ended_at=long_ago, attached_at=long_ago - timedelta(days=1))
    Subscription.objects.filter(left_at__isnull=False).update(left_at=long_ago)
    send()
    estates.load_one(estate, "subscriptions", state(TENANT))
    assert Association.objects.open().count() == 0
    assert ("it@ek.example", f"Is Nordvik {PARTNER} still your partner for Office 365 E3?") in send()


def test_files_that_still_name_the_partner_change_nothing(estate):
    """A line about a day before the move is about the former customer, also one that was not stored yet."""
    move(estate)
    count = Event.objects.count()
    lines = [estates.association(), estates.association(RIVAL, kind="csp", began_on="2024-09-01")]
    assert "Nothing has changed" in estates.load_one(estate, "associations", *lines).out
    assert "Nothing has changed" in estates.load_one(estate, "usage", estates.usage("2025-03")).out
    assert Event.objects.count() == count
    estates.load_one(estate, "associations", *lines, estates.association(kind="transacting", began_on="2025-01-01"))
    assert ends()[-1] == (TENANT, "transacting", PARTNER, "subscription_moved")
    today = timezone.now().date()
    estates.load_one(estate, "associations", estates.association(RIVAL, began_on=today.isoformat()))
    assert ends()[-1] == (OTHER_TENANT, "dpor", RIVAL, "")


def test_usage_from_the_month_of_the_move_on_is_the_new_customers(estate):
    move(estate)
    month = f"{timezone.now():%Y-%m}"
    estates.load_one(estate, "usage", estates.usage("2025-04"), estates.usage(month))
    found = Usage.objects.select_related("subscription").order_by("month")
    assert [(f"{one.month:%Y-%m}", one.subscription) for one in found] == [
        ("2025-03", row(TENANT)), ("2025-04", row(TENANT)), (month, row(OTHER_TENANT)),
    ]  # fmt: skip


def test_subscription_and_what_it_replaces_move_together(estate):
    rows = [state(), estates.subscription(OTHER_SUBSCRIPTION, replaces_subscription_id=SUBSCRIPTION)]
    estates.load_one(estate, "subscriptions", *rows)
    for batch in (1, 5000):
        for tenant in (OTHER_TENANT, TENANT):
            with mock.patch.object(loading, "BATCH", batch):
                moved = [one | {"tenant_id": tenant} for one in rows]
                assert estates.load_one(estate, "subscriptions", *moved[::-1]).codes == []
            other = Subscription.objects.get(subscription_id=OTHER_SUBSCRIPTION, left_at=None)
            assert other.replaces == Subscription.objects.get(subscription_id=SUBSCRIPTION, left_at=None)
            assert str(other.customer.tenant_id) == tenant


def test_partner_that_cannot_be_attached_is_not_filled_in(estate):
    Partner.objects.filter(mpn_id=PARTNER).update(status="suspended")
    move(estate)
    assert Event.objects.get(verb="subscription.moved_in").changes == {}
    assert ("it@alm.example", "Office 365 E3 moved to your tenant") in send()


def test_partner_of_both_customers_sees_both(estate):
    (new, partner) = people(OTHER_TENANT, PARTNER)
    move(estate)
    attaching.attach(THIS, PARTNER, by=new)
    api = Api(partner)
    assert api.get(f"subscriptions/{SUBSCRIPTION}/").json()["customer"]["name"] == "Alm AB"
    names = [one["customer"]["name"] for one in api.get("subscriptions/").json()["results"]]
    assert sorted(names) == ["Alm AB", "Västerhamn Energi AB"]
    assert attaching.resign(THIS, by=partner).customer.organisation.name == "Alm AB"
