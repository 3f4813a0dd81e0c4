"""A customer's list of subscriptions, the page of one, and the changes to its partner of record made there."""

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

from associations.attaching.actions.attach import attach, remove
from associations.attaching.actions.undo import undo
from associations.attaching.forms import AttachForm, CheckForm, RemoveForm, SeveralForm, StartForm, UndoForm
from associations.attaching.views import several
from associations.attaching.views.shared import being_of_record, checked, is_told_of_end, told_of
from associations.change_requests.actions import deadline_of, requests_of
from associations.change_requests.models import ChangeRequest
from associations.change_requests.queries import (
    LastChange,
    last_change,
    proposals,
    told_of_open,
    told_of_request,
    told_of_switch,
    undoable,
)
from associations.change_requests.rules import ChangeStatus
from associations.moves_events import MovedEvent
from associations.record import exports, queries, timeline, usage
from associations.record.forms import check_had_started
from associations.record.holdings import holdings
from associations.record.locking import all_associations
from associations.record.models import Association
from associations.record.policies import policy_on
from associations.record.queries import BY_PRODUCT, get_visible
from associations.record.rules import AssociationKind
from associations.subscriptions.figures import MONTHS_SHOWN
from associations.subscriptions.queries import periods
from associations.subscriptions.views.listing import subscription_page
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind, Right
from por.directory.models import Partner, Subscription
from por.directory.rules import normal_mpn_id
from por.errors import Refused, VersionConflict
from por.notifications.queries import mail_is_late
from por.web import formatting
from por.web.filters import AsOfForm
from por.web.lists import Listing, ListTab, events_text
from por.web.pages import as_of_context, posted, render_page, submit

FEW = 5  # partners, subscriptions and events shown; there may be more
TOO = 10  # other subscriptions that can be ticked to get the same partner; all can be selected in the list


def _tabs(_actor: Actor, as_of: date | None) -> list[ListTab]:
    today = timezone.localdate()
    renewing = ListTab(
        "renewing", gettext_lazy("Renewing within 90 days"), lambda found: queries.renewing(found, today)
    )
    return [
        ListTab("", gettext_lazy("All"), lambda found: found),
        ListTab("no_partner", gettext_lazy("No partner"), lambda found: queries.without_partner(found, as_of)),
        *([] if as_of else [renewing]),  # renewals are today's
        ListTab("missing", gettext_lazy("Not in the last file"), lambda found: queries.missing(found, as_of)),
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
    """Return the partner that a link names, to be confirmed; None unless this customer knows it.

    It has worked with it, or was asked about it when the subscription came from another tenant. So the link reveals no
    more than Check ID would.
    """
    mpn_id = normal_mpn_id(request.GET.get("mpn_id", ""))
    named = Partner.objects.filter(mpn_id=mpn_id or "", status=Partner.Status.ACTIVE)
    partner = named.select_related("organisation").first() if "mpn_id" in request.GET else None
    if partner is None or _nothing_to_do(subscription, partner):
        return None
    asked = queries.subscription_events(request.actor, subscription).filter(verb=MovedEvent.MOVED_IN)
    is_known = (
        partner.associations.filter(customer=subscription.customer_id).exists()
        or asked.filter(changes__partner__mpn_id=mpn_id).exists()
    )
    return partner if is_known else None


@posted("associations:subscription_detail")
@only(OrganisationKind.CUSTOMER)
def subscription_check(request: Request, subscription_id: uuid.UUID) -> HttpResponse:
    """Check ID: show the partner, or the reason why it cannot be shown. Attach nothing."""
    subscription = _own(request.actor, subscription_id, to=Right.CHECK_PARTNER)
    form = CheckForm(request.POST)
    partner = checked(request.actor, form)
    if partner and (message := _nothing_to_do(subscription, partner)):
        form.add_error(None, message)
        partner = None
    return _detail(request, subscription, check=form, partner=partner, status=422 if form.errors else 200)


@posted("associations:subscription_detail")
@only(OrganisationKind.CUSTOMER)
def subscription_attach(request: Request, subscription_id: uuid.UUID) -> HttpResponse:
    """OK: attach the partner that was shown. If another one is the partner of record, switch or open a change request.

    A second click changes nothing and gets the same answer. Other subscriptions may be ticked to get the partner too.
    """
    subscription = _own(request.actor, subscription_id, to=Right.ATTACH)
    chosen = SeveralForm(request.POST)
    if not chosen.is_valid():
        return _detail(request, subscription, too=chosen, status=422)
    others = several.get_chosen(request.actor, chosen)
    form = AttachForm(request.POST)
    sent = submit(form, lambda: attach(subscription_id, by=request.actor, **form.cleaned_data))
    changed = isinstance(sent.refused, VersionConflict)
    if sent.is_done and others:
        return several.attach_too(request, subscription, sent.result, others, form)
    if sent.is_done or changed and _is_attached_or_named(subscription, form.cleaned_data["mpn_id"]):
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
    return _detail(request, subscription, check=check, attach=form, too=chosen, partner=partner, status=sent.status)


@posted("associations:subscription_detail")
@only(OrganisationKind.CUSTOMER)
def subscription_start(request: Request, subscription_id: uuid.UUID) -> HttpResponse:
    """Move the start of the partner of record to another day. A second click changes nothing."""
    subscription = _own(request.actor, subscription_id, to=Right.ATTACH)
    holder = _holder(subscription)
    form = StartForm(request.POST, auto_id="start_%s")

    def work() -> object:
        if holder is None:
            raise Refused("no_partner_of_record", _("This subscription has no partner of record."))
        return attach(subscription_id, holder.partner.mpn_id, by=request.actor, **form.cleaned_data)

    sent = submit(form, work)
    if sent.is_done or isinstance(sent.refused, VersionConflict) and holder and _began_on(holder, form):
        return _back(subscription)
    subscription.refresh_from_db()
    return _detail(request, subscription, start=form, status=sent.status)


def _began_on(holder: Association, form: StartForm) -> bool:
    """Return whether the association begins on this day already: by the first of two clicks, or by a colleague."""
    return bool(formatting.day_of(holder.began_at) == form.cleaned_data["began_on"])


@posted("associations:subscription_detail")
@only(OrganisationKind.CUSTOMER)
def subscription_remove(request: Request, subscription_id: uuid.UUID) -> HttpResponse:
    subscription = _own(request.actor, subscription_id, to=Right.REMOVE)
    form = RemoveForm(request.POST)

    def work() -> object:
        version = form.cleaned_data["version"]
        return remove(subscription_id, by=request.actor, reason=form.full_reason(), version=version)

    sent = submit(form, work)
    if sent.is_done or sent.refused and _holder(subscription) is None:
        return _back(subscription)  # removed: by this click, by the first of two clicks, or by a colleague
    subscription.refresh_from_db()
    return _detail(request, subscription, remove=form, status=sent.status)


@posted("associations:subscription_detail")
@only(OrganisationKind.CUSTOMER)
def subscription_undo(request: Request, subscription_id: uuid.UUID) -> HttpResponse:
    subscription = _own(request.actor, subscription_id, to=Right.UNDO)
    form = UndoForm(request.POST)
    sent = submit(form, lambda: undo(subscription_id, by=request.actor, version=form.cleaned_data["version"]))
    if sent.is_done:
        return _undone(request, subscription, sent.result)
    if isinstance(sent.refused, VersionConflict) and _last_change(subscription) is None:
        return redirect("associations:subscription_detail", subscription_id)  # the second of two clicks
    subscription.refresh_from_db()
    return _detail(request, subscription, undo=form, status=sent.status)


def _undone(request: Request, subscription: Subscription, record: Association | None) -> HttpResponse:
    change_request = _open_request(requests_of(subscription))
    if change_request is not None:
        messages.success(request, _("Undone. The change request is open again."))
        return redirect("associations:change_request", change_request.pk)
    if record is None:
        messages.success(request, _("Undone. This subscription has no partner of record."))
    else:
        name = record.partner.organisation.name
        messages.success(request, _("Undone. %(partner)s is the partner of record again.") % {"partner": name})
    return redirect("associations:subscription_detail", subscription.subscription_id)


def _own(actor: Actor, subscription_id: uuid.UUID, *, to: Right | None = None) -> Subscription:
    """Return the customer's subscription. Raise NotFound, or Forbidden without the right `to`, if one is given."""
    subscription = get_visible(actor, subscription_id)
    if to:
        actor.require(to)
    return subscription


def _holder(subscription: Subscription) -> Association | None:
    held = Association.objects.open().of_record().filter(subscription=subscription)
    return held.select_related("partner__organisation").first()


def _nothing_to_do(subscription: Subscription, partner: Partner) -> str:
    """Return why this partner cannot be attached: it is the partner of record, or already proposed; else ""."""
    held = _holder(subscription)
    name = partner.organisation.name
    if held is not None and held.partner_id == partner.pk:
        return _("%(holder)s is already your partner of record for this subscription.") % {"holder": name}
    proposed = ChangeRequest.objects.open().filter(subscription=subscription, challengers__partner=partner)
    if held is not None and proposed.exists():
        return _("A change request about %(partner)s is already open.") % {"partner": name}
    return ""


def _is_attached_or_named(subscription: Subscription, mpn_id: str) -> bool:
    """Return whether the partner was attached or proposed already: by the first of two clicks, or by a colleague."""
    partner = Partner.objects.filter(mpn_id=mpn_id).first()
    return partner is not None and bool(_nothing_to_do(subscription, partner))


def _open_request(requests: Sequence[ChangeRequest]) -> ChangeRequest | None:
    return next((one for one in requests if one.status == ChangeStatus.OPEN), None)


def _last_change(subscription: Subscription) -> LastChange | None:
    return last_change(all_associations(subscription), requests_of(subscription))


def _back(subscription: Subscription) -> HttpResponse:
    """Redirect to the subscription's page. The banner there shows what was done and how to undo it."""
    return redirect(reverse("associations:subscription_detail", args=[subscription.subscription_id]) + "#done")


def _detail(
    request: Request,
    subscription: Subscription,
    *,
    partner: Partner | None = None,
    check: CheckForm | None = None,
    attach: AttachForm | None = None,
    too: SeveralForm | None = None,
    start: StartForm | None = None,
    remove: RemoveForm | None = None,
    undo: UndoForm | None = None,
    past: AsOfForm | None = None,
    status: int = 200,
) -> HttpResponse:
    """Show the page of a subscription. `partner` is the one found by its ID; a form with errors is shown as sent.

    `past` is the form with the day that the page looks back to; such a page is read-only.
    """
    actor, today = request.actor, timezone.localdate()
    past = past or AsOfForm({})
    as_of = past.day if past.is_valid() else None
    shown = periods(actor, subscription, as_of)
    current = next((one for one in shown if one.association.ended_at is None), None)
    requests = requests_of(subscription) if as_of is None else []
    change_request = _open_request(requests)
    last = undoable(actor, subscription, requests) if as_of is None else None
    months = usage.usage_by_month(actor, [subscription.pk], as_of=as_of).get(subscription.pk, [])[-MONTHS_SHOWN:]
    active = subscription.status == Subscription.Status.ACTIVE and as_of is None
    may_name = active and actor.may(Right.ATTACH)
    own_use = partner is not None and partner.own_tenant_id == subscription.customer.tenant_id
    shown_partner = current.association.partner if current else partner
    sent = [form for form in (check, attach, too, start, remove, undo, past) if form is not None and form.errors]
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
            "changing": "change" in request.GET or partner is not None or any(form in sent for form in (check, attach)),
            "asked": change_request,
            "proposals": proposals(actor, change_request) if change_request and actor.may(Right.REMOVE) else [],
            "deadline": change_request.deadline if change_request else deadline_of(subscription, timezone.now()),
            "may_remove": current is not None and as_of is None and actor.may(Right.REMOVE),
            "last": last,
            "told": told_of(last) if last else told_of_open(change_request) if change_request else [],
            "moves": current is not None
            and partner is not None
            and partner.is_of_same_company_as(current.association.partner),
            "told_if_asked": told_of_request(current.association.partner, partner) if current and partner else [],
            "told_if_switched": told_of_switch(current.association.partner, partner) if current and partner else [],
            "told_of_end": shown_partner is None or is_told_of_end(shown_partner),
            "rest": holdings(last.ended.partner, [subscription]) if last and last.ended else None,
            "holdings": holdings(shown_partner, [subscription]) if shown_partner and as_of is None else None,
            "mail_is_late": (last is not None or change_request is not None) and mail_is_late(),
            "partner": partner if may_name else None,
            "own_use": own_use,
            "check_form": check or CheckForm(is_first=may_name and current is None and partner is None and not last),
            "attach_form": attach or AttachForm(),
            "start_form": start or _start_form(current.association if current else None),
            "remove_form": remove or RemoveForm(),
            "undo_minutes": policy_on(today).undo_within // timedelta(minutes=1),
            "known": _known_partners(subscription) if may_name and partner is None else [],
            "others": _others_without_partner(actor, shown_partner, FEW) if current and as_of is None else [],
            "too": [] if current else _others_without_partner(actor, partner, TOO, subscription),
            "ticked": too.cleaned_data["subscription"] if too and too.is_valid() else [],
            "periods": shown,
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


def _start_form(record: Association | None) -> StartForm:
    """Return the form with the start of the partner of record."""
    return StartForm(initial={"began_on": formatting.day_of(record.began_at)} if record else {}, auto_id="start_%s")


def _known_partners(subscription: Subscription) -> list[Partner]:
    """Return partners this customer has worked with, except the partner of record here; current partners first."""
    worked_here = Q(associations__customer=subscription.customer_id, associations__undone_at=None)
    held = Association.objects.open().of_record().filter(subscription=subscription)
    return list(
        Partner.objects.filter(worked_here, associations__kind=AssociationKind.DPOR, status=Partner.Status.ACTIVE)
        .exclude(pk__in=held.values("partner"))
        .select_related("organisation")
        .annotate(
            now=Count("associations", filter=Q(associations__ended_at=None)),
            ended_here=Max("associations__ended_at", filter=Q(associations__subscription=subscription.pk)),
        )
        .order_by("-now", "organisation__name", "pk")[:FEW]
    )


def _others_without_partner(
    actor: Actor, partner: Partner | None, most: int, beside: Subscription | None = None
) -> list[Subscription]:
    """Return other subscriptions to which the partner, if there is one, could be attached as well."""
    if partner is None or partner.status != Partner.Status.ACTIVE or not actor.may(Right.ATTACH):
        return []
    others = queries.without_partner(queries.subscriptions_for_listing(actor)).filter(status=Subscription.Status.ACTIVE)
    if beside is not None:
        others = others.exclude(pk=beside.pk)
    return list(others.order_by(F("seats").desc(nulls_last=True), "pk")[:most])


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
