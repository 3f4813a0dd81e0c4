from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from associations.attaching.actions.attach import attach, remove
from associations.attaching.actions.ending import end_overtaken
from associations.attaching.actions.undo import undo
from associations.record import timeline
from associations.record.models import Association
from por.accounts.models import Actor, Organisation
from por.directory.models import Customer, Partner, Subscription
from por.history.actions.verifying import verify
from por.history.models import Event
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
    write,
)

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


@pytest.fixture
def elin(estate: Path) -> Actor:
    return factories.make_member(Customer.objects.get().organisation)


def load_associations(estate: Path, *rows: Row) -> Loaded:
    return load_one(estate, "associations", *rows)


def periods() -> list[tuple[str, str, str]]:
    """Return the periods of the subscription: partner, first day, and last day."""
    record = Association.objects.not_undone().of_record().filter(subscription__subscription_id=ID)
    return [
        (one.partner.mpn_id, f"{one.began_at:%Y-%m-%d}", f"{one.ended_at:%Y-%m-%d}" if one.ended_at else "")
        for one in record.order_by("began_at")
    ]


def test_days_in_a_file_become_starts_of_utc_days(estate: Path) -> None:
    before = timezone.now()
    assert load_associations(estate, association(ended_on="2025-01-31")).failure == ""
    one = Association.objects.get()
    assert one.began_at == datetime(2024, 8, 1, tzinfo=UTC)
    assert one.ended_at == datetime(2025, 1, 31, tzinfo=UTC)
    assert (one.source, one.end_reason, one.customer.tenant_id) == ("estate", "", uuid.UUID(TENANT))
    assert one.attached_at >= before, "it was recorded when it was loaded"


def test_import_raises_the_version_of_a_subscription_once(estate: Path) -> None:
    rows = [association(ended_on="2025-01-31"), association(RIVAL, began_on="2025-01-31")]
    load_associations(estate, *rows)
    assert Subscription.objects.get(subscription_id=ID).version == 2
    assert "Nothing has changed." in load_associations(estate, *rows).out
    load_associations(estate, association(RIVAL, kind="transacting"))
    assert Subscription.objects.get(subscription_id=ID).version == 2, "the other kinds are not of its record"


def test_kinds_of_a_tenant_belong_to_the_customer(estate: Path) -> None:
    row = association(kind="pal", subscription_id="", tenant_id=TENANT)
    assert load_associations(estate, row, row | {"mpn_id": RIVAL}).failure == ""
    assert Association.objects.filter(kind="pal", subscription=None, customer=Customer.objects.get()).count() == 2


TOMORROW = f"{timezone.now() + timedelta(days=2):%Y-%m-%d}"


@pytest.mark.parametrize(
    ("cells", "column", "code"),
    [
        ({"subscription_id": ""}, "subscription_id", "one_of_subscription_and_tenant"),
        ({"tenant_id": TENANT}, "subscription_id", "one_of_subscription_and_tenant"),
        ({"kind": "pal"}, "subscription_id", "wrong_unit_for_kind"),
        ({"subscription_id": "", "tenant_id": TENANT}, "tenant_id", "wrong_unit_for_kind"),
        ({"subscription_id": "12"}, "subscription_id", "malformed_guid"),
        ({"subscription_id": UNKNOWN}, "subscription_id", "unknown_subscription"),
        ({"subscription_id": TENANT}, "subscription_id", "unknown_subscription"),
        ({"subscription_id": "", "tenant_id": UNKNOWN, "kind": "pal"}, "tenant_id", "unknown_customer"),
        ({"mpn_id": "12"}, "mpn_id", "mpn_id_malformed"),
        ({"mpn_id": "9999999"}, "mpn_id", "unknown_partner"),
        ({"mpn_id": GLOBAL}, "mpn_id", "partner_is_global"),
        ({"kind": "friend"}, "kind", "unknown_value"),
        ({"began_on": ""}, "began_on", "missing_value"),
        ({"began_on": "1 August"}, "began_on", "malformed_date"),
        ({"began_on": TOMORROW}, "began_on", "began_in_future"),
        ({"began_on": "2024-06-30"}, "began_on", "began_before_subscription"),
        ({"ended_on": "2024-08-01"}, "ended_on", "ended_not_after_began"),
    ],
)
def test_bad_row_is_refused_with_a_code(estate: Path, cells: Row, column: str, code: str) -> None:
    assert load_associations(estate, association() | cells).codes == [("2", column, code)]
    assert not Association.objects.exists()
    assert Subscription.objects.get(subscription_id=ID).version == 1


# --- one at a time


def test_first_of_two_overlapping_rows_is_imported(estate: Path) -> None:
    loaded = load_associations(estate, association(), association(RIVAL, began_on="2024-09-01", ended_on="2025-01-31"))
    assert loaded.codes == [("3", "began_on", "overlaps_another_period")]
    assert periods() == [(PARTNER, "2024-08-01", "")]


def test_touching_periods_do_not_overlap_in_any_order(estate: Path) -> None:
    rows = [association(RIVAL, began_on="2025-01-31"), association(ended_on="2025-01-31")]
    assert load_associations(estate, *rows).failure == ""
    assert periods() == [(PARTNER, "2024-08-01", "2025-01-31"), (RIVAL, "2025-01-31", "")]


def test_row_that_overlaps_a_stored_period_is_refused(estate: Path) -> None:
    load_associations(estate, association())
    loaded = load_associations(estate, association(RIVAL, began_on="2025-01-31"))
    assert loaded.codes == [("2", "began_on", "overlaps_another_period")]
    assert periods() == [(PARTNER, "2024-08-01", "")]


def test_one_import_can_end_a_period_and_begin_the_next(estate: Path) -> None:
    load_associations(estate, association())
    loaded = load_associations(estate, association(RIVAL, began_on="2025-01-31"), association(ended_on="2025-01-31"))
    assert "1 created, 1 changed, 0 unchanged, 0 failed" in loaded.out
    assert periods() == [(PARTNER, "2024-08-01", "2025-01-31"), (RIVAL, "2025-01-31", "")]


def test_periods_of_other_kinds_can_overlap(estate: Path) -> None:
    rows = [association(kind="transacting"), association(RIVAL, kind="transacting"), association(RIVAL)]
    assert load_associations(estate, *rows).failure == ""
    assert Association.objects.open().count() == 3


# --- what people have changed since


def test_import_does_not_bring_back_a_removed_partner(estate: Path, elin: Actor) -> None:
    load_associations(estate, association())
    removed = remove(ID, by=elin)
    version = Subscription.objects.get(subscription_id=ID).version
    assert load_associations(estate, association()).codes == [("2", "", "changed_in_product")]
    again = Association.objects.get()
    assert (again.ended_at, again.end_reason) == (removed.ended_at, "removed")
    assert Subscription.objects.get(subscription_id=ID).version == version


def test_undone_removal_agrees_with_the_file(estate: Path, elin: Actor) -> None:
    load_associations(estate, association())
    remove(ID, by=elin)
    undo(ID, by=elin)
    assert "Nothing has changed." in load_associations(estate, association()).out
    ended = load_associations(estate, association(ended_on="2025-01-31"))
    assert ended.codes == [("2", "", "changed_in_product")]
    assert periods() == [(PARTNER, "2024-08-01", "")]


def test_import_keeps_a_start_that_was_moved_back(estate: Path, elin: Actor) -> None:
    recent = timezone.now().date() - timedelta(days=60)
    load_associations(estate, association(began_on=recent.isoformat()))
    attach(ID, PARTNER, by=elin, began_on=recent - timedelta(days=30))
    loaded = load_associations(estate, association(began_on=recent.isoformat()))
    assert loaded.codes == [("2", "", "changed_in_product")]
    assert periods() == [(PARTNER, f"{recent - timedelta(days=30)}", "")]


def test_import_keeps_what_a_customer_attached(estate: Path, elin: Actor) -> None:
    today = timezone.now().date()
    attach(ID, PARTNER, by=elin, began_on=today - timedelta(days=30))
    row = association(began_on=(today - timedelta(days=30)).isoformat())
    assert "Nothing has changed." in load_associations(estate, row).out
    loaded = load_associations(estate, row | {"ended_on": today.isoformat()})
    assert loaded.codes == [("2", "", "changed_in_product")]
    assert Association.objects.get().source == "customer"


# --- what ends from outside


def ends() -> list[Event]:
    return list(Event.objects.filter(verb="partner_of_record.ended"))


def test_expired_subscription_ends_its_association_with_one_event(estate: Path) -> None:
    load_associations(estate, association(), association(RIVAL, kind="transacting"))
    version = Subscription.objects.get(subscription_id=ID).version
    expired = [subscription(status="expired")]
    assert "was closed: 1." in load_one(estate, "subscriptions", *expired).out
    one = Association.objects.of_record().get()
    assert one.end_reason == "subscription_expired"
    assert one.ended_at is not None
    assert Association.objects.open().get().kind == "transacting", "only the record ends"
    (event,) = ends()
    assert event.changes["end_reason"] == "subscription_expired"
    assert (event.object_id, event.chain) == (SUBSCRIPTION, f"organisation:{one.customer_id}")
    assert event.parties == [one.partner_id]
    assert event.actor_id is None
    assert Subscription.objects.get(subscription_id=ID).version == version + 2, "its status, and its record"
    assert "Nothing has changed." in load_one(estate, "subscriptions", *expired).out
    assert "Nothing has changed." in load_associations(estate, association()).out
    assert len(ends()) == 1


def test_closed_partner_loses_all_its_associations(estate: Path) -> None:
    load_associations(
        estate,
        association(),
        association(kind="transacting"),
        association(kind="pal", subscription_id="", tenant_id=TENANT),
        association(RIVAL, kind="transacting"),
    )
    assert "was closed: 3." in load_one(estate, "partners", partner(status="closed")).out
    assert {one.end_reason for one in Association.objects.filter(partner__mpn_id=PARTNER)} == {"partner_closed"}
    assert Association.objects.open().get().partner.mpn_id == RIVAL
    (event,) = ends()
    assert event.changes["end_reason"] == "partner_closed"
    assert list(verify()) == []


def test_suspended_partner_and_grace_period_end_nothing(estate: Path) -> None:
    load_associations(estate, association())
    load_one(estate, "partners", partner(status="suspended"))
    load_one(estate, "subscriptions", subscription(status="grace"))
    assert periods() == [(PARTNER, "2024-08-01", "")]
    assert ends() == []


def test_next_import_makes_the_ends_that_a_killed_import_left_out(estate: Path) -> None:
    load_associations(estate, association())
    Partner.objects.filter(mpn_id=PARTNER).update(status="closed")  # as far as the killed import came
    assert end_overtaken() == 1
    assert end_overtaken() == 0
    assert len(ends()) == 1


def test_changed_subscription_with_a_partner_of_record_records_one_event_with_the_changes(estate: Path) -> None:
    load_associations(estate, association())
    load_one(estate, "subscriptions", subscription(seats="500", renews_on="2027-12-31"))
    event = Event.objects.get(verb="subscription.changed")
    assert event.changes["subscription"] == {"seats": [420, 500], "renews_on": ["2036-06-30", "2027-12-31"]}
    assert (event.object_id, event.parties) == (SUBSCRIPTION, [Partner.objects.get(mpn_id=PARTNER).pk])
    assert list(verify()) == []

    reader = Actor(user=None, organisation=Organisation.objects.get(number=PARTNER))
    [line] = timeline.items(reader, [event], here=True)
    assert line.reason == "Seats: 420 → 500, Renewal: 30 Jun 2036 → 31 Dec 2027"

    load_one(estate, "subscriptions", subscription(seats="500", renews_on="2027-12-31"))
    load_one(estate, "subscriptions", subscription(seats="500", renews_on="2027-12-31", status="expired"))
    assert Event.objects.filter(verb="subscription.changed").count() == 1  # its end is an event of its own
    assert len(ends()) == 1
