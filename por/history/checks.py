"""The check that every sentence of an event is translated."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks

from por.history import events


@checks.register(deploy=True)
def check_translations_of_events(**options: Any) -> list[checks.CheckMessage]:
    missing = {code: found for code, _name in settings.LANGUAGES[1:] if (found := events.untranslated(code))}
    return [
        checks.Error(
            f"{len(found)} messages of events have no translation into {code}, among them {found[0]!r}.",
            hint="Translate them in locale/, then run compile_catalogues.",
            id="por.E003",
        )
        for code, found in missing.items()
    ]
