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


@pytest.mark.parametrize(
    ("inputs", "said"),
    [({"market": "mars"}, "market mars"), ({"option": "huge"}, "option huge"), ({"path": "XX"}, "path xx")],
)
def test_choice_that_no_rule_knows_fails_by_its_name(inputs: dict[str, object], said: str) -> None:
    with pytest.raises(UnknownCase, match=f"the {said} is not known"):
        differences(example(inputs=inputs))


def test_case_that_expects_nothing_fails() -> None:
    with pytest.raises(UnknownCase, match="nothing is expected"):
        differences(example(expected={}))


def test_case_of_another_form_fails_by_its_name() -> None:
    with pytest.raises(UnknownCase, match="the case X has no inputs of the right form"):
        example(inputs=[4])


def test_control_a_wrong_expectation_is_found() -> None:
    assert differences(example()) == []
    assert differences(example(expected={"meets_silver": False})) != []
    assert differences(example(inputs={"net_new_o365_customers_ttm": 3})) != []


def test_figure_of_a_case_that_is_not_that_of_the_rule_fails() -> None:
    given = {"market": "developed", "net_new_revenue_usd": 150000, "threshold_usd": 200000, "max_points": 10}
    case = example(program="pci.cba", metric="net_new_revenue", inputs=given, expected={"points": 5}, as_of="2021-05")
    with pytest.raises(AssertionError, match="not the figure of the rule"):
        differences(case)


LADDER = {
    "required": [{"min_people": 2, "points": 0}, {"min_people": 2, "points": 0}],
    "elective_points": None,
    "max": 40,
}


@pytest.mark.parametrize(
    ("program", "metric", "inputs", "expected", "as_of", "track"),
    [
        ("competency", "renewal_window", {"purchase_date": None}, {"renewal_window_opens": None}, "2020-11", None),
        ("pci", "publication_date", {"data_month": None}, {"published_on": None}, "2021-05", None),
        ("cpor", "consent", {"approved_on": None}, {"customer_opt_out_days": None}, "2021", None),
        ("incentive.osu", "active_entitlement", {"snapshot": "2016-03-28", "last_intentional_action": None},
         {"active": None}, "2016", None),
        ("competency.cloud_productivity", "active_entitlements", {"tenant": {"ExO": 1, "SpO": None}},
         {"active_entitlements": None}, "2017-07", None),
        ("competency.cloud_productivity", "active_entitlements", {"tenant": {"ExO": 1, "trial_SpO": None}},
         {"active_entitlements": 1}, "2017-07", None),
        ("pci.cba", "net_new_revenue", {"market": "developed", "net_new_revenue_usd": 9, "threshold_usd": None},
         {"points": None}, "2021-05", None),
        ("pci", "net_customer_adds", {"events": [{"m": "2021-01", "customer_paid_seats": None, "partners": ["A"]}]},
         {"net": None}, "2021-05", None),
        ("pci", "attribution", {"subscription": {"CPOR": None, "DPOR": "P2"}, "cpor_basis": "OSU"},
         {"mau_growth": "P2"}, "2021-05", None),
        ("pcs.azure.data_ai", "intermediate", {"required_steps": [2, 2], "elective_people": 2, "rule": LADDER},
         {"points": None}, "2026-06", "enterprise"),
        ("pcs.azure.data_ai", "intermediate", {"required_steps": [2, 1], "elective_people": 2, "rule": LADDER},
         {"points": 0}, "2026-06", "enterprise"),
        ("pcs.modern_work", "usage_growth", {"options": {"CPOR": {"growth": 500, "threshold": None}}},
         {"points": None}, "2026-06", "smb"),
        ("pcs.business_applications", "monthly_consumption_value", {"workload": "Guides", "units": None, "rate": 1000},
         {"mcv": None}, "2026-06", None),
        ("pcs.azure", "enrolment_track", {"monthly_tracks_in_window": ["enterprise", None]},
         {"enrolment_track": None}, "2026-06", None),
    ],
)  # fmt: skip
def test_what_a_case_gives_as_null_is_undetermined(program, metric, inputs, expected, as_of, track) -> None:
    given = {"program": program, "metric": metric, "inputs": inputs, "expected": expected, "as_of": as_of}
    assert differences(example(**given, track=track)) == []


def test_generic_figures_that_no_area_has_are_judged_in_proportion() -> None:
    given = {"net_adds": 3, "threshold": 8, "max_points": 40}
    assert differences(example(program="pcs.generic", metric="net_customer_adds", inputs=given, expected={"points": 15},
                               as_of="2026-03")) == []  # fmt: skip


@pytest.mark.parametrize(
    ("attached", "months", "counts"),
    [("2019-06-10", "2019-06..2020-05", True), ("2019-06-10", "2019-05..2020-04", False),
     ("2019-06-30", "2019-06", True), ("2019-07-01", "2019-06", False)],
)  # fmt: skip
def test_months_of_consumption_count_from_the_one_at_whose_end_the_partner_held(attached, months, counts) -> None:
    given = {"dpor_set_on": attached, "azure_consumption_months": [months], "program": "cloud platform"}
    assert differences(example(program="por", metric="retroactivity", inputs=given, expected={"counts_in_ttm": counts},
                               as_of="2019")) == []  # fmt: skip
