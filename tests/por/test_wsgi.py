"""The WSGI application reads all text as UTF-8, whatever charset the content type names."""

from __future__ import annotations

from io import BytesIO
from wsgiref.util import setup_testing_defaults

import pytest

from por.wsgi import _without_charset, application

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
