"""The pages of the staff about overrides: the list, and the page of a company's competency with what they do on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple, TypeVar

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_safe

from associations.claims.models import Interest
from associations.claims.queries.reviews import interest_in
from competencies.models import Override, OverrideStatus
from competencies.overrides import actions
from competencies.overrides.forms import AskForm, DecideForm, EndForm, WithdrawForm
from competencies.overrides.queries import overrides_of
from competencies.overrides.rules import OVERRIDE
from competencies.programs import programs
from competencies.queries import absent, company_for
from competencies.views import detail
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor, Organisation
from por.accounts.rules import OrganisationKind, Right
from por.programs.rules import Family, Program
from por.web.filters import AsOfForm
from por.web.lists import Listing, ListTab, counted
from por.web.pages import as_of_context, posted, submit

F = TypeVar("F", bound=forms.Form)
PAGE = "competencies:staff_competency"
TABS = [
    ListTab("", gettext_lazy("Open"), lambda found: found.filter(status=OverrideStatus.ASKED), order=("pk",)),
    ListTab("all", gettext_lazy("All"), lambda found: found, order=("-pk",)),
]


def _overrides_text(count: int) -> str:
    return ngettext("%(n)s override", "%(n)s overrides", count) % {"n": counted(count)}


@require_safe
@only(OrganisationKind.STAFF)
def override_list(request: Request) -> HttpResponse:
    """Show the overrides that wait for a second person, the oldest first, or all, newest first."""
    found = Override.objects.visible_to(request.actor).for_listing()
    shown = Listing(request, found, order=("-pk",), tabs=TABS, count_text=_overrides_text)
    rows = [(one, programs()[one.program].title, _page_of(one)) for one in shown.page.rows]
    return render(request, "overrides/override_list.html", shown.context | {"rows": rows}, status=shown.status)


def _page_of(override: Override) -> str:
    """Return the page of its competency, on its first day where that has been named."""
    day = f"?as_of={override.begins_on.isoformat()}" if override.begins_on else ""
    return reverse(PAGE, args=[override.company.number, override.program]) + day


@require_safe
@only(OrganisationKind.STAFF)
def staff_competency(request: Request, mpn_id: str, program: str) -> HttpResponse:
    return _show(request, company_for(request.actor, mpn_id), program)


@posted(PAGE)
@only(OrganisationKind.STAFF, to=Right.WRITE_OVERRIDES)
def override_ask(request: Request, mpn_id: str, program: str) -> HttpResponse:
    company, found = company_for(request.actor, mpn_id), programs().get(program)
    if found is None:
        raise absent()
    form = AskForm(found, request.POST)

    def ask() -> Override:
        return actions.ask(company, program, by=request.actor, **form.cleaned_data)

    done = _("You asked for the override. Another person of platform staff confirms or declines it.")
    return _send(request, company, program, form, ask, done=done)


@posted(PAGE)
@only(OrganisationKind.STAFF, to=Right.WRITE_OVERRIDES)
def override_decide(request: Request, mpn_id: str, program: str) -> HttpResponse:
    """Confirm or decline. A second click changes nothing and gets the same answer."""
    company, form = company_for(request.actor, mpn_id), DecideForm(request.POST)
    is_confirmed = request.POST.get("decision") == DecideForm.CONFIRM
    verb = actions.confirm if is_confirmed else actions.decline

    def decide() -> Override:
        given = form.cleaned_data
        return verb(_key(company, program, given["override"]), by=request.actor, note=given["note"])

    done = _("The override is given. We tell the company.") if is_confirmed else _("The override is declined.")
    again = "override_given" if is_confirmed else "override_declined"
    return _send(request, company, program, form, decide, done=done, again=again)


@posted(PAGE)
@only(OrganisationKind.STAFF, to=Right.WRITE_OVERRIDES)
def override_withdraw(request: Request, mpn_id: str, program: str) -> HttpResponse:
    """Withdraw one's own request. A second click changes nothing and gets the same answer."""
    company, form = company_for(request.actor, mpn_id), WithdrawForm(request.POST)

    def withdraw() -> Override:
        given = form.cleaned_data
        return actions.withdraw(_key(company, program, given["override"]), by=request.actor, note=given["note"])

    return _send(request, company, program, form, withdraw, done=_("Request withdrawn."), again="override_withdrawn")


@posted(PAGE)
@only(OrganisationKind.STAFF, to=Right.WRITE_OVERRIDES)
def override_end(request: Request, mpn_id: str, program: str) -> HttpResponse:
    """End an override early. A second click changes nothing and gets the same answer."""
    company, form = company_for(request.actor, mpn_id), EndForm(request.POST)

    def end() -> Override:
        given = form.cleaned_data
        key = _key(company, program, given["override"])
        return actions.end(key, by=request.actor, reason=given["reason"], ended_on=given["ended_on"])

    done = _("The override is ended. We tell the company.")
    return _send(request, company, program, form, end, done=done, again="override_ended")


def _key(company: Organisation, program: str, override_id: int) -> int:
    """Return the key of an override of this page. Raises NotFound for one of another page."""
    if not Override.objects.filter(pk=override_id, company=company, program=program).exists():
        raise actions.absent()
    return override_id


def _send(
    request: Request,
    company: Organisation,
    program: str,
    form: forms.Form,
    verb: Callable[[], Override],
    *,
    done: str,
    again: str = "",
) -> HttpResponse:
    """Call the verb and show the page again. `again` is the code of the refusal that a second click gets."""
    sent = submit(form, verb)
    if sent.is_done:
        messages.success(request, done)
    if sent.is_done or (again and sent.refused is not None and sent.refused.code == again):
        past = AsOfForm(request.GET)
        past.is_valid()
        query = as_of_context(request, past)["as_of_query"]
        return redirect(reverse(PAGE, args=[company.number, program]) + query)
    return _show(request, company, program, SentForm(form, sent.status))


def _show(request: Request, company: Organisation, program: str, sent: SentForm | None = None) -> HttpResponse:
    """Show the competency of a company with its overrides. `sent` is a form of them that was refused."""

    def card(found: Program, day: date) -> OverrideCard | None:
        return card_of(request.actor, company, found, day, sent.form if sent else None)

    return detail(request, company, program, override=card, refused=sent.status if sent else None)


# --- The card of a competency ---------------------------------------------------------------------------------------


class SentForm(NamedTuple):
    """A form of the card that was refused, and the status of its page."""

    form: forms.Form
    status: int


class Row(NamedTuple):
    """An override, and the form that ends it early, if the reader may."""

    override: Override
    end: EndForm | None = None


@dataclass(frozen=True)
class OverrideCard:
    """The overrides of a page for platform staff, the forms that its reader may send, and the one that was refused.

    `asked` waits for a second person. With `withdraw`, the reader asked for it. With an `interest` of the reader in the
    company, there are neither forms to decide nor to end.
    """

    asked: Override | None
    rows: list[Row]
    ask: AskForm | None = None
    decide: DecideForm | None = None
    withdraw: WithdrawForm | None = None
    interest: Interest | None = None
    sent: forms.Form | None = None


def card_of(
    actor: Actor, company: Organisation, program: Program, day: date, sent: forms.Form | None
) -> OverrideCard | None:
    """Return the card of a competency on a day; None for a score, and for readers who are not of the staff."""
    if not actor.is_staff or program.family is not Family.COMPETENCY:
        return None
    found = overrides_of(actor, company, program.id)
    asked = next((one for one in found if one.is_asked), None)
    if not actor.may(Right.WRITE_OVERRIDES):
        return OverrideCard(asked, [Row(one) for one in found if not one.is_asked])
    own = asked if asked is not None and asked.is_asked_by(actor) else None
    to_decide = asked if own is None else None
    to_end = [one for one in found if OVERRIDE.allows(one.status, "end")]
    interest = interest_in(actor, actions.parties_of(company.pk)) if to_decide or to_end else None
    if interest:
        to_decide, to_end = None, []
    return OverrideCard(
        asked,
        [Row(one, _form(EndForm, one, sent) if one in to_end else None) for one in found if not one.is_asked],
        ask=_ask(program, day, actor.today, sent) if asked is None else None,
        decide=_form(DecideForm, to_decide, sent) if to_decide else None,
        withdraw=_form(WithdrawForm, own, sent) if own else None,
        interest=interest,
        sent=sent,
    )


def _ask(program: Program, day: date, today: date, sent: forms.Form | None) -> AskForm:
    if isinstance(sent, AskForm):
        return sent
    return AskForm(program, initial={"begins_on": day} if day < today else {})


def _form(kind: type[F], override: Override, sent: forms.Form | None) -> F:
    """Return a form about an override: the one that was refused, if it is about this override, else a new one."""
    if isinstance(sent, kind) and str(sent["override"].value()) == str(override.pk):
        return sent
    return kind(initial={"override": override.pk})
