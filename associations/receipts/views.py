"""The page of a receipt, for anyone with the link."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from associations.record import signing
from por.accounts.middleware import Request

#: No cache may keep the page and no search engine may list it: it shows the state of now, to those who have the link.
PRIVATE = {"Cache-Control": "private, no-store", "X-Robots-Tag": "noindex"}


@login_not_required
@require_safe
def receipt(request: Request, signed: str) -> HttpResponse:
    context = {"one": signing.read(signed), "now": timezone.now()}
    response = render(request, "receipts/receipt.html", context)
    for name, value in PRIVATE.items():
        response[name] = value
    return response
