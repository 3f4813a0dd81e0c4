"""Doorbells: each takes nothing, calls one verb, and may run twice."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any

from celery import shared_task

from por import faults
from por.history import actions
from por.history.actions import sealing

logger = logging.getLogger(__name__)

#: A burst of commits in one process rings once in this many seconds; whoever comes takes all that is due anyway.
RING_EVERY = 0.5
#: While no worker takes them rings would fill the broker's memory: with so many waiting, another one adds nothing.
ENOUGH = 100
#: Seconds after which a ring that waited so long is not worth a look.
GOOD_FOR = 60


class Bell:
    """Rings a task from a thread of its own, so that a broker that hangs holds up nobody who calls it.

    However often it is called while the thread is at it, one more ring follows. A ring that fails is lost, and the
    clock comes round instead.
    """

    def __init__(self, task: Any) -> None:
        self.task = task
        self.wanted = threading.Event()
        self.ringer: threading.Thread | None = None
        self.starting = threading.Lock()
        os.register_at_fork(after_in_child=self._forget)

    def __call__(self) -> None:
        self.wanted.set()
        if self.ringer is None:
            with self.starting:
                if self.ringer is None:
                    self.ringer = threading.Thread(target=self._ring, name=f"bell of {self.task.name}", daemon=True)
                    self.ringer.start()

    def _forget(self) -> None:
        """Threads stay behind in a fork: the child starts its own when it first rings."""
        self.wanted, self.ringer, self.starting = threading.Event(), None, threading.Lock()

    def _ring(self) -> None:
        while self.wanted.wait():
            self.wanted.clear()
            try:
                self._ring_once()
            except Exception as error:
                logger.warning(
                    "%s could not be rung (%s); the clock comes round.", self.task.name, type(error).__name__
                )
            time.sleep(RING_EVERY)

    def _ring_once(self) -> None:
        app = self.task.app
        with app.producer_or_acquire() as producer:
            if producer.channel.client.llen(app.conf.task_default_queue) < ENOUGH:
                self.task.apply_async(producer=producer, expires=GOOD_FOR)


@shared_task
def relay() -> None:
    """Tells the listeners of what is due: rung after commits, and every few seconds by the clock."""
    with faults.passing():
        actions.relay()


@shared_task
def seal() -> None:
    """Signs the heads of the chains: rung every minute, done every hour."""
    sealing.seal()
