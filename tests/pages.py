"""Helpers for tests of pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from por.accounts.models import Actor, User


def signed_in(actor: Actor, *, language: str = "", **options: Any) -> Client:
    """Return a browser in which this person is signed in, with this language if one is given."""
    assert actor.user is not None
    if language:
        User.objects.filter(pk=actor.user.pk).update(language=language)
    client = Client(**options)
    client.force_login(actor.user)
    return client


def packed(html: str) -> str:
    """Return HTML without the white space that comes from the lines of its template: around tags and at their ends."""
    return re.sub(r" ?(<[^>]*?) ?> ?", r"\1>", " ".join(html.split()))


def scraped() -> str:
    """Return the metrics, as Prometheus gets them."""
    page = Client().get("/metrics", headers={"Authorization": f"Bearer {settings.METRICS_TOKEN}"})
    assert page.status_code == 200
    return page.content.decode()


def queries(load: Callable[[], Any]) -> int:
    """Return how many queries a page takes when it is loaded for the second time.

    What takes back a setting is not counted: without the transaction of a test, the setting is gone by itself.
    """
    load()
    with CaptureQueriesContext(connection) as captured:
        assert load().status_code == 200
    taken_back = re.compile(r"SET LOCAL \w+ TO DEFAULT(; SET LOCAL \w+ TO DEFAULT)*")
    return sum(not taken_back.fullmatch(one["sql"]) for one in captured)
