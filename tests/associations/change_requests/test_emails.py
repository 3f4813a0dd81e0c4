"""The mails of change requests, invitations and activations: who gets which, with what words."""

from __future__ import annotations

import pytest
from django.utils import timezone

from associations import tasks
from associations.attaching.actions import activation
from associations.attaching.actions import attach as attaching
from associations.change_requests import actions as change_requests
from associations.change_requests.models import ChangeRequest
from associations.invitations import actions as invitations
from associations.invitations.models import Invitation
from associations.record.models import Association
from por.directory.models import Customer
from por.history.actions import relaying
from por.notifications.messages import compose
from por.notifications.models import Delivery
from tests.associations.change_requests.test_actions import Case, at
from tests.factories import make_member, make_partner, make_subscription

pytestmark = pytest.mark.usefixtures("any_time")


class Told(Case):
    """The case, and the messages since the last look: recipient → kind of message."""

    def __init__(self, customer: Customer) -> None:
        super().__init__(customer)
        self.viewer = make_member(customer.organisation, "viewer")
        self.names = {
            self.admin.user_id: "admin",
            self.viewer.user_id: "viewer",
            self.of_nordvik.user_id: "nordvik",
            self.of_halden.user_id: "halden",
        }
        self.heard = 0

    def told(self) -> dict[str, str]:
        relaying.relay()
        new = Delivery.objects.filter(pk__gt=self.heard).order_by("pk")
        told = {}
        for one in new:
            self.heard = one.pk
            told[self.names[one.user_id]] = one.template.removeprefix("change_")
            mail = compose(one)
            assert mail.subject
            assert "Office 365 E3" in mail.body or "Västerhamn" in mail.body
        Delivery.objects.update(is_taken=True)  # so that an undo withdraws none
        return told


@pytest.fixture
def case(customer) -> Told:
    case = Told(customer)
    case.told()
    return case


def test_opening_a_change_request_notifies_both_partners_and_the_administrators_once(customer):
    case = Told(customer)
    assert case.told()
    kinds = dict(Delivery.objects.filter(event__verb="change_request.opened").values_list("user", "template"))
    assert {case.names[user]: template for user, template in kinds.items()} == {
        "nordvik": "change_contested",
        "halden": "change_named",
        "admin": "change_question",
    }
    question = compose(Delivery.objects.get(template="change_question"))
    assert "They migrate our mail." in question.body
    assert f"/c/change-requests/{case.request.pk}/" in question.body


def test_only_the_proposed_partner_and_the_customer_read_the_note_in_a_mail(case):
    third = make_partner("Skog IT AB")
    case.names[make_member(third.organisation).user_id] = "skog"
    case.name(third, note="The incumbent is too expensive.")
    case.told()
    for event, note in (("opened", "They migrate our mail."), ("joined", "The incumbent is too expensive.")):
        sent = Delivery.objects.filter(event__verb=f"change_request.{event}")
        read = {one.template for one in sent if note in str(compose(one).body) + str(compose(one).alternatives)}
        assert read == {"change_named", "change_question"}


def of_record(delivery: Delivery) -> list[str]:
    """Return the rows of a mail that say who is of record, without the MPN IDs."""
    rows = [line for line in str(compose(delivery).body).splitlines() if line.strip().startswith("Partner of record")]
    return [row.partition(", MPN ID")[0].strip() for row in rows]


NOW_HALDEN = ["Partner of record when asked: Nordvik Cloud AB", "Partner of record now: Halden Konsult AB"]
STILL_NORDVIK = ["Partner of record: Nordvik Cloud AB"]
NOW_NO_ONE = ["Partner of record when asked: Nordvik Cloud AB", "Partner of record now: no partner"]


@pytest.mark.parametrize(("answer", "rows"), [("halden", NOW_HALDEN), ("nordvik", STILL_NORDVIK), (None, NOW_NO_ONE)])
def test_mails_say_who_was_of_record_when_asked_and_who_is_now(case, answer, rows):
    def said(verb: str) -> list[list[str]]:
        case.told()
        return [of_record(one) for one in Delivery.objects.filter(event__verb=f"change_request.{verb}")]

    assert said("opened") == [STILL_NORDVIK] * 3
    case.answer(answer and getattr(case, answer))
    case.told()
    case.undo()  # a mail that is written late tells of its own moment
    assert said("answered") == [rows] * 3
    assert said("answer_undone") == [STILL_NORDVIK] * 3


def test_mail_of_a_cancelled_change_request_names_no_removed_partner_as_of_record(case):
    case.remove()
    case.told()
    closed = Delivery.objects.filter(template="change_closed")
    assert [of_record(one) for one in closed] == [NOW_NO_ONE]


def test_partner_that_a_file_put_in_place_is_named_to_the_customer_alone(case):
    other = make_partner("Skog IT AB")
    now = timezone.now()
    Association.objects.filter(pk=case.held.pk).update(ended_at=now, end_reason="file")
    Association.objects.create(
        kind="dpor",
        customer=case.customer,
        subscription=case.subscription,
        partner=other,
        began_at=now,
        source="estate",
    )
    change_requests.cancel_overtaken()
    case.told()
    rows = {one.template: of_record(one)[-1] for one in Delivery.objects.filter(event__verb="change_request.cancelled")}
    assert rows == {
        "change_closed": "Partner of record now: another partner",
        "change_closed_customer": "Partner of record now: Skog IT AB",
    }


def test_third_partner_and_the_earlier_parties_are_notified_when_it_joins(case):
    third = make_partner("Skog IT AB")
    case.names[make_member(third.organisation).user_id] = "skog"
    case.name(third)
    assert case.told() == {"nordvik": "contested", "halden": "joined", "skog": "named", "admin": "question"}


@pytest.mark.parametrize(
    ("answer", "nordvik", "halden"),
    [("halden", "lost", "chosen"), ("nordvik", "kept", "not_chosen"), (None, "lost", "not_chosen")],
)
def test_answer_and_its_undo_notify_each_partner_of_the_effect(case, answer, nordvik, halden):
    case.answer(answer and getattr(case, answer), statement="As we see it.")
    assert case.told() == {"nordvik": nordvik, "halden": halden, "admin": "answered"}
    for delivery in Delivery.objects.filter(event__verb="change_request.answered"):
        assert "As we see it." in compose(delivery).body
    case.undo()
    assert case.told() == {
        "nordvik": "answer_undone",
        "halden": "answer_undone",
        "admin": "answer_undone_customer",
    }


def test_customer_is_reminded_and_all_are_notified_when_a_change_request_expires(case):
    with at(change_requests.reminders_of(case.request)[0]):
        tasks.run_scheduled()
    assert case.told() == {"admin": "reminder"}
    with at(case.request.due_at):
        tasks.run_scheduled()
    assert case.told() == {"nordvik": "closed", "halden": "closed", "admin": "closed_customer"}


def test_removing_notifies_the_partner_of_record_and_tells_the_challenger_of_the_cancellation(case):
    case.remove()
    assert case.told() == {"nordvik": "record_removed", "admin": "record_removed_receipt", "halden": "closed"}


def test_statement_and_forwarding_notify_no_other_party(case):
    change_requests.submit_statement(case.request.pk, "We moved their mail.", by=case.of_halden)
    assert case.told() == {}
    member = case.viewer.organisation.memberships.get(user=case.viewer.user)
    change_requests.forward(case.request.pk, member.pk, by=case.admin, note="You know them.")
    assert case.told() == {"viewer": "forwarded"}


def test_invitation_is_sent_to_the_administrators_and_its_outcome_to_the_partner(case):
    free = make_subscription(case.customer)
    ids = [free.subscription_id, case.subscription.subscription_id]
    sent = invitations.invite(case.customer.tenant_id, ids, by=case.of_halden, message="As agreed.")
    assert case.told() == {"admin": "invitation_sent"}
    invitation = compose(Delivery.objects.get(template="invitation_sent"))
    assert f"/c/invitations/{sent.invitation_id}/" in invitation.body
    assert "As agreed." in invitation.body
    invitations.accept(sent.invitation_id, ids, by=case.admin)
    told = case.told()
    assert told["halden"] in {"invitation_accepted", "record_attached"}
    assert (
        "so the customer must answer a change request"
        in compose(Delivery.objects.get(template="invitation_accepted")).body
    )


@pytest.mark.parametrize(
    ("verb", "told"),
    [("decline", {"halden": "invitation_declined"}), ("report", {"halden": "invitation_declined"})],
)
def test_partner_of_a_reported_invitation_is_notified_that_it_was_declined(case, verb, told):
    sent = invitations.invite(case.customer.tenant_id, [case.subscription.subscription_id], by=case.of_halden)
    case.told()
    getattr(invitations, verb)(sent.invitation_id, by=case.admin, reason="We do not know them.")
    assert case.told() == told
    mail = compose(Delivery.objects.get(template="invitation_declined"))
    assert ("We do not know them." in mail.body) == (verb == "decline")


def test_revoked_or_expired_invitation_notifies_the_other_side(case):
    subscriptions = (case.subscription, make_subscription(case.customer))
    first, second = (
        invitations.invite(case.customer.tenant_id, [one.subscription_id], by=case.of_halden) for one in subscriptions
    )
    case.told()
    invitations.revoke(first.invitation_id, by=case.of_halden)
    assert case.told() == {"admin": "invitation_revoked"}
    with at(Invitation.objects.get(pk=second.pk).expires_at):
        assert invitations.expire_invitations() == 1
    assert case.told() == {"halden": "invitation_expired"}


def test_activation_notifies_the_customer_and_a_partner_of_record_it_contests(case):
    open_ = make_subscription(case.customer, agreement="OPEN")
    consent = activation.StatedConsent("Elin Sandberg", "elin@vasterhamn.example", timezone.now().date())
    activation.activate(open_.subscription_id, case.halden.mpn_id, consent, by=case.of_halden)
    told = case.told()
    assert told["admin"] == "record_attached_for_customer"
    assert "Elin Sandberg" in compose(Delivery.objects.get(template="record_attached_for_customer")).body
    contested = make_subscription(case.customer, agreement="OPEN")
    attaching.attach(contested.subscription_id, case.nordvik.mpn_id, by=case.admin)
    case.told()
    activation.activate(contested.subscription_id, case.halden.mpn_id, consent, by=case.of_halden)
    assert case.told() == {"nordvik": "contested", "halden": "named", "admin": "question"}
    assert (
        "says it has the consent of" in compose(Delivery.objects.filter(template="change_contested").latest("pk")).body
    )
    assert ChangeRequest.objects.count() == 2
