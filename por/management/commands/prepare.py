from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """Compile the catalogues, migrate the database and fill the demo, in one process: loading Django takes longest."""

    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("compile_catalogues")  # first: the demo has texts in both languages
        call_command("migrate", interactive=False)
        call_command("demo")
