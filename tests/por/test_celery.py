"""The worker and its processes."""

from __future__ import annotations

import gc

from celery import signals

from por import celery


def test_new_process_of_the_worker_collects_no_garbage_in_the_memory_that_it_shares() -> None:
    gc.unfreeze()  # the tests have frozen what they have imported
    assert gc.get_freeze_count() == 0
    try:
        signals.worker_before_create_process.send(sender=celery.app)
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()
