"""On the page that confirms a partner, other subscriptions without one can be ticked to get the same partner."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.record.models import Association
from associations.subscriptions.views.customer import TOO
from por.accounts.models import Actor
from por.directory.models import CheckOfId, Customer, Partner, Subscription
from tests.factories import make_customer, make_partner, make_subscription


def page(subscription: Subscription, verb: str) -> str:
    return reverse(f"associations:subscription_{verb}", args=[subscription.subscription_id])


def check(web: Client, subscription: Subscription, partner: Partner) -> Any:
    CheckOfId.objects.all().delete()  # so that the limit for a minute is not reached
    return web.post(page(subscription, "check"), {"mpn_id": partner.mpn_id})


def attach(web: Client, subscription: Subscription, partner: Partner, *too: Any, **more: str) -> Any:
    ids = [one.subscription_id if isinstance(one, Subscription) else one for one in too]
    sent = {"mpn_id": partner.mpn_id, "version": subscription.version, "subscription": ids}
    return web.post(page(subscription, "attach"), sent | more)


def holders() -> dict[int | None, int]:
    return dict(Association.objects.open().of_record().values_list("subscription_id", "partner_id"))


def test_confirm_page_offers_the_other_subscriptions_that_have_no_partner(web, customer, admin, subscription, partner):
    free = make_subscription(customer)
    held, expired = make_subscription(customer), make_subscription(customer, status="expired")
    stranger = make_subscription(make_customer("Ekholmen AB"))
    attaching.attach(held.subscription_id, make_partner("Halden Konsult AB").mpn_id, by=admin)

    shown = check(web, subscription, partner)

    assert shown.context["too"] == [free]
    assert f'name="subscription"\n          value="{free.subscription_id}"' in shown.text
    for other in (held, expired, stranger):
        assert str(other.subscription_id) not in shown.text


def test_confirm_page_tells_equal_subscriptions_apart_by_their_ids(web, customer, subscription, partner):
    first, second = make_subscription(customer), make_subscription(customer)
    assert first.name == second.name
    text = check(web, subscription, partner).text
    assert str(first.subscription_id)[:8] + ", no partner yet" in text
    assert str(second.subscription_id)[:8] + ", no partner yet" in text


def test_nothing_else_is_attached_unless_it_is_ticked(web, customer, subscription, partner):
    other = make_subscription(customer)
    assert attach(web, subscription, partner).status_code == 302
    assert holders() == {subscription.pk: partner.pk}
    assert not Association.objects.filter(subscription=other).exists()


def test_each_ticked_subscription_gets_the_partner_and_has_its_own_outcome(
    web: Client, customer: Customer, admin: Actor, subscription: Subscription, partner: Partner
) -> None:
    free, late = make_subscription(customer), make_subscription(customer, status="suspended")
    held, rival = make_subscription(customer), make_partner("Halden Konsult AB")
    attaching.attach(held.subscription_id, rival.mpn_id, by=admin)

    shown = attach(web, subscription, partner, free, late, held, note="As agreed")

    assert shown.status_code == 200
    assert [(row.subscription, row.code) for row in shown.context["rows"]] == [
        (subscription, "attached"), (free, "attached"), (late, "refused"), (held, "change_requested"),
    ]  # fmt: skip
    assert "Attached to 2 subscriptions." in shown.text
    assert holders() == {subscription.pk: partner.pk, free.pk: partner.pk, held.pk: rival.pk}
    assert list(Association.objects.open().filter(partner=partner).values_list("note", flat=True)) == ["As agreed"] * 2


def test_start_date_that_does_not_fit_another_subscription_is_its_own_outcome(web, customer, partner):
    today = timezone.now().date()
    before = today - timedelta(days=30)
    old = make_subscription(customer, started_on=today - timedelta(days=90))
    new = make_subscription(customer, started_on=today)
    shown = attach(web, old, partner, new, began_on=before.isoformat())
    assert [row.code for row in shown.context["rows"]] == ["attached", "refused"]
    assert f"The start date must be {today} or later." in shown.text
    assert new.pk not in holders()


def test_second_click_attaches_nothing_twice(web, customer, subscription, partner):
    other = make_subscription(customer)
    attach(web, subscription, partner, other)
    assert attach(web, subscription, partner, other).status_code == 302
    assert Association.objects.count() == 2


def test_refusal_of_this_subscription_attaches_none_and_keeps_what_was_ticked(web, customer, subscription, partner):
    other = make_subscription(customer)
    shown = attach(web, subscription, partner, other, began_on="1999-01-01")
    assert shown.status_code == 422
    assert not holders()
    assert f'value="{other.subscription_id}"\n          checked' in shown.text


@pytest.mark.parametrize("ids", [["x"], [str(uuid.uuid4()) for _one in range(51)]], ids=["no GUID", "too many"])
def test_malformed_or_too_many_ids_attach_nothing(web, subscription, partner, ids):
    assert attach(web, subscription, partner, *ids).status_code == 422
    assert not holders()


def test_subscription_of_another_customer_is_not_found_and_nothing_is_attached(web, subscription, partner):
    stranger = make_subscription(make_customer("Ekholmen AB"))
    assert attach(web, subscription, partner, stranger).status_code == 404
    assert not holders()


def test_number_of_offers_is_bounded_and_of_queries_too(web, customer, subscription, partner):
    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            check(web, subscription, partner)
        return len(captured)

    make_subscription(customer)
    cost()
    few = cost()
    for _more in range(TOO + 5):
        make_subscription(customer)
    assert cost() == few
    assert len(check(web, subscription, partner).context["too"]) == TOO


def test_id_field_has_the_focus_where_entering_the_id_is_what_to_do(web, customer, admin, subscription, partner):
    assert "autofocus" in web.get(page(subscription, "detail")).text
    assert "autofocus" not in check(web, subscription, partner).text
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    assert "autofocus" not in web.get(page(subscription, "detail")).text


def test_customer_reads_in_short_what_the_partner_gets_and_partners_read_the_rules(
    web, customer, subscription, partner
):
    text = " ".join(check(web, subscription, partner).text.split())
    before, _summary, rules = text.partition("What Microsoft’s rules say about credit and money")
    assert "Earn money for it from Microsoft" in before
    assert "designation" not in before
    assert "designation" in rules
