"""A request as the pages see it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


class Request(HttpRequest):
    """A request with what the middlewares put on it; `por.accounts.middleware` says who the actor is."""

    actor: Any
    htmx: HtmxDetails
