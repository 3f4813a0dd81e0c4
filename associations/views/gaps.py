"""The gap finder, for customers and for partners: what is a gap, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from itertools import islice
from typing import TYPE_CHECKING, Any

from django.db.models import Q, QuerySet
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from associations.forms import GapFilter
from associations.reading import gaps
from associations.views.listing import subscription_page
from associations.views.shared import BY_CUSTOMER, BY_PRODUCT
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import Kind
from por.directory.models import Subscription
from por.http import View, csv_file, only

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

CHUNK = 500


@require_safe
@only(Kind.CUSTOMER)
def customer_gaps(request: Request) -> HttpResponseBase:
    return _page(request, BY_PRODUCT)


@require_safe
@only(Kind.PARTNER)
def partner_gaps(request: Request) -> HttpResponseBase:
    return _page(request, BY_CUSTOMER)


def _page(request: Request, order: Sequence[str]) -> HttpResponseBase:
    actor = request.actor
    return subscription_page(
        request,
        "associations/gap_list.html",
        lambda _day: _views(actor),
        order=order,
        filters=GapFilter,
        file=_csv,
        more=lambda _all, rows, _day: {"gaps": gaps.gaps_of(actor, rows)},
    )


def _views(actor: Actor) -> list[View]:
    """No subscription is in two of those that follow the first."""

    def view(key: str, label: LazyText, condition: Callable[[Actor], Q]) -> View:
        return View(key, label, lambda found: found.filter(condition(actor)))

    return [
        view("", gettext_lazy("All gaps"), gaps.all_gaps),
        view("none", gettext_lazy("No partner of record"), gaps.without),
        view("risk", gettext_lazy("At risk"), gaps.at_risk),
        view("lost", gettext_lazy("Lost when replaced"), gaps.lost),
    ]


COLUMNS = [
    *("subscription_id", "customer", "tenant_id", "product", "sku", "agreement", "seats", "status", "renews_on"),
    *("gap", "why", "since", "partner", "mpn_id", "what_to_do"),
]


def _csv(actor: Actor, found: QuerySet[Subscription], _day: date | None) -> StreamingHttpResponse:
    return csv_file(_("gaps"), COLUMNS, _rows(actor, found))


def _rows(actor: Actor, found: QuerySet[Subscription]) -> Iterator[list[Any]]:
    subscriptions = found.iterator(chunk_size=CHUNK)
    while chunk := list(islice(subscriptions, CHUNK)):
        for gap in gaps.gaps_of(actor, chunk):
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
            ]
