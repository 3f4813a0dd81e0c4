"""The page of a delegated administrator, where the customer ends it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from associations.delegated_admin import actions
from associations.delegated_admin.events import ENDED_MAIL
from associations.delegated_admin.forms import EndForm
from associations.delegated_admin.queries import administrators_visible_to
from associations.record.models import Association
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind, Right
from por.errors import NotFound
from por.notifications.actions.notifying import Reach, reach_of
from por.web.pages import NOT_YOURS, posted, submit


@require_safe
@only(OrganisationKind.CUSTOMER)
def delegated_admin(request: Request, association_id: int) -> HttpResponse:
    return _page(request, _get_visible(request.actor, association_id), EndForm())


@posted("associations:delegated_admin")
@only(OrganisationKind.CUSTOMER)
def delegated_admin_end(request: Request, association_id: int) -> HttpResponse:
    """End it. A second click changes nothing and gets the same response."""
    actor = request.actor
    found = _get_visible(actor, association_id)
    actor.require(Right.REMOVE)
    form = EndForm(request.POST)
    sent = submit(form, lambda: actions.end(association_id, by=actor, reason=form.cleaned_data["reason"]))
    if sent.is_done:
        messages.success(request, _("The partner is no longer a delegated administrator."))
    if sent.is_done or not _get_visible(actor, association_id).is_in_force:
        return redirect("associations:delegated_admin", association_id)
    return _page(request, found, form, status=sent.status)


def _get_visible(actor: Actor, association_id: int) -> Association:
    found = administrators_visible_to(actor).filter(pk=association_id).first()
    if found is None:
        raise NotFound("not_found", NOT_YOURS)
    return found


def _page(request: Request, found: Association, form: EndForm, *, status: int = 200) -> HttpResponse:
    return render(
        request,
        "delegated_admin/delegated_admin.html",
        {
            "association": found,
            "partner": found.partner,
            "form": form,
            "may_end": found.is_in_force and request.actor.may(Right.REMOVE),
            "is_told": reach_of({found.partner_id: ENDED_MAIL})[found.partner_id] != Reach.NO_ONE,
        },
        status=status,
    )
