"""The last resort."""

from __future__ import annotations

import sys

from django.http import HttpRequest, HttpResponse
from django.views import defaults

from por.web.bounds import TOO_LARGE, too_large_page
from por.web.refusals import API, refusal_of, refusal_page


def not_understood(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that could not be read: 413 if its body was too large, else 400."""
    has_body = request.method not in ("GET", "HEAD")
    if has_body and isinstance(exception, TOO_LARGE):
        return too_large_page()
    return defaults.bad_request(request, exception)


def failed(request: HttpRequest) -> HttpResponse:
    """Answer an error outside of the views: in the session, in finding the user, or in sending the answer."""
    refused = refusal_of(sys.exc_info()[1])
    if refused is None:
        return HttpResponse(status=500) if request.path_info.startswith(API) else defaults.server_error(request)
    response = refusal_page(request, refused)
    response._has_been_logged = True  # type: ignore[attr-defined]  # else Django adds a traceback
    return response
