"""The customer's pages: what needs them, their subscriptions, and who is of record."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date, timedelta

from django.contrib import messages
from django.db.models import Count, F, Max, Q
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from associations.attaching.actions import attach as attaching
from associations.attaching.actions import undo as undo_module
from associations.attaching.forms import AttachForm, CheckForm, RemoveForm, UndoForm
from associations.attaching.views.shared import being_of_record, checked
from associations.change_requests import actions as change_requests_actions
from associations.change_requests import queries as change_requests
from associations.change_requests.models import ChangeRequest
from associations.change_requests.queries import undoable
from associations.change_requests.rules import ChangeStatus
from associations.record import exports, locking, queries, timeline, usage
from associations.record.forms import check_had_started
from associations.record.models import Association
from associations.record.policies import policy_on
from associations.record.queries import BY_PRODUCT, get_visible
from associations.subscriptions import queries as subscription_queries
from associations.subscriptions.views.listing import subscription_page
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.directory.models import Partner, Subscription
from por.directory.rules import normal_mpn_id
from por.errors import VersionConflict
from por.notifications.queries import mail_is_late
from por.web.filters import AsOfForm
from por.web.lists import Listing, ListTab, counted, events_text
from por.web.pages import as_of_context, posted, render_page, submit

FEW = 5  # on a page that has a longer list elsewhere


def _all_of(count: int) -> str:
    """The words that lead from the few on a page to the whole list; none where the few are the whole list."""
    return _("See all %(n)s") % {"n": counted(count)} if count > FEW else ""


def _tabs(as_of: date | None) -> list[ListTab]:
    today = timezone.now().date()
    renewing = ListTab(
        "renewing", gettext_lazy("Renewing within 90 days"), lambda found: queries.renewing(found, today)
    )
    return [
        ListTab("", gettext_lazy("All"), lambda found: found),
        ListTab("no_partner", gettext_lazy("No partner"), lambda found: queries.without_partner(found, as_of)),
        *([] if as_of else [renewing]),  # renewals are today's
    ]


@require_safe
@only(OrganisationKind.CUSTOMER)
def subscription_list(request: Request) -> HttpResponseBase:
    return subscription_page(request, "subscriptions/subscription_list.html", _tabs, order=BY_PRODUCT)


@require_safe
@only(OrganisationKind.CUSTOMER)
def subscription_detail(request: Request, subscription_id: uuid.UUID) -> HttpResponse:
    subscription = _own(request.actor, subscription_id)
    past = AsOfForm(request.GET)
    check_had_started(subscription, past)
    partner = None if "as_of" in request.GET else _filled_in(request, subscription)
    return _detail(request, subscription, partner=partner, past=past, status=422 if past.errors else 200)


def _filled_in(request: Request, subscription: Subscription) -> Partner | None:
    """The partner a link names, ready to be confirmed: one this customer has worked with, so Check ID tells no more."""
    worked_here = Partner.objects.filter(associations__customer=subscription.customer_id, status=Partner.Status.ACTIVE)
    named = worked_here.filter(mpn_id=normal_mpn_id(request.GET.get("mpn_id", "")) or "")
    partner = named.select_related("organisation").first() if "mpn_id" in request.GET else None
    return None if partner is None or _nothing_to_do(subscription, partner) else partner


@posted("associations:subscription_detail")
@only(OrganisationKind.CUSTOMER)
def subscription_check(request: Request, subscription_id: uuid.UUID) -> HttpResponse:
    """Check ID: shows the partner, or says why there is none to show. Attaches nothing."""
    subscription = _own(request.actor, subscription_id, to="partner.check")
    form = CheckForm(request.POST)
    partner = checked(request.actor, form)
    if partner and (sentence := _nothing_to_do(subscription, partner)):
        form.add_error(None, sentence)
        partner = None
    return _detail(request, subscription, check=form, partner=partner, status=422 if form.errors else 200)


@posted("associations:subscription_detail")
@only(OrganisationKind.CUSTOMER)
def subscription_attach(request: Request, subscription_id: uuid.UUID) -> HttpResponse:
    """OK: the partner that was shown becomes of record, or where another one is, the question is asked.

    Pressed twice, it says so twice and does it once.
    """
    subscription = _own(request.actor, subscription_id, to="record.attach")
    form = AttachForm(request.POST)
    sent = submit(form, lambda: attaching.attach(subscription_id, by=request.actor, **form.cleaned_data))
    changed = isinstance(sent.refused, VersionConflict)
    if sent.is_done or changed and _is_named(subscription, form.cleaned_data["mpn_id"]):
        return _back(subscription)
    subscription.refresh_from_db()
    check = CheckForm({"mpn_id": form.data.get("mpn_id", "")})
    partner = None
    if "mpn_id" in form.errors:
        why = form.errors.pop("mpn_id").as_data()
        if check.is_valid():
            check.add_error("mpn_id", why)
    elif not changed:
        partner = checked(request.actor, check)  # shown again, with what was wrong
    return _detail(request, subscription, check=check, attach=form, partner=partner, status=sent.status)


@posted("associations:subscription_detail")
@only(OrganisationKind.CUSTOMER)
def subscription_remove(request: Request, subscription_id: uuid.UUID) -> HttpResponse:
    subscription = _own(request.actor, subscription_id, to="record.remove")
    form = RemoveForm(request.POST)

    def remove() -> object:
        version = form.cleaned_data["version"]
        return attaching.remove(subscription_id, by=request.actor, reason=form.sentence(), version=version)

    sent = submit(form, remove)
    if sent.is_done or sent.refused and _holder(subscription) is None:
        return _back(subscription)  # done, by this click, by the first of two, or by a colleague
    subscription.refresh_from_db()
    return _detail(request, subscription, remove=form, status=sent.status)


@posted("associations:subscription_detail")
@only(OrganisationKind.CUSTOMER)
def subscription_undo(request: Request, subscription_id: uuid.UUID) -> HttpResponse:
    subscription = _own(request.actor, subscription_id, to="record.undo")
    form = UndoForm(request.POST)
    sent = submit(
        form, lambda: undo_module.undo(subscription_id, by=request.actor, version=form.cleaned_data["version"])
    )
    if sent.is_done:
        return _undone(request, subscription, sent.result)
    if isinstance(sent.refused, VersionConflict) and _last_change(subscription) is None:
        return redirect("associations:subscription_detail", subscription_id)  # the second of two clicks
    subscription.refresh_from_db()
    return _detail(request, subscription, undo=form, status=sent.status)


def _undone(request: Request, subscription: Subscription, record: Association | None) -> HttpResponse:
    asked = _open_question(change_requests_actions.requests_of(subscription))
    if asked is not None:
        messages.success(request, _("Undone. The change request is open again."))
        return redirect("associations:change_request", asked.pk)
    if record is None:
        messages.success(request, _("Undone. This subscription has no partner of record."))
    else:
        name = record.partner.organisation.name
        messages.success(request, _("Undone. %(partner)s is the partner of record again.") % {"partner": name})
    return redirect("associations:subscription_detail", subscription.subscription_id)


def _own(actor: Actor, subscription_id: uuid.UUID, *, to: str = "") -> Subscription:
    """The customer's subscription, for somebody who has the right, if one is asked for."""
    subscription = get_visible(actor, subscription_id)
    if to:
        actor.require(to)
    return subscription


def _holder(subscription: Subscription) -> Association | None:
    held = Association.objects.open().of_record().filter(subscription=subscription)
    return held.select_related("partner__organisation").first()


def _nothing_to_do(subscription: Subscription, partner: Partner) -> str:
    """Why there is nothing to do about this partner here: it is of record, or in the open question. Else nothing."""
    held = _holder(subscription)
    name = partner.organisation.name
    if held is not None and held.partner_id == partner.pk:
        return _("%(holder)s is already your partner of record for this subscription.") % {"holder": name}
    asked = ChangeRequest.objects.open().filter(subscription=subscription, challengers__partner=partner)
    if held is not None and asked.exists():
        return _("A change request about %(partner)s is already open.") % {"partner": name}
    return ""


def _is_named(subscription: Subscription, mpn_id: str) -> bool:
    """Return whether the partner is of record or asked about already: by the first of two clicks, or by a colleague."""
    partner = Partner.objects.filter(mpn_id=mpn_id).first()
    return partner is not None and bool(_nothing_to_do(subscription, partner))


def _open_question(requests: Sequence[ChangeRequest]) -> ChangeRequest | None:
    return next((one for one in requests if one.status == ChangeStatus.OPEN), None)


def _last_change(subscription: Subscription) -> change_requests.LastChange | None:
    return change_requests.last_change(
        locking.all_associations(subscription), change_requests_actions.requests_of(subscription)
    )


def _back(subscription: Subscription) -> HttpResponse:
    """To the subscription's page, where the banner says what was done and how to undo it."""
    return redirect(reverse("associations:subscription_detail", args=[subscription.subscription_id]) + "#done")


def _detail(
    request: Request,
    subscription: Subscription,
    *,
    partner: Partner | None = None,
    check: CheckForm | None = None,
    attach: AttachForm | None = None,
    remove: RemoveForm | None = None,
    undo: UndoForm | None = None,
    past: AsOfForm | None = None,
    status: int = 200,
) -> HttpResponse:
    """The page of a subscription. `partner` is the one found by its ID; a form with errors is shown as it was sent.

    `past` is the day it looks back to, if any: then there is nothing to do on it but to read.
    """
    actor, today = request.actor, timezone.now().date()
    past = past or AsOfForm({})
    as_of = past.day if past.is_valid() else None
    periods = subscription_queries.periods(actor, subscription, as_of)
    current = next((one for one in periods if one.association.ended_at is None), None)
    requests = change_requests_actions.requests_of(subscription) if as_of is None else []
    asked = _open_question(requests)
    last = undoable(actor, subscription, requests) if as_of is None else None
    months = usage.usage_by_month(actor, [subscription.pk], as_of=as_of).get(subscription.pk, [])[-12:]
    active = subscription.status == Subscription.Status.ACTIVE and as_of is None
    may_name = active and actor.may("record.attach")
    own_use = partner is not None and partner.own_tenant_id == subscription.customer.tenant_id
    sent = [form for form in (check, attach, remove, undo, past) if form is not None and form.errors]
    return render_page(
        request,
        "subscriptions/subscription_detail.html",
        {
            "subscription": subscription,
            "form": sent[0] if sent else None,
            "current": current,
            "free": active and current is None,
            "may_attach": may_name and current is None,
            "may_ask": may_name and current is not None,
            "asked": asked,
            "due_at": asked.due_at if asked else policy_on(today).answer_due(today),
            "may_remove": current is not None and as_of is None and actor.may("record.remove"),
            "last": last,
            "mail_is_late": (last is not None or asked is not None) and mail_is_late(),
            "partner": partner if may_name else None,
            "own_use": own_use,
            "check_form": check or CheckForm(),
            "attach_form": attach or AttachForm(),
            "remove_form": remove or RemoveForm(),
            "undo_minutes": policy_on(today).undo_within // timedelta(minutes=1),
            "known": _known_partners(subscription) if may_name and partner is None else [],
            "others": _others_without_partner(actor, current.association) if current and as_of is None else [],
            "periods": periods,
            "use": months[-1] if months else None,
            "trend": usage.trend(months),
            "usage_url": reverse("portal:subscription_usage", args=[subscription.subscription_id]),
            "history_url": reverse("associations:subscription_history", args=[subscription.subscription_id]),
            "events": timeline.items(
                actor, queries.subscription_events(actor, subscription, as_of).order_by("-id")[:FEW], here=True
            ),
            **being_of_record(subscription, as_of, own=current.association.is_own_tenant if current else own_use),
            **as_of_context(request, past),
        },
        part="record",
        status=status,
    )


def _known_partners(subscription: Subscription) -> list[Partner]:
    """Partners this customer has worked with, but not those of record here; those it works with now first."""
    get_visible = Q(associations__customer=subscription.customer_id, associations__undone_at=None)
    held = Association.objects.open().of_record().filter(subscription=subscription)
    return list(
        Partner.objects.filter(get_visible, associations__kind="dpor", status=Partner.Status.ACTIVE)
        .exclude(pk__in=held.values("partner"))
        .select_related("organisation")
        .annotate(
            now=Count("associations", filter=Q(associations__ended_at=None)),
            ended_here=Max("associations__ended_at", filter=Q(associations__subscription=subscription.pk)),
        )
        .order_by("-now", "organisation__name", "pk")[:FEW]
    )


def _others_without_partner(actor: Actor, record: Association) -> list[Subscription]:
    """Where the partner that is of record here could be attached next."""
    if record.partner.status != Partner.Status.ACTIVE or not actor.may("record.attach"):
        return []
    others = queries.without_partner(queries.subscriptions_for_listing(actor))
    return list(others.filter(status=Subscription.Status.ACTIVE).order_by(F("seats").desc(nulls_last=True), "pk")[:FEW])


@require_safe
@only(OrganisationKind.CUSTOMER)
def subscription_history(request: Request, subscription_id: uuid.UUID) -> HttpResponseBase:
    actor = request.actor
    subscription = _own(actor, subscription_id)
    found = queries.subscription_events(actor, subscription)
    shown = Listing(request, found, order=("-id",), count_text=events_text)
    if shown.wants_csv:
        return exports.events_csv(actor, shown.ordered)
    return render(
        request,
        "subscriptions/subscription_history.html",
        shown.context | {"subscription": subscription, "events": timeline.items(actor, shown.page.rows, here=True)},
    )
