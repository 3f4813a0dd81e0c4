"""The worked examples of the programmes, one test each. WORKED_EXAMPLES names another file of such cases."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.por.programs.cases import WAITING, Case, UnknownCase, answer, differences, read_cases

CHECKED_IN = Path(__file__).parent / "worked_examples.json"
CASES = read_cases(Path(os.environ.get("WORKED_EXAMPLES") or CHECKED_IN))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_rules_give_the_result_of_the_worked_example(case: Case) -> None:
    if (case.program, case.metric) in WAITING:
        pytest.skip("waits for the ledger of incentives")
    assert differences(case) == []


def test_only_sums_of_the_ledger_wait() -> None:
    waiting = {case.id for case in read_cases(CHECKED_IN) if (case.program, case.metric) in WAITING}
    assert waiting == {"INC-ADJ-1", "INC-EST-PAY", "INC-MAXCAP-1"}


def example(**changes: object) -> Case:
    given = {
        "id": "X",
        "program": "competency.smcs",
        "metric": "level",
        "inputs": {"net_new_o365_customers_ttm": 4},
        "expected": {"meets_silver": True},
        "as_of": "2017-07",
    }
    return Case.of({**given, **changes})


def test_case_of_an_unknown_metric_fails_by_its_name() -> None:
    with pytest.raises(UnknownCase, match=r"\(competency.smcs, happiness\)"):
        answer(example(metric="happiness"))


def test_input_that_no_rule_knows_fails_by_its_name() -> None:
    with pytest.raises(UnknownCase, match="the input smiles is not known"):
        differences(example(inputs={"smiles": 3}))


def test_result_that_no_rule_knows_fails_by_its_name() -> None:
    with pytest.raises(UnknownCase, match="the result joy is not known"):
        differences(example(expected={"joy": 3}))


def test_control_a_wrong_expectation_is_found() -> None:
    assert differences(example()) == []
    assert differences(example(expected={"meets_silver": False})) != []
    assert differences(example(inputs={"net_new_o365_customers_ttm": 3})) != []


def test_figure_of_a_case_that_is_not_that_of_the_rule_fails() -> None:
    given = {"market": "developed", "net_new_revenue_usd": 150000, "threshold_usd": 200000, "max_points": 10}
    case = example(program="pci.cba", metric="net_new_revenue", inputs=given, expected={"points": 5}, as_of="2021-05")
    with pytest.raises(AssertionError, match="not the figure of the rule"):
        differences(case)
