"""Refusals: one exception for all of them, with a stable code and a message that the user can read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText


class Refused(Exception):
    """A rule refuses something. `code` is stable for programs, `message` is for people, `field` names the wrong input.

    A refusal with a field is about what was entered; without one it is about the state of the data.
    """

    def __init__(self, code: str, message: str | LazyText, *, field: str | None = None) -> None:
        super().__init__(code, message, field)
        self.code = code
        self.message = message
        self.field = field

    def __str__(self) -> str:
        return str(self.message)


class Forbidden(Refused):
    """This person may see it, but lacks the right."""


class NotFound(Refused):
    """It does not exist, or this person may not see it. The caller cannot tell which."""


class Unstorable(Refused):
    """What was sent has a character, a number or a day that no column can hold."""


class VersionConflict(Refused):
    """It has changed since the caller looked."""


class TryLater(Refused):
    """It may succeed later: after `retry_after` seconds. Its subclasses say why it cannot succeed now."""

    def __init__(self, code: str, message: str | LazyText, *, retry_after: int) -> None:
        super().__init__(code, message)
        self.retry_after = retry_after


class Locked(TryLater):
    """Someone else is changing it now."""


class RateLimited(TryLater):
    """There were too many attempts."""


class Unavailable(TryLater):
    """A server that we depend on does not answer."""


def status_of(refused: Refused) -> int:
    """Return the HTTP status of the page that shows a refusal; por/api/problems.py has the statuses of the API."""
    match refused:
        case NotFound():
            return 404
        case Forbidden():
            return 403
        case Unstorable():
            return 422
        case Locked() | RateLimited():
            return 429
        case Unavailable():
            return 503
        case _:
            return 409
