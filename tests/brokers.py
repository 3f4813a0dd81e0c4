"""Brokers and caches of other kinds: behind TLS, watched by a sentinel, RabbitMQ. Each is a real server."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError

from por import brokers
from por.embedded.processes import Processes
from por.embedded.servers import _valkey_program
from tests.product import free_port, wait_until

RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def celery_of(url: str, ca_file: str = "") -> Celery:
    """Return an application of Celery with the settings that the product has for this broker."""
    chosen = brokers.broker(url, ca_file)
    app = Celery("other", broker=chosen.url, set_as_current=False)
    app.conf.update(broker_use_ssl=chosen.use_ssl, broker_transport_options=chosen.options, task_ignore_result=True)
    return app


# --- Certificates ---------------------------------------------------------------------------------------------------


class Certificates(NamedTuple):
    """The files of an authority, and of a server called `localhost` that it signed."""

    authority: Path
    certificate: Path
    key: Path


def certificates(place: Path) -> Certificates:
    """Make an authority and a certificate."""
    made = Certificates(place / "authority.pem", place / "server.pem", place / "server.key")
    request, names = place / "server.csr", place / "names"
    names.write_text("subjectAltName=DNS:localhost")
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for command in (
        [*new, "-x509", "-keyout", place / "authority.key", "-out", made.authority, "-days", "2", "-subj", "/CN=tests"],
        [*new, "-keyout", made.key, "-out", request, "-subj", "/CN=localhost"],
        ["openssl", "x509", "-req", "-in", request, "-CA", made.authority, "-CAkey", place / "authority.key"]
        + ["-CAcreateserial", "-days", "2", "-out", made.certificate, "-extfile", names],
    ):
        subprocess.run(command, check=True, capture_output=True)
    return made


@contextlib.contextmanager
def behind_tls(address: str, made: Certificates) -> Iterator[int]:
    """Yield a port that speaks TLS and passes everything on to a server at a socket of this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=meet, args=[client], daemon=True).start()

        def meet(client: socket.socket) -> None:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as server:
                server.connect(address)
                with context.wrap_socket(client, server_side=True) as secure:
                    threading.Thread(target=carry, args=[server, secure], daemon=True).start()
                    carry(secure, server)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)


# --- Sentinel -------------------------------------------------------------------------------------------------------


class Watched:
    """A Valkey, a replica of it, and a sentinel that makes the replica the master if the first one dies."""

    def __init__(self, place: Path, processes: Processes) -> None:
        self.processes = processes
        self.ports = {name: free_port() for name in ("first", "second", "sentinel")}
        for name in ("first", "second"):
            data = place / name
            data.mkdir()
            command = [_valkey_program(), "--port", str(self.ports[name]), "--bind", "127.0.0.1", "--dir", data]
            command += ["--save", "", "--maxmemory-policy", "noeviction"]
            more = ["--replicaof", "127.0.0.1", str(self.ports["first"])] if name == "second" else []
            setattr(self, name, processes.start(name, [*command, *more]))
        settings = place / "sentinel.conf"
        settings.write_text(
            f"port {self.ports['sentinel']}\nbind 127.0.0.1\ndir {place}\n"
            f"sentinel monitor por 127.0.0.1 {self.ports['first']} 1\n"
            "sentinel down-after-milliseconds por 1000\nsentinel failover-timeout por 5000\n"
        )
        self.sentinel = processes.start("sentinel", [_valkey_program(), settings, "--sentinel"])
        wait_until(lambda: "'state': 'online'" in self.says("first", "INFO", "replication"))
        wait_until(lambda: str(self.ports["second"]) in self.says("sentinel", "SENTINEL REPLICAS", "por"))

    def url(self, database: int) -> str:
        return f"sentinel://127.0.0.1:{self.ports['sentinel']}/{database}?master=por"

    def says(self, name: str, *command: str) -> str:
        """Return what a server answers, as text."""
        with contextlib.suppress(RedisError), Redis(port=self.ports[name], socket_timeout=5) as client:
            return str(client.execute_command(*command))
        return ""

    def kill_master(self) -> None:
        """Kill the first one; return when the second one is the master."""
        self.first.popen.kill()  # type: ignore[attr-defined]
        wait_until(lambda: "'role': 'master'" in self.says("second", "INFO", "replication"))


@contextlib.contextmanager
def watched(place: Path) -> Iterator[Watched]:
    with Processes(place, {}) as processes:
        yield Watched(place, processes)


# --- RabbitMQ -------------------------------------------------------------------------------------------------------


class RabbitMQ:
    """A node of Debian's RabbitMQ with its own data, on a port and on one with TLS."""

    def __init__(self, place: Path, made: Certificates) -> None:
        self.plain, self.secure = free_port(), free_port()
        settings = place / "rabbitmq.conf"
        settings.write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.plain}\nlisteners.ssl.1 = 127.0.0.1:{self.secure}\n"
            f"ssl_options.cacertfile = {made.authority}\nssl_options.certfile = {made.certificate}\n"
            f"ssl_options.keyfile = {made.key}\nssl_options.verify = verify_none\n"
        )
        (place / "plugins").write_text("[].")
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(place),
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "por@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONFIG_FILE": str(settings.with_suffix("")),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(place / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(place / "data"),
            "RABBITMQ_LOG_BASE": str(place / "log"),
            "RABBITMQ_PID_FILE": str(place / "pid"),
        }
        self.log = (place / "rabbitmq.log").open("wb")

    def url(self, *, secure: bool = False) -> str:
        return (
            f"amqps://guest:guest@localhost:{self.secure}//"
            if secure
            else f"amqp://guest:guest@127.0.0.1:{self.plain}//"
        )

    def start(self) -> None:
        """Start the node; return when it takes connections."""
        self.process = subprocess.Popen(
            [RABBITMQ], env=self.environment, stdout=self.log, stderr=self.log, start_new_session=True
        )
        app = celery_of(self.url())
        wait_until(lambda: _connects(app))

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, 9)
        self.process.wait()


def _connects(app: Celery) -> bool:
    try:
        with app.connection_for_write(connect_timeout=2) as connection:
            connection.ensure_connection(max_retries=0)
    except OperationalError:
        return False
    return True


@contextlib.contextmanager
def rabbitmq(place: Path, made: Certificates) -> Iterator[RabbitMQ]:
    node = RabbitMQ(place, made)
    names = subprocess.Popen(  # Erlang's server of names; the node would start one that stays
        [shutil.which("epmd") or "epmd", "-relaxed_command_check"],
        env=node.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        node.start()
        yield node
    finally:
        node.kill()
        names.terminate()
        names.wait()
        node.log.close()
