"""What every page shows around its content: the reader, the navigation, the search box, the theme."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from django.conf import settings
from django.utils.functional import SimpleLazyObject
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from associations.legacy_forms.queries import has_forms
from por.accounts.forms import THEMES
from por.accounts.middleware import Request
from por.accounts.models import SYSTEM, Actor, Membership
from por.accounts.rules import OrganisationKind, Right, Role
from por.portal.queries import waiting

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText


Mark = Literal["page", "true", ""]


@dataclass(frozen=True, eq=False)  # hashed as what it is, because its label would be translated for that
class Link:
    """A link of the side navigation. `current` is aria-current: "page" on its page, "true" on a page below it."""

    url: str
    label: LazyText
    icon: str
    current: Mark = ""
    right: Right | None = None  # the right that the reader needs to see the link
    count: int | None = None  # how many things wait there
    shown: Callable[[Actor], bool] | None = None  # who sees the link, if not everyone

    def mark(self, path: str, *, is_home: bool = False) -> Mark:
        """Return aria-current on a page with this path. A home is not marked on the pages below it."""
        if path == self.url:
            return "page"
        return "true" if not is_home and path.startswith(self.url) else ""


@dataclass(frozen=True, eq=False)
class Group:
    """Some links under one title."""

    links: tuple[Link, ...]
    title: LazyText | str = ""


@dataclass(frozen=True, eq=False)
class Search:
    """Where the search box in the header leads, and its hint about what it finds."""

    url: str
    hint: LazyText


INBOX = Link("/inbox/", _("Inbox"), "inbox")

#: The pages of each kind of organisation, its home first.
PAGES: dict[str, list[Link]] = {
    OrganisationKind.CUSTOMER: [
        Link("/c/", _("Home"), "home"),
        INBOX,
        Link("/c/subscriptions/", _("Subscriptions"), "layers"),
        Link("/c/change-requests/", _("Change requests"), "help"),
        Link("/c/conflicts/", _("Conflicts"), "scales"),
        Link("/c/invitations/", _("Invitations"), "send"),
        Link("/c/claims/", _("Claims"), "award"),
        Link("/c/gaps/", _("Gaps"), "flag"),
        Link("/c/usage/", _("Usage"), "chart"),
        Link("/c/partners/", _("Partners"), "people"),
        Link("/c/history/", _("History"), "clock"),
    ],
    OrganisationKind.PARTNER: [
        Link("/p/", _("Dashboard"), "home"),
        INBOX,
        Link("/p/customers/", _("Customers"), "people"),
        Link("/p/locations/", _("Locations"), "building", shown=lambda actor: bool(actor.below)),
        Link("/p/subscriptions/", _("Subscriptions"), "layers"),
        Link("/p/claims/", _("Claims"), "award"),
        Link("/p/competencies/", _("Competencies"), "target"),
        Link("/p/change-requests/", _("Change requests"), "help"),
        Link("/p/conflicts/", _("Conflicts"), "scales"),
        Link("/p/invitations/", _("Invitations"), "send"),
        Link("/p/gaps/", _("Gaps"), "flag"),
        Link("/p/usage/", _("Usage"), "chart"),
        Link("/p/transition/", _("Legacy forms"), "arrows", shown=has_forms),
        Link("/p/history/", _("History"), "clock"),
    ],
    OrganisationKind.STAFF: [
        Link("/a/", _("Home"), "home"),
        INBOX,
        Link("/a/customers/", _("Customers"), "building"),
        Link("/a/partners/", _("Partners"), "people"),
        Link("/a/subscriptions/", _("Subscriptions"), "layers"),
        Link("/a/change-requests/", _("Change requests"), "help"),
        Link("/a/claims/", _("Claims"), "award"),
        Link("/a/interests/", _("Interests"), "flag", right=Right.WRITE_INTEREST),
        Link("/a/claims/end/", _("End by claim number"), "x", right=Right.END_CLAIM_BY_NUMBER),
        Link("/a/conflicts/", _("Conflicts"), "scales"),
        Link("/a/overrides/", _("Overrides"), "ok"),
        Link("/a/gaps/", _("Gaps"), "flag"),
        Link("/a/history/", _("History"), "clock"),
        Link("/a/deliveries/", _("Messages"), "send", right=Right.READ_DELIVERIES),
        Link("/a/loads/", _("Imports"), "upload", right=Right.READ_IMPORTS),
        Link("/a/recomputations/", _("Recomputations"), "target", right=Right.READ_IMPORTS),
        Link("/a/people/", _("People"), "person"),
        Link("/a/blocked/", _("Blocked content"), "shield", right=Right.READ_METRICS),
    ],
}
MAIL_SINK = Link("/a/mail/", _("Sent emails"), "mail", right=Right.READ_SENT_MAIL)
_HELP = _("Help")
HELP = [
    Link("/what-counts/", _("Types of association"), "book"),
    Link("/how-claims-work/", _("How claims work"), "help"),
    Link("/how-competencies-work/", _("About competencies"), "target"),
    Link("/programmes/", _("Programme rules"), "scales"),
    Link("/api/docs/", _("API"), "code"),
]

SEARCHES: dict[str, Search] = {
    OrganisationKind.CUSTOMER: Search("/c/subscriptions/", _("Find a subscription or partner")),
    OrganisationKind.PARTNER: Search("/p/subscriptions/", _("Find a customer or subscription")),
    OrganisationKind.STAFF: Search("/a/find/", _("Find by name or ID")),
}


def page(request: Request) -> dict[str, Any]:
    """Return the context of every page. An error page may be shown before there is an actor."""
    actor = getattr(request, "actor", SYSTEM)
    theme = request.COOKIES.get("theme")
    return {
        "DEMO": settings.DEMO,
        "LANGUAGE": get_language(),
        "LANGUAGES": settings.LANGUAGES,
        "actor": actor,
        "memberships": getattr(request, "memberships", []),
        "role_name": f"{OrganisationKind(actor.kind).label}, {Role(actor.role).label}" if actor.organisation else "",
        "elsewhere": SimpleLazyObject(lambda: elsewhere(request)),
        "navigation": SimpleLazyObject(lambda: navigation(actor, request.path, getattr(request, "waiting", None))),
        "search": SEARCHES.get(actor.kind),
        "shortcuts_off": request.COOKIES.get("shortcuts") == "off",
        "theme": theme if theme in dict(THEMES) else "",
    }


def elsewhere(request: Request) -> list[Membership]:
    """Return the person's other memberships in organisations of the kind whose pages begin like this one."""
    memberships: list[Membership] = getattr(request, "memberships", [])
    return [
        one
        for one in memberships
        if one.organisation_id != request.actor.organisation_id
        and request.path.startswith(PAGES[one.organisation.kind][0].url)
    ]


def navigation(actor: Actor, path: str, counts: Mapping[str, int] | None = None) -> tuple[Group, ...]:
    """Return the links that the actor may follow from here; none without an organisation.

    `counts` is what waits for the actor, if that has been counted.
    """
    if not (pages := PAGES.get(actor.kind)):
        return ()
    home, *others = pages
    if actor.is_staff and settings.MAIL_SINK:
        others.append(MAIL_SINK)
    allowed = [
        link
        for link in others
        if (not link.right or actor.may(link.right)) and (link.shown is None or link.shown(actor))
    ]
    links = (home, *allowed, *HELP)
    marks = (home.mark(path, is_home=True), *(link.mark(path) for link in links[1:]))
    return _groups(links, marks, tuple((waiting(actor) if counts is None else counts).items()))


@lru_cache(256)
def _groups(links: tuple[Link, ...], marks: tuple[Mark, ...], counts: tuple[tuple[str, int], ...]) -> tuple[Group, ...]:
    """Return the links with their marks and counts. They are the same on most pages, so their markup is found by them.

    Counts are by the icons of the links; those of the help have none.
    """
    by_icon, first = dict(counts), len(links) - len(HELP)
    shown = [
        replace(link, current=mark, count=by_icon.get(link.icon) if 0 < place < first else None)
        for place, (link, mark) in enumerate(zip(links, marks, strict=True))
    ]
    return Group(tuple(shown[:first])), Group(tuple(shown[first:]), title=_HELP)
