"""The product as `make run` starts it, in a directory of its own: its processes, its data, and requests to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlencode, urlsplit

import psycopg2

ROOT = Path(__file__).resolve().parents[1]
OURS = {"DATABASE_URL", "DATABASE_WORKER_URL", "DATABASE_OWNER_URL", "REDIS_URL", "EMAIL_URL", "SECRET_KEY"}
OURS |= {"ALLOWED_HOSTS", "SITE_URL", "FILES_ROOT", "STATIC_ROOT", "METRICS_TOKEN", "BROKER_URL", "CACHE_URL"}
#: The errors of reading about a process that has ended: before the file is opened, or before it is read.
ENDED = (FileNotFoundError, ProcessLookupError)
TIMEOUT = 180  # seconds; longer than anything takes, so that only a hang fails


#: Below the ports that Linux gives to connections and to who asks for any: one of those may go to somebody else in
#: the seconds until a server of ours opens it.
PORTS = range(10_000, 32_768)


def free_port() -> int:
    """Return a port that is free, and most likely stays so until a server opens it."""
    chance = random.SystemRandom()  # Hypothesis seeds the other one, alike in each process
    while True:
        number = chance.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", number))
            return number


def environment(var: Path, port: int = 0) -> dict[str, str]:
    """Return the environment without the servers of the tests."""
    bare = {name: value for name, value in os.environ.items() if name not in OURS and "PYTEST" not in name}
    return bare | {"VAR": str(var), "PORT": str(port)}


def start(var: Path, port: int, *arguments: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "por.embedded", *arguments],
        cwd=ROOT,
        env=environment(var, port) | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextlib.contextmanager
def running(var: Path, port: int, *arguments: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """Yield a run that is ready; end it after, whatever happens in the block."""
    run = start(var, port, *arguments, **more)
    try:
        assert run.stdout is not None
        lines = []
        for line in run.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        assert "is ready" in "".join(lines), "".join(lines)
        yield run
    finally:
        run.kill()
        run.communicate()


def refusal(var: Path, port: int = 0) -> str:
    """Return the message of a run that cannot start: one sentence, no traceback, exit status 1."""
    run = start(var, port)
    message = run.communicate(timeout=TIMEOUT)[0].removeprefix("Starting PostgreSQL, Valkey and the mail sink …\n")
    assert run.returncode == 1, message
    assert len(message.splitlines()) == 1, message
    assert message.endswith(".\n")
    return message


def manage(var: Path, *arguments: str) -> str:
    """Return what a command of manage.py prints; fail if it fails."""
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment(var), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextlib.contextmanager
def connected(url: str, user: str = "", database: str = "por") -> Iterator[psycopg2.extensions.cursor]:
    """Yield a session with an embedded database, as the user of its address or as another one."""
    parts = urlsplit(url)
    host = unquote(parts.netloc.partition("@")[2])
    with contextlib.closing(psycopg2.connect(host=host, user=user or parts.username, dbname=database)) as session:
        session.autocommit = True
        with session.cursor() as cursor:
            yield cursor


def descendants(pid: int) -> set[tuple[int, str]]:
    """Return every process below this one with its start time, which tells it from a later process with its number."""
    found = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            with contextlib.suppress(*ENDED):
                found |= {(int(child), started(int(child)))} | descendants(int(child))
    return found


def started(pid: int) -> str:
    """Return the start time of a process, "gone" if it has ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return "gone" if fields[0] == "Z" else fields[19]


def alive(processes: set[tuple[int, str]]) -> set[int]:
    """Return the numbers of the processes that still run."""
    left = set()
    for pid, since in processes:
        with contextlib.suppress(*ENDED):
            if started(pid) == since:
                left.add(pid)
    return left


def wait_until(happened: Callable[[], bool]) -> None:
    """Return once it has happened. It need not last: it is asked once at a time, and not again after a yes."""
    deadline = time.monotonic() + TIMEOUT
    while not happened():
        assert time.monotonic() < deadline, "it has not happened"
        time.sleep(0.1)


class Answer(NamedTuple):
    """An answer over HTTP; its status is 0 if there was none."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def form_with_file(name: str, content: bytes, **fields: str) -> tuple[bytes, str]:
    """Return the body of a form with these fields and a file, as a browser sends it, and its content type."""
    boundary = uuid.uuid4().hex
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
        for field, value in fields.items()
    )
    head += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return head.encode() + content + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


PARTS = {
    "postgresql": "/postgres -D",
    "valkey": "valkey",
    "mail": "aiosmtpd",
    "worker": " worker ",
    "beat": " beat ",
    "web": "gunicorn",
}


class Product:
    """A run that is ready, its parts by name, and requests to it, by a browser or a program."""

    def __init__(self, run: subprocess.Popen[str], var: Path, port: int) -> None:
        self.run, self.var, self.port = run, var, port
        self.cookies: dict[str, str] = {}

    # --- Its processes

    def find(self, name: str) -> int | None:
        """Return the process of a part: the supervisor's own child, not the children of that."""
        for task in Path(f"/proc/{self.run.pid}/task").glob("*/children"):
            for child in task.read_text().split():
                with contextlib.suppress(OSError):
                    words = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if PARTS[name] in words and started(int(child)) != "gone":
                        return int(child)
        return None

    def pid(self, name: str) -> int:
        wait_until(lambda: self.find(name) is not None)
        return self.find(name) or 0

    def children(self, name: str) -> list[int]:
        """Return the processes that a part has started: the worker's pool, PostgreSQL's backends."""
        return sorted(pid for pid, _since in descendants(self.pid(name)))

    def signal(self, name: str, number: int, *, with_children: bool = False) -> None:
        for pid in [self.pid(name), *(self.children(name) if with_children else [])]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def next_line(self, start: str) -> str:
        """Return the next line of the run's output that starts with this text."""
        assert self.run.stdout is not None
        for line in self.run.stdout:
            if line.startswith(start):
                return line
        raise AssertionError(f"the run printed no line that starts with {start!r}")

    # --- Its data

    @property
    def addresses(self) -> dict[str, str]:
        """Return the addresses of its servers, and its settings."""
        published: dict[str, str] = json.loads((self.var / "run" / "environment").read_text())
        return published

    def database(self) -> contextlib.AbstractContextManager[psycopg2.extensions.cursor]:
        """Return a session as the server's administrator."""
        return connected(self.addresses["DATABASE_URL"], "postgres")

    # --- Over HTTP

    def ask(self, method: str, path: str, body: Any = None, *, timeout: float = 60, **headers: str) -> Answer:
        """Send a request on a connection of its own; return the answer."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        sent = {name.replace("_", "-"): value for name, value in headers.items()} | {"Host": "localhost"}
        if self.cookies and "Authorization" not in sent:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        try:
            client.request(method, path, body, sent)
            response = client.getresponse()
            text = response.read().decode()
        except (OSError, http.client.HTTPException):
            return Answer(0, {}, "")
        finally:
            client.close()
        if "Authorization" not in sent:
            for cookie in response.headers.get_all("Set-Cookie") or []:
                name, _is, value = cookie.partition(";")[0].partition("=")
                self.cookies[name] = value
        return Answer(response.status, dict(response.headers), text)

    def status(self, path: str) -> int:
        return self.ask("GET", path).status

    def post(self, page: str, path: str, **fields: str) -> Answer:
        """Send a form of a page; return the answer."""
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.ask("GET", page).text)
        body = urlencode({"csrfmiddlewaretoken": found[1] if found else "", **fields})
        return self.ask(
            "POST", path, body, Content_Type="application/x-www-form-urlencoded", Origin=f"http://127.0.0.1:{self.port}"
        )

    def metrics(self, *, timeout: float = 60) -> Answer:
        """Ask for the metrics as Prometheus does."""
        token = self.addresses["METRICS_TOKEN"]
        return self.ask("GET", "/metrics", timeout=timeout, Authorization=f"Bearer {token}")

    def sign_in(self, name: str, password: str = "") -> Answer:
        password = password or (self.var / "demo_password").read_text()
        return self.post("/login", "/login", login=f"{name}@demo.example", password=password)

    def token(self, name: str) -> str:
        return manage(self.var, "create_token", f"{name}@demo.example", "--name", "test").split()[-1]
