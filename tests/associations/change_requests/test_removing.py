"""Removing the partner of record while a change request is open, and undoing that."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from associations import tasks
from associations.attaching.actions import attach as attaching
from associations.change_requests import actions as change_requests
from associations.change_requests.models import ChangeRequest
from associations.change_requests.rules import Cancellation
from associations.record.policies import policy_on
from por.accounts.zones import day_in, end_of_day
from por.directory.models import Partner, Subscription
from por.history.models import Event
from tests.api import Api
from tests.associations.attaching.test_actions import refused
from tests.associations.change_requests.test_actions import Case, at
from tests.associations.change_requests.test_emails import Told
from tests.factories import make_member, make_partner
from tests.pages import signed_in

pytestmark = pytest.mark.usefixtures("any_time")


@pytest.fixture
def case(customer) -> Told:
    case = Told(customer)
    case.told()
    return case


def page(case: Case) -> str:
    return f"/c/subscriptions/{case.subscription.subscription_id}/"


def test_undo_of_a_removal_brings_back_the_partner_and_the_same_change_request(case):
    change_requests.submit_statement(case.request.pk, "We do.", by=case.of_halden)
    before = case.request
    case.remove()
    assert (case.request.status, case.request.cancelled_because) == ("cancelled", Cancellation.REMOVED)

    assert case.undo() == case.held

    request = case.request
    assert (request.pk, request.status, request.cancelled_because, request.closed_at) == (before.pk, "open", "", None)
    assert (request.due_at, request.incumbent, request.reminders) == (before.due_at, case.held, before.reminders)
    assert [one.partner for one in request.challengers.all()] == [case.halden]
    assert [one.text for one in request.statements.all()] == ["We do."]
    assert case.of_record() == "Nordvik Cloud AB"
    assert case.events()[-4:] == [
        "partner_of_record.removed",
        "change_request.cancelled",
        "partner_of_record.removal_undone",
        "change_request.reopened",
    ]
    refused("nothing_to_undo", case.undo)
    assert case.answer(case.halden).status == "answered"


def test_all_parties_are_told_that_it_is_open_again(case):
    case.remove()
    assert set(case.told()) == {"nordvik", "halden", "admin"}
    case.undo()
    event = Event.objects.latest("id")
    assert (event.verb, sorted(event.parties)) == (
        "change_request.reopened",
        sorted([case.nordvik.pk, case.halden.pk]),
    )
    told = case.told()
    assert (told["halden"], told["nordvik"]) == ("reopened", "reopened")


def test_deadline_that_passes_between_removal_and_undo_moves_to_the_next_business_day(case):
    due = case.request.due_at
    with at(due - timedelta(minutes=5)):
        case.remove()
    after = due + timedelta(minutes=5)
    with at(after):
        case.undo()
        tasks.run_scheduled()
    assert case.request.status == "open"
    zone = case.customer.organisation.time_zone
    due_on = policy_on(after.date()).business_day_after(day_in(zone, after), 1)
    assert (case.request.due_on, case.request.due_at) == (due_on, end_of_day(due_on, zone))
    assert case.request.due_at > after


def test_deadline_that_passes_before_an_answer_is_undone_moves_too(case):
    due = case.request.due_at
    with at(due - timedelta(minutes=5)):
        case.answer(case.halden)
    with at(due + timedelta(minutes=5)):
        case.undo()
    assert case.request.due_at > due + timedelta(minutes=5)


def test_change_request_stays_cancelled_if_no_other_partner_is_left(case):
    case.remove()
    Partner.objects.filter(pk=case.halden.pk).update(status="closed")
    assert case.undo() == case.held
    assert (case.request.status, case.events()[-1]) == ("cancelled", "partner_of_record.removal_undone")


def test_only_the_change_request_that_this_removal_cancelled_comes_back(case):
    case.remove()
    case.name(case.nordvik)
    case.remove()
    case.undo()
    assert case.of_record() == "Nordvik Cloud AB"
    assert case.request.status == "cancelled"


def test_undo_that_is_too_late_or_for_an_expired_subscription_leaves_it_cancelled(case):
    case.remove()
    with at(timezone.now() + timedelta(minutes=31)):
        refused("undo_too_late", case.undo)
    Subscription.objects.filter(pk=case.subscription.pk).update(status="expired")
    refused("subscription_expired", case.undo)
    assert case.request.status == "cancelled"


def test_resigning_and_answering_neither_open_nothing_again(case):
    attaching.resign(case.subscription.subscription_id, by=case.of_nordvik)
    refused("nothing_to_undo", case.undo)
    assert case.request.status == "cancelled"


def test_page_says_before_the_click_what_the_removal_cancels(case, customer):
    change_requests.submit_statement(case.request.pk, "We do.", by=case.of_halden)
    text = " ".join(signed_in(case.admin).get(page(case)).text.split())
    assert "Removing Nordvik Cloud AB cancels the open change request." in text
    assert "proposed by Elin Sandberg on" in text
    assert "has told you what it does for you" in text
    assert "has not written to you yet" in text
    viewer = signed_in(make_member(customer.organisation, "viewer"))
    assert "cancels the open change request" not in viewer.get(page(case)).text
    attaching.remove(case.subscription.subscription_id, by=case.admin)
    assert "cancels the open change request" not in signed_in(case.admin).get(page(case)).text


def test_undo_on_the_page_leads_to_the_open_change_request(case):
    case.remove()
    version = Subscription.objects.values_list("version", flat=True).get(pk=case.subscription.pk)
    response = signed_in(case.admin).post(f"{page(case)}undo/", {"version": version})
    assert (response.status_code, response.url) == (302, f"/c/change-requests/{case.request.pk}/")
    assert ChangeRequest.objects.open().count() == 1


def test_undo_over_the_api_answers_with_the_partner_and_the_subscription_shows_the_question(case):
    case.remove()
    api, path = Api(case.admin), f"subscriptions/{case.subscription.subscription_id}/"
    answer = api.post(f"{path}partner-of-record/undo/", {}, If_Match="*")
    assert answer.json()["association"]["partner"]["name"] == "Nordvik Cloud AB"
    shown = api.get(path)
    assert shown.json()["change_request"]["id"] == case.request.pk
    assert shown["ETag"] == answer["ETag"]


def test_number_of_queries_of_the_page_does_not_grow_with_the_parties(case, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    web = signed_in(case.admin)
    counts = []
    for _more in range(2):
        web.get(page(case))
        with CaptureQueriesContext(connection) as captured:
            web.get(page(case))
        counts.append(len(captured))
        case.name(make_partner())
    assert counts[0] == counts[1]
