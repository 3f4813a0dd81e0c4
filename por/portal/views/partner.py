"""A partner's home, with today's figures, and its customers."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, cast

from django.core.cache import caches
from django.db.models import Count, Exists, F, Max, OuterRef, Prefetch, Q, Sum
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from associations.change_requests import queries as change_requests
from associations.claims.queries import claims
from associations.gaps import queries as gaps
from associations.record import queries, timeline
from associations.record.access import (
    customers_visible_to,
    events_visible_to,
    newest_events,
    newest_import,
    usage_visible_to,
)
from associations.record.models import Association, AssociationQuerySet, end_of
from associations.record.rules import AssociationKind
from associations.record.sums import use_of_record
from associations.record.usage import (
    MonthOfUsage,
    UseOfWorkload,
    last_months,
    trend,
    usage_by_month,
    use_of_workloads,
)
from associations.subscriptions import figures
from associations.subscriptions.forms import SubscriptionFilter
from associations.subscriptions.queries import needs_attention
from competencies.queries import reached
from competencies.shown import summary
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor, Organisation
from por.accounts.rules import OrganisationKind, Right
from por.directory.access import enrolments_visible_to, partners_of
from por.directory.forms import CustomerFilter, LocationFilter
from por.directory.models import Customer, Partner, Subscription
from por.directory.queries import formerly
from por.errors import NotFound
from por.portal.queries import partner_rows
from por.web.filters import AsOfForm
from por.web.lists import Listing, ListTab, Tab, count_of, customers_text, locations_text, subscriptions_text
from por.web.pages import NOT_YOURS, as_of_context, render_page

FEW, NEWEST = 7, 5  # rows and events shown where the whole list is on another page
MOST_TO_DO = 3  # cards above the figures
SOME = 50  # rows of each list on the page of a customer


@require_safe
@only(OrganisationKind.PARTNER)
def partner_home(request: Request) -> HttpResponse:
    """Show the dashboard. Every figure is counted in the same way as the list behind it.

    The figures are kept until there is a new event about this partner, or a new import: every change is an event.
    """
    actor, own = request.actor, cast(Organisation, request.actor.organisation)
    today = timezone.localdate()
    events = newest_events(actor, NEWEST)
    imported = newest_import()
    key = f"partner-home:{actor.organisation_id}:{today}:{events[0].pk if events else 0}:{imported}"
    kept = cast(Figures, caches["local"].get_or_set(key, lambda: _figures(actor, today)))
    counts, use, seats = kept.counts, kept.use, kept.seats
    asked = change_requests.next_due(actor, MOST_TO_DO + 1)
    claims_to_do = [(one, claims.due_of(one)) for one in claims.next_due(actor, max(1, MOST_TO_DO - len(asked)))]
    money = figures.money(use)
    spent = [sum(filter(None, month)) for month in zip(*(line.values for line in money.series), strict=True)]
    home, needing = reverse("associations:partner_subscription_list"), counts["attention"]
    return render(
        request,
        "portal/partner_home.html",
        {
            "asked": asked[: MOST_TO_DO - len(claims_to_do)],
            "more_asked": len(asked) > MOST_TO_DO - len(claims_to_do),
            "claims_to_do": claims_to_do,
            "may_claim": actor.may(Right.WRITE_CLAIMS),
            "may_invite": actor.may(Right.INVITE),
            "may_state": actor.may(Right.SUBMIT_STATEMENT),
            "filter": SubscriptionFilter(),
            "selectable": True,
            "questions": kept.questions,
            "counts": counts,
            "tabs": [
                *([Tab(_("Needs attention"), f"{home}?view=attention", needing, current=True)] if needing else []),
                Tab(_("Partner of record"), home, counts["of_record"], current=not needing),
                Tab(_("Renewing within 90 days"), f"{home}?view=renewing", counts["renewing"], current=False),
                Tab(_("Your own tenant"), f"{home}?view=own", counts["own"], current=False),
            ],
            "seats": seats[-1] if seats else None,
            "seats_trend": [month.active_users for month in seats[-figures.MONTHS_SHOWN :]],
            "spent": round(spent[-1]) if spent else None,
            "spent_trend": spent,
            "spent_month": max((one.month for one in use if one.consumed_usd is not None), default=None),
            "people": figures.people(use),
            "rows": kept.rows,
            "locations": [] if counts["customers"] else _locations(actor),
            "events": timeline.items(actor, events),
            "competencies": [summary(one) for one in reached(own.parent_id or own.pk, today)],
        },
    )


@dataclass(frozen=True)
class Figures:
    """The figures of the dashboard that take long to add up."""

    counts: dict[str, Any]
    use: list[UseOfWorkload]
    seats: list[MonthOfUsage]
    rows: list[FirstRow]
    questions: dict[int, change_requests.VisibleRequest]


def _figures(actor: Actor, today: date) -> Figures:
    own = Association.objects.open().visible_to(actor)
    of_record = own.of_record()
    attention = needs_attention(today, subscription="subscription__") & Q(subscription__isnull=False)
    renewing = Q(subscription__renews_on__range=(today, today + queries.RENEWING_WITHIN)) & ~Q(
        subscription__status=Subscription.Status.EXPIRED
    )
    # Three queries: to answer all in one, the database would sort every association by its customer.
    counts = of_record.aggregate(
        of_record=Count("pk"),
        attention=Count("pk", filter=attention),
        renewing=Count("pk", filter=renewing),
        renewing_seats=Sum("subscription__seats", filter=renewing),
    )
    counts["customers"] = own.values("customer").distinct().count()
    counts["own"] = of_record.filter(partner__own_tenant_id=F("customer__tenant_id")).count()
    counts["gaps"] = gaps.count_of_gaps(actor)
    months = last_months(today)
    use = use_of_record(actor, months[0])
    rows = _first_rows(actor, of_record.filter(attention) if counts["attention"] else of_record, months)
    return Figures(
        counts,
        use.workloads,
        [month for month in use.seats if month.active_users is not None],
        rows,
        change_requests.open_requests(actor, [row.subscription.pk for row in rows]),
    )


@dataclass(frozen=True)
class FirstRow:
    """A subscription on the dashboard, with the figures of its small line."""

    subscription: Subscription
    record: Association
    usage: MonthOfUsage | None
    trend: list[int] | list[Decimal]


def _first_rows(actor: Actor, records: AssociationQuerySet, months: Sequence[date]) -> list[FirstRow]:
    order = ("customer__organisation__name", "subscription_id")  # the order BY_CUSTOMER of subscriptions
    first = records.filter(subscription__isnull=False).order_by(*order).values("pk")[:FEW]
    found = Association.objects.filter(pk__in=first).for_listing().order_by(*order)
    pairs = [(record, record.subscription) for record in found if record.subscription is not None]
    usage = usage_by_month(actor, [subscription.pk for _record, subscription in pairs], since=months[0])
    rows = []
    for record, subscription in pairs:
        subscription.customer = record.customer
        use = usage.get(subscription.pk, [])[-figures.MONTHS_SHOWN :]
        rows.append(FirstRow(subscription, record, use[-1] if use else None, trend(use)))
    return rows


def _locations(actor: Actor) -> list[Partner]:
    """Return the active locations: a new partner gives their MPN IDs to its customers."""
    locations = partners_of(actor).filter(kind=Partner.Kind.LOCATION, status=Partner.Status.ACTIVE)
    return list(locations.select_related("organisation").order_by("organisation__name", "pk"))


@require_safe
@only(OrganisationKind.PARTNER)
def partner_location_list(request: Request) -> HttpResponse:
    """Show the locations of a company, each with the MPN ID that its customers enter."""
    actor = request.actor
    shown = Listing(
        request,
        partners_of(actor)
        .filter(kind=Partner.Kind.LOCATION)
        .select_related("organisation")
        .prefetch_related(Prefetch("enrolments", enrolments_visible_to(actor).order_by("program"))),
        order=("organisation__name", "pk"),
        form=LocationFilter(request.GET),
        count_text=locations_text,
    )
    context = shown.context | {"rows": partner_rows(actor, shown.page.rows)}
    return render_page(request, "portal/partner_location_list.html", context, part="list", status=shown.status)


@require_safe
@only(OrganisationKind.PARTNER)
def partner_customer_list(request: Request) -> HttpResponse:
    actor = request.actor
    shown = Listing(
        request,
        customers_visible_to(actor).select_related("organisation"),
        order=("organisation__name", "pk"),
        form=CustomerFilter(request.GET),
        tabs=[
            ListTab("", gettext_lazy("Current"), lambda found: found.filter(_associated(actor))),
            ListTab("former", gettext_lazy("Former"), lambda found: found.filter(~_associated(actor))),
        ],
        count_text=customers_text,
    )
    context = shown.context | {
        "rows": _customer_rows(actor, shown.page.rows),
        "formerly": formerly(request.GET.get("search", "").strip(), [one.organisation for one in shown.page.rows]),
    }
    return render_page(request, "portal/partner_customer_list.html", context, part="list", status=shown.status)


def _associated(actor: Actor) -> Exists:
    """Return the condition that the actor has an association with the customer now."""
    return Exists(Association.objects.open().visible_to(actor).filter(customer=OuterRef("pk")))


@dataclass
class CustomerRow:
    """A customer as one partner sees it: the associations of now, or when the last one ended."""

    customer: Customer
    kinds: list[str]
    of_record: int
    ended_at: datetime | None


def _customer_rows(actor: Actor, customers: Sequence[Customer]) -> list[CustomerRow]:
    rows = {customer.pk: CustomerRow(customer, [], 0, None) for customer in customers}
    totals = (
        Association.objects.not_undone()
        .visible_to(actor)
        .filter(customer__in=rows)
        .values("customer_id", "kind")
        .annotate(now=Count("pk", filter=Q(ended_at=None)), ended_at=Max("ended_at"))
        .order_by("kind")
    )
    for total in totals:
        row = rows[total["customer_id"]]
        if total["now"]:
            row.kinds.append(str(AssociationKind(total["kind"]).label))
        if total["kind"] == AssociationKind.DPOR:
            row.of_record = total["now"]
        row.ended_at = max(filter(None, [row.ended_at, total["ended_at"]]), default=None)
    return list(rows.values())


@require_safe
@only(OrganisationKind.PARTNER)
def partner_customer_detail(request: Request, tenant_id: uuid.UUID) -> HttpResponse:
    actor = request.actor
    customer = customers_visible_to(actor).select_related("organisation").filter(tenant_id=tenant_id).first()
    if customer is None:
        raise NotFound("not_found", NOT_YOURS)
    past = AsOfForm(request.GET)
    past.is_valid()
    as_of = past.day
    associations = Association.objects.begun_by(as_of).visible_to(actor).filter(customer=customer).for_listing()
    live = associations.open(as_of)
    ended = associations.exclude(pk__in=live.values("pk"))
    subscriptions = queries.subscriptions_for_listing(actor, as_of).filter(customer=customer)
    use = use_of_workloads(
        usage_visible_to(actor).filter(
            subscription__customer=customer, month__in=last_months(as_of or timezone.localdate())
        )
    )
    events = events_visible_to(actor).filter(chain=f"organisation:{customer.pk}")
    if as_of:
        events = events.filter(at__lt=end_of(as_of))
    return render(
        request,
        "portal/partner_customer_detail.html",
        {
            "customer": customer,
            "live": live.order_by("-began_at", "-pk")[:SOME],
            "ended": ended.order_by("-ended_at", "-pk")[:SOME],
            "count_text": subscriptions_text(count_of(subscriptions)),
            "rows": queries.rows(actor, list(subscriptions.order_by("product", "pk")[:SOME]), as_of),
            "of_record": live.of_record().exists(),
            "may_invite": not as_of and actor.may(Right.INVITE),
            "people": figures.people(use),
            "money": figures.money(use),
            "events": timeline.items(actor, events.order_by("-id")[:NEWEST]),
            "form": past,
            **as_of_context(request, past),
        },
        status=422 if past.errors else 200,
    )
