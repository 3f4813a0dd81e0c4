"""Each measure against an oracle that reads the same files: every company, every day, to the seat."""

from __future__ import annotations

from datetime import date

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from competencies.measures.asking import ask_together, asked_once, contributions, evidence, measured
from por.management.estates import making
from tests import estates
from tests.competencies.measures.cases import cases
from tests.competencies.measures.comparing import differences
from tests.competencies.measures.oracle import Oracle

DAYS = [
    *("2014-12-31", "2015-06-30", "2015-12-31", "2016-05-23", "2016-05-24", "2017-03-15", "2018-12-31", "2019-01-01"),
    *("2020-02-29", "2020-10-05", "2022-10-03", "2024-02-29", "2025-12-31"),
]


@pytest.fixture(scope="module")
def estate(shared: None, tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    """Load an estate with twelve years of usage, and its corrections; return the oracle over the same files."""
    directory = tmp_path_factory.mktemp("estate")
    size = {"subscriptions": 150, "customers": 40, "partners": 24, "months": 143}
    making.Maker(directory, seed=7, today=date(2026, 1, 1), **size).make()
    refused = {}
    for place, folder in enumerate((directory, directory / "corrections")):
        for row in estates.load(folder).errors:
            refused.setdefault(f"{place}/{row['file']}", set()).add(int(row["line"]))
    return Oracle(directory, directory / "corrections", today=timezone.now().date(), refused=refused)


@pytest.mark.parametrize("day", ["today", *DAYS])
def test_every_measure_says_what_the_files_say(estate, day):
    on = timezone.now().date() if day == "today" else date.fromisoformat(day)
    assert [line for case in cases(on) for line in differences(case, estate)] == []


def test_one_statement_answers_several_days_sizes_and_windows_as_one_each_does(estate):
    questions = {(case.measure, case.ask) for day in DAYS for case in cases(date.fromisoformat(day))}
    alone = {question: measured(*question) for question in questions}
    with asked_once(), CaptureQueriesContext(connection) as captured:
        ask_together(questions)
        together = {question: measured(*question) for question in questions}

    assert sum(one["sql"].strip().startswith("WITH") for one in captured) < len(questions) / 2
    different = [question for question in questions if together[question] != alone[question]]
    assert [(measure.__name__, ask) for measure, ask in different] == []


@pytest.mark.parametrize("day", ["2018-12-31", "2024-02-29"])
def test_evidence_is_asked_for_once_and_adds_up_to_what_each_customer_adds(day, estate):
    questions = {(case.measure, case.ask) for case in cases(date.fromisoformat(day))}
    alone = {question: sorted(contributions(*question)) for question in questions}
    with asked_once():
        for question in questions:
            evidence(*question)
        with CaptureQueriesContext(connection) as captured:
            for question in questions:
                evidence(*question)
            added = {question: sorted(contributions(*question)) for question in questions}

    assert len(captured) == 0
    assert [(measure.__name__, ask) for measure, ask in questions if added[measure, ask] != alone[measure, ask]] == []
    assert sum(map(bool, alone.values())) > len(questions) / 2
