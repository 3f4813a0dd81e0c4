"""The staff's pages over all rooms: how the house is doing, the partners, and the history of everything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Max, Min, Q, QuerySet
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from associations.change_requests.queries import Question, questions, requests_for_listing
from associations.record import timeline
from associations.record.models import Association
from associations.record.rules import AssociationKind as AssociationKind
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor, Organisation
from por.accounts.rules import OrganisationKind
from por.directory.forms import PartnerFilter
from por.directory.models import Partner
from por.errors import NotFound
from por.history.actions.recording import organisation_of
from por.history.events import registered, spec_of
from por.history.models import Event, Outbox
from por.notifications.models import Delivery
from por.notifications.queries import LATE_AFTER
from por.portal import exports
from por.portal.forms import EventFilter
from por.web.lists import Listing, count_of, events_text, partners_text
from por.web.pages import render_page

NEWEST = 5  # events on a page that has a longer list elsewhere
SOME = 50


# --- Home -----------------------------------------------------------------------------------------------------------


@require_safe
@only(OrganisationKind.STAFF)
def staff_home(request: Request) -> HttpResponse:
    """How the house is doing: what waits, what failed, since when."""
    now = timezone.now()
    waiting, promised = Delivery.objects.waiting(), Outbox.objects.waiting()
    oldest_mail = waiting.aggregate(at=Min("created_at"))["at"]
    oldest_event = promised.aggregate(at=Min("event__at"))["at"]
    failed, stuck = count_of(Delivery.objects.failed()), count_of(Outbox.objects.dead())
    mail_is_slow = oldest_mail is not None and now - oldest_mail > LATE_AFTER
    events_are_slow = oldest_event is not None and now - oldest_event > LATE_AFTER
    return render(
        request,
        "portal/staff_home.html",
        {
            "may_read": request.actor.may("delivery.read"),
            "waiting": count_of(waiting),
            "oldest_mail": oldest_mail,
            "promised": count_of(promised),
            "oldest_event": oldest_event,
            "failed": failed,
            "stuck": stuck,
            "mail_is_slow": mail_is_slow,
            "events_are_slow": events_are_slow,
            "all_is_well": not (failed or stuck or mail_is_slow or events_are_slow),
            "today": now.date(),
            "events_today": count_of(Event.objects.filter(at__gte=now.replace(hour=0, minute=0, second=0))),
            "events": Event.objects.newest_first()[:NEWEST],
        },
    )


# --- Partners -------------------------------------------------------------------------------------------------------


@require_safe
@only(OrganisationKind.STAFF)
def staff_partner_list(request: Request) -> HttpResponse:
    shown = Listing(
        request,
        Partner.objects.select_related("organisation__parent"),
        order=("organisation__name", "pk"),
        form=PartnerFilter(request.GET),
        count_text=partners_text,
    )
    context = shown.context | {"rows": _partner_rows(shown.page.rows)}
    return render_page(request, "portal/staff_partner_list.html", context, part="list", status=shown.status)


@dataclass
class PartnerRow:
    """A partner with what it is to how many. A global account has the figures of its locations together."""

    partner: Partner
    locations: int = 0
    customers: int = 0
    of_record: int = 0


def _partner_rows(partners: Sequence[Partner]) -> list[PartnerRow]:
    rows = {partner.pk: PartnerRow(partner) for partner in partners}
    children = Partner.objects.filter(organisation__parent__in=list(rows)).values("organisation__parent")
    for one in children.annotate(locations=Count("pk")):
        rows[one["organisation__parent"]].locations = one["locations"]
    for whose in ("partner_id", "partner__organisation__parent_id"):
        found = Association.objects.open().filter(**{f"{whose}__in": list(rows)})
        for one in found.values(whose).annotate(
            customers=Count("customer", distinct=True), of_record=Count("pk", filter=Q(kind=AssociationKind.DPOR))
        ):
            row = rows[one[whose]]
            row.customers, row.of_record = one["customers"], one["of_record"]
    return list(rows.values())


@require_safe
@only(OrganisationKind.STAFF)
def staff_partner_detail(request: Request, mpn_id: str) -> HttpResponse:
    partner = Partner.objects.select_related("organisation__parent").filter(mpn_id=mpn_id).first()
    if partner is None:
        raise NotFound("not_found", _("We could not find this partner."))
    locations = Partner.objects.filter(organisation__parent=partner.pk).select_related("organisation")
    own = Q(partner=partner.pk) | Q(partner__organisation__parent=partner.pk)
    kinds = (
        Association.objects.not_undone()
        .filter(own)
        .values("kind")
        .annotate(
            now=Count("pk", filter=Q(ended_at=None)),
            ended=Count("pk", filter=Q(ended_at__isnull=False)),
            customers=Count("customer", filter=Q(ended_at=None), distinct=True),
            newest=Max("began_at"),
        )
        .order_by(F("now").desc(), "kind")
    )
    events = Event.objects.filter(
        Q(chain=f"organisation:{partner.pk}") | Q(pk__in=Event.objects.read_by([partner.pk]).values("pk"))
    )
    return render(
        request,
        "portal/staff_partner_detail.html",
        {
            "partner": partner,
            "row": _partner_rows([partner])[0],
            "locations": _partner_rows(list(locations.order_by("organisation__name", "pk")[:SOME])),
            "kinds": [one | {"label": AssociationKind(one["kind"]).label} for one in kinds],
            "members": partner.organisation.memberships.count(),
            "events": events.newest_first()[:NEWEST],
        },
    )


# --- History --------------------------------------------------------------------------------------------------------


@require_safe
@only(OrganisationKind.STAFF)
def event_list(request: Request) -> HttpResponseBase:
    """Every event of the house, newest first."""
    form = EventFilter(request.GET)
    shown = Listing(request, Event.objects.all(), order=form.order, form=form, count_text=events_text)
    if shown.wants_csv:
        return exports.all_events_csv(shown.ordered)
    context = shown.context | {
        "rows": _with_organisations(shown.page.rows),
        "verbs": [spec.name for spec in registered()],
    }
    return render_page(request, "portal/event_list.html", context, part="list", status=shown.status)


def _with_organisations(events: Sequence[Event]) -> list[tuple[Event, Organisation | None]]:
    """Each with the organisation whose chain it stands in, None for the house's."""
    ids = {event.pk: organisation_of(event.chain) for event in events}
    known = Organisation.objects.in_bulk([pk for pk in ids.values() if pk is not None])
    return [(event, known.get(ids[event.pk] or 0)) for event in events]


@require_safe
@only(OrganisationKind.STAFF)
def event_detail(request: Request, event_id: int) -> HttpResponse:
    """Everything that is stored of one event, and what came of it."""
    event = Event.objects.filter(pk=event_id).first()
    if event is None:
        raise NotFound("not_found", _("We could not find this event."))
    may_read = request.actor.may("delivery.read")
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
            "question": _question(request.actor, event),
            "parties": Organisation.objects.filter(pk__in=event.parties).order_by("name", "pk"),
            "promise": Outbox.objects.filter(pk=event.pk).first(),
            "may_read": may_read,
            "deliveries": deliveries.select_related("organisation").order_by("pk")[:SOME] if may_read else [],
            "count": count_of(deliveries),
        },
    )


def _question(actor: Actor, event: Event) -> Question | None:
    """The question which partner does the work, where the event is one of its."""
    asked = requests_for_listing(actor).filter(pk=event.changes.get("change_request"))
    return next(iter(questions(actor, asked)), None)


def _page_of(event: Event) -> str:
    """Where the staff find what an event is about; nothing where there is no such page."""
    spec = spec_of(event.verb)
    if spec is None or not spec.link.staff or event.object_kind != spec.link.kind:
        return ""
    return reverse(spec.link.staff, args=[event.object_id])


def _flat(changes: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """What was written down, as lines: `partner.name` for what stands inside something else."""
    for name, value in changes.items():
        path = f"{above}{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}.")
        elif isinstance(value, str) or not isinstance(value, Iterable):
            yield path, _moment(value)
        else:
            yield path, ", ".join(map(str, value))


def _moment(value: Any) -> Any:
    """An instant, where the text is one."""
    if not isinstance(value, str) or "T" not in value:
        return value
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return value
    return found if timezone.is_aware(found) else value
