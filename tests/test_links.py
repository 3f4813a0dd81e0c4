"""Nobody is led to what they may not do: every link, form and button of every page that a reader can reach answers."""

from __future__ import annotations

import itertools
from collections import deque
from html.parser import HTMLParser
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest
from django.db import transaction
from django.test import Client

from associations.attaching.actions import attach as attaching
from associations.invitations import actions as invitations
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind, Role, roles_of
from por.history.actions.relaying import relay
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.pages import signed_in

#: What changes the session itself, and what is no page.
LEFT_OUT = ("/logout", "/language", "/theme", "/switch", "/static/", "/api/v1/")
_callers = itertools.count(int(ip_address("198.18.0.1")))


class Found(NamedTuple):
    """What a page leads to: the links and forms that get a page, and the forms and buttons that change something."""

    pages: list[str]
    posts: list[str]


class Links(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.page, self.found, self.method = page, Found([], []), "get"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in given:
            self._lead(self.found.pages, given["href"])
        if tag == "form":
            self.method = given.get("method", "get")
            self._lead(self.found.posts if self.method == "post" else self.found.pages, given.get("action", self.page))
        if "formaction" in given:
            self._lead(self.found.posts if self.method == "post" else self.found.pages, given["formaction"])
        for name, found in (("hx-get", self.found.pages), ("hx-post", self.found.posts)):
            if name in given:
                self._lead(found, given[name])

    def _lead(self, found: list[str], to: str) -> None:
        url = urlsplit(urljoin(self.page, to))
        if url.netloc or url.scheme or url.path.startswith(LEFT_OUT):
            return
        found.append(f"{url.path}?{url.query}" if url.query else url.path)


def shape_of(url: str) -> tuple[str, frozenset[str]]:
    """Return what makes two addresses the same page: its path and the names of its parameters."""
    parts = urlsplit(url)
    return parts.path, frozenset(name for name, _value in parse_qsl(parts.query))


def send(web: Client, method: str, url: str) -> Any:
    """Send a request and undo what it changed. Each comes from another address, because of limits."""
    with transaction.atomic():
        answer: Any = web.generic(method, url, REMOTE_ADDR=str(ip_address(next(_callers))))
        if answer.streaming:
            b"".join(answer.streaming_content)
        transaction.set_rollback(True)
    return answer


def astray(reader: Actor, home: str) -> tuple[list[str], int]:
    """Follow everything from a home; return what its reader may not do, with the page before it, and the count."""
    web = signed_in(reader)
    wrong, seen, posted = [], {shape_of(home)}, set()
    waiting = deque([("", home)])
    while waiting:
        led_from, url = waiting.popleft()
        answer = send(web, "GET", url)
        if answer.status_code in (403, 404):
            wrong.append(f"{answer.status_code} GET {url} from {led_from}")
        if answer.streaming or "text/html" not in answer.headers.get("Content-Type", ""):
            continue
        links = Links(url)
        links.feed(answer.content.decode())
        for to in links.found.pages:
            if shape_of(to) not in seen:
                seen.add(shape_of(to))
                waiting.append((url, to))
        for to in links.found.posts:
            if to not in posted:
                posted.add(to)
                if (status := send(web, "POST", to).status_code) in (403, 404):
                    wrong.append(f"{status} POST {to} from {url}")
    return wrong, len(seen) + len(posted)


@pytest.fixture(scope="module")
def people(shared: None) -> dict[str, Actor]:
    """Return a member of each role of a customer, of its partner of record, of a rival, and of the platform."""
    customer, partner, rival = make_customer(), make_partner(), make_partner("Halden Konsult AB")
    admin, amira = make_member(customer.organisation), make_member(partner.organisation)
    held, asked, free, opened = (make_subscription(customer, agreement=one) for one in ("EA", "EA", "EA", "OPEN"))
    gone = make_subscription(customer)
    make_subscription(customer, status="expired")
    make_subscription(customer, status="grace")
    for one in (held, asked, gone):
        attaching.attach(one.subscription_id, partner.mpn_id, by=admin)
    attaching.attach(asked.subscription_id, rival.mpn_id, by=admin)
    attaching.remove(gone.subscription_id, by=admin)
    for one in (free, opened):
        invitations.invite(customer.tenant_id, [one.subscription_id], by=amira)
    relay()
    organisations = {
        "customer": customer.organisation,
        "partner": partner.organisation,
        "rival": rival.organisation,
        "new customer": make_customer("Ny kund AB").organisation,
        "new partner": make_partner("Ny partner AB").organisation,
    }
    found = {
        f"{name}, {role}": make_member(organisation, role)
        for name, organisation in organisations.items()
        for role in roles_of(organisation.kind)
    }
    return found | {f"staff, {role}": make_staff(role) for role in roles_of(OrganisationKind.STAFF)}


READERS = [
    *(f"customer, {role}" for role in roles_of(OrganisationKind.CUSTOMER)),
    *(f"partner, {role}" for role in roles_of(OrganisationKind.PARTNER)),
    f"staff, {Role.PROGRAMME_ADMINISTRATOR}",
    *(
        pytest.param(f"{name}, {role}", marks=pytest.mark.crawl)
        for name, kind in (
            ("new customer", OrganisationKind.CUSTOMER),
            ("rival", OrganisationKind.PARTNER),
            ("new partner", OrganisationKind.PARTNER),
            ("staff", OrganisationKind.STAFF),
        )
        for role in roles_of(kind)
        if role != Role.PROGRAMME_ADMINISTRATOR
    ),
]


@pytest.mark.parametrize("name", READERS)
def test_no_page_leads_its_reader_to_what_it_may_not_do(people, name):
    reader = people[name]
    home = {OrganisationKind.CUSTOMER: "/c/", OrganisationKind.PARTNER: "/p/"}.get(OrganisationKind(reader.kind), "/a/")
    wrong, followed = astray(reader, home)
    assert wrong == []
    assert followed > 20, "it was let in, and followed its links"


def test_control_a_link_that_is_not_for_its_reader_is_found(people, monkeypatch):
    from por.portal import navigation

    links = [navigation.Link("/p/invitations/new/", "Invite", "send")]
    monkeypatch.setitem(navigation.PAGES, OrganisationKind.PARTNER, navigation.PAGES[OrganisationKind.PARTNER] + links)
    wrong, _followed = astray(people[f"partner, {Role.VIEWER}"], "/p/")
    assert wrong
    assert all("/p/invitations/new/" in one for one in wrong)
