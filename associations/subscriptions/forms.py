"""The filters of lists of subscriptions, and the search by name behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

from django import forms
from django.db.models import Exists, OuterRef, Q, QuerySet, Value
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from associations.record.access import (
    FEW,
    Reader,
    customers_visible_to,
    few_ids,
    few_keys,
    restrict_to_ids,
    restricted,
)
from associations.record.models import Association
from associations.record.queries import subscriptions_for_listing
from associations.subscriptions.schemas import subscription_values
from por.accounts.models import Actor, Organisation
from por.accounts.rules import OrganisationKind
from por.db.keyset import Prepared
from por.db.prepared import Param
from por.directory.models import Customer, Partner, Sku, Subscription
from por.directory.rules import Agreement, Product, normal_mpn_id
from por.web.filters import AsOfForm, SearchField, ids_from

#: Filters that are part of the SQL of a prepared list, and those whose values are Params.
_CHOICES = ("product", "agreement", "status", "partner_of_record")
_VALUES = ("renews_before", "tenant_id")


class SubscriptionFilter(AsOfForm):
    """The filters of a list of subscriptions, the same on pages and in the API; all may be left out."""

    product = forms.ChoiceField(label=_("Product"), choices=[("", _("All products")), *Product.choices], required=False)
    agreement = forms.ChoiceField(
        label=_("Agreement"), choices=[("", _("All agreements")), *Agreement.choices], required=False
    )
    status = forms.ChoiceField(
        label=_("Status"), choices=[("", _("All statuses")), *Subscription.Status.choices], required=False
    )
    partner_of_record = forms.CharField(label=_("Partner of record"), required=False)  # `none` or an MPN ID
    search = SearchField()
    renews_before = forms.DateField(label=_("Renews before"), required=False)
    tenant_id = forms.UUIDField(label=_("Customer"), required=False)

    def clean_partner_of_record(self) -> str:
        text: str = self.cleaned_data["partner_of_record"].strip()
        if not text or text == "none":
            return text
        mpn_id = normal_mpn_id(text)
        if mpn_id is None:
            raise forms.ValidationError(_("Enter an MPN ID, or “none”."), code="mpn_id_malformed")
        return mpn_id

    def apply(self, subscriptions: QuerySet[Subscription], actor: Actor) -> QuerySet[Subscription]:
        """Return those that match. A partner of record is found by ID or name only if the actor may know who it is."""
        given: dict[str, Any] = self.cleaned_data
        for name in ("product", "agreement", "status"):
            if given[name]:
                subscriptions = subscriptions.filter(**{name: given[name]})
        if given["renews_before"]:
            subscriptions = subscriptions.filter(renews_on__lt=given["renews_before"])
        if given["tenant_id"]:
            subscriptions = subscriptions.filter(customer__tenant_id=given["tenant_id"])
        if given["partner_of_record"]:
            held = Association.objects.open(self.day).of_record().filter(subscription=OuterRef("pk"))
            if given["partner_of_record"] == "none":
                subscriptions = subscriptions.filter(~Exists(held))
            else:
                # By key, which a query of its own finds first: so the planner knows how many rows a large partner has.
                key = Partner.objects.filter(mpn_id=given["partner_of_record"]).values_list("pk", flat=True).first()
                subscriptions = subscriptions.filter(Exists(held.visible_to(actor).filter(partner=key or 0)))
        if given["search"]:
            subscriptions = subscriptions.filter(self._found(given["search"], actor))
        return subscriptions

    def listed(self, actor: Actor) -> QuerySet[Subscription, Any] | Prepared:
        """Return the subscription_values that match and the actor may see.

        They are prepared, unless their SQL depends on more than the filters that are used.
        """
        given = self.cleaned_data
        if self.day or given["search"] or given["partner_of_record"] not in ("", "none"):
            visible = restrict_to_ids(subscriptions_for_listing(actor, self.day), actor)
            return subscription_values(self.apply(visible, actor))
        few = few_keys(actor)
        shape = ListShape(
            Reader.of(actor),
            few and (bool(few[0]), bool(few[1])),
            choices=tuple(given[name] for name in _CHOICES),
            values=tuple(bool(given[name]) for name in _VALUES),
        )
        ids, customers = few or ([], [])
        values = {name: given[name] for name in _VALUES}
        of_reader = {"organisation": actor.organisation_id, "ids": ids, "customers": customers}
        return Prepared(Subscription, shape, values | of_reader)

    def words(self, actor: Actor) -> dict[str, str]:
        words = {}
        if self.cleaned_data["partner_of_record"] == "none":
            words["partner_of_record"] = gettext("No partner")
        if tenant_id := self.cleaned_data["tenant_id"]:
            visible = customers_visible_to(actor).select_related("organisation")
            words["tenant_id"] = str(visible.filter(tenant_id=tenant_id).first() or tenant_id)
        return words

    def _found(self, text: str, actor: Actor) -> Q:
        """Return the condition that a name, a domain or an id matches, as keys: so indexes find the subscriptions."""
        matches = NameMatches.of(text)
        found = matches.condition("customer") | Q(sku__in=matches.skus)
        if matches.partners:
            held = Association.objects.open(self.day).of_record().visible_to(actor).filter(matches.condition("partner"))
            few = few_ids(held.values_list("subscription", flat=True))
            found |= Q(Exists(held.filter(subscription=OuterRef("pk")))) if few is None else Q(pk__in=few)
        found |= Q(product__in=[value for value, label in Product.choices if text.casefold() in str(label).casefold()])
        ids = ids_from(text)
        return found | Q(subscription_id__range=ids) if ids else found


@dataclass(frozen=True)
class ListShape:
    """What the SQL of a list of subscriptions depends on: the reader, its choices, and which values they give.

    `few` is whether a small partner has subscriptions, and tenants; None for other readers.
    """

    reader: Reader
    few: tuple[bool, bool] | None
    choices: tuple[str, ...]
    values: tuple[bool, ...]

    @property
    def planned_each_time(self) -> bool:
        # How many rows are renewed before a day depends on the day.
        return self.values[0]

    def rows(self) -> QuerySet[Subscription, Any]:
        actor = self.reader.actor()
        visible = subscriptions_for_listing(actor)
        if self.few is not None:
            has_ids, has_customers = self.few
            ids: Param | list[int] = Param("ids") if has_ids else []
            customers: Param | list[int] = Param("customers") if has_customers else []
            visible = restricted(visible, ids, customers)
        filters = SubscriptionFilter()
        params = {name: Param(name) if has else None for name, has in zip(_VALUES, self.values, strict=True)}
        chosen = dict(zip(_CHOICES, self.choices, strict=True))
        filters.cleaned_data = {"as_of": None, "search": "", **chosen, **params}
        return subscription_values(filters.apply(visible, actor))


@dataclass(frozen=True)
class NameMatches:
    """The keys of the customers, partners and SKUs with a text in their name. It only narrows down what a reader sees.

    Where more than FEW match, any page of rows has some of them: then the database checks each row instead.
    """

    text: str
    customers: list[int]
    partners: list[int]
    skus: list[int]

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the matches of the text, by one query over the trigram indexes. Eight digits of an id match too."""
        named = Organisation.objects.filter(name__icontains=text)
        found: dict[str, list[int]] = {"customer": [], "partner": [], "sku": []}
        parts: list[tuple[str, QuerySet[Any]]] = [
            ("customer", named.filter(kind=OrganisationKind.CUSTOMER)),
            ("customer", Customer.objects.filter(domain__icontains=text)),
            ("partner", named.filter(kind=OrganisationKind.PARTNER)),
            ("partner", Partner.objects.filter(mpn_id=text)),
        ]
        if ids := ids_from(text):
            parts.append(("customer", Customer.objects.filter(tenant_id__range=ids)))
        skus = Sku.objects.filter(name__icontains=text).values_list(Value("sku"), "pk")  # a catalogue: hundreds
        for kind, pk in skus.union(*(part.values_list(Value(kind), "pk")[: FEW + 1] for kind, part in parts), all=True):
            found[kind].append(pk)
        return cls(text, found["customer"], found["partner"], found["sku"])

    def condition(self, kind: Literal["customer", "partner"]) -> Q:
        """Return the condition that the customer, or the partner, of a row is one of the matches."""
        keys: list[int] = getattr(self, f"{kind}s")
        if len(keys) <= FEW:
            return Q(**{f"{kind}__in": keys})
        named = Q(**{f"{kind}__organisation__name__icontains": self.text})
        if kind == "partner":
            return named | Q(partner__mpn_id=self.text)
        named |= Q(customer__domain__icontains=self.text)
        ids = ids_from(self.text)
        return named | Q(customer__tenant_id__range=ids) if ids else named
