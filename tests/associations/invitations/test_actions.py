"""Invitations: sent, accepted for each subscription, declined, reported, withdrawn and expired."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from unittest import mock

import pytest
from django.utils import timezone, translation

from associations.attaching.actions import attach as attaching
from associations.attaching.actions import undo
from associations.change_requests.models import ChangeRequest
from associations.invitations import actions as invitations
from associations.invitations.models import Invitation
from associations.invitations.queries import State, in_state, invitations_for_listing, seen
from associations.invitations.rules import INVITATION, InvitationStatus
from associations.record.access import events_visible_to
from associations.record.models import Association
from associations.record.rules import Source
from por.accounts.models import Actor
from por.directory.models import Partner, Subscription
from por.errors import Forbidden, NotFound, RateLimited
from por.history.models import Event
from por.notifications.messages import inbox_text
from tests.associations.attaching.test_actions import refused
from tests.at_once import at_once
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.mails import says

pytestmark = pytest.mark.usefixtures("any_time")


class Case:
    """Nordvik invites a customer, with which it has no association yet, for two of its subscriptions."""

    def __init__(self) -> None:
        self.customer = make_customer()
        self.one, self.two = make_subscription(self.customer), make_subscription(self.customer)
        self.elin = make_member(self.customer.organisation, email="elin@vasterhamn.example", name="Elin Sandberg")
        self.nordvik, self.halden = make_partner("Nordvik Cloud AB"), make_partner("Halden Konsult AB")
        self.arvid = make_member(self.nordvik.organisation, email="arvid@nordvik.example", name="Arvid Holm")
        self.rival = make_member(self.halden.organisation, email="maja@halden.example")

    def invite(self, *subscriptions: Subscription, by: Actor | None = None, message: str = "As agreed.") -> Invitation:
        ids = [one.subscription_id for one in subscriptions or (self.one, self.two)]
        return invitations.invite(self.customer.tenant_id, ids, by=by or self.arvid, message=message)

    def accept(self, invitation: Invitation, *subscriptions: Subscription) -> Invitation:
        return invitations.accept(invitation.invitation_id, ids(*subscriptions or (self.one, self.two)), by=self.elin)

    def attach(self, subscription: Subscription, partner: Partner) -> Association:
        return attaching.attach(subscription.subscription_id, partner.mpn_id, by=self.elin).association


def ids(*subscriptions: Subscription) -> list[uuid.UUID]:
    return [one.subscription_id for one in subscriptions]


def outcomes(invitation: Invitation) -> dict[Subscription, str]:
    rows = invitation.invited.select_related("subscription")
    return {row.subscription: row.code or row.outcome for row in rows}


def of_record(subscription: Subscription) -> str | None:
    held = Association.objects.open().of_record().filter(subscription=subscription).first()
    return held and held.partner.organisation.name


def events(invitation: Invitation) -> list[str]:
    found = Event.objects.filter(object_id=str(invitation.invitation_id)).order_by("seq")
    return [event.verb.removeprefix("invitation.") for event in found]


def read_by(actor: Actor, invitation: Invitation) -> list[tuple[str, str]]:
    found = events_visible_to(actor).filter(object_id=str(invitation.invitation_id)).order_by("seq")
    return [(event.verb.removeprefix("invitation."), event.reason) for event in found]


def at(moment: datetime):
    """Set the current time."""
    return mock.patch.object(timezone, "now", return_value=moment)


@pytest.fixture
def case() -> Case:
    return Case()


@pytest.fixture
def sent(case) -> Invitation:
    return case.invite()


# --- Inviting -------------------------------------------------------------------------------------------------------


def test_inviting_asks_the_customer_and_changes_nothing_else(case):
    invitation = case.invite(message=" As agreed. ")

    assert (invitation.status, invitation.partner, invitation.customer) == ("sent", case.nordvik, case.customer)
    assert timedelta(days=30) < invitation.expires_at - invitation.sent_at <= timedelta(days=31)
    assert outcomes(invitation) == {case.one: "", case.two: ""}
    assert not Association.objects.exists()
    (event,) = Event.objects.all()
    assert (event.verb, event.chain, event.parties, event.reason) == (
        "invitation.sent",
        f"organisation:{case.customer.pk}",
        [case.nordvik.pk],
        "As agreed.",
    )


def test_mismatched_ids_get_the_same_refusal_whatever_exists(case):
    other = make_customer("Another customer")
    foreign = make_subscription(other)
    tenant, unknown, code = case.customer.tenant_id, uuid.uuid4(), "subscription_not_found"
    messages = {
        str(refused(code, invitations.invite, tenant_id, wanted, by=case.arvid, field="subscription_ids"))
        for tenant_id, wanted in [
            (tenant, [unknown]),
            (tenant, [case.one.subscription_id, unknown]),
            (tenant, ids(case.one, foreign)),
            (tenant, ids(foreign)),
            (unknown, ids(case.one)),
            (other.tenant_id, ids(case.one)),
        ]
    }
    assert len(messages) == 1
    for wanted in ([], [uuid.uuid4() for _number in range(51)]):
        refused("invalid", invitations.invite, tenant, wanted, by=case.arvid, field="subscription_ids")
    assert not Invitation.objects.exists()
    assert not Event.objects.exists()


def test_invitation_is_refused_by_partner_state_expiry_and_rights(case):
    Partner.objects.filter(pk=case.nordvik.pk).update(status="suspended")
    refused("partner_suspended", case.invite)
    above = make_partner("Nordvik Group", kind="global")
    refused("partner_is_global", case.invite, by=make_member(above.organisation))
    Subscription.objects.filter(pk=case.one.pk).update(status="expired")
    refused("subscription_expired", case.invite, case.one, by=case.rival)
    assert outcomes(case.invite(by=case.rival))  # only one of the two has expired
    for other in (make_member(case.nordvik.organisation, "viewer"), case.elin, make_staff("support")):
        refused("no_right", case.invite, by=other, kind=Forbidden)


def test_subscription_cannot_be_invited_twice_until_the_first_invitation_is_over(case, sent):
    refused("already_invited", case.invite, case.two, field="subscription_ids")
    assert case.invite(case.two, by=case.rival).partner == case.halden
    with at(sent.expires_at):  # even if no run has closed the first one
        assert case.invite(case.one).status == "sent"
    invitations.revoke(sent.invitation_id, by=case.arvid)
    assert case.invite(case.two).status == "sent"


def test_invitations_per_day_are_limited(case, monkeypatch):
    monkeypatch.setattr(invitations, "A_DAY", 1)
    first = case.invite(case.one)
    refused("too_many_invitations", case.invite, case.two, kind=RateLimited)
    assert case.invite(case.two, by=case.rival).status == "sent"
    with at(first.sent_at + timedelta(days=1)):
        assert case.invite(case.two).status == "sent"


@pytest.mark.django_db(transaction=True)
def test_two_clicks_make_one_invitation_and_only_one_answer_counts():
    case = Case()
    assert at_once(case.invite, case.invite) == ["already_invited", "done"]
    invitation = Invitation.objects.get()
    revoke = lambda: invitations.revoke(invitation.invitation_id, by=case.arvid)  # noqa: E731
    results = at_once(lambda: case.accept(invitation), revoke)
    invitation.refresh_from_db()
    assert results in (["done", "invitation_accepted"], ["done", "invitation_revoked"])
    assert of_record(case.one) == ("Nordvik Cloud AB" if invitation.status == "accepted" else None)


# --- Accepting ------------------------------------------------------------------------------------------------------


def test_accepting_for_some_subscriptions_attaches_them_and_closes_the_invitation(case, sent):
    accepted = case.accept(sent, case.two)

    assert (accepted.status, outcomes(accepted)) == ("accepted", {case.one: "", case.two: "attached"})
    assert (of_record(case.one), of_record(case.two)) == (None, "Nordvik Cloud AB")
    made = Association.objects.get()
    assert (made.source, made.partner) == (Source.INVITATION, case.nordvik)
    assert accepted.opened_at == accepted.closed_at  # accepting counts as opening, even if no page reported it
    assert accepted.closed_at >= accepted.sent_at
    event = Event.objects.get(verb="invitation.accepted")
    assert event.changes["outcomes"] == {str(case.two.subscription_id): "attached"}
    refused("invitation_accepted", case.accept, sent, case.one)


def test_each_accepted_subscription_has_its_own_outcome(case):
    held, grace, ended = (make_subscription(case.customer) for _each in range(3))
    case.attach(case.two, case.nordvik)
    incumbent = case.attach(held, case.halden)
    sent = case.invite(case.one, case.two, held, grace, ended)
    Subscription.objects.filter(pk=grace.pk).update(status="grace")
    Subscription.objects.filter(pk=ended.pk).update(status="expired")

    assert outcomes(case.accept(sent, case.one, case.two, held, grace, ended)) == {
        case.one: "attached",
        case.two: "unchanged",
        held: "change_requested",
        grace: "subscription_suspended",
        ended: "subscription_expired",
    }
    assert of_record(held) == "Halden Konsult AB"
    request = ChangeRequest.objects.get()
    assert (request.incumbent, request.challengers.get().partner) == (incumbent, case.nordvik)


def test_only_invited_subscriptions_are_accepted_and_only_with_the_right(case, sent):
    for wanted in ([], ids(make_subscription(case.customer)), [*ids(case.one), uuid.uuid4()]):
        refused("not_invited", invitations.accept, sent.invitation_id, wanted, by=case.elin, field="subscription_ids")
    viewer, stranger = make_member(case.customer.organisation, "viewer"), make_member(make_customer().organisation)
    for verb, more in ((invitations.accept, [ids(case.one)]), (invitations.decline, []), (invitations.report, [])):
        for person, kind, code in (
            (viewer, Forbidden, "no_right"),
            (case.arvid, Forbidden, "no_right"),
            (stranger, NotFound, "not_found"),
            (case.rival, NotFound, "not_found"),
        ):
            refused(code, verb, sent.invitation_id, *more, by=person, kind=kind)
        refused("not_found", verb, uuid.uuid4(), *more, by=case.elin, kind=NotFound)
    refused("no_right", invitations.revoke, sent.invitation_id, by=case.elin, kind=Forbidden)
    refused("not_found", invitations.revoke, sent.invitation_id, by=case.rival, kind=NotFound)
    assert events(sent) == ["sent"]


def test_suspended_partner_is_not_attached_and_the_invitation_stays_open(case, sent):
    Partner.objects.filter(pk=case.nordvik.pk).update(status="suspended")
    refused("partner_suspended", case.accept, sent)
    Partner.objects.filter(pk=case.nordvik.pk).update(status="active")
    assert case.accept(sent).status == "accepted"


def test_accepted_partner_can_be_undone_and_removed(case, sent):
    case.accept(sent)
    undo.undo(case.one.subscription_id, by=case.elin)
    attaching.remove(case.two.subscription_id, by=case.elin)
    assert (of_record(case.one), of_record(case.two)) == (None, None)
    assert Association.objects.exclude(undone_at=None).get().subscription == case.one


# --- The other ends -------------------------------------------------------------------------------------------------


def test_partner_reads_why_its_invitation_was_declined(case, sent):
    declined = invitations.decline(sent.invitation_id, by=case.elin, reason=" We have another. ")

    assert (declined.status, declined.reason) == ("declined", "We have another.")
    assert read_by(case.arvid, sent) == [("sent", "As agreed."), ("declined", "We have another.")]
    assert not Association.objects.exists()


def test_partner_sees_a_reported_invitation_as_declined(case, sent):
    other = case.invite(make_subscription(case.customer))
    invitations.decline(other.invitation_id, by=case.elin)
    invitations.report(sent.invitation_id, by=case.elin, reason="We do not know them.")

    assert read_by(case.arvid, sent) == [("sent", "As agreed."), ("declined", "")]
    assert read_by(case.arvid, other) == [("sent", "As agreed."), ("declined", "")]
    everything = [("sent", "As agreed."), ("declined", ""), ("reported", "We do not know them.")]
    assert read_by(case.elin, sent) == read_by(make_staff("reviewer"), sent) == everything
    sent.refresh_from_db()
    assert (seen(case.arvid, sent).state, seen(case.arvid, sent).reason) == (State.DECLINED, "")
    assert (seen(case.elin, sent).state, seen(case.elin, sent).reason) == (State.REPORTED, "We do not know them.")

    def found(actor: Actor, state: str) -> int:
        return in_state(actor, invitations_for_listing(actor), state).count()

    assert (found(case.arvid, "declined"), found(case.arvid, "reported")) == (2, 0)
    assert (found(case.elin, "declined"), found(case.elin, "reported")) == (1, 1)


ENDS = {
    "accepted": lambda case, one: case.accept(one),
    "declined": lambda case, one: invitations.decline(one.invitation_id, by=case.elin),
    "reported": lambda case, one: invitations.report(one.invitation_id, by=case.elin),
    "revoked": lambda case, one: invitations.revoke(one.invitation_id, by=case.arvid),
    "expired": lambda case, one: (
        Invitation.objects.update(expires_at=timezone.now()) and invitations.expire_invitations()
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_closed_invitation_cannot_change(case, sent, end):
    ENDS[end](case, sent)
    sent.refresh_from_db()
    before = (sent.version, events(sent), Association.objects.count())
    assert sent.status == end
    assert sent.closed_at is not None

    code, _message = INVITATION.refusals[InvitationStatus(end)]
    for verb in list(ENDS.values())[:4]:
        refused(code, verb, case, sent)
    invitations.note_opened(sent.invitation_id, by=case.elin)
    assert invitations.expire_invitations() == 0
    sent.refresh_from_db()
    assert (sent.version, events(sent), Association.objects.count()) == before


def test_first_look_by_a_member_of_the_customer_opens_it_once(case, sent):
    for other in (case.arvid, case.rival, make_member(make_customer().organisation)):
        refused("not_found", invitations.note_opened, sent.invitation_id, by=other, kind=NotFound)
    assert seen(case.arvid, sent).state == State.SENT
    viewer = make_member(case.customer.organisation, "viewer")
    invitations.note_opened(sent.invitation_id, by=viewer)
    invitations.note_opened(sent.invitation_id, by=case.elin)

    opened = Invitation.objects.get()
    assert (opened.status, events(opened)) == ("sent", ["sent", "opened"])
    assert seen(case.arvid, opened).state == State.OPENED
    assert [step.at for step in seen(case.arvid, opened).steps] == [opened.sent_at, opened.opened_at, None]


# --- Expiry ---------------------------------------------------------------------------------------------------------


def test_invitation_expires_once_even_if_the_run_is_late(case, sent):
    with at(sent.expires_at - timedelta(microseconds=1)):
        assert invitations.expire_invitations() == 0
    with at(sent.expires_at):  # no run has closed it yet
        for verb in list(ENDS.values())[:4]:
            refused("invitation_expired", verb, case, sent)
        assert seen(case.elin, Invitation.objects.get()).state == State.EXPIRED
        assert in_state(case.elin, invitations_for_listing(case.elin), "expired").get() == sent
    with at(sent.expires_at + timedelta(days=3)):
        assert (invitations.expire_invitations(), invitations.expire_invitations()) == (1, 0)
    assert events(sent) == ["sent", "expired"]


def test_invitation_expires_if_all_subscriptions_expired_or_the_partner_closed(case, sent):
    Subscription.objects.filter(pk=case.one.pk).update(status="expired")
    assert invitations.expire_invitations() == 0  # the other is left
    Subscription.objects.filter(pk=case.two.pk).update(status="expired")
    assert invitations.expire_invitations() == 1
    another = case.invite(make_subscription(case.customer), by=case.rival)
    Partner.objects.filter(pk=case.halden.pk).update(status="closed")
    assert (invitations.expire_invitations(), events(another)) == (1, ["sent", "expired"])


# --- Mail -----------------------------------------------------------------------------------------------------------


def test_each_side_gets_mail_about_what_the_other_does(case, arrived):
    make_member(case.customer.organisation, "viewer", email="viewer@vasterhamn.example")
    sent = case.invite()
    mails = arrived()
    assert mails.keys() == {"elin@vasterhamn.example"}  # who may accept
    facts = ["Nordvik Cloud AB", case.nordvik.mpn_id, "As agreed.", f"/c/invitations/{sent.invitation_id}/"]
    says(mails["elin@vasterhamn.example"], *facts)

    event = Event.objects.get(verb="invitation.sent")
    with translation.override("en"):
        assert inbox_text("invitation_sent", event) == (
            "Nordvik Cloud AB asks to be your partner of record.",
            f"/c/invitations/{sent.invitation_id}/",
        )

    invitations.note_opened(sent.invitation_id, by=case.elin)
    assert not arrived()
    case.accept(sent, case.one)  # one mail to each side, however many subscriptions
    mails = arrived()
    assert mails.keys() == {"arvid@nordvik.example", "elin@vasterhamn.example"}
    says(mails["arvid@nordvik.example"], "accepted your invitation", ": attached", ": not attached")
    says(mails["elin@vasterhamn.example"], "You accepted", "you can undo that", ": attached", ": not attached")

    for end, subject in (("declined", "declined"), ("reported", "declined"), ("expired", "expired")):
        invitation = case.invite(make_subscription(case.customer))
        arrived()
        ENDS[end](case, invitation)
        mails = arrived()
        assert mails.keys() == {"arvid@nordvik.example"}
        assert subject in mails["arvid@nordvik.example"].subject
        says(mails["arvid@nordvik.example"], f"/p/invitations/{invitation.invitation_id}/")
    invitation = case.invite(make_subscription(case.customer))
    arrived()
    ENDS["revoked"](case, invitation)
    mails = arrived()
    assert mails.keys() == {"elin@vasterhamn.example"}
    assert "withdrew its invitation" in mails["elin@vasterhamn.example"].subject
