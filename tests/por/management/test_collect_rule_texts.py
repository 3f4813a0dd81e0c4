"""Titles and notes of the rules are said in the reader's language."""

from __future__ import annotations

import html
from datetime import date

import pytest
from babel.messages.pofile import read_po
from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext, override

from competencies.programs import COMPUTED, programs
from por.management.commands.collect_rule_texts import FILE, collected, texts
from tests.factories import make_customer, make_member
from tests.pages import signed_in


def test_texts_are_those_of_the_files_of_rules() -> None:
    assert FILE.read_text(encoding="utf-8") == collected(), "run manage.py collect_rule_texts"


def test_every_text_of_the_rules_has_a_swedish_translation() -> None:
    with (settings.BASE_DIR / "locale" / "sv" / "LC_MESSAGES" / "django.po").open("rb") as file:
        catalogue = read_po(file)
    found = [*texts(programs().values())]
    assert any(text == "Recovery of payouts" for text in found)
    assert any(text.startswith("Bills less credits") for text in found), "the note of a metric"
    assert not [text for text in found if (message := catalogue.get(text)) is None or not message.string]


def test_computed_programmes_have_the_same_name_in_each_language() -> None:
    """Events and the API name them, whoever reads."""
    with override("sv"):
        assert not [one for one in COMPUTED if gettext(programs()[one].title) != programs()[one].title]


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["en", "sv"])
def test_page_shows_the_notes_of_a_version_and_of_its_metrics(language: str) -> None:
    client = signed_in(make_member(make_customer().organisation), language=language)
    shown = 0
    for program in programs().values():
        for version in program.versions:
            notes = [*texts([program])][1:] if len(program.versions) == 1 else [version.note] if version.note else []
            if notes:
                day = min(version.begins, date.today()).isoformat()
                page = client.get(reverse("competencies:programme", args=[program.id]), {"as_of": day})
                text = html.unescape(page.content.decode())
                with override(language):
                    assert all(gettext(note) in text for note in notes), program.id
                    assert gettext(program.title) in text
                shown += len(notes)
    assert shown > 10
