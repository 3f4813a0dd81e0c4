"""Subscriptions that a file of subscriptions no longer names: they are marked as missing, and nothing is ended by it.

A file speaks for the customers that it names, and only if it is complete for them: somebody says so, or it is a file of
an estate that names more than half of all subscriptions. A few corrected lines, or the export of one reseller, say
nothing of what they leave out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from django.db import connection
from django.db.models import F
from django.utils import timezone

from por.directory.imports.subscriptions import change_listeners
from por.directory.models import Subscription
from por.imports.loading import Absences
from por.imports.picking import Unstaged

_EXPECTED = "missing_since IS NULL AND status <> 'expired'"  # who has expired is not expected in any file
_NOT_NAMED = """
    NOT EXISTS (SELECT FROM estate_staged_subscriptions AS staged WHERE staged.subscription_id = one.subscription_id)
    AND one.subscription_id <> ALL(%(ids)s::uuid[])
"""


def find(unstaged: Unstaged, count: int, is_complete: bool | None) -> Absences:
    """Return the subscriptions that the staged file has stopped to name, and those that it names again.

    `unstaged` are those that only lines outside the table name, `count` is how many lines the table has. Whether the
    file is complete is judged by its size if nobody says it. If some lines cannot be read, it may name anything.
    """
    given = {"ids": list(unstaged.ids), "most": 2 * (count + len(unstaged.ids))}
    is_asked = is_complete if is_complete is not None else _names_most(given)
    missing = _missing(given) if is_asked and not unstaged.unread else []
    return Absences(missing, _named_again(given), unread=unstaged.unread if is_asked else 0)


def _names_most(given: dict[str, Any]) -> bool:
    """Return whether a file names more than half of the expected subscriptions. For a small file, few are counted."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT count(*) FROM (SELECT FROM directory_subscription WHERE {_EXPECTED} LIMIT %(most)s) AS expected
            """,
            given,
        )
        expected: int = cursor.fetchone()[0]
        if not 0 < expected < given["most"]:
            return False
        cursor.execute(f"SELECT count(*) FROM directory_subscription AS one WHERE {_EXPECTED} AND {_NOT_NAMED}", given)
        not_named: int = cursor.fetchone()[0]
    return 2 * not_named < expected


def _missing(given: dict[str, Any]) -> list[int]:
    """Return those that the file does not name, of the customers that it names."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT one.id FROM directory_subscription AS one
            JOIN directory_customer AS customer ON customer.organisation_id = one.customer_id
            WHERE {_EXPECTED} AND {_NOT_NAMED} AND EXISTS (
                SELECT FROM estate_staged_subscriptions AS staged WHERE staged.tenant_id = customer.tenant_id
            )
            ORDER BY one.id
            """,
            given,
        )
        return [pk for (pk,) in cursor.fetchall()]


def _named_again(given: dict[str, Any]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT one.id FROM directory_subscription AS one
            WHERE missing_since IS NOT NULL AND NOT ({_NOT_NAMED}) ORDER BY one.id
            """,
            given,
        )
        return [pk for (pk,) in cursor.fetchall()]


def mark(pks: Sequence[int], *, is_missing: bool) -> None:
    """Mark subscriptions as missing from today, or as named again, in the transaction of the batch, with an event."""
    since: date | None = timezone.now().date() if is_missing else None
    locked = Subscription.objects.filter(pk__in=pks, missing_since__isnull=is_missing)
    before = dict(locked.order_by("pk").select_for_update(no_key=True).values_list("pk", "missing_since"))
    if not before:
        return
    Subscription.objects.filter(pk__in=before).update(missing_since=since, version=F("version") + 1)
    for listener in change_listeners:
        listener({pk: {"missing_since": [was, since]} for pk, was in before.items()})
