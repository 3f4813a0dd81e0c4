"""Correcting the start of the partner of record on the customer's page."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.record.models import Association, start_of
from por.directory.models import Subscription
from por.history.models import Event
from tests.factories import make_member, make_partner
from tests.pages import signed_in


@pytest.fixture
def held(subscription, partner, admin) -> Association:
    day = timezone.now().date() - timedelta(days=40)
    return attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin, began_on=day).association


def page(subscription: Subscription) -> str:
    return f"/c/subscriptions/{subscription.subscription_id}/"


def version(subscription: Subscription) -> int:
    return Subscription.objects.values_list("version", flat=True).get(pk=subscription.pk)


def test_wrong_start_is_corrected_either_way_and_undone(subscription, held, admin):
    web, today = signed_in(admin), timezone.now().date()
    assert "Correct the start date" in web.get(page(subscription)).text
    for ago in (10, 60):
        given = {"version": version(subscription), "began_on": (today - timedelta(days=ago)).isoformat()}
        for _click in range(2):
            response = web.post(f"{page(subscription)}start/", given)
            assert (response.status_code, response.url) == (302, f"{page(subscription)}#done")
        held.refresh_from_db()
        assert held.began_at == start_of(today - timedelta(days=ago))
    assert "is now your partner of record since" in web.get(page(subscription)).text
    web.post(f"{page(subscription)}undo/", {"version": version(subscription)})
    held.refresh_from_db()
    assert held.began_at == start_of(today - timedelta(days=10))
    assert [event.verb.rpartition(".")[2] for event in Event.objects.order_by("id")] == [
        "attached",
        "dated_forward",
        "dated_back",
        "dating_undone",
    ]


def test_start_in_the_future_is_refused_at_its_field(subscription, held, admin):
    day = (admin.today + timedelta(days=1)).isoformat()
    response = signed_in(admin).post(f"{page(subscription)}start/", {"version": version(subscription), "began_on": day})
    assert response.status_code == 422
    assert '<a href="#start_began_on">' in response.text
    assert "The start date cannot be in the future." in response.text


def test_outdated_form_does_not_attach_the_former_partner_again(subscription, held, admin):
    seen = version(subscription)
    attaching.remove(subscription.subscription_id, by=admin)
    attaching.attach(subscription.subscription_id, make_partner("Halden Konsult AB").mpn_id, by=admin)
    day = (timezone.now().date() - timedelta(days=5)).isoformat()
    response = signed_in(admin).post(f"{page(subscription)}start/", {"version": seen, "began_on": day})
    assert response.status_code == 409
    assert Association.objects.open().get().partner.organisation.name == "Halden Konsult AB"


def test_viewer_sees_no_form_and_may_not_send_it(subscription, held, customer):
    viewer = signed_in(make_member(customer.organisation, "viewer"))
    assert "Correct the start date" not in viewer.get(page(subscription)).text
    assert viewer.post(f"{page(subscription)}start/", {}).status_code == 403
