"""A real worker with real child processes, which are killed while they work."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from associations.jobs.actions import bulk
from por.accounts.models import SYSTEM
from por.celery import app
from por.history import tasks
from por.history.actions import recording as history
from por.history.models import Outbox
from por.imports.actions import requests
from por.notifications.actions import delivering
from por.ops.figures import figures
from por.queue.rules import MAX_ATTEMPTS
from por.queue.wake import ENOUGH, Wake
from tests.databases import addresses
from tests.product import ROOT, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Path]:
    app.control.purge()  # wakes of other tests, which no worker took
    with a_worker(tmp_path) as log:
        yield log


@contextmanager
def a_worker(tmp_path: Path) -> Iterator[Path]:
    """Start a worker with two children on the database and the broker of the tests; yield its log."""
    log = tmp_path / "worker.log"
    command = [
        sys.executable,
        "-m",
        "celery",
        "--app",
        "tests.por.history.poisoned:app",
        "--broker",
        app.conf.broker_url,
        "worker",
        "--loglevel",
        "INFO",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--concurrency", "2", "--without-gossip", "--without-mingle"],
            cwd=ROOT,
            env=os.environ | addresses(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(lambda: b"ready." in log.read_bytes())
        yield log
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def record(verb: str, about: int = 1) -> int:
    thing = history.ObjectRef("thing", str(about), "A thing")
    return history.record(verb, thing, by=SYSTEM, at=timezone.now(), chain=None)


def test_event_whose_handler_kills_the_worker_is_given_up_and_delays_no_other(worker: Path) -> None:
    over = threading.Event()

    def wake() -> None:
        while not over.wait(0.25):
            tasks.relay.delay()

    clock = threading.Thread(target=wake, daemon=True)
    clock.start()
    poison = record("thing.poison")
    try:
        good = []
        while Outbox.objects.get(pk=poison).dead_at is None:
            good.append(record("thing.done", about=2))
            wait_until(lambda: Outbox.objects.get(pk=good[-1]).done_at is not None)
    finally:
        over.set()
        clock.join()

    row = Outbox.objects.get(pk=poison)
    assert row.attempts == MAX_ATTEMPTS
    assert row.done_at is None
    wait_until(lambda: worker.read_text().count("signal 9 (SIGKILL)") >= MAX_ATTEMPTS)
    assert len(good) >= MAX_ATTEMPTS // 2, "other events were handled between its deaths"
    assert not Outbox.objects.filter(pk__in=good, done_at=None).exists()
    assert b"\noutbox_dead 1.0\n" in figures()
    assert settings.CELERY_TASK_REJECT_ON_WORKER_LOST


#: Of every room: tests before this one may have wakes under way.
WAKES = (history.wake, delivering.wake, bulk.wake, requests.wake)


def test_wakes_that_no_worker_takes_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_until(lambda: not any(wake.wanted.is_set() for wake in WAKES))
    for other in WAKES:
        monkeypatch.setattr(other, "task", None)
    time.sleep(0.5)  # one that has just been sent arrives
    app.control.purge()
    for number in range(ENOUGH):
        if number % 2:
            tasks.relay.delay()
        else:  # as the clock does
            tasks.relay.apply_async(**settings.CELERY_BEAT_SCHEDULE["relay"]["options"])
    wake = Wake(tasks.relay)
    wake.now()
    wait_until(lambda: not wake.wanted.is_set())
    wake._send()

    with app.connection_for_read() as broker:
        assert broker.default_channel.client.llen("celery") == ENOUGH
    for name in ("relay", "deliver"):
        clock = settings.CELERY_BEAT_SCHEDULE[name]
        assert clock["options"]["expires"] <= clock["schedule"], "a run expires before the next one starts"
    time.sleep(settings.CELERY_BEAT_SCHEDULE["relay"]["options"]["expires"] + 0.1)  # a worker may start sooner
    with a_worker(tmp_path) as log:
        wait_until(lambda: log.read_text().count("Discarding revoked task") == ENOUGH // 2)
