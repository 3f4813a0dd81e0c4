"""A release is rolled out under load: the release before works on the new tables, and no request fails meanwhile.

Two web servers behind nginx with the site of deploy/, two workers and a scheduler run the code of the release before.
The new code migrates the database, then each process is replaced, one after the other, as docs/operations.md says.
`PREVIOUS` names another commit. Only `make chaos` runs this. It needs the history of git, and nginx.
"""

from __future__ import annotations

import http.client
import http.cookiejar
import json
import os
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest

from por.embedded import servers
from por.embedded.home import Home
from por.embedded.processes import Processes
from tests.chaos.clients import ADMIN, PATIENCE, Client, bad, slowest, write_estate
from tests.product import OURS, ROOT, TIMEOUT, connected, free_port, wait_until
from tests.test_proxy import proxied, trusting

#: The last commit of the release before this one.
PREVIOUS = os.environ.get("PREVIOUS", "0039c1f")
CLIENTS = 8
CHANGES = 350
#: Changes that must be acknowledged between two steps.
BETWEEN = 20
LONGEST = 40  # seconds
PASSWORD = "slowly rolled out 7"


class Estate:
    """The processes of the product on one set of servers, each with the code of one release."""

    def __init__(self, place: Path, environment: dict[str, str]) -> None:
        self.place, self.environment = place, environment
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def environment_of(self, code: Path) -> dict[str, str]:
        return self.environment | {"STATIC_ROOT": str(self.place / f"static {code.name}")}

    def manage(self, code: Path, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=code,
            env=self.environment_of(code),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, name: str, code: Path, *command: str) -> None:
        """Start a process; one of that name that runs is asked to end first, and waited for."""
        self.stop(name)
        metrics = self.place / f"metrics {name}"
        metrics.mkdir(exist_ok=True)
        with (self.place / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=code,
                env=self.environment_of(code) | {"PROMETHEUS_MULTIPROC_DIR": str(metrics)},
                stdout=log,
                stderr=log,
            )

    def start_web(self, port: int, code: Path) -> None:
        serving = ("gunicorn", "--config", "python:por.serving", "por.wsgi:application", "--bind", f"127.0.0.1:{port}")
        self.start(f"web {port}", code, *serving)
        wait_until(lambda: is_ready(port))

    def start_worker(self, number: int, code: Path) -> None:
        log = self.place / f"worker {number}.log"
        readied = log.read_bytes().count(b"ready.") if log.exists() else 0
        working = ("--hostname", f"worker{number}@%h", "--concurrency", "1", "--without-gossip", "--without-mingle")
        celery = ("celery", "--quiet", "--app", "por.celery:app", "worker")
        self.start(f"worker {number}", code, *celery, *working, "--loglevel", "INFO")
        wait_until(lambda: log.read_bytes().count(b"ready.") > readied)

    def start_scheduler(self, code: Path) -> None:
        schedule = ("--schedule", str(self.place / "beat-schedule"), "--pidfile", "")
        self.start("scheduler", code, "celery", "--quiet", "--app", "por.clock:app", "beat", *schedule)

    def stop(self, name: str) -> None:
        if process := self.running.pop(name, None):
            process.terminate()
            try:
                process.wait(TIMEOUT)
            finally:
                process.kill()

    def stop_all(self) -> None:
        for process in self.running.values():
            process.terminate()
        for name in list(self.running):
            self.stop(name)

    def query(self, sql: str) -> list[tuple[object, ...]]:
        with connected(self.environment["DATABASE_OWNER_URL"]) as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def drained(self) -> bool:
        return self.query(
            "SELECT (SELECT count(*) FROM history_outbox WHERE done_at IS NULL AND dead_at IS NULL),"
            " (SELECT count(*) FROM notifications_delivery WHERE status = 'waiting')"
        ) == [(0, 0)]


def is_ready(port: int) -> bool:
    """Ask as the proxy does."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with closing(client), suppress(OSError, http.client.HTTPException):
        client.request("GET", "/readyz", headers={"Host": "localhost", "X-Forwarded-Proto": "https"})
        return client.getresponse().status == 200
    return False


class Person(threading.Thread):
    """Someone who signed in before the release, and looks at a page again and again."""

    def __init__(self, site: str) -> None:
        super().__init__(daemon=True)
        self.site, self.over = site, threading.Event()
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(jar, urllib.request.HTTPSHandler(context=trusting()))
        self.seen: Counter[str] = Counter()

    def sign_in(self) -> None:
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.open("/login"))
        assert found
        fields = {"csrfmiddlewaretoken": found[1], "login": ADMIN, "password": PASSWORD}
        self.open("/login", urlencode(fields).encode())
        assert "/c/" in self.where("/"), "signed in"

    def open(self, path: str, body: bytes | None = None) -> str:
        request = urllib.request.Request(self.site + path, body, {"Origin": self.site})
        with self.opener.open(request, timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    def where(self, path: str) -> str:
        """Return the address to which a page leads, or the error."""
        try:
            with self.opener.open(self.site + path, timeout=PATIENCE) as answer:
                return str(answer.geturl())
        except OSError as error:
            return repr(error)

    def run(self) -> None:
        while not self.over.wait(0.5):
            self.seen[self.where("/c/subscriptions/")] += 1


@contextmanager
def previous_release(place: Path) -> Iterator[Path]:
    """Yield a directory with the code of the release before."""
    place.mkdir()
    archive = subprocess.run(["git", "archive", PREVIOUS], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"{PREVIOUS} is not in the history of this checkout.")
    subprocess.run(["tar", "-x", "-C", place], input=archive.stdout, check=True)
    yield place


@contextmanager
def estate(place: Path, site: str) -> Iterator[Estate]:
    """Yield an estate on servers of its own: PostgreSQL, Valkey and a mail sink."""
    home = Home(place / "var")
    home.make()
    ours = {"SECRET_KEY": "k" * 50, "ALLOWED_HOSTS": "localhost", "SITE_URL": site, "TRUSTED_PROXIES": "1"}
    ours |= {"FILES_ROOT": str(home.files), "METRICS_TOKEN": "m" * 32}
    bare = {name: value for name, value in os.environ.items() if name not in OURS and "PYTEST" not in name}
    with pytest.MonkeyPatch.context() as patch:
        for name in OURS & os.environ.keys():  # the servers of the tests
            patch.delenv(name)
        processes = Processes(home.logs, bare)
        with servers.started(home, processes) as addresses:
            addresses.pop("DATABASE_WORKER_URL", None)  # the release before has one role for web server and worker
            all_of_it = Estate(place, bare | ours | addresses)
            try:
                yield all_of_it
            finally:
                all_of_it.stop_all()


def test_the_release_before_works_on_the_new_tables_and_no_request_fails(tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    subscriptions = write_estate(tmp_path / "estate", CLIENTS)
    (tmp_path / "nginx").mkdir()
    with (
        previous_release(tmp_path / "previous") as old,
        proxied(tmp_path / "nginx", ports) as (secure, _plain),
        estate(tmp_path, site := f"https://localhost:{secure}") as product,
    ):
        for code in (old, ROOT):
            product.manage(code, "compile_catalogues")
            product.manage(code, "collectstatic", "--noinput")
        product.manage(old, "migrate")
        product.manage(old, "load_estate", str(tmp_path / "estate"))
        token = product.manage(old, "create_token", ADMIN, "--name", "chaos").split()[-1]
        product.manage(old, "shell", "-c", CHOOSE_PASSWORD)
        start(product, ports, old)

        person = Person(site)
        person.sign_in()
        clients = [
            Client(
                lambda: http.client.HTTPSConnection("localhost", secure, timeout=PATIENCE, context=trusting()),
                token,
                subscription,
                kept=number % 2 == 0,
            )
            for number, subscription in enumerate(subscriptions)
        ]
        for thread in (*clients, person):
            thread.start()
        some_changes(clients)

        product.manage(ROOT, "migrate")
        some_changes(clients)
        for port in ports:
            product.start_web(port, ROOT)
            some_changes(clients)
        for number in (1, 2):
            product.start_worker(number, ROOT)
            some_changes(clients)
        product.start_scheduler(ROOT)
        for port in ports:  # once more, from this release to itself
            product.start_web(port, ROOT)
            some_changes(clients)
        wait_until(lambda: acknowledged(clients) >= CHANGES)

        for thread in (*clients, person):
            thread.over.set()
        for thread in (*clients, person):
            thread.join(PATIENCE)
        wait_until(product.drained)
        known = {key: verb for client in clients for key, verb in client.acknowledged.items()}
        events = product.query("SELECT request_id, verb FROM history_event")
        unsent = product.query(
            "SELECT count(*) FROM notifications_delivery WHERE status NOT IN ('sent', 'unreached', 'withdrawn')"
        )
        dead = product.query("SELECT count(*) FROM history_outbox WHERE dead_at IS NOT NULL")
        verdict = product.manage(ROOT, "verify_history")
        figures = {
            "from": PREVIOUS,
            "requests": sum(len(client.endings) for client in clients),
            "changes acknowledged": len(known),
            "errors": len(bad(clients)),
            "slowest, seconds": round(slowest(clients), 1),
            "pages": dict(person.seen),
        }
        (ROOT / "var" / "chaos").mkdir(parents=True, exist_ok=True)
        (ROOT / "var" / "chaos" / "release.json").write_text(json.dumps(figures, indent=2))

    assert bad(clients) == []
    assert slowest(clients) < LONGEST
    assert {key: verb for key, verb in events if key in known} == known
    assert Counter(key for key, _verb in events if key in known) == Counter(dict.fromkeys(known, 1))
    assert set(person.seen) == {f"{site}/c/subscriptions/"}, "who had signed in stays signed in"
    assert (unsent, dead) == ([(0,)], [(0,)])
    assert verdict.startswith("Every chain holds")


CHOOSE_PASSWORD = f"""
from por.accounts.models import User
person = User.objects.get(email="{ADMIN}")
person.set_password("{PASSWORD}")
person.save()
"""


def start(product: Estate, ports: list[int], code: Path) -> None:
    for port in ports:
        product.start_web(port, code)
    for number in (1, 2):
        product.start_worker(number, code)
    product.start_scheduler(code)


def acknowledged(clients: list[Client]) -> int:
    return sum(len(client.acknowledged) for client in clients)


def some_changes(clients: list[Client]) -> None:
    """Wait until some more changes are acknowledged, of each client at least one."""
    before = [len(client.acknowledged) for client in clients]
    wait_until(
        lambda: (
            acknowledged(clients) >= sum(before) + BETWEEN
            and all(len(client.acknowledged) > count for client, count in zip(clients, before, strict=True))
        )
    )
