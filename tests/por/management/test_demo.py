from __future__ import annotations

from datetime import date
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

from associations.claims.models import Claim, Conflict, Proof
from associations.claims.queries.as_of import claims_then
from associations.claims.queries.migrated import without_proof
from associations.claims.rules import ClaimStatus
from associations.record import checking
from associations.record.models import Association
from competencies.models import Holding
from por.accounts.models import Actor, Membership, User
from por.directory.models import Consumption, Credential, Customer, Partner, Revenue, Subscription, Usage
from por.embedded.up import PEOPLE
from por.history.actions import verifying
from por.history.models import Event

PASSWORD = "four quiet words here"


@pytest.fixture(autouse=True)
def _demo(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DEMO = True
    monkeypatch.setenv("DEMO_PASSWORD", PASSWORD)


def run() -> str:
    out = StringIO()
    call_command("demo", stdout=out)
    return out.getvalue()


@pytest.fixture(scope="module")
def demo(shared: None) -> None:
    """Set up the demo once for all tests that read it."""
    with override_settings(DEMO=True), pytest.MonkeyPatch.context() as environment:
        environment.setenv("DEMO_PASSWORD", PASSWORD)
        run()


def content() -> list[Any]:
    models = (
        *(User, Membership, Customer, Partner, Subscription, Association, Usage, Claim, Proof, Event),
        *(Credential, Holding, Revenue, Consumption),
    )
    return [list(model._default_manager.order_by("pk").values()) for model in models]


def test_outside_a_demo_nothing_is_added(settings: Any) -> None:
    settings.DEMO = False
    with pytest.raises(CommandError, match="not a demo"):
        run()
    assert not User.objects.exists()


def test_without_a_password_nothing_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEMO_PASSWORD")
    with pytest.raises(CommandError, match="DEMO_PASSWORD"):
        run()
    assert not User.objects.exists()


def test_demo_has_an_estate_and_all_its_people(demo: None) -> None:
    assert Subscription.objects.count() == 120
    for name in PEOPLE:
        user = User.objects.get(email=f"{name}@demo.example")
        assert user.check_password(PASSWORD)
        assert user.memberships.count() == (2 if name == "both" else 1)
    assert User.objects.filter(email__endswith="@demo.example").count() == len(PEOPLE)
    assert User.objects.get(email="rival@demo.example").language == "sv"
    arvid = Membership.objects.get(user__email="partner@demo.example")
    assert (arvid.organisation.name, arvid.role) == ("Nordvik Cloud AB", "administrator")
    assert Association.objects.open().of_record().filter(partner=arvid.organisation.partner).count() > 10
    held = Holding.objects.filter(partner=arvid.organisation.partner)
    assert {"competency.smcs", "pcs.modern_work"} == set(held.values_list("program", flat=True))
    people = Credential.objects.filter(partner=arvid.organisation.partner)
    assert people.values("person").distinct().count() == 4
    assert Revenue.objects.exists()
    assert Consumption.objects.exists()
    elin = Membership.objects.get(user__email="customer@demo.example")
    assert elin.organisation.customer.subscriptions.count() == 10


def test_demo_has_claims_in_every_state(demo: None) -> None:
    assert set(Claim.objects.values_list("status", flat=True)) == set(ClaimStatus)
    approved = Claim.objects.filter(status=ClaimStatus.APPROVED)
    assert set(approved.values_list("consent", flat=True)) == {"pending", "lapsed"}
    assert set(Claim.objects.values_list("end_reason", flat=True)) == {"", "customer_declined", "disassociated"}
    assert sorted(Conflict.objects.values_list("status", flat=True)) == ["decided", "open"]
    assert Conflict.objects.get(status="open").sides.count() == 2
    arvid = Membership.objects.get(user__email="partner@demo.example")
    partner = Actor(user=arvid.user, organisation=arvid.organisation, role=arvid.role)
    july = date(2020, 7, 15)
    migrated = claims_then(partner, july).filter(without_proof(july))
    assert {"Exchange FRP Migrated FRP", "Teams FRP Migrated FRP"} <= set(migrated.values_list("name", flat=True))
    assert list(verifying.verify()) == []
    assert list(checking.examine()) == []


def test_second_run_changes_nothing(demo: None) -> None:
    before = content()
    assert "there already" in run()
    assert content() == before


def test_everyone_signs_in_with_the_password_of_the_last_run(demo: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_PASSWORD", "four other words here")
    assert "10 passwords" in run()
    for name in PEOPLE:
        assert User.objects.get(email=f"{name}@demo.example").check_password("four other words here")
