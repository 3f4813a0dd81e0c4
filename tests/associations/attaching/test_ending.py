"""On random estates, what an import ends and reopens together is what the single verbs end and reopen one by one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from unittest import mock

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from associations.attaching.actions import ending
from associations.record import actions, bulk, checking, describing, recording
from associations.record.file_events import FileEvent
from associations.record.models import Association
from associations.record.rules import FROM_OUTSIDE, AssociationKind, EndReason, Source
from por.accounts.models import SYSTEM
from por.directory.models import Customer, Partner, Subscription
from por.history.actions.verifying import verify
from por.history.models import Event, Outbox, Party
from tests.factories import make_customer, make_partner, make_subscription

pytestmark = pytest.mark.usefixtures("any_time")

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
LATER = NOW + timedelta(days=80)
QUIET = settings(
    deadline=None, suppress_health_check=list(HealthCheck), print_blob=True, max_examples=20, phases=[Phase.generate]
)
HUNT = settings(QUIET, derandomize=True, database=None, report_multiple_bugs=False)

#: Kind and unit of an association: the numbers are those of subscriptions, the other two are of customers.
units = st.sampled_from(
    [
        *((kind, number) for kind in ("dpor", "transacting", "claim of a subscription") for number in range(4)),
        *((kind, number) for kind in ("pal", "claim of a workload") for number in range(2)),
    ]
)
CLAIMS = {
    "claim of a subscription": {"program": "osu_bizapps", "role": "usage"},
    "claim of a workload": {"program": "osu_m365", "role": "usage", "workload": "exo"},
}
statuses = st.lists(st.sampled_from(["active", "grace", "expired", "expired"]), min_size=4, max_size=4)
accounts = st.lists(st.sampled_from(["active", "suspended", "closed"]), min_size=3, max_size=3)
#: Unit, partner, the days before NOW on which it began and ended, and why it ended.
drawn = st.lists(
    st.tuples(
        units,
        st.integers(0, 2),
        st.integers(2, 200),
        st.none() | st.integers(0, 150),
        st.sampled_from(EndReason.values),
    ),
    max_size=12,
)
Drawn = list[tuple[tuple[str, int], int, int, int | None, str]]


class Estate:
    """Two customers with two subscriptions each, and three partners; no associations."""

    def __init__(self) -> None:
        self.customers = [make_customer(), make_customer("Ulvsund Frakt AB")]
        self.subscriptions = [make_subscription(self.customers[number % 2]) for number in range(4)]
        self.partners = [make_partner(f"Nordvik {number}") for number in range(3)]

    def fill(self, rows: Drawn) -> None:
        """Insert those of the associations that fit the ones before."""
        for (kind, unit), partner, began, ended, reason in rows:
            of = self.customers[unit] if kind in {"pal", "claim of a workload"} else self.subscriptions[unit]
            draft = actions.draft(
                of, self.partners[partner], kind="cpor" if kind in CLAIMS else kind, source=Source.ESTATE,
                began_at=NOW - timedelta(days=began), attached_at=NOW - timedelta(days=began),
                ended_at=None if ended is None or ended >= began else NOW - timedelta(days=ended),
            )  # fmt: skip
            draft.end_reason = reason if draft.ended_at else ""
            for name, value in CLAIMS.get(kind, {}).items():
                setattr(draft, name, value)
            try:
                with transaction.atomic():
                    actions.begin(draft)
            except Exception:  # noqa: BLE001, S110  # it overlaps another one
                pass

    def set(self, statuses: list[str], accounts: list[str]) -> None:
        for subscription, status in zip(self.subscriptions, statuses, strict=True):
            Subscription.objects.filter(pk=subscription.pk).update(status=status)
        for partner, account in zip(self.partners, accounts, strict=True):
            Partner.objects.filter(pk=partner.pk).update(status=account)


def of(one: Association) -> Subscription | Customer:
    return one.customer if one.subscription is None else one.subscription


def reason_against(one: Association) -> EndReason | None:
    """Return why it cannot be in force: a closed account, or an expired subscription of a record or claim."""
    if one.partner.status == Partner.Status.CLOSED:
        return EndReason.PARTNER_CLOSED
    ends_with_it = one.subscription is not None and one.kind in {AssociationKind.DPOR, AssociationKind.CPOR}
    is_expired = ends_with_it and one.subscription.status == Subscription.Status.EXPIRED
    return EndReason.SUBSCRIPTION_EXPIRED if is_expired else None


def end_one_by_one() -> int:
    count = 0
    for one in Association.objects.open().with_names().order_by("pk"):
        if one.subscription is not None:
            one.subscription.refresh_from_db(fields=["version"])
        reason = reason_against(one)
        if reason is not None:
            ending.end_by_system(one, of(one), reason)
            count += 1
    return count


def reopen_one_by_one() -> int:
    """Reopen what ended for a reason at most 90 days ago, if the reason is gone and no one came after it."""
    found = []
    ended = Association.objects.filter(undone_at=None, end_reason__in=FROM_OUTSIDE).with_names().order_by("pk")
    for one in ended:
        same = Association.objects.filter(kind=one.kind, customer=one.customer, subscription=one.subscription)
        if one.kind == AssociationKind.CPOR:  # of one unit, whoever has it
            same = same.filter(program=one.program, role=one.role, workload=one.workload)
        elif one.kind != AssociationKind.DPOR:
            same = same.filter(partner=one.partner)
        assert one.ended_at is not None
        after = [other for other in same if other.began_at >= one.ended_at]
        is_over = reason_against(one) is not None
        if not after and not is_over and one.ended_at > timezone.now() - timedelta(days=90):
            found.append(one)
    for one in found:
        assert one.ended_at is not None
        before = {"ended_at_before": one.ended_at.isoformat(), "end_reason_before": one.end_reason}
        actions.reopen(one, at=None)
        if one.subscription is not None:
            one.subscription.refresh_from_db(fields=["version"])
        verb = FileEvent.REOPENED if one.kind == AssociationKind.DPOR else FileEvent.OTHER_KIND_REOPENED
        recording.record_event(verb, of(one), by=SYSTEM, at=timezone.now(), association=one, changes=before)
    return len(found)


def written(estate: Estate, given: Any, end: Callable[[], int], reopen: Callable[[], int]) -> tuple[Any, ...]:
    """Return all that is stored after ends and reopenings, and roll it back. Keys are given as places.

    The version at the end is left out: what is done together gives a subscription one new version.
    """
    rows, (first_status, first_accounts), (then_status, then_accounts) = given
    with transaction.atomic():
        estate.fill(rows)
        describing.describe_new([customer.pk for customer in estate.customers])
        estate.set(first_status, first_accounts)
        versions = [versions_of()]
        with mock.patch.object(timezone, "now", return_value=NOW):
            ended = end()
        versions.append(versions_of())
        estate.set(then_status, then_accounts)
        with mock.patch.object(timezone, "now", return_value=LATER):
            reopened = reopen()
        versions.append(versions_of())
        places = {pk: place for place, pk in enumerate(Association.objects.order_by("pk").values_list("pk", flat=True))}
        columns = [field.attname for field in Association._meta.concrete_fields]
        columns = [column for column in columns if column not in {"id", "version_at_end"}]
        events = sorted(
            (
                one.chain, one.verb, one.at, one.object_kind, one.object_id, one.object_name, one.parties, one.actor_id,
                places[one.changes.pop("association")], sorted(map(str, one.changes.items())),
            )
            for one in Event.objects.exclude(verb="association.described")
            if one.changes.pop("fingerprints")
        )  # fmt: skip
        found = (
            (ended, reopened),
            list(Association.objects.order_by("pk").values_list(*columns)),
            # One for each transaction is enough, however many associations of a subscription it changes.
            [[one > other for one, other in zip(after, before, strict=True)] for before, after in pairwise(versions)],
            events,
            Party.objects.count(),
            Outbox.objects.count(),
        )
        assert list(verify()) == []
        assert list(checking.examine()) == []
        transaction.set_rollback(True)
    return found


def versions_of() -> list[int]:
    return list(Subscription.objects.order_by("pk").values_list("version", flat=True))


def hold(estate: Estate, how: settings) -> None:
    @how
    @given(st.tuples(drawn, st.tuples(statuses, accounts), st.tuples(statuses, accounts)))
    def compare(given: Any) -> None:
        together = written(estate, given, ending.end_overtaken, ending.reopen_taken_back)
        assert together == written(estate, given, end_one_by_one, reopen_one_by_one)

    compare()


@pytest.fixture
def estate(db: None) -> Estate:
    return Estate()


@pytest.mark.parametrize("batch", [500, 2])
def test_import_ends_and_reopens_together_what_the_single_verbs_do_one_by_one(
    estate: Estate, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "BATCH", batch)
    hold(estate, QUIET)


real_end, real_record, real_reopen = bulk.end, recording.record_together, bulk.reopen
FAULTS: dict[str, tuple[Any, str, Any]] = {
    "an end is left out": (bulk, "end", lambda ends: real_end(ends[1:])),
    "one is not reopened": (bulk, "reopen", lambda associations: real_reopen(associations[1:])),
    "a version is not counted": (
        recording, "record_together", lambda done, **given: real_record(done, **{**given, "is_new_version": False}),
    ),
    "an event is left out": (
        recording, "record_together", lambda done, **given: done[1:] and real_record(done[1:], **given),
    ),
    "there is no reason": (ending, "_reason_against", lambda association: None),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_fault_in_what_is_done_together_is_found(estate: Estate, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, what, fault = FAULTS[name]
    monkeypatch.setattr(place, what, fault)
    with pytest.raises((AssertionError, DatabaseError)):
        hold(estate, HUNT)
