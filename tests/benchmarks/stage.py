"""Who plays in a benchmark, and the SQL of their changes as the product itself says it. Runs inside the product."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q
from django.test import Client
from psycopg2.extensions import AsIs

from associations.models import Association
from por.accounts.actions import create_token
from por.accounts.models import Membership, Organisation
from por.directory.models import Partner, Subscription

SUBSCRIPTIONS = 96  # pgbench takes at most 128 scripts
PARTNERS = 8

#: One change: if somebody is of record, the statements of a removal, else those of an attachment.
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


def setting() -> str:
    """All that clients and floor need, as JSON."""
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
    return json.dumps(
        {
            "places": places,
            "readers": {
                "staff": _token(Organisation.objects.filter(kind="staff")[0]),
                "a partner": _token(by_size[0].organisation),
            },
            "options": settings.DATABASES["default"]["OPTIONS"]["options"],
        }
    )


def _administrators(organisation: Any) -> Any:
    return Membership.objects.usable().filter(organisation=organisation, role="administrator")


def _token(organisation: Organisation) -> str:
    members = Membership.objects.usable().filter(organisation=organisation)
    member = members.filter(role="administrator").first() or members.order_by("pk")[0]
    return create_token(member.user, organisation, name="bench", read_only=False)[1]


def _script(subscription: Subscription, place: dict[str, str]) -> str:
    """One attachment and one removal by a request each, and the statements they took."""
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
    """The statements as they go to the database, but with the clock and the open association of each run."""
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
