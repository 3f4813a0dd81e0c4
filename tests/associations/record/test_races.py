"""Sixteen callers change one subscription through the whole stack of a request: the record stays exact.

Meanwhile, imports end associations from outside, and the relay sends notifications. Each race runs for six seconds
here; `make chaos` runs longer ones (`RACE_SECONDS`).
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from os import environ
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from associations.change_requests.models import ChangeRequest
from associations.record.models import Association
from por.accounts.actions import create_token
from por.db.grants import as_owner
from por.directory.models import Partner, Subscription
from por.history.actions import relaying, verifying
from por.history.models import Event, Outbox
from por.notifications.models import Delivery
from tests import estates
from tests.factories import make_customer, make_member, make_partner, make_subscription
from tests.record import most_partners, overlaps
from tests.rivals import unlocked

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = float(environ.get("RACE_SECONDS", "6"))
#: Of a control, which ends as soon as it has shown what it is for.
LONGEST = 60.0
THREADS = 16

CONSTRAINTS = ("one_partner_of_record_per_subscription", "no_two_periods_of_record_overlap")


@dataclass
class Race:
    """Callers, imports and the relay on these subscriptions; the answers, and the most partners of record seen."""

    subscriptions: list[Subscription]
    partners: list[Partner]
    secret: str
    files: Path
    locked: bool = True
    answers: Counter[int] = field(default_factory=Counter)
    worst: int = 0
    loads: int = 0
    errors: int = 0
    until: Callable[[], bool] = bool

    def run(self, seconds: float) -> None:
        """Run all of them for this long, or until what a control looks for was seen; then let the relay finish."""
        self.end = time.monotonic() + seconds
        others = [self.watch, self.relay, self.load] if self.locked else [self.watch]
        with ThreadPoolExecutor(THREADS + len(others)) as threads:
            callers = [threads.submit(self.in_session, self.call, seed) for seed in range(THREADS)]
            rest = [threads.submit(self.in_session, other) for other in others]
            for one in callers:
                self.answers += one.result()
            for one in rest:
                one.result()
        self.worst = max(self.worst, most_partners())
        while self.locked and relaying.relay():
            pass

    @property
    def goes_on(self) -> bool:
        return time.monotonic() < self.end and not self.until()

    def in_session(self, work: Callable[..., Any], *given: int) -> Any:
        """Run in a database session of its own, without row locks if the race has none."""
        with ExitStack() as stack:
            stack.callback(connection.close)
            if not self.locked:
                stack.enter_context(connection.execute_wrapper(unlocked))
            return work(*given)

    def call(self, seed: int) -> Counter[int]:
        """Attach, remove, date back and undo at random, a few times on each subscription."""
        chance = random.Random(seed)
        headers = {"Authorization": f"Bearer {self.secret}", "If-Match": "*"}
        client = Client(raise_request_exception=False, headers=headers)
        mine: Counter[int] = Counter()
        today = timezone.now().date()
        here = chance.choice(self.subscriptions)
        while self.goes_on:
            if chance.random() < 0.2:
                here = chance.choice(self.subscriptions)
            path = f"/api/v1/subscriptions/{here.subscription_id}/partner-of-record/"
            mpn_id = chance.choice(self.partners).mpn_id
            match chance.randrange(6):
                case 0 | 1:
                    answer = client.put(path, {"mpn_id": mpn_id}, content_type="application/json")
                    if answer.status_code == 202:
                        mine[202] += 1
                        answer = self.reply(client, answer.json()["change_request"]["id"], chance)
                case 2:
                    began_on = (today - timedelta(days=chance.randrange(90))).isoformat()
                    body = {"mpn_id": mpn_id, "began_on": began_on}
                    answer = client.put(path, body, content_type="application/json")
                case 3 | 4:
                    answer = client.delete(path, {"reason": "race"}, content_type="application/json")
                case _:
                    answer = client.post(path + "undo/", content_type="application/json")
            mine[answer.status_code] += 1
            self.errors += answer.status_code in {500, 503}
        return mine

    def reply(self, client: Client, request_id: int, chance: random.Random) -> Any:
        """Answer the change request: with a partner, which may not be a party, or neither."""
        mpn_id = chance.choice([*self.partners, None])
        body = {"mpn_id": mpn_id and mpn_id.mpn_id}
        return client.post(f"/api/v1/change-requests/{request_id}/answer/", body, content_type="application/json")

    def load(self) -> None:
        """Let subscriptions expire and come back, and partners be suspended, closed and reopened; never all of them."""
        chance = random.Random("files")
        while self.goes_on:
            some = chance.sample(self.subscriptions, min(len(self.subscriptions), 5))
            lines = [
                estates.subscription(
                    str(one.subscription_id),
                    tenant_id=str(one.customer.tenant_id),
                    status=chance.choice(["active", "active", "active", "grace", "expired"]),
                )
                for one in some
            ]
            partner = chance.choice(self.partners[1:])
            status = chance.choice(["active", "active", "suspended", "closed"])
            row = estates.partner(partner.mpn_id, name=partner.organisation.name, status=status)
            day = date(2024, 8, 1) + timedelta(self.loads)  # each sale is on another day
            sold = [
                estates.association(
                    subscription_id=str(one.subscription_id),
                    mpn_id=partner.mpn_id,
                    kind="transacting",
                    began_on=day.isoformat(),
                    ended_on=(day + timedelta(1)).isoformat(),
                )
                for one in some
            ]
            files = {"subscriptions": lines, "partners": [row], "associations": sold}
            loaded = estates.load(estates.write(self.files, **files))
            assert not loaded.failure, loaded.failure
            self.loads += 1

    def relay(self) -> None:
        while self.goes_on:
            relaying.relay()
            time.sleep(0.05)

    def watch(self) -> None:
        while self.goes_on:
            self.worst = max(self.worst, most_partners())
            time.sleep(0.05)


@pytest.fixture
def race(tmp_path: Path) -> Callable[..., Race]:
    """Return a function that makes a race on subscriptions of one customer, between six partners with a member each."""

    def make(count: int, *, locked: bool = True) -> Race:
        customer = make_customer()
        admin = make_member(customer.organisation)
        partners = [make_partner(f"Partner {number}") for number in range(6)]
        for partner in partners:
            make_member(partner.organisation)
        Client().get("/livez")  # what a process makes on its first request is made by one thread
        _token, secret = create_token(admin.user, admin.organisation, name="race", read_only=False)
        return Race([make_subscription(customer) for _ in range(count)], partners, secret, tmp_path, locked)

    return make


def deadlocks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


@contextmanager
def without_constraints() -> Iterator[None]:
    constraints = [one for one in Association._meta.constraints if one.name in CONSTRAINTS]
    with as_owner(), connection.schema_editor() as editor:
        for constraint in constraints:
            editor.remove_constraint(Association, constraint)
    try:
        yield
    finally:
        with as_owner():
            ChangeRequest.objects.all().delete()
            Association.objects.all().delete()
            with connection.schema_editor() as editor:
                for constraint in constraints:
                    editor.add_constraint(Association, constraint)


@pytest.mark.parametrize("count", [1, 1000], ids=["one hot subscription", "a thousand"])
def test_record_stays_exact_under_sixteen_callers(race, count):
    race, before = race(count), deadlocks()

    race.run(SECONDS)

    assert race.worst <= 1
    assert overlaps() == 0
    # An error of the database (a range that ends before it begins, a deadlock) would be a 500 or a 503.
    assert set(race.answers) <= {200, 201, 202, 204, 409, 422, 429}, race.answers
    assert min(race.answers[201], race.answers[204], race.loads) > 0
    assert deadlocks() == before
    assert list(verifying.verify()) == []
    _each_change_has_one_event_one_outbox_row_and_one_message_for_each(race)


def _each_change_has_one_event_one_outbox_row_and_one_message_for_each(race: Race) -> None:
    of_record = Event.objects.filter(verb__startswith="partner_of_record.")
    loaded = Event.objects.filter(verb="estate.loaded", object_id="subscriptions.csv")
    from_files = sum(event.changes["changed"] for event in loaded)
    versions = sum(version - 1 for version in Subscription.objects.values_list("version", flat=True))
    quiet = ["change_request.stated", "change_request.forwarded", "change_request.reminded"]
    asked = Event.objects.filter(verb__startswith="change_request.").exclude(verb__in=quiet)
    assert versions == of_record.count() + asked.count() + from_files
    assert ChangeRequest.objects.open().count() == len(set(ChangeRequest.objects.open().values_list("subscription")))
    assert race.answers[201] + race.answers[204] <= of_record.count()
    assert Outbox.objects.count() == Outbox.objects.exclude(done_at=None).count() == Event.objects.count()
    awaited = Outbox.objects.filter(event__in=of_record)
    assert set(awaited.values_list("attempts", flat=True)) == {1}
    # The partner's member and the administrator each get one message for each change.
    told = Counter(Delivery.objects.values_list("event", "recipient", "template"))
    assert set(told.values()) == {1}
    changes = set(of_record.values_list("pk", flat=True))
    people = Counter(event for event, _recipient, _template in told if event in changes)
    undone = set(of_record.filter(verb__endswith="_undone").values_list("pk", flat=True))
    assert {pk: people[pk] for pk in changes - undone} == dict.fromkeys(changes - undone, 2)
    # Who has not had the mail of a change gets none of its undo either: the first one is withdrawn.
    withdrawn = Delivery.objects.filter(status=Delivery.Status.WITHDRAWN, event__in=changes).count()
    assert sum(people[pk] for pk in undone) + withdrawn == 2 * len(undone)


def test_race_finds_errors_without_the_lock_and_the_constraints(race):
    race = race(1, locked=False)
    race.until = lambda: race.worst > 1

    with without_constraints():
        race.run(LONGEST)
        found = overlaps()

    assert race.worst > 1 or found > 0


def test_constraints_keep_the_record_exact_without_the_lock_but_callers_get_errors(race):
    race = race(1, locked=False)
    race.until = lambda: race.errors > 20

    race.run(LONGEST)

    assert race.worst <= 1
    assert overlaps() == 0
    assert race.errors > 0, race.answers
