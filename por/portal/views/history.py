"""The histories: of a customer, of a partner, and of everything for the staff."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from associations.change_requests.queries import VisibleRequest, requests_for_listing, visible_requests
from associations.record import timeline
from associations.record.access import events_visible_to
from associations.record.exports import events_csv
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor, Organisation
from por.accounts.rules import OrganisationKind, Right
from por.errors import NotFound
from por.history.actions.recording import organisation_of
from por.history.events import registered, spec_of
from por.history.models import Event, Outbox
from por.notifications.models import Delivery
from por.portal.exports import all_events_csv
from por.portal.forms import EventFilter, HistoryFilter
from por.web.lists import Listing, count_of, events_text
from por.web.pages import render_page

DELIVERIES_SHOWN = 50  # of one event

# --- One organisation -----------------------------------------------------------------------------------------------


@require_safe
@only(OrganisationKind.CUSTOMER)
def customer_history(request: Request) -> HttpResponseBase:
    # A customer's events are one chain, so their numbers in it give the order.
    return _history(request, "portal/customer_history.html", order="-seq")


@require_safe
@only(OrganisationKind.PARTNER)
def partner_history(request: Request) -> HttpResponseBase:
    return _history(request, "portal/partner_history.html", order="-id")


def _history(request: Request, template: str, *, order: str) -> HttpResponseBase:
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
        return events_csv(actor, shown.ordered)
    context = shown.context | {"events": timeline.items(actor, shown.page.rows)}
    return render_page(request, template, context, part="list", status=shown.status)


# --- Everything, for the staff --------------------------------------------------------------------------------------


@require_safe
@only(OrganisationKind.STAFF)
def event_list(request: Request) -> HttpResponseBase:
    """Show all events, newest first, or return the ones found as CSV."""
    form = EventFilter(request.GET)
    shown = Listing(request, Event.objects.all(), order=form.order, form=form, count_text=events_text)
    if shown.wants_csv:
        return all_events_csv(shown.ordered)
    context = shown.context | {
        "rows": _with_organisations(shown.page.rows),
        "verbs": [spec.name for spec in registered()],
    }
    return render_page(request, "portal/event_list.html", context, part="list", status=shown.status)


def _with_organisations(events: Sequence[Event]) -> list[tuple[Event, Organisation | None]]:
    """Return each event with the organisation whose chain it is in; None for the system's chain."""
    ids = {event.pk: organisation_of(event.chain) for event in events}
    known = Organisation.objects.in_bulk([pk for pk in ids.values() if pk is not None])
    return [(event, known.get(ids[event.pk] or 0)) for event in events]


@require_safe
@only(OrganisationKind.STAFF)
def event_detail(request: Request, event_id: int) -> HttpResponse:
    """Show all that is stored about one event, and what it led to."""
    event = Event.objects.filter(pk=event_id).first()
    if event is None:
        raise NotFound("not_found", _("We could not find this event."))
    may_read = request.actor.may(Right.READ_DELIVERIES)
    deliveries: QuerySet[Delivery] = Delivery.objects.filter(event=event)
    return render(
        request,
        "portal/event_detail.html",
        {
            "event": event,
            "item": timeline.items(request.actor, [event])[0],
            "organisation": _with_organisations([event])[0][1],
            "object_url": _page_of(event),
            "changes": list(_flat(event.changes)),
            "question": _change_request(request.actor, event),
            "parties": Organisation.objects.filter(pk__in=event.parties).order_by("name", "pk"),
            "outbox_row": Outbox.objects.filter(pk=event.pk).first(),
            "may_read": may_read,
            "deliveries": deliveries.select_related("organisation").order_by("pk")[:DELIVERIES_SHOWN]
            if may_read
            else [],
            "count": count_of(deliveries),
        },
    )


def _change_request(actor: Actor, event: Event) -> VisibleRequest | None:
    """Return the change request that the event belongs to, if any."""
    requests = requests_for_listing(actor).filter(pk=event.changes.get("change_request"))
    return next(iter(visible_requests(actor, requests)), None)


def _page_of(event: Event) -> str:
    """Return the address of the staff's page about the event's object; "" if there is none."""
    spec = spec_of(event.verb)
    if spec is None or not spec.link.staff or event.object_kind != spec.link.kind:
        return ""
    return reverse(spec.link.staff, args=[event.object_id])


def _flat(changes: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Return the changes as pairs of path and value; nested names are joined by dots, as in `partner.name`."""
    for name, value in changes.items():
        path = f"{above}{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}.")
        elif isinstance(value, str) or not isinstance(value, Iterable):
            yield path, _moment(value)
        else:
            yield path, ", ".join(map(str, value))


def _moment(value: Any) -> Any:
    """Return the instant if the value is the text of one, else the value."""
    if not isinstance(value, str) or "T" not in value:
        return value
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return value
    return found if timezone.is_aware(found) else value
