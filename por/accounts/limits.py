"""The limits of signing in, and of asking for a link to choose a new password.

Passwords must not be guessed, and no one must be able to lock a person out from elsewhere. So what counts is the
account together with the place: the client's address, or the device if the account knows it. Behind that, an account
alone has only a delay that grows, and an address alone has a limit that a whole office rarely reaches. A device that
the account knows passes both, and so does a person who has chosen a new password by email.

An address that no account has is counted like any other. An attempt counts before its password is checked, so a
hundred at the same moment count as a hundred; one with the right password is taken back.
"""

from __future__ import annotations

import hashlib
import ipaddress
import time
from contextlib import suppress
from math import ceil
from typing import NamedTuple

from django.conf import settings
from django.core.cache import cache
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from por.accounts import devices
from por.accounts.models import User
from por.errors import RateLimited
from por.ops.callers import address_of
from por.web.requests import Request


class Window(NamedTuple):
    """At most so many within so many seconds from the first, for each key."""

    name: str
    most: int
    seconds: int

    def take(self, key: str) -> None:
        """Count one. Raise RateLimited, and count nothing, if there were enough."""
        place, began = self._open(key)
        if _count(place, self.seconds) > self.most:
            _take_back(place)
            raise _too_many(began + self.seconds - time.time())

    def allows(self, key: str) -> bool:
        """Count one; return whether there were not enough yet. If there were, nothing is counted."""
        try:
            self.take(key)
        except RateLimited:
            return False
        return True

    def give_back(self, key: str) -> None:
        _take_back(self._open(key)[0])

    def _open(self, key: str) -> tuple[str, float]:
        """Return the place of the count and when it began. Of many at the same moment, one begins it for all."""
        name, now = f"limit:{self.name}:{_digest(key)}", time.time()
        cache.add(name, now, self.seconds)
        began: float = cache.get(name, now)
        return f"{name}:{began}", began


class Delay(NamedTuple):
    """So many at once; after that a wait before each next one, twice as long each time, up to `longest` seconds."""

    name: str
    free: int
    longest: int
    forgotten_after: int

    def take(self, key: str) -> None:
        """Count one. Raise RateLimited, and count nothing, while the wait lasts."""
        number = _count(self._place(key), self.forgotten_after)
        cache.touch(self._place(key), self.forgotten_after)
        if number <= self.free:
            return
        wait = min(2 ** min(number - self.free - 1, 20), self.longest)
        now = time.time()
        if not cache.add(self._gate(key), now + wait, wait):
            self.give_back(key)
            raise _too_many(cache.get(self._gate(key), now) - now)

    def give_back(self, key: str) -> None:
        _take_back(self._place(key))

    def end(self, key: str) -> None:
        """Forget the attempts: the next one waits for nothing."""
        cache.delete_many([self._place(key), self._gate(key)])

    def _place(self, key: str) -> str:
        return f"limit:{self.name}:{_digest(key)}"

    def _gate(self, key: str) -> str:
        return f"{self._place(key)}:until"


#: Wrong passwords for one account from one address, or from one device that the account knows.
TOGETHER = Window("together", 5, 15 * 60)
#: Wrong passwords from one address for all accounts, without the devices that their accounts know.
ADDRESS = Window("address", 100, 5 * 60)
#: Wrong passwords for one account from everywhere, without the devices that it knows: 300 a day.
ACCOUNT = Delay("account", 5, 5 * 60, 4 * 3600)
#: Requests for a link, by one address for one account, and by one address for all accounts.
ASKED_TOGETHER = Window("asked-together", 5, 15 * 60)
ASKED_ADDRESS = Window("asked-address", 100, 5 * 60)
#: Mails with a link to one account. More are not sent, and the answer does not say so.
LINKS = Window("links", 5, 3600)


Counted = list[tuple[Window | Delay, str]]


class Attempt(NamedTuple):
    """An attempt to sign in that was counted and may go on."""

    counted: Counted

    def succeeded(self) -> None:
        """Take it back, because its password was right."""
        for limit, key in self.counted:
            limit.give_back(key)


def begin(request: Request, email: str) -> Attempt:
    """Count an attempt to sign in. Raise RateLimited if there were too many, and then count nothing."""
    account, address = _account(email), _network(address_of(request.META))
    limits: Counted
    if device := _known_as(request, account):
        limits = [(TOGETHER, f"{account} {device}")]
    else:
        limits = [(TOGETHER, f"{account} {address}"), (ADDRESS, address), (ACCOUNT, account)]
    return Attempt(_take(limits))


def ask_for_link(request: Request, email: str) -> bool:
    """Count a request for a link; return whether a mail may be sent. Raise RateLimited if there were too many."""
    account, address = _account(email), _network(address_of(request.META))
    _take([(ASKED_TOGETHER, f"{account} {address}"), (ASKED_ADDRESS, address)])
    return LINKS.allows(account)


def password_was_reset(email: str) -> None:
    """Let the person sign in without a wait, wherever the wrong passwords came from."""
    ACCOUNT.end(_account(email))


def _take(limits: Counted) -> Counted:
    """Count one for each of the limits; return them. If one of them refuses, none is counted."""
    taken: Counted = []
    try:
        for limit, key in limits:
            limit.take(key)
            taken.append((limit, key))
    except RateLimited:
        for limit, key in taken:
            limit.give_back(key)
        raise
    return taken


def _account(email: str) -> str:
    return email.strip().lower()


def _known_as(request: Request, account: str) -> str:
    """Return the name of the device, if the account knows it. Without the cookie, no one looks the account up."""
    if settings.DEVICES_COOKIE_NAME not in request.COOKIES:
        return ""
    user = User.objects.with_email(account).first()
    return devices.known_as(request, user) if user else ""


def _network(address: str) -> str:
    """Return the address, or the network of one of version 6: a household has more of those than can be counted."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return address if parsed.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))


def _count(place: str, seconds: int) -> int:
    cache.add(place, 0, seconds)
    try:
        return int(cache.incr(place))
    except ValueError:  # it ended between the two
        cache.add(place, 1, seconds)
        return 1


def _take_back(place: str) -> None:
    with suppress(ValueError):  # it has ended
        cache.decr(place)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _too_many(seconds: float) -> RateLimited:
    wait = max(1, ceil(seconds))
    if wait < 60:
        text = ngettext("%(n)s second", "%(n)s seconds", wait) % {"n": wait}
    else:
        minutes = ceil(wait / 60)
        text = ngettext("%(n)s minute", "%(n)s minutes", minutes) % {"n": minutes}
    message = _(
        "There were too many attempts. Try again in %(wait)s. If you have forgotten your password, follow the link on "
        "the sign-in page."
    )
    return RateLimited("too_many_attempts", message % {"wait": text}, retry_after=wait)
