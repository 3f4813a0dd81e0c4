"""Reports of browsers about the Content-Security-Policy: what is kept of them, and what a stranger cannot do."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.utils import timezone

from por.accounts.models import Actor
from por.breaches import actions
from por.breaches.actions import MOST_ROWS
from por.breaches.models import Breach
from por.breaches.rules import LARGEST, MOST_AT_ONCE, Report, source_of
from tests.at_once import at_once
from tests.factories import make_staff
from tests.pages import signed_in

HERE = "https://partner-of-record.example/c/subscriptions/"
Row = tuple[str, str, str, int]


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()


def old(blocked: str = "inline", page: str = HERE, directive: str = "script-src-elem") -> dict[str, Any]:
    """Return a message as `report-uri` has it."""
    about = {"document-uri": page, "violated-directive": directive, "effective-directive": directive}
    return {"csp-report": about | {"blocked-uri": blocked, "script-sample": "alert(1)"}}


def new(blocked: str = "inline", page: str = HERE, directive: str = "script-src-elem") -> dict[str, Any]:
    """Return one report as the Reporting API has it."""
    body = {"documentURL": page, "effectiveDirective": directive, "blockedURL": blocked}
    return {"type": "csp-violation", "url": page, "body": body}


def send(client: Client, message: Any, content_type: str = "application/csp-report") -> int:
    body = message if isinstance(message, str | bytes) else json.dumps(message)
    return client.post("/csp-reports", body, content_type=content_type).status_code


def rows() -> set[Row]:
    return set(Breach.objects.values_list("directive", "blocked", "page", "count"))


def test_report_of_a_person_is_kept_and_counted(web):
    for _time in range(3):
        assert send(web, old("https://evil.example/steal?key=secret")) == 204
    assert rows() == {("script-src-elem", "https://evil.example", "/c/subscriptions/", 3)}


def test_reporting_api_is_understood_and_its_long_lists_are_cut(web):
    many = [new(f"https://host{number}.example/x") for number in range(MOST_AT_ONCE + 5)]
    assert send(web, many, "application/reports+json") == 204
    assert Breach.objects.count() == MOST_AT_ONCE


def test_page_is_kept_as_its_route_without_the_keys_in_it(web, subscription):
    send(web, old(page=f"https://partner-of-record.example/c/subscriptions/{subscription.subscription_id}/?a=b"))
    page = Breach.objects.get().page
    assert str(subscription.subscription_id) not in page
    assert page.startswith("/c/subscriptions/<")


def test_strangers_can_make_few_rows_however_much_they_send(client, monkeypatch):
    monkeypatch.setattr(actions, "OF_STRANGERS", actions.OF_STRANGERS._replace(most=10**6))
    for number in range(40):
        send(client, old(f"https://host{number}.example/", page="https://us.example/login"))
        send(client, old(f"scheme{number}:x", page="https://us.example/password/reset/"))
        send(client, old(directive=f"made-up-{number}"))
    assert rows() == {("script-src-elem", "other", "", 80)}


def test_people_reports_are_kept_as_they_are_where_those_of_strangers_are_not(web):
    """The control: the same messages of a person who is signed in make a row each."""
    for number in range(10):
        send(web, old(f"https://host{number}.example/"))
    assert Breach.objects.count() == 10


def test_only_so_many_messages_count_in_a_minute(web, client, monkeypatch):
    monkeypatch.setattr(actions, "OF_A_PERSON", actions.OF_A_PERSON._replace(most=3))
    monkeypatch.setattr(actions, "OF_STRANGERS", actions.OF_STRANGERS._replace(most=2))
    for _time in range(6):
        assert send(web, old()) == send(client, old()) == 204
    assert sorted(count for *_row, count in rows()) == [2, 3]


def test_table_never_has_more_rows_than_its_bound_and_keeps_the_newest(web, monkeypatch):
    monkeypatch.setattr(actions, "MOST_ROWS", 4)
    for number in range(9):
        send(web, old(f"https://host{number}.example/"))
    assert {blocked for _directive, blocked, *_rest in rows()} == {f"https://host{n}.example" for n in (5, 6, 7, 8)}


def rows_after_a_race(admin: Actor, *, locked: bool) -> int:
    """Return how many rows there are after four people have each reported something new at the same moment."""
    Breach.objects.bulk_create(
        Breach(directive="img-src", blocked=f"https://host{number}.example", page="/c/") for number in range(MOST_ROWS)
    )
    met = Barrier(4)

    def meet(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        """Let all wait for each other after their new row, and after the deletion of the oldest."""
        outcome = execute("SELECT %s, %s" if "advisory" in sql and not locked else sql, *rest)
        if sql.startswith(("INSERT", "DELETE")):
            with suppress(BrokenBarrierError):
                met.wait(1)
        return outcome

    def report(number: int) -> None:
        with connection.execute_wrapper(meet):
            actions.keep([Report("img-src", f"https://new{number}.example", "/c/")], by=admin)

    assert at_once(*(partial(report, number) for number in range(4))) == ["done"] * 4
    return Breach.objects.count()


@pytest.mark.django_db(transaction=True)
def test_table_has_no_more_rows_than_its_bound_when_several_are_added_at_once(admin):
    assert rows_after_a_race(admin, locked=True) == MOST_ROWS
    assert Breach.objects.filter(blocked__startswith="https://new").count() == 4


@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_it_has_more(admin):
    assert rows_after_a_race(admin, locked=False) > MOST_ROWS


def test_row_goes_when_nothing_was_reported_for_long(web):
    send(web, old("https://long.ago.example/"))
    Breach.objects.update(last_at=timezone.now() - actions.KEPT - timedelta(days=1))
    send(web, old("https://today.example/"))
    assert {blocked for _directive, blocked, *_rest in rows()} == {"https://today.example"}


@pytest.mark.parametrize(
    ("message", "content_type", "status"),
    [
        (b"x" * (LARGEST + 1), "application/csp-report", 413),
        (old(), "application/json", 415),
        (old(), "text/plain", 415),
        (b"\xff\x00{", "application/csp-report", 204),
        (b"[" * 10_000, "application/reports+json", 204),
        ([], "application/csp-report", 204),
        ({"csp-report": ["x"]}, "application/csp-report", 204),
        ([{"body": 7}, 7, None], "application/reports+json", 204),
        (old(page="https://us.example/no/such/page"), "application/csp-report", 204),
        (old(page="https://us.example/c/\x00"), "application/csp-report", 204),
        (old(page="http://[", blocked="http://["), "application/csp-report", 204),
    ],
)
def test_message_that_is_no_report_is_dropped(web, message, content_type, status):
    assert send(web, message, content_type) == status
    assert not Breach.objects.exists()


@pytest.mark.parametrize(
    ("blocked", "kept"),
    [
        ("inline", "inline"),
        ("data:text/html,x", "data"),
        ("data", "data"),
        ("https://User:secret@CDN.example:8443/a?b#c", "https://cdn.example"),
        ("https://a b/", "other"),
        ("javascript:alert(1)", "other"),
        ("http://[", "other"),
        ("", "other"),
        (f"https://{'a' * 300}.example/", f"https://{'a' * 92}"),
    ],
)
def test_only_scheme_and_host_of_what_was_blocked_are_kept(blocked, kept):
    assert source_of(blocked) == kept


def test_staff_read_the_reports(web):
    send(web, old("https://evil.example/<script>"))
    send(Client(), old())
    page = signed_in(make_staff("auditor"), language="sv").get("/a/blocked/")
    assert page.status_code == 200
    assert "https://evil.example" in page.text
    assert "Blockerat innehåll" in page.text
    assert "Okänd, inte inloggad" in page.text


def test_page_without_reports_says_so():
    assert "Nothing was blocked" in signed_in(make_staff("auditor")).get("/a/blocked/").text
