"""The list of the caller's associations, of every kind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from django import forms
from django.core.validators import MaxValueValidator
from django.http import HttpResponseBase
from rest_framework.request import Request

from associations.record.models import Association, AssociationQuerySet
from associations.record.rules import AssociationKind
from associations.record.schemas import ASSOCIATION_EXAMPLE, AssociationShape, association_shape
from por.accounts.authentication import actor_of
from por.accounts.models import Actor
from por.api.endpoint import Endpoint
from por.api.lists import filtered, listing
from por.api.schema import described, page_of
from por.directory.forms import MpnIdField
from por.directory.queries import show_names_on
from por.web.filters import AsOfForm

ASSOCIATION_COLUMNS = [
    "id",
    "kind",
    "partner.mpn_id",
    "partner.name",
    "customer.tenant_id",
    "customer.name",
    "subscription.id",
    "subscription.product",
    "subscription.sku.sku_string_id",
    "program",
    "role",
    "workload",
    "claim",
    "began_on",
    "ended_on",
    "began_at",
    "ended_at",
    "attached_at",
    "end_reason",
    "source",
]


class AssociationFilter(AsOfForm):
    """The filters of the list of associations; all may be left out."""

    kind = forms.ChoiceField(choices=AssociationKind.choices, required=False)
    mpn_id = MpnIdField()
    tenant_id = forms.UUIDField(required=False)
    subscription = forms.UUIDField(required=False)
    in_force_on = forms.DateField(
        required=False,
        validators=[MaxValueValidator(date(9999, 12, 30))],  # there is a day after it
        help_text="Those in force at the end of this UTC day.",
    )

    def apply(self, associations: AssociationQuerySet, actor: Actor) -> AssociationQuerySet:
        given = self.cleaned_data
        if given["kind"]:
            associations = associations.filter(kind=given["kind"])
        if given["mpn_id"]:
            associations = associations.filter(partner__mpn_id=given["mpn_id"])
        if given["tenant_id"]:
            associations = associations.filter(customer__tenant_id=given["tenant_id"])
        if given["subscription"]:
            associations = associations.filter(subscription__subscription_id=given["subscription"])
        if given["in_force_on"]:
            associations = associations.in_force_on(given["in_force_on"])
        return associations


def _shapes(page: Sequence[Association], day: date | None) -> list[AssociationShape]:
    if day is not None:
        show_names_on(day, [one.organisation for row in page for one in (row.partner, row.customer)])
    return [association_shape(one.as_of(day)) for one in page]


class AssociationList(Endpoint):
    @described(
        "associations",
        "Associations",
        """All associations of the caller, of every kind, including past ones, but without undone ones. With `as_of`,
        those that had started by that day, as of the end of that day.""",
        answers={200: AssociationShape},
        example=page_of(ASSOCIATION_EXAMPLE),
        filters=AssociationFilter,
        problems={422: ["mpn_id_malformed", "max_value", "as_of_in_future"]},
        is_list=True,
    )
    def get(self, request: Request) -> HttpResponseBase:
        actor, filters = actor_of(request), filtered(request, AssociationFilter)
        associations = Association.objects.visible_to(actor).begun_by(filters.day).for_listing()
        return listing(
            request,
            filters.apply(associations, actor),
            lambda page: _shapes(page, filters.day),
            order=("pk",),
            columns=ASSOCIATION_COLUMNS,
            name="associations",
        )
