"""The middleware of every request: its ID, its time limit, and error pages for refusals."""

from __future__ import annotations

import logging
import re
import sys
import time
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views import defaults

from por.api import problems
from por.db import outages
from por.errors import Refused, TryLater, Unavailable, status_of
from por.ops import metrics, watchdog
from por.ops.logs import request_id, route_of

logger = logging.getLogger("por.web")

GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
GetResponse = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """Take the caller's X-Request-ID, or make one; answer with it and log one line a request."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        this = given if GIVEN_ID.fullmatch(given) else str(uuid.uuid4())
        request_id.set(this)  # kept until the next request: Django logs after this middleware
        began = time.monotonic()
        response = self.get_response(request)
        logger.info(
            "%s %s %s",
            request.method,
            route_of(request),
            response.status_code,
            extra={"ms": round((time.monotonic() - began) * 1000, 1)},
        )
        response["X-Request-ID"] = this
        return response


class WatchdogMiddleware:
    """Limit the time of every request. What is streamed after the answer has begun is not counted."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with watchdog.bounded():
            return self.get_response(request)


class ProbeMiddleware:
    """Ignore the cookies of probes: reading a session would wait for the database, which the probe checks."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path in {"/livez", "/readyz"}:
            request.COOKIES.clear()
        return self.get_response(request)


class RefusalMiddleware:
    """Answer a refusal that no page has handled with the error page of its status."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, Refused):
            return _page(request, exception)
        fault = outages.caused_by(exception)
        return _page(request, fault) if fault else None


def failed(request: HttpRequest) -> HttpResponse:
    """Answer an error outside of the views: in the session, in finding the user, or in sending the answer."""
    fault = outages.caused_by(sys.exc_info()[1])
    if fault is None:
        return defaults.server_error(request)
    is_api = request.path.startswith("/api/v")
    response = problems.outside_the_framework(fault) if is_api else _page(request, fault)
    response._has_been_logged = True  # type: ignore[attr-defined]  # else Django adds a traceback
    return response


def _page(request: HttpRequest, refused: Refused) -> HttpResponse:
    status = status_of(refused)
    metrics.refused(refused.code, status, refused)
    if isinstance(refused, Unavailable):
        # Without the request, because its user would be read from the database.
        response = HttpResponse(render_to_string("errors/503.html", {"refused": refused}), status=status)
    else:
        response = render(request, f"errors/{status}.html", {"refused": refused}, status=status)
    if isinstance(refused, TryLater):
        response["Retry-After"] = str(refused.retry_after)
    return response
