"""The figures of a partner's home are cached in the process until an event changes them."""

from __future__ import annotations

import pytest
from django.core.cache import caches
from django.test import Client

from associations.attaching.actions import attach as attaching
from por.portal.views import partner as views
from tests.factories import make_member, make_subscription


@pytest.fixture
def added_up(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list with one entry for each time that the figures were added up."""
    real, times = views._figures, []

    def counted(*args):
        times.append(1)
        return real(*args)

    monkeypatch.setattr(views, "_figures", counted)
    return times


def test_figures_are_added_up_again_only_after_an_event(customer, partner, added_up):
    web, admin = Client(), make_member(customer.organisation)
    web.force_login(make_member(partner.organisation).user)
    attaching.attach(make_subscription(customer).subscription_id, partner.mpn_id, by=admin)

    first, second = web.get("/p/"), web.get("/p/")
    assert added_up == [1]
    assert second.context["counts"] == first.context["counts"]
    assert [row.subscription for row in second.context["rows"]] == [row.subscription for row in first.context["rows"]]

    attaching.attach(make_subscription(customer).subscription_id, partner.mpn_id, by=admin)
    assert web.get("/p/").context["counts"]["of_record"] == 2
    assert added_up == [1, 1]


def test_local_cache_is_bounded_and_forgets_after_a_minute(settings):
    local = caches["local"]
    for number in range(1000):
        local.set(f"figures:{number}", number)
    assert len(local._cache) <= settings.CACHES["local"]["OPTIONS"]["MAX_ENTRIES"]
    assert local.default_timeout == 60
