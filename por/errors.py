"""How the business says no: one exception, a stable code, a message fit for the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText


class Refused(Exception):
    """A rule says no. `code` is stable for programs, `message` is for people, `field` names the input at fault.

    A refusal with a field is about what was entered; without one it is about the state of things.
    """

    def __init__(self, code: str, message: str | LazyText, *, field: str | None = None) -> None:
        super().__init__(code, message, field)
        self.code = code
        self.message = message
        self.field = field

    def __str__(self) -> str:
        return str(self.message)


class Forbidden(Refused):
    """It may be seen, but this person lacks the right."""


class NotFound(Refused):
    """It does not exist, or is not theirs to see: nobody can tell which."""


class VersionConflict(Refused):
    """It has changed since the caller looked."""


class Locked(Refused):
    """Not now: somebody else is at it, or there were too many tries. `retry_after` is in seconds."""

    def __init__(self, code: str, message: str | LazyText, *, retry_after: int) -> None:
        super().__init__(code, message)
        self.retry_after = retry_after


class Unavailable(Refused):
    """Not now, and nobody's fault here: a server we stand on does not answer. `retry_after` is in seconds."""

    def __init__(self, code: str, message: str | LazyText, *, retry_after: int) -> None:
        super().__init__(code, message)
        self.retry_after = retry_after


def status_of(refused: Refused) -> int:
    """The status of a page; the API's are in por/api.py."""
    match refused:
        case NotFound():
            return 404
        case Forbidden():
            return 403
        case Locked():
            return 429
        case Unavailable():
            return 503
        case _:
            return 409
