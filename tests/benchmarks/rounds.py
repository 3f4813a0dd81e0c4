"""Rounds of recomputation: `python -m tests.benchmarks.rounds [subscriptions] [companies]`, with a running product.

It measures a nightly round by two workers, from an attachment over the API to the stored result for a partner with half
of all subscriptions, and the peak memory of the worker's processes.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import sys
import time
import urllib.error
import urllib.request
from datetime import date
from pathlib import Path
from typing import Any

from tests.benchmarks.product import Product, running
from tests.product import connected

ATTACHMENTS = 50
BEGIN = """
import logging; logging.disable()
from competencies import actions
from competencies.models import Round
from django.utils import timezone
print(actions.begin_round(Round.Reason.NIGHTLY, timezone.now().date()).pk)
"""
PEOPLE = """
import json, logging; logging.disable()
from django.db.models import Exists, OuterRef
from associations.record.models import Association
from por.accounts.actions import create_token
from por.accounts.models import Membership
from por.directory.models import Partner, Subscription
held = Association.objects.open().of_record().filter(subscription=OuterRef("pk"))
mine = Partner.objects.filter(kind="location", status="active", organisation__parent=None).first()
free = Subscription.objects.filter(~Exists(held), status="active", product="office365")
free = free.order_by("customer").distinct("customer")
found = []
for one in free[:{count}]:
    member = Membership.objects.usable().filter(organisation=one.customer_id, role="administrator").first()
    if member:
        token = create_token(member.user, member.organisation, name="bench", read_only=False)[1]
        found.append([str(one.subscription_id), token])
print(json.dumps([mine.pk, mine.mpn_id, found]))
"""
#: Whether an event waits, or the company. An event is done in the transaction that lets the company wait.
WAITING = """
    SELECT EXISTS (SELECT FROM history_outbox WHERE done_at IS NULL AND dead_at IS NULL)
        OR EXISTS (SELECT FROM competencies_recompute WHERE company_id = %s)
"""


def shell(product: Product, code: str) -> str:
    return product.manage("shell", "--no-imports", "-c", code).splitlines()[-1]


def peak_of(product: Product) -> float:
    """Return the largest peak of memory of a process of the worker, in megabytes."""
    peaks = []
    for pid in product.processes()["worker"]:
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        peaks.append(int(found.group(1)) / 1024 if found else 0.0)
    return max(peaks)


def rounds(product: Product) -> list[tuple[Any, ...]]:
    with connected(product.addresses["DATABASE_URL"]) as cursor:
        cursor.execute(
            "SELECT id, reason, companies, done, changed, failed, extract(epoch FROM ended_at - begun_at)::float"
            " FROM competencies_round ORDER BY id"
        )
        return cursor.fetchall()


def finish(product: Product) -> None:
    while any(one[6] is None for one in rounds(product)):
        time.sleep(1)


def main() -> None:
    subscriptions, companies = int(sys.argv[1]), int(sys.argv[2])
    with running() as product:
        estate = product.var / "estate"
        sizes = ["--subscriptions", str(subscriptions), "--partners", str(companies), "--months", "14"]
        product.manage("make_estate", str(estate), *sizes, "--seed", "2", "--today", date.today().isoformat())
        product.manage("load_estate", str(estate))
        print("imported", flush=True)
        finish(product)
        print("round after the import", rounds(product), f"peak {peak_of(product):.0f} MB", flush=True)

        shell(product, BEGIN)
        finish(product)
        print(
            "nightly round, product's worker alone", rounds(product)[-1], f"peak {peak_of(product):.0f} MB", flush=True
        )

        partner, mpn_id, people = json.loads(shell(product, PEOPLE.replace("{count}", str(ATTACHMENTS))))
        with connected(product.addresses["DATABASE_URL"]) as cursor:
            cursor.execute(
                "WITH chosen AS (SELECT id FROM associations_association WHERE kind = 'dpor' AND ended_at IS NULL"
                " AND undone_at IS NULL ORDER BY id LIMIT %s) UPDATE associations_association SET partner_id = %s"
                " WHERE id IN (SELECT id FROM chosen)",
                [subscriptions // 2, partner],
            )
            print("subscriptions of the partner", cursor.rowcount, "attachments", len(people), flush=True)
            product.settle()
            seconds = []
            for subscription, token in people:
                seconds.append(attached(product, cursor, subscription, token, mpn_id, partner))
                time.sleep(0.5)
        seconds.sort()
        p95 = seconds[int(len(seconds) * 0.95) - 1]
        print(f"attachments: p50 {statistics.median(seconds):.2f} s, p95 {p95:.2f} s, most {seconds[-1]:.2f} s")
        print(f"load average {os.getloadavg()[0]:.1f}", seconds)
        print(f"peak of a process of the worker: {peak_of(product):.0f} MB", flush=True)


def attached(product: Product, cursor: Any, subscription: str, token: str, mpn_id: str, partner: int) -> float:
    """Return the seconds from the request of an attachment until the company is computed and waits no more."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{product.port}/api/v1/subscriptions/{subscription}/partner-of-record/",
        data=json.dumps({"mpn_id": mpn_id}).encode(),
        method="PUT",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json", "If-Match": "*"},
    )
    began = time.monotonic()
    try:
        urllib.request.urlopen(request).read()
    except urllib.error.HTTPError as error:
        raise SystemExit(error.read().decode()) from error
    while True:
        cursor.execute(WAITING, [partner])
        if not cursor.fetchone()[0]:
            return time.monotonic() - began
        if time.monotonic() - began > 60:
            raise SystemExit("not computed after a minute")
        time.sleep(0.01)


if __name__ == "__main__":
    main()
