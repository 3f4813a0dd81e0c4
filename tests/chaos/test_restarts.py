"""The web server is restarted again and again under load: no request is cut, refused or left waiting.

Only `make chaos` runs this, on the product as `make run` starts it. `tests/chaos/test_release.py` restarts web servers
behind a proxy.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections import Counter
from pathlib import Path

from tests.chaos.clients import ADMIN, PATIENCE, Client, bad, slowest, write_estate
from tests.chaos.test_faults import query
from tests.product import ROOT, Product, free_port, manage, running, wait_until

CLIENTS = 8
RESTARTS = 20
#: Seconds between two deaths of the web server. One that dies five times within a minute is not started again.
APART = 20
LONGEST = 40  # seconds


def test_no_request_is_cut_or_hangs_while_the_web_server_is_restarted(tmp_path: Path) -> None:
    subscriptions, port = write_estate(tmp_path / "estate", CLIENTS), free_port()
    with running(tmp_path / "var", port) as run:
        product = Product(run, tmp_path / "var", port)
        manage(product.var, "load_estate", str(tmp_path / "estate"))
        token = manage(product.var, "create_token", ADMIN, "--name", "chaos").split()[-1]
        clients = [
            Client(
                lambda: http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE),
                token,
                subscription,
                kept=number % 2 == 0,
            )
            for number, subscription in enumerate(subscriptions)
        ]
        for client in clients:
            client.start()
        wait_until(lambda: all(client.acknowledged for client in clients))
        kinds: Counter[str] = Counter()
        last_end = 0.0
        for number in range(RESTARTS):
            kind = ("process", "reload", "server")[number % 3]
            if kind == "server":
                time.sleep(max(0.0, last_end + APART - time.monotonic()))
            restart(product, kind)
            last_end = time.monotonic() if kind == "server" else last_end
            kinds[kind] += 1
            time.sleep(1)
        for client in clients:
            client.over.set()
        for client in clients:
            client.join(PATIENCE)
        acknowledged = {key: verb for client in clients for key, verb in client.acknowledged.items()}
        events = query(product, "SELECT request_id, verb FROM history_event")
        verdict = manage(product.var, "verify_history")
        figures = {
            "restarts": dict(kinds),
            "requests": sum(len(client.endings) for client in clients),
            "changes acknowledged": len(acknowledged),
            "not as expected": Counter(ending.status for ending in bad(clients)),
            "slowest, seconds": round(slowest(clients), 1),
        }
        (ROOT / "var" / "chaos").mkdir(parents=True, exist_ok=True)
        (ROOT / "var" / "chaos" / "restarts.json").write_text(json.dumps(figures, indent=2))

    assert bad(clients) == []
    assert slowest(clients) < LONGEST
    assert Counter(key for key, _verb in events if key in acknowledged) == Counter(dict.fromkeys(acknowledged, 1))
    assert verdict.startswith("Every chain holds")


def restart(product: Product, kind: str) -> None:
    """Restart a process of the web server, all its processes, or the server; return when all of them are there."""
    server, before = product.pid("web"), set(product.children("web"))
    match kind:
        case "process":
            ended = {max(before)}
            os.kill(max(before), signal.SIGTERM)
        case "reload":
            ended = before
            os.kill(server, signal.SIGHUP)
        case _:
            ended = before | {server}
            os.kill(server, signal.SIGTERM)
    wait_until(lambda: len(now := set(product.children("web"))) == 2 and not ended & {product.pid("web"), *now})
