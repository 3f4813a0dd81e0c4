"""Files of proofs on a directory and on a real S3 server: whole or not there, whatever happens on the way."""

from __future__ import annotations

import hashlib
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import tracemalloc
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import Message
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from botocore.exceptions import ClientError
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from por.db.outages import of_storage
from por.errors import Unavailable
from por.files import proofs
from por.files.bucket import Bucket
from por.files.directory import Directory
from por.files.proofs import Damaged, Stored
from tests.product import wait_until

CONTENT = bytes(range(256)) * 8_000  # two MB, and no two pieces alike in place


@pytest.fixture(params=["directory", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, settings: Any) -> Bucket | Directory:
    if request.param == "directory":
        return using(settings, "por.files.directory.Directory", {"location": str(tmp_path / "files")})
    return using(settings, "por.files.bucket.Bucket", request.getfixturevalue("s3"))


def using(settings: Any, backend: str, options: dict[str, Any]) -> Any:
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": backend, "OPTIONS": options}}
    return storages["default"]


@pytest.fixture(scope="module")
def bucket(s3: dict[str, Any]) -> Bucket:
    """Return the bucket without a disturbed network between. One for all tests: a client is slow to make."""
    return Bucket(**s3)


def names(storage: Bucket | Directory) -> set[str]:
    return {one.name for folder in (proofs.QUARANTINE, proofs.PROOFS) for one in storage.listing(folder)}


def test_file_is_stored_whole_under_a_name_that_says_nothing(storage: Bucket | Directory) -> None:
    stored = proofs.store(BytesIO(CONTENT))
    assert stored == Stored(stored.name, len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert re.fullmatch(r"quarantine/[0-9a-f-]{36}", stored.name)
    with proofs.fetched(stored.name, stored.sha256) as copy:
        assert copy.read() == CONTENT


def test_released_file_is_the_same_and_releasing_it_again_changes_nothing(storage: Bucket | Directory) -> None:
    stored = proofs.store(BytesIO(CONTENT))
    released = proofs.release(stored.name)
    assert released == stored.name.replace("quarantine", "proofs")
    assert proofs.release(stored.name) == released
    storage.delete(stored.name)
    with proofs.fetched(released, stored.sha256) as copy:
        assert copy.read() == CONTENT


def test_file_that_is_not_there_is_not_found(storage: Bucket | Directory) -> None:
    with pytest.raises(FileNotFoundError), of_storage(), proofs.fetched("quarantine/none", "0"):
        pass
    with pytest.raises(FileNotFoundError), of_storage():
        proofs.release("quarantine/none")


def test_file_that_someone_changed_is_not_given_out(storage: Bucket | Directory) -> None:
    stored = proofs.store(BytesIO(CONTENT))
    storage.delete(stored.name)
    storage.save(stored.name, ContentFile(CONTENT[:-1] + b"!"))
    with pytest.raises(Damaged, match="has changed"), proofs.fetched(stored.name, stored.sha256):
        pass


def test_only_old_files_that_no_row_names_are_removed(storage: Bucket | Directory) -> None:
    kept, unnamed = (proofs.store(BytesIO(b"x")).name for _ in range(2))
    gone = {unnamed, proofs.release(unnamed)}
    other = storage.save("loads/1/customers.csv", ContentFile(b"rows"))
    asked: list[str] = []

    def named(some: Any) -> set[str]:
        asked.extend(some)
        return set(some) - gone

    now = datetime.now(UTC)
    assert proofs.remove_unnamed(named, now + timedelta(hours=23)) == 0
    assert asked == []
    assert proofs.remove_unnamed(named, now + timedelta(hours=25)) == 2
    assert names(storage) & {kept, *gone} == {kept}
    assert storage.exists(other)


def test_day_of_a_released_file_begins_with_its_release(tmp_path: Path, settings: Any) -> None:
    """A bucket dates a copy anew; a directory does so too. Else a file could go before its row names it."""
    storage = using(settings, "por.files.directory.Directory", {"location": str(tmp_path)})
    stored = proofs.store(BytesIO(b"x"))
    os.utime(storage.path(stored.name), (0, 0))
    released = proofs.release(stored.name)
    assert proofs.remove_unnamed(lambda some: set(), datetime.now(UTC)) == 0
    with proofs.fetched(released, stored.sha256) as copy:
        assert copy.read() == b"x"


def test_large_file_passes_in_pieces(storage: Bucket | Directory, tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        for _ in range(25):
            file.write(CONTENT[: 1024 * 1024])
    proofs.store(BytesIO(b"x"))  # makes the client
    tracemalloc.start()
    with path.open("rb") as file:
        stored = proofs.store(file)
    with proofs.fetched(stored.name, stored.sha256):
        pass
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 1024 * 1024


# --- Links ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def linked(s3: dict[str, Any], settings: Any) -> str:
    using(settings, "por.files.bucket.Bucket", s3)
    name = proofs.release(proofs.store(BytesIO(b"%PDF-1.7")).name)
    found = proofs.link(name, filename="Godkännande.pdf", content_type="application/pdf")
    assert found is not None
    return found


def test_link_saves_the_file_under_its_name(linked: str) -> None:
    answer = urlopen(linked)
    said: Message = answer.headers
    assert answer.read() == b"%PDF-1.7"
    assert said["Content-Type"] == "application/pdf"
    assert said["Content-Disposition"] == "attachment; filename*=utf-8''Godk%C3%A4nnande.pdf"
    assert "X-Amz-Expires=60" in linked


def test_link_that_was_changed_opens_nothing(linked: str) -> None:
    for part, other in [
        ("application%2Fpdf", "text%2Fhtml"),
        ("attachment", "inline"),
        ("X-Amz-Expires=60", "X-Amz-Expires=6000"),
        ("proofs/", "quarantine/"),
        ("&X-Amz-Signature=", "&X-Amz-Signature=0"),
    ]:
        assert part in linked
        with pytest.raises(HTTPError, match="403"):
            urlopen(linked.replace(part, other))


def test_link_opens_nothing_for_another_verb_or_after_its_time(linked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "LINK_SECONDS", 1)
    name = urlsplit(linked).path.partition("/partner-of-record/")[2]
    short = proofs.link(name, filename="a.pdf", content_type="application/pdf")
    assert short is not None

    def is_over() -> bool:
        try:
            urlopen(short).close()
        except HTTPError as error:
            error.close()
            return error.code == 403
        return False

    wait_until(is_over)
    assert urlopen(linked).read() == b"%PDF-1.7"


def test_directory_has_no_links(tmp_path: Path, settings: Any) -> None:
    using(settings, "por.files.directory.Directory", {"location": str(tmp_path)})
    assert proofs.link("proofs/a", filename="a.pdf", content_type="application/pdf") is None


def test_web_server_puts_proofs_into_quarantine_and_releases_none(s3: dict[str, Any], settings: Any) -> None:
    using(settings, "por.files.bucket.Bucket", s3 | {"access_key": "web"})
    stored = proofs.store(BytesIO(b"x"))
    with pytest.raises(ClientError, match="AccessDenied"):
        proofs.release(stored.name)
    using(settings, "por.files.bucket.Bucket", s3 | {"access_key": "worker"})
    assert proofs.release(stored.name).startswith("proofs/")


# --- Faults -----------------------------------------------------------------------------------------------------------


@contextmanager
def between(endpoint: str, *, up: int | None = None, down: int | None = None, hang: bool = False) -> Iterator[str]:
    """Yield the address of a network that cuts each connection, or hangs, after so many bytes to or from the server."""
    target = urlsplit(endpoint)
    open_ones: list[socket.socket] = []

    def pass_on(source: socket.socket, sink: socket.socket, left: int | None) -> None:
        while True:
            try:
                piece = source.recv(65_536 if left is None else min(65_536, left))
                if left is not None:
                    left -= len(piece)
                if piece:
                    sink.sendall(piece)
                if left == 0 and hang:
                    return
                if not piece or left == 0:
                    for one in (source, sink):
                        one.shutdown(socket.SHUT_RDWR)
                    return
            except OSError:
                return

    def serve() -> None:
        while True:
            try:
                caller, _ = server.accept()
                onward = socket.create_connection((target.hostname, target.port or 80))
            except OSError:
                return
            open_ones.extend([caller, onward])
            for one in ((caller, onward, up), (onward, caller, down)):
                threads.append(threading.Thread(target=pass_on, args=one))
                threads[-1].start()

    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepting = threading.Thread(target=serve)
        accepting.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    accepting.join()
    for one in open_ones:
        with one:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    "after", [0, 700, 2_000_000, *(pytest.param(one, marks=pytest.mark.crawl) for one in (100, 5_000, 1_000_000))]
)
def test_upload_that_is_cut_at_any_byte_promises_nothing(
    s3: dict[str, Any], bucket: Bucket, settings: Any, after: int
) -> None:
    before = names(bucket)
    with between(s3["endpoint_url"], up=after) as address:
        using(settings, "por.files.bucket.Bucket", s3 | {"endpoint_url": address})
        with pytest.raises(Unavailable), of_storage():
            proofs.store(BytesIO(CONTENT))
    assert names(bucket) == before


@pytest.mark.parametrize(
    "after", [0, 400, 2_000_000, *(pytest.param(one, marks=pytest.mark.crawl) for one in (10, 5_000, 1_000_000))]
)
def test_download_that_is_cut_at_any_byte_gives_nothing(
    s3: dict[str, Any], bucket: Bucket, settings: Any, after: int
) -> None:
    name = bucket.save(f"quarantine/{uuid.uuid4()}", ContentFile(CONTENT))
    with between(s3["endpoint_url"], down=after) as address:
        using(settings, "por.files.bucket.Bucket", s3 | {"endpoint_url": address})
        with pytest.raises(Unavailable), of_storage(), proofs.fetched(name, hashlib.sha256(CONTENT).hexdigest()):
            pass


def test_storage_that_hangs_is_given_up(s3: dict[str, Any], settings: Any) -> None:
    using(settings, "por.files.bucket.Bucket", s3)
    stored = proofs.store(BytesIO(CONTENT))
    with between(s3["endpoint_url"], up=1_000, hang=True) as address:
        using(settings, "por.files.bucket.Bucket", s3 | {"endpoint_url": address, "patience": 0.5})
        with pytest.raises(Unavailable), of_storage():
            proofs.store(BytesIO(CONTENT))
    with between(s3["endpoint_url"], down=1_000, hang=True) as address:
        using(settings, "por.files.bucket.Bucket", s3 | {"endpoint_url": address, "patience": 0.5})
        with pytest.raises(Unavailable), of_storage(), proofs.fetched(stored.name, stored.sha256):
            pass


def test_control_an_undisturbed_network_passes_all(s3: dict[str, Any], settings: Any) -> None:
    with between(s3["endpoint_url"]) as address:
        using(settings, "por.files.bucket.Bucket", s3 | {"endpoint_url": address})
        stored = proofs.store(BytesIO(CONTENT))
        with proofs.fetched(stored.name, stored.sha256) as copy:
            assert copy.read() == CONTENT


def test_storage_that_is_away_promises_nothing(s3: dict[str, Any], settings: Any) -> None:
    using(settings, "por.files.bucket.Bucket", s3 | {"endpoint_url": "http://127.0.0.1:1"})
    with pytest.raises(Unavailable), of_storage():
        proofs.store(BytesIO(CONTENT))
    with pytest.raises(Unavailable), of_storage(), proofs.fetched("quarantine/a", "0"):
        pass


@pytest.mark.parametrize("room", [0, 4_096, len(CONTENT) - 1])
def test_full_disk_promises_nothing(tmp_path: Path, settings: Any, room: int) -> None:
    storage = using(settings, "por.files.directory.Directory", {"location": str(tmp_path)})
    _soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))  # a write beyond it fails as on a full disk
    try:
        with pytest.raises(Unavailable), of_storage():
            proofs.store(BytesIO(CONTENT))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert names(storage) == set()
    assert proofs.store(BytesIO(CONTENT)).size == len(CONTENT)


def test_process_that_is_killed_while_it_stores_leaves_no_file_under_a_name(tmp_path: Path, settings: Any) -> None:
    storage = using(settings, "por.files.directory.Directory", {"location": str(tmp_path)})
    code = (
        "import os, signal\nfrom django.conf import settings\nfrom por.files.directory import Directory\n"
        "from django.core.files import File\nfrom io import BytesIO\nsettings.configure()\n"
        "class Ends(BytesIO):\n    def read(self, size=-1):\n"
        "        self.tell() and os.kill(os.getpid(), signal.SIGKILL)\n        return super().read(size)\n"
        f"Directory(location={str(tmp_path)!r}).save('quarantine/a', File(Ends(b'x' * 1_000_000)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2])
    assert ended.returncode == -signal.SIGKILL
    assert names(storage) == set()
    assert not storage.exists("quarantine/a")
