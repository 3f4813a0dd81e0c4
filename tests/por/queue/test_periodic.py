"""A periodic run is done once when it is due, however often and by however many workers it is asked for."""

from __future__ import annotations

from datetime import timedelta
from threading import Barrier, Thread

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from por.accounts.models import IdempotencyKey
from por.accounts.tasks import purge_idempotency_keys
from por.directory.models import Customer
from por.queue.models import PeriodicRun
from por.queue.periodic import age, due

HOUR = timedelta(hours=1)


def ask() -> bool:
    with due("work", HOUR) as mine:
        return mine


def done_ago(ago: timedelta) -> None:
    PeriodicRun.objects.update_or_create(name="work", defaults={"done_at": Now() - ago})


def test_work_is_due_at_first_and_then_not_until_its_time_has_passed() -> None:
    assert [ask(), ask(), ask()] == [True, False, False]
    done_ago(timedelta(minutes=59))
    assert not ask()
    done_ago(timedelta(minutes=60))
    assert ask()


def test_a_clock_that_was_stopped_for_hours_is_made_up_for_once() -> None:
    done_ago(timedelta(hours=5))
    assert [ask(), ask()] == [True, False]


def test_run_that_fails_is_tried_again_the_next_time() -> None:
    done_ago(timedelta(hours=5))
    with pytest.raises(ZeroDivisionError), due("work", HOUR):
        raise ZeroDivisionError
    assert [ask(), ask()] == [True, False]


def test_a_time_that_is_far_ahead_stops_nothing() -> None:
    done_ago(-timedelta(days=1))
    assert [ask(), ask()] == [True, False]
    done_ago(-timedelta(minutes=5))  # another machine, or the same a moment ago: no reason to do it twice
    assert not ask()


def test_runs_do_not_wait_for_each_other() -> None:
    assert ask()
    with due("other work", HOUR) as mine:
        assert mine


def test_its_age_has_no_end_before_the_first_time() -> None:
    assert age("work") == float("inf")
    done_ago(HOUR)
    assert 3600 <= age("work") < 3700


def at_once(take: object) -> int:
    """Return how many of four workers that ask together get the run; the row says it was last done five hours ago."""
    done_ago(timedelta(hours=5))
    together, got = Barrier(4), []

    def work() -> None:
        together.wait()
        try:
            got.append(take(together))  # type: ignore[operator]
        finally:
            connection.close()

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(got)


@pytest.mark.django_db(transaction=True)
def test_of_four_workers_at_once_one_does_it() -> None:
    def take(together: Barrier) -> bool:
        with due("work", HOUR) as mine:
            together.wait()  # nobody leaves before all have asked
        return mine

    assert at_once(take) == 1


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_all_four_would_do_it() -> None:
    """The control: the same race over the same row, only looked at."""

    def take(together: Barrier) -> bool:
        mine = PeriodicRun.objects.filter(name="work", done_at__lte=Now() - HOUR).exists()
        together.wait()
        PeriodicRun.objects.filter(name="work").update(done_at=Now())
        return mine

    assert at_once(take) == 4


@pytest.mark.django_db(transaction=True)
def test_first_time_of_all_four_workers_do_one_run() -> None:
    def take(together: Barrier) -> bool:
        with due("never done", HOUR) as mine:
            together.wait()
        return mine

    assert at_once(take) == 1


def test_old_answers_are_forgotten_once_an_hour(customer: Customer) -> None:
    def keep_an_old_one() -> None:
        key = IdempotencyKey.objects.create(organisation=customer.organisation, key="k", status=200, headers={})
        IdempotencyKey.objects.filter(pk=key.pk).update(created_at=timezone.now() - timedelta(days=3))

    keep_an_old_one()
    purge_idempotency_keys()
    assert not IdempotencyKey.objects.exists()

    keep_an_old_one()
    purge_idempotency_keys()
    assert IdempotencyKey.objects.exists()
    PeriodicRun.objects.update(done_at=Now() - HOUR)
    purge_idempotency_keys()
    assert not IdempotencyKey.objects.exists()
