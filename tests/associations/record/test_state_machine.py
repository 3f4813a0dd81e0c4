"""After any verbs in any order, every reader sees the same in the product as in a record of plain Python.

Hypothesis chooses the verbs; with `HYPOTHESIS_PROFILE=chaos` it tries more of them. To show that the machine notices a
difference, faults are put into the product one at a time, and it has to find each of them.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from associations import imports, merging
from associations.attaching.actions import attach as attaching
from associations.attaching.actions import ending, undo
from associations.change_requests import actions as change_requests
from associations.change_requests import queries as request_queries
from associations.change_requests.models import ChangeRequest
from associations.change_requests.queries import requests_for_listing, visible_requests
from associations.record import actions as record
from associations.record import checking, locking, queries, recording, usage
from associations.record.models import Association, AssociationQuerySet
from associations.subscriptions import queries as subscription_queries
from por.accounts.models import SYSTEM, Actor
from por.directory import actions as directory
from por.directory.imports.organisations import PARTNERS
from por.directory.imports.subscriptions import SUBSCRIPTIONS
from por.directory.models import Partner, Subscription, Usage
from por.errors import Refused
from por.history.actions import recording as history
from por.history.actions import verifying
from por.history.models import Event, Outbox
from por.imports.loading import File, Report, import_file
from tests import estates
from tests.api import Api
from tests.associations.record.plain import Period, Record, Refusal, start_of
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.record import overlaps

pytestmark = pytest.mark.usefixtures("any_time")

CHAOS = os.environ.get("HYPOTHESIS_PROFILE") == "chaos"
QUIET = settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
SHORT = settings(QUIET, max_examples=8, stateful_step_count=25)
#: A whole night takes HYPOTHESIS_EXAMPLES=5000.
LONG = settings(QUIET, max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "300")), stateful_step_count=50)
#: After how many steps a reader looks: this takes more queries than everything else.
LOOK_EVERY = 1 if CHAOS else 5
#: The first failure is enough: nothing is shrunk, and every run tries the same.
HUNT = settings(
    QUIET, max_examples=400, stateful_step_count=25, derandomize=True, database=None, phases=[Phase.generate]
)

MORNING = datetime(2026, 3, 10, 9, tzinfo=UTC)
UNITS, PARTNERS_ = ["mail", "cloud"], ["nordvik", "halden", "skog"]
MONTHS = [date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1), date(2026, 4, 1)]

units, partners = st.sampled_from(UNITS), st.sampled_from(PARTNERS_)
#: Days before today: most are near, where periods meet, and some are beyond what is allowed.
days_ago = st.sampled_from([-1, 0, 1, 2, 3, 5, 10, 29, 30, 31, 40, 60, 90, 364, 365, 366, 900])
PAUSES = {
    "the clock put back": timedelta(seconds=-5),
    "nothing": timedelta(),
    "a moment": timedelta(seconds=1),
    "less than undo has": timedelta(minutes=29),
    "all that undo has": timedelta(minutes=30),
    "more than undo has": timedelta(minutes=31),
    "the rest of the day": timedelta(hours=14, minutes=50),
    "two days": timedelta(days=2),
    "a month": timedelta(days=33),
}


class TheRecord(RuleBasedStateMachine):
    """Runs each verb on the product and on the plain record, and compares the outcomes and the two records."""

    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.files = tempfile.TemporaryDirectory()
        self.clock = mock.patch.object(timezone, "now", side_effect=lambda: self.plain.now)
        self.plain = Record(UNITS, PARTNERS_, MORNING, started=date(2025, 1, 1))
        self.clock.start()
        self.steps = 0
        self.begin()

    def teardown(self) -> None:
        """At the end all readers look, and one of them reads the API too; each association is as its events say."""
        try:
            assert list(checking.examine()) == []
            for name in self.readers:
                self.look(name)
            self.look_through_the_api(list(self.readers)[self.steps % len(self.readers)])
        finally:
            self.clock.stop()
            self.files.cleanup()
            transaction.set_rollback(True)
            self.transaction.__exit__(None, None, None)

    def begin(self) -> None:
        customer = make_customer()
        self.customer = customer
        self.admin = make_member(customer.organisation)
        self.partners = {name: make_partner(name.title()) for name in PARTNERS_}
        self.units = {
            name: make_subscription(customer, subscription_id=uuid.uuid4(), started_on=date(2025, 1, 1))
            for name in UNITS
        }
        self.names = {unit.pk: name for name, unit in self.units.items()}
        self.partner_names = {partner.pk: name for name, partner in self.partners.items()}
        for unit in self.units.values():
            for month in MONTHS:
                Usage.objects.create(subscription=unit, month=month, workload="exo", active_users=7)
        self.readers: dict[str, Actor] = {"customer": self.admin} | {
            name: make_member(partner.organisation) for name, partner in self.partners.items()
        }
        self.strangers = [make_member(make_customer("Other").organisation), make_member(make_partner().organisation)]
        self.readers["staff"] = make_staff("auditor")

    def both(self, product: Callable[[], Any], plain: Callable[[], Any]) -> None:
        """Compare the outcome on both sides: the answers or the refusals are equal."""
        try:
            expected = plain()
        except Refusal as refusal:
            expected = f"refused: {refusal}"
        try:
            answer = product()
        except Refused as refused:
            answer = f"refused: {refused.code}"
        assert answer == expected

    # --- The verbs

    @rule(unit=units, partner=partners)
    def attach(self, unit: str, partner: str) -> None:
        self._attach(unit, partner, None)

    @rule(unit=units, partner=partners, ago=days_ago)
    def attach_dated_back(self, unit: str, partner: str, ago: int) -> None:
        self._attach(unit, partner, self.plain.now.date() - timedelta(days=ago))

    @precondition(lambda self: any(unit.current for unit in self.plain.units.values()))
    @rule(ago=days_ago, then=st.sampled_from(["nothing", "undo"]))
    def correct_the_start(self, ago: int, then: str) -> None:
        unit, plain = next((name, one) for name, one in self.plain.units.items() if one.current)
        assert plain.current
        self._attach(unit, plain.current.partner, self.plain.now.date() - timedelta(days=ago))
        if then == "undo":
            self.undo(unit, "nothing")

    @rule(unit=units, partner=partners, then=st.sampled_from(["nothing", "undo"]))
    def switch(self, unit: str, partner: str, then: str) -> None:
        self._attach(unit, partner, None, switch=True)
        if then == "undo":  # chance alone rarely undoes a switch in time
            self.undo(unit, "nothing")

    def _attach(self, unit: str, partner: str, began_on: date | None, *, switch: bool = False) -> None:
        subscription_id, mpn_id = self.units[unit].subscription_id, self.partners[partner].mpn_id
        self.both(
            lambda: attaching.attach(subscription_id, mpn_id, by=self.admin, began_on=began_on, switch=switch).outcome,
            lambda: self.plain.attach(unit, partner, began_on, switch=switch),
        )

    @rule(unit=units)
    def remove(self, unit: str) -> None:
        subscription_id = self.units[unit].subscription_id
        self.both(
            lambda: attaching.remove(subscription_id, by=self.admin) and None,
            lambda: self.plain.remove(unit),
        )

    @precondition(lambda self: any(unit.request for unit in self.plain.units.values()))
    @rule(after=st.sampled_from(["nothing", "less than undo has"]))
    def remove_and_undo(self, after: str) -> None:
        """Do both in a row: chance alone rarely undoes the removal that has cancelled a change request."""
        unit = next(name for name, one in self.plain.units.items() if one.request)
        self.remove(unit)
        self.undo(unit, after)

    @rule(unit=units, after=st.sampled_from(["nothing", "nothing", "less than undo has", "all that undo has"]))
    def undo(self, unit: str, after: str) -> None:
        self.plain.now += PAUSES[after]

        def product() -> str | None:
            association = undo.undo(self.units[unit].subscription_id, by=self.admin)
            return association and self.partner_names[association.partner_id]

        def plain() -> str | None:
            period = self.plain.undo(unit)
            return period and period.partner

        self.both(product, plain)

    def last_request(self, unit: str) -> int:
        """Return the key of the last change request of a unit; there is one."""
        return ChangeRequest.objects.filter(subscription=self.units[unit]).latest("pk").pk

    @precondition(lambda self: any(unit.requests for unit in self.plain.units.values()))
    @rule(unit=units, choice=st.sampled_from([*PARTNERS_, *PARTNERS_, "neither"]))
    def answer(self, unit: str, choice: str) -> None:
        if not self.plain.units[unit].requests:
            return
        mpn_id = None if choice == "neither" else self.partners[choice].mpn_id
        self.both(
            lambda: change_requests.answer(self.last_request(unit), mpn_id, by=self.admin).status,
            lambda: self.plain.answer(unit, None if choice == "neither" else choice),
        )

    @precondition(lambda self: any(unit.request for unit in self.plain.units.values()))
    @rule(choice=st.sampled_from([*PARTNERS_, "neither"]))
    def answer_and_undo(self, choice: str) -> None:
        """Do both in a row: chance alone rarely undoes an answer in time."""
        unit = next(name for name, one in self.plain.units.items() if one.request)
        self.answer(unit, choice)
        self.undo(unit, "nothing")

    @precondition(lambda self: any(unit.request for unit in self.plain.units.values()))
    @rule(unit=units, partner=partners, text=st.sampled_from(["We do.", "They do not."]))
    def state(self, unit: str, partner: str, text: str) -> None:
        if not self.plain.units[unit].requests:
            return
        self.both(
            lambda: change_requests.submit_statement(self.last_request(unit), text, by=self.readers[partner]) and None,
            lambda: self.plain.state(unit, partner, text),
        )

    @rule()
    def scheduled_work_runs(self) -> None:
        ending.end_due()
        change_requests.expire_and_remind()
        self.plain.run_scheduled()

    @rule(unit=units, status=st.sampled_from(["active", "active", "grace", "suspended", "expired"]))
    def import_status(self, unit: str, status: str) -> None:
        row = estates.subscription(
            str(self.units[unit].subscription_id),
            tenant_id=str(self.customer.tenant_id),
            started_on="2025-01-01",
            status=status,
        )
        self.both(lambda: self.load(SUBSCRIPTIONS, row), lambda: self.plain.import_status(unit, status))

    @rule(partner=partners, status=st.sampled_from(["active", "active", "suspended", "closed"]))
    def import_partner(self, partner: str, status: str) -> None:
        row = estates.partner(
            self.partners[partner].mpn_id, name=partner.title(), status=status, market="", language="en"
        )
        self.both(lambda: self.load(PARTNERS, row), lambda: self.plain.import_partner(partner, status))

    @rule(unit=units, partner=partners, ago=days_ago, lasted=st.sampled_from([None, None, 0, 1, 5, 30]))
    def import_period(self, unit: str, partner: str, ago: int, lasted: int | None) -> None:
        began_on = self.plain.now.date() - timedelta(days=ago)
        ended_on = None if lasted is None else began_on + timedelta(days=lasted)
        row = estates.association(
            self.partners[partner].mpn_id,
            subscription_id=str(self.units[unit].subscription_id),
            began_on=began_on.isoformat(),
            ended_on=ended_on.isoformat() if ended_on else "",
        )
        self.both(
            lambda: self.load(imports.ASSOCIATIONS, row) or "loaded",
            lambda: self.plain.import_period(unit, partner, began_on, ended_on) and "loaded",
        )

    def load(self, file: File[Any], row: estates.Row) -> str | None:
        """Load a file as the command does, without its output; return the refusal of its row, if any."""
        directory = estates.write(Path(self.files.name), **{file.name.removesuffix(".csv"): [row]})
        failed: list[str] = []
        import_file(
            directory / file.name,
            file,
            Report(on_error=lambda error: failed.append(error.code), on_bytes=ignore_progress),
        )
        ending.reopen_taken_back()
        ending.end_overtaken()
        return f"refused: {failed[0]}" if failed else None

    @rule(pause=st.sampled_from(sorted(PAUSES)))
    def time_passes(self, pause: str) -> None:
        self.plain.now += PAUSES[pause]

    # --- What holds after each of them

    @invariant()
    def record_is_the_plain_one(self) -> None:
        found: dict[str, list[Period]] = {name: [] for name in UNITS}
        for one in Association.objects.order_by("pk"):
            found[self.names[one.subscription_id]].append(
                Period(
                    self.partner_names[one.partner_id], one.began_at, one.attached_at, one.source,
                    one.ended_at, one.end_reason, one.undone_at, one.reopened_at, one.ends_on, one.end_inferred,
                    one.redated_at, one.began_at_before,
                )
            )  # fmt: skip
        assert found == {name: unit.periods for name, unit in self.plain.units.items()}
        versions = dict(Subscription.objects.values_list("pk", "version"))
        assert {self.names[pk]: version for pk, version in versions.items() if pk in self.names} == {
            name: unit.version for name, unit in self.plain.units.items()
        }

    @invariant()
    def change_requests_are_the_plain_ones(self) -> None:
        found: dict[str, list[Any]] = {name: [] for name in UNITS}
        for one in ChangeRequest.objects.for_listing().order_by("pk"):
            chosen = self.partner_names[one.chosen_id] if one.chosen_id else None
            found[self.names[one.subscription_id]].append(
                (one.status, one.opened_at, one.due_at, one.closed_at, one.reopened_at, one.reminders, chosen)
                + (self.partner_names[one.incumbent.partner_id],)
                + tuple(self.partner_names[challenger.partner_id] for challenger in one.challengers.all())
            )
        assert found == {
            name: [
                (one.status, one.opened, one.due, one.closed, one.reopened, one.reminders, one.chosen)
                + (one.incumbent.partner, *one.challengers)
                for one in unit.requests
            ]
            for name, unit in self.plain.units.items()
        }

    @invariant()
    def no_two_periods_of_record_overlap(self) -> None:
        assert overlaps() == 0

    @invariant()
    def history_is_whole_and_has_one_event_and_one_outbox_row_for_each_change(self) -> None:
        assert list(verifying.verify()) == []
        expected = sum(len(unit.events) for unit in self.plain.units.values())
        assert Event.objects.count() == Outbox.objects.count()
        assert Event.objects.exclude(verb="association.described").count() == expected + self.plain.imports

    @invariant()
    def each_reader_sees_what_it_may_see(self) -> None:
        """The readers take turns."""
        self.steps += 1
        if self.steps % LOOK_EVERY == 0:
            looks = self.steps // LOOK_EVERY
            self.look(list(self.readers)[looks % len(self.readers)])

    def look(self, name: str) -> None:
        actor, reader = self.readers[name], name if name in self.partners else None
        seen = {}
        subscriptions = list(queries.subscriptions_for_listing(actor).filter(pk__in=self.names))
        for row in queries.rows(actor, subscriptions):
            unit = self.names[row.subscription.pk]
            holder = "hidden" if row.hidden else self.partner_names[row.record.partner_id] if row.record else "none"
            periods = subscription_queries.periods(actor, row.subscription)
            events = queries.subscription_events(actor, row.subscription).order_by("id").values_list("verb", flat=True)
            seen[unit] = (
                holder,
                sorted(self.partner_names[period.association.partner_id] for period in periods),
                [verb.removeprefix("partner_of_record.") for verb in events],
            )
            months = usage.usage_by_month(actor, [row.subscription.pk]).get(row.subscription.pk, [])
            assert [one.month for one in months] == self.plain.months_seen_by(reader, unit, MONTHS)
        assert seen == self.plain.seen_by(reader)
        self.look_at_requests(actor, reader)

    def look_at_requests(self, actor: Actor, reader: str | None) -> None:
        """A party reads the other parties' names, and no statement but its own."""
        read: dict[tuple[str, datetime], dict[str, str]] = {}
        for visible in visible_requests(actor, requests_for_listing(actor)):
            unit = self.names[visible.request.subscription_id]
            read[unit, visible.request.opened_at] = {
                self.partner_names[side.partner.pk]: side.statement.text if side.statement else ""
                for side in visible.sides
            }
        assert read == {
            (name, one.opened): {
                party: one.statements.get(party, "") if reader in {None, party} else "" for party in one.parties
            }
            for name, unit in self.plain.units.items()
            for one in unit.requests
            if reader is None or reader in one.parties
        }

    def look_through_the_api(self, name: str) -> None:
        reader, seen = name if name in self.partners else None, {}
        api = Api(self.readers[name])
        for unit, subscription in self.units.items():
            answer = api.get(f"subscriptions/{subscription.subscription_id}/")
            if answer.status_code == 404:
                continue
            of_record = answer.json()["partner_of_record"] or {"name": "none"}
            periods = api.get("associations/", {"subscription": str(subscription.subscription_id)}).json()["results"]
            events = api.get(f"subscriptions/{subscription.subscription_id}/history/").json()["results"]
            seen[unit] = (
                "hidden" if "hidden" in of_record else of_record["name"].lower(),
                sorted(one["partner"]["name"].lower() for one in periods),
                [one["verb"].removeprefix("partner_of_record.") for one in reversed(events)],
            )
            version = self.plain.units[unit].version
            own = [period for period in self.plain.units[unit].periods if period.counts and period.partner == reader]
            if reader is not None and not any(period.is_open for period in own):
                # A former partner sees the subscription as it was at its last end; 0 where that is unknown.
                ended = subscription.associations.not_undone().filter(partner=self.partners[reader])
                version = ended.order_by("ended_at").values_list("version_at_end", flat=True).last() or 0
            assert answer["ETag"] == f'"{version}"'
        assert seen == self.plain.seen_by(reader)


def ignore_progress(count: int) -> None:
    """Ignore the progress of an import."""


def test_record_always_equals_the_plain_record(committed):
    run_state_machine_as_test(TheRecord, settings=LONG if CHAOS else SHORT)


# --- Faults, put into the product one at a time ---------------------------------------------------------------------

real_attach, real_undo, real_record_event = attaching.attach, undo.undo, recording.record_event
real_back_dated, real_last_change, real_write = (
    attaching._back_dated,
    undo.last_change,
    history.record,
)
real_visible_request, real_remind = request_queries._visible_request, change_requests.remind
real_usage = usage.usage_visible_to


def forgetful_undo(*args: Any, **kwargs: Any) -> Association | None:
    """An undone removal begins a new period instead of going on."""
    association = real_undo(*args, **kwargs)
    if association is not None:
        association.began_at = association.attached_at = association.reopened_at
        association.reopened_at = None
        association.save()
    return association


def strict_at_the_bound(began_on: date, subscription: Any, today: date) -> datetime:
    """A period that ends when the next begins is taken for an overlap."""
    if any(
        one.undone_at is None and one.ended_at == start_of(began_on) for one in locking.all_associations(subscription)
    ):
        raise Refused("overlaps_another_period", "", field="began_on")
    return real_back_dated(began_on, subscription, today)


def one_day_further(began_on: date, subscription: Any, now: datetime) -> datetime:
    """The limit of twelve months is a day too far back."""
    try:
        return real_back_dated(began_on, subscription, now)
    except Refused as refused:
        if refused.code != "began_on_too_early":
            raise
        return real_back_dated(began_on + timedelta(days=1), subscription, now) - timedelta(days=1)


def last_change_of_all(record: list[Association], requests: Any) -> Any:
    """An undo can be undone by the next one."""
    return real_last_change([_never_undone(one) for one in record], requests)


def open_requests_do_not_matter(record: list[Association], requests: Any) -> Any:
    """A change can be undone while a change request is open."""
    return real_last_change(record, [one for one in requests if one.status != "open"])


def answers_are_no_change(record: list[Association], requests: Any) -> Any:
    """Undo ignores an answer."""
    return real_last_change(record, [one for one in requests if one.status == "open"])


def read_by_all(actor: Actor, request: ChangeRequest) -> Any:
    """All parties can read a statement."""
    return real_visible_request(Actor(user=None, organisation=None), request)


def remind_anew(request_id: int) -> bool:
    """A reminder that was sent is forgotten."""
    done = real_remind(request_id)
    ChangeRequest.objects.filter(pk=request_id).update(reminders=0)
    return done


def _never_undone(one: Association) -> Association:
    if one.reopened_at is not None:
        one.reopened_at = None
    return one


def ends_what_was_undone() -> int:
    found = Association.objects.filter(ended_at=None, undone_at__isnull=False, kind="dpor")
    for one in found.filter(subscription__status="expired").select_related("subscription", "customer"):
        one.ended_at = timezone.now()
        one.save()
        real_record_event("partner_of_record.ended", one.subscription, by=SYSTEM, at=one.ended_at, association=one)
    return real_end_overtaken()


real_end_overtaken = ending.end_overtaken


def attachable_whatever_its_state(mpn_id: str, *, by: Actor) -> Partner:
    return Partner.objects.select_related("organisation").get(mpn_id=mpn_id)


def always_active(partner_id: int) -> Partner:
    partner = Partner.objects.get(pk=partner_id)
    partner.status = "active"
    return partner


def all_months(actor: Actor) -> Any:
    """A former partner of record sees all usage."""
    return real_usage(actor) | Usage.objects.filter(
        subscription__associations__partner__organisation=actor.organisation_id
    )


def never_forward(*args: Any, began_on: date | None = None, **kwargs: Any) -> Any:
    """A later start changes nothing."""
    attached = real_attach(*args, **kwargs)
    if attached.outcome != "unchanged" or began_on is None or start_of(began_on) > attached.association.began_at:
        return attached
    return real_attach(*args, began_on=began_on, **kwargs)


class Fault:
    """A name in the product, where it is looked up, and the faulty value to put there."""

    def __init__(self, place: Any, name: str, value: Any) -> None:
        self.place, self.name, self.value = place, name, value

    @contextmanager
    def put_in(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.place, self.name, self.value)
            yield


FAULTS = {
    "the next instant is the time of the server": Fault(locking, "next_instant", lambda *_any, **_more: timezone.now()),
    "undo has no end": Fault(request_queries.LastChange, "undo_until", datetime.max.replace(tzinfo=UTC)),
    "undo has one minute less": Fault(
        request_queries.LastChange, "undo_until", property(lambda last: last.at + timedelta(minutes=29))
    ),
    "an undone removal begins anew": Fault(undo, "undo", forgetful_undo),
    "an undo is undone": Fault(undo, "last_change", last_change_of_all),
    "dating back ignores other periods": Fault(
        attaching, "_back_dated", lambda began_on, *_args, **_kwargs: start_of(began_on)
    ),
    "dating back takes neighbours for overlaps": Fault(attaching, "_back_dated", strict_at_the_bound),
    "dating back goes a day too far": Fault(attaching, "_back_dated", one_day_further),
    "a later start changes nothing": Fault(attaching, "attach", never_forward),
    "an undone move of a start is kept": Fault(record, "move_start_back", lambda *_any, **_more: None),
    "the partner of record is overlooked": Fault(locking, "current", lambda associations: None),
    "a version is not counted": Fault(recording, "bump", lambda subscription: None),
    "an event is missing": Fault(history, "record", lambda *args, **kwargs: 0),
    "an event is written twice": Fault(
        history, "record", lambda *args, **kwargs: real_write(*args, **kwargs) and real_write(*args, **kwargs)
    ),
    "the partner is no party": Fault(
        history, "record", lambda *args, **kwargs: real_write(*args, **{**kwargs, "parties": []})
    ),
    "a partner that is closed or suspended is attached": Fault(directory, "attachable", attachable_whatever_its_state),
    "a closed partner comes back by undo": Fault(directory, "locked", always_active),
    "an expired subscription takes a partner": Fault(locking, "require_open_to_attach", lambda subscription: None),
    "expiry ends nothing": Fault(ending, "end_overtaken", lambda: 0),
    "expiry ends what was undone": Fault(ending, "end_overtaken", ends_what_was_undone),
    "an import overlaps": Fault(merging, "_blocking", lambda change, periods: iter(())),
    "an end that has no reason any more stays": Fault(ending, "reopen_taken_back", lambda: 0),
    "what was undone still counts": Fault(AssociationQuerySet, "not_undone", lambda self: self.all()),
    "a rival is named": Fault(queries, "is_own", lambda *_any: True),
    "a former partner sees all usage": Fault(usage, "usage_visible_to", all_months),
    "a change request outlives its incumbent": Fault(change_requests, "cancel_open", lambda *_any, **_more: None),
    "a change request without challengers stays open": Fault(change_requests, "_all_closed", lambda request: False),
    "a change request stays closed once its answer is undone": Fault(
        change_requests, "ask_again", lambda *_any, **_more: None
    ),
    "an undone removal leaves its change request cancelled": Fault(
        change_requests, "reopen_cancelled", lambda *_any, **_more: None
    ),
    "an undone switch leaves a question": Fault(
        change_requests, "take_back_switch", lambda request, **at: change_requests.ask_again(request, None, **at)
    ),
    "an answer cannot be undone": Fault(undo, "last_change", answers_are_no_change),
    "undo ignores an open change request": Fault(undo, "last_change", open_requests_do_not_matter),
    "a deadline never comes": Fault(change_requests, "expire", lambda request_id: False),
    "a reminder is sent each time": Fault(change_requests, "remind", lambda request_id: remind_anew(request_id)),
    "a statement is read by the others": Fault(request_queries, "_visible_request", read_by_all),
}
#: These run with the other tests; all of them run with `make chaos`.
FEW = {"a version is not counted"}
#: Only a reader who looks finds these.
SEEN = {
    "a rival is named",
    "a former partner sees all usage",
    "what was undone still counts",
    "the partner is no party",
    "a statement is read by the others",
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FEW else [pytest.mark.chaos]) for name in FAULTS]
)
def test_machine_finds_a_fault_in_the_product(committed, name, monkeypatch):
    if name in SEEN:
        monkeypatch.setattr(f"{__name__}.LOOK_EVERY", 1)

    with FAULTS[name].put_in(), pytest.raises((AssertionError, DatabaseError, Refused)):
        run_state_machine_as_test(TheRecord, settings=HUNT)
