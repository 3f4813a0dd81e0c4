"""Names of people, organisations and things, as they are stored."""

from __future__ import annotations

import re

from django.utils.translation import gettext as _

from por.errors import Refused

#: Characters of no width, which make two names different that look the same.
NO_WIDTH = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
#: Marks that change the direction of the text after them, so that a name reads as another.
DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(name: str, *, field: str | None = None) -> str:
    """Return a name as it is stored: without characters of no width, and without blanks around it.

    Every verb that stores a name calls this, and every import. Raises Refused, `direction_mark` on the field, if the
    name has marks that change the direction of the text.
    """
    if name.isascii():
        return name.strip()
    if DIRECTION.search(name):
        text = _("The text contains an invisible character that changes its direction. Remove that character.")
        raise Refused("direction_mark", text, field=field)
    return NO_WIDTH.sub("", name).strip()
