"""The WSGI application reads all text as UTF-8, whatever charset the content type names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import BytesIO
from wsgiref.util import setup_testing_defaults

import pytest
from django.db import connection

from por.wsgi import _without_charset, application
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
    b"".join(application(environ, lambda status, headers: statuses.append(status)))
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
    url = f"{os.environ['DATABASE_URL'].rpartition('/')[0]}/{connection.settings_dict['NAME']}"
    done = subprocess.run(
        [sys.executable, "-c", FIRST],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url} | files,
        check=True,
        capture_output=True,
        text=True,
    )
    answer, loaded = json.loads(done.stdout.splitlines()[-1])
    assert answer == ("503 Service Unavailable" if files else "200 OK"), done.stderr
    of_python = {name for name in loaded if name == "stringprep" or name.startswith("encodings.")}  # tiny, and shared
    assert set(loaded) == of_python
