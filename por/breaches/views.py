"""The address that browsers report to, and the page on which staff read it."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.rules import OrganisationKind, Right
from por.breaches import actions
from por.breaches.models import Breach
from por.breaches.rules import LARGEST, reports_in
from por.web.filters import FilterForm
from por.web.lists import Listing
from por.web.pages import render_page

#: The types of `report-uri` and of the Reporting API. Another site's page cannot send them without asking first.
TYPES = {"application/csp-report", "application/reports+json"}


@require_POST
@login_not_required
@csrf_exempt
def report(request: Request) -> HttpResponse:
    """Keep what a browser blocked. Whatever is not a report is dropped without a word."""
    body = request.read(LARGEST + 1)
    if len(body) > LARGEST:
        return HttpResponse(status=413)
    if request.content_type not in TYPES:
        return HttpResponse(status=415)
    if actions.may_report(request.actor):
        actions.keep(reports_in(_parsed(body)), by=request.actor)
    return HttpResponse(status=204)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


@require_safe
@only(OrganisationKind.STAFF, to=Right.READ_METRICS)
def breach_list(request: Request) -> HttpResponse:
    """Show what browsers blocked, the newest first."""
    shown = Listing(request, Breach.objects.all(), order=("-last_at", "-pk"), form=FilterForm(request.GET))
    context = shown.context | {"most": actions.MOST_ROWS, "days": actions.KEPT.days}
    return render_page(request, "breaches/breach_list.html", context, part="list", status=shown.status)
