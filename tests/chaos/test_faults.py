"""Minutes of random faults under load on the real product: nothing is lost or done twice, everyone is notified.

`CHAOS_SECONDS` sets how long, `CHAOS_SEED` which faults. `var/chaos/` keeps all logs and the figures.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

from tests.chaos.sink import Sink
from tests.product import ROOT, Product, connected, free_port, manage, running, wait_until

SECONDS = float(os.environ.get("CHAOS_SECONDS", "600"))
SEED = int(os.environ.get("CHAOS_SEED", str(time.time_ns() % 100_000)))
CLIENTS = 4
CHANGES_A_SECOND = 20
SUBSCRIPTIONS = 40
CONCURRENCY = 2  # of the worker
#: The clients pause while this many messages wait, so that the time until all are sent depends on the faults and not on
#: the speed of the machine.
BACKLOG = 150
DRAINED_WITHIN = 120
#: A server that dies five times within a minute ends the run, as it should. So it is killed less often here.
DEATHS_A_MINUTE = 3


# --- The estate -----------------------------------------------------------------------------------------------------

ADMIN = "chaos@customer.example"


def estate(place: Path) -> list[str]:
    """Write the files of a customer, its subscriptions and a partner; return the IDs of the subscriptions."""
    chance = random.Random(SEED)
    ids = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(SUBSCRIPTIONS + 1)]
    tenant, *subscriptions = ids
    place.mkdir()
    (place / "partners.csv").write_text(
        "mpn_id,name,kind,parent_mpn_id,city,country,market,status,contact_email,language,tenant_id\n"
        "77001122,Fjordvik Partner AS,location,,Bergen,NO,developed,active,post@partner.example,en,\n"
    )
    (place / "customers.csv").write_text(
        "tenant_id,name,domain,country,segment,contact_email,language\n"
        f"{tenant},Kaos AB,kaos.example,SE,enterprise,{ADMIN},sv\n"
    )
    rows = (f"{one},{tenant},office365,ENTERPRISEPACK,EA,100,0,2025-01-01,2030-12-31,active," for one in subscriptions)
    header = "subscription_id,tenant_id,product,sku_string_id,agreement,seats,trial,started_on,renews_on,status"
    header += ",replaces_subscription_id"
    (place / "subscriptions.csv").write_text("\n".join([header, *rows, ""]))
    return subscriptions


# --- Clients --------------------------------------------------------------------------------------------------------


class Client(threading.Thread):
    """A client that attaches and removes in turn on its own subscriptions, and repeats a request until it is done."""

    def __init__(self, product: Product, token: str, subscriptions: list[str], watcher: Watcher) -> None:
        super().__init__(daemon=True)
        self.product, self.token, self.subscriptions, self.watcher = product, token, subscriptions, watcher
        self.over = threading.Event()
        self.acknowledged: dict[str, str] = {}  # request id and verb
        self.answers: Counter[int] = Counter()
        self.refused: list[tuple[int, str]] = []

    def run(self) -> None:
        attached = dict.fromkeys(self.subscriptions, False)
        while not self.over.is_set():
            for subscription in self.subscriptions:
                while self.watcher.waiting > BACKLOG and not self.over.is_set():
                    time.sleep(0.5)
                if self.over.is_set():
                    return
                began = time.monotonic()
                self.change(subscription, attach=not attached[subscription])
                attached[subscription] = not attached[subscription]
                time.sleep(max(0.0, CLIENTS / CHANGES_A_SECOND - (time.monotonic() - began)))

    def change(self, subscription: str, *, attach: bool) -> None:
        key = str(uuid.uuid4())
        method, body = ("PUT", {"mpn_id": "77001122"}) if attach else ("DELETE", {"reason": "chaos"})
        while True:
            answer = self.product.ask(
                method,
                f"/api/v1/subscriptions/{subscription}/partner-of-record/",
                json.dumps(body),
                Authorization=f"Bearer {self.token}",
                Content_Type="application/json",
                If_Match="*",
                Idempotency_Key=key,
                X_Request_ID=key,
            )
            self.answers[answer.status] += 1
            if answer.status == (201 if attach else 204):
                self.acknowledged[key] = "partner_of_record.attached" if attach else "partner_of_record.removed"
                return
            in_progress = answer.status == 409 and "idempotency_in_progress" in answer.text
            if answer.status not in (0, 429, 503) and not in_progress:
                self.refused.append((answer.status, answer.text[:300]))
            time.sleep(0.5)


class Watcher(threading.Thread):
    """A thread that reads the age of the oldest event in the outbox, once a second."""

    def __init__(self, product: Product) -> None:
        super().__init__(daemon=True)
        self.product, self.over = product, threading.Event()
        self.ages: list[float] = []
        self.waiting = 0.0
        self.said_down = self.no_answer = 0

    def run(self) -> None:
        while not self.over.wait(1):
            answer, becoming = self.product.metrics(timeout=20), 0.0
            for line in answer.text.splitlines():
                if line.startswith("outbox_oldest_age_seconds "):
                    self.ages.append(float(line.split()[1]))
                if line.startswith("outbox_undone "):
                    becoming = 2 * float(line.split()[1])  # each becomes two messages
                if line.startswith("deliveries_waiting "):
                    self.waiting = becoming + float(line.split()[1])
                if line == "database_answers 0.0":
                    self.said_down += 1
            self.no_answer += answer.status != 200


# --- Faults ---------------------------------------------------------------------------------------------------------


@dataclass
class Chaos:
    """Random faults, one after the other, with a log."""

    product: Product
    sink: Sink
    log: Path
    disk: Path | None
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))
    struck: Counter[str] = field(default_factory=Counter)
    deaths: dict[str, list[float]] = field(default_factory=dict)

    def run(self, seconds: float) -> None:
        faults: list[Callable[[], None]] = [
            self.a_worker_child_dies,
            self.the_worker_dies_with_its_children,
            self.the_scheduler_dies,
            self.the_broker_dies_with_a_backlog,
            self.the_broker_hangs,
            self.a_database_process_dies,
            self.the_database_shuts_down,
            self.the_database_dies,
            self.a_web_process_dies,
            self.the_mail_server_is_away,
            self.the_mail_server_closes,
            self.the_mail_server_defers,
            self.the_mail_server_is_slow,
        ]
        if self.disk:
            faults.append(self.the_disk_is_full)
        end = time.monotonic() + seconds
        waiting: list[Callable[[], None]] = []
        while time.monotonic() < end:
            if not waiting:  # each comes once before any comes again
                waiting = self.chance.sample(faults, len(faults))
            fault = waiting.pop()
            with self.log.open("a") as log:
                log.write(f"{time.strftime('%H:%M:%S')} {fault.__name__}\n")
            fault()
            self.struck[fault.__name__] += 1
            time.sleep(self.chance.uniform(2, 6))

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Kill a part, once it has not died too often lately."""
        while len(recent := [one for one in self.deaths.get(name, []) if time.monotonic() - one < 60]) >= (
            DEATHS_A_MINUTE
        ):
            time.sleep(0.5)
        self.deaths[name] = [*recent, time.monotonic()]
        os.kill(self.product.pid(name), number)

    def kill_one_of(self, name: str) -> None:
        if children := self.product.children(name):
            with suppress(ProcessLookupError):
                os.kill(self.chance.choice(children), signal.SIGKILL)

    def a_worker_child_dies(self) -> None:
        self.kill_one_of("worker")

    def the_worker_dies_with_its_children(self) -> None:
        children = self.product.children("worker")
        self.kill("worker")
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def the_scheduler_dies(self) -> None:
        self.kill("beat")

    def the_broker_dies_with_a_backlog(self) -> None:
        self.product.signal("worker", signal.SIGSTOP, with_children=True)
        time.sleep(3)
        self.kill("valkey")
        time.sleep(1)
        self.product.signal("worker", signal.SIGCONT, with_children=True)

    def the_broker_hangs(self) -> None:
        pid = self.product.pid("valkey")
        os.kill(pid, signal.SIGSTOP)
        time.sleep(20 if SECONDS >= 300 else 8)
        os.kill(pid, signal.SIGCONT)

    def a_database_process_dies(self) -> None:
        self.kill_one_of("postgresql")  # the server then ends all its children and recovers by itself

    def the_database_shuts_down(self) -> None:
        self.kill("postgresql", signal.SIGQUIT)

    def the_database_dies(self) -> None:
        self.kill("postgresql")

    def a_web_process_dies(self) -> None:
        self.kill_one_of("web")

    def the_mail_server_is_away(self) -> None:
        self.sink.close()
        time.sleep(6)
        self.sink.open()

    def the_mail_server_closes(self) -> None:
        self.in_the_mood("421")

    def the_mail_server_defers(self) -> None:
        self.in_the_mood("451")

    def the_mail_server_is_slow(self) -> None:
        self.in_the_mood("tarpit")

    def in_the_mood(self, mood: str) -> None:
        self.sink.mood = mood
        time.sleep(6)
        self.sink.mood = "well"

    def the_disk_is_full(self) -> None:
        assert self.disk is not None
        ballast = self.disk / "ballast"
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"\0" * 65536)
        time.sleep(5)
        ballast.unlink()


@contextmanager
def small_disk(var: Path) -> Iterator[Path | None]:
    """Yield a small disk with the tables, which can be filled; None if this user may not mount one."""
    manage(var, "check")  # makes the database
    tables, kept = var / "pg" / "base", var / "pg-base"
    tables.rename(kept)
    tables.mkdir(mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512m,mode=0700", "tmpfs", str(tables)], capture_output=True, check=False
    )
    subprocess.run(["cp", "-a", f"{kept}/.", str(tables)], check=True)
    try:
        yield tables if mounted.returncode == 0 else None
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "--lazy", str(tables)], check=True)


# --- Results --------------------------------------------------------------------------------------------------------


@contextmanager
def kept(logs: Path, place: Path) -> Iterator[None]:
    """Keep the logs after the block, whatever its outcome."""
    shutil.rmtree(place, ignore_errors=True)
    try:
        yield
    finally:
        shutil.copytree(logs, place)


def keep(run: subprocess.Popen[str], log: Path) -> None:
    """Write the output of the run into the log of faults."""
    with suppress(ValueError):  # it is closed at the end
        for line in run.stdout or []:
            with log.open("a") as file:
                file.write(f"{time.strftime('%H:%M:%S')}     {line}")


def query(product: Product, sql: str) -> list[tuple[Any, ...]]:
    url = json.loads((product.var / "run" / "environment").read_text())["DATABASE_OWNER_URL"]
    with connected(url) as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def still_to_do(product: Product) -> int:
    [(events, messages)] = query(
        product,
        "SELECT (SELECT count(*) FROM history_outbox WHERE done_at IS NULL AND dead_at IS NULL),"
        " (SELECT count(*) FROM notifications_delivery WHERE status = 'waiting')",
    )
    return int(events) + int(messages)


def test_nothing_is_lost_and_nothing_is_done_twice_whatever_dies(tmp_path: Path) -> None:
    sink = Sink(free_port())
    report = ROOT / "var" / "chaos"
    report.mkdir(parents=True, exist_ok=True)
    log = report / "faults.log"
    log.write_text(f"CHAOS_SEED={SEED} CHAOS_SECONDS={SECONDS:.0f}\n")
    sink.open()
    port = free_port()
    subscriptions = estate(tmp_path / "estate")
    with (
        kept(tmp_path / "var" / "log", report / "log"),
        small_disk(tmp_path / "var") as disk,
        running(tmp_path / "var", port, EMAIL_URL=f"smtp://127.0.0.1:{sink.port}") as run,
    ):
        product = Product(run, tmp_path / "var", port)
        threading.Thread(target=keep, args=(run, log), daemon=True).start()
        manage(product.var, "load_estate", str(tmp_path / "estate"))  # raises if a row is refused
        token = manage(product.var, "create_token", ADMIN, "--name", "chaos").split()[-1]
        # What is due in the demo's own estate, such as notices of renewal, comes before what is counted here.
        manage(product.var, "shell", "--no-imports", "-c", "from associations.tasks import run_scheduled as run; run()")
        wait_until(lambda: still_to_do(product) == 0)
        sink.received.clear()
        [(first,)] = query(product, "SELECT coalesce(max(id), 0) FROM history_event")
        watcher = Watcher(product)
        clients = [Client(product, token, subscriptions[number::CLIENTS], watcher) for number in range(CLIENTS)]
        for thread in (*clients, watcher):
            thread.start()

        chaos = Chaos(product, sink, log, disk)
        chaos.run(SECONDS)

        last_fault = time.monotonic()
        for client in clients:
            client.over.set()
        for client in clients:
            client.join(DRAINED_WITHIN)
            assert not client.is_alive(), "a change never got its answer"
        wait_until(lambda: _drained(product))
        drained = time.monotonic() - last_fault
        watcher.over.set()
        watcher.join()
        assert run.poll() is None, "the run has ended"

        acknowledged = {key: verb for client in clients for key, verb in client.acknowledged.items()}
        answers: Counter[int] = sum((client.answers for client in clients), Counter())
        refused = [one for client in clients for one in client.refused]
        events = query(product, f"SELECT id, request_id, verb FROM history_event WHERE id > {first} ORDER BY id")
        outbox = dict(
            query(product, f"SELECT event_id, (dead_at IS NULL)::int FROM history_outbox WHERE event_id > {first}")
        )
        deliveries = query(
            product,
            "SELECT event_id, recipient, template, message_id::text, status FROM notifications_delivery"
            f" WHERE event_id > {first}",
        )
        arrived = Counter(message_id.strip("<>").partition("@")[0] for message_id, _to in sink.received)
        verdict = manage(product.var, "verify_history")
        duplicates = sum(count - 1 for count in arrived.values())
        # Faults that can stop the sender between the server's "250 OK" and its own record of it.
        cuts = sum(
            count for name, count in chaos.struck.items() if any(one in name for one in ("dies", "database", "full"))
        )
        figures = {
            "seed": SEED,
            "seconds": SECONDS,
            "faults": dict(chaos.struck),
            "changes acknowledged": len(acknowledged),
            "answers": dict(answers),
            "events": len(events),
            "deliveries": len(deliveries),
            "mails": sum(arrived.values()),
            "duplicates": duplicates,
            "duplicates at most": cuts * CONCURRENCY,
            "drained after seconds": round(drained, 1),
            "oldest undone event, seconds": round(max(watcher.ages, default=0), 1),
            "metric read, database away, no answer": [len(watcher.ages), watcher.said_down, watcher.no_answer],
        }
        (report / "figures.json").write_text(json.dumps(figures, indent=2))

    assert refused == [], "only outages may be refused"
    assert Counter(request_id for _id, request_id, _verb in events) == Counter(dict.fromkeys(acknowledged, 1))
    assert {request_id: verb for _id, request_id, verb in events} == acknowledged
    assert outbox == {event_id: 1 for event_id, _request, _verb in events}
    notified = {event_id for event_id, *_rest in deliveries}
    assert notified == set(outbox), "an event without its messages"
    per_event = Counter(event_id for event_id, *_rest in deliveries)
    assert len(set(per_event.values())) == 1, "every change goes to the same people"
    assert {status for *_rest, status in deliveries} == {"sent"}
    assert set(arrived) == {message_id for *_some, message_id, _status in deliveries}, "lost mails, or unknown ones"
    assert duplicates <= cuts * CONCURRENCY
    assert drained <= DRAINED_WITHIN
    assert watcher.ages
    assert verdict.startswith("Every chain holds")


def _drained(product: Product) -> bool:
    with suppress(psycopg2.Error):
        return still_to_do(product) == 0
    return False
