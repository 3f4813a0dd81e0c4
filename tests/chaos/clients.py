"""Clients that attach and remove by the API without a pause, and note how each of their requests ended."""

from __future__ import annotations

import http.client
import json
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests import estates

ADMIN = "chaos@customer.example"
TENANT = str(uuid.UUID(int=7, version=4))
#: Seconds that a client waits for an answer; longer than any test lets it.
PATIENCE = 120


class Ending(NamedTuple):
    """How a request ended: its status is 0 if the connection was cut."""

    method: str
    status: int
    seconds: float
    said: str


class Client(threading.Thread):
    """A client of one subscription. It sends a change again, with its key, until it is acknowledged."""

    def __init__(
        self, connect: Callable[[], http.client.HTTPConnection], token: str, subscription: str, *, kept: bool
    ) -> None:
        super().__init__(daemon=True)
        self.connect, self.token, self.kept = connect, token, kept
        self.path = f"/api/v1/subscriptions/{subscription}/"
        self.over = threading.Event()
        self.connection = connect()
        self.acknowledged: dict[str, str] = {}  # request id and verb
        self.endings: list[Ending] = []

    def run(self) -> None:
        attach = True
        while not self.over.is_set():
            self.change(attach=attach)
            self.ask("GET", self.path, 200)
            attach = not attach
        self.connection.close()

    def change(self, *, attach: bool) -> None:
        key = str(uuid.uuid4())
        given = {"If-Match": "*", "Idempotency-Key": key, "X-Request-ID": key, "Content-Type": "application/json"}
        method, status, body = ("PUT", 201, {"mpn_id": estates.PARTNER}) if attach else ("DELETE", 204, {"reason": "x"})
        while not self.ask(method, f"{self.path}partner-of-record/", status, json.dumps(body), given):
            time.sleep(0.5)
        self.acknowledged[key] = "partner_of_record.attached" if attach else "partner_of_record.removed"

    def ask(
        self, method: str, path: str, expected: int, body: str | None = None, given: dict[str, str] | None = None
    ) -> bool:
        """Send a request; note how it ended; return whether it ended as expected."""
        began, status, said = time.monotonic(), 0, ""
        try:
            self.connection.request(
                method, path, body, {"Authorization": f"Bearer {self.token}", "Host": "localhost", **(given or {})}
            )
            with self.connection.getresponse() as answer:
                status, said = answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            said = repr(error)
        if not (self.kept and status):
            self.connection.close()
            self.connection = self.connect()
        as_expected = status == expected
        seconds = time.monotonic() - began
        self.endings.append(Ending(method, status, seconds, "" if as_expected else said[:300]))
        return as_expected


def write_estate(place: Path, clients: int) -> list[str]:
    """Write the files of a customer with a subscription for each client; return the IDs of these."""
    subscriptions = [str(uuid.UUID(int=100 + number, version=4)) for number in range(clients)]
    place.mkdir()
    estates.write(
        place,
        partners=[estates.partner()],
        customers=[estates.customer(TENANT, contact_email=ADMIN)],
        subscriptions=[estates.subscription(one, tenant_id=TENANT) for one in subscriptions],
    )
    return subscriptions


def bad(clients: list[Client]) -> list[Ending]:
    """Return the requests that did not end as expected."""
    return [ending for client in clients for ending in client.endings if ending.said]


def slowest(clients: list[Client]) -> float:
    return max(ending.seconds for client in clients for ending in client.endings)
