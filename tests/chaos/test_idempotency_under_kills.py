"""Requests whose web server is killed in the middle: sent again with the same key, each has one effect.

Only `make chaos` runs this, on the product as `make run` starts it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path

from tests import estates
from tests.chaos.test_faults import query
from tests.product import Answer, Product, free_port, manage, running, wait_until

KILLS = 20
ADMIN = "chaos@customer.example"
TENANT = str(uuid.UUID(int=7, version=4))


def test_a_key_sent_again_after_its_server_was_killed_has_one_effect(tmp_path: Path) -> None:
    subscriptions = [str(uuid.UUID(int=100 + number, version=4)) for number in range(KILLS)]
    place = tmp_path / "estate"
    place.mkdir()
    estates.write(
        place,
        partners=[estates.partner()],
        customers=[estates.customer(TENANT, contact_email=ADMIN)],
        subscriptions=[estates.subscription(one, tenant_id=TENANT) for one in subscriptions],
    )
    port, chance = free_port(), random.Random(7)
    with running(tmp_path / "var", port) as run:
        product = Product(run, tmp_path / "var", port)
        manage(product.var, "load_estate", str(place))
        token = manage(product.var, "create_token", ADMIN, "--name", "chaos").split()[-1]
        cut = 0
        for subscription in subscriptions:
            first, answers = strike(product, token, subscription, chance.uniform(0, 0.06))
            cut += first.status == 0
            assert answers[-1].status == 201, answers[-1]
            # If the first was done and its answer lost, this is a replay; in both cases there is one answer.
            again = attach(product, token, subscription)
            assert again.headers["Idempotent-Replayed"] == "true"
            assert again.text == answers[-1].text
            if first.status:
                assert first.text == again.text
        found = dict(
            query(
                product,
                "SELECT object_id, count(*) FROM history_event WHERE verb = 'partner_of_record.attached'"
                f" AND object_id IN ({', '.join(repr(one) for one in subscriptions)}) GROUP BY object_id",
            )
        )
        [(associations,)] = query(
            product,
            "SELECT count(*) FROM associations_association JOIN directory_subscription AS bought"
            " ON bought.id = associations_association.subscription_id"
            f" WHERE bought.subscription_id::text IN ({', '.join(repr(one) for one in subscriptions)})",
        )
        manage(product.var, "verify_history")

    assert found == dict.fromkeys(subscriptions, 1)
    assert associations == KILLS
    assert cut > 0, "no server was killed in the middle of a request"


def attach(product: Product, token: str, subscription: str) -> Answer:
    return product.ask(
        "PUT",
        f"/api/v1/subscriptions/{subscription}/partner-of-record/",
        json.dumps({"mpn_id": estates.PARTNER}),
        Content_Type="application/json",
        Authorization=f"Bearer {token}",
        If_Match='"1"',
        Idempotency_Key=f"kill {subscription}",
    )


def strike(product: Product, token: str, subscription: str, after: float) -> tuple[Answer, list[Answer]]:
    """Send the request, kill all web workers meanwhile, and send it again until it has an answer."""
    first: list[Answer] = []
    sender = threading.Thread(target=lambda: first.append(attach(product, token, subscription)))
    sender.start()
    time.sleep(after)
    for worker in product.children("web"):
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
    sender.join(60)
    answers: list[Answer] = []

    def answered() -> bool:
        answers.append(attach(product, token, subscription))
        return answers[-1].status not in {0, 409, 429, 503}

    wait_until(answered)
    return first[0], answers
