from __future__ import annotations

from celery import shared_task

from por.accounts import actions


@shared_task
def purge_idempotency_keys() -> None:
    """Hourly."""
    actions.purge_idempotency_keys()
