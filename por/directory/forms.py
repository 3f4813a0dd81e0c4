"""The filters of lists of partners and of customers."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from por.accounts.models import Actor, FormerName
from por.db.prepared import PreparedQuery
from por.directory.actions import malformed
from por.directory.models import Customer, Partner
from por.directory.rules import normal_mpn_id
from por.web.filters import SEARCH_WITHIN, Choices, FilterForm, SearchField, check_length, ids_from
from por.web.formatting import country_text


def _countries() -> list[tuple[str, Any]]:
    """Return the countries with partners, named and sorted in the reader's language."""
    named = ((code, country_text(code)) for (code,) in _COUNTRIES.values())
    return [("", _("All countries")), *sorted(named, key=lambda one: one[1])]


_COUNTRIES: PreparedQuery[Any] = PreparedQuery(
    lambda: Partner.objects.exclude(country="").order_by("country").values_list("country").distinct()
)


class MpnIdField(forms.CharField):
    """An MPN ID of a filter: empty, or as it is stored, however it is written."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)

    def clean(self, value: Any) -> str:
        text: str = super().clean(value)
        mpn_id = normal_mpn_id(text) if text else ""
        if mpn_id is None:
            raise forms.ValidationError(malformed(text), code="mpn_id_malformed")
        return mpn_id


class PartnerFilter(FilterForm):
    """The filters of the staff's list of partners."""

    has_time_limit = True

    search = SearchField()
    kind = forms.ChoiceField(
        label=_("Type"), choices=[("", _("All types")), *Partner.Kind.choices], required=False, widget=Choices
    )
    status = forms.ChoiceField(
        label=_("Status"), choices=[("", _("All statuses")), *Partner.Status.choices], required=False, widget=Choices
    )
    market = forms.ChoiceField(
        label=_("Market"), choices=[("", _("All markets")), *Partner.Market.choices], required=False, widget=Choices
    )
    country = forms.ChoiceField(label=_("Country"), required=False, widget=Choices)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["country"].choices = _countries()  # type: ignore[attr-defined]  # read once, not at each use

    def apply(self, partners: QuerySet[Partner], actor: Actor) -> QuerySet[Partner]:
        given: dict[str, Any] = self.cleaned_data
        for name in ("kind", "status", "market", "country"):
            if given[name]:
                partners = partners.filter(**{name: given[name]})
        if text := given["search"]:
            partners = partners.filter(named_partner(text))
        return partners


class LocationFilter(FilterForm):
    """The filter of a company's list of its locations: a part of a name, or an MPN ID."""

    has_time_limit = True

    search = SearchField(least=SEARCH_WITHIN)

    def apply(self, partners: QuerySet[Partner], actor: Actor) -> QuerySet[Partner]:
        text = self.cleaned_data["search"]
        return partners.filter(named_partner(text)) if text else partners


def named_partner(text: str) -> Q:
    """Return the condition that a partner has this part of a name, or this MPN ID."""
    return Q(organisation__name__icontains=text) | _formerly(text) | Q(mpn_id=normal_mpn_id(text) or text)


def _formerly(text: str) -> Q:
    """Return the condition that a partner or a customer had this part of a name before."""
    return Q(pk__in=FormerName.objects.filter(name__icontains=text).values("organisation"))


class CustomerFilter(FilterForm):
    """The filter of a list of customers: a part of a name or of a domain, or the beginning of a tenant ID."""

    has_time_limit = True

    search = SearchField(least=SEARCH_WITHIN)

    def apply(self, customers: QuerySet[Customer], actor: Actor) -> QuerySet[Customer]:
        if text := self.cleaned_data["search"]:
            check_length(text, of_all=actor.is_staff)
            named = Q(organisation__name__icontains=text) | _formerly(text) | Q(domain__icontains=text)
            if ids := ids_from(text):
                named |= Q(tenant_id__range=ids)
            customers = customers.filter(named)
        return customers
