"""Change requests: opening, joining, statements, answers, undo, cancellation and deadlines."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from unittest import mock
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from associations import tasks
from associations.attaching.actions import attach as attaching
from associations.attaching.actions import ending, undo
from associations.change_requests import actions as change_requests
from associations.change_requests.models import ChangeRequest, Statement
from associations.change_requests.queries import requests_for_listing, visible_requests, work_of
from associations.change_requests.rules import Cancellation, ChangeStatus
from associations.record.models import Association
from associations.record.policies import policy_on
from associations.record.rules import EndReason, Source
from por.accounts.models import Actor
from por.accounts.zones import day_in, end_of_day
from por.directory.models import Customer, Partner, Subscription
from por.errors import Forbidden, NotFound, Refused, VersionConflict
from por.history.actions import verifying
from por.history.models import Event
from por.management.commands import draw_life_cycles
from por.management.commands.draw_life_cycles import FILE, drawn
from tests.associations.attaching.test_actions import refused
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription

pytestmark = pytest.mark.usefixtures("any_time")


class Case:
    """A subscription whose partner of record is Nordvik, and for which Halden has been proposed."""

    def __init__(self, customer: Customer) -> None:
        self.customer = customer
        self.subscription = make_subscription(customer)
        self.admin = make_member(customer.organisation)
        self.nordvik, self.halden = make_partner("Nordvik Cloud AB"), make_partner("Halden Konsult AB")
        self.of_nordvik, self.of_halden = (make_member(one.organisation) for one in (self.nordvik, self.halden))
        self.held = self.name(self.nordvik).association
        self.named = self.name(self.halden, note="They migrate our mail.")

    def name(self, partner: Partner, **fields) -> attaching.Attached:
        return attaching.attach(self.subscription.subscription_id, partner.mpn_id, by=self.admin, **fields)

    @property
    def request(self) -> ChangeRequest:
        return self.request_of(self.named)

    @staticmethod
    def request_of(attached: attaching.Attached) -> ChangeRequest:
        return ChangeRequest.objects.for_listing().get(pk=attached.request.pk)

    def answer(self, partner: Partner | None, *, by: Actor | None = None, **fields) -> ChangeRequest:
        return change_requests.answer(self.request.pk, partner and partner.mpn_id, by=by or self.admin, **fields)

    def undo(self) -> Association | None:
        return undo.undo(self.subscription.subscription_id, by=self.admin)

    def remove(self) -> Association:
        return attaching.remove(self.subscription.subscription_id, by=self.admin)

    def of_record(self) -> str | None:
        current = Association.objects.open().of_record().filter(subscription=self.subscription).first()
        return current and current.partner.organisation.name

    def events(self) -> list[str]:
        found = Event.objects.filter(object_id=str(self.subscription.subscription_id)).order_by("seq")
        return [event.verb for event in found]


@pytest.fixture
def case(customer) -> Case:
    return Case(customer)


def at(moment: datetime):
    """Set the clock to this moment."""
    return mock.patch.object(timezone, "now", return_value=moment)


# --- Asking ---------------------------------------------------------------------------------------------------------


def test_attaching_another_partner_opens_a_change_request_and_keeps_the_partner_of_record(case):
    attached, request = case.named, case.request

    assert (attached.outcome, attached.association) == ("change_requested", case.held)
    assert case.of_record() == "Nordvik Cloud AB"
    assert (request.status, request.incumbent) == (ChangeStatus.OPEN, case.held)
    assert [one.partner for one in request.challengers.all()] == [case.halden]
    opened_on = day_in("Europe/Stockholm", request.opened_at)
    assert request.due_on == policy_on(opened_on).business_day_after(opened_on, 10)
    assert request.due_at == end_of_day(request.due_on, "Europe/Stockholm")
    opened = Event.objects.get(verb="change_request.opened")
    assert (opened.reason, sorted(opened.parties)) == ("", sorted([case.nordvik.pk, case.halden.pk]))


def test_note_for_a_proposed_partner_is_an_event_that_no_other_partner_reads(case):
    noted = Event.objects.get(verb="change_request.noted")
    assert (noted.reason, noted.parties) == ("They migrate our mail.", [case.halden.pk])
    assert case.request.challengers.get().note == "They migrate our mail."
    case.name(make_partner("Skog IT AB"))
    assert case.events()[-2:] == ["change_request.noted", "change_request.joined"]


def test_same_partner_again_keeps_the_change_request_and_a_third_partner_joins_it(case):
    before = (case.request.version, case.events())

    assert case.name(case.halden).request == case.request
    assert (case.request.version, case.events()) == before
    third = make_partner("Skog IT AB")
    joined = case.name(third)

    assert joined.request == case.request
    assert [one.partner for one in case.request.challengers.all()] == [case.halden, third]
    assert case.events()[-1] == "change_request.joined"
    assert third.pk in Event.objects.latest("id").parties


def test_no_change_request_opens_for_a_past_start_or_for_a_partner_that_cannot_be_attached(case):
    day = timezone.now().date() - timedelta(days=3)
    third = make_partner()
    for began_on in (day, day + timedelta(days=1)):
        refused("overlaps_another_period", case.name, third, began_on=began_on, field="began_on")
    refused("began_on_in_future", case.name, third, began_on=day + timedelta(days=9), field="began_on")
    Subscription.objects.filter(pk=case.subscription.pk).update(status="grace")
    refused("subscription_suspended", case.name, third)
    assert case.events()[-2:] == ["change_request.opened", "change_request.noted"]


def test_database_refuses_a_second_open_change_request_and_an_answer_on_an_open_one(case):
    with pytest.raises(IntegrityError, match="one_open_change_request"), transaction.atomic():
        ChangeRequest.objects.create(
            subscription=case.subscription, incumbent=case.held, opened_at=timezone.now(), due_at=timezone.now()
        )
    with pytest.raises(IntegrityError, match="only_an_answered"), transaction.atomic():
        ChangeRequest.objects.update(chosen=case.halden)
    with pytest.raises(IntegrityError, match="open_or_has_closed"), transaction.atomic():
        ChangeRequest.objects.update(status="expired")


# --- Answering ------------------------------------------------------------------------------------------------------


def test_answer_replaces_the_partner_of_record_by_the_challenger_in_one_step(case):
    answered = case.answer(case.halden, statement=" They do. ")

    case.held.refresh_from_db()
    made = Association.objects.get(source=Source.CHANGE)
    assert case.held.ended_at == made.began_at == made.attached_at == answered.closed_at
    assert (case.held.end_reason, made.partner, answered.made) == (EndReason.CHANGED, case.halden, made)
    assert (answered.status, answered.answered_by, answered.answer_statement) == (
        "answered",
        case.admin.user,
        "They do.",
    )
    event = Event.objects.get(verb="change_request.answered")
    assert (event.verb, event.reason, event.changes["partner"]["name"]) == (
        "change_request.answered",
        "They do.",
        "Halden Konsult AB",
    )
    assert sorted(event.parties) == sorted([case.nordvik.pk, case.halden.pk])


def test_answer_can_keep_the_incumbent_or_name_neither_which_leaves_no_partner_of_record(case):
    case.answer(case.nordvik)
    case.held.refresh_from_db()
    assert (case.held.ended_at, case.of_record(), case.request.status) == (None, "Nordvik Cloud AB", "answered")

    case.named = case.name(case.halden)
    case.answer(None)

    case.held.refresh_from_db()
    assert (case.of_record(), case.held.end_reason) == (None, EndReason.REMOVED)
    assert case.request.chosen is None
    assert "partner" not in Event.objects.latest("id").changes


def test_answer_must_be_a_party_and_is_given_once(case):
    refused("not_a_party", case.answer, make_partner(), field="mpn_id")
    with pytest.raises(Refused, match="not part of the change request"):
        change_requests.answer(case.request.pk, "no number", by=case.admin)
    with pytest.raises(VersionConflict):
        case.answer(case.halden, version=case.request.version + 1)
    case.answer(case.halden, version=case.request.version)
    refused("change_request_answered", case.answer, case.nordvik)
    refused("change_request_answered", change_requests.submit_statement, case.request.pk, "Us.", by=case.of_halden)
    refused("change_request_answered", change_requests.forward, case.request.pk, 1, by=case.admin)


def test_challenger_that_cannot_be_attached_is_refused_as_answer_and_others_are_accepted(case):
    Partner.objects.filter(pk=case.halden.pk).update(status="suspended")
    refused("partner_suspended", case.answer, case.halden)
    Partner.objects.filter(pk=case.halden.pk).update(status="closed")
    refused("partner_closed", case.answer, case.halden)
    Partner.objects.filter(pk=case.halden.pk).update(status="active")
    Subscription.objects.filter(pk=case.subscription.pk).update(status="suspended")
    refused("subscription_suspended", case.answer, case.halden)
    assert case.answer(None).status == "answered"


def test_only_an_administrator_of_the_customer_answers_and_strangers_find_nothing(case):
    viewer = make_member(case.customer.organisation, "viewer")
    refused("no_right", case.answer, case.halden, by=viewer, kind=Forbidden)
    refused("no_right", case.answer, case.halden, by=case.of_halden, kind=Forbidden)
    refused("no_right", change_requests.submit_statement, case.request.pk, "We do.", by=case.admin, kind=Forbidden)
    strangers = [make_member(make_customer("Other").organisation), make_member(make_partner().organisation)]
    for stranger in strangers:
        refused("not_found", case.answer, case.halden, by=stranger, kind=NotFound)
        refused("not_found", change_requests.submit_statement, case.request.pk, "We do.", by=stranger, kind=NotFound)
    assert case.request.status == "open"


# --- Undoing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chosen", ["halden", "nordvik", None])
def test_undoing_an_answer_opens_the_change_request_again_as_it_was(case, chosen):
    before = case.request
    case.answer(chosen and getattr(case, chosen))

    assert case.undo() == case.held

    request = case.request
    assert (request.status, request.due_at, request.chosen, request.made) == ("open", before.due_at, None, None)
    assert case.of_record() == "Nordvik Cloud AB"
    assert not Association.objects.not_undone().filter(source=Source.CHANGE).exists()
    case.held.refresh_from_db()
    assert (case.held.ended_at, case.held.end_reason) == (None, "")
    assert case.events()[-1] == "change_request.answer_undone"
    refused("nothing_to_undo", case.undo)
    assert case.answer(case.halden).status == "answered"
    assert case.undo() == case.held


def test_there_is_nothing_to_undo_while_a_change_request_is_open(case):
    """The customer can still give either answer."""
    refused("nothing_to_undo", case.undo)


def test_answer_can_be_undone_in_time_unless_an_import_has_changed_the_record(case):
    case.answer(case.nordvik)
    with at(timezone.now() + timedelta(minutes=31)):
        refused("undo_too_late", case.undo)
    Association.objects.filter(pk=case.held.pk).update(ended_at=timezone.now())
    refused("nothing_to_undo", case.undo)


def test_undoing_an_answer_does_not_bring_back_a_partner_whose_account_was_closed(case):
    case.answer(case.halden)
    Partner.objects.filter(pk=case.nordvik.pk).update(status="closed")

    refused("partner_closed", case.undo)

    assert (case.of_record(), case.request.status) == ("Halden Konsult AB", "answered")


# --- What else closes it --------------------------------------------------------------------------------------------


def test_removing_the_partner_of_record_cancels_the_change_request(case):
    case.remove()

    assert (case.request.status, case.request.cancelled_because) == ("cancelled", Cancellation.REMOVED)
    assert case.events()[-2:] == ["partner_of_record.removed", "change_request.cancelled"]
    refused("change_request_cancelled", case.answer, case.halden)


@pytest.mark.parametrize(
    ("thing", "status", "why", "of_record"),
    [
        ("subscription", "expired", Cancellation.SUBSCRIPTION_EXPIRED, None),
        ("nordvik", "closed", Cancellation.PARTNER_CLOSED, None),
        ("halden", "closed", Cancellation.PARTNER_CLOSED, "Nordvik Cloud AB"),
    ],
)
def test_end_by_an_import_cancels_the_change_request(case, thing, status, why, of_record):
    type(getattr(case, thing)).objects.filter(pk=getattr(case, thing).pk).update(status=status)

    ending.end_overtaken()

    assert (case.request.status, case.request.cancelled_because) == ("cancelled", why)
    assert case.of_record() == of_record
    assert ending.end_overtaken() == 0
    assert case.events()[-1] == "change_request.cancelled"
    assert case.events().count("change_request.cancelled") == 1


def test_incumbent_that_an_import_ended_cannot_be_the_answer_and_the_change_request_is_cancelled(case):
    Association.objects.filter(pk=case.held.pk).update(ended_at=timezone.now())
    refused("change_request_cancelled", case.answer, case.nordvik)

    ending.end_overtaken()

    assert case.request.cancelled_because == Cancellation.ENDED


# --- Statements and colleagues --------------------------------------------------------------------------------------


def test_each_party_has_one_statement_and_can_change_it_until_the_answer(case):
    change_requests.submit_statement(case.request.pk, " We migrate. ", by=case.of_halden)
    change_requests.submit_statement(case.request.pk, "We migrate.", by=case.of_halden)
    assert case.events().count("change_request.stated") == 1
    change_requests.submit_statement(case.request.pk, "We migrate and train.", by=case.of_halden)

    stated = Statement.objects.get()
    assert (stated.partner, stated.text) == (case.halden, "We migrate and train.")
    refused("statement_empty", change_requests.submit_statement, case.request.pk, "  ", by=case.of_halden, field="text")
    event = Event.objects.latest("id")
    assert (event.reason, event.parties) == ("We migrate and train.", [case.halden.pk])


def test_partner_reads_only_its_own_statement_and_the_customer_reads_both(case):
    for actor, text in ((case.of_nordvik, "We run it."), (case.of_halden, "We moved it.")):
        change_requests.submit_statement(case.request.pk, text, by=actor)

    def read(actor: Actor) -> dict[str, str]:
        (visible,) = visible_requests(actor, requests_for_listing(actor))
        return {side.partner.organisation.name: side.statement.text for side in visible.sides if side.statement}

    both = {"Nordvik Cloud AB": "We run it.", "Halden Konsult AB": "We moved it."}
    assert read(case.admin) == read(make_staff("auditor")) == both
    assert read(case.of_nordvik) == {"Nordvik Cloud AB": "We run it."}
    assert read(case.of_halden) == {"Halden Konsult AB": "We moved it."}


def test_change_request_can_be_forwarded_only_to_a_colleague(case):
    colleague = make_member(case.customer.organisation, "viewer")
    member = colleague.organisation.memberships.get(user=colleague.user)
    stranger = case.halden.organisation.memberships.first()

    assert change_requests.forward(case.request.pk, member.pk, by=case.admin, note="You know them.") == member

    event = Event.objects.latest("id")
    assert (event.verb, event.changes["to"]["user"], event.parties) == (
        "change_request.forwarded",
        colleague.user.pk,
        [],
    )
    refused("not_a_colleague", change_requests.forward, case.request.pk, stranger.pk, by=case.admin, field="member")


def test_customer_sees_the_start_of_each_partner_and_the_usage_then_and_now(case, django_assert_max_num_queries):
    from por.directory.models import Usage

    Association.objects.filter(pk=case.held.pk).update(began_at=datetime(2025, 2, 10, tzinfo=UTC))
    Association.objects.create(
        kind="delegated_admin",
        customer=case.customer,
        partner=case.halden,
        began_at=datetime(2024, 5, 1, tzinfo=UTC),
        source="estate",
    )
    for month, people in ((date(2025, 2, 1), 7), (date(2026, 1, 1), 90)):
        Usage.objects.create(subscription=case.subscription, month=month, workload="exo", active_users=people)
    (visible,) = visible_requests(case.admin, requests_for_listing(case.admin))

    with django_assert_max_num_queries(3):
        work, now = work_of(case.admin, visible)

    ours, theirs = work[case.nordvik.pk], work[case.halden.pk]
    assert (ours.then.active_users, now and now.active_users) == (7, 90)
    assert (theirs.here_since, theirs.then) == (None, None)
    assert theirs.there_since == datetime(2024, 5, 1, tzinfo=UTC)


# --- On time --------------------------------------------------------------------------------------------------------

#: When it is opened, its deadline, and its reminders: after ten, three and seven business days.
CALENDAR = [
    ("a Monday", datetime(2026, 3, 2, 9), date(2026, 3, 16), [date(2026, 3, 5), date(2026, 3, 11)]),
    ("a Friday night", datetime(2026, 3, 6, 23, 59), date(2026, 3, 20), [date(2026, 3, 11), date(2026, 3, 17)]),
    ("a Saturday", datetime(2026, 3, 7), date(2026, 3, 20), [date(2026, 3, 11), date(2026, 3, 17)]),
    ("the end of a month", datetime(2026, 1, 30, 12), date(2026, 2, 13), [date(2026, 2, 4), date(2026, 2, 10)]),
    ("over a leap day", datetime(2028, 2, 22, 12), date(2028, 3, 7), [date(2028, 2, 25), date(2028, 3, 2)]),
    ("over the end of a year", datetime(2026, 12, 28), date(2027, 1, 11), [date(2026, 12, 31), date(2027, 1, 6)]),
    (
        "over both changes to summer time",
        datetime(2026, 3, 5),
        date(2026, 3, 19),
        [date(2026, 3, 10), date(2026, 3, 16)],
    ),
]


@pytest.mark.parametrize(
    ("moment", "last", "reminded"), [row[1:] for row in CALENDAR], ids=[row[0] for row in CALENDAR]
)
@pytest.mark.parametrize("zone", ["Europe/Stockholm", "America/New_York", "Pacific/Auckland", "Pacific/Honolulu"])
def test_deadline_is_the_end_of_the_last_business_day_and_each_reminder_is_sent_once(
    customer, moment, last, reminded, zone
):
    customer.organisation.time_zone = zone
    customer.organisation.save()
    with at(moment.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)):
        case = Case(customer)
    request = case.request

    def end_of(day: date) -> datetime:
        return datetime.combine(day + timedelta(days=1), datetime.min.time(), ZoneInfo(zone)).astimezone(UTC)

    end = end_of(last)
    assert (request.due_on, request.due_at) == (last, end)
    assert change_requests.reminders_of(request) == [end_of(day) for day in reminded]

    sent = []
    hour = request.opened_at.replace(minute=0)
    while hour <= end + timedelta(days=3):
        with at(hour):
            for _twice in range(2):
                if not change_requests.expire_and_remind():
                    break
                sent.append((case.events()[-1].removeprefix("change_request."), hour))
        hour += timedelta(hours=12) if hour.hour % 12 == 0 else timedelta(hours=1)

    moments = [*change_requests.reminders_of(request), end]
    assert [what for what, _hour in sent] == ["reminded", "reminded", "expired"]
    assert all(
        moment <= hour < moment + timedelta(hours=12) for (_what, hour), moment in zip(sent, moments, strict=True)
    )
    assert (case.request.status, case.of_record()) == ("expired", "Nordvik Cloud AB")


def test_scheduled_work_that_was_late_sends_one_reminder(case):
    opened = case.request.opened_at
    with at(change_requests.reminders_of(case.request)[1] + timedelta(days=1)):
        assert tasks.run_scheduled() == 1
        assert tasks.run_scheduled() == 0
    assert case.events().count("change_request.reminded") == 1
    with at(opened + timedelta(days=90)):
        assert tasks.run_scheduled() == 1
        assert tasks.run_scheduled() == 0
    assert case.events()[-1] == "change_request.expired"
    refused("change_request_expired", case.answer, case.halden)


def test_holidays_of_the_policy_are_not_business_days():
    from dataclasses import replace

    policy = replace(policy_on(date(2026, 12, 1)), holidays=(date(2026, 12, 24), date(2026, 12, 25)))
    assert policy.business_day_after(date(2026, 12, 23), 1) == date(2026, 12, 28)


# --- Its life cycle -------------------------------------------------------------------------------------------------


def test_step_that_the_table_lacks_is_refused_with_the_code_of_the_status():
    for cycle in draw_life_cycles.ALL:
        verbs = {verb for steps in cycle.steps.values() for verb in steps}
        statuses = {cycle.begins, *(to for steps in cycle.steps.values() for to in steps.values())}
        assert statuses == {*cycle.steps, *cycle.refusals}
        for status in statuses:
            for verb in verbs:
                if cycle.allows(status, verb):
                    assert cycle.after(status, verb) in statuses
                else:
                    code, sentence = cycle.refusals[status]
                    refusal = refused(code, cycle.after, status, verb)
                    assert str(refusal) == str(sentence)


def test_diagrams_match_the_tables():
    assert FILE.read_text(encoding="utf-8") == drawn(), "run manage.py draw_life_cycles"


def test_history_is_valid_after_every_event_of_a_change_request(case):
    case.answer(case.halden)
    case.undo()
    case.remove()
    assert list(verifying.verify()) == []
