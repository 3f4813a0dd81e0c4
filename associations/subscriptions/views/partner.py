"""A partner's list of subscriptions, and the page of one."""

from __future__ import annotations

import uuid
from datetime import date

from django.contrib import messages
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from associations.attaching.actions.attach import resign
from associations.attaching.forms import ResignForm, SeveralForm
from associations.attaching.views.shared import being_of_record
from associations.change_requests.queries import open_requests
from associations.record import queries, timeline
from associations.record.access import all_visible_to, usage_visible_to
from associations.record.forms import check_had_started
from associations.record.models import Association
from associations.record.queries import BY_CUSTOMER, get_visible
from associations.record.rules import AssociationKind
from associations.record.usage import in_period, trend, usage_by_month, use_of_workloads
from associations.subscriptions import figures
from associations.subscriptions.exports import subscriptions_csv
from associations.subscriptions.queries import needs_attention, periods
from associations.subscriptions.views.listing import of_any_partner, subscription_page
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind, Right
from por.directory.models import Subscription
from por.web.filters import AsOfForm
from por.web.lists import ListTab
from por.web.pages import as_of_context, posted, submit

NEWEST = 5  # events shown; the history has them all


def _tabs(actor: Actor, as_of: date | None) -> list[ListTab]:
    today = timezone.localdate()
    attention = ListTab(
        "attention",
        gettext_lazy("Needs attention"),
        lambda found: queries.of_record(found, actor).filter(needs_attention(today)),
    )
    renewing = ListTab(
        "renewing",
        gettext_lazy("Renewing within 90 days"),
        lambda found: queries.renewing(queries.of_record(found, actor), today),
    )
    return [
        ListTab("", gettext_lazy("Partner of record"), lambda found: queries.of_record(found, actor, as_of)),
        *([] if as_of else [attention, renewing]),  # these are today's
        ListTab("own", gettext_lazy("Your own tenant"), lambda found: queries.of_own_tenant(found, actor, as_of)),
        ListTab("former", gettext_lazy("Former"), lambda found: queries.formerly_of_record(found, actor, as_of)),
        ListTab("all", gettext_lazy("All"), lambda found: found & all_visible_to(actor)),
    ]


@require_safe
@only(OrganisationKind.PARTNER)
def partner_subscription_list(request: Request) -> HttpResponseBase:
    template = "subscriptions/partner_subscription_list.html"
    return subscription_page(
        request,
        template,
        _tabs,
        order=BY_CUSTOMER,
        of=of_any_partner,
        more=lambda _list, _rows, day: {"selectable": day is None},
    )


@require_safe
@only(OrganisationKind.PARTNER)
def partner_subscription_selected(request: Request) -> HttpResponseBase:
    """Return the file of the subscriptions that were selected in the list, or on the dashboard."""
    actor, form = request.actor, SeveralForm(request.GET)
    ids = form.cleaned_data["subscription"] if form.is_valid() else []
    if not ids:
        says = next((str(error) for errors in form.errors.values() for error in errors), _("Select a subscription."))
        messages.warning(request, says)
        return redirect("associations:partner_subscription_list")
    found = queries.subscriptions_for_listing(actor).filter(subscription_id__in=ids)
    return subscriptions_csv(actor, found.order_by(*BY_CUSTOMER))


def _administers(actor: Actor, subscription: Subscription) -> bool:
    """Return whether the actor has administrator rights at the customer, whoever is the partner of record."""
    rights = Association.objects.open().visible_to(actor).filter(kind=AssociationKind.DELEGATED_ADMIN)
    return rights.filter(customer=subscription.customer_id).exists()


@require_safe
@only(OrganisationKind.PARTNER)
def partner_subscription_detail(request: Request, subscription_id: uuid.UUID) -> HttpResponse:
    subscription = get_visible(request.actor, subscription_id)
    past = AsOfForm(request.GET)
    check_had_started(subscription, past)
    return _detail(request, subscription, past, status=422 if past.errors else 200)


@posted("associations:partner_subscription_detail")
@only(OrganisationKind.PARTNER)
def partner_subscription_resign(request: Request, subscription_id: uuid.UUID) -> HttpResponse:
    """End the record of the partner itself. A second click changes nothing and gets the same answer."""
    actor = request.actor
    subscription = get_visible(actor, subscription_id)
    actor.require(Right.RESIGN)
    form = ResignForm(request.POST)

    def work() -> object:
        given = form.cleaned_data
        return resign(subscription_id, by=actor, reason=given["reason"], version=given["version"])

    sent = submit(form, work)
    if sent.is_done or sent.refused and queries.rows(actor, [subscription])[0].record is None:
        if sent.is_done:
            messages.success(request, _("You are no longer the partner of record. We have told the customer."))
        return redirect("associations:partner_subscription_detail", subscription_id)
    subscription.refresh_from_db()
    return _detail(request, subscription, AsOfForm({}), form=form, status=sent.status)


def _detail(
    request: Request, subscription: Subscription, past: AsOfForm, *, form: ResignForm | None = None, status: int
) -> HttpResponse:
    """Show the page of a subscription. `past` has the day that it looks back to; `form` is one with errors."""
    actor = request.actor
    as_of = past.day if past.is_valid() else None
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
            "administers": _administers(actor, subscription),
            "asked": None if as_of else open_requests(actor, [subscription.pk]).get(subscription.pk),
            "periods": periods(actor, subscription, as_of),
            "may_invite": actor.may(Right.INVITE)
            and not (row.record or as_of)
            and subscription.status in ("", Subscription.Status.ACTIVE),  # a former partner may not know it
            "use": months[-1] if months else None,
            "trend": trend(months),
            "usage_url": reverse("portal:partner_subscription_usage", args=[subscription.subscription_id]),
            "people": figures.people(use),
            "money": figures.money(use),
            "history_url": f"{reverse('portal:partner_history')}?subscription={subscription.subscription_id}",
            "events": timeline.items(
                actor, queries.subscription_events(actor, subscription, as_of).order_by("-id")[:NEWEST], here=True
            ),
            "may_resign": row.record is not None and not as_of and actor.may(Right.RESIGN),
            "resign_form": form or ResignForm(),
            "form": form or past,
            **as_of_context(request, past),
        },
        status=status,
    )
