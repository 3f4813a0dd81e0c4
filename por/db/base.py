"""Django's PostgreSQL backend (`ENGINE`), which looks at a kept connection, and knows whether it leads to a pooler."""

from __future__ import annotations

from select import POLLIN, poll
from typing import Any
from uuid import UUID, SafeUUID

import psycopg2
from django.db.backends.postgresql import base
from psycopg2.extensions import new_type, register_type


def _uuid(text: str | None, _cursor: Any) -> UUID | None:
    """Return the UUID that the server has written, as unpickling makes it: the constructor would look for mistakes."""
    if text is None:
        return None
    made = UUID.__new__(UUID)
    object.__setattr__(made, "int", int(text.replace("-", ""), 16))
    object.__setattr__(made, "is_safe", _UNKNOWN)
    return made


_UNKNOWN = SafeUUID.unknown
_UUID = new_type((2950,), "UUID", _uuid)


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that is replaced if it is found broken before the first statement of a request or task."""

    #: The driver's connection that was asked for its process, and whether that process is PostgreSQL's own.
    _asked: tuple[Any, bool] = (None, False)

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        register_type(_UUID, connection)
        return connection

    @property
    def is_direct(self) -> bool:
        """Return whether PostgreSQL itself is at the other end, so that a session lasts as long as the connection.

        PgBouncer and its like tell a process of their own. The server is asked once for each connection.
        """
        if self._asked[0] is not self.connection:
            with self.wrap_database_errors, self.connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                self._asked = self.connection, cursor.fetchone() == (self.connection.info.backend_pid,)
        return self._asked[1]

    @property
    def is_listened_to(self) -> bool:
        """Return whether anyone is told of the queries of this connection."""
        return bool(self.execute_wrappers or self.queries_logged)

    def cursor_of_the_driver(self) -> Any:
        """Return a cursor without Django's around it, on a connection that stands as it does for one of Django's.

        Whoever uses it turns the driver's errors into Django's, by wrap_database_errors.
        """
        self.close_if_health_check_failed()
        if self.connection is None:
            self.ensure_connection()
        self.validate_no_broken_transaction()
        with self.wrap_database_errors:
            return self.connection.cursor()

    def is_usable(self) -> bool:
        """Return whether the connection still stands. Django asks before the first statement, outside a transaction.

        A server that ends a connection, and a system that gives it up, leave that on the socket. After an error the
        server itself is asked.
        """
        if self.errors_occurred:
            return bool(super().is_usable())
        try:
            waiting = poll()
            waiting.register(self.connection.fileno(), POLLIN)
            while waiting.poll(0):
                self.connection.poll()  # reads what is there: a notice is kept, the end of the connection is an error
        except (psycopg2.Error, OSError, AttributeError):
            return False
        return bool(self.connection.closed == 0)
