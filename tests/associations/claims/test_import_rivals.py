"""A file and the migration of stored claims while a partner submits the same: only one of them gets the unit."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps

from associations.claims.actions import submitting
from associations.claims.models import ClaimUnit, Conflict
from associations.record import checking, describing
from associations.record.models import Association
from por.history.actions import verifying
from tests import estates
from tests.claims import add_proof, make_draft
from tests.factories import make_customer, make_member, make_partner, make_subscription
from tests.rivals import CUSTOMER_LOCK, before_the_lock, before_the_write_without_a_lock, holding_the_lock

pytestmark = pytest.mark.usefixtures("committed")

stored_claims = import_module("associations.claims.migrations.0005_stored_claims")
MOMENTS: dict[str, Callable[[Callable[[], Any]], AbstractContextManager[None]]] = {
    "before": partial(before_the_lock, lock=CUSTOMER_LOCK),
    "holding": partial(holding_the_lock, lock=CUSTOMER_LOCK),
}


class Scene:
    """A partner whose claim a file brings, or an import has stored, and a rival with a draft of the same workload."""

    def __init__(self, files: Path) -> None:
        self.files = files
        self.customer, self.partner = make_customer(), make_partner("Nordvik Cloud AB")
        self.rival = make_member(make_partner("Rival AB").organisation)
        self.draft = make_draft(self.customer, self.rival, "exo")
        add_proof(self.draft, self.rival)

    def submit(self) -> None:
        submitting.submit(self.draft.pk, by=self.rival)

    def load(self) -> list[tuple[str, str, str]]:
        tenant = str(self.customer.tenant_id)
        row = estates.claim(f"FILE-{self.draft.pk}", tenant_id=tenant, mpn_id=self.partner.mpn_id)
        return estates.load_one(self.files, "claims", row).codes

    def store(self) -> None:
        mail = make_subscription(self.customer, sku_string_id="EXCHANGESTANDARD")
        one = Association.objects.create(
            kind="cpor",
            customer=self.customer,
            subscription=mail,
            partner=self.partner,
            source="estate",
            began_at=datetime(2024, 8, 1, tzinfo=UTC),
        )
        describing.describe([one.pk])
        self.stored = one.pk

    def migrate(self) -> list[str]:
        return [one.why for one in stored_claims.migrate(apps, None) if one.association == self.stored]

    def holders(self) -> list[str]:
        """Return who has the workload; the history and the record are explained."""
        assert list(verifying.verify()) == []
        assert list(checking.examine()) == []
        units = ClaimUnit.objects.filter(customer=self.customer, workload="exo", live=True)
        return sorted(units.values_list("claim__partner__organisation__name", flat=True))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.mark.parametrize("moment", MOMENTS)
def test_file_does_not_bring_what_a_rival_submits_meanwhile(scene, moment):
    with MOMENTS[moment](scene.submit):
        assert scene.load() == [("2", "approved_on", "overlaps_another_period")]
    assert scene.holders() == ["Rival AB"]


def test_control_file_without_locks_brings_it_and_no_conflict_opens(scene):
    with before_the_write_without_a_lock(scene.submit):
        assert scene.load() == []
    assert scene.holders() == ["Nordvik Cloud AB", "Rival AB"]
    assert not Conflict.objects.filter(customer=scene.customer).exists()


def test_rival_that_submits_after_a_file_opens_a_conflict(scene):
    assert scene.load() == []
    scene.submit()
    assert Conflict.objects.get(customer=scene.customer).sides.count() == 2


@pytest.mark.crawl
@pytest.mark.parametrize("moment", MOMENTS)
def test_stored_claim_is_not_migrated_to_what_a_rival_submits_meanwhile(scene, moment):
    scene.store()
    with MOMENTS[moment](scene.submit):
        assert scene.migrate() == ["another partner had it before"]
    assert scene.holders() == ["Rival AB"]


@pytest.mark.crawl
def test_control_migration_without_locks_migrates_it(scene):
    scene.store()
    with before_the_write_without_a_lock(scene.submit):
        assert scene.migrate() == []
    assert scene.holders() == ["Nordvik Cloud AB", "Rival AB"]
