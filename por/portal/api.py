"""The lists of customers and of partners over the API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypedDict

from django import forms
from django.db.models import QuerySet
from django.http import HttpResponseBase
from rest_framework.request import Request

from associations.record.access import customers_visible_to
from por.accounts.authentication import actor_of
from por.accounts.models import Actor
from por.api.endpoint import Endpoint
from por.api.lists import filtered, listing
from por.api.schema import Guid, Is, described, page_of
from por.directory.forms import CustomerFilter, named_partner
from por.directory.models import Customer, Partner
from por.portal.queries import customer_rows, partner_rows, partners_visible_to
from por.web.filters import SEARCH_WITHIN, FilterForm, SearchField, check_length


class CustomerRowShape(TypedDict):
    """A customer. The figures count the subscriptions that the caller may see."""

    tenant_id: Guid
    name: str
    domain: str
    country: str
    segment: Annotated[str, Is(enum=["", *Customer.Segment.values])]
    subscriptions: int
    without_partner: int


class CompanyShape(TypedDict):
    """The global account above a location."""

    mpn_id: str
    name: str


class PartnerRowShape(TypedDict):
    """A partner. The figures count the associations of now that the caller may see, of a company with its locations."""

    mpn_id: str
    name: str
    kind: Annotated[str, Is(enum=Partner.Kind.values)]
    company: CompanyShape | None
    city: str
    country: str
    market: Annotated[str, Is(enum=["", *Partner.Market.values])]
    status: Annotated[str, Is(enum=Partner.Status.values)]
    locations: int
    customers: int
    partner_of_record_for: int


class CustomerListFilter(CustomerFilter):
    """The filters of the list of customers. All are optional."""

    domain = forms.CharField(required=False, max_length=253, help_text="The whole domain, in either case.")

    def apply(self, customers: QuerySet[Customer], actor: Actor) -> QuerySet[Customer]:
        if domain := self.cleaned_data["domain"]:
            customers = customers.filter(domain__iexact=domain)
        return super().apply(customers, actor)


class PartnerListFilter(FilterForm):
    """The filters of the list of partners. All are optional."""

    search = SearchField(least=SEARCH_WITHIN)
    market = forms.ChoiceField(choices=Partner.Market.choices, required=False)
    status = forms.ChoiceField(choices=Partner.Status.choices, required=False)

    def apply(self, partners: QuerySet[Partner], actor: Actor) -> QuerySet[Partner]:
        given = self.cleaned_data
        for name in ("market", "status"):
            if given[name]:
                partners = partners.filter(**{name: given[name]})
        if text := given["search"]:
            check_length(text, of_all=actor.is_staff)
            partners = partners.filter(named_partner(text))
        return partners


CUSTOMER_EXAMPLE = {
    "tenant_id": "5d1c6f0e-0f5c-4a55-9a1b-0d6f0c2b7f11",
    "name": "Västerhamn Energi AB",
    "domain": "vasterhamn.example",
    "country": "SE",
    "segment": "enterprise",
    "subscriptions": 12,
    "without_partner": 3,
}
PARTNER_EXAMPLE = {
    "mpn_id": "4471902",
    "name": "Nordvik Cloud AB",
    "kind": "location",
    "company": None,
    "city": "Göteborg",
    "country": "SE",
    "market": "developed",
    "status": "active",
    "locations": 0,
    "customers": 41,
    "partner_of_record_for": 96,
}


class CustomerList(Endpoint):
    @described(
        "customers",
        "Customers",
        """All customers for staff, those that a partner is or was associated with, or the customer itself.""",
        answers={200: CustomerRowShape},
        example=page_of(CUSTOMER_EXAMPLE),
        filters=CustomerListFilter,
        problems={422: ["search_too_short"]},
        is_list=True,
    )
    def get(self, request: Request) -> HttpResponseBase:
        actor = actor_of(request)
        found = customers_visible_to(actor).select_related("organisation")
        return listing(
            request,
            filtered(request, CustomerListFilter).apply(found, actor),
            lambda page: _customers(actor, page),
            order=("pk",),
            columns=list(CUSTOMER_EXAMPLE),
            name="customers",
        )


def _customers(actor: Actor, page: Sequence[Customer]) -> list[CustomerRowShape]:
    return [
        {
            "tenant_id": str(row.customer.tenant_id),
            "name": row.customer.organisation.name,
            "domain": row.customer.domain,
            "country": row.customer.country,
            "segment": row.customer.segment,
            "subscriptions": row.subscriptions,
            "without_partner": row.without_partner,
        }
        for row in customer_rows(actor, page)
    ]


class PartnerList(Endpoint):
    @described(
        "partners",
        "Partners",
        """All partners for staff, a partner's own company with its locations, or those that are associated with a
        customer now.""",
        answers={200: PartnerRowShape},
        example=page_of(PARTNER_EXAMPLE),
        filters=PartnerListFilter,
        problems={422: ["search_too_short"]},
        is_list=True,
    )
    def get(self, request: Request) -> HttpResponseBase:
        actor = actor_of(request)
        found = partners_visible_to(actor).select_related("organisation__parent")
        columns: dict[str, Any] = PARTNER_EXAMPLE
        return listing(
            request,
            filtered(request, PartnerListFilter).apply(found, actor),
            lambda page: _partners(actor, page),
            order=("pk",),
            columns=["company.mpn_id" if name == "company" else name for name in columns],
            name="partners",
        )


def _partners(actor: Actor, page: Sequence[Partner]) -> list[PartnerRowShape]:
    return [
        {
            "mpn_id": row.partner.mpn_id,
            "name": row.partner.organisation.name,
            "kind": row.partner.kind,
            "company": _company(row.partner),
            "city": row.partner.city,
            "country": row.partner.country,
            "market": row.partner.market,
            "status": row.partner.status,
            "locations": row.locations,
            "customers": row.customers,
            "partner_of_record_for": row.of_record,
        }
        for row in partner_rows(actor, page)
    ]


def _company(partner: Partner) -> CompanyShape | None:
    above = partner.organisation.parent
    return None if above is None else {"mpn_id": above.number, "name": above.name}
