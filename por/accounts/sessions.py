"""Sessions as Django keeps them in the database. Only the query that every page asks is prepared."""

from __future__ import annotations

from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.utils import timezone

from por.db.prepared import Param, PreparedQuery


class SessionStore(db.SessionStore):
    """The store of SESSION_ENGINE. Its name is Django's, because the signature of a session depends on it."""

    def _get_session_from_db(self) -> Session | None:
        session = _VALID.one(key=self.session_key, now=timezone.now())
        if session is None:
            self._session_key = None
        return session


_VALID = PreparedQuery(
    lambda: Session.objects.filter(session_key=Param("key"), expire_date__gt=Param("now")),
)
