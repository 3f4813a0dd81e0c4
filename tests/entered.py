"""The number of the product's files and functions that one request enters.

`make count` runs it. It uses HTTP and tasks only, so it counts any version of the product in the same way.
"""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from types import CodeType, FrameType
from typing import Any

import pytest
from django.test import Client

from por.celery import app
from tests.api import Api
from tests.factories import make_customer, make_member, make_partner, make_subscription

ROOT = Path(__file__).resolve().parents[1]
OURS = tuple(f"{ROOT / room}/" for room in ("por", "associations", "competencies"))


def entered(work: Callable[[], Any]) -> tuple[int, int]:
    """Do the work; return how many of our files and functions it entered, without comprehensions and lambdas."""
    seen: set[CodeType] = set()

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(OURS) and not code.co_name.startswith("<"):
            seen.add(code)

    sys.setprofile(note)
    threading.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return len({code.co_filename for code in seen}), len(seen)


def run(task: str) -> None:
    """Run a task in this process."""
    app.loader.import_default_modules()
    app.tasks[task].apply(throw=True)


@pytest.mark.django_db(transaction=True)
def test_count(capsys: pytest.CaptureFixture[str]) -> None:
    customer, first, second = make_customer(), make_partner("First"), make_partner("Second")
    admin = make_member(customer.organisation)
    for partner in (first, second):
        make_member(partner.organisation)
    one, other, third = (make_subscription(customer) for _ in range(3))
    web, api = Client(), Api(admin)
    assert admin.user
    web.force_login(admin.user)
    page = "/c/subscriptions/{}/"
    record = "subscriptions/{}/partner-of-record/"

    def ok(response: Any, *statuses: int) -> Any:
        assert response.status_code in statuses, response.status_code
        return response

    def attach_page(subscription: Any, partner: Any) -> Any:
        subscription.refresh_from_db()
        given = {"mpn_id": partner.mpn_id, "version": subscription.version}
        return ok(web.post(page.format(subscription.subscription_id) + "attach/", given), 302)

    def attach_api(subscription: Any, partner: Any) -> Any:
        return ok(
            api.put(record.format(subscription.subscription_id), {"mpn_id": partner.mpn_id}, If_Match="*"), 201, 202
        )

    def requested(subscription: Any, partner: Any) -> dict[str, Any]:
        found: dict[str, Any] = attach_api(subscription, partner).json()["change_request"]
        return found

    attach_api(third, first)  # first, so that what is loaded or compiled once is not counted
    attach_page(third, second)
    ok(web.get("/c/subscriptions/"), 200)
    ok(api.get("subscriptions/"), 200)
    for task in ("relay", "deliver"):
        run(f"por.{'history' if task == 'relay' else 'notifications'}.tasks.{task}")

    counts = {}
    counts["attach, page"] = entered(lambda: attach_page(one, first))
    counts["attach, API"] = entered(lambda: attach_api(other, first))
    asked_page, asked_api = requested(one, second), requested(other, second)
    answer = f"/c/change-requests/{asked_page['id']}/answer/"
    given = {"mpn_id": second.mpn_id, "version": asked_page["version"]}
    counts["answer, page"] = entered(lambda: ok(web.post(answer, given), 302))
    answer_api = f"change-requests/{asked_api['id']}/answer/"
    counts["answer, API"] = entered(lambda: ok(api.post(answer_api, {"mpn_id": second.mpn_id}, If_Match="*"), 200))
    counts["list, page"] = entered(lambda: ok(web.get("/c/subscriptions/"), 200))
    counts["list, API"] = entered(lambda: ok(api.get("subscriptions/"), 200))
    counts["events handled"] = entered(lambda: run("por.history.tasks.relay"))
    counts["mails sent"] = entered(lambda: run("por.notifications.tasks.deliver"))

    lengths = sorted(
        node.end_lineno - node.lineno + 1
        for room in ("por", "associations", "competencies")
        for path in (ROOT / room).rglob("*.py")
        if "migrations" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    )
    with capsys.disabled():
        print("\n| One of these | files | functions |\n|---|---|---|")
        for name, (files, functions) in counts.items():
            print(f"| {name} | {files} | {functions} |")
        print(f"{len(lengths)} functions: median {median(lengths):g} lines, p90 {quantiles(lengths, n=10)[-1]:g}")
