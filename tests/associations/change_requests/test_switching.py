"""Switching to another partner at once: the record, the change request, who is told, undo, API and page."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.attaching.actions import undo
from associations.change_requests.models import ChangeRequest, ChangeRequestQuerySet
from associations.change_requests.queries import visible_requests
from associations.record.models import Association
from associations.record.rules import EndReason, Source
from por.directory.models import CheckOfId
from por.errors import Forbidden, Refused
from por.history.models import Event
from tests.api import Api
from tests.associations.attaching.test_actions import refused
from tests.associations.change_requests.test_emails import Told
from tests.factories import make_member, make_partner, make_subscription
from tests.pages import signed_in

pytestmark = pytest.mark.usefixtures("any_time")


class Held(Told):
    """A subscription with a partner of record, of which everyone has been told."""

    def __init__(self, customer) -> None:
        super().__init__(customer)
        self.subscription = make_subscription(customer)
        self.held = self.name(self.nordvik).association
        self.told()

    def switch(self, partner=None, **fields) -> attaching.Attached:
        return self.name(partner or self.halden, switch=True, **fields)

    def event(self, verb: str) -> Event:
        return Event.objects.get(verb=verb, object_id=str(self.subscription.subscription_id))

    def requests(self) -> ChangeRequestQuerySet:
        return ChangeRequest.objects.filter(subscription=self.subscription)

    @property
    def path(self) -> str:
        return f"subscriptions/{self.subscription.subscription_id}/partner-of-record/"

    @property
    def page(self) -> str:
        return f"/c/subscriptions/{self.subscription.subscription_id}/"

    def version(self) -> int:
        self.subscription.refresh_from_db()
        return self.subscription.version


@pytest.fixture
def case(customer) -> Held:
    return Held(customer)


def test_switch_moves_the_record_in_one_step_and_leaves_no_question(case):
    switched = case.switch()

    case.held.refresh_from_db()
    assert (switched.outcome, case.of_record()) == ("switched", "Halden Konsult AB")
    assert case.held.ended_at == switched.association.began_at == switched.request.closed_at
    assert (case.held.end_reason, switched.association.source) == (EndReason.CHANGED, Source.CHANGE)
    assert (switched.request.status, switched.request.chosen, switched.request.is_switch) == (
        "answered",
        case.halden,
        True,
    )
    assert case.events() == ["partner_of_record.attached", "change_request.switched"]
    event = case.event("change_request.switched")
    assert sorted(event.parties) == sorted([case.nordvik.pk, case.halden.pk])
    assert event.changes["former"]["name"] == "Nordvik Cloud AB"


def test_both_partners_and_the_administrators_are_told_once(case):
    case.switch()
    assert case.told() == {
        "nordvik": "switched_from",
        "halden": "switched_to",
        "admin": "switched_customer",
    }


def test_note_is_read_by_the_new_partner_and_not_by_the_former_one(case):
    switched = case.switch(note=" They migrate our mail. ")
    assert switched.association.note == "They migrate our mail."
    noted = case.event("change_request.noted")
    assert (noted.reason, noted.parties) == ("They migrate our mail.", [case.halden.pk])
    assert case.event("change_request.switched").reason == ""
    case.held.refresh_from_db()
    assert case.held.end_note == ""
    for actor, note in ((case.of_halden, "They migrate our mail."), (case.of_nordvik, "")):
        (visible,) = visible_requests(actor, [case.request_of(switched)])
        assert [side.note for side in visible.challengers] == [note]
        seen = Api(actor).get(f"subscriptions/{case.subscription.subscription_id}/history/").content.decode()
        assert ("They migrate our mail." in seen) == bool(note)


def test_undo_brings_the_former_partner_back_and_leaves_no_question(case):
    switched = case.switch()
    case.told()

    assert undo.undo(case.subscription.subscription_id, by=case.admin) == case.held

    case.held.refresh_from_db()
    request = case.request_of(switched)
    assert (case.of_record(), case.held.end_reason) == ("Nordvik Cloud AB", "")
    assert (request.status, request.cancelled_because, request.chosen, request.made) == (
        "cancelled",
        "switch_undone",
        None,
        None,
    )
    assert not case.requests().open().exists()
    assert case.events()[-1] == "change_request.switch_undone"
    assert case.told() == {
        "nordvik": "switch_undone_from",
        "halden": "switch_undone_to",
        "admin": "switch_undone_customer",
    }
    refused("nothing_to_undo", undo.undo, case.subscription.subscription_id, by=case.admin)


def test_switch_answers_an_open_question_and_undo_opens_it_again(case):
    asked = case.name(case.halden).request
    third = make_partner("Skog IT AB")
    switched = case.switch(third)

    assert switched.request == asked
    assert (switched.request.status, switched.request.is_switch) == ("answered", False)
    assert case.events()[-1] == "change_request.answered"
    assert third.pk in case.event("change_request.answered").parties

    undo.undo(case.subscription.subscription_id, by=case.admin)
    request = case.request_of(switched)
    assert (request.status, request.due_at) == ("open", asked.due_at)
    assert [one.partner for one in request.challengers.all()] == [case.halden, third]
    assert case.of_record() == "Nordvik Cloud AB"


def test_switch_refuses_what_attaching_refuses_and_a_past_start(case):
    yesterday = timezone.now().date() - timedelta(days=1)
    refused("overlaps_another_period", case.switch, began_on=yesterday, field="began_on")
    type(case.halden).objects.filter(pk=case.halden.pk).update(status="suspended")
    refused("partner_suspended", case.switch)
    case.subscription.status = "grace"
    case.subscription.save()
    refused("subscription_suspended", case.switch, make_partner())
    assert case.of_record() == "Nordvik Cloud AB"
    assert not case.requests().exists()


def test_viewer_cannot_switch(case):
    viewer = make_member(case.customer.organisation, "viewer")
    with pytest.raises(Forbidden):
        attaching.attach(case.subscription.subscription_id, case.halden.mpn_id, by=viewer, switch=True)


def test_switch_to_the_partner_of_record_or_on_a_free_subscription_is_an_attach(case):
    assert case.switch(case.nordvik).outcome == "unchanged"
    attaching.remove(case.subscription.subscription_id, by=case.admin)
    assert case.switch().outcome == "attached"
    assert not case.requests().exists()


def test_unknown_mpn_id_counts_as_a_check_with_switch_too(case):
    before = CheckOfId.objects.count()
    with pytest.raises(Refused, match="No partner"):
        attaching.attach(case.subscription.subscription_id, "9999999", by=case.admin, switch=True)
    assert CheckOfId.objects.count() == before + 1


def test_api_answers_a_switch_with_the_association_and_the_change_request(case):
    api, body = Api(case.admin), {"mpn_id": case.halden.mpn_id, "switch": True}
    assert api.put(case.path, body).status_code == 428
    tag = f'"{case.version()}"'
    answers = [api.put(case.path, body, If_Match=tag, Idempotency_Key="once") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[1]["Idempotent-Replayed"] == "true"
    given = answers[0].json()
    assert answers[1].json() == given
    assert (given["association"]["partner"]["name"], given["association"]["source"]) == ("Halden Konsult AB", "change")
    assert (given["change_request"]["status"], given["change_request"]["answer"]["mpn_id"]) == (
        "answered",
        case.halden.mpn_id,
    )
    assert answers[0]["ETag"] == f'"{case.version()}"'
    assert api.put(case.path, body, If_Match=tag).status_code == 412
    again = api.put(case.path, body, If_Match=f'"{case.version()}"')
    assert (again.status_code, set(again.json())) == (200, {"association"})
    assert Event.objects.filter(verb="change_request.switched").count() == 1


def test_api_without_switch_still_asks_both_first(case):
    answer = Api(case.admin).put(
        case.path, {"mpn_id": case.halden.mpn_id, "switch": False}, If_Match=f'"{case.version()}"'
    )
    assert (answer.status_code, set(answer.json())) == (202, {"change_request"})


def test_page_has_a_button_to_change_the_partner_and_offers_both_ways(case):
    web = signed_in(case.admin)
    assert 'href="?change#change"' in web.get(case.page).text
    assert "Check ID" not in web.get(case.page).text
    assert "Check ID" in web.get(f"{case.page}?change").text
    text = web.post(f"{case.page}check/", {"mpn_id": case.halden.mpn_id}).text
    assert "Switch to Halden Konsult AB now" in text
    assert "Ask both first" in text
    assert "If you switch now" in text
    assert not case.requests().exists()

    given = {"mpn_id": case.halden.mpn_id, "version": case.version(), "switch": "1"}
    for _click in range(2):
        response = web.post(f"{case.page}attach/", given)
        assert (response.status_code, response.url) == (302, f"{case.page}#done")
    text = web.get(case.page).text
    assert "Halden Konsult AB is now your partner of record, instead of Nordvik Cloud AB." in " ".join(text.split())
    assert Event.objects.filter(verb="change_request.switched").count() == 1

    response = web.post(f"{case.page}undo/", {"version": case.version()}, follow=True)
    assert "Undone. Nordvik Cloud AB is the partner of record again." in response.text
    assert Association.objects.open().get(subscription=case.subscription).partner == case.nordvik


def test_pages_of_the_change_request_say_that_the_customer_switched(case):
    request = case.switch().request
    for actor, room in ((case.admin, "c"), (case.of_nordvik, "p"), (case.of_halden, "p")):
        text = " ".join(signed_in(actor).get(f"/{room}/change-requests/{request.pk}/").text.split())
        assert "Halden Konsult AB replaced Nordvik Cloud AB as the partner of record." in text


def test_periods_on_the_page_name_who_switched(case):
    case.switch()
    text = " ".join(signed_in(case.admin).get(case.page).text.split())
    assert "Chosen by the customer in a change request, Elin Sandberg" in text
    assert "Replaced by another partner, Elin Sandberg" in text
