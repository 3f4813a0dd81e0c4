"""What concerns a company queues it; a worker computes it once, stores what differs and tells of levels."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from competencies import actions, taking
from competencies.models import Attainment, Holding, Recompute, Round
from competencies.programs import computed_on
from competencies.queries import attained, known, known_in
from competencies.results import Result
from competencies.taking import Batch, locked
from por.accounts.models import Actor
from por.directory.models import Partner, Subscription, Usage
from por.history.actions.relaying import relay
from por.history.models import Event
from por.notifications.models import Delivery, Notification
from por.programs.calendars import months_later, newest_month
from tests import estates
from tests.at_once import at_once
from tests.factories import make_customer, make_member, make_partner, make_subscription
from tests.product import wait_until

AZURE = "pcs.azure.data_ai"


def today() -> date:
    return timezone.now().date()


def make_azure(consumed: int = 5000) -> tuple[Subscription, Actor]:
    """Return an Azure subscription with consumption in the newest month and a year before, and its administrator."""
    customer = make_customer()
    subscription = make_subscription(customer, product="azure", agreement="MOSA", started_on=date(2020, 1, 1))
    newest = newest_month(today())
    for month in (newest, months_later(newest, -1), months_later(newest, -12), months_later(newest, -13)):
        Usage.objects.create(subscription=subscription, month=month, workload="azure", consumed_usd=Decimal(consumed))
    return subscription, make_member(customer.organisation)


def results(partner: Partner, program: str = AZURE) -> list[Attainment]:
    return list(Attainment.objects.filter(company=partner.pk, program=program).order_by("pk"))


def value_of(stored: Attainment, metric: str = "net_customer_adds") -> Any:
    return next(one["value"] for one in stored.result["metrics"] if one["metric"] == metric)


def attach_and_relay(subscription: Subscription, partner: Partner, by: Actor) -> None:
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=by)
    relay()


@pytest.mark.django_db(transaction=True)
def test_attachment_queues_every_company_of_the_customer_once() -> None:
    subscription, admin = make_azure()
    partner, other = make_partner(), make_partner()
    attach_and_relay(subscription, partner, admin)
    actions.run()
    second = make_subscription(subscription.customer)
    attach_and_relay(second, other, admin)

    waiting = Recompute.objects.values_list("company", flat=True)
    assert sorted(waiting) == sorted([partner.pk, other.pk])


@pytest.mark.django_db(transaction=True)
def test_location_is_computed_with_its_company() -> None:
    subscription, admin = make_azure()
    company = make_partner("Nordvik Group", kind="global")
    location = make_partner(parent=company.organisation)
    attach_and_relay(subscription, location, admin)

    assert [one.company_id for one in Recompute.objects.all()] == [company.pk]
    actions.run()
    assert results(company)
    assert not results(location)


@pytest.mark.usefixtures("last_day_of_month")
@pytest.mark.django_db(transaction=True)
def test_result_is_stored_once_and_again_only_when_it_differs() -> None:
    subscription, admin = make_azure()
    partner = make_partner()
    attach_and_relay(subscription, partner, admin)
    assert actions.run() == len(computed_on(today()))
    assert not Recompute.objects.exists()

    actions.begin_round(Round.Reason.NIGHTLY, today())
    assert actions.run() == 0
    before = len(results(partner))
    attaching.remove(subscription.subscription_id, by=admin, reason="No longer.")
    relay()
    assert actions.run() > 0
    first, second = results(partner)
    assert before == 1
    assert value_of(first) == 1
    assert value_of(second) == 0


@pytest.mark.django_db(transaction=True)
def test_stored_result_equals_what_the_page_computes() -> None:
    subscription, admin = make_azure()
    partner = make_partner()
    attach_and_relay(subscription, partner, admin)
    actions.run()

    read = [Result.read(program, results(partner, program.id)[-1].result) for program in computed_on(today())]
    assert read == attained(partner.organisation, today())


@pytest.mark.django_db(transaction=True)
def test_known_at_reads_what_was_stored_by_then_and_computes_nothing() -> None:
    subscription, admin = make_azure()
    partner = make_partner()
    attach_and_relay(subscription, partner, admin)
    yesterday = today() - timedelta(days=1)
    assert [one.level for one in known(partner.organisation, today(), yesterday)] == [None] * len(computed_on(today()))
    assert known_in(partner.organisation, AZURE, today(), yesterday).reasons[0].code == "nothing_known"

    actions.run()
    shown = known_in(partner.organisation, AZURE, today(), today())
    attaching.remove(subscription.subscription_id, by=admin, reason="No longer.")
    assert known_in(partner.organisation, AZURE, today(), today()) == shown
    assert attained(partner.organisation, today()) != [shown]


@pytest.mark.django_db(transaction=True)
def test_two_workers_compute_a_company_once() -> None:
    subscription, admin = make_azure()
    partner = make_partner()
    attach_and_relay(subscription, partner, admin)
    assert at_once(actions.run, actions.run) == ["done", "done"]

    assert len(results(partner)) == 1
    assert not Recompute.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_worker_that_dies_loses_nothing() -> None:
    subscription, admin = make_azure()
    partner = make_partner()
    attach_and_relay(subscription, partner, admin)

    worker = connection.copy()
    worker.set_autocommit(False)
    with worker.cursor() as cursor:
        cursor.execute("SELECT id FROM competencies_recompute FOR UPDATE")
        assert actions.run() == 0, "another worker has the rows"
    worker.close()  # as a server does that no longer hears of its client
    wait_until(lambda: bool(actions.run() or results(partner)))
    assert results(partner)


@pytest.mark.django_db(transaction=True)
def test_company_that_cannot_be_computed_waits_longer_and_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    subscription, admin = make_azure()
    partner, broken = make_partner(), make_partner()
    attach_and_relay(subscription, partner, admin)
    Recompute.objects.create(company=broken.organisation, since=today())
    compute = actions.compute

    def fails(batch: Batch) -> actions.Computed:
        if broken.pk in batch.spans:
            raise ValueError("no such rule")
        return compute(batch)

    monkeypatch.setattr(actions, "compute", fails)
    actions.run()

    assert results(partner)
    row = Recompute.objects.get()
    assert (row.company_id, row.attempts) == (broken.pk, 1)
    assert "no such rule" in row.last_error
    assert row.next_at > timezone.now()


@pytest.mark.django_db(transaction=True)
def test_level_reached_and_lost_is_told_to_the_company_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    subscription, admin = make_azure()
    partner = make_partner()
    person = make_member(partner.organisation)
    attach_and_relay(subscription, partner, admin)
    actions.run()
    assert not Event.objects.filter(verb__startswith="competency."), "the first result is no change"

    judged = actions.judged
    for level, before, verb in (
        ("qualified", "none", "competency.reached"),
        ("none", "qualified", "competency.lost"),
    ):

        def changed(program: Any, *args: Any, level: str = level) -> Any:
            found = judged(program, *args)
            return {pk: one | {"level": level} if program.id == AZURE else one for pk, one in found.items()}

        _force_level(partner, before)
        monkeypatch.setattr(actions, "judged", changed)
        actions.begin_round(Round.Reason.NIGHTLY, today())
        actions.run()
        relay()
        event = Event.objects.filter(verb__startswith="competency.").latest("pk")
        assert (event.verb, event.chain, event.object_id) == (verb, f"organisation:{partner.pk}", AZURE)
        assert (event.changes["level"], event.changes["before"]) == (level, before)
        assert Notification.objects.get(event=event).membership.user == person.user
        assert [one.recipient for one in Delivery.objects.filter(event=event)] == [person.user.email]


@pytest.mark.django_db(transaction=True)
def test_paid_level_at_risk_is_told_once_for_each_anniversary() -> None:
    subscription, admin = make_azure()
    partner = make_partner()
    person = make_member(partner.organisation)
    attach_and_relay(subscription, partner, admin)
    actions.run()

    for anniversary in (today() + timedelta(days=30), today() + timedelta(days=395)):
        Holding.objects.create(
            partner=partner, program=AZURE, level="qualified", anniversary_on=anniversary, fee_paid_on=today()
        )
        for _round in range(2):
            actions.begin_round(Round.Reason.NIGHTLY, today())
            actions.run()
            relay()
            last = results(partner)[-1]
            assert (last.result["stage"]["at_risk"], last.result["stage"]["paid_level"]) == (True, "qualified")
            stage = last.result["stage"] | {"at_risk": False}
            Attainment.objects.create(
                company=partner.organisation, program=AZURE, day=today(), level=last.level,
                result=last.result | {"stage": stage},
            )  # fmt: skip
        event = Event.objects.filter(verb="competency.at_risk").latest("pk")
        assert (event.chain, event.object_id) == (f"organisation:{partner.pk}", AZURE)
        assert (event.changes["level"], event.changes["anniversary_on"]) == ("qualified", anniversary.isoformat())
        assert [one.recipient for one in Delivery.objects.filter(event=event)] == [person.user.email]
    assert Event.objects.filter(verb="competency.at_risk").count() == 2


def _force_level(partner: Partner, level: str) -> None:
    """Store a newest result with this level."""
    last = results(partner)[-1]
    result = last.result | {"level": level}
    Attainment.objects.create(company=partner.organisation, program=AZURE, day=today(), level=level, result=result)


@pytest.mark.django_db(transaction=True)
def test_dated_back_change_computes_the_stored_days_since() -> None:
    subscription, admin = make_azure()
    partner = make_partner()
    attach_and_relay(subscription, partner, admin)
    actions.run()
    earlier = today() - timedelta(days=10)
    old = Attainment.objects.create(
        company=partner.organisation, program=AZURE, day=earlier, level="none", result={"level": "none"}
    )
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin, began_on=today() - timedelta(days=20))
    relay()
    assert Recompute.objects.get().since <= today() - timedelta(days=20)
    actions.run()

    newer = Attainment.objects.filter(company=partner.pk, program=AZURE, day=earlier).exclude(pk=old.pk).get()
    assert newer.result["version"] == "pcs-data-ai-2026"
    old.refresh_from_db()
    assert old.result == {"level": "none"}, "what was stored stays"


@pytest.mark.django_db(transaction=True)
def test_import_queues_all_companies_in_one_statement_and_a_second_one_none(tmp_path: Any) -> None:
    files = {
        "partners": [estates.partner()],
        "customers": [estates.customer()],
        "subscriptions": [estates.subscription()],
        "associations": [estates.association(subscription_id=estates.SUBSCRIPTION)],
    }
    estates.load(estates.write(tmp_path, **files))
    assert Recompute.objects.count() == 1
    Recompute.objects.all().delete()
    estates.load(estates.write(tmp_path, **files))
    assert not Recompute.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_nightly_round_queues_all_once_a_day() -> None:
    subscription, admin = make_azure()
    partner = make_partner()
    attach_and_relay(subscription, partner, admin)
    actions.run()

    round_ = actions.run_nightly()
    assert round_ is not None
    assert round_.companies == Recompute.objects.filter(round=round_).count() == 1
    assert actions.run_nightly() is None


@pytest.mark.django_db
def test_queue_grows_by_one_statement_for_a_batch_of_events(django_assert_num_queries: Any) -> None:
    subscription, admin = make_azure()
    partner = make_partner()
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    events = list(Event.objects.filter(chain=f"organisation:{subscription.customer_id}"))
    assert events
    with django_assert_num_queries(1), actions.together():
        for event in events * 3:
            actions.recompute(event)
    assert Recompute.objects.count() == 1


# --- While much waits -----------------------------------------------------------------------------------------------


def wait_for(partner: Partner, seconds: int, **more: Any) -> None:
    """Queue the company as an act of some seconds ago has done."""
    row = Recompute.objects.create(company=partner.organisation, since=today(), **more)
    Recompute.objects.filter(pk=row.pk).update(inserted_at=timezone.now() - timedelta(seconds=seconds))


def companies_that_wait() -> set[int]:
    return set(Recompute.objects.values_list("company", flat=True))


@pytest.mark.django_db(transaction=True)
def test_company_is_computed_once_for_all_changes_since_the_first_that_is_old_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(taking, "MUCH", 2)
    partner = make_partner()
    for seconds in (31, 5, 0):
        wait_for(partner, seconds)
    with transaction.atomic():
        batch = locked()
    assert batch is not None
    assert len(batch.turns) == 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_much", [True, False])
def test_young_rows_wait_and_wake_the_worker_only_while_they_are_much(
    monkeypatch: pytest.MonkeyPatch, is_much: bool
) -> None:
    monkeypatch.setattr(taking, "MUCH", 2 if is_much else 4)
    long_since, just_now, of_a_round = make_partner(), make_partner(), make_partner()
    wait_for(long_since, 31)
    for _change in range(2):
        wait_for(just_now, 1)
    wait_for(of_a_round, 1, priority=1)
    wakes = []
    monkeypatch.setattr(actions.wake, "now", lambda: wakes.append(True))

    actions.run()
    assert results(long_since)
    assert results(of_a_round)
    assert bool(results(just_now)) is not is_much
    assert companies_that_wait() == ({just_now.pk} if is_much else set())
    assert wakes == ([True] if is_much else [])

    Recompute.objects.update(inserted_at=timezone.now() - timedelta(seconds=30))
    actions.run()
    assert results(just_now)
    assert not Recompute.objects.exists()
