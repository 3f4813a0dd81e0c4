"""What stands beside a subscription in the API: its partner of record and its newest usage, as one reader sees them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from django.db.models import Exists, F, OuterRef, Value

from associations.change_requests.models import ChangeRequest
from associations.record.access import usage_visible_to
from associations.record.models import Association, AssociationQuerySet
from associations.record.usage import NEWEST_MONTH, last_day, latest_usage, newest_usage
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.db.prepared import AnyOf, Param, Statement
from por.directory.queries import name_on


class Record(NamedTuple):
    """The partner of record of a subscription, and the newest month of usage that the reader may see; None for none.

    `company` is the organisation above the partner. `until` is when it ended after the day that is asked for.
    """

    partner: int | None
    company: int | None
    mpn_id: str
    name: str
    since: datetime
    until: datetime | None
    source: str
    is_contested: bool
    month: date | None
    paid_units: int | None
    active_users: int | None
    consumed_usd: Decimal | None


_NO_PARTNER: tuple[Any, ...] = (None,) * 8
_VALUES = (
    *("subscription", "partner", "partner__organisation__parent", "partner__mpn_id", "partner_name"),
    *("began_at", "ended_at", "source", "is_contested"),
)


def records_of(actor: Actor, ids: Sequence[int], as_of: date | None) -> dict[int, Record]:
    """Return the record of each of these subscriptions by its key, at the end of the day. The actor may see them all.

    A partner sees the usage of those that it is of record for.
    """
    own = actor.organisation_id if actor.kind == OrganisationKind.PARTNER else None
    if as_of is None:
        given = {"ids": ids, "until": last_day(None), "own": own}
        return {row[0]: Record._make(row[1:]) for row in _with_usage().rows(given)}
    found = {row[0]: row[1:] for row in _records(Association.objects.open(as_of), Value(ids), as_of)}
    if own is None:
        usage = newest_usage(ids, as_of)
    else:
        held = [pk for pk, (partner, company, *_more) in found.items() if own in (partner, company)]
        usage = latest_usage(usage_visible_to(actor).filter(subscription__in=held), as_of)
    return {pk: Record(*found.get(pk, _NO_PARTNER), *usage.get(pk, (None,) * 4)) for pk in ids}


def _records(open_then: AssociationQuerySet, ids: Any, as_of: date | None = None) -> Any:
    requests = ChangeRequest.objects.open().filter(subscription=OuterRef("subscription"))
    found = open_then.of_record().filter(AnyOf(F("subscription"), ids))
    named = found.annotate(is_contested=Exists(requests), partner_name=name_on(as_of, "partner__organisation"))
    return named.values_list(*_VALUES)


@lru_cache(maxsize=1)
def _with_usage() -> Statement:
    """Return the statement for the records of today. All is found by keys, so one plan serves every list.

    For a partner (`own`), usage is looked up only where it is of record.
    """
    records, given = _records(Association.objects.open(), Param("ids")).query.sql_with_params()
    seen = "CASE WHEN %s::bigint IS NULL OR %s::bigint IN (partner, company) THEN wanted.id END"
    sql = f"""
        SELECT wanted.id, partner, company, mpn_id::varchar, name::varchar, since, until, source::varchar, is_contested,
               newest.*
        FROM unnest(%s::bigint[]) AS wanted (id)
        LEFT JOIN ({records}) AS record (
            subscription, partner, company, mpn_id, name, since, until, source, is_contested
        ) ON record.subscription = wanted.id
        CROSS JOIN LATERAL (
            SELECT max(month), max(paid_units), max(active_users), sum(consumed_usd)
            FROM ({NEWEST_MONTH.format(subscription=seen)}) AS of_workloads
        ) AS newest
        """
    return Statement(sql, [Param("ids"), *given, Param("own"), Param("own"), Param("until")])
