"""The pages for many subscriptions: a file or pasted rows, a dry run first, and the job with its progress.

A customer attaches, removes and answers; a partner invites. Both have the same pages.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Count
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from associations.jobs.actions import bulk, rows
from associations.jobs.forms import BulkForm, InvitationsForm
from associations.jobs.models import Job
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.rules import OrganisationKind, Right
from por.directory.models import Partner
from por.errors import Refused
from por.web.lists import Listing, csv_file, wants_csv
from por.web.pages import posted, render_page, submit

#: In the order of the page: refused rows need attention, so they come first.
OUTCOMES = [
    *("refused", "change_requested", "attached", "moved", "moved_back", "removed", "answered", "invited"),
    "unchanged",
]
#: Those that change something.
CHANGES = [one for one in OUTCOMES if one not in {"refused", "unchanged"}]
SHOWN = 100  # rows that were refused, on the page; the file has them all


# --- The customer ---------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@only(OrganisationKind.CUSTOMER, to=Right.ATTACH_MANY)
def bulk_attach(request: Request) -> HttpResponse:
    return _send(request, BulkForm, "associations:job")


@require_safe
@only(OrganisationKind.CUSTOMER, to=Right.ATTACH_MANY)
def job_detail(request: Request, job_id: int) -> HttpResponseBase:
    return _show(request, job_id)


@posted("associations:job")
@only(OrganisationKind.CUSTOMER, to=Right.ATTACH_MANY)
def job_apply(request: Request, job_id: int) -> HttpResponseBase:
    return _apply(request, job_id, "associations:job")


# --- The partner ----------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@only(OrganisationKind.PARTNER, to=Right.INVITE)
def invite_many(request: Request) -> HttpResponse:
    return _send(request, InvitationsForm, "associations:partner_job")


@require_safe
@only(OrganisationKind.PARTNER, to=Right.INVITE)
def partner_job(request: Request, job_id: int) -> HttpResponseBase:
    return _show(request, job_id)


@posted("associations:partner_job")
@only(OrganisationKind.PARTNER, to=Right.INVITE)
def partner_job_apply(request: Request, job_id: int) -> HttpResponseBase:
    return _apply(request, job_id, "associations:partner_job")


# --- Both -----------------------------------------------------------------------------------------------------------


def _send(request: Request, kind: type[BulkForm | InvitationsForm], page_of_job: str) -> HttpResponse:
    """Show the form and the earlier jobs, or create a job from the rows that were sent."""
    if request.method != "POST":
        return _form(request, kind(), page_of_job)
    form = kind(request.POST, request.FILES)
    field = "file" if request.FILES else "rows"
    sent = submit(
        form,
        lambda: bulk.request(
            rows.pairs_from(form.text(), form.chosen_action),
            dry_run=form.is_dry,
            by=request.actor,
            action=form.chosen_action,
        ),
        reword=lambda refused: Refused(refused.code, refused.message, field=field),
    )
    if sent.is_done:
        return redirect(page_of_job, sent.result.pk)
    return _form(request, form, page_of_job, status=sent.status)


def _form(request: Request, form: BulkForm | InvitationsForm, page_of_job: str, *, status: int = 200) -> HttpResponse:
    jobs = Listing(request, Job.objects.visible_to(request.actor).select_related("asked_by"), order=("-pk",))
    context = jobs.context | {"form": form, "page_of_job": page_of_job}
    if request.actor.kind == OrganisationKind.PARTNER:
        context["sender"] = Partner.objects.get(pk=request.actor.organisation_id)
    return render(request, "jobs/bulk.html", context, status=status)


def _show(request: Request, job_id: int) -> HttpResponseBase:
    """Show the progress of a job and the outcome of its finished rows; as a file, all rows."""
    job = _job(request, job_id)
    if wants_csv(request):
        sent = ["tenant_id", "subscription_id", "message"] if _invites(job) else ["subscription_id", "mpn_id", "reason"]
        header = ["row", *sent, "outcome", "code", "detail"]
        names = ["reason" if one == "message" else one for one in header]
        return csv_file(f"{_('job')}-{job.pk}", header, job.rows.order_by("row").values_list(*names))
    return _detail(request, job)


def _apply(request: Request, job_id: int, page_of_job: str) -> HttpResponseBase:
    """Carry out the rows of a completed dry run."""
    tried = _job(request, job_id)
    sent = submit(None, lambda: bulk.apply_tried(job_id, by=request.actor))
    if sent.is_done:
        return redirect(page_of_job, sent.result.pk)
    return _detail(request, tried, refused=sent.refused, status=sent.status)


def _job(request: Request, job_id: int) -> Job:
    job = Job.objects.visible_to(request.actor).select_related("asked_by").filter(pk=job_id).first()
    if job is None:
        raise bulk.absent()
    return job


def _invites(job: Job) -> bool:
    return job.action == Job.Action.INVITE


def _detail(request: Request, job: Job, *, refused: Refused | None = None, status: int = 200) -> HttpResponse:
    counts = dict(job.rows.exclude(outcome="").values_list("outcome").annotate(n=Count("pk")))
    context: dict[str, Any] = {
        "job": job,
        "invites": _invites(job),
        "done": sum(counts.values()),
        "counts": [(outcome, counts[outcome]) for outcome in OUTCOMES if outcome in counts],
        "refused_rows": job.rows.filter(outcome="refused").order_by("row")[:SHOWN],
        "refused_count": counts.get("refused", 0),
        "changed": sum(counts.get(outcome, 0) for outcome in CHANGES),
        "invitations": job.rows.exclude(invitation=None).values("invitation").distinct().count()
        if _invites(job)
        else 0,
        "refused": refused,
    }
    return render_page(request, "jobs/job_detail.html", context, part="job", status=status)
