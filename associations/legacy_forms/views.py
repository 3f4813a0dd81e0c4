"""A partner's move from legacy forms to being the partner of record: what is left, and how much time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import Any

from django.db.models import Count, Exists, OuterRef, QuerySet, Sum
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from associations.record import queries
from associations.record.models import Association
from associations.record.policies import forms_earn_nothing_since, policy_on
from associations.record.queries import BY_CUSTOMER
from associations.subscriptions.views.listing import subscription_page
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.directory.models import Subscription
from por.web.lists import Listing, ListTab

Subscriptions = QuerySet[Subscription]


@require_safe
@only(OrganisationKind.PARTNER)
def partner_transition(request: Request) -> HttpResponseBase:
    """Show the subscriptions with a legacy form of this partner, now or on a day: still on it, moved, or lost."""
    actor = request.actor
    return subscription_page(
        request,
        "legacy_forms/partner_transition.html",
        _tabs,
        order=BY_CUSTOMER,
        restrict=_with_a_form,
        more=partial(_progress, actor),
    )


def _tabs(actor: Actor, as_of: date | None) -> list[ListTab]:
    return [
        ListTab("", gettext_lazy("Still on a legacy form"), lambda found: _still_on_form(actor, found, as_of)),
        ListTab("moved", gettext_lazy("Moved"), lambda found: queries.of_record(found, actor, as_of)),
        ListTab("other", gettext_lazy("Another partner"), lambda found: _with_another(actor, found, as_of)),
    ]


def _forms(actor: Actor, as_of: date | None) -> QuerySet[Association]:
    """Return the partner's legacy forms, begun by the day, for the subscription of an outer query."""
    return Association.objects.begun_by(as_of).forms().visible_to(actor).filter(subscription=OuterRef("pk"))


def _with_a_form(actor: Actor, found: Subscriptions, as_of: date | None) -> Subscriptions:
    return found.filter(Exists(_forms(actor, as_of)))


def _still_on_form(actor: Actor, found: Subscriptions, as_of: date | None) -> Subscriptions:
    """Return those with a form in force and without a partner of record."""
    forms = Association.objects.open(as_of).forms().visible_to(actor).filter(subscription=OuterRef("pk"))
    return queries.without_partner(found.filter(Exists(forms)), as_of)


def _with_another(actor: Actor, found: Subscriptions, as_of: date | None) -> Subscriptions:
    held = queries.held(as_of)
    return found.filter(Exists(held), ~Exists(held.visible_to(actor)))


def _progress(
    actor: Actor, listed: Listing[Subscription], _rows: Sequence[Subscription], as_of: date | None
) -> dict[str, Any]:
    """Return the progress and the time that is left, for all subscriptions with a form, whatever the filters."""
    base = listed.base
    day = as_of or timezone.localdate()
    policy, nothing_since = policy_on(day), forms_earn_nothing_since(day)
    still = _still_on_form(actor, base, as_of).aggregate(
        subscriptions=Count("pk"), customers=Count("customer", distinct=True), seats=Sum("seats")
    )
    moved = queries.of_record(base, actor, as_of).count()
    return {
        "deadline": policy.legacy_form_deadline,
        "days_left": max(0, (policy.legacy_form_deadline - day).days),
        "nothing_since": nothing_since,
        "still": still,
        "moved": moved,
        "in_all": moved + still["subscriptions"],
    }
