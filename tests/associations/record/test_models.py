"""Who sees what: the rows and months of each reader, as in the table of the architecture."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.record import queries
from associations.record import usage as usages
from associations.record.access import (
    customers_visible_to,
    events_visible_to,
    subscriptions_visible_to,
    usage_visible_to,
)
from associations.record.models import Association
from associations.record.rules import TENANT_KINDS, AssociationKind, Source
from por.accounts.models import SYSTEM
from por.directory.models import Customer, Partner, Subscription, Usage
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription


def associate(
    kind: str, partner: Partner, subscription: Subscription, began: date = date(2025, 1, 1), ended: date | None = None
) -> Association:
    def instant(day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=UTC)

    return Association.objects.create(
        kind=kind,
        customer=subscription.customer,
        subscription=None if kind in TENANT_KINDS else subscription,
        partner=partner,
        began_at=instant(began),
        ended_at=instant(ended) if ended else None,
        source=Source.ESTATE,
    )


def use(subscription: Subscription, *months: date, workload: str = "exo", **figures: int) -> None:
    Usage.objects.bulk_create(
        Usage(
            subscription=subscription,
            month=month,
            workload=workload,
            **({"paid_units": 420, "active_users": 361} | figures),
        )
        for month in months
    )


MONTHS = [date(2025, month, 1) for month in range(1, 7)]


@pytest.mark.parametrize("kind", AssociationKind.values)
def test_partner_sees_the_row_of_a_subscription_it_is_associated_with_in_any_kind(subscription, partner, kind):
    associate(kind, partner, subscription)
    member = make_member(partner.organisation)

    assert list(subscriptions_visible_to(member)) == [subscription]
    assert list(customers_visible_to(member)) == [subscription.customer]


def test_staff_see_everything_and_an_actor_without_organisation_nothing(subscription):
    assert not subscriptions_visible_to(SYSTEM).exists()
    assert not customers_visible_to(SYSTEM).exists()
    assert not events_visible_to(SYSTEM).exists()
    assert not Association.objects.visible_to(SYSTEM).exists()
    assert list(subscriptions_visible_to(make_staff("auditor"))) == [subscription]


def test_customer_sees_only_its_own_subscriptions(subscription):
    other = make_customer("Almviks kommun")
    theirs = make_subscription(other)

    assert list(subscriptions_visible_to(make_member(other.organisation, "viewer"))) == [theirs]


def test_partner_of_record_of_one_subscription_does_not_see_the_others(subscription, partner):
    make_subscription(subscription.customer)
    associate(AssociationKind.DPOR, partner, subscription)

    assert list(subscriptions_visible_to(make_member(partner.organisation))) == [subscription]


def test_undone_association_shows_nothing(subscription, partner):
    Association.objects.filter(pk=associate(AssociationKind.DPOR, partner, subscription).pk).update(
        undone_at=timezone.now()
    )

    member = make_member(partner.organisation)
    assert not subscriptions_visible_to(member).exists()
    assert not customers_visible_to(member).exists()


def test_partner_of_record_sees_all_months_of_usage(subscription, partner):
    associate(AssociationKind.DPOR, partner, subscription, began=date(2025, 5, 1))
    use(subscription, *MONTHS)

    months = usage_visible_to(make_member(partner.organisation)).values_list("month", flat=True)

    assert sorted(months) == MONTHS


def test_former_partner_sees_the_months_at_whose_end_it_was_partner_of_record(subscription, partner):
    associate(AssociationKind.DPOR, partner, subscription, began=date(2025, 2, 15), ended=date(2025, 5, 1))
    use(subscription, *MONTHS)

    months = usage_visible_to(make_member(partner.organisation)).values_list("month", flat=True)

    assert sorted(months) == [date(2025, 2, 1), date(2025, 3, 1), date(2025, 4, 1)]


@pytest.mark.parametrize("kind", sorted(set(AssociationKind.values) - {AssociationKind.DPOR, AssociationKind.CPOR}))
def test_partners_of_other_kinds_see_no_usage(subscription, partner, kind):
    associate(kind, partner, subscription)
    use(subscription, *MONTHS)

    assert not usage_visible_to(make_member(partner.organisation)).exists()


def test_superseded_revision_of_usage_is_not_shown(subscription):
    use(subscription, MONTHS[0])
    Usage.objects.update(superseded_at=timezone.now())
    Usage.objects.create(subscription=subscription, month=MONTHS[0], workload="exo", revision=2, active_users=400)

    admin = make_member(subscription.customer.organisation)
    assert [usage.active_users for usage in usage_visible_to(admin)] == [400]


def test_global_account_sees_what_its_locations_see_and_a_location_only_its_own(subscription):
    company = make_partner("Nordvik Group", kind="global")
    location = make_partner(parent=company.organisation)
    sibling = make_partner("Nordvik Cloud Oy", parent=company.organisation)
    associate(AssociationKind.DPOR, location, subscription)

    assert subscriptions_visible_to(make_member(company.organisation)).exists()
    assert subscriptions_visible_to(make_member(location.organisation)).exists()
    assert not subscriptions_visible_to(make_member(sibling.organisation)).exists()


def test_another_partner_of_record_is_hidden_from_a_partner_and_shown_to_the_customer(subscription, partner):
    rival = make_partner("Halden Konsult AB")
    record = associate(AssociationKind.DPOR, rival, subscription)
    associate(AssociationKind.TRANSACTING, partner, subscription)

    (mine,) = queries.rows(make_member(partner.organisation), [subscription])
    (theirs,) = queries.rows(make_member(rival.organisation), [subscription])
    (customers,) = queries.rows(make_member(subscription.customer.organisation), [subscription])

    assert (mine.record, mine.hidden) == (None, True)
    assert (theirs.record, theirs.hidden) == (record, False)
    assert customers.record == record


def test_month_of_usage_has_the_largest_workload_and_the_sum_of_money(subscription):
    use(subscription, MONTHS[0], workload="exo", paid_units=420, active_users=361)
    use(subscription, MONTHS[0], workload="teams", paid_units=420, active_users=402)
    use(subscription, MONTHS[0], workload="azure", paid_units=None, active_users=None, consumed_usd=100)
    admin = make_member(subscription.customer.organisation)

    (row,) = queries.rows(admin, [subscription])

    assert row.usage == usages.MonthOfUsage(MONTHS[0], 420, 402, 100)


def test_partner_reads_only_the_events_it_is_a_party_to(customer: Customer, partner):
    admin = make_member(customer.organisation)
    rival = make_partner("Halden Konsult AB")
    mine, theirs = make_subscription(customer), make_subscription(customer)
    attaching.attach(mine.subscription_id, partner.mpn_id, by=admin)
    attaching.attach(theirs.subscription_id, rival.mpn_id, by=admin)

    events = events_visible_to(make_member(partner.organisation))

    assert [event.object_id for event in events] == [str(mine.subscription_id)]
    assert events_visible_to(admin).count() == 2
    assert not events_visible_to(make_member(make_customer("Almviks kommun").organisation)).exists()


def test_number_of_queries_does_not_grow_with_the_rows(customer, partner, django_assert_num_queries):
    admin = make_member(customer.organisation)
    for _ in range(3):
        associate(AssociationKind.DPOR, partner, make_subscription(customer))

    with django_assert_num_queries(3):
        found = queries.rows(admin, queries.subscriptions_for_listing(admin).order_by("pk"))

    assert {row.record.partner.organisation.name for row in found} == {"Nordvik Cloud AB"}
