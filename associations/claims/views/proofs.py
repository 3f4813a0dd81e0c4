"""The files of a claim in the browser: uploading them, the list, the viewer with pictures of pages, and downloads."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_safe

from associations.claims.actions import drafting
from associations.claims.actions.proofs import record_opening, takes_proof, upload
from associations.claims.actions.shared import visible
from associations.claims.forms.proofs import ChecklistForm, ProofForm
from associations.claims.models import Claim, Proof
from associations.claims.queries import proofs as queries
from associations.claims.rules import MOST_BYTES_AT_ONCE, READABLE, Preview, Scan, checklist
from associations.claims.views.partner import can_be_changed
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind, Right
from por.db import outages
from por.documents import proof_forms
from por.documents.kinds import CONTENT_TYPES, Kind
from por.errors import NotFound
from por.files import proofs as files
from por.imports.uploads import Limit
from por.ops import watchdog
from por.web.bounds import bounds_its_body
from por.web.lists import counted
from por.web.pages import posted, submit

#: A browser that opens what others uploaded runs nothing of it, and no cache keeps it.
SANDBOXED = {
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
    "X-Robots-Tag": "noindex",
}
TONES = {Scan.CLEAN: "ok", Scan.INFECTED: "bad", Scan.FAILED: "bad", Scan.PENDING: "info", Scan.NOT_SCANNED: "info"}


class Row(NamedTuple):
    """A file in the list, and what the reader may do with it."""

    proof: Proof
    units: str
    tone: str
    view_url: str
    download_url: str


def _rows(request: Request, claim: Claim) -> list[Row]:
    actor = request.actor
    view, download = (
        ("claims:review_proof", "claims:review_proof_download")
        if actor.is_staff
        else ("claims:proof", "claims:proof_download")
    )
    opens = actor.may(Right.READ_PROOFS)
    return [
        Row(
            one,
            ", ".join(unit.label for unit in one.units.all()),
            TONES[Scan(one.scan)],
            reverse(view, args=[claim.pk, one.number]) if opens and one.preview == Preview.DRAWN else "",
            reverse(download, args=[claim.pk, one.number]) if _offers_file(one, actor) else "",
        )
        for one in queries.proofs_of(claim)
    ]


# --- The claimant -----------------------------------------------------------------------------------------------------


@bounds_its_body
@csrf_exempt  # checked below, after the files: a person without the right is refused before any file is read
@require_http_methods(["GET", "HEAD", "POST"])
@only(OrganisationKind.PARTNER, to=Right.LIST_PROOFS)
def proofs(request: Request, claim_id: int) -> HttpResponseBase:
    claim = visible(claim_id, by=request.actor, to=Right.LIST_PROOFS)
    if request.method != "POST":
        return _list(request, claim, ProofForm(claim=claim))
    request.actor.require(Right.WRITE_PROOFS)
    return csrf_protect(_upload)(request, claim, is_too_large=read_files(request))


def read_files(request: Request) -> bool:
    """Read the whole body; return whether its files are too large. The database is not needed meanwhile."""
    limit = Limit(MOST_BYTES_AT_ONCE)
    request.upload_handlers.insert(0, limit)
    with watchdog.unbounded(), outages.of_storage():
        request.POST  # noqa: B018
    return limit.is_passed


def _upload(request: Request, claim: Claim, *, is_too_large: bool) -> HttpResponseBase:
    form = ProofForm(request.POST, request.FILES, claim=claim, is_too_large=is_too_large)
    sent = submit(form, lambda: upload(claim.pk, form.cleaned_data["file"], form.said, by=request.actor))
    if not sent.is_done:
        return _list(request, claim, form, status=sent.status)
    count = len(sent.result)
    text = ngettext("%(n)s file uploaded. It is being scanned.", "%(n)s files uploaded. They are being scanned.", count)
    messages.success(request, text % {"n": counted(count)})
    return redirect("claims:proofs", claim.pk)


def _list(request: Request, claim: Claim, form: ProofForm, *, status: int = 200) -> HttpResponse:
    actor = request.actor
    context: dict[str, Any] = {
        "claim": claim,
        "rows": _rows(request, claim),
        "form": form,
        "may_upload": actor.may(Right.WRITE_PROOFS) and takes_proof(claim, actor.today),
        "checklist": checklist(claim.checked),
        "may_check": actor.may(Right.WRITE_CLAIMS) and can_be_changed(claim),
    }
    return render(request, "claims/proofs.html", context, status=status)


@posted("claims:proofs")
@only(OrganisationKind.PARTNER, to=Right.WRITE_CLAIMS)
def check(request: Request, claim_id: int) -> HttpResponseBase:
    """Keep which points of the checklist the partner has found in its proof."""
    claim = visible(claim_id, by=request.actor, to=Right.WRITE_CLAIMS)
    form = ChecklistForm(request.POST)
    sent = submit(form, lambda: drafting.change(claim_id, {"checked": form.cleaned_data["checked"]}, by=request.actor))
    if not sent.is_done:
        wrong = [str(one) for errors in form.errors.values() for one in errors]
        messages.error(request, wrong[0])
        return _list(request, claim, ProofForm(claim=claim), status=sent.status)
    messages.success(request, _("Checklist saved."))
    return redirect("claims:proofs", claim_id)


@require_safe
@only(OrganisationKind.PARTNER, to=Right.WRITE_PROOFS)
def proof_form(request: Request, claim_id: int, ending: str) -> HttpResponse:
    """Return the form for a proof, filled with the data of the claim."""
    claim = visible(claim_id, by=request.actor, to=Right.WRITE_PROOFS)
    write = {"docx": proof_forms.as_docx, "pdf": proof_forms.as_pdf}.get(ending)
    if write is None:
        raise NotFound("not_found", _("The form is there as DOCX and as PDF."))
    stem = _("proof-of-execution")  # here, because makemessages does not read f-strings
    name = f"{stem}-{claim.number or claim.pk}.{ending}"
    response = HttpResponse(write(queries.form_of(claim)), content_type=CONTENT_TYPES[Kind(ending)])
    response["Content-Disposition"] = content_disposition_header(True, name)
    response["Content-Language"] = get_language() or "en"
    return response


@require_safe
@only(OrganisationKind.PARTNER, to=Right.READ_PROOFS)
def proof(request: Request, claim_id: int, number: int) -> HttpResponse:
    return _viewer(request, claim_id, number)


@require_safe
@only(OrganisationKind.PARTNER, to=Right.READ_PROOFS)
def proof_page(request: Request, claim_id: int, number: int, sheet: int) -> HttpResponse:
    return _page(request, claim_id, number, sheet)


@require_safe
@only(OrganisationKind.PARTNER, to=Right.READ_PROOFS)
def proof_download(request: Request, claim_id: int, number: int) -> HttpResponse:
    return _save(request, claim_id, number)


# --- Staff ------------------------------------------------------------------------------------------------------------


@require_safe
@only(OrganisationKind.STAFF, to=Right.LIST_PROOFS)
def review_proofs(request: Request, claim_id: int) -> HttpResponse:
    claim = visible(claim_id, by=request.actor, to=Right.LIST_PROOFS)
    return render(
        request,
        "claims/proofs.html",
        {"claim": claim, "rows": _rows(request, claim), "checklist": checklist(claim.checked)},
    )


@require_safe
@only(OrganisationKind.STAFF, to=Right.READ_PROOFS)
def review_proof(request: Request, claim_id: int, number: int) -> HttpResponse:
    return _viewer(request, claim_id, number)


@require_safe
@only(OrganisationKind.STAFF, to=Right.READ_PROOFS)
def review_proof_page(request: Request, claim_id: int, number: int, sheet: int) -> HttpResponse:
    return _page(request, claim_id, number, sheet)


@require_safe
@only(OrganisationKind.STAFF, to=Right.READ_PROOFS)
def review_proof_download(request: Request, claim_id: int, number: int) -> HttpResponse:
    return _save(request, claim_id, number)


# --- Both -------------------------------------------------------------------------------------------------------------


def _offers_file(proof: Proof, actor: Actor) -> bool:
    """Return whether a page offers to save the file itself: to staff only if it has no pictures of its pages."""
    readable = proof.scan in READABLE and actor.may(Right.READ_PROOFS)
    return readable and (not actor.is_staff or proof.preview == Preview.NONE)


def _save(request: Request, claim_id: int, number: int) -> HttpResponse:
    link = queries.link_to(claim_id, number, by=request.actor)
    if request.method == "GET":
        record_opening(claim_id, number, by=request.actor)
    return HttpResponseRedirect(link)


def _viewer(request: Request, claim_id: int, number: int) -> HttpResponse:
    one = queries.opened(claim_id, number, by=request.actor)
    if request.method == "GET":
        record_opening(claim_id, number, by=request.actor)
    staff = request.actor.is_staff
    place = "claims:review_proof_page" if staff else "claims:proof_page"
    context = {
        "claim": visible(claim_id, by=request.actor, to=Right.READ_PROOFS),
        "proof": one,
        "pages": [reverse(place, args=[claim_id, number, page]) for page in range(1, one.pages + 1)],
        "list_url": reverse("claims:review_proofs" if staff else "claims:proofs", args=[claim_id]),
        "download_url": reverse(
            "claims:review_proof_download" if staff else "claims:proof_download", args=[claim_id, number]
        )
        if _offers_file(one, request.actor)
        else "",
    }
    return render(request, "claims/proof.html", context)


def _page(request: Request, claim_id: int, number: int, page: int) -> HttpResponse:
    picture = queries.page_of(queries.opened(claim_id, number, by=request.actor), page)
    return HttpResponse(picture, content_type="image/png", headers=SANDBOXED)


@login_not_required
@require_safe
def file(request: Request, signed: str) -> HttpResponseBase:
    """Return a file to whoever has the link that was made within the last minute: as a bucket does."""
    one = queries.linked(signed)
    assert one.scan in READABLE
    try:
        with outages.of_storage():
            content = files.pieces(one.stored_as)
    except FileNotFoundError:
        raise NotFound("not_found", _("This file is not there any more.")) from None
    response = StreamingHttpResponse(content, content_type=one.content_type, headers=SANDBOXED)
    response["Content-Length"] = str(one.size)
    response["Content-Disposition"] = content_disposition_header(True, one.filename) or "attachment"
    return response
