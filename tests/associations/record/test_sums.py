"""The kept sums of a partner's usage: whatever happened since they were counted, a reader gets the plain sum."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import timedelta
from functools import partial
from os import environ
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.attaching.actions import undo
from associations.record import sums
from associations.record.models import Association, UsageSums
from associations.record.policies import months_before
from associations.record.sums import keep_sums, most_changed, use_of_record
from associations.record.usage import by_change, months_of_changes
from por.accounts.models import Actor
from por.db.prepared import Statement
from por.directory.models import Partner, Subscription, Usage, UsageVersion
from por.errors import Refused
from por.queue.models import PeriodicRun
from tests import estates
from tests.associations.record.plain_sums import plain, subscriptions_of
from tests.factories import make_customer, make_member, make_partner, make_subscription

TODAY = timezone.now().date()
MONTHS = [months_before(TODAY.replace(day=1), back) for back in range(15)]
SECONDS = float(environ.get("RACE_SECONDS", "4"))
WORKLOADS = ("exo", "teams", "intune")
EARLIER, LATER = months_of_changes(TODAY)
#: The months that are asked for: all, those of the dashboard, few.
PERIODS = [None, MONTHS[12], MONTHS[2]]


@pytest.fixture(autouse=True)
def _count_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count whenever it is asked for, keep the sums of small partners too, and only the largest changes."""
    monkeypatch.setattr(sums, "MANY", 0)
    monkeypatch.setattr(sums, "MOST", 3)
    monkeypatch.setattr(sums, "FEW", 4)
    monkeypatch.setattr(sums, "SETTLED", timedelta(0))


@pytest.fixture
def company(partner: Partner) -> list[Partner]:
    """Return two locations of one company. Its actor acts for both."""
    other = make_partner("Nordvik Cloud AB, Bergen")
    head = make_partner("Nordvik Cloud AB, all locations", kind="global")
    for location in (partner, other):
        location.organisation.parent = head.organisation
        location.organisation.save()
    return [head, partner, other]


def attach(subscription: Subscription, partner: Partner) -> None:
    by = Actor(user=None, organisation=subscription.customer.organisation, role="administrator")
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=by)


def keep() -> int:
    PeriodicRun.objects.update(done_at=None)
    return keep_sums()


# --- Whatever happens -----------------------------------------------------------------------------------------------


class Story:
    """Verbs, imports and counting in a random order, on the subscriptions of two customers and of three partners."""

    def __init__(self, seed: int, company: list[Partner], files: Path) -> None:
        self.chance, self.company, self.files = random.Random(seed), company, files
        self.partners = [*company[1:], make_partner("Halden Konsult AB")]
        customers = [make_customer("Almviks kommun"), make_customer("Brandby kommun")]
        self.subscriptions = [make_subscription(customers[one % 2], started_on=MONTHS[14]) for one in range(8)]
        self.done: list[str] = []
        self.last = self.subscriptions[0]

    def go_on(self) -> None:
        verbs = [self.attach, self.attach, self.remove, self.undo, self.undo, self.move]
        step = self.chance.choice([*verbs, self.load, self.keep])
        try:
            step()
        except Refused:
            return
        self.done.append(step.__name__)

    def _any(self) -> tuple[Subscription, Actor]:
        one = self.chance.choice(self.subscriptions)
        return one, Actor(user=None, organisation=one.customer.organisation, role="administrator")

    def attach(self) -> None:
        self.last, _by = self._any()
        attach(self.last, self.chance.choice(self.partners))

    def remove(self) -> None:
        self.last, by = self._any()
        attaching.remove(self.last.subscription_id, by=by)

    def undo(self) -> None:
        by = Actor(user=None, organisation=self.last.customer.organisation, role="administrator")
        undo.undo(self.last.subscription_id, by=by)

    def move(self) -> None:
        """Give an association to another partner, as when subscriptions move between locations."""
        found = list(Association.objects.filter(kind="dpor", undone_at=None).select_related("subscription"))
        if found:
            one = self.chance.choice(found)
            one.partner = self.chance.choice(self.partners)
            one.save()

    def load(self) -> None:
        chosen = {
            (
                self.chance.choice([EARLIER, LATER, *MONTHS]),
                self.chance.choice(self.subscriptions),
                self.chance.choice(WORKLOADS),
            )
            for _row in range(self.chance.randrange(1, 40))
        }
        rows = [
            estates.usage(
                f"{month:%Y-%m}",
                subscription_id=str(one.subscription_id),
                workload=workload,
                paid_units=self.chance.choice(["", "50", "70"]),
                active_users=str(self.chance.randrange(50)),
                consumed_usd=self.chance.choice(["", "", "10.50", "0"]),
            )
            for month, one, workload in sorted(chosen, key=str)
        ]
        assert not estates.load_one(self.files, "usage", *rows).errors

    def keep(self) -> None:
        """Count the sums of partners with many changes, and leave those of others as they are."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sums, "MANY", self.chance.choice([0, 0, 1]))
            keep()

    def run(self, steps: int) -> None:
        """Go on, and after each step compare what the company and each of the partners reads with the plain sum."""
        readers = [self.company, *([one] for one in self.partners)]
        actors = [make_member(one[0].organisation) for one in readers]
        for _step in range(steps):
            self.go_on()
            for actor, partners in zip(actors, readers, strict=True):
                since = self.chance.choice(PERIODS)
                assert use_of_record(actor, since) == plain(partners, since), self.done
                self.compare_changes(actor, partners)

    def compare_changes(self, actor: Actor, partners: list[Partner]) -> None:
        """Look for the two largest changes among those that are kept, and among all."""
        keys = most_changed(actor, LATER, 2)
        usage = Usage.objects.current().filter(subscription__in=subscriptions_of(partners))
        every = list(by_change(usage, EARLIER, LATER)[:2])
        if keys is not None:
            assert list(by_change(usage.filter(subscription__in=keys), EARLIER, LATER)[:2]) == every, self.done


@pytest.mark.parametrize("seed", range(3))
def test_reader_gets_the_plain_sum_whatever_happened_since_it_was_kept(company, seed, tmp_path):
    story = Story(seed, company, tmp_path)

    story.run(50)

    assert {"attach", "remove", "undo", "load", "keep"} <= set(story.done)
    assert UsageSums.objects.exists()


VERSION = "AND version = (SELECT coalesce(max(number), 0) FROM directory_usageversion)"
FAULTS = {
    "sums hold after an import of usage": (VERSION, ""),
    "who has come is not added": ("WHERE held.id IS NULL OR counted.id IS NULL", "WHERE held.id IS NULL"),
    "who has gone is not taken off": (
        "WHERE held.id IS NULL OR counted.id IS NULL",
        "WHERE counted.id IS NULL",
    ),
}


def put_in(monkeypatch: pytest.MonkeyPatch, right: str, wrong: str) -> None:
    """Put a fault into the query of the reader."""
    sql = sums._READ.sql
    assert right in sql
    monkeypatch.setattr(sums, "_READ", Statement(sql.replace(right, wrong), sums._READ.parameters))


@pytest.mark.parametrize("fault", FAULTS)
def test_story_finds_a_fault_of_the_reader(company, fault, tmp_path, monkeypatch):
    put_in(monkeypatch, *FAULTS[fault])

    with pytest.raises(AssertionError):
        Story(1, company, tmp_path).run(300)


def test_subscription_that_moves_between_locations_counts_once(company, monkeypatch):
    _head, here, there = company
    manager = make_member(company[0].organisation)
    subscriptions = [make_subscription(make_customer()) for _one in range(4)]
    for number, one in enumerate(subscriptions):
        Usage.objects.create(subscription=one, month=LATER, workload="exo", active_users=10**number)
        attach(one, here if number < 2 else there)
    assert keep() == 2
    monkeypatch.setattr(sums, "MANY", 1)
    Association.objects.filter(subscription=subscriptions[0]).update(partner=there)
    attach(make_subscription(make_customer()), there)
    assert keep() == 1  # only where it is now, so both have counted it

    assert use_of_record(manager).newest.active_users == 1111
    put_in(monkeypatch, "USING (partner_id, id)", "USING (id)")
    assert use_of_record(manager).newest.active_users == 1112


# --- At the same time -----------------------------------------------------------------------------------------------


class Race:
    """Two people attach and remove, an import changes usage, a worker counts; a reader compares at each moment.

    It goes on until the reader has compared some moments, or has seen an unlike one.
    """

    def __init__(self, company: list[Partner], files: Path, seconds: float = SECONDS) -> None:
        self.company, self.actor = company, make_member(company[0].organisation)
        self.stories = [Story(seed, company, files) for seed in range(2)]
        self.end = time.monotonic() + seconds
        self.compared = self.unlike = 0

    def run(self) -> None:
        works = [*(partial(self.attach, story) for story in self.stories), self.load, self.keep, self.read]
        with ThreadPoolExecutor(len(works)) as threads:
            for one in [threads.submit(self.in_session, work) for work in works]:
                one.result()

    def in_session(self, work: Callable[[], None]) -> None:
        with closing(connection):
            while (time.monotonic() < self.end or self.compared <= 5) and not self.unlike:
                work()

    def attach(self, story: Story) -> None:
        with suppress(Refused):
            story.chance.choice([story.attach, story.attach, story.remove, story.undo])()

    def load(self) -> None:
        chance = random.Random()
        one = chance.choice(self.stories[0].subscriptions + self.stories[1].subscriptions)
        key = {"subscription": one, "month": chance.choice(MONTHS), "workload": chance.choice(WORKLOADS)}
        with transaction.atomic():  # as an import does: it closes the newest revision, and inserts the next one
            revision = Usage.objects.filter(**key).count()
            Usage.objects.filter(**key, superseded_at=None).update(superseded_at=timezone.now())
            Usage.objects.create(**key, revision=revision + 1, active_users=chance.randrange(100))

    def keep(self) -> None:
        keep()

    def read(self) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")  # both see the same moment
            self.unlike += use_of_record(self.actor) != plain(self.company, None)
        self.compared += 1


@pytest.mark.django_db(transaction=True)
def test_reader_gets_the_plain_sum_of_one_moment_while_others_write(company, tmp_path):
    race = Race(company, tmp_path)

    race.run()

    assert race.unlike == 0
    assert race.compared > 5
    assert UsageSums.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_race_finds_sums_that_hold_after_an_import(company, tmp_path, monkeypatch):
    put_in(monkeypatch, VERSION, "")
    race = Race(company, tmp_path, seconds=60)

    race.run()

    assert race.unlike


# --- When sums are counted ------------------------------------------------------------------------------------------


def test_sums_are_counted_where_many_have_come_or_gone(partner, amira, monkeypatch):
    monkeypatch.setattr(sums, "MANY", 2)
    subscriptions = [make_subscription(make_customer()) for _one in range(3)]
    for one in subscriptions:
        Usage.objects.create(subscription=one, month=MONTHS[1], workload="exo", active_users=10)
    for one in subscriptions[:2]:
        attach(one, partner)
    assert keep() == 0  # two are few

    attach(subscriptions[2], partner)
    assert keep() == 1
    assert keep() == 0  # nothing is old
    assert UsageSums.objects.get().subscriptions == [one.pk for one in subscriptions]

    Usage.objects.create(subscription=subscriptions[0], month=MONTHS[0], workload="exo", active_users=11)
    assert keep() == 1
    assert use_of_record(amira) == plain([partner], None)


def test_sums_are_counted_once_after_an_import_and_then_from_time_to_time(partner, monkeypatch):
    Usage.objects.create(subscription=(one := make_subscription(make_customer())), month=MONTHS[1], workload="exo")
    attach(one, partner)
    monkeypatch.setattr(sums, "SETTLED", timedelta(seconds=30))
    assert keep_sums() == 0  # the import may go on

    UsageVersion.objects.update(raised_at=timezone.now() - timedelta(seconds=31))
    assert keep_sums() == 1

    attach(make_subscription(make_customer()), partner)
    assert keep_sums() == 0
    PeriodicRun.objects.update(done_at=timezone.now() - sums.EVERY)
    UsageVersion.objects.update(raised_at=timezone.now() - timedelta(hours=1))
    assert keep_sums() == 1


def test_largest_changes_are_those_of_kept_subscriptions_that_are_still_of_record(partner, amira):
    subscriptions = [make_subscription(make_customer()) for _one in range(6)]
    for number, one in enumerate(subscriptions[:5]):
        attach(one, partner)
        Usage.objects.create(subscription=one, month=EARLIER, workload="exo", active_users=100)
        Usage.objects.create(subscription=one, month=LATER, workload="exo", active_users=100 + number)
    keys = [one.pk for one in subscriptions]
    assert most_changed(amira, LATER, 2) is None  # five have come, and FEW is four

    assert keep() == 1
    assert set(most_changed(amira, LATER, 2) or ()) == {keys[4], keys[3], keys[2]}
    assert most_changed(amira, EARLIER, 2) is None

    subscriptions[4].associations.update(undone_at=timezone.now())
    attach(subscriptions[5], partner)
    assert set(most_changed(amira, LATER, 2) or ()) == {keys[3], keys[2], keys[5]}
    subscriptions[3].associations.update(undone_at=timezone.now())
    assert most_changed(amira, LATER, 2) is None  # the second may be one that is not kept

    UsageSums.objects.update(changed_in=EARLIER)
    assert keep() == 1
    assert set(most_changed(amira, LATER, 2) or ()) == {keys[2], keys[1]}  # the others have not changed

    Usage.objects.filter(subscription=keys[1], month=LATER).update(active_users=900)
    assert set(most_changed(amira, LATER, 2) or ()) == {keys[0], keys[1], keys[2], keys[5]}  # what was kept is old


def test_every_change_of_usage_raises_its_version():
    def version() -> int | None:
        return UsageVersion.objects.values_list("number", flat=True).first()

    one = Usage.objects.create(subscription=make_subscription(make_customer()), month=MONTHS[1], workload="exo")
    assert version() == 1
    Usage.objects.filter(month=one.month).update(superseded_at=timezone.now())
    assert version() == 2
    Usage.objects.all().delete()
    assert version() == 3
