"""What the pages of all rooms share: parts of pages, and forms that call verbs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Generic, TypeVar, cast

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render, resolve_url
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext_lazy as _

from por.errors import Forbidden, NotFound, Refused, status_of
from por.ops import metrics
from por.web.filters import AsOfForm
from por.web.lists import address
from por.web.requests import Request

T = TypeVar("T")

#: The message for what does not exist, and for what the reader may not see.
NOT_YOURS = _("This does not exist, or you do not have access to it.")


def as_of_context(request: Request, form: AsOfForm) -> dict[str, Any]:
    """Return what a page needs about the day it shows. The form must have been checked."""
    return {
        "as_of_form": form,
        "as_of": form.day,
        "as_of_query": f"?as_of={form.day.isoformat()}" if form.day else "",
        "today_url": address(request, without=["as_of"]),
    }


def posted(page: str) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Return a decorator for the verbs of a page: a request that is no POST goes to the page itself."""

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method != "POST":
                return HttpResponseRedirect(resolve_url(page, *args, **kwargs))
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def render_page(
    request: Request, template: str, context: Mapping[str, Any], *, part: str, status: int = 200
) -> HttpResponse:
    """Return the whole page, or only its named part if htmx asked for it."""
    partial = request.htmx and not request.htmx.boosted and not request.htmx.history_restore_request
    response = render(request, f"{template}#{part}" if partial else template, dict(context), status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


# --- Forms that are sent --------------------------------------------------------------------------------------------


class Submission(Generic[T]):
    """The outcome of a form or button that was sent: the result of its verb, or the refusal.

    `status` is that of the page that shows the form again.
    """

    def __init__(self, status: int = 200, *, result: T | None = None, refused: Refused | None = None) -> None:
        self.status, self.refused = status, refused
        self._result = result

    @property
    def is_done(self) -> bool:
        return self.status == 200

    @property
    def result(self) -> T:
        """Return the result of the verb; only if it is done."""
        return cast(T, self._result)


def submit(
    form: forms.BaseForm | None,
    verb: Callable[[], T],
    *,
    reword: Callable[[Refused], Refused] = lambda refused: refused,
) -> Submission[T]:
    """Call the verb if the form is valid, and put its refusal on the form. A button alone has no form.

    `reword` may replace a refusal by one with the page's own message or field. Raise NotFound and Forbidden: they are
    for the error pages.
    """
    if form is not None and not form.is_valid():
        return Submission(422)
    try:
        return Submission(result=verb())
    except Refused as error:
        refused = reword(error)
        if isinstance(refused, NotFound | Forbidden):
            raise
        return Submission(add_refusal(form, refused), refused=refused)


def add_refusal(form: forms.BaseForm | None, refused: Refused) -> int:
    """Put the refusal on the form, if there is one; count it and return its status.

    The form keeps what was entered: for the form itself, all of it was valid.
    """
    if form is not None:
        entered = dict(form.cleaned_data)
        form.add_error(refused.field, str(refused.message))
        form.cleaned_data = entered
    status = 422 if refused.field else status_of(refused)
    metrics.refused(refused.code, status, refused)
    return status
