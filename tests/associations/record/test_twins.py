"""On random estates, an import with bulk.py writes the same rows as actions.py does one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest import mock

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from associations.imports import ASSOCIATIONS
from associations.record import actions, bulk
from associations.record.models import Association, start_of
from associations.record.rules import TENANT_KINDS, AssociationKind, EndReason, Source
from por.directory.models import Customer, Partner, Subscription
from por.imports.loading import Report, import_file
from tests import estates
from tests.factories import make_customer, make_partner, make_subscription

pytestmark = pytest.mark.usefixtures("any_time")

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
#: Days are counted from here; the last of them is before NOW.
FIRST, DAYS = date(2025, 1, 1), 400
QUIET = settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True, max_examples=30)
#: For a fault that must be found: nothing is shrunk, and every run tries the same.
HUNT = settings(QUIET, derandomize=True, database=None, phases=[Phase.generate], report_multiple_bugs=False)

SUBSCRIPTIONS, TENANTS, PARTNERS = ["mail", "cloud", "other mail"], ["tenant", "other tenant"], ["nordvik", "halden"]
OTHER_KINDS = sorted(set(AssociationKind.values) - TENANT_KINDS - {AssociationKind.DPOR, AssociationKind.CPOR})


@dataclass(frozen=True)
class Period:
    """One association of a file, in days since FIRST. Everything but its end identifies it."""

    unit: str
    partner: str
    kind: str
    began: int
    ended: int | None

    @property
    def key(self) -> tuple[str, str, str, int]:
        return self.unit, self.partner, self.kind, self.began


class Files(NamedTuple):
    """The lines of the first import, and those of a later one with other ends and with more lines."""

    before: list[Period]
    after: list[Period]


ends = st.none() | st.integers(1, 60)
partners = st.sampled_from(PARTNERS)


@st.composite
def periods_of_record(draw: Callable[[Any], Any]) -> Files:
    """Draw periods of partners of record: some follow each other on the same day, some after a gap."""
    before, after = [], []
    for unit in SUBSCRIPTIONS:
        starts = sorted(draw(st.sets(st.integers(0, DAYS - 61), max_size=5)))
        found = [Period(unit, draw(partners), AssociationKind.DPOR, began, None) for began in starts]
        kept = [one for one in found if draw(st.booleans())]
        before += _ended(kept, draw)
        after += _ended(found, draw)
    return Files(before, after)


def _ended(periods: list[Period], draw: Callable[[Any], Any]) -> list[Period]:
    """Return them with ends: each by the day the next one begins, and only the last may be open."""
    ended = []
    for one, follower in zip_longest(periods, periods[1:]):
        if follower is None:
            length = draw(ends)
        else:
            length = draw(st.integers(1, follower.began - one.began) | st.just(follower.began - one.began))
        ended.append(replace(one, ended=length and one.began + length))
    return ended


@st.composite
def periods_of_other_kinds(draw: Callable[[Any], Any]) -> Files:
    """Draw periods of other kinds, of a tenant or of a subscription: several can be in force together."""
    units = st.tuples(st.sampled_from(SUBSCRIPTIONS), st.sampled_from(OTHER_KINDS)) | st.tuples(
        st.sampled_from(TENANTS), st.sampled_from(sorted(TENANT_KINDS))
    )
    rows = st.tuples(units, partners, st.integers(0, DAYS - 61), ends, ends, st.booleans())
    before, after = {}, {}
    for (unit, kind), partner, began, first, then, is_new in draw(st.lists(rows, max_size=12)):
        one = Period(unit, partner, kind, began, then and began + then)
        if one.key not in after:
            after[one.key] = one
            if not is_new:
                before[one.key] = replace(one, ended=first and began + first)
    return Files(list(before.values()), list(after.values()))


@st.composite
def files(draw: Callable[[Any], Any]) -> Files:
    found = [draw(periods_of_record()), draw(periods_of_other_kinds())]
    before, after = (draw(st.permutations([one for part in found for one in part[which]])) for which in (0, 1))
    return Files(before, after)


class Estate:
    """Two customers and two partners without associations."""

    def __init__(self) -> None:
        customers = [make_customer(), make_customer("Ulvsund Frakt AB")]
        self.units: dict[str, Subscription | Customer] = dict(zip(TENANTS, customers, strict=True))
        for name in SUBSCRIPTIONS:
            customer = customers[name.startswith("other")]
            self.units[name] = make_subscription(customer, agreement="MOSP", started_on=date(2024, 7, 1))
        self.partners: dict[str, Partner] = {name: make_partner(name.title()) for name in PARTNERS}

    def draft(self, one: Period) -> Association:
        began_at, ended_at = self.bounds(one)
        return actions.draft(
            self.units[one.unit], self.partners[one.partner], kind=one.kind, source=Source.ESTATE,
            began_at=began_at, ended_at=ended_at, attached_at=NOW,
        )  # fmt: skip

    def bounds(self, one: Period) -> tuple[datetime, datetime | None]:
        return at(one.began), None if one.ended is None else at(one.ended)

    def stored(self, one: Period) -> Association:
        unit = self.units[one.unit]
        of = {"subscription": unit} if isinstance(unit, Subscription) else {"customer": unit, "subscription": None}
        return Association.objects.get(partner=self.partners[one.partner], kind=one.kind, began_at=at(one.began), **of)

    def row(self, one: Period) -> estates.Row:
        unit = self.units[one.unit]
        is_tenant = isinstance(unit, Customer)
        return estates.association(
            self.partners[one.partner].mpn_id,
            subscription_id="" if is_tenant else str(unit.subscription_id),
            tenant_id=str(unit.tenant_id) if is_tenant else "",
            kind=one.kind,
            began_on=day(one.began).isoformat(),
            ended_on="" if one.ended is None else day(one.ended).isoformat(),
        )


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def at(number: int) -> datetime:
    return start_of(day(number))


def changed_and_new(files: Files) -> tuple[list[Period], list[Period]]:
    """Return the periods that the later file ends on another day, and those it adds; both in its order."""
    before = {one.key: one for one in files.before}
    changed = [one for one in files.after if one.key in before and before[one.key] != one]
    return changed, [one for one in files.after if one.key not in before]


# --- The same by the single functions, by their twins, and by imports ------------------------------------------------


def one_by_one(estate: Estate, files: Files) -> None:
    for one in files.before:
        actions.begin(estate.draft(one))
    changed, new = changed_and_new(files)
    for one in changed:
        _began_at, ended_at = estate.bounds(one)
        if ended_at is None:
            actions.reopen(estate.stored(one), at=None)
        else:
            actions.end(estate.stored(one), at=ended_at, reason=EndReason.FILE)
    for one in new:
        actions.begin(estate.draft(one))


def by_their_twins(estate: Estate, files: Files) -> None:
    """Begin some by a SELECT, and the others as a list of drafts."""
    begin_selected([estate.draft(one) for one in files.before])
    changed, new = changed_and_new(files)
    found = [(estate.stored(one), estate.bounds(one)[1]) for one in changed]
    bulk.end([bulk.End(association, at, EndReason.FILE) for association, at in found if at is not None])
    bulk.reopen([association for association, at in found if at is None])
    bulk.begin([estate.draft(one) for one in new])


def begin_selected(drafts: Iterable[Association]) -> None:
    columns = ("kind", "customer_id", "subscription_id", "partner_id", "began_at", "ended_at")
    rows = [{column: getattr(draft, column) for column in columns} for draft in drafts]
    begun = bulk.begin_selected(
        "SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS row(kind text, customer_id bigint,"
        " subscription_id bigint, partner_id bigint, began_at timestamptz, ended_at timestamptz)",
        {"rows": json.dumps(rows, default=str)},
        source=Source.ESTATE,
        attached_at=NOW,
    )
    assert sorted(begun.values()) == sorted(row["customer_id"] for row in rows)
    assert begun == dict(Association.objects.filter(pk__in=begun).values_list("pk", "customer"))


def by_two_imports(estate: Estate, files: Files) -> None:
    for periods in files:
        with TemporaryDirectory() as directory:
            estates.write(Path(directory), associations=[estates.association(), *map(estate.row, periods)])
            path = Path(directory) / "associations.csv"
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            path.write_text("".join([lines[0], *lines[2:]]), encoding="utf-8")  # a file of no rows has its header
            import_file(path, ASSOCIATIONS, Report(on_error=refused, on_bytes=lambda count: None))


def refused(error: Any) -> None:
    raise AssertionError(error)


def rows_after(write: Callable[[Estate, Files], None], estate: Estate, files: Files) -> list[tuple[Any, ...]]:
    """Return every column of every association, and roll everything back.

    Its key is left out, and the version at its end: an import has given its subscription another version before.
    """
    left_out = {"id", "version_at_end"}
    columns = [field.attname for field in Association._meta.concrete_fields if field.attname not in left_out]
    with transaction.atomic(), mock.patch.object(timezone, "now", return_value=NOW):
        write(estate, files)
        rows = sorted(Association.objects.values_list(*columns), key=repr)
        transaction.set_rollback(True)
    return rows


@pytest.fixture
def two_customers(db: None) -> Estate:
    return Estate()


def hold(estate: Estate, write: Callable[[Estate, Files], None], how: settings) -> None:
    @how
    @given(files())
    def compare(files: Files) -> None:
        assert rows_after(write, estate, files) == rows_after(one_by_one, estate, files)

    compare()


@pytest.mark.parametrize("write", [by_their_twins, by_two_imports])
def test_twins_write_the_rows_of_the_single_functions(two_customers, write):
    hold(two_customers, write, QUIET)


real_begin, real_selected, real_end = bulk.begin, bulk.begin_selected, bulk.end
FAULTS: dict[str, tuple[str, Callable[..., Any]]] = {
    "no end is corrected": ("end", lambda ends: None),
    "another reason is kept": (
        "end",
        lambda ends: real_end([one._replace(reason=EndReason.REMOVED) for one in ends]),
    ),
    "nothing is reopened": ("reopen", lambda associations: None),
    "the last one is forgotten": ("begin", lambda drafts: real_begin(drafts[:-1])),
    "another moment is kept": (
        "begin_selected",
        lambda *args, **kwargs: real_selected(*args, **{**kwargs, "attached_at": NOW - timedelta(days=1)}),
    ),
    "another source is kept": (
        "begin_selected",
        lambda *args, **kwargs: real_selected(*args, **{**kwargs, "source": Source.CUSTOMER}),
    ),
}


@pytest.mark.parametrize("write", [by_their_twins, by_two_imports])
@pytest.mark.parametrize("name", FAULTS)
def test_twin_that_writes_other_rows_is_found(two_customers, monkeypatch, name, write):
    monkeypatch.setattr(bulk, *FAULTS[name])

    with pytest.raises((AssertionError, DatabaseError)):
        hold(two_customers, write, HUNT)
