"""The partners that files name and that nobody knows."""

from __future__ import annotations

from collections import Counter

from django.utils.translation import gettext as _

UNKNOWN_PARTNER = "unknown_partner"
NAMED = 20  # partners that a note names


def about_unknown(name: str, partners: Counter[str]) -> list[str]:
    """Return a note of the partners that nobody knows, each with the number of rows that are without a home for it."""
    if not partners:
        return []
    shown = ", ".join(f"{mpn_id} ({count})" for mpn_id, count in partners.most_common(NAMED))
    text = _(
        "%(name)s names partners that are not known, so these rows have no home: MPN ID %(partners)s. Import the "
        "partners, then this file again."
    )
    return [text % {"name": name, "partners": shown + (", …" if len(partners) > NAMED else "")}]
