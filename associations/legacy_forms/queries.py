"""Whether an actor has legacy forms."""

from __future__ import annotations

from django.core.cache import caches

from associations.record.models import Association
from por.accounts.models import Actor


def has_forms(actor: Actor) -> bool:
    """Return whether the actor ever had a legacy form. Every page asks this, so the answer is kept for a minute."""

    def ask() -> bool:
        return Association.objects.not_undone().forms().visible_to(actor).exists()

    return bool(caches["local"].get_or_set(f"has-forms:{actor.organisation_id}", ask))
