"""Whatever files came before, with mistakes and in pieces, the last true ones leave the record that they alone would.

Each state of the world is written as files. Mistaken states have the same rows with other values: another day, status
or start. They are imported as a whole or file by file, in batches of any size, and some imports are killed at a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from associations import imports, merging
from associations.claims.imports import merging as claims_merging
from associations.claims.models import Claim
from associations.record import checking
from associations.record.models import Association
from associations.record.rules import FROM_OUTSIDE
from por.accounts.models import Organisation
from por.directory.models import Partner, Subscription
from por.history.actions import verifying
from por.history.models import Event
from por.imports import loading
from tests import estates
from tests.estates import GLOBAL, OTHER_SUBSCRIPTION, PARTNER, RIVAL, TENANT

pytestmark = pytest.mark.usefixtures("any_time")

#: Each run tries others; the failing one is printed.
TRIED = settings(
    max_examples=10,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ACCOUNT = "4471899"
#: Two locations that are always there, with claims. In mistakes, both may claim SharePoint.
CLAIMANTS = "4471904", "4471905"
CLAIMED = ("exo", "exo;spo"), ("teams", "spo;teams")
OVERLAPPING = ("exo;spo", "spo;teams")
ENDS = ["", "2025-02-01", "2025-03-01", "2099-01-01"]
FILES = ["partners", "customers", "subscriptions", "associations", "claims"]
#: The parents of the two locations and of two accounts, of which one with a parent is a location itself.
COMPANIES = [
    {PARTNER: GLOBAL, RIVAL: GLOBAL},
    {PARTNER: GLOBAL, RIVAL: ACCOUNT},
    {PARTNER: ACCOUNT, RIVAL: ACCOUNT, GLOBAL: ACCOUNT},
    {PARTNER: GLOBAL, ACCOUNT: GLOBAL},
]


class State(NamedTuple):
    """One state of the world: statuses, seats, and the days of the associations."""

    partners: list[str]
    subscriptions: list[str]
    seats: list[int]
    start: str
    ends: list[str]
    is_reversed: bool
    company: dict[str, str] = COMPANIES[0]
    tenant: str = TENANT
    names: tuple[str, str] = ("Nordvik", "Ek")
    claimed: tuple[str, str] = ("exo", "teams")
    approved_on: str = "2024-08-05"

    def rows(self) -> dict[str, list[estates.Row]]:
        first, second, other, of_tenant = self.ends
        associations = [
            estates.association(began_on=self.start, ended_on=first),
            estates.association(RIVAL, began_on="2025-03-01", ended_on=second),
            estates.association(RIVAL, subscription_id=OTHER_SUBSCRIPTION),
            estates.association(RIVAL, kind="csp", ended_on=other),
            estates.association(kind="pal", subscription_id="", tenant_id=TENANT, ended_on=of_tenant),
        ]
        pairs = zip((PARTNER, RIVAL), self.partners, strict=True)
        keys = zip((estates.SUBSCRIPTION, OTHER_SUBSCRIPTION), self.subscriptions, self.seats, strict=True)
        parent = self.company.get
        name, customer_name = self.names
        partners = [
            estates.partner(one, status=status, parent_mpn_id=parent(one, ""), name=name) for one, status in pairs
        ]
        partners += map(estates.partner, CLAIMANTS)
        claims = [
            estates.claim(f"CPR-{who}", mpn_id=who, workloads=units, approved_on=self.approved_on, name=name)
            for who, units in zip(CLAIMANTS, self.claimed, strict=True)
        ]
        for one in (GLOBAL, ACCOUNT):
            kind = "location" if parent(one) else "global"
            partners.append(estates.partner(one, kind=kind, parent_mpn_id=parent(one, "")))
        return {
            "partners": partners[::-1] if self.is_reversed else partners,
            "customers": [estates.customer(name=customer_name), estates.customer(estates.OTHER_TENANT)],
            "subscriptions": [
                estates.subscription(key, status=is_, seats=str(seats), tenant_id=self.tenant)
                for key, is_, seats in keys
            ],
            "associations": associations[::-1] if self.is_reversed else associations,
            "claims": claims[::-1] if self.is_reversed else claims,
        }


def states(first_ends: list[str], *, may_overlap: bool = True) -> st.SearchStrategy[State]:
    ends = st.sampled_from(ENDS)
    return st.builds(
        State,
        partners=st.lists(st.sampled_from(["active", "active", "suspended", "closed"]), min_size=2, max_size=2),
        subscriptions=st.lists(st.sampled_from(["active", "active", "grace", "expired"]), min_size=2, max_size=2),
        seats=st.lists(st.integers(1, 3), min_size=2, max_size=2),
        start=st.sampled_from(["2024-08-01", "2024-08-05"]),
        ends=st.tuples(st.sampled_from(first_ends), st.sampled_from(["", "2025-06-01"]), ends, ends).map(list),
        is_reversed=st.booleans(),
        company=st.sampled_from(COMPANIES),
        names=st.tuples(st.sampled_from(["Nordvik", "Halden"]), st.sampled_from(["Ek", "Alm"])),
        tenant=st.sampled_from([TENANT, TENANT, estates.OTHER_TENANT]),
        claimed=st.tuples(*map(st.sampled_from, CLAIMED)).filter(lambda both: may_overlap or both != OVERLAPPING),
        approved_on=st.sampled_from(["2024-08-01", "2024-08-05"]),
    )


class Step(NamedTuple):
    """One import: of which state and files, in batches of which size, and at which batch it is killed."""

    state: State
    files: list[str]
    batch: int
    killed_at: int | None


def steps(state: st.SearchStrategy[State]) -> st.SearchStrategy[Step]:
    some = st.one_of(st.just(FILES), st.sampled_from(FILES).map(lambda one: [one]))
    return st.builds(Step, state, some, st.integers(1, 3), st.one_of(st.none(), st.integers(0, 6)))


class Killed(Exception):
    """The import has died."""


@contextmanager
def killed_at(batch: int | None) -> Iterator[None]:
    """Let the import die within its batch with this number, or between the last batch of a file and its event."""
    left = [-1 if batch is None else batch]

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*given: Any, **more: Any) -> Any:
            left[0] -= 1
            if left[0] == -1:
                raise Killed
            return call(*given, **more)

        return counting

    with (
        mock.patch.object(loading, "_count", counted(loading._count)),
        mock.patch.object(loading, "_record", counted(loading._record)),
    ):
        yield


def run(place: Path, step: Step) -> None:
    for old in place.glob("*.csv"):
        old.unlink()
    estates.write(place, **{name: rows for name, rows in step.state.rows().items() if name in step.files})
    with mock.patch.object(loading, "BATCH", step.batch), killed_at(step.killed_at), suppress(Killed):
        estates.load(place)


def record() -> list[Any]:
    """Return all that is stored of the record, without when it was recorded and what only the order of files tells.

    A day that an import chose is that of the import. Of two reasons from outside the first one stays, and an end in a
    file has a reason only where it came later.
    """
    today = timezone.now().date()
    found: list[Any] = []
    for one in Association.objects.select_related("partner", "customer", "subscription"):
        if one.program and one.undone_at:
            continue  # a file claimed it by mistake, and it counts for nothing
        from_outside = one.end_reason in FROM_OUTSIDE
        ended = one.ended_at.date() if one.ended_at else None
        found.append(
            (
                one.kind, one.partner.mpn_id, str(one.customer.tenant_id),
                str(one.subscription and one.subscription.subscription_id),
                one.began_at.date(), "on the day of an import" if from_outside and ended == today else ended,
                from_outside, None if ended else one.ends_on, one.undone_at, one.reopened_at, one.workload,
            )
        )  # fmt: skip
    found.sort(key=str)
    claims = Claim.objects.order_by("number", "units__workload")
    found.append(list(claims.values_list("number", "name", "approved_at", "status", "units__workload", "units__live")))
    partners = Partner.objects.order_by("mpn_id")
    found.append(list(partners.values_list("mpn_id", "status", "kind", "organisation__parent__number")))
    found.append(list(Organisation.objects.order_by("number").values_list("number", "name")))
    here = Subscription.objects.filter(left_at=None).order_by("subscription_id")
    found.append(list(here.values_list("status", "seats", "customer__tenant_id")))
    return found


def after(place: Path, which: list[Step]) -> list[Any]:
    """Return the record after these imports, and roll it back."""
    with transaction.atomic():
        for step in which:
            run(place, step)
        assert list(verifying.verify()) == []
        assert list(checking.examine()) == []
        count, found = Event.objects.count(), record()
        run(place, which[-1])
        assert Event.objects.count() == count, "the same files again change nothing"
        transaction.set_rollback(True)
    return found


def compare(place: Path, before: list[Step], truth: State, batch: int) -> None:
    last = Step(truth, FILES, batch, None)
    if any(step.state.tenant != truth.tenant for step in before):  # a move is no mistake if nothing came before it
        before = [Step(MISTAKE._replace(tenant=truth.tenant), FILES, batch, None), *before]
    assert after(place, [*before, last]) == after(place, [Step(truth, FILES, 5000, None)])


# In the end, one partner follows the other, so that all rows of the last state fit.
@TRIED
@given(
    st.lists(steps(states(ENDS)), max_size=4),
    states(["2025-02-01", "2025-03-01"], may_overlap=False),
    st.integers(1, 3),
)
def test_last_files_leave_the_record_that_they_alone_would(
    db: None, tmp_path: Path, before: list[Step], truth: State, batch: int
) -> None:
    compare(tmp_path, before, truth, batch)


MISTAKE = State(
    ["active", "active"], ["active", "active"], [1, 1], "2024-08-05", ["", "", "", ""], False, COMPANIES[0],
    claimed=("exo", "spo;teams"),
)  # fmt: skip
TRUTH = State(
    ["active", "closed"],
    ["active", "active"],
    [2, 1],
    "2024-08-01",
    ["2025-02-01", "", "", "2025-03-01"],
    True,
    COMPANIES[2],
    estates.OTHER_TENANT,
    ("Halden", "Alm"),
    ("exo;spo", "teams"),
    "2024-08-01",
)


def test_mistake_in_every_row_is_corrected(db: None, tmp_path: Path) -> None:
    compare(tmp_path, [Step(MISTAKE, FILES, 5000, None)], TRUTH, 5000)
    compare(tmp_path, [Step(TRUTH, FILES, 5000, None)], MISTAKE._replace(ends=["2025-03-01", "", "", ""]), 5000)


@pytest.mark.parametrize(
    ("module", "name", "fault"),
    [
        (imports, "end_overtaken", lambda: 0),
        (merging, "_says_the_same", lambda row, stored: True),
        (merging, "_may_be_moved", lambda *_given: False),
        (claims_merging, "_take", lambda *_given: None),
    ],
)
def test_control_import_that_forgets_something_is_found(
    db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, fault: Callable[..., Any]
) -> None:
    monkeypatch.setattr(module, name, fault)
    with pytest.raises(AssertionError):
        test_mistake_in_every_row_is_corrected(None, tmp_path)
