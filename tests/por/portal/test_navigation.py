"""What every page shows around its content."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import resolve
from pytest_django import Settings

from associations.attaching.actions.attach import attach
from por.accounts.models import SYSTEM, Actor
from por.accounts.rules import OrganisationKind
from por.directory.models import Customer, Partner, Subscription
from por.portal.navigation import HELP, PAGES, SEARCHES, navigation
from tests.factories import make_member, make_staff
from tests.pages import signed_in


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
    assert navigation(SYSTEM, "/") == ()


def test_link_to_sent_mail_needs_the_right_and_a_mail_sink(settings: Settings, tmp_path: Path) -> None:
    settings.MAIL_SINK = ""
    assert "/a/mail/" not in urls(make_staff("programme_administrator"))
    settings.MAIL_SINK = str(tmp_path)
    assert "/a/mail/" in urls(make_staff("programme_administrator"))
    assert "/a/mail/" not in urls(make_staff("reviewer"))
    assert "/a/mail/" not in urls(make_staff("auditor")), "a mail may have a link to choose a new password"


def test_signed_out_reader_sees_neither_navigation_nor_menu(client: Client) -> None:
    page = client.get("/login").text
    assert 'id="nav"' not in page
    assert "<details" not in page


@pytest.mark.parametrize("kind", ["customer", "partner"])
def test_navigation_inbox_and_open_requests_take_two_queries(
    kind: str, admin: Actor, amira: Actor, subscription: Subscription
) -> None:
    attach(subscription.subscription_id, Partner.objects.get(organisation=amira.organisation).mpn_id, by=admin)
    client = signed_in(admin if kind == "customer" else amira)
    page = f"/{kind[0]}/subscriptions/"
    assert subscription.name in client.get(page).text  # and whether there are forms is known for a minute
    with CaptureQueriesContext(connection) as asked:
        client.get(page)
    assert sum('FROM "notifications_notification"' in one["sql"] for one in asked) == 1
    # By its first column: a statement that asks whether there are others names their tables too.
    tables = [table for one in asked for table in re.findall(r'^SELECT "(\w+)"', one["sql"])]
    assert tables.count("associations_changerequest") == 1
    assert not {"associations_challenger", "associations_statement"} & set(tables)
    assert not [one for one in asked if one["sql"].startswith('SELECT 1 AS "a" FROM "associations_association"')]


def test_header_and_navigation_show_each_reader_their_own(admin: Actor, amira: Actor) -> None:
    """They are written once for all readers, so what is one's own must be put in each time."""
    for language, actor, other in [(one, *two) for one in ("en", "sv") for two in ((admin, amira), (amira, admin))]:
        assert actor.user
        assert actor.organisation
        assert other.organisation
        actor.user.language = language
        actor.user.save()
        page = signed_in(actor).get("/me")
        top = page.text.partition("<header")[2].partition("<main")[0]
        assert actor.organisation.name in top
        assert other.organisation.name not in top
        assert f"<b>{actor.user}</b>" in top
        assert str(other.user) not in top
        assert 'name="next" value="/me"' in top
        assert str(page.context["csrf_token"]) in top
        assert ("Sign out" in top) == (language == "en")


def test_header_escapes_what_people_enter(admin: Actor) -> None:
    assert admin.user
    assert admin.organisation
    admin.user.name = "<b>Ann</b> & \0x"[:13]
    admin.user.save()
    admin.organisation.name = "Al\"m's {0} <i>"
    admin.organisation.save()
    top = signed_in(admin).get("/me?x=%22%3E%3Cscript%3E").text.partition("<main")[0]
    assert "&lt;b&gt;Ann&lt;/b&gt; &amp;" in top
    assert "Al&quot;m&#x27;s {0} &lt;i&gt;" in top
    assert "<script>" not in top
