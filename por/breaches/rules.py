"""What is kept of a report of a browser: nothing that a stranger could choose freely, and no address of a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

#: The most bytes of one message of a browser, and the most reports that are taken from it.
LARGEST = 16 * 1024
MOST_AT_ONCE = 10
#: The directives that a browser may name: those of our policy, and the parts that it splits them into.
DIRECTIVES = frozenset(
    {
        *(f"{kind}-src" for kind in ("default", "script", "style", "img", "font", "connect", "object", "frame")),
        *(f"{kind}-src" for kind in ("child", "manifest", "media", "worker")),
        *(f"{kind}-src-{part}" for kind in ("script", "style") for part in ("elem", "attr")),
        *("form-action", "frame-ancestors", "base-uri"),
    }
)
#: What a browser writes in place of an address.
KEYWORDS = frozenset({"inline", "eval", "wasm-eval", "self", "data", "blob", "filesystem", "about"})
OTHER = "other"


class Report(NamedTuple):
    """One breach of the policy: the directive, what was blocked, and the path of the page."""

    directive: str
    blocked: str
    path: str


def reports_in(message: Any) -> Iterator[Report]:
    """Yield the reports in a message, in the form of `report-uri` or of the Reporting API. Leave out all others."""
    if isinstance(message, dict):
        given = [
            (message.get("csp-report"), "violated-directive", "effective-directive", "blocked-uri", "document-uri")
        ]
    elif isinstance(message, list):
        bodies = [one.get("body") for one in message[:MOST_AT_ONCE] if isinstance(one, dict)]
        given = [(body, "effectiveDirective", "effectiveDirective", "blockedURL", "documentURL") for body in bodies]
    else:
        return
    for body, older, newer, blocked, page in given:
        if not isinstance(body, dict):
            continue
        directive = str(body.get(newer) or body.get(older) or "").partition(" ")[0]
        if directive in DIRECTIVES:
            yield Report(directive, source_of(str(body.get(blocked, ""))), path_of(str(body.get(page, ""))))


def source_of(blocked: str) -> str:
    """Return what was blocked, as a keyword or as scheme and host. A path or query could hold what is private."""
    if blocked in KEYWORDS:
        return blocked
    try:
        parts = urlsplit(blocked)
        host = parts.hostname or ""
    except ValueError:
        return OTHER
    if parts.scheme in KEYWORDS:
        return parts.scheme
    if parts.scheme not in {"http", "https", "ws", "wss"} or not host.replace("-", "").replace(".", "").isalnum():
        return OTHER
    return f"{parts.scheme}://{host}"[:100]


def path_of(page: str) -> str:
    try:
        return urlsplit(page).path
    except ValueError:
        return ""
