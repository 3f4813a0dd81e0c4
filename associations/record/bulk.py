"""The twins of actions.py for imports: the same rows, written in one statement for a whole batch.

A test compares them with the single functions on random estates. The caller locks the units and the partners, as for
the single functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from associations.record.models import Association
from associations.record.rules import Source
from por.directory.models import Subscription


def begin(drafts: Sequence[Association]) -> None:
    """Insert many drafts."""
    Association.objects.bulk_create(drafts)


def begin_selected(
    selected: str, params: Mapping[str, Any], *, source: Source, attached_at: datetime
) -> dict[int, int]:
    """Insert the rows of a SELECT; return how many associations each customer got, by its key.

    The SELECT gives kind, customer_id, subscription_id, partner_id, began_at and ended_at, in this order.
    """
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN.format(selected=selected), {**params, "source": source, "attached_at": attached_at})
        return dict(cursor.fetchall())


_BEGIN = """
    WITH begun AS (
        INSERT INTO associations_association
            (kind, customer_id, subscription_id, partner_id, began_at, ended_at, attached_at, source, end_reason, note,
            end_note)
        SELECT selected.*, %(attached_at)s, %(source)s, '', '', '' FROM ({selected}) AS selected
        RETURNING customer_id
    )
    SELECT customer_id, count(*) FROM begun GROUP BY customer_id
"""


def redate(associations: Sequence[Association]) -> None:
    """Save the periods of many associations as the caller has set them, those with an end first.

    The ones that follow them on the same unit then overlap nothing.
    """
    pks = [association.pk for association in associations]
    ending = [association.pk for association in associations if association.ended_at is not None]
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, {"pks": pks, "ending": ending})
    ended_first = sorted(associations, key=lambda association: association.ended_at is None)
    Association.objects.bulk_update(ended_first, ["began_at", "ended_at"])


# As a single end does: one that was open keeps what it ends with, and one that is open again forgets it.
_KEEP = f"""
    UPDATE {Association._meta.db_table} AS one SET
        seats_at_end = CASE WHEN ends THEN seats END,
        status_at_end = CASE WHEN ends THEN status ELSE '' END,
        renews_on_at_end = CASE WHEN ends THEN renews_on END,
        version_at_end = CASE WHEN ends THEN version + 1 END
    FROM (
        SELECT known.id AS known, known.id = ANY(%(ending)s::bigint[]) AS ends, seats, status, renews_on, version
        FROM {Association._meta.db_table} AS known JOIN {Subscription._meta.db_table} AS unit
            ON unit.id = known.subscription_id
        WHERE known.id = ANY(%(pks)s::bigint[])
            AND (known.ended_at IS NULL OR known.id <> ALL(%(ending)s::bigint[]))
    ) AS unit WHERE one.id = known
"""
