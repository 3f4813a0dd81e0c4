"""The static files of installed packages that pages use. Whatever else packages bring is not collected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib.staticfiles.finders import AppDirectoriesFinder

USED = {"django_htmx/htmx-2.min.js"}


class UsedFiles(AppDirectoriesFinder):
    """A finder of the files in USED."""

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[Any]:
        return (found for found in super().list(ignore_patterns) if found[0] in USED)

    def find(self, path: str, *args: Any, **options: Any) -> Any:
        return super().find(path, *args, **options) if path in USED else []
