"""The devices that know an account: a browser in which its person has signed in keeps a signed cookie that says so.

The signature depends on the person's password, so a new password ends all of them.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.signing import BadSignature, TimestampSigner

from por.accounts.models import User
from por.web.requests import Request

KEPT_FOR = timedelta(days=365)
#: How many accounts a browser is known to.
MOST = 5
SEPARATOR = "&"


def known_as(request: Request, user: User) -> str:
    """Return the name under which the account knows this browser; empty if it does not."""
    return next((name for one in _kept(request) if (name := _name(one, user))), "")


def remember(request: Request, response: Any, user: User) -> None:
    """Make this browser known to the account, with its old name if it has one."""
    name = known_as(request, user) or secrets.token_urlsafe(9)
    others = [one for one in _kept(request) if not _name(one, user)]
    response.set_cookie(
        settings.DEVICES_COOKIE_NAME,
        SEPARATOR.join([_signer(user).sign(name), *others][:MOST]),
        max_age=KEPT_FOR,
        httponly=True,
        samesite="Lax",
        secure=settings.HTTPS,
    )


def _kept(request: Request) -> list[str]:
    return request.COOKIES.get(settings.DEVICES_COOKIE_NAME, "").split(SEPARATOR)[:MOST]


def _name(signed: str, user: User) -> str:
    with suppress(BadSignature):
        return _signer(user).unsign(signed, max_age=KEPT_FOR)
    return ""


def _signer(user: User) -> TimestampSigner:
    return TimestampSigner(salt=f"por.accounts.devices {user.pk} {user.password}")
