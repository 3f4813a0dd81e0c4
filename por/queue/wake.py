"""Waking a worker when there is work. A wake may be lost: the rows are the guarantee, and the clock checks them."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any

from django.db import transaction

logger = logging.getLogger(__name__)

#: Seconds between two wakes of one process. A worker takes all that is due, so a burst of commits needs only one.
WAKE_EVERY = 0.5
#: Without a worker, wakes would fill the broker's memory. When this many messages wait, another one adds nothing.
ENOUGH = 100
#: Seconds after which a wake that no worker took is dropped.
GOOD_FOR = 60


class Wake:
    """The wake of a task. It starts the task from its own thread, so that a broker that hangs delays no caller.

    However often it is called while the thread is busy, one more wake follows. Each room has one for each of its
    queues, and sets its task when the application starts; until then it does nothing.
    """

    def __init__(self, task: Any = None) -> None:
        self.task = task
        self.wanted, self.starting = threading.Event(), threading.Lock()
        self.thread: threading.Thread | None = None
        os.register_at_fork(after_in_child=self._forget)

    def after_commit(self) -> None:
        """Wake the worker once the transaction is committed. An error is logged and does no harm."""
        transaction.on_commit(self.now, robust=True)

    def now(self) -> None:
        """Wake the worker soon; return without waiting for the broker."""
        if self.task is None:
            return
        self.wanted.set()
        if self.thread is None:
            with self.starting:
                if self.thread is None:
                    self.thread = threading.Thread(target=self._run, name=f"wake {self.task.name}", daemon=True)
                    self.thread.start()

    def _forget(self) -> None:
        """Forget the thread, which does not exist in a forked child: the child starts its own at its first wake."""
        self.wanted, self.starting, self.thread = threading.Event(), threading.Lock(), None

    def _run(self) -> None:
        while self.wanted.wait():
            self.wanted.clear()
            try:
                self._send()
            except Exception as error:
                logger.warning("%s could not be woken (%s); the clock starts it.", self.task.name, type(error).__name__)
            time.sleep(WAKE_EVERY)

    def _send(self) -> None:
        try:
            self._try_to_send()
        except Exception:  # the broker may have ended the connection since the last wake
            self._try_to_send()

    def _try_to_send(self) -> None:
        app = self.task.app
        with app.producer_or_acquire() as producer:
            try:
                # Every broker tells how many messages wait when it is asked to declare a queue.
                queue = app.amqp.queues[app.conf.task_default_queue].bind(producer.channel)
                if queue.queue_declare().message_count < ENOUGH:
                    self.task.apply_async(producer=producer, expires=GOOD_FOR)
            except Exception:
                producer.connection.collect()  # the next try opens another one
                raise
