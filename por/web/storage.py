"""Where style sheets, scripts and fonts are."""

from __future__ import annotations

from typing import Any

from whitenoise.storage import CompressedManifestStaticFilesStorage  # type: ignore[import-untyped]


class StaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Whitenoise's storage, which finds the address of each file once: they are fixed when the product starts."""

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        self._addresses: dict[str, str] = {}

    def url(self, name: str, force: bool = False) -> str:
        if force:
            return str(super().url(name, force))
        found = self._addresses.get(name)
        if found is None:
            found = self._addresses[name] = str(super().url(name))
        return found
