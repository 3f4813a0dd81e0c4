"""Who may do what: every address × method × role, from the table in permissions.csv.

A cell is the status; `login` is being sent to sign in. A row may name several methods; a row `/admin/**` stands for
all below it that have none of their own. To print what is missing, as rows to look at and paste:
pytest tests/test_permissions.py -k every_address --show-capture=no
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Callable, Iterator
from copy import copy
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.core.files.base import ContentFile
from django.db import transaction
from django.test import Client
from django.urls import URLResolver, get_resolver

from associations import actions, receipts
from associations.actions import bulk
from associations.models import Association
from por.accounts import actions as accounts
from por.accounts.models import Actor
from por.estate import actions as estate
from por.history.actions import relay
from por.history.models import Event
from por.notifications.models import Delivery, Notification
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription

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
#: Of whom a method that is not listed is tried; none may get further than a refusal.
SOME_ROLES = ["anonymous", "customer_admin", "partner_admin", "programme_admin", "token_write"]
REFUSALS = {"login", "401", "405"}


def _addresses(patterns: Any = None, prefix: str = "/") -> Iterator[str]:
    """Every address the project answers, its parameters as `<name>`."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = re.sub(r"<\w+:(\w+)>", r"<\1>", str(pattern.pattern))
        route = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"<\1>", route).removeprefix("^").removesuffix("$")
        if isinstance(pattern, URLResolver):
            yield from _addresses(pattern.url_patterns, prefix + route)
        else:
            yield prefix + route


with TABLE.open(encoding="utf-8", newline="") as file:
    ROWS = {
        (row["url"], method): [row[role] for role in ROLES]
        for row in csv.DictReader(file)
        for method in row["methods"].split()
    }
LISTED = {url for url, _method in ROWS}
ADDRESSES = list(dict.fromkeys(_addresses()))


def row_of(address: str) -> str | None:
    """The address under which the table has it."""
    if address in LISTED:
        return address
    return next((url for url in LISTED if url.endswith("**") and address.startswith(url[:-2])), None)


_callers = itertools.count(int(ip_address("198.18.0.1")))
Ask = Callable[[str, str, str], str]


class Cast(NamedTuple):
    """Everybody who might come by, signed in where they can be, and what the parameters of an address stand for."""

    clients: dict[str, Client]
    values: dict[str, Any]


@pytest.fixture(scope="module")
def cast(shared: None) -> Cast:
    """A customer with a partner of record, and all the others."""
    customer, partner = make_customer("Västerhamn Energi AB"), make_partner("Nordvik Cloud AB")
    subscription = make_subscription(customer)
    admin = make_member(customer.organisation)
    actions.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    relay()
    asked_about = make_subscription(customer)
    for one in (partner, make_partner("Proposed partner")):
        request = actions.attach(asked_about.subscription_id, one.mpn_id, by=admin).request
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
    invited = actions.invite(customer.tenant_id, [subscription.subscription_id], by=people["partner_admin"])
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
    values = {
        "subscription_id": subscription.subscription_id,
        "tenant_id": customer.tenant_id,
        "mpn_id": partner.mpn_id,
        "invitation_id": invited.invitation_id,
        "event_id": Event.objects.earliest("pk").pk,
        "request_id": request.pk,
        "delivery_id": Delivery.objects.filter(user=admin.user).get().pk,
        "notification_id": Notification.objects.get(membership__user=admin.user).pk,
        "signed": receipts.sign(Association.objects.earliest("pk").pk),
        "person_id": admin.user_id,
        "load_id": estate.request([ContentFile(b"x", "usage.csv")], dry_run=True, by=people["programme_admin"]).pk,
        "job_id": bulk.request(
            [bulk.Pair(str(subscription.subscription_id), partner.mpn_id)], dry_run=True, by=admin
        ).pk,
        "pk": token.pk,
    }
    return Cast(clients, values)


@pytest.fixture
def ask(cast: Cast, settings: Any, tmp_path: Path) -> Ask:
    """Asks an address as one of them; what that has changed is undone."""
    settings.MAIL_SINK = str(tmp_path / "mail")

    def asks(role: str, method: str, address: str) -> str:
        client = copy(cast.clients[role])
        client.cookies = client.cookies.copy()
        path = re.sub(r"<(\w+)>", lambda found: str(cast.values.get(found[1], "1")), address)
        with transaction.atomic():
            # Each from an address of its own, so that nobody runs into the limits of sign-in.
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
    """The rows of an address as it answers now, the methods that answer alike in one."""
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


def test_the_table_lists_nothing_that_is_gone():
    assert {url for url in LISTED if not url.endswith("**")} <= set(ADDRESSES)


@pytest.mark.parametrize(("url", "method"), ROWS, ids=lambda value: value)
def test_every_role_gets_what_the_table_says(ask, url, method):
    addresses = [one for one in ADDRESSES if row_of(one) == url]
    wanted = dict(zip(ROLES, ROWS[url, method], strict=True))

    for address in addresses:
        assert dict(zip(ROLES, answers(ask, method, address), strict=True)) == wanted, address


@pytest.mark.parametrize("url", sorted(LISTED))
def test_a_method_that_is_not_listed_is_refused(ask, url):
    methods = [method for method in METHODS if (url, method) not in ROWS]
    for address in [one for one in ADDRESSES if row_of(one) == url]:
        for method in methods:
            for role in SOME_ROLES:
                answer = ask(role, method, address)
                assert answer in REFUSALS, f"{method} {address} as {role} answers {answer} and is not listed"
