"""The people and subscriptions of a benchmark, and the SQL of changes as the product writes it. Runs in the product."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode

from django.conf import settings
from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q
from django.test import Client
from psycopg2.extensions import AsIs

from associations.record.models import Association
from por.accounts.actions import create_token
from por.accounts.middleware import ACTIVE_ORGANISATION
from por.accounts.models import Membership, Organisation
from por.db.keyset import read_part
from por.directory.models import Customer, Partner, Subscription

SUBSCRIPTIONS = 96  # pgbench takes at most 128 scripts
PARTNERS = 8
#: How many rows one of the filters should match, and how many customers' names are searched.
MANY, WORDS = 40_000, 8
FILTERS = {"status": "active", "agreement": "EA"}

#: One change: if there is a partner of record, the statements of a removal, else those of an attachment.
SCRIPT = """{token};
BEGIN;
{lock};
SELECT coalesce(max(id), 0) AS association FROM associations_association
 WHERE subscription_id = {subscription} AND kind = 'dpor' AND ended_at IS NULL AND undone_at IS NULL \\gset
\\if :association > 0
{remove};
\\else
{attach};
\\endif
COMMIT;
"""


def stage() -> str:
    """Return all that clients and floor need, as JSON."""
    held = Association.objects.open().of_record().filter(subscription=OuterRef("pk"))
    free = (
        Subscription.objects.filter(status=Subscription.Status.ACTIVE)
        .filter(~Exists(held), Exists(_administrators(OuterRef("customer"))))
        .order_by("customer", "pk")
        .distinct("customer")
    )
    partners = Partner.objects.filter(kind=Partner.Kind.LOCATION, status=Partner.Status.ACTIVE)
    by_size = partners.annotate(held=Count("associations", filter=Q(associations__ended_at=None))).order_by(
        "-held", "pk"
    )
    mpn_ids = list(by_size.values_list("mpn_id", flat=True)[:PARTNERS])
    places = []
    for number, subscription in enumerate(free[:SUBSCRIPTIONS]):
        token = _token(subscription.customer.organisation)
        place = {
            "token": token,
            "path": f"/api/v1/subscriptions/{subscription.subscription_id}/partner-of-record/",
            "mpn_id": mpn_ids[number % len(mpn_ids)],
        }
        places.append(place | {"script": _script(subscription, place)})
    readers = Readers.of_the_estate(by_size[0])
    return json.dumps(
        {
            "places": places,
            "lists": list(_lists(readers)),
            "pages": list(_pages(readers)),
            "cold": {"path": "/p/", "headers": _signed_in(readers.partner.organisation), "place": places[0]},
        }
    )


class Readers(NamedTuple):
    """Who reads: staff, the largest customer, and the largest partner; with how many subscriptions each has."""

    staff: Organisation
    customer: Customer
    partner: Partner
    held: int
    owned: int

    @classmethod
    def of_the_estate(cls, partner: Any) -> Self:
        largest = Customer.objects.annotate(size=Count("subscriptions")).order_by("-size", "pk")
        customer = largest.filter(Exists(_administrators(OuterRef("pk"))))[0]
        return cls(Organisation.objects.filter(kind="staff")[0], customer, partner, partner.held, customer.size)

    def words(self) -> list[str]:
        """Return words to search for: whole names, beginnings of names, an MPN ID, a product, and what nothing has."""
        names = Organisation.objects.filter(kind="customer").order_by("number").values_list("name", flat=True)[:WORDS]
        words = [*(name.split()[0] for name in names), *(name[:3] for name in names)]
        return [word for word in [*words, self.partner.mpn_id, "office", "zzzz"] if len(word) >= 3]


def _lists(readers: Readers) -> Iterator[dict[str, Any]]:
    """Yield each list by the API: its title, the addresses in turn, the reader's headers, the queries of one answer."""
    page = "/api/v1/subscriptions/?page_size=50"
    staff, customer, partner = (
        {"Authorization": f"Bearer {_token(one)}"}
        for one in (readers.staff, readers.customer.organisation, readers.partner.organisation)
    )
    yield _read("50 subscriptions, staff", [page], staff)
    yield _read(f"50 subscriptions, a customer of {readers.owned:,}", [page], customer)
    yield _read(f"50 subscriptions, a partner of {readers.held:,}", [page], partner)
    kinds = Subscription.objects.values("product", "agreement", "status").annotate(count=Count("pk"))
    for found in (min(kinds, key=lambda one: abs(one["count"] - MANY)), min(kinds, key=lambda one: one["count"])):
        kind: dict[str, Any] = dict(found)
        count: int = kind.pop("count")
        keys = Subscription.objects.filter(**kind).values("pk")
        middle = read_part(keys, ("pk",), max(1, count // 2)).next  # in the order of the API's list
        first = f"{page}&{urlencode(kind)}"
        further = f"{first}&{urlencode({'cursor': middle})}"
        yield _read(f"50 of {count:,} that match, staff, first and from the middle", [first, further], staff)
    filters = f"{page}&{urlencode(FILTERS)}"
    yield _read("50 that match two filters, the customer", [filters], customer)
    yield _read("50 that match two filters, the partner", [filters], partner)
    of_record = f"{page}&{urlencode({'partner_of_record': readers.partner.mpn_id})}"
    yield _read("50 that this partner is of record for, staff", [of_record], staff)
    words = readers.words()
    searches = [f"{page}&{urlencode({'search': word})}" for word in words]
    yield _read(f"Search, {len(words)} words, staff", searches, staff)
    yield _read(f"Search, {len(words)} words, the partner", searches, partner)


def _pages(readers: Readers) -> Iterator[dict[str, Any]]:
    """Yield each page, as the API's lists are."""
    staff, customer, partner = (
        _signed_in(one) for one in (readers.staff, readers.customer.organisation, readers.partner.organisation)
    )
    filters = urlencode(FILTERS)
    yield _read("Page of 50 partners, staff, `/a/partners/`", ["/a/partners/"], staff)
    yield _read(f"Page of 50 subscriptions, a customer of {readers.owned:,}", ["/c/subscriptions/"], customer)
    yield _read(f"Page of 50 subscriptions, a partner of {readers.held:,}", ["/p/subscriptions/"], partner)
    yield _read("the same with two filters, the customer", [f"/c/subscriptions/?{filters}"], customer)
    yield _read("the same with two filters, the partner", [f"/p/subscriptions/?{filters}"], partner)
    words = readers.words()
    searches = [f"/p/subscriptions/?{urlencode({'search': word})}" for word in words]
    yield _read(f"Search page, {len(words)} words, the partner", searches, partner)
    yield _read("Dashboard of the partner, `/p/`", ["/p/"], partner)
    yield _read("Home of the customer, `/c/`", ["/c/"], customer)
    yield _read("Usage of all, the partner, `/p/usage/`", ["/p/usage/"], partner)
    yield _read("Usage of all, the customer, `/c/usage/`", ["/c/usage/"], customer)
    yield _read("Gaps, the partner, `/p/gaps/`", ["/p/gaps/"], partner)
    yield _read("Gaps, the customer, `/c/gaps/`", ["/c/gaps/"], customer)


def _read(title: str, paths: list[str], headers: dict[str, str]) -> dict[str, Any]:
    client = Client(headers={"Host": "localhost", **headers})
    most = 0
    for path in paths:
        count = itertools.count()
        for _ in range(2):  # the second time, when all that is built or added up once is there
            count = itertools.count()
            with connection.execute_wrapper(lambda execute, *call, count=count: (next(count), execute(*call))[1]):
                answer = client.get(path)
            assert answer.status_code == 200, answer.content
        most = max(most, next(count))
    return {"title": title, "paths": paths, "headers": headers, "queries": most}


def _signed_in(organisation: Organisation) -> dict[str, str]:
    """Return the headers of a session of a person who acts for the organisation."""
    client = Client(headers={"Host": "localhost"})
    member = Membership.objects.usable().filter(organisation=organisation).order_by("pk")[0]
    client.force_login(member.user)
    session = client.session
    session[ACTIVE_ORGANISATION] = organisation.pk
    session.save()
    return {"Cookie": f"{settings.SESSION_COOKIE_NAME}={session.session_key}"}


def _administrators(organisation: Any) -> Any:
    return Membership.objects.usable().filter(organisation=organisation, role="administrator")


def _token(organisation: Organisation) -> str:
    members = Membership.objects.usable().filter(organisation=organisation)
    member = members.filter(role="administrator").first() or members.order_by("pk")[0]
    return create_token(member.user, organisation, name="bench", read_only=False)[1]


def _script(subscription: Subscription, place: dict[str, str]) -> str:
    """Attach and remove by one request each; return the statements they took as a script."""
    client = Client(headers={"Host": "localhost", "Authorization": f"Bearer {place['token']}", "If-Match": "*"})
    client.get("/api/v1/me/")  # the token's last use is written once a minute
    with _captured() as attach:
        answer = client.put(place["path"], {"mpn_id": place["mpn_id"]}, content_type="application/json")
        assert answer.status_code == 201, answer.content
    with _captured() as remove:
        answer = client.delete(place["path"], {"reason": "Bench."}, content_type="application/json")
        assert answer.status_code == 204, answer.content
    assert attach[:2] == remove[:2]  # the token and the lock
    token, lock = attach[:2]
    return SCRIPT.format(
        token=token,
        lock=lock,
        subscription=subscription.pk,
        attach=";\n".join(attach[2:]),
        remove=";\n".join(remove[2:]),
    )


@contextmanager
def _captured() -> Any:
    """Yield the statements of the block, changed to take the clock and the open association of each run."""
    statements: list[str] = []

    def listen(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        updates = sql.startswith('UPDATE "associations_association"')

        def as_in_each_run(value: Any, last: bool) -> Any:
            if isinstance(value, datetime):
                return AsIs("clock_timestamp()")
            return AsIs(":association") if updates and last else value

        if isinstance(parameters, dict):
            given: Any = {name: as_in_each_run(value, False) for name, value in parameters.items()}
        else:
            given = [
                as_in_each_run(value, last=place == len(parameters)) for place, value in enumerate(parameters, start=1)
            ]
        with connection.connection.cursor() as cursor:
            statements.append(cursor.mogrify(sql, given).decode())
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(listen):
        yield statements
