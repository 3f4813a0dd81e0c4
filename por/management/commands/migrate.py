from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate

from por.db.grants import as_owner, grant


class Command(migrate.Command):
    """Django's own, as the owner of the tables; afterwards the application's role is given its rights."""

    def handle(self, *args: Any, **options: Any) -> None:
        with as_owner() as app:
            super().handle(*args, **options)
            if not options["plan"] and not options["check_unapplied"]:
                grant(app)
