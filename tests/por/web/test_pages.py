"""Forms that are sent: one function calls their verb and puts its refusal on the form."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from django import forms

from por.errors import Forbidden, Locked, NotFound, RateLimited, Refused, VersionConflict
from por.web.pages import submit

ROOT = Path(__file__).parents[3]
#: The only file of pages that handles refusals itself: each of its rows has its own outcome.
HANDLES_REFUSALS = {"associations/attaching/views/several.py"}


class NameForm(forms.Form):
    name = forms.CharField()


def refuse(error: Exception):
    def verb() -> str:
        raise error

    return verb


def test_a_valid_form_calls_its_verb():
    form = NameForm({"name": "Elin"})

    sent = submit(form, lambda: form.cleaned_data["name"])

    assert (sent.is_done, sent.result, sent.refused) == (True, "Elin", None)


def test_an_invalid_form_does_not_call_its_verb():
    sent = submit(NameForm({}), refuse(AssertionError("called")))

    assert (sent.is_done, sent.status, sent.refused) == (False, 422, None)


@pytest.mark.parametrize(
    ("refused", "field", "status"),
    [
        (Refused("taken", "It is taken.", field="name"), "name", 422),
        (Refused("closed", "It is closed."), "__all__", 409),
        (VersionConflict("stale", "It has changed."), "__all__", 409),
        (Locked("busy", "Wait.", retry_after=1), "__all__", 429),
        (RateLimited("too_many_checks", "Wait.", retry_after=60), "__all__", 429),
    ],
)
def test_a_refusal_is_put_on_the_form_and_the_input_is_kept(refused, field, status):
    form = NameForm({"name": "Elin"})

    sent = submit(form, refuse(refused))

    assert (sent.is_done, sent.status, sent.refused) == (False, status, refused)
    assert form.errors == {field: [str(refused)]}
    assert form.cleaned_data == {"name": "Elin"}


@pytest.mark.parametrize("refused", [NotFound("not_found", "It is not there."), Forbidden("no_right", "No.")])
def test_not_found_and_forbidden_are_left_to_the_error_pages(refused):
    with pytest.raises(type(refused)):
        submit(NameForm({"name": "Elin"}), refuse(refused))


def test_a_page_may_replace_a_refusal_by_its_own_message_at_a_field():
    form = NameForm({"name": "Elin"})

    sent = submit(
        form,
        refuse(NotFound("not_found", "It is not there.")),
        reword=lambda refused: Refused(refused.code, "Nobody has this name.", field="name"),
    )

    assert sent.status == 422
    assert form.errors == {"name": ["Nobody has this name."]}


def test_a_button_without_a_form_can_be_refused():
    refused = Refused("closed", "It is closed.")

    sent = submit(None, refuse(refused))

    assert (sent.status, sent.refused) == (409, refused)


def test_pages_leave_refusals_to_submit_or_to_the_error_pages():
    found = {
        str(path.relative_to(ROOT))
        for folder in ("associations", "competencies", "por")
        for path in (ROOT / folder).rglob("*.py")
        if path.stem == "views" or path.parent.name == "views"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler) and node.type is not None and "Refused" in ast.unparse(node.type)
    }
    assert found == HANDLES_REFUSALS
