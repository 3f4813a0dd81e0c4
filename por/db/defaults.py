"""What every session of the database begins with.

They are settings of the database itself, so they hold however a session comes. A pooler does not pass on what a client
asks for when it connects, and gives each of its transactions another session.
"""

from __future__ import annotations

from django.db import connection

#: By name, in PostgreSQL's own units.
DEFAULTS = {
    # A verb that waits too long for its lock answers "busy" instead of holding a web thread.
    "lock_timeout": "3000",
    "TimeZone": "UTC",
    # Compiling a query (jit) costs more than it saves here (the dashboard of 50,000 subscriptions: 1.1 s with it,
    # 0.76 s without). So does remembering what a join found (memoize): its memory is set up for all rows of a table
    # before a page takes fifty (a page of a million subscriptions: 5 to 19 ms with it, 0.5 ms without).
    "jit": "off",
    "enable_memoize": "off",
    # If a process or machine of ours hangs or is gone, the server releases its locks, so that others can go on.
    "idle_in_transaction_session_timeout": "300000",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


def set_defaults() -> None:
    """Give them to the database, as its owner. Sessions that begin from now on have them, our own next one too."""
    database = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute("; ".join(f"ALTER DATABASE {database} SET {name} = '{to}'" for name, to in DEFAULTS.items()))
    connection.close()


def missing() -> list[str]:
    """Return the names of those that a session does not have. A session on a socket says nothing about keepalives."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [list(DEFAULTS)])
        return sorted(name for name, is_ in cursor.fetchall() if is_ != DEFAULTS[name] and not name.startswith("tcp_"))
