"""The error pages of refusals that no page has handled, and of values that cannot be stored.

What cannot be stored is refused here and nowhere else: in an address it is 404, because nothing can be there, and in
anything else that is sent it is 422.
"""

from __future__ import annotations

import logging
from typing import Any

from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy as _
from django.views.defaults import bad_request

from por.db import outages
from por.db.storing import about_a_value, is_unstorable
from por.errors import NotFound, Refused, TryLater, Unavailable, Unstorable, status_of
from por.ops import metrics
from por.ops.middleware import GetResponse

logger = logging.getLogger("por.web")

#: Below this address every error is a problem document, which needs no page.
API = "/api/"


class RefusalMiddleware:
    """Answer a refusal that no page has handled with the error page of its status."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if is_unstorable(request.path_info):
            return refusal_page(request, _nothing_there())
        if any(map(is_unstorable, request.COOKIES.values())):
            return refusal_page(request, _not_storable())
        return self.get_response(request)

    def process_view(self, request: HttpRequest, _view: Any, _args: Any, named: dict[str, Any]) -> HttpResponse | None:
        return refusal_page(request, _nothing_there()) if any(map(is_unstorable, named.values())) else None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, UnreadablePostError):  # the client has gone, or its chunks are none
            return bad_request(request, exception)
        refused = exception if isinstance(exception, Refused) else refusal_of(exception)
        return refusal_page(request, refused) if refused else None


def refusal_of(error: BaseException | None) -> Refused | None:
    """Return the refusal of an error that is no defect: an outage, or a value that cannot be stored. Log one line."""
    if fault := outages.caused_by(error):
        return fault
    if not about_a_value(error):
        return None
    # With its place: the value should have been refused where it was read.
    logger.warning("A value cannot be stored.", exc_info=error)
    return _not_storable()


def refusal_page(request: HttpRequest, refused: Refused) -> HttpResponse:
    """Return the error page of a refusal, and count it. Below /api/ a problem document takes its place."""
    status = status_of(refused)
    metrics.refused(refused.code, status, refused)
    if request.path_info.startswith(API):
        response = HttpResponse(status=status)
    elif isinstance(refused, Unavailable | Unstorable):
        # Without the request, because its user would be read from the database, or by a cookie that cannot be.
        response = HttpResponse(render_to_string(f"errors/{status}.html", {"refused": refused}), status=status)
    else:
        response = render(request, f"errors/{status}.html", {"refused": refused}, status=status)
    if isinstance(refused, TryLater):
        response["Retry-After"] = str(refused.retry_after)
    response.refused = refused  # type: ignore[attr-defined]
    return response


def _nothing_there() -> NotFound:
    return NotFound("not_found", _("This does not exist, or you do not have access to it."))


def _not_storable() -> Unstorable:
    message = _("What was sent contains a character, a number or a date that we cannot save. Change it and try again.")
    return Unstorable("not_storable", message)
