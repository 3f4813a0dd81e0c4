"""A periodic run is done once when it is due, however often and by however many workers it is started."""

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


def test_run_is_due_at_first_and_then_after_its_interval() -> None:
    assert [ask(), ask(), ask()] == [True, False, False]
    done_ago(timedelta(minutes=59))
    assert not ask()
    done_ago(timedelta(minutes=60))
    assert ask()


def test_run_missed_for_hours_is_done_once() -> None:
    done_ago(timedelta(hours=5))
    assert [ask(), ask()] == [True, False]


def test_run_that_fails_is_tried_again_the_next_time() -> None:
    done_ago(timedelta(hours=5))
    with pytest.raises(ZeroDivisionError), due("work", HOUR):
        raise ZeroDivisionError
    assert [ask(), ask()] == [True, False]


def test_time_far_in_the_future_does_not_stop_the_run() -> None:
    done_ago(-timedelta(days=1))
    assert [ask(), ask()] == [True, False]
    done_ago(-timedelta(minutes=5))  # the clock of another machine is a little ahead
    assert not ask()


def test_runs_do_not_wait_for_each_other() -> None:
    assert ask()
    with due("other work", HOUR) as mine:
        assert mine


def test_age_is_infinite_before_the_first_run() -> None:
    assert age("work") == float("inf")
    done_ago(HOUR)
    assert 3600 <= age("work") < 3700


def winners(take: object) -> int:
    """Return how many of four simultaneous workers get the run, which was last done five hours ago."""
    done_ago(timedelta(hours=5))
    together, results = Barrier(4), []

    def work() -> None:
        together.wait()
        try:
            results.append(take(together))  # type: ignore[operator]
        finally:
            connection.close()

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(results)


@pytest.mark.django_db(transaction=True)
def test_one_of_four_simultaneous_workers_does_the_run() -> None:
    def take(together: Barrier) -> bool:
        with due("work", HOUR) as mine:
            together.wait()  # no worker leaves before all have asked
        return mine

    assert winners(take) == 1


@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_all_four_do_the_run() -> None:
    """The control: the same race for the same row, which the workers only read."""

    def take(together: Barrier) -> bool:
        mine = PeriodicRun.objects.filter(name="work", done_at__lte=Now() - HOUR).exists()
        together.wait()
        PeriodicRun.objects.filter(name="work").update(done_at=Now())
        return mine

    assert winners(take) == 4


@pytest.mark.django_db(transaction=True)
def test_one_of_four_simultaneous_workers_does_the_first_run() -> None:
    def take(together: Barrier) -> bool:
        with due("never done", HOUR) as mine:
            together.wait()
        return mine

    assert winners(take) == 1


def test_old_answers_are_deleted_once_an_hour(customer: Customer) -> None:
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
