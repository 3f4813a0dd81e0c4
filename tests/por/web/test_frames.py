"""Rows by frames: the same text as a template that is rendered for each row, in every language, and escaped."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from por.web.frames import Frame, escaped, filled

ROW = "subscriptions/_row.html"
CELLS = ["key", "label", "name", "agreement", "seats", "used", "partner", "status", "renewal"]
ATTACKER = "<script>\"x\" & 'y'</script> {{ name }} {% now %} \0name\0 {} %s"


def row(**given: Any) -> dict[str, Any]:
    return {name: f"{name} {ATTACKER}" for name in CELLS} | {"name": mark_safe("<b>Office</b>")} | given


@pytest.mark.parametrize("selectable", [True, False])
def test_a_frame_writes_what_the_template_writes_for_each_row(selectable: bool) -> None:
    rows = [row(), row(seats="7"), row(partner=mark_safe("<i>Nordvik</i>"))]
    for language, label in (("en", "Renewal"), ("sv", "Förnyelse"), ("en", "Renewal")):
        with translation.override(language):
            shown = Frame(ROW, *CELLS).render(rows, selectable=selectable)
            each = [render_to_string(ROW, one | {"selectable": selectable}) for one in rows]
            assert shown == "".join(re.sub(r"\n\s+", "\n", one) for one in each)
        assert shown.count(f'data-l="{label}"') == 3
        assert "<script>" not in shown
        assert "<b>Office</b>" in shown


def test_a_cell_of_one_row_is_in_no_other() -> None:
    frame = Frame(ROW, *CELLS)
    assert frame.render([row(label="mine")]).count("mine") == frame.render([row(label="mine")] * 3).count("mine") / 3
    assert "mine" not in frame.render([row()])
    assert frame.render([]) == ""


@pytest.mark.parametrize(
    "text", [ATTACKER, mark_safe("<b>x</b>"), format_html("<i>{}</i>", "&"), gettext_lazy("Subscriptions"), 7, None, ""]
)
def test_a_text_is_escaped_as_django_does(text: Any) -> None:
    for language in ("en", "sv"):
        with translation.override(language):
            assert escaped(text) == conditional_escape(text)
            assert filled("<p>{} {}</p>", text, "&") == format_html("<p>{} {}</p>", text, "&")
