"""The staff's home with the state of the system, and their pages about partners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, F, Max, Min, Q
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from associations.record.models import Association
from associations.record.rules import AssociationKind
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.rules import OrganisationKind, Right
from por.directory.forms import PartnerFilter
from por.directory.models import Partner
from por.errors import NotFound
from por.history.models import Event, Outbox
from por.notifications.models import Delivery
from por.notifications.queries import LATE_AFTER
from por.web.lists import Listing, count_of, partners_text
from por.web.pages import render_page

NEWEST = 5  # events shown where the whole list is on another page
LOCATIONS_SHOWN = 50


# --- Home -----------------------------------------------------------------------------------------------------------


@require_safe
@only(OrganisationKind.STAFF)
def staff_home(request: Request) -> HttpResponse:
    """Show the state of the system: what waits, since when, and what has failed."""
    now = timezone.now()
    waiting_mail, waiting_events = Delivery.objects.waiting(), Outbox.objects.waiting()
    oldest_mail = waiting_mail.aggregate(at=Min("created_at"))["at"]
    oldest_event = waiting_events.aggregate(at=Min("event__at"))["at"]
    failed, stuck = count_of(Delivery.objects.failed()), count_of(Outbox.objects.dead())
    mail_is_slow = oldest_mail is not None and now - oldest_mail > LATE_AFTER
    events_are_slow = oldest_event is not None and now - oldest_event > LATE_AFTER
    return render(
        request,
        "portal/staff_home.html",
        {
            "may_read": request.actor.may(Right.READ_DELIVERIES),
            "waiting": count_of(waiting_mail),
            "oldest_mail": oldest_mail,
            "waiting_events": count_of(waiting_events),
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
    """A partner with its figures. A global account has the figures of all its locations together."""

    partner: Partner
    locations: int = 0
    customers: int = 0
    of_record: int = 0


def _partner_rows(partners: Sequence[Partner]) -> list[PartnerRow]:
    """Return the partners in their order with the figures of today."""
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
            "locations": _partner_rows(list(locations.order_by("organisation__name", "pk")[:LOCATIONS_SHOWN])),
            "kinds": [one | {"label": AssociationKind(one["kind"]).label} for one in kinds],
            "members": partner.organisation.memberships.count(),
            "events": events.newest_first()[:NEWEST],
        },
    )
