"""What a bad row costs the others, and what corrected files bring back."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from pathlib import Path
from unittest import mock

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from associations.attaching.actions.attach import attach, remove
from associations.attaching.actions.ending import end_due
from associations.record import timeline
from associations.record.models import Association, start_of
from associations.tasks import run_scheduled
from por.accounts.models import Actor, Organisation
from por.directory.models import Customer, Partner, Subscription
from por.history.actions.verifying import verify
from por.history.models import Event
from por.imports import loading
from tests import factories
from tests.estates import (
    GLOBAL,
    OTHER_SUBSCRIPTION,
    PARTNER,
    RIVAL,
    SUBSCRIPTION,
    TENANT,
    UNKNOWN,
    Loaded,
    Row,
    association,
    customer,
    load,
    load_one,
    partner,
    subscription,
    usage,
    write,
)

pytestmark = pytest.mark.usefixtures("any_time")

ID = uuid.UUID(SUBSCRIPTION)


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """Write two partners and a global account, a customer, a subscription and an expired one; no associations."""
    loaded = load(
        write(
            tmp_path,
            partners=[partner(), partner(RIVAL), partner(GLOBAL, kind="global")],
            customers=[customer()],
            subscriptions=[subscription(), subscription(OTHER_SUBSCRIPTION, status="expired")],
        )
    )
    assert loaded.failure == ""
    return tmp_path


def periods(subscription_id: uuid.UUID = ID) -> list[tuple[str, str, str]]:
    """Return the periods of the subscription: partner, first day, and last day."""
    record = Association.objects.not_undone().of_record().filter(subscription__subscription_id=subscription_id)
    return [
        (one.partner.mpn_id, f"{one.began_at:%Y-%m-%d}", f"{one.ended_at:%Y-%m-%d}" if one.ended_at else "")
        for one in record.order_by("began_at")
    ]


# --- A bad row costs no good one ------------------------------------------------------------------------------------


def test_row_that_overlaps_only_a_refused_row_is_imported(estate: Path) -> None:
    loaded = load_one(estate, "associations", association("9999999"), association(RIVAL, began_on="2024-09-01"))
    assert loaded.codes == [("2", "mpn_id", "unknown_partner")]
    assert periods() == [(RIVAL, "2024-09-01", "")]


def test_row_that_overlaps_a_row_that_does_not_fit_the_record_is_imported(estate: Path) -> None:
    load_one(estate, "associations", association(began_on="2025-06-01"))
    loaded = load_one(
        estate,
        "associations",
        association(RIVAL, began_on="2025-01-01", ended_on="2025-07-01"),
        association(RIVAL, began_on="2024-08-01", ended_on="2025-02-01"),
    )
    assert loaded.codes == [("2", "began_on", "overlaps_another_period")]
    assert periods() == [(RIVAL, "2024-08-01", "2025-02-01"), (PARTNER, "2025-06-01", "")]


def test_first_of_two_overlapping_rows_is_imported_though_it_waits_for_a_third(estate: Path) -> None:
    load_one(estate, "associations", association())
    rows = [
        association(RIVAL, began_on="2025-01-31", ended_on="2025-03-31"),
        association(RIVAL, began_on="2025-03-01"),
        association(ended_on="2025-01-31"),
    ]
    assert load_one(estate, "associations", *rows).codes == [("3", "began_on", "overlaps_another_period")]
    assert periods() == [(PARTNER, "2024-08-01", "2025-01-31"), (RIVAL, "2025-01-31", "2025-03-31")]


def test_rows_of_a_subscription_are_judged_together_whatever_the_size_of_a_batch(
    estate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_one(estate, "associations", association())
    monkeypatch.setattr(loading, "BATCH", 1)
    rows = [association(RIVAL, began_on="2025-01-31"), association(ended_on="2025-01-31")]
    assert load_one(estate, "associations", *rows).failure == ""
    assert periods() == [(PARTNER, "2024-08-01", "2025-01-31"), (RIVAL, "2025-01-31", "")]


@pytest.mark.parametrize(
    ("file", "bad", "good", "refusal"),
    [
        ("partners", partner("5550001", parent_mpn_id="9999999"), partner("5550001"), "parent_mpn_id parent_not_found"),
        (
            "subscriptions",
            subscription(UNKNOWN, tenant_id=UNKNOWN),
            subscription(UNKNOWN),
            "tenant_id unknown_customer",
        ),
        (
            "subscriptions",
            subscription(UNKNOWN, product="", sku_string_id="NO_SUCH_SKU"),
            subscription(UNKNOWN),
            "product unknown_value",
        ),
        (
            "associations",
            association(),
            association(ended_on="2025-01-31"),
            "began_on overlaps_another_period",
        ),
    ],
)
def test_good_row_is_imported_after_a_refused_one_with_its_key(
    estate: Path, file: str, bad: Row, good: Row, refusal: str
) -> None:
    load_one(estate, "associations", association(RIVAL, began_on="2025-01-31"))
    loaded = load_one(estate, file, bad, good)
    assert loaded.codes == [("2", *refusal.split())]
    assert "1 created, 0 changed, 0 unchanged, 1 failed" in loaded.out
    again = load_one(estate, file, bad, bad, good, good)
    assert again.codes == [("2", *refusal.split()), ("3", *refusal.split()), ("5", "", "duplicate_row")]
    assert "line 4" in again.errors[2]["reason"]


def test_good_row_before_a_bad_one_with_its_key_is_imported(estate: Path) -> None:
    loaded = load_one(estate, "partners", partner("5550001"), partner("5550001", parent_mpn_id="9999999"))
    assert loaded.codes == [("3", "", "duplicate_row")]
    assert Partner.objects.filter(mpn_id="5550001").exists()


def test_row_is_imported_once_what_it_refers_to_is_in_a_later_row(estate: Path) -> None:
    rows = [
        partner("5550000", kind="global", parent_mpn_id=GLOBAL),
        partner("5550001", parent_mpn_id="5550000"),
        partner("5550000", kind="global"),
    ]
    loaded = load_one(estate, "partners", *rows)
    assert loaded.codes == [("2", "parent_mpn_id", "parent_of_global")]
    assert "2 created, 0 changed, 0 unchanged, 1 failed" in loaded.out


def test_each_of_many_bad_rows_with_one_key_is_reported_once(estate: Path) -> None:
    rows = [partner("5550001", parent_mpn_id="9999999", city=str(number)) for number in range(loading.TRIES + 2)]
    loaded = load_one(estate, "partners", *rows, partner("5550002"))
    codes = [code for _line, _column, code in loaded.codes]
    assert sorted(codes) == ["duplicate_row"] * 2 + ["parent_not_found"] * loading.TRIES
    assert "1 created, 0 changed, 0 unchanged, 12 failed" in loaded.out


def test_row_in_a_circle_with_a_refused_row_is_imported(estate: Path) -> None:
    rows = [
        subscription(replaces_subscription_id=OTHER_SUBSCRIPTION),
        subscription(OTHER_SUBSCRIPTION, replaces_subscription_id=SUBSCRIPTION, tenant_id=UNKNOWN),
    ]
    assert load_one(estate, "subscriptions", *rows).codes == [("3", "tenant_id", "unknown_customer")]
    replaced = Subscription.objects.get(subscription_id=ID).replaces
    assert replaced is not None
    assert replaced.subscription_id == uuid.UUID(OTHER_SUBSCRIPTION)


def test_file_without_the_column_of_ends_changes_no_end(estate: Path) -> None:
    """Whether a file gave the end, a day to come, or an import ended it for a reason that still holds."""
    day = (timezone.now().date() + timedelta(days=9)).isoformat()
    rows = [
        association(ended_on="2025-01-31"),
        association(RIVAL, kind="transacting", ended_on=day),
        association(subscription_id=OTHER_SUBSCRIPTION),
    ]
    assert load_one(estate, "associations", *rows).failure == ""
    before = list(Association.objects.order_by("pk").values())
    for row in rows:
        del row["ended_on"]
    loaded = load_one(estate, "associations", *rows)
    assert (loaded.codes, "0 created, 0 changed, 3 unchanged, 0 failed" in loaded.out) == ([], True)
    assert list(Association.objects.order_by("pk").values()) == before


@pytest.mark.parametrize("first", [SUBSCRIPTION, UNKNOWN])
def test_second_of_two_rows_that_replace_each_other_is_refused(estate: Path, first: str) -> None:
    rows = [
        subscription(first, replaces_subscription_id=OTHER_SUBSCRIPTION),
        subscription(OTHER_SUBSCRIPTION, replaces_subscription_id=first),
    ]
    loaded = load_one(estate, "subscriptions", *rows)
    assert loaded.codes == [("3", "replaces_subscription_id", "cycle_of_replacements")]
    assert Subscription.objects.filter(replaces__isnull=False).get().subscription_id == uuid.UUID(first)


def test_location_below_a_global_account_whose_row_is_refused_is_imported(estate: Path) -> None:
    rows = [partner(parent_mpn_id=GLOBAL), partner(GLOBAL, parent_mpn_id=PARTNER)]
    assert load_one(estate, "partners", *rows).codes == [("3", "parent_mpn_id", "cycle_of_parents")]
    parent = Partner.objects.get(mpn_id=PARTNER).organisation.parent
    assert parent is not None
    assert parent.number == GLOBAL


days = st.integers(1, 12).map(lambda month: f"2025-{month:02}-01")


@st.composite
def rows_of_record(draw: st.DrawFn) -> tuple[list[Row], list[Row]]:
    """Draw rows of a subscription, and the same with bad ones among them."""
    good, mixed, keys = [], [], set()
    for _ in range(draw(st.integers(1, 7))):
        began, ended = sorted([draw(days), draw(days)])
        row = association(
            draw(st.sampled_from([PARTNER, RIVAL])), began_on=began, ended_on="" if began == ended else ended
        )
        if (row["mpn_id"], began) in keys:
            continue
        keys.add((row["mpn_id"], began))
        good.append(row)
        for _ in range(draw(st.integers(0, 2))):
            bad = draw(st.sampled_from([{"mpn_id": "9999999"}, {"mpn_id": GLOBAL}, {"began_on": "2024-06-30"}]))
            mixed.append(row | bad)
        mixed.append(row)
    return good, mixed


@settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    max_examples=15,
    print_blob=True,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(before=rows_of_record(), after=rows_of_record())
def test_bad_rows_leave_the_record_as_it_is_without_them(
    estate: Path, before: tuple[list[Row], list[Row]], after: tuple[list[Row], list[Row]]
) -> None:
    found = []
    for which in (0, 1):
        for rows in (before[which], after[which]):
            load_one(estate, "associations", *rows)
        found.append(periods())
        Association.objects.all().delete()
    assert found[0] == found[1]


# --- What a corrected file brings back ------------------------------------------------------------------------------


def load_all(estate: Path, **files: list[Row]) -> Loaded:
    """Import several files together."""
    for old in estate.glob("*.csv"):
        old.unlink()
    return load(write(estate, **files))


def events(verb: str) -> list[Event]:
    return list(Event.objects.filter(verb=verb).order_by("pk"))


@pytest.fixture
def elin(estate: Path) -> Actor:
    return factories.make_member(Customer.objects.get().organisation)


EXPIRED, ACTIVE = subscription(status="expired"), subscription()
CLOSED, OPEN = partner(status="closed"), partner()


@pytest.mark.parametrize(
    ("file", "mistake", "truth", "reason"),
    [
        ("subscriptions", EXPIRED, ACTIVE, "subscription_expired"),
        ("partners", CLOSED, OPEN, "partner_closed"),
        ("subscriptions", EXPIRED, subscription(status="grace"), "subscription_expired"),
        ("partners", CLOSED, partner(status="suspended"), "partner_closed"),
    ],
)
@pytest.mark.parametrize("with_lines", [True, False])
def test_record_goes_on_once_the_files_take_the_reason_of_its_end_back(
    estate: Path, file: str, mistake: Row, truth: Row, reason: str, with_lines: bool
) -> None:
    lines = {"associations": [association()]}
    load_all(estate, **lines)
    before = Association.objects.values().get()
    load_all(estate, **{file: [mistake]})
    assert Association.objects.get().end_reason == reason
    ended_at = Association.objects.get().ended_at
    version = Subscription.objects.get(subscription_id=ID).version
    loaded = load_all(estate, **{file: [truth]}, **(lines if with_lines else {}))
    assert loaded.failure == ""
    assert ("0 created, 1 changed, 0 unchanged" if with_lines else "Reopened, because") in loaded.out
    assert Association.objects.values().get() == before
    assert Subscription.objects.get(subscription_id=ID).version == version + 1 + (file == "subscriptions")
    (event,) = events("partner_of_record.reopened")
    assert ended_at is not None
    assert event.changes["ended_at_before"] == ended_at.isoformat()
    assert event.changes["end_reason_before"] == reason
    assert (event.chain, event.parties) == (f"organisation:{before['customer_id']}", [before["partner_id"]])
    assert list(verify()) == []
    assert "Nothing has changed." in load_all(estate, **{file: [truth]}, **lines).out


def test_every_kind_that_a_closed_account_ended_goes_on(estate: Path) -> None:
    rows = [
        association(),
        association(kind="transacting"),
        association(kind="transacting", began_on="2025-01-01"),
        association(kind="pal", subscription_id="", tenant_id=TENANT),
        association(kind="pal", subscription_id="", tenant_id=TENANT, began_on="2024-09-01", ended_on="2024-10-01"),
    ]
    load_all(estate, associations=rows)
    load_all(estate, partners=[CLOSED])
    assert not Association.objects.open().exists()
    assert "taken the reason of an end back: 4." in load_all(estate, partners=[OPEN]).out
    assert Association.objects.open().count() == 4
    assert len(events("association.reopened")) == 3
    assert "Nothing has changed." in load_all(estate, partners=[OPEN], associations=rows).out


def test_record_stays_ended_while_another_reason_holds(estate: Path) -> None:
    load_all(estate, associations=[association()])
    load_all(estate, partners=[CLOSED])
    load_all(estate, subscriptions=[EXPIRED])
    loaded = load_all(estate, partners=[OPEN], associations=[association()])
    assert "1 unchanged" in loaded.out.splitlines()[1]
    assert periods()[0][2] != ""
    load_all(estate, subscriptions=[ACTIVE])
    assert periods() == [(PARTNER, "2024-08-01", "")]


def test_record_stays_ended_once_another_partner_has_come(estate: Path, elin: Actor) -> None:
    load_all(estate, associations=[association()])
    load_all(estate, partners=[CLOSED])
    attach(ID, RIVAL, by=elin)
    loaded = load_all(estate, partners=[OPEN], associations=[association()])
    assert loaded.codes == [("2", "began_on", "overlaps_another_period")]
    assert RIVAL in loaded.errors[0]["reason"], "both values are said"
    remove(ID, by=elin)
    load_all(estate, partners=[OPEN])
    assert not Association.objects.open().exists(), "somebody else was there, though no longer"
    assert events("partner_of_record.reopened") == []


def test_record_stays_ended_where_a_later_line_names_another_partner(estate: Path) -> None:
    load_all(estate, associations=[association()])
    load_all(estate, partners=[CLOSED])
    tomorrow = timezone.now() + timedelta(days=1)
    with mock.patch.object(timezone, "now", return_value=tomorrow):
        loaded = load_all(
            estate, partners=[OPEN], associations=[association(RIVAL, began_on=tomorrow.date().isoformat())]
        )
    assert loaded.failure == ""
    assert [one[0] for one in periods()] == [PARTNER, RIVAL]
    assert events("partner_of_record.reopened") == []


def test_record_stays_ended_after_the_days_of_the_policy_and_the_line_is_reported(estate: Path) -> None:
    load_all(estate, associations=[association()])
    load_all(estate, subscriptions=[EXPIRED])
    ended = Association.objects.get()
    assert ended.ended_at is not None
    later = ended.ended_at + timedelta(days=90)
    with mock.patch.object(timezone, "now", return_value=later):
        loaded = load_all(estate, subscriptions=[ACTIVE], associations=[association()])
    assert loaded.codes == [("2", "ended_on", "ended_too_long_ago")]
    assert "the file says 2024-08-01/.." in loaded.errors[0]["reason"]
    assert f"2024-08-01/{ended.ended_at:%Y-%m-%d} is stored" in loaded.errors[0]["reason"]
    assert events("partner_of_record.reopened") == []
    with mock.patch.object(timezone, "now", return_value=later - timedelta(microseconds=1)):
        load_all(estate, subscriptions=[ACTIVE])
    assert periods() == [(PARTNER, "2024-08-01", "")]


def test_record_that_was_carried_over_goes_on_once_the_old_subscription_is_active_again(estate: Path) -> None:
    today = timezone.now().date()
    load_all(estate, associations=[association()])
    new = subscription(UNKNOWN, started_on=today.isoformat(), renews_on="", replaces_subscription_id=SUBSCRIPTION)
    load_all(estate, subscriptions=[EXPIRED, new])
    assert Association.objects.get(subscription__subscription_id=ID).end_reason == "subscription_replaced"
    load_all(estate, subscriptions=[ACTIVE, new])
    assert periods() == [(PARTNER, "2024-08-01", "")]
    assert periods(uuid.UUID(UNKNOWN)) == [(PARTNER, today.isoformat(), "")]


@pytest.mark.parametrize("still_expired", [True, False])
def test_end_in_a_file_is_better_than_the_day_of_the_import(estate: Path, still_expired: bool) -> None:
    load_all(estate, associations=[association()])
    load_all(estate, subscriptions=[EXPIRED])
    files = {} if still_expired else {"subscriptions": [ACTIVE]}
    row = association(ended_on="2025-01-31")
    assert "0 created, 1 changed, 0 unchanged" in load_all(estate, associations=[row], **files).out
    assert (periods(), Association.objects.get().end_reason) == ([(PARTNER, "2024-08-01", "2025-01-31")], "file")
    assert "Nothing has changed." in load_all(estate, associations=[row], **files).out
    row = association(ended_on="2025-02-28")
    load_all(estate, subscriptions=[ACTIVE], associations=[row])
    assert periods() == [(PARTNER, "2024-08-01", "2025-02-28")], "a file may correct it again"
    load_all(estate, associations=[association()])
    assert periods() == [(PARTNER, "2024-08-01", "")], "and take it back"


def test_end_in_a_file_on_the_day_of_the_import_keeps_the_record_ended(estate: Path) -> None:
    load_all(estate, associations=[association()])
    load_all(estate, subscriptions=[EXPIRED])
    row = association(ended_on=timezone.now().date().isoformat())
    load_all(estate, subscriptions=[ACTIVE], associations=[row])
    assert Association.objects.get().end_reason == "file"
    assert "Nothing has changed." in load_all(estate, subscriptions=[ACTIVE], associations=[row]).out


def test_line_that_contradicts_what_a_person_did_is_reported_with_both_values(estate: Path, elin: Actor) -> None:
    load_all(estate, associations=[association()])
    removed = remove(ID, by=elin)
    loaded = load_all(estate, associations=[association()])
    assert loaded.codes == [("2", "", "changed_in_product")]
    assert removed.ended_at is not None
    assert f"the file says 2024-08-01/.., and 2024-08-01/{removed.ended_at:%Y-%m-%d} is" in loaded.errors[0]["reason"]


# --- Corrections of what others stand on ----------------------------------------------------------------------------


def test_later_start_of_a_subscription_stays_out_where_something_stands_before_it(estate: Path) -> None:
    forms = [association(RIVAL, began_on="2024-09-01"), association(ended_on="2024-09-01")]
    load_all(estate, associations=forms, usage=[usage("2024-08"), usage("2024-09"), usage("2024-09", workload="spo")])
    row = subscription(started_on="2024-10-05", seats="500")
    for again in (False, True):
        loaded = load_all(estate, subscriptions=[row])
        assert loaded.codes == [("2", "started_on", "collides_with_record")]
        reason = loaded.errors[0]["reason"]
        for words in ("2024-07-01 stays", "2024-10-05", "months of usage: 2, the first 2024-08", "associations: 2"):
            assert words in reason
        assert f"with MPN ID {PARTNER}" in reason
        stored = Subscription.objects.get(subscription_id=ID)
        assert (stored.started_on.isoformat(), stored.seats) == ("2024-07-01", 500), "the rest of the row is taken"
        assert "0 created, 0 changed, 0 unchanged, 1 failed" in loaded.out
        assert len(events("subscription.changed")) == 1, again


@pytest.mark.parametrize("started_on", ["2024-08-01", "2024-06-01"])
def test_start_of_a_subscription_that_fits_is_taken_and_told(estate: Path, started_on: str) -> None:
    load_all(estate, associations=[association()], usage=[usage("2024-08")])
    assert load_all(estate, subscriptions=[subscription(started_on=started_on)]).failure == ""
    (event,) = events("subscription.changed")
    assert event.changes["subscription"] == {"started_on": ["2024-07-01", started_on]}
    reader = Actor(user=None, organisation=Organisation.objects.get(number=PARTNER))
    [line] = timeline.items(reader, [event], here=True)
    assert line.reason.startswith("Start date: 1 Jul 2024 → ")


@pytest.mark.parametrize(
    ("before", "after", "column"),
    [
        ({"agreement": "EAS"}, {"agreement": "EA"}, "agreement"),
        ({"started_on": "2015-04-01"}, {"started_on": "2015-05-01"}, "started_on"),
        ({"agreement": "EAS"}, {"agreement": "EA", "started_on": "2024-06-01"}, "agreement"),
    ],
)
def test_correction_that_would_let_a_legacy_form_through_stays_out(
    estate: Path, before: Row, after: Row, column: str
) -> None:
    load_all(estate, subscriptions=[subscription(UNKNOWN) | before])
    form = association(subscription_id=UNKNOWN, kind="osa_form")
    assert load_all(estate, associations=[form]).failure == ""
    loaded = load_all(estate, subscriptions=[subscription(UNKNOWN, seats="7") | before | after], associations=[form])
    assert loaded.codes == [("2", column, "collides_with_record")]
    assert "a legacy form" in loaded.errors[0]["reason"]
    stored = Subscription.objects.get(subscription_id=UNKNOWN)
    assert str(getattr(stored, column)) == (subscription() | before)[column]
    assert stored.seats == 7


def test_agreement_without_a_legacy_form_is_corrected(estate: Path) -> None:
    load_all(estate, subscriptions=[subscription(UNKNOWN, agreement="EAS")])
    assert load_all(estate, subscriptions=[subscription(UNKNOWN)]).failure == ""
    form = association(subscription_id=UNKNOWN, kind="osa_form")
    assert load_all(estate, associations=[form]).codes == [("2", "kind", "digital_only")]


@pytest.mark.parametrize("began_on", ["2024-07-15", "2024-09-01"])
@pytest.mark.parametrize("kind", ["dpor", "transacting"])
def test_corrected_start_of_an_association_is_taken(estate: Path, began_on: str, kind: str) -> None:
    load_all(estate, associations=[association(kind=kind)])
    row = association(kind=kind, began_on=began_on)
    loaded = load_all(estate, associations=[row])
    assert (loaded.failure, "0 created, 1 changed" in loaded.out) == ("", True)
    one = Association.objects.get()
    assert (f"{one.began_at:%Y-%m-%d}", one.ended_at) == (began_on, None)
    (event,) = events("partner_of_record.redated" if kind == "dpor" else "association.redated")
    assert event.changes["began_at_before"] == "2024-08-01T00:00:00+00:00"
    assert event.parties == [one.partner_id]
    assert "Nothing has changed." in load_all(estate, associations=[row]).out


def test_corrected_start_that_a_person_has_moved_is_reported(estate: Path, elin: Actor) -> None:
    recent = timezone.now().date() - timedelta(days=60)
    load_all(estate, associations=[association(began_on=recent.isoformat())])
    attach(ID, PARTNER, by=elin, began_on=recent - timedelta(days=30))
    loaded = load_all(estate, associations=[association(began_on=(recent - timedelta(days=10)).isoformat())])
    assert loaded.codes == [("2", "", "changed_in_product")]
    assert f"{recent - timedelta(days=30)}/.. is stored" in loaded.errors[0]["reason"]


def test_moves_by_people_are_looked_up_once_for_all_corrected_starts(estate: Path) -> None:
    """Each correction costs a write, but no query of its own to the history."""

    def looked_up(day: str) -> int:
        rows = [association(subscription_id=f"{one:08}-7a53-4a86-8b0d-3f6f0f3f7b21", began_on=day) for one in range(9)]
        with CaptureQueriesContext(connection) as queries:
            assert load_one(estate, "associations", *rows).failure == ""
        return sum("dated_back" in one["sql"] for one in queries)

    ids = [f"{one:08}-7a53-4a86-8b0d-3f6f0f3f7b21" for one in range(9)]
    load_one(estate, "subscriptions", *(subscription(one) for one in ids))
    assert [looked_up(day) for day in ("2024-08-01", "2024-08-01", "2024-08-05")] == [0, 0, 1]
    assert {f"{one.began_at:%Y-%m-%d}" for one in Association.objects.all()} == {"2024-08-05"}


def test_corrected_starts_follow_each_other(estate: Path) -> None:
    """Each period moves to where the next one was, and the last one ends later."""
    rows = [
        association(ended_on="2025-01-01"),
        association(RIVAL, began_on="2025-01-01", ended_on="2025-03-01"),
        association(began_on="2025-03-01", ended_on="2025-05-01"),
    ]
    load_all(estate, associations=rows)
    moved = [
        association(began_on="2024-09-01", ended_on="2025-02-01"),
        association(RIVAL, began_on="2025-02-01", ended_on="2025-04-01"),
        association(began_on="2025-04-01", ended_on="2025-06-01"),
    ]
    assert load_all(estate, associations=moved).failure == ""
    assert periods() == [(one["mpn_id"], one["began_on"], one["ended_on"]) for one in moved]
    assert "Nothing has changed." in load_all(estate, associations=moved).out


def test_later_period_of_the_same_partner_is_a_new_one(estate: Path) -> None:
    load_all(estate, associations=[association(ended_on="2025-01-01")])
    assert load_all(estate, associations=[association(began_on="2025-02-01")]).failure == ""
    assert len(periods()) == 2


def test_corrected_start_and_the_end_that_is_taken_back_come_together(estate: Path) -> None:
    load_all(estate, associations=[association()])
    load_all(estate, subscriptions=[EXPIRED])
    row = association(began_on="2024-07-15")
    assert load_all(estate, associations=[row]).failure == ""
    assert periods()[0][1] == "2024-07-15"
    assert Association.objects.get().end_reason == "subscription_expired", "its end stays while there is a reason"
    load_all(estate, subscriptions=[ACTIVE], associations=[association()])
    assert periods() == [(PARTNER, "2024-08-01", "")]


# --- True rows on a first load --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("renews_on", "ended_on"),
    [("2025-06-30", "2025-06-30"), ("2999-06-30", ""), ("", ""), ("2024-08-01", "")],
)
def test_open_association_of_an_expired_subscription_is_taken_and_has_ended(
    estate: Path, renews_on: str, ended_on: str
) -> None:
    files = {"subscriptions": [subscription(UNKNOWN, status="expired", renews_on=renews_on)]}
    row = association(subscription_id=UNKNOWN)
    assert load_all(estate, **files, associations=[row]).failure == ""
    one = Association.objects.get()
    assert one.ended_at is not None
    assert f"{one.ended_at:%Y-%m-%d}" == (ended_on or f"{one.attached_at:%Y-%m-%d}")
    assert (one.end_reason, one.end_inferred) == ("subscription_expired", True)
    assert events("partner_of_record.ended") == [], "it is news to no one"
    assert "Nothing has changed." in load_all(estate, **files, associations=[row]).out
    load_all(estate, associations=[row | {"ended_on": "2025-01-31"}])
    one.refresh_from_db()
    assert (f"{one.ended_at:%Y-%m-%d}", one.end_reason, one.end_inferred) == ("2025-01-31", "file", False)


def test_end_that_was_inferred_is_taken_back_within_the_days_after_the_import(estate: Path) -> None:
    row = association(subscription_id=UNKNOWN)
    expired = subscription(UNKNOWN, status="expired", renews_on="2025-06-30")
    load_all(estate, subscriptions=[expired], associations=[row])
    active = subscription(UNKNOWN, renews_on="2025-06-30")
    assert load_all(estate, subscriptions=[active]).failure == ""
    one = Association.objects.get()
    assert (one.ended_at, one.end_reason, one.end_inferred) == (None, "", False)


def test_open_association_of_a_closed_partner_is_taken_and_has_ended(estate: Path) -> None:
    load_all(estate, partners=[CLOSED])
    rows = [association(), association(kind="pal", subscription_id="", tenant_id=TENANT)]
    assert load_all(estate, associations=rows).failure == ""
    for one in Association.objects.all():
        assert one.ended_at == one.attached_at
        assert (one.end_reason, one.end_inferred) == ("partner_closed", True)
    assert "Nothing has changed." in load_all(estate, associations=rows).out


def test_record_of_a_closed_partner_had_ended_with_its_expired_subscription(estate: Path) -> None:
    expired = subscription(UNKNOWN, status="expired", renews_on="2025-06-30")
    row = association(subscription_id=UNKNOWN)
    load_all(estate, partners=[CLOSED], subscriptions=[expired], associations=[row])
    for partners in (CLOSED, OPEN):
        assert "0 created, 0 changed, 1 unchanged" in load_all(estate, partners=[partners], associations=[row]).out
        one = Association.objects.get()
        ended = start_of(date(2025, 6, 30))
        assert (one.ended_at, one.end_reason, one.end_inferred) == (ended, "subscription_expired", True)


def test_association_with_a_known_end_is_open_until_then(estate: Path) -> None:
    today = timezone.now().date()
    day = today + timedelta(days=2)
    row = association(ended_on=day.isoformat())
    assert load_all(estate, associations=[row]).failure == ""
    assert (periods(), Association.objects.get().ends_on) == ([(PARTNER, "2024-08-01", "")], day)
    assert "Nothing has changed." in load_all(estate, associations=[row]).out
    assert end_due() == 0
    later = row | {"ended_on": (day + timedelta(days=1)).isoformat()}
    assert "0 created, 1 changed" in load_all(estate, associations=[later]).out
    assert "0 created, 1 changed" in load_all(estate, associations=[association()]).out
    assert Association.objects.get().ends_on is None
    load_all(estate, associations=[row])
    with mock.patch.object(timezone, "now", return_value=start_of(day) - timedelta(microseconds=1)):
        assert run_scheduled() == 0
    version = Subscription.objects.get(subscription_id=ID).version
    with mock.patch.object(timezone, "now", return_value=start_of(day) + timedelta(hours=1)):
        assert run_scheduled() == 1
        assert run_scheduled() == 0
        assert "Nothing has changed." in load_all(estate, associations=[row]).out
    one = Association.objects.get()
    assert (one.ended_at, one.end_reason) == (start_of(day), "file")
    assert Subscription.objects.get(subscription_id=ID).version == version + 1
    (event,) = events("partner_of_record.ended")
    assert (event.parties, event.changes["ended_at"]) == ([one.partner_id], start_of(day).isoformat())
    assert list(verify()) == []


def test_person_who_removes_a_partner_with_a_known_end_is_right(estate: Path, elin: Actor) -> None:
    day = timezone.now().date() + timedelta(days=2)
    load_all(estate, associations=[association(ended_on=day.isoformat())])
    removed = remove(ID, by=elin)
    with mock.patch.object(timezone, "now", return_value=start_of(day)):
        assert end_due() == 0
    assert Association.objects.get().ended_at == removed.ended_at


def test_known_end_that_comes_while_a_question_is_open_cancels_it(estate: Path, elin: Actor) -> None:
    day = timezone.now().date() + timedelta(days=2)
    load_all(estate, associations=[association(ended_on=day.isoformat())])
    request = attach(ID, RIVAL, by=elin).request
    assert request is not None
    with mock.patch.object(timezone, "now", return_value=start_of(day)):
        assert end_due() == 1
    request.refresh_from_db()
    assert (request.status, request.cancelled_because) == ("cancelled", "ended")
