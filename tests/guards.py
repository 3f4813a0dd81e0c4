"""The guards of views, read from the code: sign-in, method, kind of organisation, right.

Views with equal guards refuse alike, so where the guard answers, one request is enough for all of them. What a view
itself answers needs a request of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from django.views.decorators.http import require_http_methods
from rest_framework.permissions import IsAuthenticated
from rest_framework.views import APIView

from por.accounts.guards import only
from por.accounts.rules import OrganisationKind, Role, rights_of
from por.web.pages import posted

#: The organisation and role of each role of the table that can sign in. On a page a token does not count.
ACTS_AS = {
    "customer_admin": (OrganisationKind.CUSTOMER, Role.ADMINISTRATOR),
    "customer_viewer": (OrganisationKind.CUSTOMER, Role.VIEWER),
    "other_customer": (OrganisationKind.CUSTOMER, Role.ADMINISTRATOR),
    "partner_admin": (OrganisationKind.PARTNER, Role.ADMINISTRATOR),
    "partner_viewer": (OrganisationKind.PARTNER, Role.VIEWER),
    "other_partner": (OrganisationKind.PARTNER, Role.ADMINISTRATOR),
    "reviewer": (OrganisationKind.STAFF, Role.REVIEWER),
    "programme_admin": (OrganisationKind.STAFF, Role.PROGRAMME_ADMINISTRATOR),
    "support": (OrganisationKind.STAFF, Role.SUPPORT),
    "auditor": (OrganisationKind.STAFF, Role.AUDITOR),
}
TOKENS = {"token_read", "token_write"}
#: The methods of an API view that decide who may call it.
ADMISSION = ("dispatch", "initial", "perform_authentication", "check_permissions", "get_authenticators")


class Methods(NamedTuple):
    """Only these methods go on."""

    allowed: tuple[str, ...]

    def stops(self, method: str, role: str) -> bool:
        return method not in self.allowed


class OnlyPosts(NamedTuple):
    """Requests other than POST are sent to the page that has the form."""

    def stops(self, method: str, role: str) -> bool:
        return method != "POST"


class OnlyFor(NamedTuple):
    """Only members of this kind of organisation go on, and of them only those with the right."""

    kind: OrganisationKind
    right: str

    def stops(self, method: str, role: str) -> bool:
        if role not in ACTS_AS:
            return True
        kind, own = ACTS_AS[role]
        return kind != self.kind or bool(self.right and self.right not in rights_of(kind, own))


class SignedIn(NamedTuple):
    """A caller who is not signed in is sent to the sign-in."""

    def stops(self, method: str, role: str) -> bool:
        return role not in ACTS_AS


class Admitted(NamedTuple):
    """Only callers who are signed in or have a token go on, and only with a method that the view has."""

    admission: tuple[str, ...]
    known: bool
    allowed: tuple[str, ...]

    def stops(self, method: str, role: str) -> bool:
        unknown = role not in ACTS_AS and role not in TOKENS
        return (self.known and unknown) or method not in self.allowed


Step = Methods | OnlyPosts | OnlyFor | SignedIn | Admitted
Guard = tuple[Step, ...]


def guard_of(view: Callable[..., Any]) -> Guard:
    """Return the guards that a request passes before the view, in order, up to the first unknown one."""
    cls = getattr(view, "cls", None)
    if cls is not None and issubclass(cls, APIView):
        return (_admission(cls),)
    signed_in = [SignedIn()] if getattr(view, "login_required", True) else []
    return (*signed_in, *_decorators(view))


def stopped_by(guard: Guard, method: str, role: str) -> Guard:
    """Return the steps up to the one that answers this request, so that later ones and the view never see it.

    Empty if none does.
    """
    return next((guard[: number + 1] for number, step in enumerate(guard) if step.stops(method, role)), ())


def _admission(cls: type[APIView]) -> Admitted:
    classes = [*cls.authentication_classes, *cls.permission_classes, *cls.throttle_classes]
    methods = [getattr(cls, name) for name in ADMISSION]
    return Admitted(
        tuple(f"{one.__module__}.{one.__qualname__}" for one in [*classes, *methods]),
        IsAuthenticated in cls.permission_classes,
        tuple(name.upper() for name in cls.http_method_names if hasattr(cls, name)),
    )


def _decorators(view: Any) -> Iterator[Step]:
    """Yield the guards of the decorators, from the outermost to the first unknown one: that counts as view."""
    while hasattr(view, "__wrapped__"):
        code = getattr(view, "__code__", None)
        cells = [cell.cell_contents for cell in getattr(view, "__closure__", None) or ()]
        given = dict(zip(code.co_freevars, cells, strict=True)) if code else {}
        if _made_by(require_http_methods, view):
            yield Methods(tuple(given["request_method_list"]))
        elif _made_by(posted, view):
            yield OnlyPosts()
        elif _made_by(only, view):
            yield OnlyFor(given["kind"], given["to"])
        else:
            return
        view = view.__wrapped__


def _made_by(decorator: Callable[..., Any], view: Any) -> bool:
    made_in = view.__globals__["__name__"], view.__code__.co_qualname.partition(".<locals>")[0]
    return made_in == (decorator.__module__, decorator.__qualname__)
