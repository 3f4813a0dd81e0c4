"""What every request gets: an id that goes with it everywhere, and refusals put into pages."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from por.errors import Absent, Busy, Forbidden, Refused
from por.logs import request_id

logger = logging.getLogger("por.web")

GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")

GetResponse = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """Takes the caller's X-Request-ID, or makes one; answers with it and logs one line a request."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        this = given if GIVEN_ID.fullmatch(given) else str(uuid.uuid4())
        request_id.set(this)  # until the next request: the framework logs after us
        began = time.monotonic()
        response = self.get_response(request)
        route = request.resolver_match.route if request.resolver_match else ""
        # The route, not the path: a path may hold a token or an address.
        logger.info(
            "%s /%s %s",
            request.method,
            route,
            response.status_code,
            extra={"ms": round((time.monotonic() - began) * 1000, 1)},
        )
        response["X-Request-ID"] = this
        return response


class RefusalMiddleware:
    """Answers a refusal that no page dealt with by the error page of its kind."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, Refused):
            return None
        status = status_of(exception)
        response = render(request, f"errors/{status}.html", {"refused": exception}, status=status)
        if isinstance(exception, Busy):
            response["Retry-After"] = str(exception.retry_after)
        return response


def status_of(refused: Refused) -> int:
    """The status of a page; the API's are in por/api.py."""
    match refused:
        case Absent():
            return 404
        case Forbidden():
            return 403
        case Busy():
            return 429
        case _:
            return 409
