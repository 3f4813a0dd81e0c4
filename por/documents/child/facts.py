"""What a file says of itself: shown, never believed."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

from por.documents.kinds import LONGEST_FACT

Facts: TypeAlias = dict[str, Any]

#: Controls, halves of characters, and marks that have no width or change the direction of a text.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]+")


def text_of(value: object) -> str:
    """Return a text from a file as one short line that can be stored and shown."""
    return " ".join(_UNSEEN.sub(" ", str(value)).split())[:LONGEST_FACT]
