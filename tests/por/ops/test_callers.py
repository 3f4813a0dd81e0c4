"""The address of a caller behind proxies, and that no header a caller writes changes it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client, override_settings

from por.accounts import limits
from por.ops.callers import address_of
from tests.product import ROOT

PROXY, CALLER, OTHER = "10.0.0.2", "203.0.113.9", "203.0.113.77"


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()


@pytest.mark.parametrize(
    ("proxies", "nearest", "forwarded", "expected"),
    [
        (0, CALLER, None, CALLER),
        (0, CALLER, "198.51.100.1", CALLER),
        (1, PROXY, CALLER, CALLER),
        (1, PROXY, f"198.51.100.1, {CALLER}", CALLER),
        (1, PROXY, f"127.0.0.1,10.0.0.1,,nonsense, {CALLER}", CALLER),
        (2, PROXY, f"198.51.100.1, {CALLER}, 10.0.0.3", CALLER),
        (2, PROXY, CALLER, PROXY),  # it has not passed both proxies
        (1, PROXY, None, PROXY),
        (1, PROXY, "", PROXY),
        (1, PROXY, "unknown", PROXY),
        (1, PROXY, f"{CALLER}:51234", CALLER),
        (1, PROXY, "[2001:db8::7]:51234", "2001:db8::7"),
        (1, PROXY, "2001:DB8:0::7", "2001:db8::7"),
        (1, "", CALLER, CALLER),  # the proxy comes through a socket of this machine
        (0, "", CALLER, ""),
    ],
)
def test_address_is_the_one_that_the_outermost_trusted_proxy_saw(proxies, nearest, forwarded, expected, settings):
    settings.TRUSTED_PROXIES = proxies
    headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    assert address_of({"REMOTE_ADDR": nearest, **headers}) == expected


# --- The limits of sign-in ------------------------------------------------------------------------------------------


def wrong_password(**caller: str) -> bool:
    """Try to sign in as someone; return whether the password was looked at at all."""
    given = {"login": "nobody@people.example", "password": "guessed"}
    page = Client().post("/login", given, **caller)  # type: ignore[arg-type]
    assert page.status_code in (422, 429)
    return page.status_code == 422


def behind_a_proxy(caller: str, *forged: str) -> dict[str, str]:
    """Return what a proxy passes on of a caller who sends a header of their own."""
    return {"REMOTE_ADDR": PROXY, "HTTP_X_FORWARDED_FOR": ", ".join([*forged, caller])}


def forged_each_time(number: int) -> dict[str, str]:
    return behind_a_proxy(CALLER, f"198.51.100.{number}")


@override_settings(TRUSTED_PROXIES=1)
def test_callers_behind_a_proxy_do_not_share_a_limit():
    assert all(wrong_password(**behind_a_proxy(CALLER)) for _ in range(5))

    assert not wrong_password(**behind_a_proxy(CALLER))
    assert wrong_password(**behind_a_proxy(OTHER))


@override_settings(TRUSTED_PROXIES=1)
def test_caller_who_forges_the_header_is_limited_all_the_same():
    assert [wrong_password(**forged_each_time(number)) for number in range(7)] == [True] * 5 + [False] * 2


@override_settings(TRUSTED_PROXIES=1)
def test_control_a_product_that_believes_the_whole_header_can_be_fooled(monkeypatch):
    """The attack of the test above works on what many products do, so the test can fail."""
    leftmost: Callable[[Any], str] = lambda meta: meta["HTTP_X_FORWARDED_FOR"].partition(",")[0]  # noqa: E731
    monkeypatch.setattr(limits, "address_of", leftmost)
    assert all(wrong_password(**forged_each_time(number)) for number in range(6))  # then the account itself has to wait


def test_header_counts_for_nothing_without_a_trusted_proxy():
    tries = [wrong_password(REMOTE_ADDR=CALLER, HTTP_X_FORWARDED_FOR=f"198.51.100.{number}") for number in range(7)]
    assert tries == [True] * 5 + [False] * 2


# --- Whether a request came by https --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("site", "proxies", "header"),
    [
        ("https://por.example", "1", "('HTTP_X_FORWARDED_PROTO', 'https')"),
        ("https://por.example", "", "None"),
        ("https://por.example", "0", "None"),
        ("http://por.example", "1", "None"),
    ],
)
def test_a_proxy_is_believed_about_https_only_if_there_is_one(site, proxies, header):
    answer = subprocess.run(
        [sys.executable, "-c", "from django.conf import settings as s; print(s.SECURE_PROXY_SSL_HEADER)"],
        cwd=ROOT,
        env=os.environ | {"SITE_URL": site, "TRUSTED_PROXIES": proxies, "DJANGO_SETTINGS_MODULE": "por.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == header
