"""Limits of sign-in: passwords cannot be guessed, and no one can lock a person out from elsewhere."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core import signing
from django.core.cache import cache
from django.core.cache.backends.redis import RedisCache
from django.test import Client
from django.urls import reverse

from por.accounts import limits
from por.accounts.models import User
from por.db import cache as shared_cache
from por.errors import RateLimited
from tests.factories import PASSWORD, make_user

HOME, AWAY = "192.0.2.1", "198.51.100.7"
EMAIL = "elin@vasterhamn.example"
SENTENCE = "There were too many attempts. Try again in"


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()


@pytest.fixture(autouse=True)
def elin() -> User:
    user = make_user("Elin Sandberg", email=EMAIL)
    user.set_password(PASSWORD)
    user.save()
    return user


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that lets time pass, for the limits and for the cache. Between its calls, limits see none."""
    began, passed = time.time(), [0.0]
    monkeypatch.setattr(time, "time", lambda: began + passed[0])

    def pass_time(seconds: float) -> None:
        passed[0] += seconds
        client = cache._cache.get_client(None, write=True)  # type: ignore[attr-defined]
        for key in client.keys("*"):
            left = client.pttl(key)
            if left > 0:
                client.pexpire(key, max(1, int(left - seconds * 1000)))
        time.sleep(0.01)

    return pass_time


def sign_in(client: Client, password: str = PASSWORD, *, email: str = EMAIL, at: str = HOME) -> Any:
    return client.post("/login", {"login": email, "password": password}, REMOTE_ADDR=at)


def guess(times: int, *, email: str = EMAIL, at: str = HOME, client: Client | None = None) -> list[int]:
    return [sign_in(client or Client(), "not this one", email=email, at=at).status_code for _ in range(times)]


def known_device() -> Client:
    client = Client()
    assert sign_in(client).status_code == 302
    client.post(reverse("account_logout"))
    return client


# --- Guessing has a bound ---------------------------------------------------------------------------------------------


def test_sixth_wrong_password_at_one_address_is_refused_with_the_time_to_wait() -> None:
    assert guess(5) == [422] * 5
    refused = sign_in(Client())
    assert refused.status_code == 429, "even the right one, so it cannot be found"
    assert 0 < int(refused["Retry-After"]) <= 15 * 60
    assert f"{SENTENCE} " in refused.text


def test_page_says_in_swedish_when_to_try_again() -> None:
    client = Client()
    client.post(reverse("accounts:language"), {"language": "sv", "next": "/login"})
    guess(5)
    text = sign_in(client).text
    assert "Det blev för många försök. Försök igen om " in text
    assert " minut" in text


def test_limit_ends(wait: Callable[[float], None]) -> None:
    guess(5)
    wait(15 * 60)
    assert sign_in(Client()).status_code == 302


def test_right_passwords_do_not_count() -> None:
    assert [sign_in(Client()).status_code for _ in range(12)] == [302] * 12


def test_hundred_passwords_at_the_same_moment_are_five(elin: User) -> None:
    request = Client().get("/login").wsgi_request

    def attempt(_number: int) -> bool:
        try:
            limits.begin(request, EMAIL)
        except RateLimited:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(attempt, range(100))) == 5


def test_one_address_cannot_try_one_password_for_everyone() -> None:
    statuses = [guess(1, email=f"person{number}@vasterhamn.example")[0] for number in range(101)]
    assert statuses == [422] * 100 + [429]
    assert sign_in(Client(), at=AWAY).status_code == 302


def test_guessing_from_many_addresses_waits_longer_each_time(wait: Callable[[float], None]) -> None:
    for number in range(5):
        assert guess(1, at=f"203.0.113.{number}") == [422]
    waits = []
    for number in range(5, 25):
        assert guess(1, at=f"203.0.113.{number}") == [422]
        refused = sign_in(Client(), "not this one", at=f"203.0.113.{100 + number}")
        waits.append(int(refused["Retry-After"]))
        wait(waits[-1] + 1)
    assert waits == [min(2**number, 300) for number in range(20)]


def test_addresses_of_one_network_of_version_6_are_one() -> None:
    statuses = [guess(1, at=f"2001:db8::{number}")[0] for number in range(6)]
    assert statuses == [422] * 5 + [429]


def test_limits_in_the_documentation_are_true() -> None:
    text = (Path(__file__).parents[3] / "docs" / "operations.md").read_text("utf-8").split("## Limits of sign-in")[1]
    rows = re.findall(r"^\| [^|]+ \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)[1:7]
    windows = [limits.TOGETHER, limits.ADDRESS, limits.ASKED_TOGETHER, limits.ASKED_ADDRESS, limits.LINKS]
    words = {900: "15 minutes", 300: "5 minutes", 3600: "an hour"}
    assert [most for most, _then in rows[:1] + rows[2:]] == [f"{one.most} in {words[one.seconds]}" for one in windows]
    assert rows[1][0] == f"{limits.ACCOUNT.free} at once"
    assert f" {limits.ACCOUNT.longest} seconds" in rows[1][1]


# --- No one is locked out from elsewhere ------------------------------------------------------------------------------


def test_ten_wrong_passwords_at_a_proxy_lock_out_no_one_else() -> None:
    make_user("Per Lund", email="per@vasterhamn.example")
    guess(10, email="per@vasterhamn.example")
    for number in range(10):
        guess(1, email=f"person{number}@vasterhamn.example")
    assert sign_in(Client()).status_code == 302


def test_wrong_passwords_from_elsewhere_cost_a_moment(wait: Callable[[float], None]) -> None:
    guess(10, at=AWAY)
    assert sign_in(Client()).status_code == 302


def test_device_that_the_account_knows_passes_by(wait: Callable[[float], None]) -> None:
    device = known_device()
    for number in range(8):
        guess(1, at=f"203.0.113.{number}")
        wait(300)
    guess(1, at="203.0.113.99")
    guess(110, email="nobody@vasterhamn.example")
    assert sign_in(Client()).status_code == 429, "a control: another device waits"
    assert sign_in(device).status_code == 302


def test_device_that_the_account_knows_has_a_limit_of_its_own() -> None:
    device = known_device()
    assert guess(6, client=device) == [422] * 5 + [429]
    assert guess(1, client=device, at=AWAY) == [429], "at every address"


def test_new_password_passes_by(elin: User, client: Client, wait: Callable[[float], None]) -> None:
    guess(5)
    for number in range(5):
        guess(1, at=f"203.0.113.{number}")
    assert sign_in(client).status_code == 429
    reset(client, elin)
    assert sign_in(client, "a new phrase here").status_code == 302
    assert sign_in(Client(), "a new phrase here", at=AWAY).status_code == 302


def reset(client: Client, user: User) -> None:
    from allauth.account.forms import default_token_generator
    from allauth.account.utils import user_pk_to_url_str

    link = {"uidb36": user_pk_to_url_str(user), "key": default_token_generator.make_token(user)}
    form = client.get(reverse("account_reset_password_from_key", kwargs=link), follow=True)
    new = {"password1": "a new phrase here", "password2": "a new phrase here"}
    assert client.post(form.context["action_url"], new).status_code == 302


def test_new_password_makes_devices_unknown(elin: User) -> None:
    device, other = known_device(), known_device()
    assert sign_in(device).status_code == 302
    new = {"oldpassword": PASSWORD, "password1": "a new phrase here", "password2": "a new phrase here"}
    assert device.post(reverse("account_change_password"), new).status_code == 302
    elin.refresh_from_db()
    assert limits._known_as(asked(device), EMAIL)
    assert not limits._known_as(asked(other), EMAIL)


def asked(client: Client) -> Any:
    return client.get("/login").wsgi_request


def test_cookie_of_a_device_is_signed_hidden_from_scripts_and_for_one_account(client: Client, settings: Any) -> None:
    make_user("Per Lund", email="per@vasterhamn.example")
    sign_in(client)
    cookie = client.cookies["devices"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert cookie["max-age"] == timedelta(days=365).total_seconds()
    assert limits._known_as(asked(client), EMAIL)
    assert not limits._known_as(asked(client), "per@vasterhamn.example")
    assert not limits._known_as(asked(client), "nobody@vasterhamn.example")
    client.cookies["devices"] = "a" + cookie.value
    assert not limits._known_as(asked(client), EMAIL)
    forged = signing.TimestampSigner(key="another key", salt="por.accounts.devices").sign("x")
    client.cookies["devices"] = forged
    assert not limits._known_as(asked(client), EMAIL)


def test_browser_is_known_to_the_last_five_of_its_people(client: Client) -> None:
    for number in range(6):
        user = make_user(f"Person {number}", email=f"person{number}@vasterhamn.example")
        user.set_password(PASSWORD)
        user.save()
        assert sign_in(client, email=user.email).status_code == 302
        client.post(reverse("account_logout"))
    known = [bool(limits._known_as(asked(client), f"person{number}@vasterhamn.example")) for number in range(6)]
    assert known == [False] + [True] * 5


# --- Accounts cannot be found -----------------------------------------------------------------------------------------


def test_account_that_does_not_exist_is_limited_alike() -> None:
    known = [(one.status_code, one.headers.get("Retry-After", "")[:1] != "") for one in answers(EMAIL)]
    unknown = [(one.status_code, one.headers.get("Retry-After", "")[:1] != "") for one in answers("no@people.example")]
    assert known == unknown
    assert (known[0][0], known[-1][0]) == (422, 429)


def answers(email: str) -> list[Any]:
    return [sign_in(Client(), "not this one", email=email) for _ in range(7)]


def test_requests_for_a_link_are_limited_alike_and_send_five_mails_an_hour(mailoutbox: list[Any]) -> None:
    def ask(email: str, at: str) -> int:
        return Client().post("/password/reset/", {"email": email}, REMOTE_ADDR=at).status_code

    for email in (EMAIL, "no@people.example"):
        assert [ask(email, HOME) for _ in range(6)] == [302] * 5 + [429]
        assert [ask(email, AWAY) for _ in range(3)] == [302] * 3


# --- The cache is away ------------------------------------------------------------------------------------------------


def test_without_the_cache_people_sign_in_and_guessing_still_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise redis.ConnectionError

    monkeypatch.setattr(shared_cache, "_away_until", 0.0)
    monkeypatch.setattr(RedisCache, "get_backend_timeout", fail)
    monkeypatch.setattr(redis.Redis, "execute_command", fail)
    try:
        assert sign_in(Client()).status_code == 302
        assert guess(6) == [422] * 5 + [429]
        assert guess(1, at=AWAY) == [422]
    finally:
        cache.own.clear()  # type: ignore[attr-defined]
        monkeypatch.setattr(shared_cache, "_away_until", 0.0)
