"""An association that was changed, added or deleted without an event is found, whoever did it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from associations import imports as associations_imports
from associations import tasks
from associations.attaching.actions import attach as attaching
from associations.attaching.actions import undo
from associations.change_requests import actions as change_requests
from associations.record import checking, describing, recording
from associations.record.describing import BEFORE_CLAIMS, FINGERPRINT, fingerprint_of
from associations.record.models import KEPT, REDATED, Association, Unexplained
from por.accounts.models import SYSTEM, Actor
from por.db.grants import as_owner
from por.directory.models import Customer, Partner, Subscription
from por.history.actions import recording as history
from por.history.actions import verifying
from por.history.models import ChainHead, Event
from por.imports import loading
from por.ops.figures import figures
from por.queue.models import PeriodicRun
from tests import estates, rivals
from tests.factories import make_customer, make_member, make_partner, make_subscription

CHANGED, DELETED, ADDED = (f"it was {what} without an event" for what in ("changed", "deleted", "added"))


def found() -> list[tuple[int, str]]:
    """Return the associations that differ from their events, and why."""
    return [(int(one.association), one.why) for one in checking.examine()]


def execute(sql: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


def described() -> list[Event]:
    return list(Event.objects.filter(verb="association.described").order_by("pk"))


@pytest.fixture
def held(subscription: Subscription, partner: Partner, admin: Actor) -> Association:
    """Return an association that the customer has made."""
    return attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin, note="They migrate.").association


# --- Attacks by the application's role ------------------------------------------------------------------------------

ATTACKS = {
    "another partner": ("UPDATE associations_association SET partner_id = (SELECT max(organisation_id) FROM"
                        " directory_partner)", CHANGED),
    "an earlier start": ("UPDATE associations_association SET began_at = began_at - interval '1 microsecond'", CHANGED),
    "an end": ("UPDATE associations_association SET ended_at = now(), end_reason = 'removed'", CHANGED),
    "undone": ("UPDATE associations_association SET undone_at = now()", CHANGED),
    "reopened": ("UPDATE associations_association SET reopened_at = now()", CHANGED),
    "recorded earlier": ("UPDATE associations_association SET attached_at = attached_at - interval '1 day'", CHANGED),
    "another kind": ("UPDATE associations_association SET kind = 'csp'", CHANGED),
    "another source": ("UPDATE associations_association SET source = 'estate'", CHANGED),
    "another note": ("UPDATE associations_association SET note = 'They sell.'", CHANGED),
    "a text moved to the next column": ("UPDATE associations_association SET end_note = note, note = ''", CHANGED),
    "deleted": ("DELETE FROM associations_association", DELETED),
}  # fmt: skip


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("sql", "why"), [pytest.param(*given, id=name) for name, given in ATTACKS.items()])
def test_change_by_the_application_without_an_event_is_found(held, sql, why):
    make_partner("Halden Konsult AS")
    assert found() == []
    parameters = connection.get_connection_params()
    parameters.pop("cursor_factory", None)
    with closing(psycopg2.connect(**parameters)) as session, session.cursor() as cursor:
        cursor.execute("SELECT current_user, pg_has_role(relowner, 'USAGE') FROM pg_class WHERE relname = %s",
                       ["history_event"])  # fmt: skip
        assert cursor.fetchone()[1] is False, "it is not the owner's role"
        cursor.execute(sql)
        session.commit()

    assert found() == [(held.pk, why)]
    assert list(verifying.verify()) == [], "the chains alone do not show it"


def test_association_added_without_an_event_is_found(held, customer, partner):
    other = make_subscription(customer)
    added = Association.objects.create(
        kind="dpor", customer=customer, subscription=other, partner=partner, began_at=timezone.now(), source="estate"
    )
    nobody = make_customer()  # no event is about this customer yet
    alone = Association.objects.create(
        kind="pal", customer=nobody, partner=partner, began_at=timezone.now(), source="estate"
    )

    assert found() == [(added.pk, ADDED), (alone.pk, ADDED)]


def test_association_deleted_with_its_customer_is_found(held, subscription, customer):
    execute("DELETE FROM associations_association")
    Subscription.objects.filter(pk=subscription.pk).delete()
    Customer.objects.filter(pk=customer.pk).delete()

    assert found() == [(held.pk, DELETED)]


def test_association_put_back_as_it_was_before_an_event_is_found(held, subscription, admin):
    attaching.remove(subscription.subscription_id, by=admin)
    execute("UPDATE associations_association SET ended_at = NULL, end_reason = '', end_note = ''")

    assert found() == [(held.pk, CHANGED)]


@pytest.mark.parametrize(
    "changes",
    [
        {"fingerprints": "all"},
        {"fingerprints": ["x"]},
        {"fingerprints": {"x": "y"}},
        {"fingerprints": {"99999999999999999999999": None}},
        {"fingerprints": {}, "after": "x"},
        {"fingerprints": {}, "after": 1e300},
    ],
    ids=str,
)
def test_check_survives_payloads_of_an_attacker(held, customer, changes):
    for chain in (
        f"organisation:{customer.pk}",
        "organisation:x",
        "organisation:99999999999999999999",
        "organisation:",
    ):
        execute(
            "INSERT INTO history_event (chain, seq, prev, hash, at, verb, actor_name, actor_organisation_name,"
            " object_kind, object_id, object_name, changes, reason, request_id, parties)"
            " VALUES (%s, 0, '', '', now(), 'thing.forged', '', '', 'thing', '1', '', %s, '', '', '[]')",
            chain,
            json.dumps(changes),
        )
    execute("UPDATE associations_association SET note = 'Mine.'")

    assert (str(held.pk), CHANGED) in [(one.association, one.why) for one in checking.examine()]


def test_event_cannot_describe_what_later_events_change(held, customer, subscription, admin):
    """A forged place in the chain counts as the event's own, so the next verb prevails over it."""
    about = history.ObjectRef("customer", str(customer.tenant_id), "")
    changes = {"fingerprints": describing.fingerprints_of(held), "after": 10**9}
    history.record("association.described", about, by=SYSTEM, at=timezone.now(), chain=customer.pk, changes=changes)
    attaching.remove(subscription.subscription_id, by=admin)
    assert found() == []
    execute("UPDATE associations_association SET ended_at = NULL, end_reason = '', end_note = ''")

    assert found() == [(held.pk, CHANGED)]


def test_event_of_another_chain_describes_nothing(held, subscription):
    other = make_customer()
    execute("UPDATE associations_association SET note = 'Mine.'")
    held.refresh_from_db()
    about = history.ObjectRef("customer", str(other.tenant_id), "")
    changes = {"fingerprints": describing.fingerprints_of(held), "after": 0}
    history.record("association.described", about, by=SYSTEM, at=timezone.now(), chain=other.pk, changes=changes)

    assert sorted(found()) == sorted([(held.pk, CHANGED), (held.pk, DELETED)])


# --- What verbs and files do is described ---------------------------------------------------------------------------


def test_every_verb_describes_what_it_changes(customer, admin, partner):
    subscription, rival = make_subscription(customer), make_partner("Halden Konsult AS")
    key = subscription.subscription_id

    def attach(one: Partner, **fields: Any) -> attaching.Attached:
        return attaching.attach(key, one.mpn_id, by=admin, **fields)

    def answer(one: Partner | None) -> None:
        request = attach(rival).request
        assert request is not None
        change_requests.answer(request.pk, one and one.mpn_id, by=admin, statement="They do the work.")

    steps: list[Callable[[], Any]] = [
        lambda: attach(partner, note="They migrate."),
        lambda: undo.undo(key, by=admin),
        lambda: attach(partner),
        lambda: attach(partner, began_on=timezone.now().date() - timedelta(days=5)),
        lambda: attaching.remove(key, by=admin, reason="They have left."),
        lambda: undo.undo(key, by=admin),
        lambda: answer(partner),
        lambda: undo.undo(key, by=admin),
        lambda: change_requests.answer(attach(rival).request.pk, rival.mpn_id, by=admin),
        lambda: undo.undo(key, by=admin),
        lambda: change_requests.answer(attach(rival).request.pk, None, by=admin),
    ]
    for number, step in enumerate(steps):
        step()
        assert found() == [], f"step {number}"
        execute("UPDATE associations_association SET note = note || '!'")
        every = Association.objects.order_by("pk").values_list("pk", flat=True)
        assert sorted(found()) == [(pk, CHANGED) for pk in every], f"step {number}: the event excuses no other"
        execute("UPDATE associations_association SET note = left(note, -1)")


def test_renewal_and_ends_from_outside_are_described(customer, admin, partner):
    today = timezone.now().date()
    old = make_subscription(customer, agreement="MOSP", started_on=today - timedelta(days=400))
    attaching.attach(old.subscription_id, partner.mpn_id, by=admin)
    make_subscription(customer, agreement="MOSP", started_on=today - timedelta(days=3), replaces=old)
    Subscription.objects.filter(pk=old.pk).update(status="expired")
    associations_imports.settle(estates.unread_report())
    assert Association.objects.count() == 2
    assert found() == []

    Partner.objects.update(status="closed")
    associations_imports.settle(estates.unread_report())
    assert not Association.objects.open().exists()
    assert found() == []


def test_answer_does_not_tell_its_readers_the_fingerprints(held, subscription, admin, customer):
    """They would let a party guess what it may not know of the other partner."""
    rival = make_partner("Halden Konsult AS")
    request = attaching.attach(subscription.subscription_id, rival.mpn_id, by=admin).request
    change_requests.answer(request.pk, rival.mpn_id, by=admin)

    answered = Event.objects.get(verb="change_request.answered")
    (beside,) = described()
    assert (answered.changes["fingerprints"], beside.parties) == ({}, [])
    assert len(beside.changes["fingerprints"]) == 2
    assert beside.changes["after"] == answered.seq


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    estates.load(
        estates.write(
            tmp_path,
            partners=[estates.partner(), estates.partner(estates.RIVAL)],
            customers=[estates.customer(), estates.customer(estates.OTHER_TENANT)],
            subscriptions=[
                estates.subscription(),
                estates.subscription(estates.OTHER_SUBSCRIPTION, tenant_id=estates.OTHER_TENANT),
            ],
        )
    )
    return tmp_path


def test_load_describes_what_it_adds_and_corrects(directory):
    ended = estates.association(ended_on="2025-01-01")
    elsewhere = estates.association(subscription_id=estates.OTHER_SUBSCRIPTION)
    assert not estates.load_one(directory, "associations", ended, elsewhere).failure
    assert [len(event.changes["fingerprints"]) for event in described()] == [1, 1]
    assert found() == []

    corrected = estates.association(ended_on="2025-02-01")
    rival = estates.association(estates.RIVAL, began_on="2025-02-01")
    assert not estates.load_one(directory, "associations", corrected, rival).failure
    assert len(described()) == 2, "what it corrects and adds later has events of its own"
    explained = Event.objects.filter(verb__startswith="partner_of_record.")
    assert [len(event.changes["fingerprints"]) for event in explained] == [1, 1]
    assert found() == []

    assert not estates.load_one(directory, "associations", corrected, elsewhere).failure
    assert (len(described()), explained.count()) == (2, 2), "a load that changes nothing describes nothing"


def test_load_explains_all_that_it_does_to_an_association(directory):
    """It is stored with a day to come, gets another, is moved, ends, ends on another day and goes on."""
    today = timezone.now().date()
    later = [(today + timedelta(days=days)).isoformat() for days in (10, 20)]
    for began_on, ended_on in (
        ("2025-01-01", later[0]), ("2025-01-01", later[1]), ("2025-01-05", later[1]),
        ("2025-01-05", "2025-03-01"), ("2025-01-05", "2025-02-01"), ("2025-01-05", ""),
    ):  # fmt: skip
        row = estates.association(began_on=began_on, ended_on=ended_on)
        assert not estates.load_one(directory, "associations", row).failure
        (one,) = Association.objects.all()
        ends_on = one.ended_at.date() if one.ended_at else one.ends_on
        assert (one.began_at.date().isoformat(), ends_on.isoformat() if ends_on else "") == (began_on, ended_on)
        assert found() == [], (began_on, ended_on)


def test_load_of_a_reason_that_comes_and_goes_is_explained(directory):
    estates.load_one(directory, "associations", estates.association(), estates.association(kind="csp"))
    for status in ("closed", "active"):
        assert not estates.load_one(
            directory, "partners", estates.partner(status=status), estates.partner(estates.RIVAL)
        ).failure
        assert Association.objects.open().exists() == (status == "active")
        assert found() == [], status


def test_load_does_not_hide_what_was_changed_before(directory):
    estates.load_one(directory, "associations", estates.association(ended_on="2025-01-01"))
    (one,) = Association.objects.all()
    execute("UPDATE associations_association SET note = 'Mine.'")

    estates.load_one(directory, "associations", estates.association(estates.RIVAL, began_on="2025-02-01"))

    assert Association.objects.count() == 2
    assert found() == [(one.pk, CHANGED)]


def test_rows_of_a_load_under_way_are_not_reported(directory, monkeypatch):
    with monkeypatch.context() as died:
        died.setattr(loading, "_record", lambda *_given: None)
        estates.load_one(directory, "associations", estates.association())
    assert Association.objects.count() == 1
    assert (found(), described()) == ([], [])

    estates.load_one(directory, "associations", estates.association())  # the next one records them
    assert (found(), len(described())) == ([], 1)


def test_many_associations_are_described_by_several_events(customer, partner, monkeypatch):
    monkeypatch.setattr(describing, "MOST", 2)
    for kind in ("pal", "delegated_admin", "fasttrack", "pal", "pal"):
        Association.objects.create(
            kind=kind, customer=customer, partner=partner, began_at=timezone.now(), source="estate"
        )
    describing.describe_new([customer.pk])

    assert [len(event.changes["fingerprints"]) for event in described()] == [2, 2, 1]
    assert found() == []


def record_the_state_while_it_is_removed(subscription: Subscription, partner: Partner, admin: Actor) -> list[str]:
    """Read the state of an association, let a verb commit, then record the state; return the last events."""
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)

    def remove() -> None:
        attaching.remove(subscription.subscription_id, by=admin)

    with rivals.before_the_event(remove):
        describing.describe(list(Association.objects.values_list("pk", flat=True)))
    return list(Event.objects.order_by("seq").values_list("verb", flat=True))[-2:]


@pytest.mark.django_db(transaction=True)
def test_verb_that_commits_while_a_state_is_being_recorded_prevails(subscription, partner, admin):
    events = record_the_state_while_it_is_removed(subscription, partner, admin)

    assert events == ["partner_of_record.removed", "association.described"]
    assert found() == []


@pytest.mark.django_db(transaction=True)
def test_control_state_without_its_place_would_prevail_over_the_verb(subscription, partner, admin, monkeypatch):
    monkeypatch.setattr(describing, "_STATE", describing._STATE.replace("coalesce(head.seq, 0)", "1000000"))
    record_the_state_while_it_is_removed(subscription, partner, admin)

    assert [why for _pk, why in found()] == [CHANGED]


# --- The fingerprint -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("note", ["", "|", "1:x", "ö “x” 😀", "\n\t", "a" * 500])
def test_fingerprint_of_the_row_and_of_the_object_are_the_same(customer, subscription, partner, note):
    began = datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    now, day = timezone.now(), date(1969, 12, 31)
    at_end = {"seats_at_end": 0, "status_at_end": "active", "renews_on_at_end": day, "version_at_end": 7}
    for more in (
        {},
        {"ended_at": now, "undone_at": now, "reopened_at": now},
        {"ended_at": now, "end_inferred": True, **at_end},
        {"ends_on": day, "renews_on_at_end": timezone.now().date()},
        {"ended_at": now, "seats_at_end": 7},
        {"kind": "cpor", "program": "osu_bizapps", "role": "usage", "claim_number": note[:40]},
        {"kind": "cpor", "program": "a|1:b", "role": "usage", "workload": "exo", "subscription": None},
    ):
        one = Association.objects.create(
            **{
                "kind": "dpor",
                "customer": customer,
                "subscription": subscription,
                "partner": partner,
                "began_at": began,
                "source": "customer",
                "end_reason": "removed",
                "note": note,
                "end_note": note,
                **more,
            },
        )
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {FINGERPRINT} FROM associations_association AS one WHERE id = %s", [one.pk])
            assert cursor.fetchone() == (fingerprint_of(one),)
            cursor.execute(f"SELECT {BEFORE_CLAIMS} FROM associations_association AS one WHERE id = %s", [one.pk])
            assert (cursor.fetchone() == (fingerprint_of(one),)) == (one.program == "")
        one.delete()


def test_migration_that_describes_names_no_column_of_claims():
    """It runs before there is one, on the associations of the release before."""
    claimed = {"program", "role", "workload", "claim_number"}
    assert {column for column in claimed if f"one.{column}" in BEFORE_CLAIMS} == set()
    assert {column for column in claimed if f"one.{column}" in FINGERPRINT} == claimed


def test_fingerprint_covers_every_column_but_those_for_undo(held):
    columns = {field.attname for field in Association._meta.concrete_fields} - set(REDATED)
    numbers = {"id", "customer_id", "subscription_id", "partner_id"}
    instants = {"began_at", "ended_at", "attached_at", "undone_at", "reopened_at"}
    days = {"ends_on", "renews_on_at_end"}
    texts = {"kind", "source", "end_reason", "note", "end_note", "status_at_end"}
    texts |= {"program", "role", "workload", "claim_number"}
    numbers |= {"seats_at_end", "version_at_end", "end_inferred"}
    assert columns == numbers | instants | days | texts
    for column in columns:
        changed = Association.objects.get(pk=held.pk)
        value = timezone.now() if column in instants | days else 7 if column in numbers else "other"
        value = value.date() if column in days else True if column == "end_inferred" else value
        setattr(changed, column, value)
        assert fingerprint_of(changed) != fingerprint_of(held), column


# --- The release before ---------------------------------------------------------------------------------------------


@pytest.fixture
def release_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the verbs record events as the release before this one does, without fingerprints."""
    real = recording.facts_of

    def without_fingerprints(association: Association) -> dict[str, Any]:
        return {key: value for key, value in real(association).items() if key != "fingerprints"}

    def record_answer(verb: str, request: Any, partner: Any, *, by: Actor, at: datetime, reason: str = "") -> None:
        change_requests._record(verb, request, by=by, at=at, reason=reason, **change_requests._named(partner))

    monkeypatch.setattr(recording, "facts_of", without_fingerprints)
    monkeypatch.setattr(change_requests, "_record_answer", record_answer)
    monkeypatch.setattr(describing, "describe", lambda ids, **_: None)


@pytest.mark.parametrize("verb", ["attach", "remove", "answer"])
def test_what_the_release_before_changes_is_not_reported_and_is_described_by_the_next_run(
    subscription, partner, admin, request, monkeypatch, verb
):
    rival, key, real = make_partner("Halden Konsult AS"), subscription.subscription_id, describing.describe
    asked = None
    if verb != "attach":
        attaching.attach(key, partner.mpn_id, by=admin)
        asked = attaching.attach(key, rival.mpn_id, by=admin).request
    request.getfixturevalue("release_before")
    if verb == "attach":
        attaching.attach(key, partner.mpn_id, by=admin)
    elif verb == "remove":
        attaching.remove(key, by=admin)
    else:
        change_requests.answer(asked.pk, rival.mpn_id, by=admin)
    assert found() == []

    monkeypatch.setattr(describing, "describe", real)
    checking.check()
    (event,) = described()
    assert len(event.changes["fingerprints"]) == (2 if verb == "answer" else 1)
    assert not Unexplained.objects.exists()
    execute("UPDATE associations_association SET note = 'Mine.'")
    assert {why for _pk, why in found()} == {CHANGED}


@pytest.mark.django_db(transaction=True)
def test_events_from_before_the_fingerprints_excuse_nothing(subscription, partner, admin, release_before):
    """They are of version 1. The migration has described what they did."""
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(import_module("por.history.migrations.0012_recorded_at").BEFORE)
    try:
        one = attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin).association
    finally:
        with as_owner(), connection.cursor() as cursor:
            cursor.execute(import_module("por.history.migrations.0012_recorded_at").FUNCTION)
    assert found() == [(one.pk, ADDED)]
    with transaction.atomic():
        describing.describe_all()
    assert found() == []


def test_migration_describes_what_is_there(partner):
    for _each in range(3):
        Association.objects.create(
            kind="pal", customer=make_customer(), partner=partner, began_at=timezone.now(), source="estate"
        )
    assert len(found()) == 3
    migration = import_module("associations.migrations.0015_described")
    migration.describe(None, None)
    migration.describe(None, None)  # it was stopped and is run again

    assert (len(described()), found()) == (3, [])
    execute("UPDATE associations_association SET note = 'Mine.'")
    assert len(found()) == 3


def test_migration_describes_what_earlier_fingerprints_left_out(customer, admin, partner):
    """They did not cover what an association keeps of its subscription at its end."""
    subscriptions = [make_subscription(customer) for _each in range(3)]
    for one in subscriptions:
        attaching.attach(one.subscription_id, partner.mpn_id, by=admin)
        attaching.remove(one.subscription_id, by=admin, reason="They left us.")
    ended, changed, as_now = Association.objects.order_by("pk")
    for one in (ended, changed):
        kept = {name: getattr(one, name) for name in KEPT}
        forget_what_is_kept(one)
        describing.describe([one.pk])
        Association.objects.filter(pk=one.pk).update(**kept)
    execute("UPDATE associations_association SET note = 'Mine.' WHERE id = %s", changed.pk)
    assert found() == [(ended.pk, CHANGED), (changed.pk, CHANGED)]
    before = len(described())

    migration = import_module("associations.migrations.0015_described")
    migration.describe(None, None)
    migration.describe(None, None)

    assert found() == [(changed.pk, CHANGED)], "what was changed past its verb stays in sight"
    (event,) = described()[before:]
    assert list(event.changes["fingerprints"]) == [str(ended.pk)]
    forget_what_is_kept(as_now)
    assert found() == [(changed.pk, CHANGED), (as_now.pk, CHANGED)]


def forget_what_is_kept(one: Association) -> None:
    Association.objects.filter(pk=one.pk).update(
        seats_at_end=None, status_at_end="", renews_on_at_end=None, version_at_end=None
    )


# --- The run, its figures and the command ---------------------------------------------------------------------------


def test_run_keeps_what_it_finds_until_it_is_right_again(held):
    assert b"\nassociations_check_age_seconds +Inf\n" in figures()
    tasks.check_associations()
    assert b"\nassociations_unexplained 0.0\n" in figures()
    assert b"\nassociations_check_age_seconds +Inf\n" not in figures()

    execute("UPDATE associations_association SET note = 'Mine.'")
    tasks.check_associations()
    assert not Unexplained.objects.exists(), "it is not due yet"
    hour_later()
    tasks.check_associations()
    assert b"\nassociations_unexplained 1.0\n" in figures()
    (kept,) = Unexplained.objects.all()
    assert str(kept) == f"organisation:{held.customer_id}, association {held.pk}: {CHANGED}"

    execute("UPDATE associations_association SET note = 'They migrate.'")
    hour_later()
    tasks.check_associations()
    assert not Unexplained.objects.exists()


def hour_later() -> None:
    PeriodicRun.objects.filter(name=checking.PERIODIC_RUN).update(done_at=Now() - checking.EVERY)


def test_all_chains_are_compared_in_ranges(customer, partner, admin, monkeypatch):
    monkeypatch.setattr(checking, "CHAINS", 2)
    made = []
    for _each in range(5):
        other = make_customer()
        by = make_member(other.organisation)
        key = make_subscription(other).subscription_id
        made.append(attaching.attach(key, partner.mpn_id, by=by).association.pk)
    assert found() == []
    execute("UPDATE associations_association SET note = 'Mine.'")

    assert sorted(found()) == [(pk, CHANGED) for pk in made]
    assert ChainHead.objects.count() == 5


def test_command_names_what_differs(held, files):
    out = StringIO()
    call_command("verify_history", stdout=out)
    execute("UPDATE associations_association SET note = 'Mine.'")

    with pytest.raises(CommandError, match=r"^1 association differs from the events\.$"):
        call_command("verify_history", stdout=out)
    assert f"organisation:{held.customer_id}, association {held.pk}: {CHANGED}\n" in out.getvalue()


@pytest.fixture
def files(tmp_path: Path, settings: Any) -> None:
    """Store files in an empty directory of the test."""
    storage = {"BACKEND": "por.files.directory.Directory", "OPTIONS": {"location": tmp_path}}
    settings.STORAGES = settings.STORAGES | {"default": storage}


def test_events_that_change_associations_are_registered():
    from por.history.events import spec_of

    assert [verb for verb in checking.CHANGING if spec_of(verb) is None] == []
