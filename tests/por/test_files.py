"""Files are kept whole, never overwritten and private, in a directory and in a bucket of a real S3 server."""

from __future__ import annotations

import tempfile
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from botocore.exceptions import ClientError
from django.core.files import File
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.test import Client, override_settings

from por.files.bucket import Bucket
from por.files.directory import Directory


@pytest.fixture(params=["directory", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Directory | Bucket:
    if request.param == "directory":
        return Directory(location=tmp_path / "files")
    return Bucket(**request.getfixturevalue("s3"))


def test_a_second_file_of_the_same_name_gets_another_name(storage: Directory | Bucket, tmp_path: Path) -> None:
    place = f"{tmp_path.name}/deep"
    first = storage.save(f"{place}/letter.txt", ContentFile(b"first"))
    second = storage.save(f"{place}/letter.txt", ContentFile(b"second"))

    assert first == f"{place}/letter.txt"
    assert second != first
    with storage.open(first) as one, storage.open(second) as other:
        assert (one.read(), other.read()) == (b"first", b"second")
    assert sorted(storage.listdir(place)[1]) == sorted(Path(name).name for name in (first, second))


def test_a_file_object_without_a_name_is_kept_whole(storage: Directory | Bucket, tmp_path: Path) -> None:
    with tempfile.SpooledTemporaryFile() as spooled:
        spooled.write(b"content")
        name = storage.save(f"{tmp_path.name}/spooled", File(spooled))
    with storage.open(name) as file:
        assert file.read() == b"content"


def test_a_name_taken_a_moment_ago_is_refused_and_the_first_file_stays(
    storage: Directory | Bucket, tmp_path: Path
) -> None:
    name = storage.save(f"{tmp_path.name}/letter.txt", ContentFile(b"first"))
    with pytest.raises((FileExistsError, ClientError), match="exists|PreconditionFailed"):
        storage._save(name, ContentFile(b"second"))  # as if the name had been free when it was chosen
    with storage.open(name) as file:
        assert file.read() == b"first"


def test_an_interrupted_upload_leaves_no_file(storage: Directory | Bucket, tmp_path: Path) -> None:
    class Failing(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 0:
                raise OSError("The upload broke off")
            return super().read(min(size or 10, 10))

    with pytest.raises(OSError, match="broke off"):
        storage.save(f"{tmp_path.name}/letter.txt", File(Failing(b"x" * 1_000_000)))
    assert not storage.exists(f"{tmp_path.name}/letter.txt")


def test_only_its_owner_can_enter_a_directory_and_read_its_files(tmp_path: Path) -> None:
    directory = Directory(location=tmp_path / "files")
    name = directory.save("deep/letter.txt", ContentFile(b"first"))
    assert (tmp_path / "files").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "files" / name).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "files").iterdir()] == ["deep"]  # no draft is left


def test_a_bucket_is_private_and_a_signed_link_opens_one_file(s3: dict[str, Any]) -> None:
    bucket = Bucket(**s3)
    name = bucket.save("private/letter.txt", ContentFile(b"first"))
    with pytest.raises(HTTPError, match="403"):
        urlopen(f"{s3['endpoint_url']}/{s3['bucket_name']}/{name}")
    signed = bucket.url(name)
    assert urlopen(signed).read() == b"first"
    with pytest.raises(HTTPError, match="403"):
        urlopen(signed.replace("letter", "other"))


def test_a_bucket_is_made_once(s3: dict[str, Any]) -> None:
    options = s3 | {"bucket_name": "another-bucket"}
    with pytest.raises(ClientError, match="404"):
        Bucket(**options).check()
    assert _make_bucket("por.files.bucket.Bucket", options) == "The bucket another-bucket was made.\n"
    assert _make_bucket("por.files.bucket.Bucket", options) == "The bucket another-bucket is there.\n"
    Bucket(**options).check()
    with pytest.raises(CommandError, match="another-bucket cannot be made .*Forbidden"):
        _make_bucket("por.files.bucket.Bucket", options | {"secret_key": "a wrong one"})


def test_a_directory_needs_no_bucket(tmp_path: Path) -> None:
    assert str(tmp_path) in _make_bucket("por.files.directory.Directory", {"location": tmp_path})


def _make_bucket(backend: str, options: dict[str, Any]) -> str:
    out = StringIO()
    with override_settings(STORAGES={"default": {"BACKEND": backend, "OPTIONS": options}}):
        call_command("make_bucket", stdout=out)
    return out.getvalue()


# --- Readiness ------------------------------------------------------------------------------------------------------


def _ready(backend: str, options: dict[str, Any]) -> str:
    with override_settings(STORAGES={"default": {"BACKEND": backend, "OPTIONS": options}}):
        for _ in range(5):  # the client is made during the first check, which takes long on a busy machine
            components = Client().get("/readyz").json()["components"]
            if components["storage"] == "ok":
                break
    assert {name for name, state in components.items() if state != "ok"} <= {"storage"}
    return components["storage"]


@pytest.mark.parametrize(
    ("wrong", "state"),
    [
        ({}, "ok"),
        ({"secret_key": "a wrong one"}, "failed"),
        ({"access_key": "nobody"}, "failed"),
        ({"bucket_name": "no-such-bucket"}, "failed"),
        ({"endpoint_url": "http://127.0.0.1:1"}, "failed"),
    ],
)
def test_a_bucket_that_cannot_be_used_is_not_ready(s3: dict[str, Any], wrong: dict[str, str], state: str) -> None:
    assert _ready("por.files.bucket.Bucket", s3 | wrong) == state


def test_a_directory_that_cannot_be_made_is_not_ready(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert _ready("por.files.directory.Directory", {"location": tmp_path / "new"}) == "ok"
    assert _ready("por.files.directory.Directory", {"location": tmp_path / "file"}) == "failed"


# --- The keys of docker/keys.sh ---------------------------------------------------------------------------------------


def test_the_web_servers_key_uploads_and_reads_but_neither_deletes_nor_replaces_signed_heads(
    s3: dict[str, Any],
) -> None:
    web, worker = (Bucket(**s3 | {"access_key": part}) for part in ("web", "worker"))
    name = worker.save("signed-heads/2026-03-01.jsonl", ContentFile(b"signed"))

    web.check()
    with web.open(name) as file:
        assert file.read() == b"signed"
    assert name.rpartition("/")[2] in web.listdir("signed-heads")[1]
    several = {"Objects": [{"Key": name}]}
    for attempt in (
        lambda: web.delete(name),
        lambda: web.bucket.delete_objects(Delete=several)["Deleted"][0],
        lambda: web.bucket.Object(name).put(Body=b"another"),
        lambda: web.save("signed-heads/another.jsonl", ContentFile(b"another")),
        lambda: web.bucket.delete(),
    ):
        with pytest.raises((ClientError, KeyError)):
            attempt()
    with worker.open(name) as file:
        assert file.read() == b"signed"

    upload = web.save("loads/7/customers.csv", ContentFile(b"rows"))
    web.delete(upload)
    assert not web.exists(upload)
