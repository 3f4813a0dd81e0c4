"""Attaching, removing and undoing: what each verb changes, records and refuses."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.attaching.actions import undo
from associations.record import locking
from associations.record.models import Association, start_of
from associations.record.policies import months_before, policy_on
from associations.record.rules import AssociationKind, EndReason, Source
from por.accounts.models import Actor
from por.directory.models import CheckOfId, Partner, Subscription
from por.errors import Forbidden, NotFound, RateLimited, Refused, VersionConflict
from por.history.models import Event, Outbox, Party
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription


def refused(code: str, call, *args, kind=Refused, field=None, **kwargs) -> Refused:
    with pytest.raises(kind) as caught, transaction.atomic():
        call(*args, **kwargs)
    assert caught.value.code == code
    assert caught.value.field == field
    assert str(caught.value)
    return caught.value


def verbs(subscription: Subscription) -> list[str]:
    events = Event.objects.filter(object_id=str(subscription.subscription_id)).order_by("seq")
    return [event.verb.removeprefix("partner_of_record.") for event in events]


def attach(subscription: Subscription, partner: Partner, admin: Actor, **fields) -> Association:
    return attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin, **fields).association


def test_attaching_makes_a_partner_of_record_from_now_on(subscription, partner, admin):
    before = timezone.now()

    association, outcome, _ = attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin, note=" rollout ")

    assert outcome == "attached"
    assert before <= association.began_at == association.attached_at <= timezone.now()
    assert (association.ended_at, association.source, association.note) == (None, Source.CUSTOMER, "rollout")
    assert Association.objects.open().of_record().get(subscription=subscription) == association


def test_attaching_records_one_event_one_outbox_row_and_the_partner_as_party(subscription, partner, admin):
    attach(subscription, partner, admin)

    event = Event.objects.get()
    assert event.verb == "partner_of_record.attached"
    assert event.chain == f"organisation:{subscription.customer_id}"
    assert (event.actor_id, event.actor_organisation_name) == (admin.user_id, "Västerhamn Energi AB")
    assert event.changes["partner"] == {"mpn_id": partner.mpn_id, "name": "Nordvik Cloud AB"}
    assert Party.objects.get().organisation_id == partner.pk
    assert Outbox.objects.get().event == event


def test_attaching_raises_the_version(subscription, partner, admin):
    attach(subscription, partner, admin)

    subscription.refresh_from_db()
    assert subscription.version == 2


def test_attaching_the_same_partner_again_changes_nothing(subscription, partner, admin):
    first = attach(subscription, partner, admin)

    again = attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)

    assert again == (first, "unchanged", None)
    assert verbs(subscription) == ["attached"]


def test_spaces_and_hyphens_in_the_id_are_ignored(subscription, admin):
    make_partner(mpn_id="4471902")

    association, *_ = attaching.attach(subscription.subscription_id, " 447-19 02 ", by=admin)

    assert association.partner.mpn_id == "4471902"


def test_second_partner_opens_a_change_request(subscription, partner, admin):
    held = attach(subscription, partner, admin)

    named = attaching.attach(subscription.subscription_id, make_partner("Halden Konsult AB").mpn_id, by=admin)

    assert (named.outcome, named.association) == ("change_requested", held)
    assert verbs(subscription) == ["attached", "change_request.opened"]


@pytest.mark.parametrize(
    ("status", "code"),
    [("expired", "subscription_expired"), ("suspended", "subscription_suspended"), ("grace", "subscription_suspended")],
)
def test_no_partner_can_be_attached_to_a_subscription_that_is_not_active(customer, partner, admin, status, code):
    subscription = make_subscription(customer, status=status)

    refused(code, attach, subscription, partner, admin)


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"kind": "global"}, "partner_is_global", None),
        ({"status": "suspended"}, "partner_suspended", None),
        ({"status": "closed"}, "partner_not_found", "mpn_id"),
    ],
)
def test_partner_that_cannot_be_attached_is_refused(subscription, admin, fields, code, field):
    refused(code, attach, subscription, make_partner(**fields), admin, field=field)


@pytest.mark.parametrize("entered", ["", "123", "12345678901", "44719o2", "４４７１９０２", "4471902\x00"])
def test_malformed_mpn_id_is_refused(subscription, admin, entered):
    refused("mpn_id_malformed", attaching.attach, subscription.subscription_id, entered, by=admin, field="mpn_id")


def test_attaching_an_unknown_id_counts_as_a_check_and_is_limited(subscription, admin, partner):
    for number in range(20):
        with pytest.raises(Refused, match="No partner"):
            attaching.attach(subscription.subscription_id, str(9000000 + number), by=admin)

    with pytest.raises(RateLimited):
        attaching.attach(subscription.subscription_id, "9999999", by=admin)

    assert CheckOfId.objects.filter(outcome="partner_not_found").count() == 20
    assert attach(subscription, partner, admin)  # a known ID is never delayed


def test_viewer_is_refused_and_a_stranger_finds_no_subscription(subscription, partner, admin):
    viewer = make_member(subscription.customer.organisation, "viewer")
    stranger = make_member(make_customer("Almviks kommun").organisation)
    partners_admin = make_member(partner.organisation)

    refused("no_right", attach, subscription, partner, viewer, kind=Forbidden)
    refused("not_found", attach, subscription, partner, stranger, kind=NotFound)
    refused("not_found", attach, subscription, partner, partners_admin, kind=NotFound)
    attach(subscription, partner, admin)
    refused("no_right", attaching.remove, subscription.subscription_id, by=partners_admin, kind=Forbidden)
    refused("no_right", attaching.remove, subscription.subscription_id, by=make_staff("auditor"), kind=Forbidden)


def test_caller_with_an_old_version_is_refused_as_stale(subscription, partner, admin):
    refused("stale", attach, subscription, partner, admin, version=0, kind=VersionConflict)
    attach(subscription, partner, admin, version=1)
    refused("stale", attaching.remove, subscription.subscription_id, by=admin, version=1, kind=VersionConflict)


def test_removing_ends_the_association_with_its_reason(subscription, partner, admin):
    attach(subscription, partner, admin)

    association = attaching.remove(subscription.subscription_id, by=admin, reason=" The project ended. ")

    assert association.ended_at is not None
    assert (association.end_reason, association.end_note) == (EndReason.REMOVED, "The project ended.")
    assert Event.objects.latest("id").reason == "The project ended."
    assert not Association.objects.open().exists()


def test_removing_is_refused_without_a_partner_of_record(subscription, admin):
    refused("no_partner_of_record", attaching.remove, subscription.subscription_id, by=admin)


def test_partner_can_be_removed_from_an_expired_subscription(subscription, partner, admin):
    attach(subscription, partner, admin)
    Subscription.objects.update(status="expired")

    assert attaching.remove(subscription.subscription_id, by=admin)


def test_undoing_an_attach_strikes_the_association(subscription, partner, admin):
    association = attach(subscription, partner, admin)

    assert undo.undo(subscription.subscription_id, by=admin) is None

    association.refresh_from_db()
    assert association.undone_at is not None
    assert not Association.objects.not_undone().exists()
    assert verbs(subscription) == ["attached", "attach_undone"]


def test_undoing_a_removal_reopens_the_same_association(subscription, partner, admin):
    association = attach(subscription, partner, admin)
    attaching.remove(subscription.subscription_id, by=admin, reason="By mistake")

    reopened = undo.undo(subscription.subscription_id, by=make_member(subscription.customer.organisation))

    assert reopened == association
    association.refresh_from_db()
    assert (association.ended_at, association.end_reason, association.end_note) == (None, "", "")
    assert verbs(subscription) == ["attached", "removed", "removal_undone"]


def test_undo_cannot_be_undone(subscription, partner, admin):
    attach(subscription, partner, admin)
    attaching.remove(subscription.subscription_id, by=admin)
    undo.undo(subscription.subscription_id, by=admin)

    refused("nothing_to_undo", undo.undo, subscription.subscription_id, by=admin)


def test_there_is_nothing_to_undo_at_first(subscription, admin):
    refused("nothing_to_undo", undo.undo, subscription.subscription_id, by=admin)


def test_undo_is_refused_after_half_an_hour(subscription, partner, admin):
    association = attach(subscription, partner, admin)
    long_ago = timezone.now() - timedelta(minutes=30, seconds=1)
    Association.objects.filter(pk=association.pk).update(began_at=long_ago, attached_at=long_ago)

    refused("undo_too_late", undo.undo, subscription.subscription_id, by=admin)


def test_removal_cannot_be_undone_once_another_partner_is_attached(subscription, partner, admin):
    attach(subscription, partner, admin)
    removed = attaching.remove(subscription.subscription_id, by=admin)
    Association.objects.create(
        kind=AssociationKind.DPOR,
        customer=subscription.customer,
        subscription=subscription,
        partner=make_partner("Halden Konsult AB"),
        began_at=removed.ended_at,
        source=Source.ESTATE,
    )

    refused("slot_taken", undo.undo, subscription.subscription_id, by=admin)


def test_removal_cannot_be_undone_once_the_partners_account_is_closed(subscription, partner, admin):
    attach(subscription, partner, admin)
    attaching.remove(subscription.subscription_id, by=admin)
    Partner.objects.update(status="closed")

    refused("partner_closed", undo.undo, subscription.subscription_id, by=admin)


def test_change_of_another_customer_cannot_be_undone(subscription, partner, admin):
    other = make_subscription(make_customer("Almviks kommun"))
    attach(subscription, partner, admin)

    refused("not_found", undo.undo, other.subscription_id, by=admin, kind=NotFound)


def test_start_can_be_the_start_of_a_past_day(subscription, partner, admin):
    day = timezone.now().date() - timedelta(days=40)

    association = attach(subscription, partner, admin, began_on=day)

    assert association.began_at == start_of(day)
    assert association.attached_at > association.began_at


def test_earlier_start_for_the_same_partner_moves_its_start(subscription, partner, admin):
    first = attach(subscription, partner, admin)
    day = timezone.now().date() - timedelta(days=40)

    moved = attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin, began_on=day)
    same = attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin, began_on=day)

    assert (moved.association, moved.outcome) == (first, "moved_back")
    assert moved.association.began_at == start_of(day)
    assert same.outcome == "unchanged"
    assert verbs(subscription) == ["attached", "dated_back"]


def test_later_start_for_the_same_partner_moves_its_start_too(subscription, partner, admin):
    day = timezone.now().date() - timedelta(days=40)
    first = attach(subscription, partner, admin, began_on=day)

    moved = attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin, began_on=day + timedelta(days=9))

    assert (moved.association, moved.outcome) == (first, "moved_forward")
    assert moved.association.began_at == start_of(day + timedelta(days=9))
    event = Event.objects.latest("id")
    assert (event.verb, event.changes["began_at_before"]) == (
        "partner_of_record.dated_forward",
        start_of(day).isoformat(),
    )
    tomorrow = admin.today + timedelta(days=1)
    refused("began_on_in_future", attach, subscription, partner, admin, began_on=tomorrow, field="began_on")


def test_moved_start_is_undone_once_and_the_partner_is_of_record_as_before(subscription, partner, admin):
    day = timezone.now().date() - timedelta(days=40)
    first = attach(subscription, partner, admin, began_on=day)
    attach(subscription, partner, admin, began_on=day + timedelta(days=9))

    assert undo.undo(subscription.subscription_id, by=admin) == first

    first.refresh_from_db()
    assert (first.began_at, first.redated_at, first.began_at_before) == (start_of(day), None, None)
    assert verbs(subscription)[-1] == "dating_undone"
    refused("nothing_to_undo", undo.undo, subscription.subscription_id, by=admin)


def test_moved_start_is_not_undone_over_a_period_that_a_file_has_put_there(subscription, partner, admin):
    day = timezone.now().date() - timedelta(days=40)
    attach(subscription, partner, admin, began_on=day)
    attach(subscription, partner, admin, began_on=day + timedelta(days=9))
    Association.objects.create(
        kind="dpor", customer=subscription.customer, subscription=subscription, partner=make_partner(),
        began_at=start_of(day), ended_at=start_of(day + timedelta(days=5)), source="estate",
    )  # fmt: skip
    refused("slot_taken", undo.undo, subscription.subscription_id, by=admin)


def test_start_in_the_future_or_too_far_back_is_refused(customer, partner, admin):
    today = admin.today
    old = make_subscription(customer, started_on=date(2014, 1, 1))
    young = make_subscription(customer, started_on=today - timedelta(days=10))

    def on(subscription: Subscription, day: date, code: str) -> None:
        refused(code, attach, subscription, partner, admin, began_on=day, field="began_on")

    on(old, today + timedelta(days=1), "began_on_in_future")
    on(old, months_before(today, 12) - timedelta(days=1), "began_on_too_early")
    on(young, today - timedelta(days=11), "began_on_too_early")
    assert attach(old, partner, admin, began_on=months_before(today, 12))
    assert attach(young, partner, admin, began_on=today - timedelta(days=10))


@pytest.mark.usefixtures("any_time")
def test_earlier_start_is_stored_as_the_same_utc_day_from_every_time_zone(subscription, partner, monkeypatch, customer):
    monkeypatch.setattr(timezone, "now", lambda: datetime(2026, 4, 4, 23, 30, tzinfo=UTC))
    for zone in ("Pacific/Auckland", "Pacific/Honolulu"):
        by = make_member(customer.organisation, time_zone=zone)
        association = attach(subscription, partner, by, began_on=date(2026, 4, 3))
        assert association.began_at == datetime(2026, 4, 3, tzinfo=UTC)
        undo.undo(subscription.subscription_id, by=by)


def test_start_cannot_overlap_another_period(subscription, partner, admin):
    day = timezone.now().date() - timedelta(days=5)
    attach(subscription, partner, admin)
    attaching.remove(subscription.subscription_id, by=admin)

    refused(
        "overlaps_another_period",
        attach,
        subscription,
        make_partner("Halden Konsult AB"),
        admin,
        began_on=day,
        field="began_on",
    )


def test_start_can_overlap_an_undone_period(subscription, partner, admin):
    day = timezone.now().date() - timedelta(days=5)
    attach(subscription, partner, admin)
    undo.undo(subscription.subscription_id, by=admin)

    assert attach(subscription, make_partner("Halden Konsult AB"), admin, began_on=day).began_at == start_of(day)


def test_instants_on_a_unit_increase_even_when_the_clock_goes_back(subscription, partner, admin, monkeypatch):
    noon = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: noon)
    association = attach(subscription, partner, admin)

    monkeypatch.setattr(timezone, "now", lambda: noon - timedelta(seconds=5))
    removed = attaching.remove(subscription.subscription_id, by=admin)
    again = attach(subscription, make_partner("Halden Konsult AB"), admin)

    assert association.began_at < removed.ended_at < again.began_at


def test_verb_reads_two_associations_however_many_there_are(subscription, partner, admin):
    """One of the two has the latest instant of the unit, whichever verb it came from."""
    rival = make_partner("Halden Konsult AB")

    sequence = ("attach", "remove", "undo", "remove", "attach", "undo", "attach", "remove", "attach", "undo") * 2
    for turn, verb in enumerate(sequence):
        if verb == "attach":
            attach(subscription, partner if turn % 2 else rival, admin)
        else:
            {"remove": attaching.remove, "undo": undo.undo}[verb](subscription.subscription_id, by=admin)
        latest, record = locking.latest(subscription), locking.all_associations(subscription)
        assert len(latest) <= 2
        assert locking.current(latest) == locking.current(record)
        assert max(instants(latest)) == max(instants(record))


def instants(record: list[Association]) -> list[datetime]:
    names = ("began_at", "ended_at", "attached_at", "undone_at", "reopened_at")
    return [moment for one in record for name in names if (moment := getattr(one, name))]


def test_partner_can_be_attached_in_its_own_tenant_and_is_marked(customer, admin):
    partner = make_partner(own_tenant_id=customer.tenant_id)

    association = attach(make_subscription(customer), partner, admin)

    assert association.is_own_tenant


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2024, 2, 29), 12, date(2023, 2, 28)),
        (date(2026, 3, 31), 1, date(2026, 2, 28)),
        (date(2024, 3, 31), 1, date(2024, 2, 29)),
        (date(2026, 12, 31), 12, date(2025, 12, 31)),
        (date(2026, 1, 15), 1, date(2025, 12, 15)),
    ],
)
def test_months_before_a_day_end_on_an_existing_day(day, months, expected):
    assert months_before(day, months) == expected


def test_policy_of_a_day_is_the_last_one_that_began_by_then():
    assert policy_on(date(2026, 1, 1)).undo_within == timedelta(minutes=30)


def period(subscription: Subscription, partner: Partner, began: int, ended: int | None, **fields) -> Association:
    return Association.objects.create(
        **{
            "kind": AssociationKind.DPOR,
            "customer": subscription.customer,
            "subscription": subscription,
            "partner": partner,
            "began_at": datetime(2026, 1, began, tzinfo=UTC),
            "ended_at": datetime(2026, 1, ended, tzinfo=UTC) if ended else None,
            "source": Source.ESTATE,
        }
        | fields
    )


@pytest.mark.parametrize(
    ("constraint", "second"),
    [
        ("one_partner_of_record_per_subscription|no_two_periods_of_record_overlap", {"began": 20, "ended": None}),
        ("no_two_periods_of_record_overlap", {"began": 5, "ended": 11}),
        ("an_association_ends_after_it_begins", {"began": 5, "ended": 5}),
        (
            "an_association_is_of_a_subscription_a_workload_or_a_tenant",
            {"began": 5, "ended": 6, "kind": AssociationKind.PAL},
        ),
    ],
)
def test_database_refuses_periods_that_break_a_constraint(subscription, partner, constraint, second):
    period(subscription, partner, 10, None)

    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        period(subscription, partner, **second)


def test_touching_and_undone_periods_do_not_overlap(subscription, partner):
    period(subscription, partner, 10, 20)
    period(subscription, partner, 20, None)
    period(subscription, partner, 12, None, undone_at=timezone.now())
    period(subscription, partner, 12, 14, kind=AssociationKind.OSA_FORM)

    assert Association.objects.count() == 4
