"""What tests of pages have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from por.accounts.models import Actor, User


def signed_in(actor: Actor, *, language: str = "", **options: Any) -> Client:
    """Return a browser in which this person is signed in, and reads in this language."""
    assert actor.user is not None
    if language:
        User.objects.filter(pk=actor.user.pk).update(language=language)
    client = Client(**options)
    client.force_login(actor.user)
    return client


def queries(load: Callable[[], Any]) -> int:
    """How many a page takes, once it has been loaded before."""
    load()
    with CaptureQueriesContext(connection) as captured:
        assert load().status_code == 200
    return len(captured)
