"""Readers of several organisations on the same threads and connections: each gets what is theirs, and only that."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from associations.attaching.actions import attach as attaching
from tests.api import Api
from tests.factories import make_customer, make_member, make_partner, make_subscription

REQUESTS = 400
PATHS = ["/api/v1/me/", "/api/v1/subscriptions/", "/api/v1/associations/", "/api/v1/notifications/"]


@pytest.fixture
def readers(committed: None) -> list[dict[str, str]]:
    """Return the headers of people of two customers and a partner, who have rows of their own."""
    partner = make_partner()
    admins = [make_member(make_customer(name).organisation) for name in ("Västerhamn Energi AB", "Österhamn Energi AB")]
    for admin in admins:
        assert admin.organisation
        subscription = make_subscription(admin.organisation.customer)
        attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    return [Api(person).headers for person in (*admins, make_member(partner.organisation))]


def test_hundreds_of_requests_on_two_connections_never_show_what_is_anothers(readers: list[dict[str, str]]) -> None:
    def ask(number: int) -> Any:
        # The paths change more slowly than the readers, so that two readers ask for the same thing one after another.
        path = PATHS[number // len(readers) % len(PATHS)]
        answer = Client().get(path, headers=readers[number % len(readers)])
        assert answer.status_code == 200
        return number % len(readers), path, answer.content, connection.connection.info.backend_pid

    def close(_number: int) -> None:
        connection.close()

    alone = {(reader, path): body for reader, path, body, _pid in map(ask, range(len(readers) * len(PATHS)))}
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(ask, range(REQUESTS)))
        list(threads.map(close, range(10)))

    assert [(reader, path) for reader, path, body, _pid in found if body != alone[reader, path]] == []
    for path in PATHS[:2]:
        assert len({alone[reader, path] for reader in range(len(readers))}) == len(readers), (
            "each has an answer of its own"
        )
    assert len({pid for *_rest, pid in found}) == 2, "each connection served all of them"
