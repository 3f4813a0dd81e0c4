"""Who may do what: every address × method × role, from the table in permissions.csv.

A cell is the status; `login` is a redirect to the sign-in. A row may name several methods. A row `/admin/**` is for all
addresses below it that have no row. To print the missing rows, to be checked and pasted:
pytest tests/test_permissions.py -k every_address --show-capture=no

Where views have equal guards (tests/guards.py), one request for each role and kind of answer is enough for what the
guard answers. `make crawl` sends every request.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from copy import copy
from datetime import date
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.core.files.base import ContentFile
from django.db import transaction
from django.test import Client
from django.urls import URLResolver, get_resolver

from associations.attaching.actions import attach as attaching
from associations.claims.actions import interests, proofs, submitting
from associations.claims.actions.examining import examine
from associations.claims.models import Conflict
from associations.invitations import actions as invitations
from associations.jobs.actions import bulk
from associations.record import signing
from associations.record.models import Association
from competencies.overrides import actions as overrides
from por.accounts import actions as accounts
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.history.actions.relaying import relay
from por.history.models import Event
from por.imports.actions import mappings
from por.imports.actions import requests as imports
from por.notifications.models import Delivery, Notification
from tests import claims
from tests.factories import make_administrator, make_customer, make_member, make_partner, make_staff, make_subscription
from tests.files import PDF
from tests.guards import Guard, Methods, OnlyFor, OnlyPosts, SignedIn, guard_of, stopped_by

TABLE = Path(__file__).with_name("permissions.csv")
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
ROLES = [
    "anonymous",
    "customer_admin",
    "customer_viewer",
    "other_customer",
    "partner_admin",
    "partner_viewer",
    "other_partner",
    "reviewer",
    "programme_admin",
    "support",
    "auditor",
    "suspended",
    "token_read",
    "token_write",
]
#: The roles with which methods that are not listed are tried; each must be refused.
SOME_ROLES = ["anonymous", "customer_admin", "partner_admin", "programme_admin", "token_write"]
REFUSALS = {"login", "401", "405"}


def _addresses(patterns: Any = None, prefix: str = "/") -> Iterator[tuple[str, Guard]]:
    """Yield every address of the product, its parameters as `<name>`, and the guard of its view."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = re.sub(r"<\w+:(\w+)>", r"<\1>", str(pattern.pattern))
        route = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"<\1>", route).removeprefix("^").removesuffix("$")
        if isinstance(pattern, URLResolver):
            yield from _addresses(pattern.url_patterns, prefix + route)
        else:
            yield prefix + route, guard_of(pattern.callback)


with TABLE.open(encoding="utf-8", newline="") as file:
    ROWS = {
        (row["url"], method): [row[role] for role in ROLES]
        for row in csv.DictReader(file)
        for method in row["methods"].split()
    }
LISTED = {url for url, _method in ROWS}
GUARDS = dict(reversed(list(_addresses())))  # of two with one address, the first answers
ADDRESSES = list(reversed(GUARDS))


def row_of(address: str) -> str | None:
    """Return the address of its row in the table; None if there is none."""
    if address in LISTED:
        return address
    return next((url for url in LISTED if url.endswith("**") and address.startswith(url[:-2])), None)


_callers = itertools.count(int(ip_address("198.18.0.1")))
Ask = Callable[[str, str, str], str]


class Cast(NamedTuple):
    """A client for each role, signed in if it can be, and the values of the parameters of addresses."""

    clients: dict[str, Client]
    values: dict[str, Any]


@pytest.fixture(scope="module")
def cast(shared: None) -> Cast:
    """Return a customer with a partner of record, and people of all roles."""
    customer, partner = make_customer("Västerhamn Energi AB"), make_partner("Nordvik Cloud AB")
    subscription = make_subscription(customer)
    admin = make_member(customer.organisation)
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    relay()
    asked_about = make_subscription(customer)
    for one in (partner, make_partner("Proposed partner")):
        request = attaching.attach(asked_about.subscription_id, one.mpn_id, by=admin).request
    suspended = make_member(customer.organisation, is_active=False)
    people: dict[str, Actor] = {
        "customer_admin": admin,
        "customer_viewer": make_member(customer.organisation, "viewer"),
        "other_customer": make_member(make_customer("Another customer").organisation),
        "partner_admin": make_member(partner.organisation),
        "partner_viewer": make_member(partner.organisation, "viewer"),
        "other_partner": make_member(make_partner("Another partner").organisation),
        "reviewer": make_staff("reviewer"),
        "programme_admin": make_staff("programme_administrator"),
        "support": make_staff("support"),
        "auditor": make_staff("auditor"),
        "suspended": suspended,
    }
    invited = invitations.invite(customer.tenant_id, [subscription.subscription_id], by=people["partner_admin"])
    token, read = accounts.create_token(admin.user, admin.organisation, name="read", read_only=True)
    _token, write = accounts.create_token(admin.user, admin.organisation, name="write", read_only=False)
    clients = {
        "anonymous": Client(),
        "token_read": Client(headers={"Authorization": f"Bearer {read}"}),
        "token_write": Client(headers={"Authorization": f"Bearer {write}"}),
    }
    for role, person in people.items():
        clients[role] = Client()
        clients[role].force_login(person.user)
    claim = claims.make_draft(customer, people["partner_admin"])
    said = proofs.Said(["exo"], people["partner_admin"].today)
    proofs.upload(claim.pk, [ContentFile(PDF, "a.pdf")], said, by=people["partner_admin"])
    examine()
    submitting.submit(claim.pk, by=people["partner_admin"])
    claims.make_submitted(customer, make_member(make_partner("Third partner").organisation))
    values = {
        "claim_id": claim.pk,
        "number": 1,
        "page": "contacts",
        "sheet": 1,
        "ending": "docx",
        "subscription_id": subscription.subscription_id,
        "tenant_id": customer.tenant_id,
        "mpn_id": partner.mpn_id,
        "program": "pcs.modern_work",
        "invitation_id": invited.invitation_id,
        "association_id": make_administrator(customer, partner).pk,
        "event_id": Event.objects.earliest("pk").pk,
        "request_id": request.pk,
        "interest_id": interests.mark(make_partner("Of interest").mpn_id, by=people["reviewer"]).pk,
        "conflict_id": Conflict.objects.get().pk,
        "delivery_id": Delivery.objects.filter(user=admin.user).get().pk,
        "notification_id": Notification.objects.get(membership__user=admin.user).pk,
        "signed": signing.sign(Association.objects.earliest("pk").pk),
        "person_id": admin.user_id,
        "import_id": imports.request([ContentFile(b"x", "usage.csv")], dry_run=True, by=people["programme_admin"]).pk,
        "mapping_id": mappings.keep(
            "Licences", "recognise: [A]\nfiles: {customers.csv: {columns: {name: A}}}", by=people["programme_admin"]
        ).pk,
        "job_id": bulk.request(
            [bulk.Pair(str(subscription.subscription_id), partner.mpn_id)], dry_run=True, by=admin
        ).pk,
        "override_id": overrides.ask(
            partner.organisation,
            "competency.smcs",
            "silver",
            by=people["programme_admin"],
            reason="Late files.",
            begins_on=date(2018, 3, 5),
        ).pk,
        "pk": token.pk,
    }
    return Cast(clients, values)


@pytest.fixture
def ask(cast: Cast, settings: Any, tmp_path: Path) -> Ask:
    """Return a function that sends a request in a role, undoes its changes and returns the answer."""
    settings.MAIL_SINK = str(tmp_path / "mail")

    def asks(role: str, method: str, address: str) -> str:
        client = copy(cast.clients[role])
        client.cookies = client.cookies.copy()
        path = re.sub(r"<(\w+)>", lambda found: str(cast.values.get(found[1], "1")), address)
        with transaction.atomic():
            # Each from another IP address, because of the limits of sign-in.
            response = client.generic(method, path, REMOTE_ADDR=str(ip_address(next(_callers))))
            transaction.set_rollback(True)
        sent_to = response.get("Location", "")
        if response.status_code == 302 and (sent_to.startswith("/login") or sent_to.startswith("/admin/login/")):
            return "login"
        return str(response.status_code)

    return asks


def answers(ask: Ask, method: str, address: str) -> list[str]:
    return [ask(role, method, address) for role in ROLES]


def rows_for(ask: Ask, address: str) -> Iterator[str]:
    """Yield the rows of an address as it answers now, with the methods that answer alike in one row."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for method in METHODS:
        row = answers(ask, method, address)
        if set(row) - REFUSALS:
            alike.setdefault(tuple(row), []).append(method)
    for row, methods in alike.items():
        yield ",".join([address, " ".join(methods), *row])


def test_every_address_is_listed(ask):
    missing = [address for address in ADDRESSES if row_of(address) is None]
    rows = [row for address in missing for row in rows_for(ask, address)]

    assert not missing, "Not in permissions.csv:\n" + "\n".join(rows or missing)


def test_the_table_lists_each_address_and_method_once():
    with TABLE.open(encoding="utf-8", newline="") as file:
        listed = Counter((row["url"], method) for row in csv.DictReader(file) for method in row["methods"].split())
    assert [one for one, times in listed.items() if times > 1] == []


def test_the_table_lists_only_addresses_that_exist():
    assert {url for url in LISTED if not url.endswith("**")} <= set(ADDRESSES)


class Case(NamedTuple):
    """A request, and the answer that it should get."""

    address: str
    method: str
    role: str
    wanted: str

    @property
    def answered_by(self) -> Any:
        """Return the guards up to the one that answers; the address if the view does.

        One request is enough for all that begin with the same guards.
        """
        return stopped_by(GUARDS[self.address], self.method, self.role) or self.address

    @property
    def row(self) -> tuple[str, ...]:
        """Return the row of the table that says what is wanted."""
        return tuple(ROWS.get((row_of(self.address) or "", self.method), [ANY_REFUSAL]))


ANY_REFUSAL = "a refusal"
LISTED_CASES = [
    Case(address, method, role, wanted)
    for address in ADDRESSES
    for method in METHODS
    if (row := ROWS.get((row_of(address) or "", method)))
    for role, wanted in zip(ROLES, row, strict=True)
]
OTHER_CASES = [
    Case(address, method, role, ANY_REFUSAL)
    for address in ADDRESSES
    for method in METHODS
    if (row_of(address), method) not in ROWS
    for role in SOME_ROLES
]


def needed(cases: list[Case], *, each: bool = False) -> list[Case]:
    """Return one case for each guard, method, role and kind of answer; with `each`, at least one for each row too."""
    firsts: dict[Any, Case] = {}
    for one in cases:
        firsts.setdefault((one.answered_by, one.method, one.role, one.wanted), one)
    chosen = set(firsts.values())
    if each:
        asked = {(one.address, one.row) for one in chosen}
        missing = {(one.address, one.row): one for one in cases if (one.address, one.row) not in asked}
        chosen |= set(missing.values())
    return [one for one in cases if one in chosen]


def _check(ask: Ask, cases: list[Case]) -> None:
    wrong = []
    for one in cases:
        answer = ask(one.role, one.method, one.address)
        if answer not in (REFUSALS if one.wanted == ANY_REFUSAL else {one.wanted}):
            wrong.append(f"{one.method} {one.address} as {one.role} answers {answer}, not {one.wanted}")
    assert not wrong, "\n".join(wrong)


def _by_address(cases: list[Case]) -> list[Any]:
    by_address: dict[str, list[Case]] = {}
    for one in cases:
        by_address.setdefault(one.address, []).append(one)
    return [pytest.param(some, id=address) for address, some in by_address.items()]


def test_guards_are_read_from_the_views():
    """If a decorator were not recognised, every view would need its own requests: slow, but not wrong."""
    guard = GUARDS["/a/deliveries/<delivery_id>/replay/"]
    assert guard == (SignedIn(), OnlyPosts(), OnlyFor(OrganisationKind.STAFF, "delivery.replay"))
    assert GUARDS["/c/"] == (SignedIn(), Methods(("GET", "HEAD")), OnlyFor(OrganisationKind.CUSTOMER, ""))
    assert GUARDS["/api/v1/me/"] == GUARDS["/api/v1/subscriptions/"] != GUARDS["/api/v1/receipts/<signed>/"]


@pytest.mark.parametrize("cases", _by_address(needed(LISTED_CASES, each=True)))
def test_every_role_gets_the_answer_of_the_table(ask, cases):
    _check(ask, cases)


@pytest.mark.parametrize("cases", _by_address(needed(OTHER_CASES)))
def test_a_method_that_is_not_listed_is_refused(ask, cases):
    _check(ask, cases)


@pytest.mark.crawl
@pytest.mark.parametrize("cases", _by_address(LISTED_CASES + OTHER_CASES))
def test_every_single_request_gets_the_answer_of_the_table(ask, cases):
    _check(ask, cases)
