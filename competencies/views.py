"""The pages of competencies: those that a company has reached, and each of them in detail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from itertools import islice
from typing import Any, cast

from django.db.models import QuerySet
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from competencies.browsing import by_family, day_before, differences_from, page_of
from competencies.closing import gaps_of
from competencies.evidence import evidence_known, evidence_of
from competencies.explained import days_table, gap_table, months_table, together_table, tracks_table
from competencies.forms import KnownAtForm, PeopleFilter, RulesForm, WhatIfPageForm
from competencies.guide import words_on
from competencies.models import Round
from competencies.months import ask_ahead, days_of, months_of
from competencies.people import ORDER, asked_on, credentials_of, held
from competencies.programs import computed_on, last_day_of_rules, programs, without_rules
from competencies.queries import asked_about, attained, attained_in, company_for, known, known_in, program_on
from competencies.results import Result
from competencies.shown import Compared, compared, missing, shown, who
from competencies.tracks import tracks_of
from competencies.unreported import not_yet
from competencies.words import SENTENCES
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.models import Actor, Organisation
from por.accounts.rules import OrganisationKind, Right
from por.directory.models import Credential
from por.errors import NotFound
from por.programs.codes import Why
from por.programs.rules import Program
from por.web.filters import AsOfForm
from por.web.formatting import day_text
from por.web.lists import Listing, counted, csv_file
from por.web.pages import as_of_context, render_page, submit

NO_RULES = SENTENCES[Why.NO_RULE].text
#: Credentials of a file that are read at a time.
BATCH = 500
PEOPLE_COLUMNS = ["person", "credential", "valid_from", "valid_to", "location", "mpn_id", "counts_for"]
PEOPLE_COLUMNS += ["counts_elsewhere", "why_not"]


@require_safe
@only(OrganisationKind.PARTNER)
def partner_competencies(request: Request) -> HttpResponse:
    return _list(request, company_for(request.actor))


@require_safe
@only(OrganisationKind.STAFF)
def staff_competencies(request: Request, mpn_id: str) -> HttpResponse:
    return _list(request, company_for(request.actor, mpn_id))


@require_safe
@only(OrganisationKind.PARTNER)
def partner_competency(request: Request, program: str) -> HttpResponse:
    return detail(request, company_for(request.actor), program)


@require_safe
@only(OrganisationKind.PARTNER)
def partner_what_if(request: Request) -> HttpResponse:
    """Show what the company would reach. The address has the whole question, so that it can be shared."""
    company, form = company_for(request.actor), WhatIfPageForm(request.GET, request.actor)
    found: list[Compared] = []
    if form.is_valid() and not form.is_asked:
        status = 200
    else:
        sent = submit(form, lambda: [compared(*one) for one in form.results(company, request.actor)])
        # Subscriptions that the reader may not see are named on the form.
        found, status = sent.result or [], 404 if sent.is_done and form.errors else sent.status
    is_shown = form.is_asked and status == 200
    return _render(request, "what_if", form, status, company=company, found=found, is_shown=is_shown)


@require_safe
@only(OrganisationKind.PARTNER)
def retroactive(request: Request) -> HttpResponse:
    """Explain by the reader's own data which earlier months count for a partner that is attached on a day."""
    company = company_for(request.actor)
    form, day, status = _asked(request)
    programs = computed_on(day)
    with asked_about(company):
        ask_ahead(company, programs, day)
        found = [(one, [months_table(of, day) for of in months_of(company, one, day)]) for one in programs]
    examples = [(program, tables) for program, tables in found if tables]
    return _render(request, "retroactive", form, status, company=company, day=day, examples=examples)


@require_safe
@only(OrganisationKind.PARTNER)
def partner_people(request: Request) -> HttpResponseBase:
    return _people(request, company_for(request.actor))


@require_safe
@only(OrganisationKind.STAFF)
def staff_people(request: Request, mpn_id: str) -> HttpResponseBase:
    return _people(request, company_for(request.actor, mpn_id))


def _rounds_text(count: int) -> str:
    return ngettext("%(n)s recomputation", "%(n)s recomputations", count) % {"n": counted(count)}


@require_safe
@only(OrganisationKind.STAFF, to=Right.READ_IMPORTS)
def round_list(request: Request) -> HttpResponse:
    """Show the recomputations of many companies, the newest first."""
    shown_ = Listing(request, Round.objects.all(), order=("-pk",), count_text=_rounds_text)
    return render(request, "competencies/round_list.html", shown_.context)


@require_safe
def how_competencies_work(request: Request) -> HttpResponse:
    """Explain the words of competencies with the figures of a day, to everyone who is signed in."""
    form, day, status = _asked(request)
    return _render(request, "how", form, status, groups=words_on(day))


@require_safe
def programme_list(request: Request) -> HttpResponse:
    """Show the programmes and the versions of their rules on a day, to everyone who is signed in."""
    form, day, status = _asked(request)
    return _render(request, "programme_list", form, status, families=by_family(day), day=day)


@require_safe
def programme(request: Request, program: str) -> HttpResponse:
    """Show the rules of a programme on a day: each figure with its source, who counts, and what differs from a day.

    If no day is named, it is the last one of the version before.
    """
    found = programs().get(program)
    if found is None:
        raise NotFound("not_found", _("There is no programme with this ID."))
    form = RulesForm(request.GET)
    status = 200 if form.is_valid() else 422
    day = form.day or timezone.localdate()
    version = found.on(day)
    page = page_of(found, version, day) if version is not None else None
    other = (status == 200 and form.cleaned_data["against"]) or (version and day_before(found, version))
    return _render(
        request,
        "programme_detail",
        form,
        status,
        program=found,
        page=page,
        other=other,
        other_day=day_text(other) if other else "",
        differences=differences_from(found, page, day, other) if page is not None and other else None,
    )


def _list(request: Request, company: Organisation) -> HttpResponse:
    """Show what the company had reached in each programme of a day."""
    form, day, status = _asked(request)
    found = known(company, day, form.by) if form.by else attained(company, day)
    pages = [shown(one) for one in found]
    return _render(request, "competency_list", form, status, company=company, pages=pages, not_yet=not_yet(found, day))


def detail(
    request: Request,
    company: Organisation,
    program: str,
    *,
    override: Callable[[Program, date], object] | None = None,
    refused: int | None = None,
) -> HttpResponse:
    """Show one programme: what was measured, what is missing, and by which rules.

    `override` returns the card of its overrides on a day. `refused` is the status of a form in it that was refused.
    Without a day, a programme whose rules are over is shown on their last day.
    """
    form, day, status = _asked(request)
    last = last_day_of_rules(program) if form.day is None and status == 200 else None
    if last is not None and last < day:
        if refused is None:
            asked = request.GET.copy()
            asked["as_of"] = last.isoformat()
            return redirect(f"{request.path}?{asked.urlencode()}")
        day = last
    if (found := without_rules(program, day)) is not None:
        return _render(request, "no_rules", form, status, company=company, program=found, text=NO_RULES)
    with asked_about(company):  # what explains a result asks much of what made it
        if form.by:
            result = known_in(company, program, day, form.by)
            evidence, more = evidence_known(request.actor, company, result, day, form.by), {}
        else:
            ask_ahead(company, [program_on(program, day)], day)
            result = attained_in(company, program, day)
            more = _explained(request, company, result, day)  # the evidence uses what it has asked for
            evidence = evidence_of(request.actor, company, result, day)
    page = shown(result)
    return _render(
        request,
        "competency_detail",
        form,
        refused or status,
        company=company,
        page=page,
        missing=list(missing(page, day)),
        not_yet=not_yet([result], day),
        who=who(result, evidence),
        override=override(result.program, day) if override else None,
        **more,
    )


def _explained(request: Request, company: Organisation, result: Result, day: date) -> dict[str, Any]:
    """Return what explains a result beyond what is stored with it: tracks, gaps, months and days."""
    program, track = result.program, result.track_of_figures
    tracks, gaps = tracks_of(company, result, day), gaps_of(request.actor, company, result, day)
    return {
        "tracks": tracks_table(tracks) if tracks else None,
        "gaps": [gap_table(one) for one in gaps.each],
        "together": together_table(gaps, result.version),
        "months": [months_table(one, day) for one in months_of(company, program, day, track)],
        "days": [days_table(one) for one in days_of(request.actor, company, program, day, track)],
    }


def _people(request: Request, company: Organisation) -> HttpResponseBase:
    """Show the company's people with their credentials, and what each of them counts for."""
    found = Listing(
        request, credentials_of(company), order=ORDER, form=PeopleFilter(request.GET), count_text=_credentials_text
    )
    day = (found.form.is_valid() and cast(PeopleFilter, found.form).day) or timezone.localdate()
    if found.wants_csv:
        rows = (line for some in _batches(found.ordered) for line in _people_lines(company, some, day, request.actor))
        return csv_file(str(_("people")), PEOPLE_COLUMNS, rows, day=day)
    context = found.context | {
        "company": company,
        "rows": held(company, found.page.rows, day, request.actor),
        "asked": asked_on(day),
        "day": day,
    }
    return render_page(request, "competencies/people.html", context, part="list", status=found.status)


def _batches(rows: QuerySet[Credential]) -> Iterator[list[Credential]]:
    found = rows.iterator(BATCH)
    while some := list(islice(found, BATCH)):
        yield some


def _credentials_text(count: int) -> str:
    return ngettext("%(n)s credential", "%(n)s credentials", count) % {"n": counted(count)}


def _people_lines(company: Organisation, rows: Sequence[Credential], day: date, actor: Actor) -> Iterator[list[Any]]:
    for one in held(company, rows, day, actor):
        shown = one.credential
        location = [shown.partner.organisation.name, shown.partner.mpn_id]
        said = ["; ".join(one.said), one.is_elsewhere, one.why_not]
        yield [shown.person, shown.credential, shown.valid_from, shown.valid_to, *location, *said]


def _render(request: Request, name: str, form: AsOfForm, status: int, **context: Any) -> HttpResponse:
    context |= {"form": form, **as_of_context(request, form)}
    return render(request, f"competencies/{name}.html", context, status=status)


def _asked(request: Request) -> tuple[KnownAtForm, date, int]:
    """Return the form of the day, the day that it asks for, and the status of the answer."""
    form = KnownAtForm(request.GET)
    is_valid = form.is_valid()
    return form, form.day or timezone.localdate(), 200 if is_valid else 422
