"""Which partners an actor acts for."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import models
from django.db.models import Q

from por.accounts.models import Actor
from por.directory.models import Partner


def partners_of(actor: Actor) -> models.QuerySet[Partner]:
    """The locations a partner's member acts for: the own one, and all below a global account."""
    return Partner.objects.filter(Q(organisation=actor.organisation_id) | Q(organisation__parent=actor.organisation_id))


def partner_ids(actor: Actor) -> Sequence[int | None] | models.QuerySet[Partner, int]:
    """Their keys; where these are known, as such.

    How much hangs on a key the database knows before it plans a query. How much hangs on the rows of a subquery it can
    only guess, and for a large partner it guesses a hundred times too low.
    """
    if actor.below is None:
        return partners_of(actor).values_list("pk", flat=True)
    return (actor.organisation_id, *actor.below)


def is_own(actor: Actor, partner: int, company: int | None) -> bool:
    """Whether a partner with this organisation above it is one of partners_of, without asking for them."""
    return actor.organisation_id is not None and actor.organisation_id in (partner, company)
