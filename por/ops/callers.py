"""Where a request comes from. Whoever needs a caller's address asks here."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from django.conf import settings


def address_of(meta: Mapping[str, Any]) -> str:
    """Return the address of the caller, as the outermost of our proxies saw it; empty if there is none.

    `meta` is the `META` of a request.

    Each proxy adds the address of its own caller at the right of X-Forwarded-For. So only as many entries from the
    right as there are proxies of ours can be believed. A caller can write anything into those before them.
    """
    hops = meta.get("HTTP_X_FORWARDED_FOR", "").split(",")
    if 0 < settings.TRUSTED_PROXIES <= len(hops) and (told := _plain(hops[-settings.TRUSTED_PROXIES])):
        return told
    return _plain(meta.get("REMOTE_ADDR", ""))


def _plain(text: str) -> str:
    """Return the address without a port, in its usual form; empty if it is none."""
    text = text.strip()
    host, colon, port = text.rpartition(":")
    candidates = [text.strip("[]")]
    if colon and port.isdigit() and (host.count(":") == 0 or host.startswith("[")):
        candidates.append(host.strip("[]"))
    for one in candidates:
        with suppress(ValueError):
            return str(ip_address(one))
    return ""
