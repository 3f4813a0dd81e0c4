"""What a claim shows: the subscriptions with the claimed workload, and its usage alone."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.urls import reverse

from associations.record.access import (
    all_visible_to,
    customers_visible_to,
    few_keys,
    restricted,
    subscriptions_visible_to,
    usage_visible_to,
)
from associations.record.holdings import holdings
from associations.record.models import Association
from associations.record.queries import get_visible
from por.accounts.models import Actor
from por.directory.models import Customer, Partner, ServicePlan, Subscription, Usage
from tests.api import Api
from tests.factories import make_customer, make_member, make_partner, make_subscription
from tests.pages import signed_in

MONTH = date(2026, 3, 1)


@pytest.fixture
def mail(customer: Customer) -> Subscription:
    """Return a subscription with Exchange, SharePoint and other workloads, with usage of two."""
    return used(make_subscription(customer), exo=300, spo=250)


@pytest.fixture
def others(customer: Customer) -> list[Subscription]:
    """Return subscriptions without Exchange: of Azure, Intune alone, an unknown SKU; and one of another tenant."""
    unknown = make_subscription(customer)
    Subscription.objects.filter(pk=unknown.pk).update(sku=None)
    return [
        used(make_subscription(customer, product="azure"), azure=1),
        used(make_subscription(customer, product="intune", sku_string_id="INTUNE_A"), intune=90),
        used(unknown, exo=10),
        used(make_subscription(make_customer("Ekholmen AB")), exo=20),
    ]


@pytest.fixture
def claimant(partner: Partner) -> Actor:
    return make_member(partner.organisation)


def used(subscription: Subscription, **active: int) -> Subscription:
    if subscription.product == "azure":
        Subscription.objects.filter(pk=subscription.pk).update(sku=None)
    for workload, people in active.items():
        figures = {"paid_units": 420, "active_users": people}
        Usage.objects.create(subscription=subscription, month=MONTH, workload=workload, **figures)
    return subscription


def claim(customer: Customer, partner: Partner, workload: str, **fields: Any) -> Association:
    return Association.objects.create(
        **{
            "kind": "cpor",
            "program": "osu_m365",
            "role": "usage",
            "workload": workload,
            "customer": customer,
            "partner": partner,
            "source": "claim",
            "began_at": datetime(2026, 1, 1, tzinfo=UTC),
        }
        | fields
    )


def seen(actor: Actor) -> list[Subscription]:
    """Return the subscriptions that an actor sees, which all ways to find them agree about."""
    found = list(subscriptions_visible_to(actor).order_by("pk"))
    few = few_keys(actor)
    assert few is not None
    assert (
        found
        == list(all_visible_to(actor).order_by("pk"))
        == list(restricted(Subscription.objects, *few).order_by("pk"))
    )
    listed = Api(actor).get("subscriptions/").json()["results"]
    assert sorted(one["id"] for one in listed) == sorted(str(one.subscription_id) for one in found)
    return found


def used_by(actor: Actor) -> set[tuple[int, str]]:
    return set(usage_visible_to(actor).values_list("subscription", "workload"))


def test_claim_of_a_workload_shows_the_subscriptions_that_have_it_and_its_usage(
    customer, partner, claimant, mail, others
):
    claim(customer, partner, "exo")

    assert seen(claimant) == [mail]
    assert used_by(claimant) == {(mail.pk, "exo")}
    assert list(customers_visible_to(claimant)) == [customer]
    months = Api(claimant).get(f"subscriptions/{mail.subscription_id}/usage/").json()["results"]
    assert [one["active_users"] for one in months] == [300]
    page = signed_in(claimant).get(reverse("portal:partner_customer_detail", args=[customer.tenant_id])).text
    assert "Exchange Online," in page
    assert "1 subscription" in page
    for one in others:
        assert Api(claimant).get(f"subscriptions/{one.subscription_id}/").status_code == 404


def test_claims_of_several_workloads_add_up(customer, partner, claimant, mail, others):
    claim(customer, partner, "exo")
    claim(customer, partner, "intune")
    claim(customer, make_partner("Rival AB"), "spo")

    assert set(seen(claimant)) == {mail, others[1]}
    assert used_by(claimant) == {(mail.pk, "exo"), (others[1].pk, "intune")}


def test_right_for_the_tenant_shows_all_its_subscriptions_beside_a_claim(customer, partner, claimant, mail, others):
    claim(customer, partner, "exo")
    claim(customer, partner, "", kind="delegated_admin", program="", role="")

    assert set(seen(claimant)) == {mail, *others[:3]}
    assert used_by(claimant) == {(mail.pk, "exo")}


def test_partner_of_record_with_a_claim_sees_every_workload(customer, partner, claimant, mail):
    claim(customer, partner, "exo")
    claim(customer, partner, "", kind="dpor", program="", role="", subscription=mail)

    assert used_by(claimant) == {(mail.pk, "exo"), (mail.pk, "spo")}


def test_claim_of_a_subscription_shows_that_one_with_all_its_usage(customer, partner, claimant, mail, others):
    claim(customer, partner, "", program="osu_bizapps", subscription=mail)

    assert seen(claimant) == [mail]
    assert used_by(claimant) == {(mail.pk, "exo"), (mail.pk, "spo")}


def test_ended_claim_shows_the_months_it_covered_and_no_figure_of_today(customer, partner, claimant, mail):
    Usage.objects.create(subscription=mail, month=date(2026, 4, 1), workload="exo", active_users=1)
    claim(customer, partner, "exo", ended_at=datetime(2026, 4, 15, tzinfo=UTC))

    assert seen(claimant) == [mail]
    assert set(usage_visible_to(claimant).values_list("month", "workload")) == {(MONTH, "exo")}
    assert get_visible(claimant, mail.subscription_id).seats is None
    text = signed_in(claimant).get(reverse("portal:partner_subscription_usage", args=[mail.subscription_id])).text
    assert "You can see Jan 2026 – Mar 2026 of Exchange Online because you had a claim" in text


def test_open_claim_shows_a_subscription_as_it_is_now(customer, partner, claimant, mail):
    claim(customer, partner, "exo")

    assert get_visible(claimant, mail.subscription_id).seats == mail.seats
    text = signed_in(claimant).get(reverse("portal:partner_subscription_usage", args=[mail.subscription_id])).text
    assert "You can see all months of Exchange Online because of your claim." in text
    assert "You cannot see any months" not in text


def test_undone_claim_shows_nothing(customer, partner, claimant, mail):
    claim(customer, partner, "exo", undone_at=datetime(2026, 2, 1, tzinfo=UTC))

    assert seen(claimant) == []
    assert used_by(claimant) == set()


def test_global_account_sees_what_its_locations_have_claimed(customer, mail, others):
    above = make_partner("Norden Group", kind="global")
    claim(customer, make_partner("Norden Väst AB", parent=above.organisation), "exo")
    company = make_member(above.organisation)

    assert list(subscriptions_visible_to(company)) == list(all_visible_to(company)) == [mail]
    assert used_by(company) == {(mail.pk, "exo")}


def test_customer_reads_which_workloads_a_partner_has_claimed_and_how_much_it_still_sees(
    customer, partner, mail, others
):
    second = make_subscription(customer)
    claim(customer, partner, "exo")
    claim(customer, partner, "spo")

    found = holdings(partner, [mail])

    assert found.named() == "Claimed partner of record for 2 workloads"
    assert found.others == 1, second
    Association.objects.filter(workload="spo").update(ended_at=datetime(2026, 2, 1, tzinfo=UTC))
    assert holdings(partner, [mail]).named() == "Claimed partner of record for 1 workload"
    claim(customer, partner, "", program="osu_bizapps", subscription=second)
    assert holdings(partner, [mail]).others == 1, "it is counted once"
    claim(customer, partner, "", kind="pal", program="", role="")
    assert holdings(partner, [mail]).others is None


def test_sku_that_loses_a_workload_shows_nothing_more(customer, partner, claimant, mail):
    """It is the catalogue that decides, and it is asked each time."""
    claim(customer, partner, "exo")
    assert seen(claimant) == [mail]
    ServicePlan.objects.filter(workload="exo").update(workload="")
    assert seen(claimant) == []
    assert used_by(claimant) == set()
