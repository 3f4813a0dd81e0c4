"""Files are scanned by a real daemon of ClamAV, and only its clear word makes one clean."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from por.documents import scanning
from por.documents.kinds import LARGEST
from por.documents.scanning import Outcome, Scan, scan
from tests.por.documents import bad
from tests.por.documents.archives import DOCX, changed
from tests.servers import EICAR


@pytest.fixture
def scanner(clamd: Path, settings: Any) -> None:
    settings.CLAMAV_URL = f"unix://{clamd}"


@pytest.mark.usefixtures("scanner")
def test_file_without_malware_is_clean() -> None:
    assert scan(BytesIO(bad.sample("typst.pdf"))) == Scan(Outcome.CLEAN)
    assert scan(BytesIO(b"a" * LARGEST)) == Scan(Outcome.CLEAN)


@pytest.mark.usefixtures("scanner")
@pytest.mark.parametrize(
    "content",
    [EICAR, b"%PDF-1.7\n" + EICAR, changed(DOCX, extra={"word/media/a.png": EICAR}), bad.mail(("a.pdf", EICAR))],
    ids=["alone", "in a PDF", "in a document", "attached"],
)
def test_file_with_malware_is_infected(content: bytes) -> None:
    found = scan(BytesIO(content))
    assert found.outcome is Outcome.INFECTED
    assert found.found.startswith("Partner.Test.EICAR")


@pytest.mark.usefixtures("scanner")
def test_file_is_scanned_from_its_beginning() -> None:
    file = BytesIO(EICAR)
    file.seek(60)
    assert scan(file).outcome is Outcome.INFECTED


def test_without_a_scanner_nothing_is_scanned(settings: Any) -> None:
    settings.CLAMAV_URL = ""
    assert scan(BytesIO(EICAR)) == Scan(Outcome.NOT_SCANNED)


@pytest.mark.usefixtures("scanner")
def test_file_that_is_larger_than_the_scanner_takes_is_never_clean() -> None:
    assert scan(BytesIO(b"a" * (LARGEST + 1))) == Scan(Outcome.FAILED)


@pytest.mark.usefixtures("scanner")
def test_control_daemon_hangs_up_on_a_file_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "LARGEST", 10 * LARGEST)
    assert scan(BytesIO(b"a" * (2 * LARGEST))) == Scan(Outcome.FAILED)


@pytest.mark.usefixtures("scanner")
def test_file_that_cannot_be_read_is_never_clean() -> None:
    class Broken(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("The storage is away")

    assert scan(Broken(b"a")) == Scan(Outcome.FAILED)


@contextmanager
def answering(answer: bytes | None) -> Iterator[str]:
    """Yield the address of a daemon that says this to whoever asks, and hangs up; with None, it says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    caller, _ = server.accept()
                except OSError:
                    return
                with caller:
                    if answer is None:
                        ended.wait(30)
                        return
                    while not caller.recv(65_536).endswith((b"\0\0\0\0", b"PING\n")):
                        pass
                    caller.sendall(answer)

        ended = threading.Event()
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        ended.set()
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(
    "answer",
    [b"", b"\n", b"stream: O", b"stream: ERROR\n", b"INSTREAM size limit exceeded. ERROR\n", b"OK\n", b"other: OK\n"],
)
def test_any_other_answer_is_a_failure(settings: Any, answer: bytes) -> None:
    with answering(answer) as settings.CLAMAV_URL:
        assert scan(BytesIO(b"a")) == Scan(Outcome.FAILED)


def test_control_the_right_answer_is_believed(settings: Any) -> None:
    with answering(b"stream: OK\n") as settings.CLAMAV_URL:
        assert scan(BytesIO(b"a")) == Scan(Outcome.CLEAN)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "unix:///no/such/socket", "tcp://", "nonsense"])
def test_scanner_that_is_away_is_a_failure(settings: Any, address: str) -> None:
    settings.CLAMAV_URL = address
    assert scan(BytesIO(b"a")) == Scan(Outcome.FAILED)


def test_scanner_that_says_nothing_is_a_failure(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "PATIENCE", 0.2)
    with answering(None) as settings.CLAMAV_URL:
        assert scan(BytesIO(b"a")) == Scan(Outcome.FAILED)


# --- Readiness ------------------------------------------------------------------------------------------------------


def _ready() -> tuple[int, dict[str, str]]:
    answer = Client().get("/readyz")
    return answer.status_code, answer.json()["components"]


def test_readyz_names_the_scanner_where_there_is_one(settings: Any, clamd: Path) -> None:
    settings.CLAMAV_URL = ""
    assert "scanner" not in _ready()[1]
    settings.CLAMAV_URL = f"unix://{clamd}"
    assert _ready()[1]["scanner"] == "ok"


def test_product_is_ready_without_its_scanner(settings: Any) -> None:
    settings.CLAMAV_URL = "tcp://127.0.0.1:1"
    status, components = _ready()
    assert components.pop("scanner") == "failed"
    assert status == (200 if set(components.values()) == {"ok"} else 503)
    with answering(None) as settings.CLAMAV_URL:
        assert _ready()[1]["scanner"] == "failed"
