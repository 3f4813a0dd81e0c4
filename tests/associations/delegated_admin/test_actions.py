"""A delegated administrator: asked for with an invitation, accepted by itself, and ended by the customer."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import mail

from associations.delegated_admin import actions as administrators
from associations.invitations import actions as invitations
from associations.invitations.models import Invitation
from associations.record import checking
from associations.record.access import events_visible_to, subscriptions_visible_to, usage_visible_to
from associations.record.former import at_end
from associations.record.models import Association
from por.accounts.models import Actor
from por.directory.models import Customer, Partner, Subscription
from por.errors import Forbidden, NotFound, Refused
from por.history.actions.relaying import relay
from por.history.actions.verifying import verify
from por.history.models import Event
from por.notifications.actions.delivering import deliver
from por.notifications.models import Notification
from tests import estates
from tests.at_once import at_once
from tests.factories import make_administrator, make_customer, make_member, make_partner, make_staff, make_subscription


@pytest.fixture
def second(customer: Customer) -> Subscription:
    return make_subscription(customer)


@pytest.fixture
def sent(subscription: Subscription, amira: Actor) -> Invitation:
    return invite(subscription, amira)


def invite(subscription: Subscription, by: Actor, *, asks: bool = True) -> Invitation:
    tenant_id, wanted = subscription.customer.tenant_id, [subscription.subscription_id]
    return invitations.invite(tenant_id, wanted, by=by, delegated_admin=asks)


def accept(sent: Invitation, *subscriptions: Subscription, by: Actor, administers: bool = True) -> Invitation:
    ids = [one.subscription_id for one in subscriptions]
    return invitations.accept(sent.invitation_id, ids, by=by, delegated_admin=administers)


def held(partner: Partner) -> list[Association]:
    return list(Association.objects.open().filter(partner=partner, kind="delegated_admin"))


def refused(code: str, verb: Any, *given: Any, kind: type[Refused] = Refused, **more: Any) -> Refused:
    with pytest.raises(kind) as raised:
        verb(*given, **more)
    assert raised.value.code == code
    return raised.value


def told() -> list[tuple[str, str]]:
    """Send what is due; return the address and the subject of each mail."""
    while relay():
        pass
    mail.outbox.clear()
    deliver()
    return sorted((one.to[0], str(one.subject)) for one in mail.outbox)


# --- Asked and accepted ----------------------------------------------------------------------------------------------


def test_accepting_it_opens_all_subscriptions_of_the_tenant_without_usage(sent, subscription, second, admin, amira):
    assert not subscriptions_visible_to(amira).exists()
    accepted = accept(sent, subscription, by=admin)

    assert accepted.administering == "accepted"
    (association,) = held(sent.partner)
    assert (association.customer, association.subscription, association.source) == (sent.customer, None, "invitation")
    assert set(subscriptions_visible_to(amira)) == {subscription, second}
    assert not usage_visible_to(amira).filter(subscription=second).exists()
    later = make_subscription(sent.customer)
    assert later in subscriptions_visible_to(amira)


def test_it_is_left_out_unless_the_customer_chooses_it(sent, subscription, admin):
    accepted = accept(sent, subscription, by=admin, administers=False)
    assert (accepted.administering, held(sent.partner)) == ("left_out", [])
    assert Association.objects.open().of_record().filter(subscription=subscription).exists()


def test_it_can_be_accepted_without_any_subscription(sent, subscription, admin):
    accepted = accept(sent, by=admin)
    assert (accepted.status, accepted.administering) == ("accepted", "accepted")
    assert len(held(sent.partner)) == 1
    assert not Association.objects.of_record().exists()


def test_invitation_that_does_not_ask_for_it_cannot_give_it(subscription, amira, admin):
    sent = invite(subscription, amira, asks=False)
    error = refused("not_invited", accept, sent, subscription, by=admin)
    assert error.field == "delegated_admin"
    refused("not_invited", accept, sent, by=admin, administers=False)
    assert Invitation.objects.get().status == "sent"
    assert accept(sent, subscription, by=admin, administers=False).administering == ""
    assert "delegated_admin" not in Event.objects.get(verb="invitation.accepted").changes


def test_partner_that_is_one_already_stays_the_same(sent, subscription, customer, partner, admin):
    before = make_administrator(customer, partner)
    assert accept(sent, subscription, by=admin).administering == "unchanged"
    assert held(partner) == [before]


def test_several_partners_can_be_one_at_a_time(sent, subscription, customer, admin):
    other = make_partner("Halden Konsult AB")
    make_administrator(customer, other)
    accept(sent, subscription, by=admin)
    assert Association.objects.open().filter(kind="delegated_admin").count() == 2


def test_it_is_an_event_of_the_customer_that_the_partner_reads_and_no_one_else(sent, subscription, admin, amira):
    accept(sent, subscription, by=admin)
    event = Event.objects.get(verb="delegated_admin.begun")
    assert (event.object_kind, event.object_id) == ("customer", str(sent.customer.tenant_id))
    assert event.chain == f"organisation:{sent.customer_id}"
    assert event.parties == [sent.partner_id]
    assert event in events_visible_to(amira)
    assert event not in events_visible_to(make_member(make_partner("Halden Konsult AB").organisation))
    assert Event.objects.get(verb="invitation.accepted").changes["delegated_admin"] == "accepted"
    assert list(checking.examine()) == []
    assert list(verify()) == []


def test_mails_of_the_invitation_say_what_is_asked_and_what_came_of_it(sent, subscription, admin, amira):
    assert [address for address, _subject in told()] == [admin.user.email]
    assert "asks to be a delegated administrator of your tenant" in str(mail.outbox[0].body)
    accept(sent, subscription, by=admin)
    assert {address for address, _subject in told()} == {admin.user.email, amira.user.email}
    bodies = {one.to[0]: " ".join(str(one.body).split()) for one in mail.outbox}
    assert "is now a delegated administrator of your tenant" in bodies[admin.user.email]
    assert "Delegated administrator: Accepted" in bodies[amira.user.email]


@pytest.mark.django_db(transaction=True)
def test_two_invitations_that_are_accepted_at_once_make_one_administrator():
    customer, partner = make_customer(), make_partner()
    amira = make_member(partner.organisation)
    subscriptions = [make_subscription(customer) for _each in range(2)]
    sent = [invite(one, amira) for one in subscriptions]
    people = [make_member(customer.organisation) for _each in range(2)]
    at_once(*(lambda one=one, by=by: accept(one, by=by) for one, by in zip(sent, people, strict=True)))
    assert len(held(partner)) == 1
    assert sorted(Invitation.objects.values_list("administering", flat=True)) == ["accepted", "unchanged"]
    assert list(checking.examine()) == []


# --- Ended -----------------------------------------------------------------------------------------------------------


def test_customer_ends_it_and_the_partner_no_longer_sees_seats(customer, partner, subscription, admin, amira):
    association = make_administrator(customer, partner)
    ended = administrators.end(association.pk, by=admin, reason=" The project is over. ")

    assert (ended.end_reason, ended.end_note, held(partner)) == ("removed", "The project is over.", [])
    event = Event.objects.get(verb="delegated_admin.ended")
    assert (event.parties, event.reason) == ([partner.pk], "The project is over.")
    assert event.changes["end_reason"] == "removed"
    assert event in events_visible_to(amira)
    assert list(checking.examine()) == []
    assert at_end(amira, [subscription.pk])[subscription.pk].seats is None


def test_partner_is_told_of_the_end_and_the_customer_gets_a_confirmation(customer, partner, admin, amira):
    administrators.end(make_administrator(customer, partner).pk, by=admin, reason="Over.")
    assert told() == sorted(
        [
            (admin.user.email, f"You ended {partner.organisation.name} as a delegated administrator"),
            (amira.user.email, f"You are no longer a delegated administrator for {customer.organisation.name}"),
        ]
    )
    assert all("Over." in str(one.body) for one in mail.outbox)
    assert Notification.objects.filter(membership__user=amira.user).count() == 1


def test_it_can_be_asked_for_and_accepted_again(sent, subscription, admin):
    accept(sent, subscription, by=admin)
    (first,) = held(sent.partner)
    administrators.end(first.pk, by=admin)
    another = make_subscription(sent.customer)
    amira = make_member(sent.partner.organisation)
    accept(invite(another, amira), another, by=admin)
    (second,) = held(sent.partner)
    first.refresh_from_db()
    assert second.began_at > first.ended_at


def test_only_an_administrator_of_the_customer_ends_it(customer, partner, amira):
    association = make_administrator(customer, partner)
    for actor in (amira, make_member(customer.organisation, "viewer"), make_staff("support"), make_staff("auditor")):
        refused("no_right", administrators.end, association.pk, by=actor, kind=Forbidden)
    for outsider in (make_customer("Other").organisation, make_partner("Halden Konsult AB").organisation):
        refused("not_found", administrators.end, association.pk, by=make_member(outsider), kind=NotFound)
    assert held(partner) == [association]


def test_what_has_ended_or_is_another_type_is_refused(customer, partner, subscription, admin):
    association = make_administrator(customer, partner)
    administrators.end(association.pk, by=admin)
    refused("association_ended", administrators.end, association.pk, by=admin)
    for kind, of in (("pal", None), ("csp", subscription), ("dpor", subscription)):
        other = Association.objects.create(
            kind=kind,
            customer=customer,
            subscription=of,
            partner=partner,
            began_at=association.began_at,
            source="estate",
        )
        refused("ends_elsewhere", administrators.end, other.pk, by=admin)


# --- Files -----------------------------------------------------------------------------------------------------------


def test_file_does_not_bring_back_what_the_customer_has_ended(tmp_path, admin):
    partners, customers = [estates.partner()], [estates.customer()]
    row = estates.association(kind="delegated_admin", subscription_id="", tenant_id=estates.TENANT)
    files = {"partners": partners, "customers": customers, "associations": [row]}
    assert estates.load(estates.write(tmp_path, **files)).failure == ""
    association = Association.objects.get(kind="delegated_admin")
    by = make_member(association.customer.organisation)
    administrators.end(association.pk, by=by)
    loaded = estates.load_one(tmp_path, "associations", row)
    assert [code for _line, _column, code in loaded.codes] == ["changed_in_product"]
    assert held(association.partner) == []


def test_file_does_not_end_what_the_customer_has_accepted(tmp_path):
    files = {"partners": [estates.partner()], "customers": [estates.customer()]}
    assert estates.load(estates.write(tmp_path, **files)).failure == ""
    customer, partner = Customer.objects.get(), Partner.objects.get()
    association = make_administrator(customer, partner)
    began_on = association.began_at.date().isoformat()
    row = estates.association(kind="delegated_admin", subscription_id="", tenant_id=estates.TENANT, began_on=began_on)
    assert "Nothing has changed" in estates.load_one(tmp_path, "associations", row).out
    assert held(partner) == [association]


def test_expired_invitation_leaves_it_open(sent, subscription, admin):
    Subscription.objects.update(status="expired")
    invitations.expire_invitations()
    sent.refresh_from_db()
    assert (sent.status, sent.administering) == ("expired", "")
    refused("invitation_expired", accept, sent, by=admin)
