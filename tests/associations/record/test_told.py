"""Who will be told is known before it is said, and a message that reaches no one is a row for the staff."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.attaching.events import ATTACHED_FOR_CUSTOMER, ATTACHED_MAIL, REMOVED_MAIL
from associations.change_requests import actions as change_requests
from associations.invitations import actions as invitations
from por.accounts.models import Actor, Membership
from por.directory.models import Customer, Subscription
from por.history.actions.relaying import relay
from por.history.models import Event
from por.notifications.actions.notifying import Reach, choose, notify_organisation, reach_of
from por.notifications.messages import compose
from por.notifications.models import Delivery, How, Notification
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.pages import signed_in

CANNOT = "We cannot tell anyone at Nordvik Cloud AB, which has no people here and no contact address."


def words(html: str) -> str:
    return " ".join(re.sub("<[^>]+>", " ", html).split())


def page_of(reader: Actor, name: str, *args: Any) -> str:
    return words(signed_in(reader).get(reverse(name, args=args)).text)


def turn_off(person: Actor, how: How, message: Any) -> None:
    choose(Membership.objects.get(user=person.user, organisation=person.organisation), {message.name: how})


@pytest.mark.parametrize("contact", ["", "hello@nordvik.example"])
@pytest.mark.parametrize("people", [(), ("at_once",), ("digest",), ("off",), ("off", "at_once"), ("off", "off")])
def test_what_is_known_before_is_what_happens(subscription, admin, people, contact):
    partner = make_partner(contact_email=contact)
    for how in people:
        turn_off(make_member(partner.organisation), How(how), ATTACHED_MAIL)

    known = reach_of({partner.pk: ATTACHED_MAIL})[partner.pk]

    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    relay()
    sent = Delivery.objects.filter(organisation=partner.organisation, template=ATTACHED_MAIL.name)
    lines = Notification.objects.filter(membership__organisation=partner.organisation)
    is_mailed = sent.waiting().exists() or lines.put_aside().exists()
    happened = Reach.MAIL if is_mailed else Reach.INBOX if lines.exists() else Reach.NO_ONE
    assert known == happened
    assert sent.unreached().exists() == (known == Reach.NO_ONE)


def test_only_people_with_the_right_count(customer):
    assert reach_of({customer.pk: ATTACHED_FOR_CUSTOMER}) == {customer.pk: Reach.NO_ONE}
    make_member(customer.organisation, "viewer")
    assert reach_of({customer.pk: ATTACHED_FOR_CUSTOMER}) == {customer.pk: Reach.NO_ONE}
    make_member(customer.organisation)
    assert reach_of({customer.pk: ATTACHED_FOR_CUSTOMER}) == {customer.pk: Reach.MAIL}


def test_message_that_reaches_no_one_is_a_row_for_the_staff_once(subscription, partner, admin):
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    relay()
    event = Event.objects.get(verb="partner_of_record.attached")
    notify_organisation(event, ATTACHED_MAIL, organisation_id=partner.pk)
    (row,) = Delivery.objects.unreached()
    assert (row.recipient, row.organisation, row.event, row.has_failed) == ("", partner.organisation, event, False)
    staff = make_staff("programme_administrator")
    text = page_of(staff, "notifications:delivery_list")
    assert "No one Nordvik Cloud AB" in text
    web = signed_in(staff)
    listed = words(web.get(reverse("notifications:delivery_list") + "?view=unreached").text)
    assert "No one Nordvik Cloud AB" in listed
    shown = page_of(staff, "notifications:delivery_detail", row.pk)
    assert "None (the organisation has no people here and no contact address)" in shown
    assert "Send again" not in shown


@pytest.mark.parametrize("has_people", [True, False])
def test_page_and_receipt_of_an_attachment_and_a_removal_say_who_is_told(
    subscription, partner, admin, arrived, has_people
):
    if has_people:
        make_member(partner.organisation)
    assert admin.user is not None

    def said() -> tuple[str, str]:
        page = page_of(admin, "associations:subscription_detail", subscription.subscription_id)
        return page, arrived()[admin.user.email].body

    for act in (
        lambda: attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin),
        lambda: attaching.remove(subscription.subscription_id, by=admin),
    ):
        act()
        page, mail = said()
        assert ("Nordvik Cloud AB is told by email." in page) == has_people
        assert (CANNOT in page) == (not has_people)
        assert ("We have told the partner." in mail) == has_people
        assert ("We could not tell anyone at Nordvik Cloud AB" in mail) == (not has_people)


def test_before_attaching_it_is_said_whether_the_partner_would_be_told(web, subscription, partner):
    address = reverse("associations:subscription_check", args=[subscription.subscription_id])
    promise = "Be told when you replace or remove them"
    without = f"{promise}: they have no people here and no contact address"
    text = words(web.post(address, {"mpn_id": partner.mpn_id}).text)
    assert without in text
    make_member(partner.organisation)
    text = words(web.post(address, {"mpn_id": partner.mpn_id}).text)
    assert promise in text
    assert without not in text


def test_member_that_wants_no_mail_reads_it_in_the_inbox(subscription, partner, admin):
    member = make_member(partner.organisation)
    for message in (ATTACHED_MAIL, REMOVED_MAIL):
        turn_off(member, How.OFF, message)
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    text = page_of(admin, "associations:subscription_detail", subscription.subscription_id)
    assert "Nordvik Cloud AB can read it in the inbox here, but gets no email about it." in text
    relay()
    assert not Delivery.objects.unreached().exists()


def test_change_request_names_the_parties_that_cannot_be_told(web, subscription, partner, admin, arrived):
    rival = make_partner("Halden Konsult AB")
    make_member(rival.organisation)
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    arrived()
    address = reverse("associations:subscription_check", args=[subscription.subscription_id])
    assert CANNOT in words(web.post(address, {"mpn_id": rival.mpn_id}).text)
    request = attaching.attach(subscription.subscription_id, rival.mpn_id, by=admin).request
    assert request is not None
    for page in (
        page_of(admin, "associations:subscription_detail", subscription.subscription_id),
        page_of(admin, "associations:change_request", request.pk),
    ):
        assert CANNOT in page
        assert "anyone at Halden" not in page
    arrived()
    change_requests.answer(request.pk, rival.mpn_id, by=admin)
    text = page_of(admin, "associations:change_request", request.pk)
    assert "Halden Konsult AB is told by email." in text
    assert CANNOT in text
    assert admin.user is not None
    assert "We could not tell anyone at Nordvik Cloud AB" in arrived()[admin.user.email].body


def test_partner_is_told_that_its_invitation_reaches_no_one(customer: Customer, subscription: Subscription, amira):
    web = signed_in(amira)
    sent = {"tenant_id": str(customer.tenant_id), "subscription_ids": str(subscription.subscription_id), "step": "send"}
    page = words(web.post(reverse("associations:invite"), sent, follow=True).text)
    assert "Invitation saved, but we cannot tell anyone" in page
    assert "The link is also in the email." not in page
    make_member(customer.organisation)
    other = make_subscription(customer)
    page = words(
        web.post(
            reverse("associations:invite"), sent | {"subscription_ids": str(other.subscription_id)}, follow=True
        ).text
    )
    assert "We will email the customer’s administrators." in page
    assert "The link is also in the email." in page


@pytest.mark.parametrize("has_people", [True, False])
def test_activation_says_whether_the_customer_is_told(amira, partner, has_people):
    customer = make_customer("Torsnäs Hamn AB")
    if has_people:
        make_member(customer.organisation)
    subscription = make_subscription(customer, agreement="OPEN")
    given = {
        "subscription_id": str(subscription.subscription_id),
        "mpn_id": partner.mpn_id,
        "consent_name": "Elin",
        "consent_email": "elin@torsnas.example",
        "consent": timezone.now().date().isoformat(),
    }
    text = words(signed_in(amira).post(reverse("associations:activate"), given, follow=True).text)
    assert ("We will email the customer." in text) == has_people
    assert ("We cannot tell anyone: the customer has no administrator here" in text) == (not has_people)
    relay()
    mail = compose(Delivery.objects.get(template=ATTACHED_MAIL.name)).body
    assert ("We have told the customer." in mail) == has_people
    assert ("We could not tell anyone at Torsnäs Hamn AB" in mail) == (not has_people)


def test_accepting_an_invitation_says_whether_the_partner_is_told(customer, subscription, partner, admin):
    inviter = make_member(partner.organisation)
    sent = invitations.invite(customer.tenant_id, [subscription.subscription_id], by=inviter)
    invitations.accept(sent.invitation_id, [subscription.subscription_id], by=admin)
    page = "associations:invitation"
    assert "Nordvik Cloud AB is told by email." in page_of(admin, page, sent.invitation_id)
    Membership.objects.filter(organisation=partner.organisation).delete()
    assert CANNOT in page_of(admin, page, sent.invitation_id)
