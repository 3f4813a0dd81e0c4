"""The WSGI application that the web server calls."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

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
