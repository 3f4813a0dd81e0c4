"""Sessions in the database: how their keys are stored, when they end, and their use noted for the list of a person."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import VALID_KEY_CHARS
from django.contrib.sessions.models import Session
from django.db.models import OuterRef, Q, Subquery
from django.utils import timezone

from por.accounts import actions
from por.accounts.models import User, UserSession
from por.db.prepared import Param, PreparedQuery
from por.ops.logs import name_sender
from por.web.requests import Request

if TYPE_CHECKING:
    from django.contrib.sessions.base_session import AbstractBaseSession

#: How old "last used" may become: a session in constant use is not written to on every request.
USED_PRECISION = timedelta(minutes=1)
#: No key begins like this, so the hash of a key, taken from the database, is no key itself.
MARK = "!"


def hashed(key: str) -> str:
    """Return the hash of a key, in the 40 characters that Django's table has. They keep 234 bits."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()).decode()
    return MARK + digest[:39]


class SessionStore(db.SessionStore):
    """Django's sessions, found by their key or its hash. A new one is stored by its hash if the settings say so.

    A session also ends when no one has used it for some time, and when it is as old as any may become.
    """

    #: The key that the session has, and the form in which the database has it.
    _found: tuple[str | None, str] = (None, "")
    used_at: datetime | None = None

    @property
    def stored_key(self) -> str:
        key = self._get_or_create_session_key()  # type: ignore[attr-defined]  # Django's own
        if self._found[0] != key:
            self._found = (key, hashed(key) if settings.SESSION_KEYS_HASHED else key)
        return self._found[1]

    def _validate_session_key(self, key: str | None) -> bool:
        return key is not None and len(key) >= 8 and set(key) <= set(VALID_KEY_CHARS)

    def _get_session_from_db(self) -> Any:
        key, now = self.session_key, timezone.now()
        row: Any = _OPEN.one(plain=key, hashed=hashed(key), now=now) if key else None
        if row is None or has_ended(row.began_at, row.used_at, now):
            self._session_key = None
            return None
        self._found, self.used_at = (key, row.session_key), row.used_at
        return row

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        row = super().create_model_instance(data)
        row.session_key = self.stored_key
        return row

    def exists(self, session_key: str) -> bool:
        return Session.objects.filter(session_key__in=[session_key, hashed(session_key)]).exists()

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            actions.forget_sessions([key, hashed(key)])

    def cycle_key(self) -> None:
        """Give the session a new key. In the list of its person it stays the same session."""
        data, before = self._session, self.session_key  # type: ignore[attr-defined]  # Django's own
        self.create()
        self._session_cache = data
        if before:
            actions.rename_session([before, hashed(before)], self.stored_key)
            self.delete(before)


_KNOWN = UserSession.objects.filter(key=OuterRef("session_key"))
_OPEN = PreparedQuery(
    lambda: Session.objects.filter(
        Q(session_key=Param("plain")) | Q(session_key=Param("hashed")), expire_date__gt=Param("now")
    ).annotate(began_at=Subquery(_KNOWN.values("began_at")), used_at=Subquery(_KNOWN.values("used_at")))
)


def has_ended(began_at: datetime | None, used_at: datetime | None, now: datetime) -> bool:
    """Return whether a session is too old or was not used for too long. One without a row has not been noted yet."""
    if began_at is None or used_at is None:
        return False
    return now - used_at > actions.idle_limit() or now - began_at > actions.age_limit()


def current_key(request: Request) -> str:
    """Return the key of the request's session, as stored; "" if it has none."""
    session: Any = request.session
    return str(session.stored_key) if session.session_key else ""


def begin(sender: Any, request: Request, user: User, **more: Any) -> None:
    """Note the session that a sign-in has begun, with the name that the browser gives itself."""
    name_sender(person_id=user.pk)
    session: Any = request.session
    if not session.session_key:  # another person was signed in here
        session.create()
    actions.begin_session(user, session.stored_key, device=request.headers.get("User-Agent", ""))


def note_use(request: Request) -> None:
    """Note that the session of a person was used; at most once a minute."""
    session: Any = request.session
    now = timezone.now()
    if session.used_at is None:  # begun by an older release
        begin(None, request, cast(User, request.user))
    elif now - session.used_at > USED_PRECISION:
        actions.use_session(session.stored_key, now)


def end_others(sender: Any, request: Request, user: User, **more: Any) -> None:
    """End the other sessions of a person who has a new password. They could not be used any more in any case."""
    name_sender(person_id=user.pk)
    actions.end_other_sessions(user, current_key(request))
