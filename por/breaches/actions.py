"""Keeping what browsers report, within bounds that no one outside can use up."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.urls import Resolver404, resolve
from django.utils import timezone

from por.accounts.limits import Window
from por.accounts.models import Actor
from por.breaches.models import Breach
from por.breaches.rules import KEYWORDS, OTHER, Report
from por.db.locks import one_at_a_time

#: The most rows. A stranger's reports have no page and name no host, so they fill a small part of them.
MOST_ROWS = 500
#: The messages in a minute: of one person, and of all strangers together.
OF_A_PERSON = Window("reports-of-a-person", 20, 60)
OF_STRANGERS = Window("reports-of-strangers", 60, 60)
#: How long a row is kept after its last report.
KEPT = timedelta(days=90)


def may_report(by: Actor) -> bool:
    """Count a message of a browser; return whether it is within the limit of a minute."""
    return OF_A_PERSON.allows(str(by.user_id)) if by.user else OF_STRANGERS.allows("")


def keep(reports: Iterable[Report], *, by: Actor) -> None:
    """Count each report in its row. A row that is new may push out the one with the oldest last report.

    Of a stranger's report, only what stands in a closed list is kept, so strangers can make few rows.
    """
    for report in reports:
        page = _route_of(report.path)
        if page is None:
            continue
        blocked = report.blocked
        if not by.user:
            page, blocked = "", blocked if blocked in KEYWORDS else OTHER
        _count(report.directive, blocked, page)


def _route_of(path: str) -> str | None:
    """Return the route of a page, which holds no key of anything; None if we have no such page."""
    try:
        return f"/{resolve(path).route}"[:200]
    except Resolver404:
        return None


@transaction.atomic
def _count(directive: str, blocked: str, page: str) -> None:
    this = {"directive": directive, "blocked": blocked, "page": page}
    now = timezone.now()
    known = Breach.objects.filter(**this)
    if known.update(count=F("count") + 1, last_at=now):
        return
    one_at_a_time("breaches")  # new rows come one after another, so that there are never too many
    if known.update(count=F("count") + 1, last_at=now):
        return
    Breach.objects.create(**this, first_at=now, last_at=now)
    Breach.objects.filter(last_at__lt=now - KEPT).delete()
    newest = Breach.objects.order_by("-last_at", "-pk").values("pk")[:MOST_ROWS]
    Breach.objects.exclude(pk__in=list(newest.values_list("pk", flat=True))).delete()
