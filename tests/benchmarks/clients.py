"""Clients of the API in a process of their own, which reads a plan from its input and writes figures to its output."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Request = tuple[str, str, bytes, dict[str, str]]


def run(plan: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a plan that another process carries out."""
    command = [sys.executable, "-m", "tests.benchmarks.clients"]
    done = subprocess.run(command, input=json.dumps(plan), stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def ask(port: int, request: Request) -> int:
    """Send one request on a connection of its own; return the status of the answer."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(*request)
        response = connection.getresponse()
        response.read()
        return response.status


def spread(places: list[dict[str, str]]) -> Iterator[Request]:
    """Yield requests that attach and remove in turn, on one subscription after the other."""
    for place in itertools.cycle(places):
        yield change("PUT", place)
        yield change("DELETE", place)


def hot(place: dict[str, str], turns: Iterator[int]) -> Iterator[Request]:
    """Yield requests of a client that takes turns with all others at one subscription, which may be changed already."""
    while True:
        yield change("DELETE" if next(turns) % 2 else "PUT", place)


def reading(paths: list[str], headers: dict[str, str]) -> Iterator[Request]:
    return itertools.cycle([("GET", path, b"", headers) for path in paths])


def change(method: str, place: dict[str, str]) -> Request:
    """Return the request that attaches (PUT) or removes (DELETE) at a place."""
    body = {"mpn_id": place["mpn_id"]} if method == "PUT" else {"reason": "Bench."}
    headers = {"Authorization": f"Bearer {place['token']}", "If-Match": "*", "Content-Type": "application/json"}
    return method, place["path"], json.dumps(body).encode(), headers


def _clients(plan: dict[str, Any]) -> list[Iterator[Request]]:
    count: int = plan["clients"]
    match plan["kind"]:
        case "spread":
            return [spread(plan["places"][number::count]) for number in range(count)]
        case "hot":
            turns = itertools.count()  # shared by all clients: its next() is atomic
            return [hot(plan["places"][0], turns) for _ in range(count)]
        case _:
            paths: list[str] = plan["paths"]
            return [reading(paths[place:] + paths[:place], plan["headers"]) for place in range(count)]


def _send(
    port: int, requests: Iterator[Request], going: Callable[[], bool], held: Path | None, latencies: list[float]
) -> Counter[str]:
    """Send requests one after the other, and none while the file `held` exists; count the answers."""
    answers: Counter[str] = Counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while going():
        if held is not None and held.exists():
            time.sleep(0.02)
            continue
        began = time.perf_counter()
        try:
            connection.request(*next(requests))
            response = connection.getresponse()
            response.read()
            answers[str(response.status)] += 1
        except (OSError, http.client.HTTPException) as error:
            answers[type(error).__name__] += 1
            connection.close()
        latencies.append(time.perf_counter() - began)
    connection.close()
    return answers


def main() -> None:
    plan = json.load(sys.stdin)
    held = Path(plan["held"]) if "held" in plan else None
    latencies: list[float] = []
    answers: Counter[str] = Counter()
    began, before = time.perf_counter(), time.process_time()
    end = began + plan["seconds"]

    def client(requests: Iterator[Request]) -> None:
        mine: list[float] = []
        counted = _send(plan["port"], requests, lambda: time.perf_counter() < end, held, mine)
        latencies.extend(mine)
        with counting:
            answers.update(counted)

    counting = threading.Lock()
    threads = [threading.Thread(target=client, args=[requests]) for requests in _clients(plan)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    cpu = time.process_time() - before
    json.dump({"answers": answers, "seconds": seconds, "cpu": cpu * 1000, **percentiles(latencies)}, sys.stdout)


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Return the median, the 95th and the 99th percentile, in milliseconds."""
    ordered = sorted(seconds) or [0.0]
    last = len(ordered) - 1
    return {f"p{percent}": ordered[min(last, len(ordered) * percent // 100)] * 1000 for percent in (50, 95, 99)}


if __name__ == "__main__":
    main()
