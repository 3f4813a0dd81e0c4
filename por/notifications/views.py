"""The inbox, the choice of mail, the deliveries and the outbox for staff, and the mail sink of the demo."""

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

from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.rules import OrganisationKind, Right, Role
from por.errors import NotFound, Refused
from por.history.actions import relaying
from por.history.models import Event, Outbox
from por.notifications import queries
from por.notifications.actions import delivering, notifying
from por.notifications.actions import inbox as inbox_actions
from por.notifications.forms import DeliveryFilter, MailForm, OutboxFilter
from por.notifications.messages import message_id, titles
from por.notifications.models import Delivery, Notification
from por.queue.rules import MAX_ATTEMPTS
from por.web.formatting import number_text
from por.web.lists import Listing, ListTab, count_of, csv_file, deliveries_text, events_text
from por.web.pages import posted, render_page, submit

MAILS_ON_A_PAGE = 25
#: The newest first. Keys are unique, so the order never changes.
ORDER = ("-pk",)


# --- The inbox --------------------------------------------------------------------------------------------------

#: The tabs count lines; the lists show one group for each object.
INBOX_TABS = [
    ListTab("", gettext_lazy("Open"), lambda mine: mine.newest_of_each(done=False), count=lambda mine: mine.open()),
    ListTab("done", gettext_lazy("Done"), lambda mine: mine.newest_of_each(done=True), count=lambda mine: mine.done()),
]


@require_safe
def inbox(request: Request) -> HttpResponse:
    """Show the inbox of the person at the organisation they act for, grouped by object."""
    shown = Listing(request, Notification.objects.visible_to(request.actor), order=ORDER, tabs=INBOX_TABS)
    context = {
        **shown.context,
        "groups": queries.inbox(shown.page.rows, actor=request.actor),
        "role": str(Role(request.actor.role).label).lower() if request.actor.role else "",
        "query": request.GET.urlencode(),
    }
    return render_page(request, "notifications/inbox.html", context, part="list")


@posted("/inbox/")
def inbox_done(request: Request, notification_id: int) -> HttpResponseBase:
    inbox_actions.finish(notification_id, by=request.actor)
    return _back_to_inbox(request, _("Message marked as done. You can find it in the Done view and reopen it there."))


@posted("/inbox/")
def inbox_reopen(request: Request, notification_id: int) -> HttpResponseBase:
    inbox_actions.reopen(notification_id, by=request.actor)
    return _back_to_inbox(request, _("The message is open again."))


@posted("/inbox/")
def inbox_done_all(request: Request, notification_id: int) -> HttpResponseBase:
    """Mark this line and the older ones about the same object as done."""
    done = inbox_actions.finish_all(notification_id, by=request.actor)
    text = ngettext("%(n)s message marked as done.", "%(n)s messages marked as done.", done)
    return _back_to_inbox(request, text % {"n": number_text(done)})


def _back_to_inbox(request: Request, text: str) -> HttpResponseBase:
    """Redirect to the view and page that the person came from; htmx follows and gets the list alone."""
    messages.success(request, text)
    query = request.GET.urlencode()
    return redirect(reverse("notifications:inbox") + (f"?{query}" if query else ""))


# --- Which mail -------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def preferences(request: Request) -> HttpResponse:
    """Show and save how a person wants each kind of mail, for each organisation."""
    if request.method != "POST":
        return render(request, "notifications/preferences.html", {"form": MailForm(memberships=request.memberships)})
    form = MailForm(request.POST, memberships=request.memberships)
    sent = submit(form, lambda: _choose(form))
    if not sent.is_done:
        return render(request, "notifications/preferences.html", {"form": form}, status=sent.status)
    messages.success(request, _("Saved."))
    return redirect("notifications:preferences")


def _choose(form: MailForm) -> None:
    for membership, wanted in form.wanted().items():
        notifying.choose(membership, wanted)


# --- Deliveries and the outbox --------------------------------------------------------------------------------------

NEWEST = 5  # events on a page that is about something else

DELIVERY_TABS = [
    ListTab("", gettext_lazy("All"), lambda found: found),
    ListTab("waiting", gettext_lazy("Waiting"), lambda found: found.waiting()),
    ListTab("failed", gettext_lazy("Failed"), lambda found: found.failed()),
    ListTab("unreached", gettext_lazy("No one to tell"), lambda found: found.unreached()),
    ListTab("sent", gettext_lazy("Sent"), lambda found: found.filter(status=Delivery.Status.SENT)),
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
@only(OrganisationKind.STAFF, to=Right.READ_DELIVERIES)
def delivery_list(request: Request) -> HttpResponseBase:
    shown = Listing(
        request,
        Delivery.objects.select_related("organisation", "event"),
        order=ORDER,
        form=DeliveryFilter(request.GET),
        tabs=DELIVERY_TABS,
        count_text=deliveries_text,
    )
    if shown.wants_csv:
        return csv_file(_("messages"), DELIVERY_COLUMNS, map(_delivery_cells, shown.ordered.iterator()))
    context = {
        "stuck": count_of(Outbox.objects.dead()),
        "titles": titles(),
        "may_replay": request.actor.may(Right.REPLAY),
    }
    return render_page(
        request, "notifications/delivery_list.html", shown.context | context, part="list", status=shown.status
    )


def _delivery_cells(delivery: Delivery) -> list[Any]:
    return [
        delivery.created_at,
        delivery.template,
        delivery.recipient,
        delivery.organisation.name if delivery.organisation else "",
        delivery.event_id,
        delivery.event.verb if delivery.event else "",
        delivery.event.object_name if delivery.event else "",
        delivery.status,
        delivery.attempts,
        delivery.next_at if delivery.status == Delivery.Status.WAITING else None,
        delivery.sent_at,
        delivery.last_error,
        message_id(delivery),
    ]


@require_safe
@only(OrganisationKind.STAFF, to=Right.READ_DELIVERIES)
def delivery_detail(request: Request, delivery_id: int) -> HttpResponse:
    return _delivery(request, delivery_id)


def _delivery(request: Request, delivery_id: int, *, refused: Refused | None = None, status: int = 200) -> HttpResponse:
    """Show the page of one message, with the refusal, if any, at the top."""
    found = Delivery.objects.select_related("organisation", "event", "user").filter(pk=delivery_id).first()
    if found is None:
        raise NotFound("not_found", _("We could not find this message."))
    context = {
        "delivery": found,
        "title": titles().get(found.template, found.template),
        "message_id": message_id(found),
        "may_replay": found.has_failed and request.actor.may(Right.REPLAY),
        "refused": refused,
        "event_list": [found.event] if found.event else [],
        "again": Event.objects.filter(object_kind="delivery", object_id=str(found.pk)).newest_first()[:NEWEST],
    }
    return render(request, "notifications/delivery_detail.html", context, status=status)


@posted("notifications:delivery_detail")
@only(OrganisationKind.STAFF, to=Right.REPLAY)
def delivery_replay(request: Request, delivery_id: int) -> HttpResponseBase:
    sent = submit(None, lambda: delivering.replay(delivery_id, by=request.actor))
    if not sent.is_done:
        return _delivery(request, delivery_id, refused=sent.refused, status=sent.status)
    messages.success(
        request, _("We are sending the message to %(recipient)s again.") % {"recipient": sent.result.recipient}
    )
    return redirect("notifications:delivery_detail", delivery_id)


@posted("notifications:delivery_list")
@only(OrganisationKind.STAFF, to=Right.REPLAY)
def delivery_replay_failed(request: Request) -> HttpResponseBase:
    """Send all failed messages again, up to the number for one request."""
    replayed = delivering.replay_failed(by=request.actor)
    text = ngettext("We are sending %(n)s message again.", "We are sending %(n)s messages again.", replayed)
    messages.success(request, text % {"n": number_text(replayed)})
    return redirect(f"{reverse('notifications:delivery_list')}?view=failed")


OUTBOX_TABS = [
    ListTab("", gettext_lazy("Stuck"), lambda found: found.dead()),
    ListTab("waiting", gettext_lazy("Waiting"), lambda found: found.waiting()),
]


@require_safe
@only(OrganisationKind.STAFF, to=Right.READ_DELIVERIES)
def outbox_list(request: Request) -> HttpResponseBase:
    """Show the events whose handlers failed or have not run yet, so their follow-up actions are missing."""
    shown = Listing(
        request,
        Outbox.objects.select_related("event"),
        order=("-event_id",),
        form=OutboxFilter(request.GET),
        tabs=OUTBOX_TABS,
        count_text=events_text,
    )
    context = {"may_replay": request.actor.may(Right.REPLAY), "tries": MAX_ATTEMPTS}
    return render_page(
        request, "notifications/outbox_list.html", shown.context | context, part="list", status=shown.status
    )


@posted("portal:event")
@only(OrganisationKind.STAFF, to=Right.REPLAY)
def outbox_replay(request: Request, event_id: int) -> HttpResponseBase:
    event = relaying.replay(event_id, by=request.actor)
    what = event.object_name or event.verb
    messages.success(request, _("We have restarted the follow-up actions for %(event)s.") % {"event": what})
    return redirect("notifications:outbox_list")


@posted("notifications:outbox_list")
@only(OrganisationKind.STAFF, to=Right.REPLAY)
def outbox_replay_dead(request: Request) -> HttpResponseBase:
    """Restart all stuck events, up to the number for one request."""
    replayed = relaying.replay_dead(by=request.actor)
    text = ngettext(
        "We have restarted the follow-up actions for %(n)s event.",
        "We have restarted the follow-up actions for %(n)s events.",
        replayed,
    )
    messages.success(request, text % {"n": number_text(replayed)})
    return redirect("notifications:outbox_list")


# --- The demo's sink ------------------------------------------------------------------------------------------------


@require_GET
def sink_list(request: Request) -> HttpResponse:
    """Show the newest mail in the demo's sink."""
    sink = _sink(request)
    page = Paginator(queries.newest_keys(sink), MAILS_ON_A_PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "mails": queries.read(sink, list(page))}
    return render(request, "notifications/sink_list.html", context)


@require_GET
def sink_detail(request: Request, key: str) -> HttpResponse:
    """Show one mail: its text, and the source of its HTML."""
    found = queries.read(_sink(request), [key])
    if not found:
        raise Http404
    return render(request, "notifications/sink_detail.html", {"mail": found[0]})


def _sink(request: Request) -> Path:
    """Return the directory of the sink. Raises Http404 outside the demo, where there is no sink."""
    if not settings.MAIL_SINK:
        raise Http404
    request.actor.require(Right.READ_SENT_MAIL)
    return Path(settings.MAIL_SINK)
