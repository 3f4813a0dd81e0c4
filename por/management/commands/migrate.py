from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate

from por.db.grants import as_owner, grant


class Command(migrate.Command):
    """Run Django's command as the owner of the tables; then grant web server and worker their rights."""

    def handle(self, *args: Any, **options: Any) -> None:
        with as_owner():
            super().handle(*args, **options)
            if not options["plan"] and not options["check_unapplied"]:
                grant()
