"""What the web server calls."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "por.settings")

django = get_wsgi_application()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The product. All text it is sent is UTF-8, whatever charset a content type claims."""
    if "CONTENT_TYPE" in environ:
        environ["CONTENT_TYPE"] = _without_charset(environ["CONTENT_TYPE"])
    return django(environ, start_response)


def _without_charset(content_type: str) -> str:
    """The type, and the boundary of a multipart body; nothing of what cannot be parsed.

    The framework reads addresses, too, in the charset, before any middleware could answer that there is none such.
    """
    try:
        kind, parameters = parse_header_parameters(content_type)
    except ValueError:
        return ""
    return f'{kind}; boundary="{parameters["boundary"]}"' if "boundary" in parameters else kind
