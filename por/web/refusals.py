"""The error pages of refusals that no page has handled."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from por.db import outages
from por.errors import Refused, TryLater, Unavailable, status_of
from por.ops import metrics
from por.ops.middleware import GetResponse


class RefusalMiddleware:
    """Answer a refusal that no page has handled with the error page of its status."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, Refused):
            return refusal_page(request, exception)
        fault = outages.caused_by(exception)
        return refusal_page(request, fault) if fault else None


def refusal_page(request: HttpRequest, refused: Refused) -> HttpResponse:
    """Return the error page of a refusal, and count it."""
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
