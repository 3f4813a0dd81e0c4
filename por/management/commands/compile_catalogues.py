from __future__ import annotations

from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """Compile the message catalogues that have changed, without the gettext package that compilemessages needs."""

    help = __doc__ or ""
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        for directory in settings.LOCALE_PATHS:
            for source in sorted(Path(directory).glob("*/LC_MESSAGES/*.po")):
                target = source.with_suffix(".mo")
                if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
                    continue
                with source.open("rb") as po:
                    catalogue = read_po(po)
                draft = target.with_suffix(".mo.new")
                with draft.open("wb") as mo:
                    write_mo(mo, catalogue)
                draft.replace(target)
                self.stdout.write(f"{source.relative_to(directory)}: {len(catalogue)} messages")
