from __future__ import annotations

from celery import shared_task
from django.core.management import call_command

from por.accounts import actions


@shared_task
def purge_idempotency_keys() -> None:
    """Hourly."""
    actions.purge_idempotency_keys()


@shared_task
def purge_sessions() -> None:
    """Hourly: forgets the sign-ins whose time is over."""
    call_command("clearsessions")
