"""The page about the kinds of association, for everyone who is signed in."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from associations.kinds.queries import IN_SHORT, QUESTIONS, what_counts
from por.accounts.middleware import Request
from por.web.filters import AsOfForm
from por.web.pages import as_of_context


@require_safe
def what_counts_for_what(request: Request) -> HttpResponse:
    """Show each kind of association, now or on a day: who sets it, how many there can be, and what it counts for."""
    past = AsOfForm(request.GET)
    valid = past.is_valid()
    day = past.day or timezone.localdate()
    return render(
        request,
        "kinds/what_counts.html",
        {
            "rows": what_counts(day),
            "questions": QUESTIONS.values(),
            "summary": what_counts(day, IN_SHORT),
            "summary_questions": [QUESTIONS[name] for name in IN_SHORT],
            "form": past,
            **as_of_context(request, past),
        },
        status=200 if valid else 422,
    )
