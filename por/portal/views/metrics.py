"""The metrics of all rooms, for Prometheus."""

from __future__ import annotations

from ipaddress import ip_address

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_prometheus.exports import ExportToDjangoView
from rest_framework.exceptions import AuthenticationFailed

from por.accounts.authentication import actor_of_bearer
from por.accounts.middleware import Request
from por.accounts.models import SYSTEM
from por.accounts.rules import Right
from por.ops.figures import figures


@login_not_required
@never_cache
@require_safe
def metrics(request: Request) -> HttpResponse:
    """Answer with the metrics for Prometheus: to this machine, and to those who may read them, by token or session."""
    if not _from_here(request):
        try:
            actor = actor_of_bearer(request) or request.actor
        except AuthenticationFailed:
            actor = SYSTEM
        if not actor.may(Right.READ_METRICS):
            refused = HttpResponse(status=403 if actor.user else 401)
            if not actor.user:
                refused["WWW-Authenticate"] = 'Bearer realm="metrics"'
            return refused
    response: HttpResponse = ExportToDjangoView(request)  # of all processes, where PROMETHEUS_MULTIPROC_DIR is set
    response.content += figures()
    return response


def _from_here(request: HttpRequest) -> bool:
    """Return whether a request comes from this machine itself. What a proxy passes on has a header that shows it."""
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
