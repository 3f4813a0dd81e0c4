"""How long a job of a thousand rows takes through HTTP and worker: as a dry run, for real, and sent again."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

from tests.benchmarks.product import Product

ROWS = 1000
HEAD = ["A job of 1,000 rows", "Seconds, from request to the last row", "Outcomes"]
SETTING = f"""
import logging; logging.disable()
from tests.factories import make_customer, make_member, make_partner, make_subscription
from por.accounts.actions import create_token
import json
customer = make_customer("Jobs AB")
admin, partner = make_member(customer.organisation), make_partner("Jobs Partner AB")
ids = [str(make_subscription(customer).subscription_id) for _row in range({ROWS})]
_token, secret = create_token(admin.user, admin.organisation, name="jobs", read_only=False)
print(json.dumps({{"token": secret, "ids": ids, "mpn_id": partner.mpn_id}}))
"""


def measure(product: Product) -> list[list[str]]:
    """Return a row for a dry run, for the job while its thousand messages are made, and for the same file again."""
    setting = json.loads(product.manage("shell", "--no-imports", "-c", SETTING).splitlines()[-1])
    rows = [{"subscription_id": one, "mpn_id": setting["mpn_id"]} for one in setting["ids"]]
    return [
        _job(product, title, setting["token"], {"rows": rows}, query)
        for title, query in (("tried", "?dry_run=true"), ("attached", ""), ("sent again", ""))
    ]


def _job(product: Product, title: str, token: str, body: Any, query: str) -> list[str]:
    product.drain()
    started = time.monotonic()
    job = _ask(product, f"bulk/partner-of-record/{query}", token, body)["job"]
    while job["status"] not in {"done", "failed"}:
        time.sleep(0.2)
        job = _ask(product, f"jobs/{job['id']}/", token)
    seconds = time.monotonic() - started
    outcomes = [row["outcome"] for row in job["results"]]
    return [title, f"{seconds:.1f}", ", ".join(f"{outcomes.count(one):,} × {one}" for one in sorted(set(outcomes)))]


def _ask(product: Product, path: str, token: str, body: Any = None) -> Any:
    request = urllib.request.Request(  # noqa: S310  # our own server
        f"http://127.0.0.1:{product.port}/api/v1/{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return json.load(answer)
