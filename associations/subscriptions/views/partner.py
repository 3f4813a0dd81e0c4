"""A partner's list of subscriptions, and the page of one."""

from __future__ import annotations

import uuid
from datetime import date

from django.db.models import QuerySet
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from associations.attaching.views.shared import being_of_record
from associations.change_requests.queries import open_requests
from associations.record import queries, timeline
from associations.record.access import subscriptions_visible_to, usage_visible_to
from associations.record.forms import check_had_started
from associations.record.queries import BY_CUSTOMER, get_visible
from associations.record.usage import in_period, trend, usage_by_month, use_of_workloads
from associations.subscriptions import figures
from associations.subscriptions.queries import periods
from associations.subscriptions.views.listing import subscription_page
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind, Right
from por.directory.models import Subscription
from por.web.filters import AsOfForm
from por.web.lists import ListTab
from por.web.pages import as_of_context

NEWEST = 5  # events shown; the history has them all


def _tabs(actor: Actor, as_of: date | None) -> list[ListTab]:
    today = timezone.now().date()
    renewing = ListTab(
        "renewing",
        gettext_lazy("Renewing within 90 days"),
        lambda found: queries.renewing(queries.of_record(found, actor), today),
    )
    return [
        ListTab("", gettext_lazy("Partner of record"), lambda found: queries.of_record(found, actor, as_of)),
        *([] if as_of else [renewing]),  # renewals are today's
        ListTab("own", gettext_lazy("Your own tenant"), lambda found: queries.of_own_tenant(found, actor, as_of)),
        ListTab("former", gettext_lazy("Former"), lambda found: queries.formerly_of_record(found, actor, as_of)),
        ListTab("all", gettext_lazy("All"), lambda found: found & subscriptions_visible_to(actor)),
    ]


@require_safe
@only(OrganisationKind.PARTNER)
def partner_subscription_list(request: Request) -> HttpResponseBase:
    template = "subscriptions/partner_subscription_list.html"
    return subscription_page(request, template, _tabs, order=BY_CUSTOMER, of=_of_any_partner)


def _of_any_partner(_actor: Actor, as_of: date | None) -> QuerySet[Subscription]:
    """Return all subscriptions. Each tab but "all" holds only those that the partner is or was of record for.

    To check again for each row that the partner may see it would take most of the page's time.
    """
    return queries.for_listing(Subscription.objects.all(), as_of)


@require_safe
@only(OrganisationKind.PARTNER)
def partner_subscription_detail(request: Request, subscription_id: uuid.UUID) -> HttpResponse:
    actor = request.actor
    subscription = get_visible(actor, subscription_id)
    past = AsOfForm(request.GET)
    check_had_started(subscription, past)
    as_of = past.day
    row = queries.rows(actor, [subscription], as_of)[0]
    usage = usage_visible_to(actor).filter(subscription=subscription)
    use = use_of_workloads(in_period(usage, None, as_of))
    months = usage_by_month(actor, [subscription.pk], as_of=as_of).get(subscription.pk, [])[-figures.MONTHS_SHOWN :]
    return render(
        request,
        "subscriptions/partner_subscription_detail.html",
        {
            "subscription": subscription,
            "row": row,
            **being_of_record(subscription, as_of, own=row.record is not None and row.record.is_own_tenant),
            "asked": None if as_of else open_requests(actor, [subscription.pk]).get(subscription.pk),
            "periods": periods(actor, subscription, as_of),
            "may_invite": actor.may(Right.INVITE)
            and not (row.record or as_of)
            and subscription.status == Subscription.Status.ACTIVE,
            "use": months[-1] if months else None,
            "trend": trend(months),
            "usage_url": reverse("portal:partner_subscription_usage", args=[subscription.subscription_id]),
            "people": figures.people(use),
            "money": figures.money(use),
            "history_url": f"{reverse('portal:partner_history')}?subscription={subscription.subscription_id}",
            "events": timeline.items(
                actor, queries.subscription_events(actor, subscription, as_of).order_by("-id")[:NEWEST], here=True
            ),
            "form": past,
            **as_of_context(request, past),
        },
        status=422 if past.errors else 200,
    )
