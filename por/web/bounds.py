"""How large a request may be. docs/operations.md lists all bounds.

A body that says that it is larger is not read: whoever asks for its first byte gets an error instead. So whoever may
not see the address is still told that first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO, NoReturn, TypeVar, cast

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from por.ops import metrics
from por.ops.middleware import GetResponse

View = TypeVar("View", bound=Callable[..., Any])

#: What a parser raises before it takes more than it may.
TOO_LARGE = (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent)


def bounds_its_body(view: View) -> View:
    """Mark a view that takes larger bodies than others and has a bound of its own."""
    view.bounds_its_body = True  # type: ignore[attr-defined]
    return view


class BoundsMiddleware:
    """Refuse to read a body that is too large. It comes before everything that could read one."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, _args: Any, _named: Any) -> None:
        if _length_of(request) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE and not hasattr(view, "bounds_its_body"):
            request._stream = cast(BinaryIO, _Unread())  # the framework has no other place for it


class _Unread:
    """The body that is too large."""

    def read(self, _size: int = -1) -> NoReturn:
        raise RequestDataTooBig("The body is larger than DATA_UPLOAD_MAX_MEMORY_SIZE.")

    readline = read


def _length_of(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0  # the framework reads nothing either


def too_large_text() -> str:
    """Return the message for a request that is too large."""
    text = _("The request is too large. It can have at most %(most)s, %(fields)s fields and %(files)s files.")
    return text % {
        "most": filesizeformat(settings.DATA_UPLOAD_MAX_MEMORY_SIZE),
        "fields": settings.DATA_UPLOAD_MAX_NUMBER_FIELDS,
        "files": settings.DATA_UPLOAD_MAX_NUMBER_FILES,
    }


def too_large_page() -> HttpResponse:
    """Return the error page of a request that is too large, and count it."""
    metrics.refused("body_too_large", 413)
    return HttpResponse(render_to_string("errors/413.html", {"text": too_large_text()}), status=413)
