"""A member's inbox and which mail they want; what leaves and what failed; and in the demo, the mail that left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_safe

from por import counters
from por.accounts.middleware import Request
from por.accounts.rules import Kind, Role
from por.errors import Absent, Refused
from por.formats import number_text
from por.history import actions as history
from por.history.models import Event, Outbox
from por.http import (
    View,
    chosen,
    count_of,
    csv_file,
    deliveries_text,
    events_text,
    listing,
    only,
    page_of,
    posted,
    render_page,
    tabs,
    wants_csv,
)
from por.middleware import status_of
from por.notifications import actions, reading
from por.notifications.actions import inbox as inboxes
from por.notifications.emails import message_id, titles
from por.notifications.forms import DeliveryFilter, MailForm, OutboxFilter
from por.notifications.models import Delivery, Notification
from por.queue.rules import MAX_ATTEMPTS

MAILS_ON_A_PAGE = 25
#: The newest first; the key makes it one order for good.
ORDER = ("-pk",)


# --- The inbox --------------------------------------------------------------------------------------------------

INBOX_VIEWS = [
    View("", gettext_lazy("Open"), lambda found: found.open()),
    View("done", gettext_lazy("Done"), lambda found: found.done()),
]


@require_safe
def inbox(request: Request) -> HttpResponse:
    """What the person was told for the organisation they act for; what is about one thing stands together."""
    view = chosen(INBOX_VIEWS, request)
    mine = Notification.objects.visible_to(request.actor)
    page = page_of(request, mine.newest_of_each(done=bool(view.key)), ORDER)
    context = {
        "view": view,
        "tabs": tabs(INBOX_VIEWS, mine, view, request.path),
        "page": page,
        "groups": reading.inbox(page.rows, actor=request.actor),
        "role": str(Role(request.actor.role).label).lower() if request.actor.role else "",
        "query": request.GET.urlencode(),
    }
    return render_page(request, "notifications/inbox.html", context, part="list")


@posted("/inbox/")
def inbox_done(request: Request, notification_id: int) -> HttpResponseBase:
    inboxes.finish(notification_id, by=request.actor)
    return _back_to_inbox(request, _("Message marked as done. You can find it in the Done view and reopen it there."))


@posted("/inbox/")
def inbox_reopen(request: Request, notification_id: int) -> HttpResponseBase:
    inboxes.reopen(notification_id, by=request.actor)
    return _back_to_inbox(request, _("The message is open again."))


@posted("/inbox/")
def inbox_done_all(request: Request, notification_id: int) -> HttpResponseBase:
    """This line and those before it about the same thing."""
    done = inboxes.finish_all(notification_id, by=request.actor)
    sentence = ngettext("%(n)s message marked as done.", "%(n)s messages marked as done.", done)
    return _back_to_inbox(request, sentence % {"n": number_text(done)})


def _back_to_inbox(request: Request, sentence: str) -> HttpResponseBase:
    """To the view and page they came from; htmx follows and gets the list alone."""
    messages.success(request, sentence)
    query = request.GET.urlencode()
    return redirect(reverse("notifications:inbox") + (f"?{query}" if query else ""))


# --- Which mail -------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def preferences(request: Request) -> HttpResponse:
    """A person says how they want each kind of message by mail, for each organisation."""
    form = MailForm(request.POST if request.method == "POST" else None, memberships=request.memberships)
    if form.is_valid():
        for membership, wanted in form.wanted().items():
            actions.choose(membership, wanted)
        messages.success(request, _("Saved."))
        return redirect("notifications:preferences")
    return render(request, "notifications/preferences.html", {"form": form}, status=422 if form.errors else 200)


# --- What leaves, what failed, and sending it again --------------------------------------------------------------

NEWEST = 5  # events on a page that is about something else

DELIVERY_VIEWS = [
    View("", gettext_lazy("All"), lambda found: found),
    View("waiting", gettext_lazy("Waiting"), lambda found: found.waiting()),
    View("failed", gettext_lazy("Failed"), lambda found: found.failed()),
    View("sent", gettext_lazy("Sent"), lambda found: found.filter(status=Delivery.Status.SENT)),
]
DELIVERY_COLUMNS = [
    "created_at",
    "message",
    "recipient",
    "organisation",
    "event",
    "verb",
    "object",
    "status",
    "attempts",
    "next_at",
    "sent_at",
    "last_error",
    "message_id",
]


@require_safe
@only(Kind.STAFF, to="delivery.read")
def delivery_list(request: Request) -> HttpResponseBase:
    base = Delivery.objects.select_related("organisation", "event")
    form = DeliveryFilter(request.GET)
    found = listing(request, form, base, order=ORDER, count_text=deliveries_text, views=DELIVERY_VIEWS)
    if wants_csv(request) and found.status == 200:
        return csv_file(_("messages"), DELIVERY_COLUMNS, map(_delivery_cells, found.found.iterator()))
    context = {
        "stuck": count_of(Outbox.objects.dead()),
        "titles": titles(),
        "may_replay": request.actor.may("delivery.replay"),
    }
    return render_page(
        request, "notifications/delivery_list.html", found.context | context, part="list", status=found.status
    )


def _delivery_cells(delivery: Delivery) -> list[Any]:
    return [
        delivery.created_at,
        delivery.template,
        delivery.recipient,
        delivery.organisation.name,
        delivery.event_id,
        delivery.event.verb,
        delivery.event.object_name,
        delivery.status,
        delivery.attempts,
        delivery.next_at if delivery.status == Delivery.Status.WAITING else None,
        delivery.sent_at,
        delivery.last_error,
        message_id(delivery),
    ]


@require_safe
@only(Kind.STAFF, to="delivery.read")
def delivery_detail(request: Request, delivery_id: int) -> HttpResponse:
    return _delivery(request, delivery_id)


def _delivery(request: Request, delivery_id: int, refused: Refused | None = None) -> HttpResponse:
    """The page of one message, with what was refused above it."""
    found = Delivery.objects.select_related("organisation", "event", "user").filter(pk=delivery_id).first()
    if found is None:
        raise Absent("not_found", _("We could not find this message."))
    context = {
        "delivery": found,
        "title": titles().get(found.template, found.template),
        "message_id": message_id(found),
        "may_replay": found.has_failed and request.actor.may("delivery.replay"),
        "refused": refused,
        "event_list": [found.event],
        "again": Event.objects.filter(object_kind="delivery", object_id=str(found.pk)).newest_first()[:NEWEST],
    }
    status = 200
    if refused is not None:
        status = status_of(refused)
        counters.refused(refused.code, status, refused)
    return render(request, "notifications/delivery_detail.html", context, status=status)


@posted("notifications:delivery_detail")
@only(Kind.STAFF, to="delivery.replay")
def delivery_replay(request: Request, delivery_id: int) -> HttpResponseBase:
    try:
        delivery = actions.replay(delivery_id, by=request.actor)
    except Absent:
        raise
    except Refused as refused:
        return _delivery(request, delivery_id, refused)
    messages.success(
        request, _("We are sending the message to %(recipient)s again.") % {"recipient": delivery.recipient}
    )
    return redirect("notifications:delivery_detail", delivery_id)


@posted("notifications:delivery_list")
@only(Kind.STAFF, to="delivery.replay")
def delivery_replay_failed(request: Request) -> HttpResponseBase:
    """All that failed, or as many of them as go at once."""
    replayed = actions.replay_failed(by=request.actor)
    sentence = ngettext("We are sending %(n)s message again.", "We are sending %(n)s messages again.", replayed)
    messages.success(request, sentence % {"n": number_text(replayed)})
    return redirect(f"{reverse('notifications:delivery_list')}?view=failed")


OUTBOX_VIEWS = [
    View("", gettext_lazy("Stuck"), lambda found: found.dead()),
    View("waiting", gettext_lazy("Waiting"), lambda found: found.waiting()),
]


@require_safe
@only(Kind.STAFF, to="delivery.read")
def outbox_list(request: Request) -> HttpResponseBase:
    """Events whose listeners could not be called, so that what follows from them has not happened."""
    base = Outbox.objects.select_related("event")
    found = listing(
        request, OutboxFilter(request.GET), base, order=("-event_id",), count_text=events_text, views=OUTBOX_VIEWS
    )
    context = {"may_replay": request.actor.may("delivery.replay"), "tries": MAX_ATTEMPTS}
    return render_page(
        request, "notifications/outbox_list.html", found.context | context, part="list", status=found.status
    )


@posted("associations:event")
@only(Kind.STAFF, to="delivery.replay")
def outbox_replay(request: Request, event_id: int) -> HttpResponseBase:
    event = history.replay(event_id, by=request.actor)
    what = event.object_name or event.verb
    messages.success(request, _("We have restarted the follow-up actions for %(event)s.") % {"event": what})
    return redirect("notifications:outbox_list")


@posted("notifications:outbox_list")
@only(Kind.STAFF, to="delivery.replay")
def outbox_replay_dead(request: Request) -> HttpResponseBase:
    """All that are stuck, or as many of them as go at once."""
    replayed = history.replay_dead(by=request.actor)
    sentence = ngettext(
        "We have restarted the follow-up actions for %(n)s event.",
        "We have restarted the follow-up actions for %(n)s events.",
        replayed,
    )
    messages.success(request, sentence % {"n": number_text(replayed)})
    return redirect("notifications:outbox_list")


# --- The demo's sink ------------------------------------------------------------------------------------------------


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
