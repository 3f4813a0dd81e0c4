"""The page on which a company moves subscriptions between its locations."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from associations.attaching.actions import moving
from associations.attaching.forms import MoveForm
from associations.record import queries
from associations.record.models import Association
from associations.record.queries import BY_CUSTOMER
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind, Right
from por.directory.access import partners_of
from por.directory.models import Partner
from por.web.pages import submit

SHOWN = 200  # subscriptions to choose from, and outcomes; "all" moves the others too
BACK = 900  # subscriptions that one click moves back: a form may have 1,000 fields


@require_http_methods(["GET", "HEAD", "POST"])
@only(OrganisationKind.PARTNER, to=Right.MOVE)
def move_locations(request: Request) -> HttpResponse:
    """Show the subscriptions of a location; after "Move" the outcome of each. A second click moves nothing."""
    actor = request.actor
    locations = _locations(actor)
    if request.method != "POST":
        form = MoveForm(locations, request.GET if "from_mpn_id" in request.GET else None)
        form.errors.pop("to_mpn_id", None)  # it is chosen in the next step
        return _page(request, form, locations, status=422 if form.errors else 200)
    form = MoveForm(locations, request.POST)

    def move() -> moving.Moves:
        given = form.cleaned_data
        return moving.move(given["from_mpn_id"], given["to_mpn_id"], form.chosen, by=actor)

    sent = submit(form, move, reword=form.at_its_field)
    return _page(request, form, locations, moves=sent.result if sent.is_done else None, status=sent.status)


def _page(
    request: Request,
    form: MoveForm,
    locations: list[Partner],
    *,
    moves: moving.Moves | None = None,
    status: int = 200,
) -> HttpResponse:
    context: dict[str, Any] = {"move_form": form, "form": form if form.errors else None, "locations": locations}
    former = next((one for one in locations if one.mpn_id == form["from_mpn_id"].value()), None)
    if moves is not None:
        moved = [one.subscription_id for one in moves.outcomes if one.code == "moved"]
        shown = sorted(moves.outcomes, key=lambda one: one.code != "refused")[:SHOWN]
        context |= {"moves": moves, "moved": moved, "outcomes": shown, "rest": len(moves.outcomes) - len(shown)}
        context["back"] = moved if len(moved) <= BACK else []
    elif former is not None:
        held = Association.objects.open().of_record().filter(partner=former)
        found = queries.subscriptions_for_listing(request.actor).filter(pk__in=held.values("subscription"))
        subscriptions = list(found.order_by(*BY_CUSTOMER)[:SHOWN])
        context |= {"former": former, "subscriptions": subscriptions, "total": held.count()}
    return render(request, "attaching/move_locations.html", context, status=status)


def _locations(actor: Actor) -> list[Partner]:
    """Return the locations of the actor's company, the global account left out."""
    found = partners_of(actor).filter(kind=Partner.Kind.LOCATION).exclude(status=Partner.Status.CLOSED)
    return list(found.select_related("organisation").order_by("organisation__name", "pk"))
