"""claims.csv: claims that were approved before they came here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from associations.claims.models import Claim, ClaimStep, ClaimUnit
from associations.record import checking
from associations.record.models import Association
from por.accounts.models import Organisation
from por.directory.models import Customer
from por.history.actions import verifying
from por.history.actions.relaying import relay
from por.history.models import Event
from por.imports import loading
from por.notifications.actions import holding
from por.notifications.messages import compose
from por.notifications.models import Delivery, Notification
from tests import estates
from tests.claims import add_proof, make_submitted
from tests.estates import GLOBAL, OTHER_SUBSCRIPTION, OTHER_TENANT, PARTNER, RIVAL, SUBSCRIPTION, TENANT, claim
from tests.factories import make_member

FIRST, SECOND, THIRD = "CPR-900001", "CPR-900002", "CPR-900003"


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """Import two partners of one company and a rival, two customers, and a subscription of CRM Online of each."""
    crm = {"product": "crm_online", "sku_string_id": "CRMSTANDARD"}
    loaded = estates.load(
        estates.write(
            tmp_path,
            partners=[
                estates.partner(GLOBAL, kind="global"),
                estates.partner(parent_mpn_id=GLOBAL),
                estates.partner(RIVAL),
            ],
            customers=[estates.customer(), estates.customer(OTHER_TENANT, name="Ekholmen AB")],
            subscriptions=[
                estates.subscription(**crm),
                estates.subscription(OTHER_SUBSCRIPTION, tenant_id=OTHER_TENANT, **crm),
            ],
        )
    )
    assert loaded.failure == ""
    return tmp_path


def load(estate: Path, *rows: estates.Row) -> estates.Loaded:
    loaded = estates.load_one(estate, "claims", *rows)
    assert list(verifying.verify()) == []
    assert list(checking.examine()) == []
    return loaded


def of_crm(number: str = SECOND, **cells: str) -> estates.Row:
    return claim(number, program="osu_bizapps", workloads="", subscription_ids=SUBSCRIPTION, **cells)


def stored() -> list[tuple[Any, ...]]:
    """Return each claim with its units, and the first day and the state of the association of each."""
    found = []
    for one in Claim.objects.order_by("number"):
        units = [
            (
                unit.workload or str(unit.subscription and unit.subscription.subscription_id),
                f"{unit.association and unit.association.began_at:%Y-%m-%d}",
            )
            for unit in one.units.select_related("association", "subscription").order_by("workload")
            if unit.live and unit.association and unit.association.is_in_force
        ]
        found.append((one.number, one.name, f"{one.approved_at:%Y-%m-%d}", units))
    return found


def told() -> list[str]:
    return list(Event.objects.filter(verb__startswith="claim.").order_by("pk").values_list("verb", flat=True))


def test_file_brings_approved_claims_with_their_associations_and_again_changes_nothing(estate):
    rows = [claim(), of_crm(), claim(THIRD, tenant_id=OTHER_TENANT, mpn_id=RIVAL, workloads="Exchange Online; spo")]
    assert "3 created, 0 changed, 0 unchanged, 0 failed" in load(estate, *rows).out

    assert stored() == [
        (FIRST, "Exchange FRP Migrated FRP", "2024-09-01", [("exo", "2024-09-01"), ("teams", "2024-09-01")]),
        (SECOND, "Exchange FRP Migrated FRP", "2024-09-01", [(SUBSCRIPTION, "2024-09-01")]),
        (THIRD, "Exchange FRP Migrated FRP", "2024-09-01", [("exo", "2024-09-01"), ("spo", "2024-09-01")]),
    ]
    one = Claim.objects.get(number=FIRST)
    assert (one.status, one.consent, one.origin, one.role) == ("approved", "lapsed", "estate", "usage")
    assert one.submitted_at == one.approved_at == datetime(2024, 9, 1, tzinfo=UTC)
    assert (one.company.number, one.domain, one.turn) == (GLOBAL, "vasterhamn.example", "nobody")
    (step,) = ClaimStep.objects.filter(claim=one)
    assert (step.verb, step.after, step.at) == ("[imported]", "approved", one.approved_at)
    held = Association.objects.get(workload="exo", customer__tenant_id=TENANT)
    assert (held.kind, held.source, held.program, held.claim_number) == ("cpor", "estate", "osu_m365", FIRST)
    loaded = Event.objects.filter(verb="estate.loaded", object_id="claims.csv")
    assert sorted(event.changes["created"] for event in loaded) == [1, 2]
    assert told() == []
    assert "Nothing has changed" in load(estate, *rows).out


def test_customer_can_still_decline_what_was_approved_a_day_ago(estate):
    yesterday = (timezone.now() - timedelta(days=1)).date()
    load(estate, claim(approved_on=f"{yesterday}"))
    one = Claim.objects.get()
    assert (one.consent, one.turn) == ("pending", "customer")
    assert one.consent_due_at is not None
    assert one.consent_due_at > timezone.now()


def test_later_claims_are_told_to_the_customer_and_the_claimant(estate):
    load(estate, claim())
    load(estate, claim(), of_crm(mpn_id=RIVAL))

    event = Event.objects.get(verb="claim.imported")
    rival, customer = (Organisation.objects.get(number=one) for one in (RIVAL, TENANT))
    assert (event.chain, event.parties, event.object_name) == (f"organisation:{customer.pk}", [rival.pk], SECOND)
    assert event.changes["units"][0]["subscription"] == SUBSCRIPTION
    assert event.changes["consent_due_at"] is None
    assert "FRP" not in str(event.changes), "the name of a claim is the partner's own"


def test_both_sides_get_one_mail_about_all_claims_of_an_import(estate):
    load(estate, claim())
    claimant, admin = (make_member(Organisation.objects.get(number=one)) for one in (PARTNER, TENANT))
    load(estate, claim(workloads="exo"), claim(SECOND, workloads="spo"), claim(THIRD, workloads="yammer"))
    relay()
    assert holding.release() > 0

    for reader in (claimant, admin):
        sent = Delivery.objects.filter(user=reader.user, status="waiting")
        (one,) = [compose(each) for each in sent]
        assert "imported files made 3 changes" in one.subject
        lines = Notification.objects.filter(membership__user=reader.user)
        assert sorted(line.event.verb for line in lines) == ["claim.corrected", "claim.imported", "claim.imported"]


def test_customer_is_told_at_once_of_a_first_import_that_it_can_still_decline(estate):
    admin = make_member(Organisation.objects.get(number=TENANT))
    yesterday = (timezone.now() - timedelta(days=1)).date()
    load(estate, claim(workloads="exo"), claim(SECOND, workloads="spo", approved_on=f"{yesterday}"))

    assert told() == ["claim.imported"], "the other one is part of estate.loaded"
    assert list(checking.examine()) == []
    relay()
    holding.release()
    (sent,) = Delivery.objects.filter(user=admin.user)
    assert "decline the claim until" in compose(sent).body


def test_customer_is_not_told_that_the_partner_renamed_its_claim(estate):
    load(estate, claim())
    claimant, admin = (make_member(Organisation.objects.get(number=one)) for one in (PARTNER, TENANT))
    load(estate, claim(name="Mail"))
    relay()
    assert [one.user for one in Delivery.objects.filter(event__verb="claim.corrected")] == [claimant.user]


def test_corrected_row_is_taken_and_told(estate):
    load(estate, claim())
    before = Association.objects.get(workload="exo")

    loaded = load(estate, claim(name="Mail", workloads="exo;spo", approved_on="2024-08-15"))

    assert "0 created, 1 changed, 0 unchanged, 0 failed" in loaded.out
    assert stored() == [(FIRST, "Mail", "2024-08-15", [("exo", "2024-08-15"), ("spo", "2024-08-15")])]
    assert Association.objects.get(workload="exo").pk == before.pk
    assert Association.objects.get(workload="teams").undone_at is not None
    event = Event.objects.get(verb="claim.corrected")
    assert event.changes["fields"] == ["name", "approved_on", "units"]
    assert event.changes["approved_at_before"] == "2024-09-01T00:00:00+00:00"
    assert len(event.changes["fingerprints"]) == 3
    load(estate, claim())
    assert stored() == [
        (FIRST, "Exchange FRP Migrated FRP", "2024-09-01", [("exo", "2024-09-01"), ("teams", "2024-09-01")])
    ]


def test_units_can_change_hands_in_one_file_in_any_order(estate, monkeypatch):
    load(estate, claim(workloads="exo"), claim(SECOND, mpn_id=RIVAL, workloads="spo"))
    rows = [claim(workloads="exo;spo"), claim(SECOND, mpn_id=RIVAL, workloads="yammer"), claim(THIRD, workloads="aip")]
    assert load(estate, *rows).codes == []
    assert [units for *_rest, units in stored()] == [
        [("exo", "2024-09-01"), ("spo", "2024-09-01")],
        [("yammer", "2024-09-01")],
        [("aip", "2024-09-01")],
    ]
    monkeypatch.setattr(loading, "BATCH", 1)
    assert load(estate, claim(workloads="exo"), claim(SECOND, mpn_id=RIVAL, workloads="spo")).codes == []


@pytest.mark.parametrize("day", ["2024-08-01", "2024-10-01"])
def test_unit_that_another_claim_holds_is_refused(estate, day):
    load(estate, claim())
    loaded = load(
        estate, claim(SECOND, mpn_id=RIVAL, workloads="spo;teams", approved_on=day), claim(THIRD, workloads="aip")
    )
    assert loaded.codes == [("2", "approved_on", "overlaps_another_period")]
    assert FIRST in loaded.errors[0]["reason"]
    assert Claim.objects.count() == 2


def test_of_two_rows_about_one_unit_the_first_is_taken(estate):
    loaded = load(estate, claim(), claim(SECOND, mpn_id=RIVAL, workloads="exo"))
    assert loaded.codes == [("3", "approved_on", "overlaps_another_period")]


def test_unit_of_a_claim_that_waits_for_its_review_is_taken(estate):
    rival = make_member(Organisation.objects.get(number=RIVAL))
    make_submitted(Customer.objects.get(tenant_id=TENANT), rival, "exo")
    assert load(estate, claim()).codes == [("2", "approved_on", "overlaps_another_period")]


@pytest.mark.parametrize("cells", [{"mpn_id": RIVAL}, {"tenant_id": OTHER_TENANT}, {"program": "osa_sell"}])
def test_number_stays_with_its_partner_customer_and_programme(estate, cells):
    load(estate, of_crm())
    if "tenant_id" in cells:
        cells = {**cells, "subscription_ids": OTHER_SUBSCRIPTION}
    loaded = load(estate, of_crm() | cells)
    assert loaded.codes == [("2", "claim_number", "claim_number_taken")]
    assert PARTNER in loaded.errors[0]["reason"]


def test_row_that_contradicts_what_people_have_done_is_reported(estate):
    load(estate, claim())
    claimant, rival = (make_member(Organisation.objects.get(number=one)) for one in (PARTNER, RIVAL))
    one = Claim.objects.get()
    add_proof(one, claimant)
    assert load(estate, claim(workloads="teams")).codes == [("2", "", "changed_in_product")]
    assert load(estate, claim(name="Mail")).codes == []
    make_submitted(Customer.objects.get(tenant_id=TENANT), rival, "exo")
    loaded = load(estate, claim(approved_on="2024-08-15"))
    assert loaded.codes == [("2", "", "changed_in_product")]
    assert "2024-08-15" in loaded.errors[0]["reason"]
    assert "2024-09-01" in loaded.errors[0]["reason"]
    assert "Nothing has changed" in load(estate, claim(name="Mail")).out


def test_claim_that_a_partner_has_made_is_left_to_it(estate):
    claimant = make_member(Organisation.objects.get(number=PARTNER))
    made = make_submitted(Customer.objects.get(tenant_id=TENANT), claimant, "exo")
    loaded = load(estate, claim(made.number, workloads="exo"))
    assert loaded.codes == [("2", "", "changed_in_product")]


def test_claim_of_a_closed_partner_ends_with_its_account_and_the_same_row_is_nothing_new(estate):
    estates.load_one(estate, "partners", estates.partner(status="closed", parent_mpn_id=GLOBAL))
    load(estate, claim())
    assert set(Association.objects.values_list("end_reason", flat=True)) == {"partner_closed"}
    assert "Nothing has changed" in load(estate, claim()).out


def test_subscription_that_has_moved_away_can_only_have_been_claimed_before(estate):
    moved = {"product": "crm_online", "sku_string_id": "CRMSTANDARD", "tenant_id": OTHER_TENANT}
    estates.load_one(estate, "subscriptions", estates.subscription(**moved))
    load(estate, of_crm())
    assert Association.objects.get().end_reason == "subscription_moved"
    today = f"{timezone.now().date()}"
    assert load(estate, of_crm(THIRD, tenant_id=OTHER_TENANT, approved_on=today)).codes == []
    assert ClaimUnit.objects.count() == 2


def test_file_without_a_column_keeps_what_is_stored(estate):
    load(estate, claim(), of_crm())
    rows = [{key: value for key, value in row.items() if key != "workloads"} for row in (claim(), of_crm())]
    assert "Nothing has changed" in load(estate, *rows).out
    rows[0]["claim_number"] = THIRD
    assert load(estate, *rows).codes == [("2", "workloads", "missing_value")]
