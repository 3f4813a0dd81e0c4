"""Twenty requests run together under each of fifty keys: they have fifty effects, and one answer a key.

Tests in tests/chaos kill web servers meanwhile.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from associations.record.models import Association
from por.accounts import actions as accounts
from por.accounts.models import IdempotencyKey
from por.db.grants import as_owner
from por.directory.models import Subscription
from por.history.models import Event, Outbox
from tests.factories import make_customer, make_member, make_partner, make_subscription

pytestmark = pytest.mark.usefixtures("committed")

KEYS, CLIENTS = 50, 20
LOCK = re.compile(r"pg_try_advisory_xact_lock\((?:[^()]|\([^()]*\))*\)")


class Crowd:
    """Twenty clients that send the same request at the same moment."""

    def __init__(self, keys: int = KEYS, *, guarded: bool = True) -> None:
        customer = make_customer()
        self.admin = make_member(customer.organisation)
        _token, secret = accounts.create_token(self.admin.user, customer.organisation, name="crowd", read_only=False)
        self.subscriptions = [make_subscription(customer) for _number in range(keys)]
        self.partner = make_partner()
        Client().get("/livez")  # one thread sets up what a process makes on its first request
        self.headers = {"Authorization": f"Bearer {secret}", "If-Match": "*"}
        self.guarded = guarded

    def send(self, subscription: Subscription, key: str, start: Barrier) -> Any:
        client = Client(raise_request_exception=False)
        path = f"/api/v1/subscriptions/{subscription.subscription_id}/partner-of-record/"
        start.wait(30)
        return client.put(
            path,
            {"mpn_id": self.partner.mpn_id},
            content_type="application/json",
            headers=self.headers | {"Idempotency-Key": key},
        )

    def answers(self) -> dict[str, list[Any]]:
        """Return the answers to all clients, by key."""
        start = Barrier(CLIENTS)

        def run_client(_number: int) -> list[Any]:
            with ExitStack() as stack:
                stack.callback(connection.close)
                if not self.guarded:
                    stack.enter_context(connection.execute_wrapper(_without_the_lock))
                return [self.send(one, f"key {one.pk}", start) for one in self.subscriptions]

        with ThreadPoolExecutor(CLIENTS) as threads:
            columns = list(threads.map(run_client, range(CLIENTS)))
        return {
            f"key {one.pk}": list(row) for one, row in zip(self.subscriptions, zip(*columns, strict=True), strict=True)
        }


def _without_the_lock(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
    return execute(LOCK.sub("%s IS NOT NULL", str(sql)), params, many, context)


def wrong(answers: list[Any]) -> list[Any]:
    """Return the answers that are not the first one, its replay, or a 409 because the first is still in progress."""
    firsts = [one for one in answers if one.status_code == 201 and "Idempotent-Replayed" not in one]
    replays = [one for one in answers if one.get("Idempotent-Replayed") == "true" and one.status_code == 201]
    waiting = [one for one in answers if (one.status_code, "in_progress" in one.text) == (409, True)]
    rest = [one for one in answers if one not in firsts + replays + waiting]
    if len(firsts) == 1 and len({one.content for one in firsts + replays}) == 1:
        return rest
    return [*rest, *firsts]


@contextmanager
def without_the_constraint() -> Iterator[None]:
    constraints = [one for one in IdempotencyKey._meta.constraints if one.name == "one_answer_per_idempotency_key"]
    with as_owner(), connection.schema_editor() as editor:
        editor.remove_constraint(IdempotencyKey, constraints[0])
    try:
        yield
    finally:
        IdempotencyKey.objects.all().delete()
        with as_owner(), connection.schema_editor() as editor:
            editor.add_constraint(IdempotencyKey, constraints[0])


def test_each_key_has_one_effect_and_one_answer():
    crowd = Crowd()

    answers = crowd.answers()

    assert {
        key: [(one.status_code, one.content) for one in wrong(row)] for key, row in answers.items() if wrong(row)
    } == {}
    ours = Association.objects.filter(subscription__in=crowd.subscriptions)
    assert ours.count() == ours.open().count() == KEYS
    numbers = [str(one.subscription_id) for one in crowd.subscriptions]
    assert Event.objects.filter(object_id__in=numbers).count() == KEYS
    assert Outbox.objects.filter(event__object_id__in=numbers).count() == KEYS
    assert IdempotencyKey.objects.filter(organisation=crowd.admin.organisation).count() == KEYS


def test_without_the_lock_and_the_constraint_keys_have_several_answers():
    with without_the_constraint():
        crowds = (Crowd(2, guarded=False).answers() for _try in range(20))

        assert any(wrong(row) for answers in crowds for row in answers.values())


def test_an_answer_is_kept_for_a_day_at_least_and_then_forgotten():
    crowd = Crowd(1)
    subscription, key = crowd.subscriptions[0], str(uuid.uuid4())
    first = crowd.send(subscription, key, Barrier(1))
    kept = IdempotencyKey.objects.filter(organisation=crowd.admin.organisation)

    kept.update(created_at=timezone.now() - timedelta(hours=24))
    accounts.purge_idempotency_keys()
    replayed = crowd.send(subscription, key, Barrier(1))
    kept.update(created_at=timezone.now() - timedelta(hours=49))
    accounts.purge_idempotency_keys()
    anew = crowd.send(subscription, key, Barrier(1))

    assert replayed["Idempotent-Replayed"] == "true"
    assert replayed.content == first.content
    assert (anew.status_code, "Idempotent-Replayed" in anew) == (200, False)
