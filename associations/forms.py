"""What a person types: the filters of lists, and the steps of attaching and removing."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from associations.models import Association
from por.directory.models import Subscription
from por.directory.rules import Agreement, Product, normal_mpn_id

SEARCH_FROM = 3  # characters


class SubscriptionFilter(forms.Form):
    """The filters of a list of subscriptions, the same on pages and in the API; all may be left out."""

    product = forms.ChoiceField(label=_("Product"), choices=[("", _("All products")), *Product.choices], required=False)
    agreement = forms.ChoiceField(
        label=_("Agreement"), choices=[("", _("All agreements")), *Agreement.choices], required=False
    )
    status = forms.ChoiceField(
        label=_("Status"), choices=[("", _("Any status")), *Subscription.Status.choices], required=False
    )
    partner_of_record = forms.CharField(label=_("Partner of record"), required=False)  # `none` or an MPN ID
    search = forms.CharField(label=_("Search"), required=False, max_length=100)
    renews_before = forms.DateField(label=_("Renews before"), required=False)
    tenant_id = forms.UUIDField(label=_("Customer"), required=False)

    def clean_partner_of_record(self) -> str:
        text: str = self.cleaned_data["partner_of_record"].strip()
        if not text or text == "none":
            return text
        mpn_id = normal_mpn_id(text)
        if mpn_id is None:
            raise forms.ValidationError(_("Give an MPN ID, or none."), code="mpn_id_malformed")
        return mpn_id

    def clean_search(self) -> str:
        text: str = self.cleaned_data["search"].strip()
        if text and len(text) < SEARCH_FROM:
            raise forms.ValidationError(
                _("Search for at least %(count)s characters.") % {"count": SEARCH_FROM}, code="search_too_short"
            )
        return text

    def apply(self, subscriptions: QuerySet[Subscription]) -> QuerySet[Subscription]:
        """Those that match. An associated partner's ID finds only what the list already holds of it."""
        given: dict[str, Any] = self.cleaned_data
        for name in ("product", "agreement", "status"):
            if given[name]:
                subscriptions = subscriptions.filter(**{name: given[name]})
        if given["renews_before"]:
            subscriptions = subscriptions.filter(renews_on__lt=given["renews_before"])
        if given["tenant_id"]:
            subscriptions = subscriptions.filter(customer__tenant_id=given["tenant_id"])
        if given["partner_of_record"]:
            held = Association.objects.open().of_record().filter(subscription=OuterRef("pk"))
            if given["partner_of_record"] == "none":
                subscriptions = subscriptions.filter(~Exists(held))
            else:
                subscriptions = subscriptions.filter(Exists(held.filter(partner__mpn_id=given["partner_of_record"])))
        if given["search"]:
            subscriptions = subscriptions.filter(self._found(given["search"]))
        return subscriptions

    @staticmethod
    def _found(text: str) -> Q:
        found = (
            Q(customer__organisation__name__icontains=text)
            | Q(customer__domain__icontains=text)
            | Q(sku__name__icontains=text)
        )
        products = [value for value, label in Product.choices if text.casefold() in str(label).casefold()]
        found |= Q(product__in=products)
        try:
            return found | Q(subscription_id=uuid.UUID(text)) | Q(customer__tenant_id=uuid.UUID(text))
        except ValueError:
            return found


class CheckForm(forms.Form):
    """Step one of attaching: the partner's MPN ID as typed. What it may look like is Check ID's to say."""

    mpn_id = forms.CharField(label=_("Partner’s MPN ID"), max_length=40)
