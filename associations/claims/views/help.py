"""The page that explains claims, for everyone who is signed in."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from associations.claims.queries.help import help_on, reasons
from por.accounts.middleware import Request
from por.web.filters import AsOfForm
from por.web.pages import as_of_context


@require_safe
def how_claims_work(request: Request) -> HttpResponse:
    """Show the steps and terms of a claim, what a proof must show, and what the customer sees, now or on a day."""
    past = AsOfForm(request.GET)
    valid = past.is_valid()
    context = {
        "help": help_on(past.day or timezone.localdate()),
        "reasons": reasons(),
        "form": past,
        **as_of_context(request, past),
    }
    return render(request, "claims/how_claims_work.html", context, status=200 if valid else 422)
