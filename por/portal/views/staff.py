"""The staff's home with the state of the system, and their pages about customers and partners."""

from __future__ import annotations

import uuid

from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from associations.change_requests.queries import open_requests
from associations.record import queries
from associations.record.models import Association
from associations.record.rules import AssociationKind
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.rules import OrganisationKind, Right
from por.directory.access import enrolments_visible_to
from por.directory.forms import CustomerFilter, PartnerFilter
from por.directory.models import Customer, Partner, Sku, Subscription
from por.directory.queries import formerly
from por.errors import NotFound
from por.history.models import Event, Outbox
from por.notifications.models import Delivery
from por.notifications.queries import LATE_AFTER
from por.portal.queries import customer_rows, partner_rows
from por.web.filters import AsOfForm
from por.web.formatting import start_of_day
from por.web.lists import Listing, count_of, customers_text, partners_text
from por.web.pages import as_of_context, render_page

NEWEST = 5  # events shown where the whole list is on another page
SOME = 50  # rows of each list on the page of a customer
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
    of_sku = Subscription.objects.filter(sku=OuterRef("pk"))
    unknown_skus = Sku.objects.filter(Exists(of_sku), sku_id=None).count()
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
            "unknown_skus": unknown_skus,
            "may_read_imports": request.actor.may(Right.READ_IMPORTS),
            "all_is_well": not (failed or stuck or mail_is_slow or events_are_slow or unknown_skus),
            "today": timezone.localdate(),
            "events_today": count_of(Event.objects.filter(at__gte=start_of_day(timezone.localdate()))),
            "events": Event.objects.newest_first()[:NEWEST],
        },
    )


# --- Customers ------------------------------------------------------------------------------------------------------


def _customers() -> QuerySet[Customer]:
    return Customer.objects.select_related("organisation")


@require_safe
@only(OrganisationKind.STAFF)
def staff_customer_list(request: Request) -> HttpResponse:
    shown = Listing(
        request,
        _customers(),
        whole=_customers,
        order=("organisation__name", "pk"),
        form=CustomerFilter(request.GET),
        count_text=customers_text,
    )
    context = shown.context | {
        "rows": customer_rows(request.actor, shown.page.rows),
        "formerly": formerly(request.GET.get("search", "").strip(), [one.organisation for one in shown.page.rows]),
    }
    return render_page(request, "portal/staff_customer_list.html", context, part="list", status=shown.status)


@require_safe
@only(OrganisationKind.STAFF)
def staff_customer_detail(request: Request, tenant_id: uuid.UUID) -> HttpResponse:
    actor = request.actor
    customer = Customer.objects.select_related("organisation").filter(tenant_id=tenant_id).first()
    if customer is None:
        raise NotFound("not_found", _("We could not find this customer."))
    past = AsOfForm(request.GET)
    past.is_valid()
    subscriptions = queries.subscriptions_for_listing(actor, past.day).filter(customer=customer)
    shown = list(subscriptions.order_by("product", "pk")[:SOME])
    tenant = Association.objects.open(past.day).filter(customer=customer, subscription=None)
    return render(
        request,
        "portal/staff_customer_detail.html",
        {
            "customer": customer,
            "row": customer_rows(actor, [customer])[0],
            "rows": queries.rows(actor, shown, past.day),
            "questions": {} if past.day else open_requests(actor, [one.pk for one in shown]),
            "of_tenant": tenant.for_listing().order_by("-began_at", "-pk")[:SOME],
            "members": customer.organisation.memberships.count(),
            "events": Event.objects.filter(chain=f"organisation:{customer.pk}").newest_first()[:NEWEST],
            "form": past,
            **as_of_context(request, past),
        },
        status=422 if past.errors else 200,
    )


# --- Partners -------------------------------------------------------------------------------------------------------


def _partners() -> QuerySet[Partner]:
    return Partner.objects.select_related("organisation__parent")


@require_safe
@only(OrganisationKind.STAFF)
def staff_partner_list(request: Request) -> HttpResponse:
    shown = Listing(
        request,
        _partners(),
        whole=_partners,
        order=("organisation__name", "pk"),
        form=PartnerFilter(request.GET),
        count_text=partners_text,
    )
    context = shown.context | {
        "rows": partner_rows(request.actor, shown.page.rows),
        "formerly": formerly(request.GET.get("search", "").strip(), [one.organisation for one in shown.page.rows]),
    }
    return render_page(request, "portal/staff_partner_list.html", context, part="list", status=shown.status)


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
            "row": partner_rows(request.actor, [partner])[0],
            "locations": partner_rows(
                request.actor, list(locations.order_by("organisation__name", "pk")[:LOCATIONS_SHOWN])
            ),
            "kinds": [one | {"label": AssociationKind(one["kind"]).label} for one in kinds],
            "enrolments": enrolments_visible_to(request.actor).filter(partner=partner).order_by("program"),
            "members": partner.organisation.memberships.count(),
            "events": events.newest_first()[:NEWEST],
        },
    )
