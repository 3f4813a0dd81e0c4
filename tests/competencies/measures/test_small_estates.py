"""Each measure against the oracle on small estates with every edge. No other estate may be stored meanwhile."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import date
from random import Random

from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from competencies.measures.asking import ask_together, asked_once
from tests.competencies.measures.cases import cases
from tests.competencies.measures.comparing import differences, load
from tests.competencies.measures.oracle import Oracle
from tests.competencies.measures.small import Small

EDGES = ["2016-05-23", "2016-05-24", "2018-12-31", "2019-01-01", "2020-02-29", "2023-02-28", "2024-02-29", "2025-03-31"]


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), day=st.sampled_from(EDGES))
@example(seed=42577, day="2020-02-29")  # a claim of a workload that does not count, in a month that nobody reported
@example(seed=463380, day="2020-02-29")  # a claim goes on with a workload where a partner of record has ended
@example(seed=171, day="2023-02-28")  # a workload is in use, without any paid units, in the month of its claim
def test_small_estates_with_every_edge_say_the_same(tmp_path_factory, seed, day):
    chance, on = Random(seed), date.fromisoformat(day)
    small, directory = Small(chance, on), tmp_path_factory.mktemp("small")
    with transaction.atomic():
        refused: dict[str, set[int]] = {}
        folders = [directory / "first", directory / "second"]
        for place, (folder, files) in enumerate(zip(folders, (small.files, small.corrected), strict=True)):
            for file, line in load(folder, files) if any(files.values()) else ():
                refused.setdefault(f"{place}/{file}", set()).add(line)
        oracle = Oracle(*folders, today=timezone.now().date(), refused=refused)
        days = [on, chance.choice([one for one in small.days if one <= on])]
        asked = [case for one in days for case in chance.sample(cases(one), 12)]
        with asked_once():  # what one statement can answer of both days is asked in one
            ask_together((case.measure, case.ask) for case in asked)
            found = [line for case in asked for line in differences(case, oracle)]
        transaction.set_rollback(True)
    assert found == [], refused


def test_a_measure_that_forgets_something_differs(tmp_path_factory):
    """The control: without trials, with one kind alone, or of another day, some estate shows that it is wrong."""
    day, left = date(2024, 2, 29), {"trials", "kinds", "day"}
    by_name = {case.name: case for case in cases(day)}
    case = by_name["every kind and trials"]
    wrong = {
        "trials": replace(case.ask, only=replace(case.ask.only, trial=False)),
        "kinds": replace(case.ask, credit=by_name["growth, smb, csp"].ask.credit),
        "day": replace(case.ask, day=date(2023, 2, 28)),
    }
    seeds = itertools.count()
    while left:
        directory = tmp_path_factory.mktemp("small")
        with transaction.atomic():
            refused: dict[str, set[int]] = {}
            for file, line in load(directory / "first", Small(Random(next(seeds)), day).files):
                refused.setdefault(f"0/{file}", set()).add(line)
            oracle = Oracle(directory / "first", today=timezone.now().date(), refused=refused)
            assert differences(case, oracle) == []
            left -= {name for name in left if differences(case._replace(ask=wrong[name]), oracle)}
            transaction.set_rollback(True)
