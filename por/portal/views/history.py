"""The history of a customer and of a partner."""

from __future__ import annotations

from django.http.response import HttpResponseBase

from associations.record import exports, timeline
from associations.record.access import events_visible_to
from por.accounts.middleware import Request
from por.portal.forms import HistoryFilter
from por.web.lists import Listing, events_text
from por.web.pages import render_page


def history_page(request: Request, template: str, *, order: str) -> HttpResponseBase:
    """Return one page of the events the query asks for, or all of them as CSV."""
    actor = request.actor
    shown = Listing(
        request,
        events_visible_to(actor),
        order=(order,),
        form=HistoryFilter(request.GET),
        count_text=events_text,
    )
    if shown.wants_csv:
        return exports.events_csv(actor, shown.ordered)
    context = shown.context | {"events": timeline.items(actor, shown.page.rows)}
    return render_page(request, template, context, part="list", status=shown.status)
