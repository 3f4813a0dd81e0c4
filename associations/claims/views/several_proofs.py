"""The same proof for several claims: they are selected in the list, and each has an outcome of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from django import forms
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from associations.claims.actions.proofs import provable, takes_proof
from associations.claims.actions.several_proofs import Outcome, chosen, upload_to_several
from associations.claims.forms.proofs import ChosenClaimsForm, SeveralProofsForm
from associations.claims.models import Claim, ClaimUnit
from associations.claims.rules import CLAIM, ClaimStatus
from associations.claims.views.proofs import read_files
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind, Right
from por.web.bounds import bounds_its_body
from por.web.pages import submit


class Row(NamedTuple):
    """A claim on the page: the units that the files are for, how many it got, and why it gets or got none."""

    claim: Claim
    units: Sequence[ClaimUnit]
    files: int = 0
    message: str = ""


@bounds_its_body
@csrf_exempt  # checked below, after the files: a person without the right is refused before any file is read
@require_http_methods(["GET", "HEAD", "POST"])
@only(OrganisationKind.PARTNER, to=Right.WRITE_PROOFS)
def several_proofs(request: Request) -> HttpResponseBase:
    """Show the selected claims with the form; after Upload the outcome for each claim."""
    if request.method == "POST":
        return csrf_protect(_upload)(request, is_too_large=read_files(request))
    choice = ChosenClaimsForm(request.GET)
    rows = _rows(request.actor, choice)
    return _page(request, rows, SeveralProofsForm(), wrong=choice)


def _upload(request: Request, *, is_too_large: bool) -> HttpResponse:
    form = SeveralProofsForm(request.POST, request.FILES, is_too_large=is_too_large)

    def upload() -> list[Outcome]:
        given = form.cleaned_data
        return upload_to_several(
            given["claim"], given["file"], given["acknowledged_on"], given["description"], by=request.actor
        )

    sent = submit(form, upload)
    if sent.is_done:
        rows = [Row(one.claim, one.units, len(one.proofs), str(one.refused or "")) for one in sent.result]
        return _page(request, rows, form, is_done=True)
    choice = ChosenClaimsForm(request.POST)
    return _page(request, _rows(request.actor, choice), form, wrong=form, status=sent.status)


def _rows(actor: Actor, choice: ChosenClaimsForm) -> list[Row]:
    """Return the selected claims, or none with an error on the form. Raises NotFound for one that is not visible."""
    sent = submit(choice, lambda: chosen(choice.cleaned_data["claim"], by=actor))
    return [_row(one, actor) for one in sent.result] if sent.is_done else []


def _row(claim: Claim, actor: Actor) -> Row:
    _code, message = CLAIM.refusals[ClaimStatus(claim.status)]
    return Row(claim, provable(claim), message="" if takes_proof(claim, actor.today) else str(message))


def _page(
    request: Request,
    rows: Sequence[Row],
    form: SeveralProofsForm,
    *,
    is_done: bool = False,
    wrong: forms.Form | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {
        "rows": rows,
        "upload_form": form,
        "form": wrong,
        "is_done": is_done,
        "uploaded": sum(bool(one.files) for one in rows),
    }
    if status == 200 and wrong is not None and wrong.errors:
        status = 422
    return render(request, "claims/several_proofs.html", context, status=status)
