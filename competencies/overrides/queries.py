"""The overrides of a company in a competency."""

from __future__ import annotations

from competencies.models import Override
from por.accounts.models import Actor, Organisation

#: How many overrides a page shows, the newest first. An open one is always the newest.
SHOWN = 20


def overrides_of(actor: Actor, company: Organisation, program: str) -> list[Override]:
    """Return the newest overrides of a company in a competency that the actor may see."""
    found = Override.objects.visible_to(actor).filter(company=company, program=program)
    return list(found.order_by("-pk")[:SHOWN])
