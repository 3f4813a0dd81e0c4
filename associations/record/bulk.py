"""The twins of actions.py for imports: the same rows, written in one statement for a whole batch.

A test compares them with the single functions on random estates. The caller locks the units and the partners, as for
the single functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from django.db import connection

from associations.record.models import KEPT, Association
from associations.record.rules import Source
from por.directory.models import Subscription


def begin(drafts: Sequence[Association]) -> None:
    """Insert many drafts."""
    Association.objects.bulk_create(drafts)


def begin_selected(
    selected: str, params: Mapping[str, Any], *, source: Source, attached_at: datetime
) -> dict[int, int]:
    """Insert the rows of a SELECT; return the customer of each new association, by their keys.

    The SELECT gives kind, customer_id, subscription_id, partner_id, began_at and ended_at, in this order.
    """
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN.format(selected=selected), {**params, "source": source, "attached_at": attached_at})
        return dict(cursor.fetchall())


_BEGIN = """
    INSERT INTO associations_association
        (kind, customer_id, subscription_id, partner_id, began_at, ended_at, attached_at, source, end_reason, note,
        end_note, end_inferred)
    SELECT selected.*, %(attached_at)s, %(source)s, '', '', '', false FROM ({selected}) AS selected
    RETURNING id, customer_id
"""


class End(NamedTuple):
    """The end of an association: when, and why. `is_inferred` says that no one has given the day."""

    association: Association
    at: datetime
    reason: str
    is_inferred: bool = False


def end(ends: Sequence[End]) -> None:
    """End many associations, or give other ends to those that an import has ended."""
    if not ends:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _END,
            [
                [one.association.pk for one in ends],
                [one.at for one in ends],
                [str(one.reason) for one in ends],
                [one.is_inferred for one in ends],
            ],
        )
        kept = {pk: values for pk, *values in cursor.fetchall()}
    for association, at, reason, is_inferred in ends:
        association.ended_at, association.end_reason, association.end_note = at, reason, ""
        association.end_inferred = is_inferred
        for name, value in zip(KEPT, kept[association.pk], strict=True):
            setattr(association, name, value)


# As a single end does: one that was open keeps what it ends with.
_END = f"""
    UPDATE {Association._meta.db_table} AS one
    SET ended_at = its.ended_at, end_reason = its.end_reason, end_inferred = its.is_inferred, end_note = '',
        seats_at_end = its.seats, status_at_end = its.status, renews_on_at_end = its.renews_on,
        version_at_end = its.version
    FROM (
        SELECT given.*,
            CASE WHEN known.ended_at IS NULL THEN seats ELSE seats_at_end END AS seats,
            CASE WHEN known.ended_at IS NULL THEN coalesce(status, '') ELSE status_at_end END AS status,
            CASE WHEN known.ended_at IS NULL THEN renews_on ELSE renews_on_at_end END AS renews_on,
            CASE WHEN known.ended_at IS NULL THEN version + 1 ELSE version_at_end END AS version
        FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[], %s::boolean[])
            AS given (id, ended_at, end_reason, is_inferred)
        JOIN {Association._meta.db_table} AS known ON known.id = given.id
        LEFT JOIN {Subscription._meta.db_table} AS unit ON unit.id = known.subscription_id
    ) AS its WHERE one.id = its.id
    RETURNING one.id, {", ".join(f"one.{name}" for name in KEPT)}
"""


def reopen(associations: Sequence[Association]) -> None:
    """Let many ended associations go on as if they had never ended."""
    as_open = {
        **{"ended_at": None, "end_reason": "", "end_note": "", "end_inferred": False},
        **{"seats_at_end": None, "status_at_end": "", "renews_on_at_end": None, "version_at_end": None},
    }
    for association in associations:
        for name, value in as_open.items():
            setattr(association, name, value)
    Association.objects.filter(pk__in=[association.pk for association in associations]).update(**as_open)


def foresee(days: Mapping[int, date | None]) -> None:
    """Keep the day on which each open association will end, by its key; None if no day is known."""
    if days:
        with connection.cursor() as cursor:
            cursor.execute(
                """
                UPDATE associations_association AS one SET ends_on = its.ends_on
                FROM unnest(%s::bigint[], %s::date[]) AS its (id, ends_on) WHERE one.id = its.id
                """,
                [list(days), list(days.values())],
            )
