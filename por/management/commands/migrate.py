from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate

from por.db.defaults import set_defaults
from por.db.grants import as_owner, grant


class Command(migrate.Command):
    """Run Django's command as the owner of the tables; set what sessions begin with, and the rights of the roles."""

    def handle(self, *args: Any, **options: Any) -> None:
        changes = not options["plan"] and not options["check_unapplied"]
        with as_owner():
            if changes:
                set_defaults()  # first: they hold for the migrations too
            super().handle(*args, **options)
            if changes:
                grant()
