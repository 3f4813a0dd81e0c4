"""Sixteen callers at one subscription through the whole stack of a request: the record stays exact.

Each race runs six seconds here; `make chaos` runs the long ones.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from os import environ

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone

from associations.models import Association
from por import statements
from por.accounts.actions import actor_of_token, create_token
from por.directory.models import Subscription
from por.history.actions import verify
from por.history.models import Event, Outbox
from por.roles import as_owner
from tests.factories import make_customer, make_member, make_partner, make_subscription
from tests.record import most_at_once, overlaps

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = float(environ.get("RACE_SECONDS", "6"))
THREADS = 16

CONSTRAINTS = ("one_partner_of_record_per_subscription", "no_two_periods_of_record_overlap")


def race(
    subscriptions: list[Subscription], mpn_ids: list[str], secret: str, seconds: float
) -> tuple[Counter[int], int]:
    """Attaches, removes, dates back and undoes at random from many threads; returns the statuses and the worst seen."""
    Client().get("/livez")  # sets up the middleware, which many threads at once cannot
    end = time.monotonic() + seconds
    statuses: Counter[int] = Counter()
    worst = 0

    def caller(seed: int) -> Counter[int]:
        chance = random.Random(seed)
        client = Client(
            raise_request_exception=False,
            headers={"Authorization": f"Bearer {secret}", "If-Match": "*"},
        )
        mine: Counter[int] = Counter()
        today = timezone.now().date()
        while time.monotonic() < end:
            path = f"/api/v1/subscriptions/{chance.choice(subscriptions).subscription_id}/partner-of-record/"
            match chance.randrange(6):
                case 0 | 1:
                    answer = client.put(path, {"mpn_id": chance.choice(mpn_ids)}, content_type="application/json")
                case 2:
                    began_on = (today - timedelta(days=chance.randrange(90))).isoformat()
                    body = {"mpn_id": chance.choice(mpn_ids), "began_on": began_on}
                    answer = client.put(path, body, content_type="application/json")
                case 3 | 4:
                    answer = client.delete(path, {"reason": "race"}, content_type="application/json")
                case _:
                    answer = client.post(path + "undo/", content_type="application/json")
            mine[answer.status_code] += 1
        connection.close()
        return mine

    def watcher() -> None:
        nonlocal worst
        while time.monotonic() < end:
            worst = max(worst, most_at_once())
            time.sleep(0.02)
        connection.close()

    watching = threading.Thread(target=watcher)
    watching.start()
    with ThreadPoolExecutor(THREADS) as pool:
        for counted in pool.map(caller, range(THREADS)):
            statuses += counted
    watching.join()
    return statuses, max(worst, most_at_once())


@pytest.fixture
def rivals() -> list[str]:
    return [make_partner(f"Partner {number}").mpn_id for number in range(6)]


@pytest.fixture
def secret() -> str:
    admin = make_member(make_customer().organisation)
    _token, secret = create_token(admin.user, admin.organisation, name="race", read_only=False)
    return secret


def subscriptions_of(secret: str, count: int) -> list[Subscription]:
    return [make_subscription(actor_of_token(secret).organisation.customer) for _ in range(count)]


def forget_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QuerySet, "select_for_update", lambda self, **options: self.all())
    monkeypatch.setattr(statements, "compiled", {})  # those with the lock in them


@contextmanager
def without_lock_and_constraints(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    constraints = [one for one in Association._meta.constraints if one.name in CONSTRAINTS]
    with as_owner(), connection.schema_editor() as editor:
        for constraint in constraints:
            editor.remove_constraint(Association, constraint)
    forget_the_lock(monkeypatch)
    try:
        yield
    finally:
        monkeypatch.undo()
        with as_owner():
            Association.objects.all().delete()
            with connection.schema_editor() as editor:
                for constraint in constraints:
                    editor.add_constraint(Association, constraint)


@pytest.mark.parametrize("count", [1, 1000], ids=["one hot subscription", "a thousand"])
def test_the_record_stays_exact_under_sixteen_callers(secret, rivals, count):
    subscriptions = subscriptions_of(secret, count)

    statuses, worst = race(subscriptions, rivals, secret, SECONDS)

    assert worst <= 1
    assert overlaps() == 0
    assert set(statuses) <= {200, 201, 204, 409, 422, 429}, statuses
    assert statuses[201] > 0
    assert statuses[204] > 0
    changes = sum(subscription.version - 1 for subscription in Subscription.objects.all())
    assert Event.objects.count() == Outbox.objects.count() == changes
    assert statuses[201] + statuses[204] <= changes
    assert list(verify()) == []


def test_the_race_sees_what_goes_wrong_without_the_lock_and_the_constraints(secret, rivals, monkeypatch):
    subscriptions = subscriptions_of(secret, 1)

    with without_lock_and_constraints(monkeypatch):
        _statuses, worst = race(subscriptions, rivals, secret, SECONDS)
        found = overlaps()

    assert worst > 1 or found > 0


def test_the_constraints_hold_the_record_even_without_the_lock(secret, rivals, monkeypatch):
    subscriptions = subscriptions_of(secret, 1)
    forget_the_lock(monkeypatch)

    _statuses, worst = race(subscriptions, rivals, secret, SECONDS / 3)

    assert worst <= 1
    assert overlaps() == 0
