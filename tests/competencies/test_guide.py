"""The page that explains the words of competencies: all of them, in both languages, with the figures of a day."""

from __future__ import annotations

import html
from datetime import date

import pytest
from django.urls import reverse
from django.utils import translation
from django.utils.html import strip_tags

from competencies.guide import words_on
from competencies.programs import life_cycle_on
from competencies.shown import AT_RISK, STAGES
from tests.factories import make_customer, make_member, make_partner, make_staff
from tests.pages import signed_in

PAGE = reverse("competencies:how")
LINKED = ("partner_competencies", "partner_people", "partner_what_if", "retroactive", "programme_list")
ASKED_FOR = [
    "Level", "Undetermined", "Requirement that is not published", "Score", "Override", "Lasts until", "As of",
    "What was shown on that day",
]  # fmt: skip


def text_of(page: str) -> str:
    return " ".join(html.unescape(strip_tags(page)).split())


@pytest.mark.parametrize("language", ["en", "sv"])
def test_every_stage_of_a_page_is_explained(language: str) -> None:
    with translation.override(language):
        words = {term.word for group in words_on(date(2024, 6, 30)) for term in group.terms}
        labels = {str(label) for label, _tone in STAGES.values()}
        assert labels | {str(AT_RISK[0])} <= words


def test_words_of_the_pages_are_explained() -> None:
    words = [term.word for group in words_on(date(2024, 6, 30)) for term in group.terms]
    assert [one for one in ASKED_FOR if one not in words] == []
    assert len(set(words)) == len(words)


def test_nothing_is_left_in_english_on_the_swedish_page() -> None:
    english = {term.text for group in words_on(date(2024, 6, 30)) for term in group.terms}
    with translation.override("sv"):
        swedish = {term.text for group in words_on(date(2024, 6, 30)) for term in group.terms}
    assert not english & swedish


def test_figures_are_those_of_the_rules_of_the_day() -> None:
    def texts(day: date) -> str:
        return " ".join(term.text for group in words_on(day) for term in group.terms)

    assert "A company qualifies with 70 points, if each metric has some. One of the last 6 months is enough." in texts(
        date(2024, 6, 30)
    )
    assert "points" not in texts(date(2018, 6, 30)), "there were no scores"
    rule = life_cycle_on(date(2018, 6, 30))
    assert rule is not None
    assert f"Normally, it holds for {rule.override_months} months." in texts(date(2018, 6, 30))
    assert "Normally" not in texts(date(2024, 6, 30)), "there are no rules of competencies"


@pytest.mark.django_db
def test_everyone_reads_the_page_and_the_pages_of_competencies_lead_to_it() -> None:
    partner = make_member(make_partner().organisation)
    for reader in (partner, make_member(make_customer().organisation, "viewer"), make_staff("auditor")):
        assert "Undetermined" in text_of(signed_in(reader).get(PAGE).content.decode())
    assert signed_in(partner).get(PAGE, {"as_of": "2099-01-01"}).status_code == 422
    pages = [reverse(f"competencies:{name}") for name in LINKED]
    pages.append(reverse("competencies:partner_competency", args=["pcs.modern_work"]))
    for page in pages:
        content = signed_in(partner).get(page).content.decode().partition("<main")[2]
        assert f'href="{PAGE}' in content, page
