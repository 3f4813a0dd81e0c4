"""Delegated administrators as their readers see them."""

from __future__ import annotations

from associations.record.models import Association, AssociationQuerySet
from associations.record.rules import AssociationKind
from por.accounts.models import Actor


def administrators_visible_to(actor: Actor) -> AssociationQuerySet:
    """Return the delegated administrators that the actor may see, past ones too, with all that a page shows."""
    counting = Association.objects.not_undone().visible_to(actor)
    return counting.filter(kind=AssociationKind.DELEGATED_ADMIN).for_listing()
