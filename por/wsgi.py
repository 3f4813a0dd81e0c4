"""The WSGI application that the web server calls."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import IO, Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.utils.http import parse_header_parameters

from por.ops import views

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "por.settings")

django = get_wsgi_application()
views.load()  # before the web server forks: its processes share this


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request. All text in it counts as UTF-8, whatever charset its content type names."""
    if "CONTENT_TYPE" in environ:
        environ["CONTENT_TYPE"] = _without_charset(environ["CONTENT_TYPE"])
    if "HTTP_TRANSFER_ENCODING" in environ:  # the server takes no other coding than `chunked`, and undoes it
        _count_body(environ)
    return django(environ, start_response)


def _without_charset(content_type: str) -> str:
    """Return the type, with the boundary of a multipart body; an empty text if it cannot be parsed.

    Django reads addresses in the charset too, and fails on an unknown one before any middleware could answer.
    """
    try:
        kind, parameters = parse_header_parameters(content_type)
    except ValueError:
        return ""
    return f'{kind}; boundary="{parameters["boundary"]}"' if "boundary" in parameters else kind


# --- Bodies that come in chunks ---------------------------------------------------------------------------------------


def _count_body(environ: dict[str, Any]) -> None:
    """Give the body its length. Django reads as many bytes as it is told, and none if it is told nothing.

    A body that is longer than any but an upload may be is not read to its end here: it counts as the largest upload.
    """
    rest, most = environ["wsgi.input"], settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    try:
        began: bytes = rest.read(most + 1)
    except OSError as error:
        environ |= {"wsgi.input": _Broken(error), "CONTENT_LENGTH": "1"}
        return
    is_whole = len(began) <= most
    environ["wsgi.input"] = BytesIO(began) if is_whole else _Joined(BytesIO(began), rest)
    environ["CONTENT_LENGTH"] = str(len(began) if is_whole else settings.LARGEST_UPLOAD)


class _Broken:
    """A body that cannot be read. Whoever needs it gets the error."""

    def __init__(self, error: OSError) -> None:
        self.error = error

    def read(self, _size: int = -1) -> bytes:
        raise self.error

    readline = read


class _Joined:
    """The beginning of a body, then the rest."""

    def __init__(self, began: IO[bytes], rest: Any) -> None:
        self.began, self.rest = began, rest

    def read(self, size: int) -> bytes:
        return self.began.read(size) or bytes(self.rest.read(size))

    def readline(self, size: int) -> bytes:
        line = self.began.readline(size)
        return line if line.endswith(b"\n") or len(line) == size else line + bytes(self.rest.readline(size - len(line)))
