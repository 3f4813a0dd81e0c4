"""Results in words: every code, metric, level and unit of every rule has its sentence or name."""

from __future__ import annotations

import re
from datetime import date
from fractions import Fraction

import pytest
from django.utils import translation

from competencies.programs import COMPUTED, computed_on, programs
from competencies.results import Amount, Reason
from competencies.words import CHOICES, LEVELS, METRICS, SENTENCES, TRACKS, amount_text, metric_text, reason_text
from por.programs.codes import Why
from por.programs.rules import Unit
from por.programs.scoring import Linear, PerUnit

PLACEHOLDER = re.compile(r"%\((\w+)\)s")
#: The figures that each code has, as por/programs/codes.py says.
FIGURES = {
    Why.MET: {"metric", "need", "have"},
    Why.SHORT_BY: {"metric", "need", "have", "short"},
    Why.NOT_MET: {"metric", "need", "have"},
    Why.NO_FACTS: {"metric"},
    Why.FACTS_INCOMPLETE: {"metric", "need", "have"},
    Why.CHOICE_UNKNOWN: {"metric", "choice", "need", "have"},
    Why.FIGURE_NOT_PUBLISHED: {"metric", "figure", "status", "blocks"},
    Why.BELOW_BASELINE: {"metric", "need", "have"},
    Why.BASELINE_UNKNOWN: {"metric", "need", "have"},
    Why.REQUIREMENT_MISSING: {"metric"},
    Why.REQUIRED_STEP_MISSING: {"metric", "need", "have"},
    Why.CAPPED: {"metric", "at"},
    Why.MIXED_OPTIONS: {"metric", "best", "each"},
    Why.LEVEL_UNDETERMINED: {"level"},
    Why.LEVEL_BELOW_MISSING: {"level", "below"},
    Why.AT_ZERO: {"metric", "have"},
    Why.TOTAL_SHORT: {"need", "have", "short"},
    Why.TOTAL_UNDETERMINED: {"need", "have"},
    Why.BEST_TRACK: {"track"},
    Why.TRACK_UNDETERMINED: {"track"},
    Why.QUALIFIED_EARLIER: {"month", "months"},
    Why.EARLIER_UNDETERMINED: {"month", "months"},
    Why.SEATS_OF_TODAY: {"metric"},
    Why.SEATS_UNKNOWN: {"metric"},
    Why.MONTHS_NOT_REPORTED: {"metric"},
    Why.CURRENCIES_DIFFER: {"metric"},
    Why.NAMES_NOT_PUBLISHED: {"metric"},
    Why.SOME_NAMES_NOT_PUBLISHED: {"metric"},
    Why.NOTHING_KNOWN: set(),
    Why.NO_RULE: {"program", "day"},
}


def test_every_code_has_a_sentence_that_uses_only_its_figures() -> None:
    assert SENTENCES.keys() == FIGURES.keys() == set(Why)
    for code, words in SENTENCES.items():
        for language in ("en", "sv"):
            with translation.override(language):
                assert set(PLACEHOLDER.findall(str(words.text))) <= FIGURES[code], (code, language)


def test_every_metric_level_and_choice_of_every_rule_has_a_name() -> None:
    metrics = {name for program in programs().values() for one in program.versions for name in one.metrics}
    facts = {name for one in COMPUTED for name in programs()[one].facts if "required" in name or "elective" in name}
    levels = {level for program in programs().values() for level in program.levels}
    choices = {name for program in programs().values() for name in program.choices}
    tracks = {
        one for program in programs().values() if "track" in program.choices for one in program.choices["track"].of
    }
    assert metrics | facts <= METRICS.keys()
    assert levels <= LEVELS.keys()
    assert choices <= CHOICES.keys()
    assert tracks <= TRACKS.keys()


@pytest.mark.parametrize(
    ("amount", "unit", "english", "swedish"),
    [
        (12, Unit.CUSTOMERS, "12 customers", "12 kunder"),
        (1, Unit.CUSTOMERS, "1 customer", "1 kund"),
        (15000, Unit.USD, "USD 15,000", "15 000 USD"),
        ("45/7", Unit.POINTS, "6.43 points", "6,43 poäng"),
        (20, Unit.PERCENT, "20%", "20 %"),
        ([40, None], Unit.SEATS, "at least 40 seats", "minst 40 licenser"),
        ([0, None], Unit.SEATS, "unknown", "okänt"),
        ([10000, 15000], Unit.USD, "between USD 10,000 and USD 15,000", "mellan 10 000 USD och 15 000 USD"),
        ([None, 40], Unit.SEATS, "at most 40 seats", "högst 40 licenser"),
        ([1, 3], Unit.PEOPLE, "between 1 and 3 people", "mellan 1 och 3 personer"),
        ([None, None], Unit.PEOPLE, "unknown", "okänt"),
        ([-100, None], Unit.PERCENT, "unknown", "okänt"),
        ([-50, None], Unit.PERCENT, "at least -50%", "minst -50 %"),
        (-2, Unit.CUSTOMERS, "-2 customers", "-2 kunder"),
    ],
)
def test_amount_is_said_with_its_unit(amount: object, unit: Unit, english: str, swedish: str) -> None:
    said = {}
    for language in ("en", "sv"):
        with translation.override(language):
            said[language] = amount_text(Amount.of(amount), unit).replace("\xa0", " ")
    assert said == {"en": english, "sv": swedish}


def test_reason_says_how_much_is_missing() -> None:
    reason = Reason(Why.SHORT_BY, {"metric": "new_customers", "need": 4, "have": 3, "short": 1, "operator": "gte"})
    assert reason_text(reason, Unit.CUSTOMERS) == "3 of 4 customers. Missing: 1 customer."


def test_shortage_of_unknown_size_is_said_as_what_is_not_known() -> None:
    have = {"metric": "usage_growth", "need": 20, "short": [-20, None]}
    unknown = Reason(Why.SHORT_BY, {**have, "have": [None, None]})
    nothing = Reason(Why.SHORT_BY, {**have, "have": [0, None]})
    partly = Reason(Why.SHORT_BY, {**have, "have": [5, None]})
    assert reason_text(unknown, Unit.PERCENT) == "The figure is not known. Required: 20%."
    assert reason_text(nothing, Unit.PERCENT) == "The figure is not known. Required: 20%."
    assert reason_text(partly, Unit.PERCENT) == "The data is not complete. Known: at least 5%. Required: 20%."


def test_what_gives_all_points_is_not_called_required() -> None:
    """A part of it gives some of the points, and a total may be reached without the others."""
    version = programs()["pcs.modern_work"].on(date(2024, 7, 31))
    assert version is not None
    for name, metric in version.metrics.items():
        need = {"metric": name, "need": 10}
        said = [
            metric_text(Reason(Why.MET, {**need, "have": 11}), name, metric),
            metric_text(Reason(Why.SHORT_BY, {**need, "have": 7, "short": 3}), name, metric),
            metric_text(Reason(Why.FACTS_INCOMPLETE, {**need, "have": [7, None]}), name, metric),
            metric_text(Reason(Why.NO_FACTS, need), name, metric),
        ]
        is_in_parts = isinstance(metric.score, Linear | PerUnit)
        assert ["all points" in one for one in said] == [is_in_parts] * 4, name
        assert "imported" in metric_text(Reason(Why.NO_FACTS, {"metric": name}), name, metric), name
        assert ["Required" in one for one in said] == [not is_in_parts and one != said[1] for one in said], name


def test_share_is_no_part_of_another_share() -> None:
    reason = Reason(Why.SHORT_BY, {"metric": "usage_growth", "need": 20, "have": 15, "short": 5, "operator": "gte"})
    assert reason_text(reason, Unit.PERCENT) == "Measured: 15%. Required: 20%."


def test_result_of_an_earlier_release_without_a_figure_is_still_said() -> None:
    reason = Reason(Why.MIXED_OPTIONS, {"metric": "usage_growth", "best": "dpor", "points": {"dpor": 4}})
    assert reason_text(reason, Unit.USERS).endswith("they are not added up. unknown.")


def test_what_each_type_of_association_would_need_is_said_where_not_all_is_known() -> None:
    each = {"cpor": [[None, None], 1000], "dpor": [165, 4000]}
    figures = {"metric": "usage_growth", "best": "dpor", "points": {}, "each": each, "need": 30}
    unknown = Reason(Why.FACTS_INCOMPLETE, figures | {"have": [None, None]})
    partly = Reason(Why.FACTS_INCOMPLETE, figures | {"have": ["99/80", None]})
    said = "Partner of record: 165 of 4,000 users; Claimed partner of record: unknown of 1,000 users."
    assert reason_text(unknown, Unit.USERS) == (
        f"The figure is not known. The best type of association counts, for at most 30 points. {said}"
    )
    assert reason_text(partly, Unit.USERS) == (
        "The data is not complete. The best type of association counts, for at most 30 points. So far it gives at "
        f"least 1.24 points. {said}"
    )


def test_points_are_said_as_points_whatever_the_metric_counts() -> None:
    reason = Reason(Why.CAPPED, {"metric": "net_customer_adds", "at": 20})
    assert reason_text(reason, Unit.CUSTOMERS) == "The maximum is reached: 20 points."


def test_stored_fraction_is_read_exactly() -> None:
    assert Amount.of("45/7") == (Fraction(45, 7), Fraction(45, 7))


def test_computed_programmes_are_those_of_the_day() -> None:
    def ids(day: str) -> list[str]:
        return [one.id for one in computed_on(date.fromisoformat(day))]

    assert ids("2014-08-31") == []
    assert "competency.enterprise_mobility_management" not in ids("2015-09-30")
    assert "competency.enterprise_mobility_management" in ids("2015-10-01")
    assert {one.partition(".")[0] for one in ids("2022-10-02")} == {"competency"}
    assert {one.partition(".")[0] for one in ids("2022-10-03")} == {"pcs"}
