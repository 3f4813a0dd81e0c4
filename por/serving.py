"""How gunicorn serves the product: `gunicorn --config python:por.serving por.wsgi:application`.

A slow client holds a socket and never a thread: the main thread of a process collects each request, and only a request
that is there as a whole goes to one of the threads. Proofs of execution, which many people send at a time, it collects
in files. The threads read other large requests themselves, and those get at most half of the threads.
"""

from __future__ import annotations

import gc
import json
import os
import re
import selectors
import signal
import socket
import tempfile
import time
from collections import deque
from contextlib import suppress
from functools import partial
from typing import IO, Any

from gunicorn import glogging, util
from gunicorn.http.unreader import SocketUnreader, Unreader
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from por.ops.logs import begin_request

#: The signals that ask a process to end.
ENDING = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}

# --- The settings of gunicorn -----------------------------------------------------------------------------------------

workers, threads = 2, 4
worker_class = "por.serving.Worker"
logger_class = "por.serving.Log"
preload_app = True  # the processes share the memory of the code, and a new one is ready at once
control_socket_disable = True  # it would be in the home directory, one for all runs
worker_connections = 1000
limit_request_line = 8190  # the most there is: a shared "what if" names up to 200 subscriptions
# Only the product reads what proxies tell of a request, if TRUSTED_PROXIES says that there are any.
forwarded_allow_ips = forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}


def pre_fork(_server: Any, _worker: Any) -> None:
    """Let no garbage collection write to the memory that the processes share, and no early signal be lost.

    A process that is asked to end before it can listen would never hear of it: it gets the signal later.
    """
    gc.collect()
    gc.freeze()
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)


def when_ready(_server: Any) -> None:
    """Let the parent hear signals again after each fork, and open the port of the metrics in it."""
    os.register_at_fork(after_in_parent=partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, ENDING))
    if os.environ.get("METRICS_PORT"):
        from por.ops import listener  # reads the settings

        listener.start()


class Log(glogging.Logger):  # type: ignore[misc]
    """The log of gunicorn, which the product writes as it writes its own lines."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers, self.error_log.propagate = [], True


# --- The worker -------------------------------------------------------------------------------------------------------

#: Bytes of a request that the main thread collects. A head must not be longer.
SMALL = 64 * 1024
#: Seconds that a client has to send them. A larger body has as many, and then has to come this fast: bytes a second.
TIME_TO_SEND = 120
SLOWEST = 16 * 1024
#: The requests whose large bodies are collected in files: those of proofs of execution. A file of that size, with its
#: form, and so many at a time.
PROOFS = re.compile(rb"POST /(p|api/v1)/claims/[0-9]+/proofs/[ ?]")
LARGEST_PROOF = 26 * 1024 * 1024
MOST_PROOFS = 64
#: Seconds that a client has to close its side of a connection that was closed.
LINGER = 2
TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EXPECT = re.compile(rb"\r\nexpect[ \t]*:[ \t]*100-continue[ \t]*(?=\r\n)", re.IGNORECASE)
FRAMING = re.compile(rb"\r\n(content-length|transfer-encoding|expect)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)


class Connection(TConn):  # type: ignore[misc]
    """A connection, and what has arrived of its next request."""

    def __init__(self, *about: Any) -> None:
        super().__init__(*about)
        self.arrived = bytearray()
        self.watched = False
        self.large = False
        self.file: IO[bytes] | None = None  # for a large body
        self.missing = 0  # bytes of it
        self.until = 0.0

    def close(self, graceful: bool = False) -> None:
        if self.file is not None:
            self.file.close()
        super().close(graceful)


class InTime(SocketUnreader):  # type: ignore[misc]
    """What arrives of a large request while a thread reads it. One that is too slow is an error of the connection."""

    def __init__(self, source: socket.socket) -> None:
        super().__init__(source)
        self.until = time.monotonic() + TIME_TO_SEND

    def chunk(self, size_hint: int | None = None) -> bytes:
        self.sock.settimeout(max(0.001, self.until - time.monotonic()))
        try:
            arrived: bytes = super().chunk(size_hint)
        finally:
            self.sock.setblocking(True)
        self.until += len(arrived) / SLOWEST
        return arrived


class Collected(Unreader):  # type: ignore[misc]
    """A large body that has come as a whole."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self.file = file

    def chunk(self, size_hint: int | None = None) -> bytes:
        return self.file.read(max(SMALL, min(size_hint or 0, 16 * SMALL)))


class Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threads, which get whole requests."""

    def __init__(self, *about: Any, **more: Any) -> None:
        super().__init__(*about, **more)
        self.large = 0
        self.large_ones: deque[Connection] = deque()  # that wait for a thread
        self.collecting: list[Connection] = []  # in files
        self.closing: deque[Connection] = deque()

    def init_signals(self) -> None:
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)

    def run(self) -> None:
        """Serve until the end of the process; then leave no client with an open connection that nobody reads."""
        super().run()
        for conn in (*self.pending_conns, *self.large_ones, *self.collecting, *self.closing):
            conn.close()

    def accept(self, listener: socket.socket) -> bool:
        """Take the next connection; return False if there is none."""
        try:
            client, address = listener.accept()
        except BlockingIOError:
            return False
        except ConnectionAbortedError:
            return True
        self.nr_conns += 1
        self.enqueue_req(Connection(self.cfg, client, address, listener.getsockname()))
        return True

    def enqueue_req(self, conn: Connection) -> None:
        """Collect a request: the first of a new connection, the next of a kept one, or one that has come already."""
        conn.init()
        conn.sock.setblocking(False)
        conn.arrived += conn.parser.unreader.take_buffered()
        if not (conn.arrived and self._sort(conn)):
            self._collect(conn)

    def _collect(self, conn: Connection, _socket: Any = None) -> None:
        try:
            arrived = conn.sock.recv(SMALL)
        except (BlockingIOError, InterruptedError):
            self._watch(conn)
            return
        except OSError:
            arrived = b""
        conn.arrived += arrived
        if not arrived:  # the client has gone
            self._drop(conn)
        elif not self._sort(conn):
            self._watch(conn)

    def _sort(self, conn: Connection) -> bool:
        """Return whether something was done with the connection; False if more must arrive first."""
        end = conn.arrived.find(b"\r\n\r\n")
        if end < 0:
            if len(conn.arrived) < SMALL:
                return False
            with suppress(OSError):
                conn.sock.send(TOO_LONG)
            self._unwatch(conn)
            self._linger(conn)
            return True
        length = length_of_body(conn.arrived[:end])
        if length is not None and len(conn.arrived) < end + 4 + length:
            return False
        self._unwatch(conn)
        if length is not None:
            self._hand_over(conn)
        elif (missing := length_of_proof(conn.arrived[: end + 2])) and len(self.collecting) < MOST_PROOFS:
            self._begin_file(conn, end + 4, missing)
        elif self.large < max(1, self.cfg.threads // 2):
            self._hand_over_large(conn)
        else:
            self.large_ones.append(conn)
        return True

    def _hand_over_large(self, conn: Connection) -> None:
        self.large += 1
        conn.large = True
        conn.parser.unreader = InTime(conn.sock)
        self._hand_over(conn)

    def _hand_over(self, conn: Connection) -> None:
        conn.parser.unreader.unread(bytes(conn.arrived))
        conn.arrived.clear()
        super().enqueue_req(conn)

    def _begin_file(self, conn: Connection, end: int, length: int) -> None:
        """Collect a large body in a file. The client that asks whether to send it is told to."""
        head, body = bytes(conn.arrived[:end]), conn.arrived[end : end + length]
        conn.arrived.clear()
        conn.file = tempfile.TemporaryFile()  # noqa: SIM115  # it is closed with the connection
        conn.missing, conn.until = length, time.monotonic() + TIME_TO_SEND
        if EXPECT.search(head):
            head = EXPECT.sub(b"", head)
            with suppress(OSError):
                conn.sock.send(CONTINUE)
        conn.parser.unreader = Collected(conn.file)
        conn.parser.unreader.unread(head)
        self.collecting.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._add_to_file, conn))
        self._add(conn, bytes(body))

    def _add_to_file(self, conn: Connection, _socket: Any) -> None:
        try:
            arrived = conn.sock.recv(min(4 * SMALL, conn.missing))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            arrived = b""
        if arrived:
            self._add(conn, arrived)
        else:  # the client has gone
            self._end_file(conn)
            self._drop(conn)

    def _add(self, conn: Connection, arrived: bytes) -> None:
        assert conn.file is not None
        try:
            conn.file.write(arrived)
            conn.missing -= len(arrived)
            conn.until += len(arrived) / SLOWEST
            if not conn.missing:
                conn.file.seek(0)
        except OSError:  # the disk is full
            self._end_file(conn)
            with suppress(OSError):
                write_problem(conn.sock, 503, "Service Unavailable", "")
            self._linger(conn)
            return
        if not conn.missing:
            self._end_file(conn)
            super().enqueue_req(conn)

    def _end_file(self, conn: Connection) -> None:
        self.collecting.remove(conn)
        self.poller.unregister(conn.sock)

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        """Close the connection after a large request: to read the rest of its body would hold the thread.

        The parser of one that was collected in a file does not read the connection.
        """
        return not conn.large and conn.file is None and bool(super()._keepalive_after(conn, keepalive))

    def finish_request(self, conn: Connection, done: Any) -> None:
        if conn.large:
            conn.large = False
            self.large -= 1
            if self.large_ones:
                self._hand_over_large(self.large_ones.popleft())
        if done.cancelled() or done.exception() or not done.result():
            self._linger(conn)
        else:
            super().finish_request(conn, done)

    # --- Connections that wait

    def _watch(self, conn: Connection) -> None:
        if not conn.watched:
            conn.watched = True
            conn.timeout = time.monotonic() + (TIME_TO_SEND if self.alive else STOP_KEEPALIVE_LINGER)
            self.pending_conns.append(conn)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._collect, conn))

    def _unwatch(self, conn: Connection) -> None:
        if conn.watched:
            conn.watched = False
            self.pending_conns.remove(conn)
            self.poller.unregister(conn.sock)

    def _linger(self, conn: Connection) -> None:
        """Close our side, and the connection once the client has closed its own: it may still read the answer."""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._wait_for_end, conn))
        except (OSError, ValueError):
            self._drop(conn)
            return
        conn.timeout = time.monotonic() + LINGER
        self.closing.append(conn)

    def _wait_for_end(self, conn: Connection, _socket: Any) -> None:
        try:
            ended = not conn.sock.recv(SMALL)
        except (BlockingIOError, InterruptedError):
            ended = False
        except OSError:
            ended = True
        if ended:
            self.closing.remove(conn)
            self.poller.unregister(conn.sock)
            self._drop(conn)

    def handle(self, conn: Connection) -> Any:
        """Answer a request in a thread. Until it is known whose it is, log lines do not name the request before it."""
        begin_request()
        return super().handle(conn)

    def _drop(self, conn: Connection) -> None:
        self._unwatch(conn)
        self.nr_conns -= 1
        conn.close()

    def murder_pending(self) -> None:
        """Close the connections whose time is over. gunicorn calls this every second."""
        super().murder_pending()
        for conn in [one for one in self.collecting if one.until <= time.monotonic()]:
            self._end_file(conn)
            self._drop(conn)
        while self.closing and self.closing[0].timeout <= time.monotonic():
            conn = self.closing.popleft()
            self.poller.unregister(conn.sock)
            self._drop(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """At the end of the process, take the connections that have come, and close the port.

        As long as the port is open, the system takes connections for us, and no one would answer them. Those that have
        not sent their request get as long as kept connections.
        """
        self.alive = False  # also if it is the parent that has ended
        for listener in self.sockets:
            listener.setblocking(False)
            with suppress(OSError):  # no more files may be open: what is left is refused
                while self.accept(listener):
                    pass
            listener.close()
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)
        for conn in self.collecting:
            conn.until = min(conn.until, deadline)


def length_of_body(head: bytes | bytearray) -> int | None:
    """Return how many bytes follow the head; None if they are too many or not counted, so that a thread reads them."""
    length = 0
    for name, value in FRAMING.findall(head):
        if name.lower() != b"content-length" or not value.strip().isdigit() or int(value) + len(head) > SMALL:
            return None
        length = max(length, int(value))
    return length


def length_of_proof(head: bytes | bytearray) -> int | None:
    """Return how many bytes of a proof follow the head; None if it is another request, or one to be refused."""
    if not PROOFS.match(head) or len(head) > SMALL:
        return None
    lengths = [value.strip() for name, value in FRAMING.findall(head) if name.lower() != b"expect"]
    if len(lengths) != 1 or not lengths[0].isdigit() or b"chunked" in head.lower():
        return None
    length = int(lengths[0])
    return length if length <= LARGEST_PROOF else None


def write_problem(sock: socket.socket, status: int, reason: str, _message: str) -> None:
    """Answer what is no request at all, with the problem document of an API that could not look at the address."""
    body = {"type": "about:blank", "title": reason, "status": status, "detail": reason, "code": "bad_request"}
    content = json.dumps(body | {"request_id": ""} | ({} if status < 500 else {"code": "internal_error"})).encode()
    head = f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
    util.write_nonblock(sock, f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)


util.write_error = write_problem  # gunicorn's own is in HTML
