"""Which partners an actor acts for."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import models
from django.db.models import Q

from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.directory.models import Enrolment, Partner


def partners_of(actor: Actor) -> models.QuerySet[Partner]:
    """Return the partners that the actor acts for: its own, and all locations below a global account."""
    return Partner.objects.filter(Q(organisation=actor.organisation_id) | Q(organisation__parent=actor.organisation_id))


def partner_ids(actor: Actor) -> Sequence[int | None] | models.QuerySet[Partner, int]:
    """Return the keys of partners_of: as values if they are known, else as a query.

    For values, the planner knows from its statistics how many rows they have. For a subquery it can only guess, and for
    a large partner the guess is a hundred times too low.
    """
    if actor.below is None:
        return partners_of(actor).values_list("pk", flat=True)
    return (actor.organisation_id, *actor.below)


def enrolments_visible_to(actor: Actor) -> models.QuerySet[Enrolment]:
    """Return the enrolments of the partners that the actor acts for; all of them for staff, none for a customer."""
    if actor.is_staff:
        return Enrolment.objects.all()
    if actor.kind == OrganisationKind.PARTNER:
        return Enrolment.objects.filter(partner__in=partner_ids(actor))
    return Enrolment.objects.none()


def is_own(actor: Actor, partner: int, company: int | None) -> bool:
    """Return whether a partner is one of partners_of, without a query. `company` is the organisation above it."""
    own = actor.organisation_id
    return own is not None and own in (partner, company)
