"""The middleware of every request: its ID, its log line and its time limit; and the middlewares of pages alone."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from csp.constants import HEADER
from csp.utils import build_policy
from django.conf import settings
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware import common, locale
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from django.utils.module_loading import import_string
from django_prometheus.middleware import PrometheusAfterMiddleware

from por.ops import watchdog
from por.ops.logs import begin_request, route_of

logger = logging.getLogger("por.web")

#: The addresses of probes. They are asked by IP address, and hold nothing that is worth a wrong host.
PROBES = frozenset({"/livez", "/readyz"})
GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
GetResponse = Callable[[HttpRequest], HttpResponse]
Hook = Callable[..., HttpResponse | None]


class RequestMiddleware:
    """Take the caller's X-Request-ID, or make one; limit the time of the answer, send the ID with it, log one line.

    What is streamed after the answer has begun is not counted.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        this = given if GIVEN_ID.fullmatch(given) else str(uuid.uuid4())
        begin_request(this)  # kept until the next request: Django logs after this middleware
        began = time.monotonic()
        with watchdog.bounded():
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


class CommonMiddleware(common.CommonMiddleware):
    """Django's middleware, which refuses a request for another host than ALLOWED_HOSTS, unless it is from a probe."""

    def process_request(self, request: HttpRequest) -> Any:
        return None if request.path_info in PROBES else super().process_request(request)


class LocaleMiddleware(locale.LocaleMiddleware):
    """Django's middleware without the search for a language at the beginning of the address: none of ours has one."""

    def process_request(self, request: HttpRequest) -> None:
        translation.activate(translation.get_language_from_request(request))
        request.LANGUAGE_CODE = translation.get_language()

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        patch_vary_headers(response, ["Accept-Language"])
        response.headers.setdefault("Content-Language", translation.get_language())
        return response


class HeadersMiddleware:
    """Set the headers for browsers that are the same on every answer.

    The package would put the Content-Security-Policy together anew for each answer, as it may differ there.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.policy = build_policy()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not (settings.DEBUG and response.status_code in (404, 500)):  # Django's own pages for developers
            response.headers.setdefault(HEADER, self.policy)  # what people have uploaded is sent with a stricter one
        response.headers["Permissions-Policy"] = settings.PERMISSIONS_POLICY
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response


class CountMiddleware(PrometheusAfterMiddleware):  # type: ignore[misc]
    """The library's count of requests and answers. What it counts is looked up once for each set of labels.

    A method that does not exist has one label for all, because it comes from the caller.
    """

    def label_metric(self, metric: Any, request: HttpRequest, response: Any = None, **labels: str) -> Any:
        if "method" in labels:
            labels["method"] = self._method(request)
        return _labelled(metric, **labels) if labels else metric


@lru_cache(maxsize=4096)
def _labelled(metric: Any, **labels: str) -> Any:
    return metric.labels(**labels)


class PageMiddleware:
    """The middlewares of settings.PAGE_MIDDLEWARE, in that order. Requests that need no session skip them.

    Django builds one chain of middlewares for all requests. This is one link of it, which holds a chain of its own.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.chain: Callable[[HttpRequest], Any] = get_response
        self.view_hooks: list[Hook] = []
        self.exception_hooks: list[Hook] = []
        for name in reversed(settings.PAGE_MIDDLEWARE):
            middleware = import_string(name)(self.chain)
            # Django calls the first of them first before a view, and the last of them first after an exception.
            if hasattr(middleware, "process_view"):
                self.view_hooks.insert(0, middleware.process_view)
            if hasattr(middleware, "process_exception"):
                self.exception_hooks.append(middleware.process_exception)
            self.chain = convert_exception_to_response(middleware)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with timezone.override(None):  # a token sets the time zone of its user, for its own request only
            response: HttpResponse = (self.get_response if needs_no_session(request) else self.chain)(request)
        return response

    def process_view(self, request: HttpRequest, *view: Any) -> HttpResponse | None:
        return self._first(self.view_hooks, request, *view)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return self._first(self.exception_hooks, request, exception)

    def _first(self, hooks: list[Hook], request: HttpRequest, *rest: Any) -> HttpResponse | None:
        """Return the first answer of the hooks; None if there is none, or if the request skips them."""
        if needs_no_session(request):
            return None
        return next((answer for hook in hooks if (answer := hook(request, *rest)) is not None), None)


def needs_no_session(request: HttpRequest) -> bool:
    """Return whether a request is from a probe, or to the API with a token, which never falls back to a session."""
    if request.path_info.startswith("/api/v1/"):
        return "HTTP_AUTHORIZATION" in request.META
    return request.path_info in PROBES
