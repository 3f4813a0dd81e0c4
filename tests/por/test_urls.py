"""Addresses that are looked for once."""

from __future__ import annotations

import pytest
from django.urls import Resolver404, resolve

from por.urls import addresses, urlpatterns

KNOWN = urlpatterns[0].known
SUBSCRIPTION = "/c/subscriptions/7f000000-0000-4000-8000-00000000000"


def test_every_address_is_below_the_one_that_remembers() -> None:
    assert len(urlpatterns) == 1
    assert urlpatterns[0].url_patterns == addresses


def test_an_address_leads_to_the_same_view_each_time() -> None:
    for path, name in (("/c/subscriptions/", "associations:subscription_list"), ("/api/v1/me/", "api:me")):
        first, second = resolve(path), resolve(path)
        assert first.view_name == second.view_name == name
        assert first.func is second.func
        assert (second.args, second.kwargs, second.route) == ((), {}, path[1:])
        assert KNOWN[path[1:]].func is first.func


def test_only_addresses_without_parameters_are_remembered() -> None:
    before = dict(KNOWN)
    for digit in "123":
        assert str(resolve(f"{SUBSCRIPTION}{digit}/").kwargs["subscription_id"])[-1] == digit
        assert resolve(f"/api/v1/nothing-{digit}/").view_name == "api_nothing"
        with pytest.raises(Resolver404):
            resolve(f"/nothing-{digit}/")
    assert before == KNOWN
