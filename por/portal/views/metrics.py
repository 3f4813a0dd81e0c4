"""The metrics of all rooms, for Prometheus."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST
from rest_framework.exceptions import AuthenticationFailed

from por.accounts.authentication import actor_of_bearer
from por.accounts.middleware import Request
from por.accounts.models import SYSTEM
from por.accounts.rules import Right
from por.ops.figures import figures
from por.ops.listener import counted, may_scrape


@login_not_required
@never_cache
@require_safe
def metrics(request: Request) -> HttpResponse:
    """Answer with the metrics for Prometheus: to those with METRICS_TOKEN, or with the right by token or session."""
    if not may_scrape(request.headers.get("Authorization", "")):
        try:
            actor = actor_of_bearer(request) or request.actor
        except AuthenticationFailed:
            actor = SYSTEM
        if not actor.may(Right.READ_METRICS):
            refused = HttpResponse(status=403 if actor.user else 401)
            if not actor.user:
                refused["WWW-Authenticate"] = 'Bearer realm="metrics"'
            return refused
    return HttpResponse(counted() + figures(), content_type=CONTENT_TYPE_LATEST)
