"""The search of subscriptions by a name, a domain or an ID: first the keys that match, then their subscriptions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache, reduce
from operator import or_
from typing import Any, Literal

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Value

from associations.record.access import FEW, Reader
from associations.record.models import Association, AssociationQuerySet
from por.accounts.models import Actor, FormerName, Organisation
from por.accounts.rules import OrganisationKind
from por.db.prepared import AnyOf, Param, PreparedQuery
from por.directory.models import Customer, Partner, Sku
from por.directory.rules import Product
from por.web.filters import SEARCH_FROM, check_length, ids_from

Kind = Literal["customer", "partner"]
#: In place of more than FEW keys: any page of rows has some of them, so the database checks each row instead.
MANY = "many"


@dataclass(frozen=True)
class Matches:
    """What a text matches, as values or as Params: keys, or MANY in place of them; None where nothing matches.

    `subscriptions` are those whose partner of record is one of the partners, and which the reader may know.
    """

    text: Any
    customers: Any = None
    partners: Any = None
    skus: Any = None
    products: Any = None
    subscriptions: Any = None
    first_id: Any = None
    last_id: Any = None

    @property
    def shape(self) -> SearchShape:
        return SearchShape(
            tuple((name, MANY if value == MANY else value is not None) for name, value in vars(self).items())
        )

    @property
    def params(self) -> dict[str, Any]:
        return {f"search_{name}": value for name, value in vars(self).items()}

    def condition(self, actor: Actor, day: date | None) -> Q:
        """Return the condition that a subscription matches. It only narrows down what a reader sees."""
        found = [Q(AnyOf(F(name), keys)) for name, keys in self._keys.items() if keys is not None and keys != MANY]
        if self.customers == MANY:
            found.append(self.named("customer"))
        if self.subscriptions == MANY:
            found.append(Q(Exists(self.held(actor, day).filter(subscription=OuterRef("pk")))))
        if self.first_id is not None:
            found.append(Q(subscription_id__gte=self.first_id, subscription_id__lte=self.last_id))
        return reduce(or_, found) if found else Q(pk__in=[])

    @property
    def _keys(self) -> dict[str, Any]:
        return {"customer": self.customers, "sku": self.skus, "product": self.products, "pk": self.subscriptions}

    def held(self, actor: Actor, day: date | None) -> AssociationQuerySet:
        """Return the record with one of the partners, as far as the actor may know it."""
        of_record = Association.objects.open(day).of_record().visible_to(actor)
        return of_record.filter(self.named("partner") if self.partners == MANY else AnyOf(F("partner"), self.partners))

    def named(self, kind: Kind) -> Q:
        """Return the condition that the customer, or partner, of a row has the text in a name, its domain or its ID."""
        former = FormerName.objects.filter(organisation=OuterRef(kind), name__icontains=self.text)
        named = Q(**{f"{kind}__organisation__name__icontains": self.text}) | Q(Exists(former))
        if kind == "partner":
            return named | Q(partner__mpn_id=self.text)
        named |= Q(customer__domain__icontains=self.text)
        if self.first_id is None:
            return named
        return named | Q(customer__tenant_id__gte=self.first_id, customer__tenant_id__lte=self.last_id)


@dataclass(frozen=True)
class SearchShape:
    """What the SQL of a search depends on: which of the Matches there are, and of which there are MANY."""

    parts: tuple[tuple[str, bool | str], ...]

    @property
    def matches(self) -> Matches:
        """Return the matches with Params in place of values."""
        return Matches(
            **{name: MANY if has == MANY else Param(f"search_{name}") if has else None for name, has in self.parts}
        )


def matches_of(text: str, actor: Actor, day: date | None) -> Matches:
    """Return what the text matches: by one query over the trigram indexes, and one more where partners match.

    No index finds two characters: there the database checks the names of each row that the reader may see. Raise
    Refused for a reader of all rows.
    """
    check_length(text, of_all=actor.is_staff)
    ids = ids_from(text)
    given = {"text": text, "first_id": ids and ids[0], "last_id": ids and ids[1]}
    found: dict[str, set[Any]] = {"customer": set(), "partner": set(), "sku": set()}
    customers: list[Any] | str | None = MANY
    partners: list[Any] | str | None = MANY
    if len(text) < SEARCH_FROM:
        found["sku"].update(Sku.objects.filter(name__icontains=text).values_list("pk", flat=True))
    else:
        for kind, pk in _names(has_ids=ids is not None, few=FEW).values(**given):
            found[kind].add(pk)
        customers, partners = _few(sorted(found["customer"])), _few(sorted(found["partner"]))
    products = [value for value, label in Product.choices if text.casefold() in str(label).casefold()]
    matches = Matches(
        **given,
        customers=customers,
        partners=partners,
        skus=_few(sorted(found["sku"])),
        products=products or None,
    )
    if matches.partners is None:
        return matches
    if day is None:
        held = _held(Reader.of(actor), matches.shape, FEW)
        keys = [pk for (pk,) in held.values(organisation=actor.organisation_id, **matches.params)]
    else:
        keys = list(matches.held(actor, day).values_list("subscription", flat=True)[: FEW + 1])
    return replace(matches, subscriptions=_few(keys))


def _few(keys: list[Any]) -> list[Any] | str | None:
    return (keys if len(keys) <= FEW else MANY) or None


@lru_cache
def _names(*, has_ids: bool, few: int) -> PreparedQuery[Any]:
    """Return the query for the keys of all customers, partners and SKUs with a text in their name, with their kind.

    Former names and eight digits of an ID match too.
    """
    text = Param("text")

    def build() -> QuerySet[Any]:
        named = Organisation.objects.filter(name__icontains=text)
        former = FormerName.objects.filter(name__icontains=text)
        parts: list[tuple[str, QuerySet[Any], str]] = [
            ("customer", named.filter(kind=OrganisationKind.CUSTOMER), "pk"),
            ("customer", former.filter(organisation__kind=OrganisationKind.CUSTOMER), "organisation"),
            ("customer", Customer.objects.filter(domain__icontains=text), "pk"),
            ("partner", named.filter(kind=OrganisationKind.PARTNER), "pk"),
            ("partner", former.filter(organisation__kind=OrganisationKind.PARTNER), "organisation"),
            ("partner", Partner.objects.filter(mpn_id=text), "pk"),
        ]
        if has_ids:
            tenants = Customer.objects.filter(tenant_id__gte=Param("first_id"), tenant_id__lte=Param("last_id"))
            parts.append(("customer", tenants, "pk"))
        is_named = Q(name__icontains=text) | Q(former_name__icontains=text)
        skus = Sku.objects.filter(is_named).values_list(Value("sku"), "pk")  # a catalogue: hundreds
        return skus.union(*(part.values_list(Value(kind), key)[: few + 1] for kind, part, key in parts), all=True)

    return PreparedQuery(build, planned_each_time=True)  # a text that is in many names is better not found by index


@lru_cache(maxsize=256)
def _held(reader: Reader, shape: SearchShape, few: int) -> PreparedQuery[Any]:
    """Return the query for the subscriptions of record of the partners that a search matches."""
    held = shape.matches.held(reader.actor(), None).values_list("subscription")
    return PreparedQuery(lambda: held[: few + 1], planned_each_time=True)
