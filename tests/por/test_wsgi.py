"""The WSGI application reads all text as UTF-8, whatever charset the content type names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from io import BytesIO
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from django.core.exceptions import RequestDataTooBig
from django.core.handlers.wsgi import WSGIRequest
from django.http import UnreadablePostError
from django.test import Client

from por.wsgi import _count_body, _without_charset, application
from tests.api import Api
from tests.databases import addresses
from tests.product import ROOT

CHARSETS = ["charset=hex", "charset=undefined", "charset=utf-16", "charset=idna", "charset*=nonsense''x", "charset="]


def status(method: str, path: str, content_type: str, *, query: str = "", body: bytes = b"") -> str:
    """Return the status of the answer to a request without sign-in, which uses no database."""
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": BytesIO(body),
        "HTTP_HOST": "testserver",
    }
    setup_testing_defaults(environ)
    statuses: list[str] = []
    with closing(application(environ, lambda status, headers: statuses.append(status))) as answer:
        b"".join(answer)
    return statuses[0]


@pytest.mark.parametrize("charset", CHARSETS)
def test_a_charset_of_the_content_type_changes_nothing(charset):
    assert status("GET", "/livez", f"text/plain; {charset}", query=r"x=\ud800%FF") == "200 OK"
    assert status("GET", "/api/v1/me/", f"application/json; {charset}", query="x=%FF") == "401 Unauthorized"
    form = f"application/x-www-form-urlencoded; {charset}"
    assert status("POST", "/language", form, body=b"language=sv") == "403 Forbidden"


@pytest.mark.parametrize("boundary", ["boundary=ab", 'boundary="a b"; charset=hex'])
def test_a_multipart_body_is_read_by_its_boundary(boundary, rf):
    mark = b"a b" if " " in boundary else b"ab"
    body = b"--%b\r\nContent-Disposition: form-data; name=x\r\n\r\n\xc3\xa5\r\n--%b--\r\n" % (mark, mark)

    request = rf.post("/", body, content_type=_without_charset(f"multipart/form-data; {boundary}"))

    assert request.POST["x"] == "å"


FIRST = """
import json, sys
from tests.por.test_wsgi import application, status
before = set(sys.modules)
first = status("GET", "/readyz", "")
print(json.dumps([first, sorted(set(sys.modules) - before)]))
"""
BUCKET = {
    "AWS_STORAGE_BUCKET_NAME": "files",
    "AWS_S3_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
}


@pytest.mark.parametrize("files", [{}, BUCKET], ids=["directory", "bucket"])
def test_first_probe_of_a_process_loads_no_code(files: dict[str, str]) -> None:
    """Loading took longer than the second that a check may take, so a new process was "not ready" for a while."""
    environment = os.environ | addresses() | files
    del environment["DATABASE_WORKER_URL"]
    done = subprocess.run(
        [sys.executable, "-c", FIRST],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    answer, loaded = json.loads(done.stdout.splitlines()[-1])
    assert answer == ("503 Service Unavailable" if files else "200 OK"), done.stderr
    of_python = {name for name in loaded if name == "stringprep" or name.startswith("encodings.")}  # tiny, and shared
    assert set(loaded) == of_python


# --- Bodies that come in chunks ---------------------------------------------------------------------------------------


class Breaking(BytesIO):
    """A body whose end never comes."""

    def read(self, size: int | None = -1) -> bytes:
        got = super().read(size)
        if size is None or len(got) < size:
            raise OSError("the chunk has no end")
        return got


def in_chunks(body: BytesIO, content_type: str = "application/json") -> WSGIRequest:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "CONTENT_TYPE": content_type,
        "HTTP_TRANSFER_ENCODING": "chunked",
        "wsgi.input": body,
    }
    setup_testing_defaults(environ)
    environ["wsgi.input"] = body
    _count_body(environ)
    return WSGIRequest(environ)


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 1_048_576])
def test_a_body_in_chunks_is_read_like_any_other(size):
    body = bytes(number % 251 for number in range(size))

    request = in_chunks(BytesIO(body))

    assert (request.META["CONTENT_LENGTH"], request.body) == (str(size), body)


def test_a_body_in_chunks_has_the_same_limit_as_any_other():
    with pytest.raises(RequestDataTooBig):
        in_chunks(BytesIO(b"x" * 2_621_441)).body  # noqa: B018


def test_an_upload_in_chunks_may_be_as_large_as_any_other():
    lines = b"".join(b"%07d\n" % number for number in range(1_000_000))
    head = b'--ab\r\nContent-Disposition: form-data; name="file"; filename="usage.csv"\r\n\r\n'

    request = in_chunks(BytesIO(head + lines + b"\r\n--ab--\r\n"), "multipart/form-data; boundary=ab")

    assert request.FILES["file"].read() == lines
    request.close()
    assert in_chunks(BytesIO(lines)).readlines() == lines.splitlines(keepends=True)


@pytest.mark.parametrize("began", [b"", b'{"a":'])
def test_a_body_in_chunks_that_breaks_off_cannot_be_read(began):
    request = in_chunks(Breaking(began))

    with pytest.raises(UnreadablePostError):
        request.body  # noqa: B018


def test_the_api_reads_a_body_in_chunks(admin, subscription, partner):
    path = f"/api/v1/subscriptions/{subscription.subscription_id}/partner-of-record/"
    authorization = Api(admin).headers["Authorization"]

    def put(body: BytesIO) -> Any:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "PUT",
            "PATH_INFO": path,
            "CONTENT_TYPE": "application/json",
            "HTTP_TRANSFER_ENCODING": "chunked",
            "HTTP_AUTHORIZATION": authorization,
            "HTTP_IF_MATCH": "*",
            "wsgi.input": body,
        }
        _count_body(environ)
        return Client().request(**environ)

    done, broken = put(BytesIO(b'{"mpn_id": "%b"}' % partner.mpn_id.encode())), put(Breaking(b'{"mpn'))

    assert (done.status_code, broken.status_code, broken.json()["code"]) == (201, 400, "bad_request")
