"""The guard of a page: the kind of organisation and the right that it requires."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http.response import HttpResponseBase
from django.utils.translation import gettext_lazy as _

from por.accounts.middleware import Request
from por.accounts.rules import OrganisationKind
from por.errors import Forbidden

_WRONG_KIND = {
    OrganisationKind.CUSTOMER: _(
        "This page is for customers. Switch to a customer organisation, or go to your start page."
    ),
    OrganisationKind.PARTNER: _(
        "This page is for partners. Switch to a partner organisation, or go to your start page."
    ),
    OrganisationKind.STAFF: _("This page is for platform staff. Go to your start page."),
}


def only(
    kind: OrganisationKind, *, to: str = ""
) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Return a decorator that admits only actors of this kind of organisation, and only with the right `to`, if given.

    Raises Forbidden for all others.
    """

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def guarded(request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.actor.kind != kind:
                raise Forbidden("wrong_kind", _WRONG_KIND[kind])
            if to:
                request.actor.require(to)
            return view(request, *args, **kwargs)

        return guarded

    return decorate
