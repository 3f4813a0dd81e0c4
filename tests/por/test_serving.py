"""The web server with slow clients: they hold sockets and no threads, and everybody else is answered."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from por import serving as web_server
from por.embedded.up import serving
from tests.product import ROOT, TIMEOUT, wait_until

HEAD = b"POST /slow HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
FORM = (
    b"POST /login HTTP/1.1\r\nHost: localhost\r\nCookie: csrf=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n"
)


# The processes of a server read this module too.
if seconds := os.environ.get("SECONDS_TO_SEND"):
    web_server.TIME_TO_SEND = int(seconds)


if few := os.environ.get("FEW_FILES"):
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(few), int(few)))

if os.environ.get("SLOW_START"):

    class Slow(web_server.Worker):
        """A process that needs a while until it can listen."""

        def init_process(self) -> None:
            time.sleep(2)
            super().init_process()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer how long the body is."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(str(len(body)))))])
    return [str(len(body)).encode()]


def scheme_and_place(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer what the server has made of the headers of a proxy."""
    body = f"{environ['wsgi.url_scheme']} {environ['SCRIPT_NAME'] or '-'} {environ['PATH_INFO']}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


class Server:
    """A web server of the product, with this application in it."""

    def __init__(self, listener: socket.socket, process: subprocess.Popen[bytes]) -> None:
        self.listener, self.process = listener, process
        self.port: int = listener.getsockname()[1]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT)

    def status(self, path: str = "/livez", timeout: float = TIMEOUT) -> int:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(client):
            client.request("GET", path, headers={"Host": "localhost"})
            return client.getresponse().status

    def workers(self) -> list[int]:
        return [
            int(one) for one in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        ]


@contextlib.contextmanager
def started(directory: Path, name: str, *more: str) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener, (directory / "log").open("wb") as log:
        command = [*map(str, serving(name, listener)), *more]
        environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(directory)}
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, pass_fds=[listener.fileno()], stdout=log, stderr=log
        )
        server = Server(listener, process)
        try:
            assert server.status() == 200
            yield server
        finally:
            process.terminate()
            process.wait(TIMEOUT)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with started(tmp_path_factory.mktemp("server"), f"{__name__}:application") as server:
        yield server


@contextlib.contextmanager
def crowd(server: Server) -> Iterator[list[socket.socket]]:
    """Yield 200 connections that send nothing and 50 that send a byte now and then: half of them of heads."""
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(server.connect()) for _ in range(200)]
        slow = [stack.enter_context(server.connect()) for _ in range(50)]
        for number, client in enumerate(slow):
            client.sendall(HEAD if number % 2 else FORM % 1000)
        ended = threading.Event()

        def drip() -> None:
            while not ended.wait(0.5):
                for client in slow:
                    with contextlib.suppress(OSError):
                        client.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield idle
        finally:
            ended.set()
            thread.join()


def test_slow_clients_delay_no_one(tmp_path):
    with started(tmp_path, "por.wsgi:application") as server, crowd(server) as idle:
        for _ in range(20):
            assert server.status() == 200
        idle[0].sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle[0].recv(1000).startswith(b"HTTP/1.1 200 OK"), "who was idle is answered too"


def test_control_slow_clients_hold_the_threads_of_gunicorn(tmp_path):
    with started(tmp_path, "por.wsgi:application", "--worker-class", "gthread") as server, crowd(server):
        wait_until(lambda: waits(server))  # once all threads have met slow ones
        server.process.kill()


def waits(server: Server) -> bool:
    """Return whether a request has no answer for some seconds."""
    try:
        server.status(timeout=3)
    except TimeoutError:
        return True
    return False


def test_a_request_that_comes_byte_by_byte_is_answered(server):
    with server.connect() as client:
        for byte in b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345":
            client.sendall(bytes([byte]))
        assert body_of(client.makefile("rb")) == b"5"


def test_requests_that_arrive_together_are_answered_in_order(server):
    first = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    last = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123"
    with server.connect() as client:
        client.sendall(first + first + last)
        answers = client.makefile("rb")
        assert [body_of(answers), body_of(answers)] == [b"3", b"3"]
        client.sendall(b"456789")
        assert body_of(answers) == b"10"


def body_of(answers: Any) -> bytes:
    """Read one answer."""
    length = 0
    while (line := answers.readline()) not in (b"\r\n", b""):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return bytes(answers.read(length))


def test_large_bodies_that_are_slow_leave_threads_for_others(server):
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(server.connect()) for _ in range(20)]
        for client in slow:
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n1")
        for _ in range(20):
            assert server.status() == 200
        for client in slow:
            client.sendall(b"x" * 99999)
        for client in slow:
            assert body_of(client.makefile("rb")) == b"100000", "each has its turn"


LARGE = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
PROOF = b"POST /p/claims/12/proofs/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n"


def test_proofs_that_are_slow_come_all_at_once_and_hold_no_thread(server):
    with contextlib.ExitStack() as stack:
        proofs = [stack.enter_context(server.connect()) for _ in range(20)]
        for client in proofs:
            client.sendall(PROOF + b"\r\n" + b"x" * 300_000)
        for client in proofs:
            client.settimeout(TIMEOUT)
            client.sendall(b"x" * 600_000)  # more than the sockets hold, so the server has taken it
        with server.connect() as client:  # a large request of another kind finds a thread
            client.sendall(LARGE + b"x" * 100000)
            assert body_of(client.makefile("rb")) == b"100000"
        for client in proofs:
            client.sendall(b"x" * 100_000)
            answers = client.makefile("rb")
            assert body_of(answers) == b"1000000"
            assert answers.read() == b"", "the connection is closed"


def test_client_that_asks_whether_to_send_a_proof_is_told_to(server):
    with server.connect() as client:
        client.sendall(PROOF + b"Expect: 100-continue\r\n\r\n")
        answers = client.makefile("rb")
        assert answers.readline() + answers.readline() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"x" * 1_000_000)
        assert body_of(answers) == b"1000000"


def test_proof_that_comes_too_slowly_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setenv("SECONDS_TO_SEND", "1")
    with started(tmp_path, f"{__name__}:application") as server, contextlib.ExitStack() as stack:
        slow = [stack.enter_context(server.connect()) for _ in range(20)]
        for client in slow:
            client.sendall(PROOF + b"\r\nx")
        wait_until(lambda: sum(map(has_ended, slow)) == len(slow))
        assert server.status() == 200


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (PROOF, 1_000_000),
        (PROOF.replace(b"/p/", b"/api/v1/") + b"Expect: 100-continue\r\n", 1_000_000),
        (PROOF.replace(b"/proofs/", b"/proofs/?next=1"), 1_000_000),
        (PROOF.replace(b"POST", b"PUT"), None),
        (PROOF.replace(b"/proofs/", b"/"), None),
        (PROOF.replace(b"1000000", b"100000000"), None),
        (PROOF + b"Content-Length: 5\r\n", None),
        (PROOF + b"Transfer-Encoding: chunked\r\n", None),
    ],
)
def test_only_proofs_of_a_known_length_are_collected_in_files(head, length):
    assert web_server.length_of_proof(head) == length


@pytest.mark.parametrize(
    ("head", "body", "answer"),
    [
        (b"Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n", b"3"),
        (b"Content-Length: 3\r\nExpect: 100-continue", b"abc", b"3"),
        (b"Content-Length: 300000", b"x" * 300000, b"300000"),
    ],
)
def test_bodies_of_every_kind_are_read(server, head, body, answer):
    with server.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
        answers = client.makefile("rb")
        if b"Expect" in head:
            assert answers.readline() + answers.readline() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(body)
        assert body_of(answers) == answer


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 3\r\nContent-Length: 4", b"Content-Length: -1", b"Content-Length: x"]
)
def test_request_with_an_ambiguous_length_is_refused(server, framing):
    with server.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\nabcd")
        assert client.recv(1000).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("begun", [HEAD, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx", LARGE + b"x"])
def test_head_and_body_have_a_deadline_however_often_a_byte_comes(tmp_path, monkeypatch, begun):
    monkeypatch.setenv("SECONDS_TO_SEND", "1")
    with started(tmp_path, f"{__name__}:application") as server, contextlib.ExitStack() as stack:
        slow = [stack.enter_context(server.connect()) for _ in range(20)]
        for client in slow:
            client.sendall(begun)
        wait_until(lambda: sum(map(has_ended, slow)) == len(slow))
        wait_until(lambda: takes_a_body(server))  # also a quick client may need more than a second on a busy machine


def takes_a_body(server: Server) -> bool:
    with contextlib.suppress(ConnectionError), server.connect() as client:
        client.sendall(LARGE + b"x" * 100000)
        return body_of(client.makefile("rb")) == b"100000"
    return False


def has_ended(client: socket.socket) -> bool:
    """Send one byte more; return whether the server has closed the connection."""
    client.settimeout(0.05)
    try:
        client.sendall(b"x")
        return not client.recv(1000)
    except TimeoutError:
        return False
    except OSError:
        return True


def test_form_of_64_megabytes_is_refused_at_once_and_takes_no_memory(tmp_path, monkeypatch):
    collected = {name: name for name in ("css/tokens.css", "css/app.css", "mark.svg")}
    (tmp_path / "staticfiles.json").write_text(json.dumps({"version": "1.1", "paths": collected}))
    monkeypatch.setenv("STATIC_ROOT", str(tmp_path))  # of which the page has links
    with started(tmp_path, "por.wsgi:application") as server:
        wait_until(lambda: len(server.workers()) == 2)
        with server.connect() as client:  # whatever is loaded once
            client.sendall(FORM % 2_000_000)
            assert client.recv(1000).startswith(b"HTTP/1.1 413 "), "before any of the body has come"
        before = memory(server)
        with server.connect() as client:
            client.sendall(FORM % (64 << 20))
            with contextlib.suppress(OSError):
                for _ in range(64):
                    client.sendall(b"x" * (1 << 20))
        assert server.status() == 200
        assert memory(server) - before < 8 << 20


def memory(server: Server) -> int:
    """Return the most bytes that the processes have had."""
    status = "".join(Path(f"/proc/{pid}/status").read_text() for pid in server.workers())
    return sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def test_head_that_never_ends_is_refused(server):
    with server.connect() as client:
        with contextlib.suppress(OSError):
            client.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 65536)
        assert client.recv(1000).startswith(b"HTTP/1.1 431 ")
        assert client.recv(1000) == b""


def test_client_that_never_closes_its_connection_delays_no_one(server):
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            client = stack.enter_context(server.connect())
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.makefile("rb").read().endswith(b"\r\n\r\n0"), "until the server's end"
        assert server.status() == 200


def test_a_killed_process_is_replaced_and_a_request_in_flight_is_finished_at_the_end(tmp_path):
    with started(tmp_path, f"{__name__}:application") as server:
        wait_until(lambda: len(server.workers()) == 2)
        before = server.workers()
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda: len(set(server.workers()) - set(before)) == 1)
        assert server.status() == 200
        with server.connect() as idle, server.connect() as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
            assert server.status() == 200
            server.process.terminate()
            client.sendall(b"x" * 100000)
            assert body_of(client.makefile("rb")) == b"100000"
            assert idle.recv(1) == b"", "an idle connection is closed"
            assert server.process.wait(TIMEOUT) == 0


# --- The end of a server ----------------------------------------------------------------------------------------------

LONG = ("--graceful-timeout", "120")  # seconds; so that only the server itself closes a connection


@contextlib.contextmanager
def in_flight(server: Server) -> Iterator[socket.socket]:
    """Yield a connection whose request is being read by a thread; at the end it must get its answer."""
    with server.connect() as client:
        client.sendall(LARGE + b"x" * 99_999)
        yield client
        client.sendall(b"x")
        assert body_of(client.makefile("rb")) == b"100000", "a request that was begun is finished"


def test_requests_that_have_come_are_answered_although_the_server_ends(tmp_path):
    with started(tmp_path, f"{__name__}:application", *LONG) as server, contextlib.ExitStack() as stack:
        server.listener.close()  # only the server itself keeps the port open, as behind a proxy
        wait_until(lambda: len(server.workers()) == 2)
        workers = server.workers()
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        wait_until(lambda: all(status_of(worker, "State").startswith("T") for worker in workers))
        clients = [stack.enter_context(server.connect()) for _ in range(8)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        server.process.terminate()
        wait_until(lambda: all(is_told_to_end(worker) for worker in workers))
        for worker in workers:
            os.kill(worker, signal.SIGCONT)
        assert [body_of(client.makefile("rb")) for client in clients] == [b"0"] * 8


def is_told_to_end(pid: int) -> bool:
    """Return whether a SIGTERM waits for the process."""
    return bool(int(status_of(pid, "ShdPnd"), 16) & 1 << signal.SIGTERM - 1)


def status_of(pid: int, name: str) -> str:
    """Return what the system says of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    [value] = [line.split(":", 1)[1].strip() for line in status.splitlines() if line.startswith(f"{name}:")]
    return value


def test_a_server_that_ends_lets_no_one_wait_at_its_port(tmp_path):
    """A proxy then asks another server at once. The port of a server that still has something to do would take it."""
    with started(tmp_path, f"{__name__}:application", *LONG) as server, in_flight(server):
        server.listener.close()
        server.process.terminate()
        wait_until(lambda: refuses(server))
        assert server.process.poll() is None, "it still works on the request"


def test_a_server_that_ends_with_more_connections_than_it_can_take_finishes_its_requests(tmp_path, monkeypatch):
    monkeypatch.setenv("FEW_FILES", "64")
    few = ("--worker-connections", "40", *LONG)
    with (
        started(tmp_path, f"{__name__}:application", *few) as server,
        in_flight(server),
        contextlib.ExitStack() as stack,
    ):
        server.listener.close()
        for _ in range(200):
            stack.enter_context(server.connect())
        server.process.terminate()
        wait_until(lambda: refuses(server))
        assert server.process.poll() is None, "it still works on the request"


def refuses(server: Server) -> bool:
    with contextlib.suppress(ConnectionResetError):
        try:
            server.connect().close()
        except ConnectionRefusedError:
            return True
    return False


def test_a_process_that_is_asked_to_end_while_it_starts_ends(tmp_path, monkeypatch):
    """It would go on to take requests, until it is killed with all of them."""
    monkeypatch.setenv("SLOW_START", "1")
    slow = ("--worker-class", f"{__name__}.Slow", "--graceful-timeout", "1000")
    with started(tmp_path, f"{__name__}:application", *slow) as server:
        wait_until(lambda: len(server.workers()) == 2)
        before = server.workers()
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda: len(set(server.workers()) - set(before)) == 1)
        server.process.terminate()
        wait_until(lambda: server.process.poll() is not None)


def test_half_a_request_is_not_waited_for_at_the_end(tmp_path):
    with started(tmp_path, f"{__name__}:application", *LONG) as server, in_flight(server), server.connect() as kept:
        kept.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert body_of(kept.makefile("rb")) == b"0"
        server.process.terminate()
        wait_until(lambda: has_ended(kept))
        assert server.process.poll() is None, "it still works on the request"


def test_server_itself_believes_no_header_of_a_proxy(tmp_path: Path) -> None:
    """Not even from this machine, where the proxy may be: only the product reads them, if it is told to."""
    with started(tmp_path, f"{__name__}:scheme_and_place") as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT)
        with contextlib.closing(client):
            headers = {
                "X-Forwarded-Proto": "https",
                "X-Forwarded-Ssl": "on",
                "SCRIPT_NAME": "/x",
                "PATH_INFO": "/metrics",
            }
            client.request("GET", "/livez", headers=headers)
            assert client.getresponse().read() == b"http - /livez"


# --- The product behind the server ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def product_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield the product itself. Its addresses that need no sign-in do not ask the database."""
    with started(tmp_path_factory.mktemp("product"), "por.wsgi:application") as server:
        yield server


def asked(server: Server, head: bytes, body: bytes) -> tuple[int, str, bytes]:
    """Return the status, the content type and the body of the answer."""
    with server.connect() as client:
        client.sendall(b"%b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%b" % (head, body))
        answer = http.client.HTTPResponse(client)
        answer.begin()
        return answer.status, answer.headers.get("Content-Type", ""), answer.read()


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


def test_an_error_of_the_product_is_a_problem_document_behind_the_server_too(product_server):
    status, kind, body = asked(product_server, b"POST /api/v1/nothing/", b"Content-Length: 2\r\n\r\n{}")

    assert (status, kind) == (404, "application/problem+json")
    assert json.loads(body)["code"] == "not_found"


@pytest.mark.parametrize("path", [b"/api/v1/x%00", b"/api/\xff", b"/api/v1/me/?%00=%00"])
def test_an_odd_address_is_a_problem_behind_the_server_too(product_server, path):
    status, kind, _body = asked(product_server, b"GET " + path, b"\r\n")

    assert (status in {400, 401, 404}, kind) == (True, "application/problem+json")


@pytest.mark.parametrize("body", [b"", b"x" * 70_000])
def test_a_form_in_chunks_is_read_like_any_other(product_server, body):
    """The form's token is read from its body: without it the answer is 403, in chunks or not."""
    token = b"a" * 32
    form = b"csrfmiddlewaretoken=%b&theme=dark&x=%b" % (token, body)
    head = b"Cookie: csrf=%b\r\nContent-Type: application/x-www-form-urlencoded\r\n" % token

    counted = asked(product_server, b"POST /theme", head + b"Content-Length: %d\r\n\r\n%b" % (len(form), form))
    parts = asked(
        product_server, b"POST /theme", head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(form[:9], form[9:])
    )

    assert (counted[0], parts[0]) == (302, 302)


@pytest.mark.parametrize("broken", [b"zz\r\nabc\r\n0\r\n\r\n", b"3\r\nabcdef\r\n0\r\n\r\n", b"-1\r\n\r\n"])
def test_a_body_of_broken_chunks_is_refused(product_server, broken):
    head = b"Transfer-Encoding: chunked\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n"

    status, _kind, _body = asked(product_server, b"POST /language", head + broken)

    assert 400 <= status < 500
