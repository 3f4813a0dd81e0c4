"""Which mail a person wants, and in the demo, the mail that left."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from por.accounts.middleware import Request
from por.notifications import actions, reading
from por.notifications.forms import MailForm

MAILS_ON_A_PAGE = 25


@require_http_methods(["GET", "POST"])
def preferences(request: Request) -> HttpResponse:
    """A person turns mail off, or on again, by topic and organisation."""
    form = MailForm(request.POST if request.method == "POST" else None, memberships=request.memberships)
    if form.is_valid():
        for membership, wanted in form.wanted():
            actions.choose(membership, wanted)
        messages.success(request, _("Saved."))
        return redirect("notifications:preferences")
    return render(request, "notifications/preferences.html", {"form": form})


@require_GET
def sink_list(request: Request) -> HttpResponse:
    """The newest mail in the demo's sink."""
    sink = _sink(request)
    page = Paginator(reading.newest_keys(sink), MAILS_ON_A_PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "mails": reading.read(sink, list(page))}
    return render(request, "notifications/sink_list.html", context)


@require_GET
def sink_detail(request: Request, key: str) -> HttpResponse:
    """One mail: its text, and the source of its HTML."""
    found = reading.read(_sink(request), [key])
    if not found:
        raise Http404
    return render(request, "notifications/sink_detail.html", {"mail": found[0]})


def _sink(request: Request) -> Path:
    """Where the sink keeps its mail. Outside the demo there is none, and no such page."""
    if not settings.MAIL_SINK:
        raise Http404
    request.actor.require("delivery.read")
    return Path(settings.MAIL_SINK)
