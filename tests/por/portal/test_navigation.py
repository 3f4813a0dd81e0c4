"""What every page shows around its content."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client
from django.urls import resolve
from pytest_django import Settings

from por.accounts.models import SYSTEM, Actor
from por.accounts.rules import OrganisationKind
from por.directory.models import Customer
from por.portal.navigation import HELP, PAGES, SEARCHES, navigation
from tests.factories import make_member, make_staff


def urls(actor: Actor, path: str = "/") -> list[str]:
    return [link.url for group in navigation(actor, path) for link in group.links]


@pytest.mark.parametrize("kind", OrganisationKind.values)
def test_every_link_resolves(kind: str) -> None:
    for link in PAGES[kind] + HELP:
        assert resolve(link.url)
    if kind in SEARCHES:
        assert resolve(SEARCHES[kind].url)


def test_current_page_and_the_page_above_are_marked(customer: Customer) -> None:
    def marks(path: str) -> dict[str, str]:
        groups = navigation(make_member(customer.organisation), path)
        return {link.url: link.current for group in groups for link in group.links if link.current}

    assert marks("/c/subscriptions/") == {"/c/subscriptions/": "page"}
    assert marks("/c/subscriptions/7/") == {"/c/subscriptions/": "true"}
    assert marks("/c/") == {"/c/": "page"}
    assert marks("/me") == {}


def test_navigation_is_empty_without_an_organisation() -> None:
    assert navigation(SYSTEM, "/") == []


def test_link_to_sent_mail_needs_the_right_and_a_mail_sink(settings: Settings, tmp_path: Path) -> None:
    settings.MAIL_SINK = ""
    assert "/a/mail/" not in urls(make_staff("programme_administrator"))
    settings.MAIL_SINK = str(tmp_path)
    assert "/a/mail/" in urls(make_staff("programme_administrator"))
    assert "/a/mail/" not in urls(make_staff("reviewer"))


def test_signed_out_reader_sees_neither_navigation_nor_menu(client: Client) -> None:
    page = client.get("/login").text
    assert 'id="nav"' not in page
    assert "<details" not in page
