"""The filters of lists of subscriptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Self

from django import forms
from django.db.models import Exists, QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from associations.record.access import (
    Reader,
    customers_visible_to,
    few_keys,
    key_of_own,
    restrict_to_ids,
    restricted,
    subscriptions_visible_to,
)
from associations.record.former import renews_before, with_status
from associations.record.queries import for_listing, held, subscriptions_for_listing
from associations.subscriptions.schemas import subscription_values
from associations.subscriptions.searching import Matches, SearchShape, matches_of
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.db.keyset import Prepared, Shape
from por.db.prepared import Param, PreparedQuery
from por.directory.actions import malformed
from por.directory.models import Partner, Subscription
from por.directory.rules import Agreement, Product, normal_mpn_id
from por.web.filters import SEARCH_WITHIN, AsOfForm, Choices, SearchField, shares_fields

#: Filters that are part of the SQL of a prepared list, and those whose values are Params.
_CHOICES = ("product", "agreement", "status", "partner_of_record")
_VALUES = ("renews_before", "tenant_id", "holder")
#: In place of a partner's MPN ID in the SQL, where its key is a Param.
_HOLDER = "a partner"
#: What few_keys returns.
Few = tuple[list[int], list[int]] | None


_BY_MPN_ID: PreparedQuery[Any] = PreparedQuery(lambda: Partner.objects.filter(mpn_id=Param("mpn_id")).values_list("pk"))


@shares_fields
class SubscriptionFilter(AsOfForm):
    """The filters of a list of subscriptions, the same on pages and in the API; all may be left out."""

    product = forms.ChoiceField(
        label=_("Product"), choices=[("", _("All products")), *Product.choices], required=False, widget=Choices
    )
    agreement = forms.ChoiceField(
        label=_("Agreement"), choices=[("", _("All agreements")), *Agreement.choices], required=False, widget=Choices
    )
    status = forms.ChoiceField(
        label=_("Status"),
        choices=[("", _("All statuses")), *Subscription.Status.choices],
        required=False,
        widget=Choices,
    )
    partner_of_record = forms.CharField(label=_("Partner of record"), required=False)  # `none` or an MPN ID
    search = SearchField(least=SEARCH_WITHIN)
    renews_before = forms.DateField(label=_("Renews before"), required=False)
    tenant_id = forms.UUIDField(label=_("Customer"), required=False)

    def clean_partner_of_record(self) -> str:
        text: str = self.cleaned_data["partner_of_record"].strip()
        if not text or text == "none":
            return text
        mpn_id = normal_mpn_id(text)
        if mpn_id is None:
            message = malformed(text, _("Enter an MPN ID, or “none”."))
            raise forms.ValidationError(message, code="mpn_id_malformed")
        return mpn_id

    def apply(self, subscriptions: QuerySet[Subscription], actor: Actor) -> QuerySet[Subscription]:
        """Return those that match. A partner of record is found by ID or name only if the actor may know who it is."""
        return _matching(subscriptions, actor, self._given, self._search(actor), self.day)

    def listed(self, actor: Actor) -> QuerySet[Subscription, Any] | Prepared:
        """Return the subscription_values that match and the actor may see.

        They are prepared, except as of a day: the SQL depends on the filters that are used, and on what a search finds.
        """
        if self.day:
            visible = restrict_to_ids(subscriptions_for_listing(actor, self.day), actor)
            return subscription_values(self.apply(visible, actor), self.day)
        given, search, few = self._given, self._search(actor), few_keys(actor)
        if given["partner_of_record"] not in ("", "none"):
            given["partner_of_record"] = _HOLDER
        shape = ListShape.of(actor, few, given, search)
        return Prepared(Subscription, shape, params(actor, few, given, search))

    @property
    def is_simple(self) -> bool:
        """Return whether the SQL of the filters depends on nothing but which of them are used."""
        given = self.cleaned_data
        return not (self.day or given["search"] or given["partner_of_record"] not in ("", "none"))

    @property
    def _given(self) -> dict[str, Any]:
        """Return the values of the filters, with the key of the partner that is named as the holder, 0 for none."""
        given, holder = self.cleaned_data, None
        if given["partner_of_record"] not in ("", "none"):
            # By key, which a query of its own finds first: so the planner knows how many rows a large partner has.
            holder = next((pk for (pk,) in _BY_MPN_ID.values(mpn_id=given["partner_of_record"])), 0)
        return {**given, "holder": holder}

    def _search(self, actor: Actor) -> Matches | None:
        text: str = self.cleaned_data["search"]
        return matches_of(text, actor, self.day) if text else None

    def words(self, actor: Actor) -> dict[str, str]:
        words = {}
        if self.cleaned_data["partner_of_record"] == "none":
            words["partner_of_record"] = gettext("No partner")
        if tenant_id := self.cleaned_data["tenant_id"]:
            visible = customers_visible_to(actor).select_related("organisation")
            words["tenant_id"] = str(visible.filter(tenant_id=tenant_id).first() or tenant_id)
        return words


def _matching(
    subscriptions: QuerySet[Subscription],
    actor: Actor,
    given: Mapping[str, Any],
    search: Matches | None,
    day: date | None = None,
) -> QuerySet[Subscription]:
    """Return the subscriptions that match these filters; their values, and those of the search, may be Params."""
    for name in ("product", "agreement"):
        if given[name]:
            subscriptions = subscriptions.filter(**{name: given[name]})
    if given["status"]:
        subscriptions = subscriptions.filter(with_status(actor, given["status"]))
    if given["renews_before"]:
        subscriptions = subscriptions.filter(renews_before(actor, given["renews_before"]))
    if given["tenant_id"]:
        subscriptions = subscriptions.filter(customer__tenant_id=given["tenant_id"])
    if given["partner_of_record"]:
        of_record = held(day)
        if given["partner_of_record"] == "none":
            subscriptions = subscriptions.filter(~Exists(of_record))
        else:
            subscriptions = subscriptions.filter(Exists(of_record.visible_to(actor).filter(partner=given["holder"])))
    return subscriptions.filter(search.condition(actor, day)) if search else subscriptions


def params(actor: Actor, few: Few, given: Mapping[str, Any], search: Matches | None = None) -> dict[str, Any]:
    """Return the values of the Params of a shape."""
    ids, customers = few or ([], [])
    values = {name: given.get(name) for name in _VALUES} | (search.params if search else {})
    return values | {"organisation": actor.organisation_id, "ids": ids, "customers": customers}


@dataclass(frozen=True)
class ListShape(Shape):
    """What the SQL of a list of subscriptions depends on: the reader, its choices, which values they give, its search.

    `few` is whether a small partner has subscriptions, and tenants; None for other readers.
    """

    reader: Reader
    few: tuple[bool, bool] | None
    choices: tuple[str, ...]
    values: tuple[bool, ...]
    search: SearchShape | None = None

    @classmethod
    def of(cls, actor: Actor, few: Few, given: Mapping[str, Any], search: Matches | None = None) -> Self:
        """Return the shape for the reader and filters; without filters for an empty mapping."""
        return cls(
            Reader.of(actor),
            few and (bool(few[0]), bool(few[1])),
            choices=tuple(given.get(name, "") for name in _CHOICES),
            values=tuple(given.get(name) is not None for name in _VALUES),
            search=search.shape if search else None,
        )

    @property
    def planned_each_time(self) -> bool:
        # How many rows are renewed before a day, belong to a partner or match a text depends on these.
        renews_before, _tenant_id, holder = self.values
        return renews_before or holder or self.search is not None

    def rows(self) -> QuerySet[Subscription, Any]:
        return subscription_values(self.filtered(self.restricted(subscriptions_for_listing(self.reader.actor()))))

    def first_rows(self, order: tuple[str, ...], size: int, after: Sequence[Any] | None) -> QuerySet[Subscription, Any]:
        """Return the part of the list up to the last of its first rows, if an index finds that one.

        A large partner's list without filters, in the order of keys, has at least what its associations name.
        """
        actor, whole = self.reader.actor(), ListShape(self.reader, None, ("",) * len(_CHOICES), (False,) * len(_VALUES))
        if self != whole or actor.kind != OrganisationKind.PARTNER or actor.below or order != ("pk",):
            return self.rows()
        until = key_of_own(actor, size, after[0] if after else None)
        return subscription_values(for_listing(subscriptions_visible_to(actor, until)))

    def restricted(self, visible: QuerySet[Subscription]) -> QuerySet[Subscription]:
        """Return the same subscriptions; of a small partner by their keys."""
        if self.few is None:
            return visible
        has_ids, has_customers = self.few
        ids: Param | list[int] = Param("ids") if has_ids else []
        customers: Param | list[int] = Param("customers") if has_customers else []
        return restricted(visible, ids, customers)

    def filtered(self, subscriptions: QuerySet[Subscription]) -> QuerySet[Subscription]:
        """Return those that match the filters."""
        values = {name: Param(name) if has else None for name, has in zip(_VALUES, self.values, strict=True)}
        chosen = dict(zip(_CHOICES, self.choices, strict=True))
        search = self.search.matches if self.search else None
        return _matching(subscriptions, self.reader.actor(), chosen | values, search)
