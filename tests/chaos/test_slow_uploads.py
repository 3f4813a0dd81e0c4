"""Twenty people send a proof of 20 MB at once on slow lines: the product takes no more memory, and nobody else waits.

Only `make chaos` runs this, on the product as `make run` starts it. `UPLOAD_SECONDS` is how long a line needs for its
file. What was measured is in var/chaos/uploads.json.
"""

from __future__ import annotations

import io
import json
import os
import socket
import statistics
import threading
import time
from pathlib import Path
from typing import Any

from PIL import Image

from tests.benchmarks.clients import percentiles
from tests.benchmarks.processor import memory_of
from tests.benchmarks.product import Product
from tests.files import PDF
from tests.product import ROOT, form_with_file, free_port, running, wait_until

UPLOADS, SIDE = 20, 2645  # pixels: three bytes each make 20 MB
SECONDS = int(os.environ.get("UPLOAD_SECONDS", "240"))
PIECES = 600
WARM = 8  # uploads before anything is measured: a process that works has more memory than one that has just begun
WORKLOADS = ("exo", "spo", "teams", "yammer", "proplus", "intune", "aadp", "aip")
PAGES = ("/p/", "/p/claims/", "/p/subscriptions/", "/inbox/")


class Upload(threading.Thread):
    """A client that sends a picture of its own, piece by piece, and keeps the answer and when it came."""

    def __init__(self, port: int, token: str, claim: dict[str, Any]) -> None:
        super().__init__()
        self.port, self.token, self.claim = port, token, claim
        self.status, self.seconds = 0, 0.0
        unit: str = claim["workloads"][0]
        self.body, self.kind = form_with_file("proof.png", _picture(), units=unit, acknowledged_on=_today())

    def run(self) -> None:
        head = (
            f"POST /api/v1/claims/{self.claim['id']}/proofs/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Authorization: Bearer {self.token}\r\nContent-Type: {self.kind}\r\n"
            f"Content-Length: {len(self.body)}\r\n\r\n"
        )
        began, size = time.monotonic(), len(self.body) // PIECES + 1
        with socket.create_connection(("127.0.0.1", self.port), timeout=600) as line:
            line.sendall(head.encode())
            for number, start in enumerate(range(0, len(self.body), size)):
                time.sleep(max(0.0, began + SECONDS * number / PIECES - time.monotonic()))
                line.sendall(self.body[start : start + size])
            self.status = int(line.makefile("rb").readline().split()[1])
        self.seconds = time.monotonic() - began


class Reader(threading.Thread):
    """Somebody who opens one page after the other meanwhile."""

    def __init__(self, product: Product) -> None:
        super().__init__()
        self.product, self.over = product, threading.Event()
        self.seconds: list[float] = []
        self.statuses: set[int] = set()

    def run(self) -> None:
        number = 0
        while not self.over.wait(0.25):
            began = time.monotonic()
            self.statuses.add(self.product.status(PAGES[number % len(PAGES)]))
            self.seconds.append(time.monotonic() - began)
            number += 1


def test_twenty_slow_uploads_take_no_memory_and_nobody_waits(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path / "var", port) as run:
        product = Product(run, tmp_path / "var", port)
        product.sign_in("partner")
        token = product.token("partner")
        claims = [_draft(product, token, number) for number in range(UPLOADS)]
        for claim in claims[:WARM]:
            body, kind = form_with_file("small.pdf", PDF, units=claim["workloads"][0], acknowledged_on=_today())
            place = f"/api/v1/claims/{claim['id']}/proofs/"
            answer = product.ask("POST", place, body, Content_Type=kind, Authorization=f"Bearer {token}")
            assert answer.status == 201, answer.text
        alone = _read(product, seconds=20)
        at_rest = _memory(product)
        uploads = [Upload(port, token, claim) for claim in claims]
        reader, most = Reader(product), at_rest
        for one in [*uploads, reader]:
            one.start()
        while any(one.is_alive() for one in uploads):
            most = tuple(map(max, most, _memory(product)))
            time.sleep(0.5)
        reader.over.set()
        reader.join()
        with product.database() as cursor:
            cursor.execute("SELECT count(*) FROM claims_proof WHERE size > 20000000")
            [(stored,)] = cursor.fetchall()

        def waiting() -> int:
            with product.database() as cursor:
                cursor.execute("SELECT count(*) FROM claims_proof WHERE scan = 'pending'")
                count: int = cursor.fetchall()[0][0]
            return count

        wait_until(lambda: waiting() == 0)

    longest = max(one.seconds for one in uploads)
    figures = {
        "uploads": UPLOADS,
        "seconds that a line needs": SECONDS,
        "seconds until the last was stored": round(longest),
        "stored": stored,
        "PSS of the web processes at rest, MB": round(at_rest[0]),
        "the most meanwhile, MB": round(most[0]),
        "the most of the children that look into files, MB": round(most[1]),
        "pages alone, ms": alone,
        "pages meanwhile, ms": {name: round(one) for name, one in percentiles(reader.seconds).items()},
        "pages opened": len(reader.seconds),
    }
    place = ROOT / "var" / "chaos"
    place.mkdir(parents=True, exist_ok=True)
    (place / "uploads.json").write_text(json.dumps(figures, indent=2))
    assert [one.status for one in uploads] == [201] * UPLOADS
    assert stored == UPLOADS
    assert longest < max(600, SECONDS * 2)
    assert reader.statuses == {200}
    assert most[0] < at_rest[0] + 50


def _read(product: Product, *, seconds: int) -> dict[str, int]:
    """Return how long pages take while nothing else happens, in milliseconds."""
    reader = Reader(product)
    reader.start()
    time.sleep(seconds)
    reader.over.set()
    reader.join()
    assert reader.statuses == {200}
    assert statistics.median(reader.seconds) > 0
    return {name: round(one) for name, one in percentiles(reader.seconds).items()}


def _draft(product: Product, token: str, number: int) -> dict[str, Any]:
    """Return a new draft of one workload."""
    with product.database() as cursor:
        cursor.execute(
            "SELECT tenant_id::text, domain FROM directory_customer WHERE domain <> ''"
            f" ORDER BY organisation_id LIMIT 1 OFFSET {number}"
        )
        [(tenant, domain)] = cursor.fetchall()
    workload = WORKLOADS[number % len(WORKLOADS)]
    body = {"tenant_id": tenant, "domain": domain, "program": "osu_m365", "role": "usage", "workloads": [workload]}
    made = product.ask(
        "POST", "/api/v1/claims/", json.dumps(body), Content_Type="application/json", Authorization=f"Bearer {token}"
    )
    assert made.status == 201, made.text
    claim: dict[str, Any] = made.json
    return claim


def _memory(product: Product) -> tuple[float, ...]:
    """Return the megabytes of the web server's own processes, and of the children that look into files."""
    server = product.pid("web")
    own = {server, *map(int, Path(f"/proc/{server}/task/{server}/children").read_text().split())}
    children = set(product.children("web")) - own
    return tuple(sum(memory_of(pid)[1] for pid in pids) for pids in (own, children))


def _today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())


def _picture() -> bytes:
    """Return a picture of 20 MB that no other upload has."""
    file = io.BytesIO()
    Image.frombytes("RGB", (SIDE, SIDE), os.urandom(SIDE * SIDE * 3)).save(file, "PNG", compress_level=0)
    return file.getvalue()
