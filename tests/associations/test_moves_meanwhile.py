"""A subscription moves to another tenant while somebody attaches a partner: either comes first, and nothing is lost."""

from __future__ import annotations

import pytest
from django.db import transaction

from associations import imports
from associations.attaching.actions import attach as attaching
from associations.record import checking
from associations.record.models import Association
from por.directory.imports.subscriptions import SubscriptionLine, _merge_subscriptions
from por.directory.models import Subscription
from por.errors import NotFound, Refused
from por.history.actions import verifying
from por.history.models import Event
from por.imports.loading import Outcome
from tests import estates
from tests.factories import make_customer, make_member, make_partner, make_subscription
from tests.rivals import before_the_lock, before_the_write_without_a_lock, holding_the_lock

pytestmark = pytest.mark.django_db(transaction=True)


class Scene:
    """A subscription without a partner of record, its customer's administrator, and the customer that gets it."""

    def __init__(self) -> None:
        self.subscription = make_subscription(make_customer("Västerhamn Energi AB"))
        self.admin = make_member(self.subscription.customer.organisation)
        self.other, self.partner = make_customer("Alm AB"), make_partner()

    @transaction.atomic
    def move(self) -> None:
        one = self.subscription
        values = (one.product, "", one.agreement, one.seats, one.is_trial, one.started_on, one.renews_on, one.status)
        line = SubscriptionLine(2, one.subscription_id, self.other.tenant_id, *values, replaces=None)
        _merge_subscriptions([line], Outcome())

    def attach(self) -> str:
        try:
            return attaching.attach(self.subscription.subscription_id, self.partner.mpn_id, by=self.admin).outcome
        except (Refused, NotFound) as refused:
            return refused.code

    def settle(self) -> list[tuple[int, str]]:
        """Do what follows the files; return the customers of all associations, and why each ended."""
        imports.settle(estates.unread_report())
        assert list(verifying.verify()) == []
        assert list(checking.examine()) == []
        assert Subscription.objects.get(left_at=None).customer == self.other
        return list(Association.objects.values_list("customer", "end_reason"))


@pytest.mark.parametrize("moment", [before_the_lock, holding_the_lock])
def test_attach_finds_that_the_subscription_has_moved_meanwhile(moment):
    scene = Scene()
    with moment(scene.move):
        assert scene.attach() == "subscription_expired"
    assert scene.settle() == []


@pytest.mark.parametrize("moment", [before_the_lock, holding_the_lock])
def test_move_asks_about_the_partner_that_was_attached_meanwhile(moment):
    scene = Scene()
    with moment(scene.attach):
        scene.move()
    assert scene.settle() == [(scene.subscription.customer_id, "subscription_moved")]
    assert Event.objects.get(verb="subscription.moved_in").changes["partner"]["mpn_id"] == scene.partner.mpn_id


def test_control_attach_without_a_lock_reaches_a_subscription_that_has_moved():
    scene = Scene()
    with before_the_write_without_a_lock(scene.move):
        assert scene.attach() == "attached"
