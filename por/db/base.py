"""Django's PostgreSQL backend (`ENGINE`), which looks at a kept connection instead of asking the server a question."""

from __future__ import annotations

from select import POLLIN, poll

import psycopg2
from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that is replaced if it is found broken before the first statement of a request or task."""

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
