"""The middleware of every request: its ID and its time limit; and what a probe needs."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from por.ops import watchdog
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
