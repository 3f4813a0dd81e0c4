"""The staff's list of subscriptions, and the page of one: who is the partner of record, since when and why."""

from __future__ import annotations

import uuid
from datetime import date

from django.db.models import Exists, OuterRef, Q
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from associations.change_requests.models import ChangeRequest
from associations.change_requests.queries import open_requests
from associations.record import queries, timeline
from associations.record.forms import check_had_started
from associations.record.models import Association
from associations.record.queries import BY_CUSTOMER, get_visible
from associations.record.rules import AssociationKind
from associations.record.usage import trend, usage_by_month
from associations.subscriptions.figures import MONTHS_SHOWN
from associations.subscriptions.queries import periods
from associations.subscriptions.views.listing import subscription_page
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.web.filters import AsOfForm
from por.web.lists import ListTab
from por.web.pages import as_of_context

NEWEST = 10  # events shown; the history has them all
SOME = 50  # other associations shown


def _tabs(_actor: Actor, as_of: date | None) -> list[ListTab]:
    asked = Exists(ChangeRequest.objects.open().filter(subscription=OuterRef("pk")))
    requests = ListTab("requests", gettext_lazy("Change request open"), lambda found: found.filter(asked))
    return [
        ListTab("", gettext_lazy("All"), lambda found: found),
        ListTab("no_partner", gettext_lazy("No partner"), lambda found: queries.without_partner(found, as_of)),
        *([] if as_of else [requests]),  # change requests are today's
        ListTab("missing", gettext_lazy("Not in the last file"), lambda found: queries.missing(found, as_of)),
    ]


@require_safe
@only(OrganisationKind.STAFF)
def staff_subscription_list(request: Request) -> HttpResponseBase:
    return subscription_page(request, "subscriptions/staff_subscription_list.html", _tabs, order=BY_CUSTOMER)


@require_safe
@only(OrganisationKind.STAFF)
def staff_subscription_detail(request: Request, subscription_id: uuid.UUID) -> HttpResponse:
    actor = request.actor
    subscription = get_visible(actor, subscription_id)
    past = AsOfForm(request.GET)
    check_had_started(subscription, past)
    as_of = past.day
    row = queries.rows(actor, [subscription], as_of)[0]
    shown = periods(actor, subscription, as_of)
    months = usage_by_month(actor, [subscription.pk], as_of=as_of).get(subscription.pk, [])[-MONTHS_SHOWN:]
    in_force = Association.objects.open(as_of).filter(customer=subscription.customer_id)
    others = in_force.filter(Q(subscription=subscription.pk) | Q(subscription=None)).exclude(kind=AssociationKind.DPOR)
    history = f"{reverse('portal:events')}?object=subscription:{subscription.subscription_id}"
    return render(
        request,
        "subscriptions/staff_subscription_detail.html",
        {
            "subscription": subscription,
            "row": row,
            "current": next((one for one in shown if one.association.ended_at is None), None),
            "periods": shown,
            "asked": None if as_of else open_requests(actor, [subscription.pk]).get(subscription.pk),
            "others": others.for_listing().order_by("-began_at", "-pk")[:SOME],
            "replaced_by": list(subscription.replaced_by.select_related("sku")),
            "use": months[-1] if months else None,
            "trend": trend(months),
            "history_url": history,
            "events": timeline.items(
                actor, queries.subscription_events(actor, subscription, as_of).order_by("-id")[:NEWEST], here=True
            ),
            "form": past,
            **as_of_context(request, past),
        },
        status=422 if past.errors else 200,
    )
