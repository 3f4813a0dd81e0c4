"""The two database roles: the owner migrates; the application can neither change nor drop history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection

#: The application may read and write everything, with two limits: history only grows, and the trigger alone writes its
#: heads. The application creates nothing: on a table of its own it could use the trigger's function.
GRANTS = """
REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION history_chain_event() FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO {app};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {app};
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {app};
REVOKE UPDATE, DELETE ON history_event, history_party, history_seal FROM {app};
REVOKE DELETE ON history_outbox, history_signedhead, history_round FROM {app};
REVOKE INSERT, UPDATE, DELETE ON history_chainhead, django_migrations FROM {app};
"""


@contextmanager
def as_owner() -> Iterator[str]:
    """Use all of DATABASE_OWNER_URL for the default connection; yield the application's role, restored after."""
    mine = {key: connection.settings_dict[key] for key in ("USER", "PASSWORD", "HOST", "PORT", "NAME", "OPTIONS")}
    connection.close()
    connection.settings_dict.update({key: settings.DATABASE_OWNER[key] for key in mine})
    try:
        yield mine["USER"]
    finally:
        connection.close()
        connection.settings_dict.update(mine)


def grant(app: str) -> None:
    """Give the application's role its rights, as owner; do nothing where both are the same role."""
    if not app or app == connection.settings_dict["USER"]:
        return
    with connection.cursor() as cursor:
        names = {"app": app, "database": connection.settings_dict["NAME"]}
        cursor.execute(GRANTS.format(**{what: connection.ops.quote_name(name) for what, name in names.items()}))
