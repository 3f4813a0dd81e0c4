"""The gap finder of customers and of partners: each gap, why it is one, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from django.db.models import Q, QuerySet
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from associations.gaps.forms import GapFilter
from associations.gaps.queries import all_gaps, at_risk, by_kind, gaps_of, lost, totals, without
from associations.record.former import show_as_seen
from associations.record.queries import BY_CUSTOMER, BY_PRODUCT
from associations.subscriptions.exports import chunks
from associations.subscriptions.views.listing import subscription_page
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.directory.models import Subscription
from por.web.lists import ListTab, csv_file

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText


@require_safe
@only(OrganisationKind.CUSTOMER)
def customer_gaps(request: Request) -> HttpResponseBase:
    return _page(request, BY_PRODUCT)


@require_safe
@only(OrganisationKind.PARTNER)
def partner_gaps(request: Request) -> HttpResponseBase:
    return _page(request, BY_CUSTOMER)


@require_safe
@only(OrganisationKind.STAFF)
def staff_gaps(request: Request) -> HttpResponseBase:
    """Show the subscriptions of all customers without a partner of record, to find out why and who may help."""
    return subscription_page(
        request,
        "gaps/gap_list.html",
        _staff_tabs,
        order=BY_CUSTOMER,
        filters=GapFilter,
        file=_csv,
        with_record=False,
        more=lambda _list, rows, _day: {"gaps": gaps_of(request.actor, rows)},
    )


def _staff_tabs(actor: Actor, _day: date | None) -> list[ListTab]:
    """Return one tab: to count every kind of gap of all customers would take long."""
    return [ListTab("", gettext_lazy("No partner of record"), lambda found: found.filter(without(actor)))]


def _page(request: Request, order: Sequence[str]) -> HttpResponseBase:
    actor = request.actor
    return subscription_page(
        request,
        "gaps/gap_list.html",
        _tabs,
        order=order,
        filters=GapFilter,
        by_kind=by_kind,
        totals=totals,
        file=_csv,
        with_record=False,
        more=lambda _list, rows, _day: {"gaps": gaps_of(actor, rows)},
    )


def _tabs(actor: Actor, _day: date | None) -> list[ListTab]:
    """Return the tabs: all gaps, then each kind. Their keys are those of counts()."""

    def tab(key: str, label: LazyText, condition: Callable[[Actor], Q]) -> ListTab:
        return ListTab(key, label, lambda found: found.filter(condition(actor)))

    return [
        tab("", gettext_lazy("All gaps"), all_gaps),
        tab("none", gettext_lazy("No partner of record"), without),
        tab("risk", gettext_lazy("At risk"), at_risk),
        tab("lost", gettext_lazy("Lost when replaced"), lost),
    ]


COLUMNS = [
    *("subscription_id", "customer", "tenant_id", "product", "sku", "agreement", "seats", "status", "renews_on"),
    *("gap", "why", "since", "partner", "mpn_id", "what_to_do", "probably_renews", "its_partner"),
]


def _csv(actor: Actor, found: QuerySet[Subscription], _day: date | None) -> StreamingHttpResponse:
    return csv_file(_("gaps"), COLUMNS, _rows(actor, found))


def _rows(actor: Actor, found: QuerySet[Subscription]) -> Iterator[list[Any]]:
    for chunk in chunks(found):
        show_as_seen(actor, chunk)
        for gap in gaps_of(actor, chunk):
            one = gap.subscription
            yield [
                one.subscription_id,
                one.customer.organisation.name,
                one.customer.tenant_id,
                one.product,
                one.sku.string_id if one.sku else None,
                one.agreement,
                one.seats,
                one.status,
                one.renews_on,
                gap.why.value,
                gap.why.label,
                gap.since,
                gap.partner.organisation.name if gap.partner else None,
                gap.partner.mpn_id if gap.partner else None,
                gap.to_do,
                " ".join(str(one.subscription.subscription_id) for one in gap.predecessors) or None,
                " ".join(one.partner.mpn_id for one in gap.predecessors) or None,
            ]
