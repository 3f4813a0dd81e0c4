"""Associations of claims that imports had made without a programme become claims, or are listed."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps

from associations.claims.models import Claim, ClaimStep
from associations.record import checking, describing
from associations.record.models import Association
from por.directory.models import Customer, Partner, Subscription
from por.history.actions import verifying
from por.history.models import Event
from tests.factories import make_customer, make_partner, make_subscription

migrations = import_module("associations.claims.migrations.0005_stored_claims")
MAIL = {"sku_string_id": "EXCHANGESTANDARD"}
CRM = {"product": "crm_online", "sku_string_id": "CRMSTANDARD"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def store(of: Subscription, partner: Partner, began: str, ended: str | None = None, **fields: Any) -> Association:
    one = Association.objects.create(
        kind="cpor",
        customer=of.customer,
        subscription=of,
        partner=partner,
        source="estate",
        began_at=at(began),
        ended_at=ended and at(ended),
        **fields,
    )
    describing.describe([one.pk])
    return one


def migrate() -> list[tuple[int, str, str]]:
    """Migrate what is stored; the history and the record stay explained."""
    left = migrations.migrate(apps, None)
    assert list(verifying.verify()) == []
    assert list(checking.examine()) == []
    return [tuple(one) for one in left]


def claims() -> list[tuple[Any, ...]]:
    """Return each claim: partner, programme, status, when it was approved, and its units with their periods."""
    return [
        (
            one.partner.organisation.name,
            one.program,
            one.status,
            f"{one.approved_at:%Y-%m-%d}",
            [
                (
                    unit.workload,
                    unit.live,
                    f"{unit.association.began_at:%Y-%m-%d}",
                    unit.association.ended_at and f"{unit.association.ended_at:%Y-%m-%d}",
                )
                for unit in one.units.select_related("association").order_by("pk")
                if unit.association
            ],
        )
        for one in Claim.objects.select_related("partner__organisation").order_by("pk")
    ]


@pytest.fixture
def rival() -> Partner:
    return make_partner("Rival AB")


def test_stored_ones_become_claims_by_their_product_and_azure_stays(customer, partner):
    crm, mail = make_subscription(customer, **CRM), make_subscription(customer, **MAIL)
    azure = make_subscription(customer, product="azure")
    Subscription.objects.filter(pk=azure.pk).update(sku=None)
    before = [store(one, partner, "2020-02-03") for one in (crm, mail, azure)]

    assert migrate() == [(before[2].pk, "", "Azure is no claim")]

    assert claims() == [
        (partner.organisation.name, "osu_bizapps", "approved", "2020-02-03", [("", True, "2020-02-03", None)]),
        (partner.organisation.name, "osu_m365", "approved", "2020-02-03", [("exo", True, "2020-02-03", None)]),
    ]
    for claim in Claim.objects.all():
        assert (claim.name, claim.origin, claim.consent) == ("FRP Migrated FRP", "estate", "lapsed")
        assert claim.number == f"CPR-{claim.pk:07d}"
        assert [one.verb for one in claim.steps.all()] == ["[imported]"]
    held = Association.objects.not_undone().order_by("pk").exclude(pk=before[2].pk)
    assert [(one.program, one.role, one.workload, one.subscription_id) for one in held] == [
        ("osu_bizapps", "usage", "", crm.pk),
        ("osu_m365", "usage", "exo", None),
    ]
    assert [one.claim_number for one in held] == list(Claim.objects.order_by("pk").values_list("number", flat=True))
    told = Event.objects.filter(verb="claim.imported")
    assert [one.parties for one in told] == [[partner.pk]] * 2
    assert {one.chain for one in told} == {f"organisation:{customer.pk}"}


def test_second_run_changes_nothing(customer, partner):
    store(make_subscription(customer, **MAIL), partner, "2020-02-03")
    azure = make_subscription(customer, product="azure")
    store(azure, partner, "2020-02-03")
    first = migrate()
    before = Event.objects.count()
    assert migrate() == first
    assert (Claim.objects.count(), Event.objects.count()) == (1, before)


def test_of_two_partners_the_one_that_began_first_has_the_workload_and_the_other_is_listed(customer, partner, rival):
    store(make_subscription(customer, **MAIL), partner, "2020-03-01")
    first = store(make_subscription(customer, **MAIL), rival, "2020-02-01", "2020-03-02")
    assert [what[1:] for what in migrate()] == [("exo", "another partner had it before")]
    assert [one[0] for one in claims()] == ["Rival AB"]
    first.refresh_from_db()
    assert first.undone_at is not None
    assert Association.objects.not_undone().filter(partner=partner).get().program == ""


def test_ended_ones_become_ended_claims_and_the_next_partner_follows(customer, partner, rival):
    mail = make_subscription(customer, **MAIL)
    store(mail, partner, "2020-02-01", "2020-03-01", end_reason="subscription_expired")
    store(mail, rival, "2020-03-01")
    store(make_subscription(make_customer("Ekholmen AB"), **MAIL), rival, "2020-02-01", "2020-04-01")
    assert migrate() == []
    ended = Claim.objects.filter(status="ended").order_by("pk")
    assert [(one.end_reason, f"{one.closed_at:%Y-%m-%d}") for one in ended] == [
        ("subscription_expired", "2020-03-01"),
        ("file", "2020-04-01"),
    ]
    assert [one[2] for one in claims()] == ["ended", "approved", "ended"]
    steps = ClaimStep.objects.filter(claim__in=ended).order_by("pk").values_list("verb", flat=True)
    assert list(steps) == ["[imported]", "[nothing left]"] * 2


def test_partner_has_one_claim_of_a_programme_with_the_periods_of_all_its_subscriptions(customer, partner):
    for began, ended in (("2020-02-01", "2020-04-01"), ("2020-03-01", None)):
        store(make_subscription(customer, **MAIL), partner, began, ended)
    store(make_subscription(customer, product="intune", sku_string_id="INTUNE_A"), partner, "2020-01-01", "2020-02-01")
    assert migrate() == []
    ((_name, _program, status, approved, units),) = claims()
    assert (status, approved) == ("approved", "2020-01-01")
    assert sorted(units) == [("exo", True, "2020-02-01", None), ("intune", False, "2020-01-01", "2020-02-01")]


def test_workload_that_a_claim_holds_already_stays_with_it(customer, partner, rival):
    from tests.claims import make_submitted
    from tests.factories import make_member

    make_submitted(customer, make_member(rival.organisation), "exo")
    store(make_subscription(customer, **MAIL), partner, "2026-12-01")
    assert [what[1:] for what in migrate()] == [("exo", "another partner had it before")]


def test_customers_are_migrated_some_at_a_time(monkeypatch, partner):
    monkeypatch.setattr(migrations, "CUSTOMERS", 1)
    for name in ("Ekholmen AB", "Alm AB", "Brosund AB"):
        customer: Customer = make_customer(name)
        store(make_subscription(customer, **MAIL), partner, "2020-02-03")
    assert migrate() == []
    assert Claim.objects.values("customer").distinct().count() == 3
