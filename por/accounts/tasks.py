from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.core.management import call_command

from por.accounts import actions
from por.queue.periodic import due


@shared_task
def purge_idempotency_keys() -> None:
    """Delete kept answers that are too old: started every minute, done every hour."""
    with due("purge-idempotency-keys", timedelta(hours=1)) as mine:
        if mine:
            actions.purge_idempotency_keys()


@shared_task
def purge_sessions() -> None:
    """Delete expired and unused sessions: started every minute, done every hour."""
    with due("purge-sessions", timedelta(hours=1)) as mine:
        if mine:
            call_command("clearsessions")
            actions.purge_sessions()
