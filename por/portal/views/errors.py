"""The last resort, for pages and API."""

from __future__ import annotations

import sys

from django.http import HttpRequest, HttpResponse
from django.views import defaults

from por.api import problems
from por.db import outages
from por.web.bounds import TOO_LARGE, too_large_page
from por.web.refusals import refusal_page


def not_understood(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that could not be read: 413 if its body was too large, else 400."""
    has_body = request.method not in ("GET", "HEAD")
    if has_body and isinstance(exception, TOO_LARGE):
        return too_large_page()
    return defaults.bad_request(request, exception)


def failed(request: HttpRequest) -> HttpResponse:
    """Answer an error outside of the views: in the session, in finding the user, or in sending the answer."""
    fault = outages.caused_by(sys.exc_info()[1])
    if fault is None:
        return defaults.server_error(request)
    is_api = request.path.startswith("/api/v")
    response = problems.outside_the_framework(fault) if is_api else refusal_page(request, fault)
    response._has_been_logged = True  # type: ignore[attr-defined]  # else Django adds a traceback
    return response
