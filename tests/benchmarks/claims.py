"""Claims at size: the queue, the lists and the pages of claims, and finding what holds a unit."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.clients import percentiles

if TYPE_CHECKING:
    from tests.benchmarks.product import Product

#: How many claims the estate gets, and of how many units it is looked up what holds them.
CLAIMS = int(os.environ.get("BENCH_CLAIMS", "200000"))
UNITS = 1000
READS = "import logging; logging.disable(); from tests.benchmarks.claims import reads; print(reads())"
LOOKUPS = "import logging; logging.disable(); from tests.benchmarks.claims import lookups; print(lookups())"
HEAD = ["What", "Times", "p50 ms", "p95 ms", "p99 ms"]


def fill(product: Product) -> None:
    """Add the claims to the product's database."""
    with product.database() as cursor:
        cursor.execute(Path(__file__).with_suffix(".sql").read_text(), {"count": CLAIMS})


def reads() -> str:
    """Return what is read, as JSON, as the stage has it. Runs in the product."""
    return json.dumps(list(_reads()))


def _reads() -> Iterator[dict[str, Any]]:
    from django.db.models import Count

    from associations.claims.models import Claim, Conflict
    from por.accounts.models import Organisation
    from tests.benchmarks.stage import _read, _signed_in, _token

    house = Organisation.objects.get(kind="staff")
    staff = _signed_in(house)
    by_claims = Claim.objects.order_by().values("partner").annotate(size=Count("pk")).order_by("-size")
    largest = Organisation.objects.get(pk=by_claims[0]["partner"])
    partner, size = _signed_in(largest), f"a partner of {by_claims[0]['size']:,}"
    contested = Conflict.objects.open().filter(sides__claim__partner=largest.pk).values("customer")
    customer = _signed_in(Organisation.objects.filter(pk__in=contested).order_by("pk").first())
    words = ["exo", "teams", "nord", "CPR-00001", "zzzz", "berg"]
    searches = [f"search={word}" for word in words]

    for key in ("", "mine", "today", "partner", "disputed", "all"):
        yield _read(f"Queue, {key or 'to review'}", [f"/a/claims/?view={key}"], staff)
    yield _read(f"Queue, search, {len(words)} words", [f"/a/claims/?view=all&{one}" for one in searches], staff)
    yield _read("Conflicts, staff", ["/a/conflicts/"], staff)
    for key in ("", "action_required", "approved", "without_proof", "expiring", "contested", "ended"):
        yield _read(f"Claims of {size}, {key or 'all'}", [f"/p/claims/?view={key}"], partner)
    yield _read(f"Claims of {size}, search, {len(words)} words", [f"/p/claims/?{one}" for one in searches], partner)
    yield _read(f"Claims of {size} as of a day", ["/p/claims/?as_of=2026-01-01"], partner)
    yield _read("Conflicts of the partner", ["/p/conflicts/"], partner)
    yield _read("Claims of a customer", ["/c/claims/"], customer)
    own = Claim.objects.filter(partner=largest.pk, status="approved").order_by("-pk").values_list("pk", flat=True)
    yield _read("One claim, the partner", [f"/p/claims/{pk}/" for pk in own[:20]], partner)
    waiting = Claim.objects.filter(status="under_review").order_by("-pk").values_list("pk", flat=True)
    yield _read("One claim, the reviewer", [f"/a/claims/{pk}/" for pk in waiting[:20]], staff)
    conflicts = Conflict.objects.open().order_by("pk").values_list("pk", flat=True)
    yield _read("One conflict, the reviewer", [f"/a/conflicts/{pk}/" for pk in conflicts[:20]], staff)
    api, of_staff = ({"Authorization": f"Bearer {_token(one)}"} for one in (largest, house))
    yield _read(f"50 claims by the API, {size}", ["/api/v1/claims/?page_size=50"], api)
    yield _read("Search by the API, the partner", [f"/api/v1/claims/?{one}" for one in searches], api)
    needs = "/api/v1/claims/?page_size=50&needs_proof=true"
    yield _read("50 claims that need proof by the API, staff", [needs], of_staff)


def lookups() -> str:
    """Return how long it takes to find what holds a unit, for a thousand units, as JSON. Runs in the product."""
    from associations.claims.actions import conflicts
    from associations.claims.models import ClaimUnit

    found: list[list[str]] = []
    units = list(ClaimUnit.objects.filter(live=True).order_by("company", "pk")[: 40 * UNITS : 40])
    work: dict[str, Callable[[ClaimUnit], Any]] = {
        "Who else has a unit": lambda unit: list(conflicts.others(unit)),
        "The open conflict about a unit": conflicts.open_on,
        "The decisions about a unit that wait": lambda unit: list(conflicts.waiting_on(unit)),
        "The open conflicts of a claim": lambda unit: conflicts.open_conflicts(unit.claim),
    }
    for what, find in work.items():
        taken = []
        for unit in units:
            unit.claim  # noqa: B018  # read before, it is no part of the work
            began = time.perf_counter()
            find(unit)
            taken.append(time.perf_counter() - began)
        times = percentiles(taken)
        found.append([what, f"{len(taken):,}", *(f"{times[one]:.1f}" for one in ("p50", "p95", "p99"))])
    return json.dumps(found)
