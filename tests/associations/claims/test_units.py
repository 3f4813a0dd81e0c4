"""The unit of a claim: a workload of a tenant, or a subscription in a role. The database holds one claim on each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from associations.record.models import Association
from associations.record.rules import AssociationKind, Source
from por.directory.models import Customer, Partner, Subscription
from tests.api import Api
from tests.factories import make_customer, make_member, make_partner, make_subscription

WORKLOAD = {"program": "osu_m365", "role": "usage", "workload": "exo"}
ROLE = {"program": "osu_bizapps", "role": "usage"}
OVERLAP = "no_two_claims_of_a_{}_overlap".format


def claimed(
    of: Customer | Subscription, partner: Partner, began: int = 10, ended: int | None = None, **fields: Any
) -> Association:
    subscription = of if isinstance(of, Subscription) else None
    return Association.objects.create(
        **{
            "kind": AssociationKind.CPOR,
            "customer": subscription.customer if subscription else of,
            "subscription": subscription,
            "partner": partner,
            "began_at": datetime(2026, 1, began, tzinfo=UTC),
            "ended_at": datetime(2026, 1, ended, tzinfo=UTC) if ended else None,
            "source": Source.CLAIM,
        }
        | fields
    )


def refused(constraint: str, of: Customer | Subscription, *args: Any, **fields: Any) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        claimed(of, *args, **fields)


def test_two_claims_of_one_workload_do_not_overlap(customer, partner):
    rival = make_partner("Rival AB")
    claimed(customer, partner, 10, None, **WORKLOAD)

    refused("one_claim_per_workload", customer, rival, 20, None, **WORKLOAD)
    refused(OVERLAP("workload"), customer, rival, 5, 11, **WORKLOAD)
    refused(OVERLAP("workload"), customer, rival, 5, 11, **WORKLOAD | {"role": "revenue"})
    claimed(customer, rival, 5, 10, **WORKLOAD)
    claimed(customer, rival, **WORKLOAD | {"workload": "spo"})
    claimed(customer, rival, undone_at=timezone.now(), **WORKLOAD)
    claimed(make_customer("Ekholmen AB"), rival, **WORKLOAD)


def test_two_claims_of_one_subscription_in_one_role_do_not_overlap(subscription, partner):
    rival = make_partner("Rival AB")
    claimed(subscription, partner, 10, None, **ROLE)

    refused("one_claim_per_role_and_subscription", subscription, rival, 20, None, **ROLE)
    refused(OVERLAP("subscription"), subscription, rival, 5, 11, **ROLE)
    claimed(subscription, rival, 5, 10, **ROLE)
    claimed(subscription, rival, **ROLE | {"role": "revenue"})
    claimed(subscription, rival, **{"program": "osa_sell", "role": "presales"})
    claimed(subscription, rival, undone_at=timezone.now(), **ROLE)
    claimed(make_subscription(subscription.customer), rival, **ROLE)


def test_claim_is_of_a_workload_or_a_subscription_and_nothing_else_has_a_programme(customer, subscription, partner):
    unit = "an_association_is_of_a_subscription_a_workload_or_a_tenant"
    programme = "only_a_claim_has_a_programme_and_role"

    refused(unit, subscription, partner, **WORKLOAD)
    refused(unit, customer, partner, **ROLE)
    refused(unit, customer, partner, kind=AssociationKind.PAL, **WORKLOAD)
    refused(programme, subscription, partner, kind=AssociationKind.DPOR, **ROLE)
    refused(programme, customer, partner, kind=AssociationKind.PAL, **ROLE)
    refused(programme, subscription, partner, kind=AssociationKind.DPOR, claim_number="CPR-1")
    refused(programme, subscription, partner, program="osu_bizapps")
    refused(programme, subscription, partner, role="usage", source=Source.ESTATE)
    refused(programme, customer, partner, workload="exo", source=Source.ESTATE)


@pytest.mark.parametrize("source", sorted(set(Source.values) - {Source.ESTATE}))
def test_association_of_a_claim_has_a_programme_whoever_makes_it(customer, subscription, partner, source):
    refused("a_claim_has_a_programme", subscription, partner, source=source)
    refused("a_claim_has_a_programme", customer, partner, source=source, workload="exo")
    claimed(subscription, partner, source=source, **ROLE)


def test_claims_that_imports_have_made_have_no_programme_and_may_be_several(subscription, partner):
    claimed(subscription, partner, source=Source.ESTATE)
    claimed(subscription, make_partner("Rival AB"), source=Source.ESTATE)


def test_all_constraints_hold_for_every_row():
    """The migrations add some of them without looking at the rows, and check these later."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname FROM pg_constraint"
            " WHERE conrelid = 'associations_association'::regclass AND NOT convalidated"
            " UNION ALL SELECT indexrelid::regclass::name FROM pg_index"
            " WHERE indrelid = 'associations_association'::regclass AND NOT (indisvalid AND indisready)"
        )
        assert cursor.fetchall() == []


def test_api_names_programme_role_workload_and_claim(customer, subscription, partner):
    claimed(customer, partner, claim_number="CPR-1042", **WORKLOAD)
    claimed(subscription, partner, **ROLE)

    rows = Api(make_member(partner.organisation)).get("associations/").json()["results"]

    assert [(one["program"], one["role"], one["workload"], one["claim"]) for one in rows] == [
        ("osu_m365", "usage", "exo", "CPR-1042"),
        ("osu_bizapps", "usage", None, None),
    ]
    assert [one["subscription"] is None for one in rows] == [True, False]
