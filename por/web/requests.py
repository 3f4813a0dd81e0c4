"""A request as the pages see it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


class Request(HttpRequest):
    """A request with what the middleware adds; `por.accounts.middleware` sets the actor."""

    actor: Any
    htmx: HtmxDetails
    waiting: dict[str, int]  # what waits for the reader, if a view has counted it before the navigation does
