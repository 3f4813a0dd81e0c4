from __future__ import annotations

import time
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import OperationalError, connection

LONGEST = 600  # seconds, as the run itself waits for a server


class Command(BaseCommand):
    """Compile catalogues, collect files, migrate and fill the demo, in one process: to load Django takes longest."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--wait", action="store_true", help="wait until the database answers")

    def handle(self, *args: Any, wait: bool, **options: Any) -> None:
        call_command("compile_catalogues")  # first: the demo has texts in both languages
        call_command("collectstatic", interactive=False)
        if wait:
            _wait_for_database()
        call_command("migrate", interactive=False)
        call_command("demo")


def _wait_for_database() -> None:
    deadline = time.monotonic() + LONGEST
    while True:
        try:
            return connection.ensure_connection()
        except OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
