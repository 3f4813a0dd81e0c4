"""Errors below /api/ that no endpoint has answered: the framework's, a middleware's or a page's."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from por.api import problems
from por.ops.middleware import GetResponse
from por.web.refusals import API


class ProblemMiddleware:
    """Put a problem document in the place of every other error below /api/."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_error = response.status_code >= 400 and response.get("Content-Type") != problems.MEDIA_TYPE
        return problems.in_place_of(response) if is_error and request.path_info.startswith(API) else response
