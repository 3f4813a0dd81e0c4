"""Migrated claims without proof, claims that expire, reminders, and claims as of a day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from associations.claims.actions.migrated import remind_of_proofs
from associations.claims.models import Claim
from associations.claims.policies import policy_on
from associations.claims.queries.as_of import as_then, claims_then
from associations.claims.queries.migrated import expiring, warning, without_proof
from por.accounts.models import Actor, Organisation
from por.directory.models import Customer
from por.history.actions.relaying import relay
from por.history.models import Event
from tests import estates
from tests.api import Api
from tests.claims import add_proof, make_approved, make_submitted
from tests.estates import OTHER_SUBSCRIPTION, OTHER_TENANT, PARTNER, RIVAL, SUBSCRIPTION, TENANT, claim
from tests.factories import make_member, make_staff
from tests.pages import queries

JULY = date(2020, 7, 15)
FIRST, SECOND, THIRD = "CPR-900001", "CPR-900002", "CPR-900003"


@pytest.fixture(scope="module")
def estate(shared: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Import two claims of a partner, of which one is not named FRP and is of a subscription, and one of a rival."""
    place = tmp_path_factory.mktemp("estate")
    crm = {"product": "crm_online", "sku_string_id": "CRMSTANDARD", "started_on": "2019-01-01"}
    renews_on = f"{timezone.now().date() + timedelta(days=60)}"
    loaded = estates.load(
        estates.write(
            place,
            partners=[estates.partner(contact_email="amira@nordvik.example", language="en"), estates.partner(RIVAL)],
            customers=[estates.customer(), estates.customer(OTHER_TENANT, name="Ekholmen AB")],
            subscriptions=[
                estates.subscription(renews_on=renews_on, **crm),
                estates.subscription(OTHER_SUBSCRIPTION, tenant_id=OTHER_TENANT, **crm),
            ],
            claims=[
                claim(approved_on="2020-02-03"),
                claim(SECOND, name="Dynamics", program="osu_bizapps", workloads="", subscription_ids=SUBSCRIPTION,
                      approved_on="2020-07-15"),
                claim(THIRD, mpn_id=RIVAL, tenant_id=OTHER_TENANT, approved_on="2020-03-02"),
            ],
        )
    )  # fmt: skip
    assert loaded.failure == ""
    return place


@pytest.fixture
def claimant(estate: Path) -> Actor:
    return make_member(Organisation.objects.get(number=PARTNER))


@pytest.fixture
def tenant(estate: Path) -> Customer:
    return Customer.objects.get(tenant_id=TENANT)


def numbers(found: Any) -> list[str]:
    return sorted(one.number for one in found)


# --- Without proof, and expiring -------------------------------------------------------------------------------------


def test_upload_takes_a_claim_out_of_those_without_proof_whatever_its_name(estate, claimant):
    assert numbers(Claim.objects.filter(without_proof())) == [FIRST, SECOND, THIRD]
    proof = add_proof(Claim.objects.get(number=SECOND), claimant)
    assert numbers(Claim.objects.filter(without_proof())) == [FIRST, THIRD]
    proof.scan = "infected"
    proof.save(update_fields=["scan"])
    assert numbers(Claim.objects.filter(without_proof())) == [FIRST, SECOND, THIRD]


def test_claim_stays_without_proof_until_each_unit_has_one(estate, claimant):
    one = Claim.objects.get(number=FIRST)
    proof = add_proof(one, claimant)
    assert numbers(Claim.objects.filter(without_proof(), pk=one.pk)) == []
    proof.units.remove(one.units.get(workload="teams"))
    assert numbers(Claim.objects.filter(without_proof(), pk=one.pk)) == [FIRST]


def test_claim_expires_with_a_subscription_that_renews_within_60_days(estate):
    today = timezone.now().date()
    assert numbers(Claim.objects.filter(expiring(today))) == [SECOND]
    assert numbers(Claim.objects.filter(expiring(today - timedelta(days=1)))) == []


def test_claim_warns_of_what_a_rival_could_win_for_lack_of_proof(estate, claimant):
    one = Claim.objects.get(number=FIRST)
    assert warning(one, date(2020, 6, 30)) == ""
    assert "no proof for: Exchange Online, Teams" in warning(one, date(2020, 7, 1))
    add_proof(one, claimant)
    assert warning(one, date(2020, 7, 1)) == ""


# --- Reminders ------------------------------------------------------------------------------------------------------


def reminded(day: date) -> list[tuple[str, int]]:
    """Return who is reminded on a day, and of how many claims."""
    last = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    remind_of_proofs(day)
    found = Event.objects.filter(verb="migrated_claims.reminded", pk__gt=last).order_by("object_id")
    return [(event.object_id, event.changes["claims"]) for event in found]


def test_partners_are_reminded_60_30_and_7_days_before_the_deadline_once_each(estate):
    assert policy_on(date(2020, 5, 1)).migrated_proof_deadline == date(2020, 6, 30)
    assert reminded(date(2020, 4, 30)) == []
    for day in (date(2020, 5, 1), date(2020, 5, 31), date(2020, 6, 23)):
        assert reminded(day) == [(PARTNER, 2), (RIVAL, 1)]
        assert reminded(day) == reminded(day + timedelta(days=6)) == []
    assert reminded(date(2020, 7, 1)) == []


def test_only_the_last_of_several_missed_reminders_is_given_and_none_before_there_was_a_deadline(estate):
    assert reminded(date(2020, 3, 31)) == []
    assert reminded(date(2020, 6, 29)) == [(PARTNER, 2), (RIVAL, 1)]
    assert Event.objects.filter(verb="migrated_claims.reminded", changes__reminder=7).count() == 2


def test_reminder_goes_to_who_may_add_proof(estate, claimant):
    viewer = make_member(Organisation.objects.get(number=PARTNER), "viewer")
    while relay():
        pass
    reminded(date(2020, 6, 1))
    mail.outbox.clear()
    relay()
    assert claimant.user
    assert viewer.user
    assert viewer.user.email not in {one.to[0] for one in mail.outbox}
    event = Event.objects.filter(verb="migrated_claims.reminded", object_id=PARTNER).latest("pk")
    told = set(event.notifications.values_list("membership__user__email", flat=True))  # type: ignore[attr-defined]
    assert claimant.user.email in told
    assert viewer.user.email not in told


# --- As of a day -----------------------------------------------------------------------------------------------------


def then(actor: Actor, day: date) -> list[tuple[str, str, str]]:
    """Return number or name, status and consent of the claims of a day."""
    return sorted((str(one), one.status, one.consent) for one in map(as_then, claims_then(actor, day)))


def test_july_2020_shows_migrated_claims_without_proof_under_the_rule_of_the_most_recent_proof(estate, claimant):
    staff = make_staff("auditor")
    assert policy_on(JULY).most_recent_proof_first
    assert not policy_on(date(2020, 6, 30)).most_recent_proof_first
    assert then(staff, JULY) == [
        (FIRST, "approved", "lapsed"),
        (SECOND, "approved", "pending"),
        (THIRD, "approved", "lapsed"),
    ]
    assert then(claimant, date(2020, 7, 14)) == [(FIRST, "approved", "lapsed")]
    assert then(staff, date(2020, 2, 2)) == []
    assert numbers(claims_then(staff, JULY).filter(without_proof(JULY))) == [FIRST, SECOND, THIRD]
    add_proof(Claim.objects.get(number=FIRST), claimant, uploaded_at=datetime(2020, 7, 15, 23, 59, tzinfo=UTC))
    assert numbers(claims_then(staff, JULY).filter(without_proof(JULY))) == [SECOND, THIRD]
    assert numbers(claims_then(staff, date(2020, 7, 14)).filter(without_proof(date(2020, 7, 14)))) == [FIRST, THIRD]


def test_day_that_a_file_corrects_is_the_day_from_which_a_claim_is_seen(estate, claimant, tmp_path):
    for day in ("2020-05-05", "2020-01-07"):
        assert estates.load_one(tmp_path, "claims", claim(approved_on=day)).failure == ""
        first = date.fromisoformat(day)
        assert [number for number, *_rest in then(claimant, first)] == [FIRST]
        assert then(claimant, first - timedelta(days=1)) == []


def test_api_shows_claims_as_of_a_day(tenant, claimant):
    submitted = make_submitted(tenant, claimant, "spo")
    api = Api(claimant)
    rows = api.get("claims/?as_of=2020-07-15&status=approved&needs_proof=true").json()["results"]
    assert [(one["number"], one["consent"], one["whose_turn"]) for one in rows] == [
        (SECOND, "pending", "customer"),
        (FIRST, "lapsed", "nobody"),
    ]
    assert api.get("claims/?as_of=2020-07-15&status=submitted").json()["results"] == []
    assert api.get(f"claims/{submitted.pk}/?as_of=2020-07-15").status_code == 404
    one = Claim.objects.get(number=SECOND)
    assert api.get(f"claims/{one.pk}/?as_of=2020-07-15").json()["consent"] == "pending"
    assert api.get(f"claims/{one.pk}/").json()["consent"] == "lapsed"
    assert api.get("claims/?as_of=2999-01-01").json()["errors"][0]["code"] == "as_of_in_future"


def test_list_as_of_a_day_takes_as_many_queries_for_one_claim_as_for_many(tenant, claimant):
    api = Api(claimant)
    few = queries(lambda: api.get("claims/?as_of=2020-07-15"))
    for workload in ("spo", "yammer", "intune"):
        one = make_approved(tenant, claimant, workload)
        Claim.objects.filter(pk=one.pk).update(submitted_at=datetime(2020, 7, 1, tzinfo=UTC))
    assert queries(lambda: api.get("claims/?as_of=2020-07-15")) == few
