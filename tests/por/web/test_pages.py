"""What pages have in common: forms that are sent."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from django import forms

from por.errors import Forbidden, Locked, NotFound, RateLimited, Refused, VersionConflict
from por.web.pages import submit

ROOT = Path(__file__).parents[3]
#: The only places where pages deal with a refusal themselves: each row of several has an outcome of its own.
DEAL_WITH_REFUSALS = {"associations/attaching/views/several.py"}


class NameForm(forms.Form):
    name = forms.CharField()


def refuse(error: Exception):
    def verb() -> str:
        raise error

    return verb


def test_a_form_that_is_valid_calls_its_verb():
    form = NameForm({"name": "Elin"})

    sent = submit(form, lambda: form.cleaned_data["name"])

    assert (sent.is_done, sent.result, sent.refused) == (True, "Elin", None)


def test_a_form_that_is_not_valid_calls_nothing():
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
def test_a_refusal_is_put_on_the_form_which_keeps_what_was_entered(refused, field, status):
    form = NameForm({"name": "Elin"})

    sent = submit(form, refuse(refused))

    assert (sent.is_done, sent.status, sent.refused) == (False, status, refused)
    assert form.errors == {field: [str(refused)]}
    assert form.cleaned_data == {"name": "Elin"}


@pytest.mark.parametrize("refused", [NotFound("not_found", "It is not there."), Forbidden("no_right", "No.")])
def test_what_no_form_can_answer_is_left_to_the_error_pages(refused):
    with pytest.raises(type(refused)):
        submit(NameForm({"name": "Elin"}), refuse(refused))


def test_a_page_may_say_a_refusal_in_its_own_words_and_at_a_field():
    form = NameForm({"name": "Elin"})

    sent = submit(
        form,
        refuse(NotFound("not_found", "It is not there.")),
        reword=lambda refused: Refused(refused.code, "Nobody has this name.", field="name"),
    )

    assert sent.status == 422
    assert form.errors == {"name": ["Nobody has this name."]}


def test_a_button_without_a_form_is_refused_too():
    refused = Refused("closed", "It is closed.")

    sent = submit(None, refuse(refused))

    assert (sent.status, sent.refused) == (409, refused)


def test_pages_deal_with_refusals_in_one_way():
    """Every page that calls a verb leaves the refusal to `submit`, or to the error pages."""
    found = {
        str(path.relative_to(ROOT))
        for folder in ("associations", "por")
        for path in (ROOT / folder).rglob("*.py")
        if path.stem == "views" or path.parent.name == "views"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler) and node.type is not None and "Refused" in ast.unparse(node.type)
    }
    assert found == DEAL_WITH_REFUSALS
