"""A claim is entered page by page. Each page keeps what it gets in the draft, so any page can be reached at any time.

The same pages change a claim about which the reviewer has asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, cast

from django import forms
from django.contrib import messages
from django.core.exceptions import NON_FIELD_ERRORS
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from associations.claims.actions import drafting, submitting
from associations.claims.actions.drafting import Fields
from associations.claims.actions.shared import units_of, visible
from associations.claims.forms.claims import (
    ContactsForm,
    NameForm,
    NewClaimForm,
    ProgramForm,
    SummaryForm,
    UnitsForm,
)
from associations.claims.models import Claim
from associations.claims.policies import policy_on
from associations.claims.programs import Claimable, claimable
from associations.claims.queries.units import key_of, known_of, subscriptions_to_choose
from associations.claims.rules import CHECKLIST, ClaimStatus, Origin, Program
from associations.claims.views.partner import can_be_changed, to_partner
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind, Right
from por.directory.access import enrolments_visible_to, partners_of
from por.directory.models import Customer, Partner
from por.errors import NotFound, Refused, VersionConflict
from por.web.pages import NOT_YOURS, submit

#: The pages in their order.
PAGES = {
    "customer": gettext_lazy("Customer"),
    "programme": gettext_lazy("Programme and role"),
    "units": gettext_lazy("What you claim"),
    "contacts": gettext_lazy("Contacts"),
    "summary": gettext_lazy("Check and submit"),
}
#: The page on which each field is entered; all others are on the page of contacts.
PAGE_OF = {
    "name": "customer",
    "program": "programme",
    "role": "programme",
    "mpn_id": "programme",
    "units": "units",
    "workloads": "units",
    "subscription_ids": "units",
    "proofs": "summary",
    "checked": "summary",
}
#: The input for fields of a verb that have another name on the pages.
INPUTS = {"program": "kind", "role": "kind", "units": "workloads"}


class Missing(NamedTuple):
    """What keeps a claim from being submitted, and the page where that is entered."""

    message: str
    page: str
    title: Any


@require_http_methods(["GET", "HEAD", "POST"])
@only(OrganisationKind.PARTNER, to=Right.WRITE_CLAIMS)
def claim_new(request: Request) -> HttpResponse:
    """Ask for the customer, show its name once tenant and domain match, and keep a draft once that is confirmed."""
    actor = request.actor
    form, customer, status = NewClaimForm(request.POST), None, 200
    if request.method != "POST":
        form = NewClaimForm(initial=request.GET.dict())
    elif request.POST.get("step") == "draft":
        sent = submit(form, lambda: _draft(actor, form.cleaned_data))
        if sent.is_done:
            return redirect("claims:claim_edit", sent.result.pk, "programme")
        status = sent.status
    else:
        given = submit(form, lambda: _found(actor, form.cleaned_data))
        status, customer = given.status, given.result if given.is_done else None
    context = {"form": form, "customer": customer, "pages": PAGES.items(), "page": "customer"}
    return render(request, "claims/partner_claim_new.html", context, status=status)


def _found(actor: Actor, given: dict[str, Any]) -> Customer:
    return drafting.find_customer(given["tenant_id"], given["domain"], by=actor)


def _draft(actor: Actor, given: dict[str, Any]) -> Claim:
    fields: Fields = {"name": given["name"]}
    return drafting.draft(given["tenant_id"], given["domain"], fields, by=actor, origin=Origin.WIZARD)


@require_http_methods(["GET", "HEAD", "POST"])
@only(OrganisationKind.PARTNER)
def claim_edit(request: Request, claim_id: int, page: str) -> HttpResponse:
    """Show a page of the claim; keep what it gets, and go on to the next page."""
    if page not in PAGES:
        raise NotFound("not_found", NOT_YOURS)
    claim = visible(claim_id, by=request.actor, to=Right.WRITE_CLAIMS)
    if request.method == "POST":
        return _save(request, claim, page)
    if not can_be_changed(claim):
        return redirect("claims:claim", claim_id)
    return _show(request, claim, page, _form(request.actor, claim, page))


def _save(request: Request, claim: Claim, page: str) -> HttpResponse:
    """Keep what a page got. What is sent twice is kept once, and gets the same answer."""
    actor, form = request.actor, _form(request.actor, claim, page, request.POST)
    submits = page == "summary" and request.POST.get("step") == "submit"

    def keep() -> Claim:
        version: int = form.cleaned_data["version"]
        changed = drafting.change(claim.pk, _fields(page, form), by=actor, version=version)
        return submitting.submit(claim.pk, by=actor, version=changed.version) if submits else changed

    sent = submit(form, keep, reword=_reword(form))
    fresh = visible(claim.pk, by=actor)
    was_sent_twice = isinstance(sent.refused, VersionConflict) and (
        fresh.status == ClaimStatus.SUBMITTED
        if submits
        else can_be_changed(fresh) and _says(fresh, _fields(page, form))
    )
    if not (sent.is_done or was_sent_twice):
        if can_be_changed(fresh):
            return _show(request, fresh, page, form, status=sent.status)
        return to_partner(request, fresh, form=form, status=sent.status)
    if submits:
        if sent.is_done:
            messages.success(request, _("Claim submitted. A reviewer checks it."))
        return redirect("claims:claim", claim.pk)
    if page == "summary":
        messages.success(request, _("Saved."))
    return redirect("claims:claim_edit", claim.pk, _after(page))


def _after(page: str) -> str:
    """Return the next page; the last one itself."""
    names = list(PAGES)
    return names[min(names.index(page) + 1, len(names) - 1)]


def _reword(form: forms.Form) -> Callable[[Refused], Refused]:
    """Return a function that puts a refusal at the input of its field; above the form where there is none."""

    def reworded(refused: Refused) -> Refused:
        if refused.field:
            name = INPUTS.get(refused.field, refused.field)
            refused.field = name if name in form.fields else NON_FIELD_ERRORS
        return refused

    return reworded


# --- What each page enters ------------------------------------------------------------------------------------------


def _form(actor: Actor, claim: Claim, page: str, data: Any = None) -> forms.Form:
    """Return the form of a page: with what was sent, or what the claim says."""
    of_claim = {name: getattr(claim, name) for name in drafting.PLAIN}
    match page:
        case "customer":
            return NameForm(data, initial=of_claim)
        case "programme":
            chosen = {"kind": f"{claim.program}:{claim.role}", "mpn_id": claim.partner.mpn_id}
            return ProgramForm(_offered(claim), _locations(actor, claim), data, initial=chosen)
        case "units":
            offered = _claimable(claim)
            choices = subscriptions_to_choose(actor, claim, offered)
            units = units_of(claim)
            initial = {
                "workloads": [one.workload for one in units if one.workload],
                "subscription": [str(one.subscription.subscription_id) for one in units if one.subscription],
            }

            def check(entered: str) -> Any:
                return drafting.claimable_subscription(claim.customer_id, entered, offered)

            return UnitsForm(offered, choices, check, data, initial=initial)
        case "contacts":
            return ContactsForm(claim, data, initial=of_claim)
    return SummaryForm(data, initial={"checked": claim.checked})


def _fields(page: str, form: forms.Form) -> Fields:
    """Return what a page entered as the verb takes it."""
    given = form.cleaned_data
    match form:
        case ProgramForm():
            program, role = form.chosen
            return {"program": program, "role": role, "mpn_id": given["mpn_id"]}
        case UnitsForm():
            return (
                {"subscription_ids": form.wanted}
                if "subscription" in form.fields
                else {"workloads": given["workloads"]}
            )
    return cast("Fields", {name: value for name, value in given.items() if name != "version"})


def _says(claim: Claim, fields: Fields) -> bool:
    """Return whether the claim says these things already."""
    units = units_of(claim)
    lists = {
        "workloads": {one.workload for one in units if one.workload},
        "subscription_ids": {str(one.subscription.subscription_id) for one in units if one.subscription},
        "checked": set(claim.checked),
    }
    return all(
        set(cast("list[str]", value)) == lists[name]
        if name in lists
        else value == (claim.partner.mpn_id if name == "mpn_id" else getattr(claim, name))
        for name, value in fields.items()
    )


def _offered(claim: Claim) -> list[tuple[Program, Claimable]]:
    """Return the programmes that take claims today; of a claim that was submitted, its own alone."""
    today = timezone.now().date()
    found = [
        (program, offered)
        for program in policy_on(today).takes_claims
        if (offered := claimable(program, today)) and (claim.submitted_at is None or program == claim.program)
    ]
    if claim.submitted_at is None:
        return found
    return [
        (program, replace(offered, roles={role: to for role, to in offered.roles.items() if role == claim.role}))
        for program, offered in found
    ]


def _claimable(claim: Claim) -> Claimable:
    """Return what can be claimed in the programme of the claim; nothing before one is chosen."""
    offered = claimable(Program(claim.program), timezone.now().date()) if claim.program else None
    return offered or Claimable((), (), {})


def _locations(actor: Actor, claim: Claim) -> list[Partner]:
    """Return the active locations of the company, and that of the claim."""
    locations = partners_of(actor).filter(kind=Partner.Kind.LOCATION)
    active = locations.filter(Q(status=Partner.Status.ACTIVE) | Q(pk=claim.partner_id))
    return list(active.select_related("organisation").order_by("organisation__name", "pk"))


# --- Pages ----------------------------------------------------------------------------------------------------------


def _show(request: Request, claim: Claim, page: str, form: forms.Form, *, status: int = 200) -> HttpResponse:
    context = {
        "claim": claim,
        "form": form,
        "pages": PAGES.items(),
        "page": page,
        "title": PAGES[page],
        "is_draft": claim.submitted_at is None,
        "checks_number": len(CHECKLIST),
        **_shown_on(request.actor, claim, page, form),
    }
    return render(request, f"claims/partner_edit_{page}.html", context, status=status)


def _shown_on(actor: Actor, claim: Claim, page: str, form: forms.Form) -> dict[str, Any]:
    """Return what a page shows beside its form."""
    match page:
        case "programme":
            return {"enrolled": _enrolled(actor, claim)}
        case "units":
            return _units_to_show(actor, claim, cast(UnitsForm, form))
        case "summary":
            return _summary(actor, claim)
    return {}


def _enrolled(actor: Actor, claim: Claim) -> list[tuple[Program, bool]]:
    """Return for each programme whether the location of the claim is enrolled in it, with all that this takes."""
    complete = enrolments_visible_to(actor).filter(
        partner=claim.partner_id, agreement_signed_on__isnull=False, bank_ok_on__isnull=False, tax_ok_on__isnull=False
    )
    programs = set(complete.values_list("program", flat=True))
    return [(program, f"incentive.{program}" in programs) for program, _offer in _offered(claim)]


def _units_to_show(actor: Actor, claim: Claim, form: UnitsForm) -> dict[str, Any]:
    """Return each workload or subscription that can be chosen, with what the actor may know of it."""
    offered = _claimable(claim)
    choices = {str(one.subscription_id): one for one in subscriptions_to_choose(actor, claim, offered)}
    known = known_of(actor, claim, [one.value for one in offered.workloads], [one.pk for one in choices.values()])
    boxes: Any = form["workloads"] if offered.workloads else form["subscription"] if choices else []
    rows = [
        (box, choices.get(box.data["value"]), known[choices[box.data["value"]].pk if choices else box.data["value"]])
        for box in boxes
    ]
    return {"offered": offered, "rows": rows}


def _summary(actor: Actor, claim: Claim) -> dict[str, Any]:
    units = units_of(claim)
    known = known_of(
        actor,
        claim,
        [one.workload for one in units if one.workload],
        [one.subscription_id for one in units if one.subscription_id],
    )
    found = submitting.missing(claim, units, actor.today)
    missing = []
    for one in found:
        page = PAGE_OF.get(one.field or "", "contacts")
        missing.append(Missing(str(one.message), page, PAGES[page]))
    return {
        "units": [(unit, known[key_of(unit)]) for unit in units],
        "missing": missing,
        "proofs": list(claim.proofs.order_by("-number")),
    }
