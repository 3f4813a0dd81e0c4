"""Verdicts: levels, scores, tracks and windows, and never more undetermined than the facts make them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from itertools import product
from math import inf
from typing import Any

import pytest

from por.programs.codes import Code, Why
from por.programs.facts import Facts
from por.programs.judging import Outcome, judge, judge_on, with_earlier
from por.programs.quantity import EVERYTHING, Q, point
from por.programs.rules import Program, Version
from tests.por.programs.cases import programs


def rules(name: str, day: date) -> tuple[Program, Version]:
    program = programs()[name]
    version = program.on(day)
    assert version is not None
    return program, version


def verdict(name: str, day: date, numbers: Mapping[str, Any], **choice: str) -> Outcome:
    values = {fact: point(one) if type(one) is int else one for fact, one in numbers.items()}
    return judge(*rules(name, day), Facts(values, choice, day))


def codes_of(codes: tuple[Code, ...]) -> set[str]:
    return {code.code for code in codes}


def code(codes: tuple[Code, ...], why: Why, **figures: object) -> Mapping[str, object]:
    (found,) = [one.figures for one in codes if one.code is why and figures.items() <= one.figures.items()]
    return found


SMCS, CP, MW = "competency.smcs", "competency.cloud_productivity", "pcs.modern_work"
SUMMER_2015, SUMMER_2018, SUMMER_2026 = date(2015, 10, 1), date(2018, 7, 1), date(2026, 7, 1)


def test_missed_level_says_what_is_needed_what_there_is_and_how_much_is_short() -> None:
    outcome = verdict(SMCS, SUMMER_2015, {"new_customers": 5, "seats_sold": 39})
    assert (outcome.level, outcome.possible, outcome.next_level) == ("none", "none", "silver")
    short = code(outcome.levels["silver"].codes, Why.SHORT_BY, metric="seats_sold")
    assert (short["need"], short["have"], short["short"]) == (40, 39, 1)
    assert code(outcome.levels["silver"].codes, Why.MET, metric="new_customers")["have"] == 5
    assert code(outcome.levels["gold"].codes, Why.SHORT_BY, metric="new_customers")["short"] == 20


def test_level_that_is_reached_names_the_next_one() -> None:
    outcome = verdict(SMCS, SUMMER_2015, {"new_customers": 5, "seats_sold": 40})
    assert (outcome.level, outcome.next_level) == ("silver", "gold")
    assert verdict(SMCS, SUMMER_2015, {"new_customers": 99, "seats_sold": 999}).next_level is None


def test_figure_that_does_not_block_is_shown_as_unpublished_and_nothing_more() -> None:
    outcome = verdict(SMCS, SUMMER_2015, {"new_customers": 4, "seats_sold": 40})
    assert outcome.level == "silver"
    shown = code(outcome.levels["silver"].codes, Why.FIGURE_NOT_PUBLISHED, metric="people")
    assert shown["status"] == "unknown"


def test_figure_that_blocks_makes_the_level_undetermined() -> None:
    outcome = verdict("competency.cloud_platform", date(2014, 10, 1), {"azure_consumption": 10**9})
    assert (outcome.level, outcome.possible) == ("silver", "gold")
    assert code(outcome.levels["gold"].codes, Why.FIGURE_NOT_PUBLISHED)["metric"] == "azure_consumption"
    assert code(outcome.codes, Why.LEVEL_UNDETERMINED)["level"] == "gold"


@pytest.mark.parametrize(("customers", "level", "possible"), [(3, "none", "none"), (25, None, "gold")])
def test_missing_fact_decides_only_where_it_can(customers: int, level: str | None, possible: str) -> None:
    outcome = verdict(SMCS, SUMMER_2015, {"new_customers": customers})
    assert (outcome.level, outcome.possible) == (level, possible)
    assert code(outcome.levels["silver"].codes, Why.NO_FACTS)["metric"] == "seats_sold"


@pytest.mark.parametrize(("entitlements", "met"), [(999, False), (1500, None), (2000, True)])
def test_unknown_market_makes_the_threshold_what_it_can_be(entitlements: int, met: bool | None) -> None:
    outcome = verdict(CP, SUMMER_2018, {"active_entitlements": entitlements, "certified_people": 1})
    assert outcome.meets("silver") is met
    if met is None:
        found = code(outcome.levels["silver"].codes, Why.CHOICE_UNKNOWN)
        assert (found["choice"], found["need"]) == ("market", [1000, 2000])


@pytest.mark.parametrize(("low", "why"), [(999, Why.FACTS_INCOMPLETE), (1000, Why.CHOICE_UNKNOWN)])
def test_unknown_market_is_the_reason_only_where_a_market_would_decide(low: int, why: Why) -> None:
    given = {"active_entitlements": Q(low, inf), "certified_people": 1}
    outcome = verdict(CP, SUMMER_2018, given)
    assert outcome.meets("silver") is None
    assert code(outcome.levels["silver"].codes, why)["metric"] == "active_entitlements"
    assert verdict(CP, SUMMER_2018, given, market="developed").meets("silver") is None
    of_developing = verdict(CP, SUMMER_2018, given, market="developing")
    assert of_developing.meets("silver") is (True if low >= 1000 else None)


def test_fact_of_which_only_bounds_are_known_says_so() -> None:
    outcome = verdict(SMCS, SUMMER_2015, {"new_customers": 4, "seats_sold": Q(30, 50)})
    assert code(outcome.levels["silver"].codes, Why.FACTS_INCOMPLETE)["have"] == [30, 50]


def test_a_metric_says_what_is_not_certain_of_its_facts() -> None:
    facts = Facts({"new_customers": point(4), "seats_sold": point(9)}, reasons={"seats_sold": (Why.SEATS_OF_TODAY,)})
    outcome = judge(*rules(SMCS, SUMMER_2015), facts)
    assert code(outcome.metrics["seats_sold"].codes, Why.SEATS_OF_TODAY) == {"metric": "seats_sold"}
    assert outcome.metrics["new_customers"].codes == ()


def test_a_metric_that_follows_from_facts_says_what_is_not_certain_of_them() -> None:
    facts = Facts(
        {"new_customers": point(4), "lost_customers": point(1)}, reasons={"lost_customers": (Why.MONTHS_NOT_REPORTED,)}
    )
    outcome = judge(*rules(SMCS, SUMMER_2018), facts)
    assert code(outcome.metrics["net_new_customers"].codes, Why.MONTHS_NOT_REPORTED) == {"metric": "net_new_customers"}


def test_a_track_says_nothing_of_the_facts_of_another() -> None:
    reasons = {"usage_growth.cpor.smb": (Why.MONTHS_NOT_REPORTED,), "deployments.cpor.enterprise": (Why.NO_FACTS,)}
    program, version = rules("pcs.modern_work", date(2026, 6, 30))
    outcome = judge(program, version, Facts({}, {"track": "enterprise"}, reasons=reasons))
    assert Why.MONTHS_NOT_REPORTED not in {one.code for one in outcome.metrics["usage_growth"].codes}
    assert code(outcome.metrics["deployments"].codes, Why.NO_FACTS) == {"metric": "deployments"}


def test_gold_needs_silver() -> None:
    given = {"net_new_customers": 25, "people_with_exam": 2}
    assert verdict(SMCS, SUMMER_2018, given).level == "gold"
    outcome = verdict(CP, SUMMER_2018, {"active_entitlements": 4000, "certified_people": 2})
    assert outcome.level == "gold"  # whatever the market
    unknown = verdict(SMCS, SUMMER_2018, {"net_new_customers": EVERYTHING, "people_with_exam": 2})
    assert (unknown.level, unknown.possible) == (None, "gold")


def test_gold_test_that_is_met_without_silver_is_no_gold() -> None:
    """Of Enterprise Mobility Management, the option for small customers asks for less new customers in gold."""
    name = "competency.enterprise_mobility_management"
    program, version = rules(name, SUMMER_2018)
    given = Facts({"new_customers": point(5), "active_entitlements": point(4000), "assessed_people": point(4)})
    assert judge(program, version, given).level == "gold"  # silver is met by the other option
    assert version.outcome is not None
    alone = replace(version.outcome, options={"smb": version.outcome.options["smb"]})
    outcome = judge(program, replace(version, outcome=alone), given)
    assert outcome.level == "none"
    assert code(outcome.codes, Why.LEVEL_BELOW_MISSING) == {"level": "gold", "below": "silver"}


def test_option_that_is_given_only_makes_nothing_undetermined() -> None:
    outcome = verdict(SMCS, date(2021, 6, 1), {"net_new_customers": 0})
    assert (outcome.level, outcome.possible) == ("none", "none")
    assert verdict(SMCS, date(2021, 6, 1), {"net_new_customers": 0, "pci_score": 80}).level == "gold"
    assert verdict(SMCS, date(2020, 6, 1), {"net_new_customers": 0, "pci_score": 80}).level == "none"


def test_benefits_of_the_action_pack_are_always_undetermined_with_the_reason() -> None:
    outcome = verdict("action_pack.extras", SUMMER_2015, {"seats_sold": 10**6})
    assert (outcome.level, outcome.possible) == (None, "additional")
    options = {
        one.figures["option"] for one in outcome.levels["additional"].codes if one.code is Why.FIGURE_NOT_PUBLISHED
    }
    assert options == {"office365_seats", "crm_online_seats", "advisory_hours"}


def test_version_that_is_announced_judges_days_before_its_start() -> None:
    program = programs()[MW]
    assert program.on(date(2022, 3, 15)) is None
    assert program.on(date(2022, 3, 16)) is program.on(date(2022, 10, 3)) is not None


def test_day_without_rules_is_undetermined_with_the_reason() -> None:
    outcome = judge_on(programs()[SMCS], Facts({"new_customers": point(99)}, day=date(2001, 1, 1)))
    assert (outcome.level, outcome.qualified) == (None, None)
    assert code(outcome.codes, Why.NO_RULE) == {"program": SMCS, "day": "2001-01-01"}
    facts = Facts({"new_customers": point(4), "seats_sold": point(40)}, day=SUMMER_2015)
    assert judge_on(programs()[SMCS], facts).level == "silver"


# --- Scores ----------------------------------------------------------------------------------------------------------

FULL = {
    "net_customer_adds": 10,
    "skilling_intermediate": 4,
    "skilling_advanced": 2,
    "usage_growth.cpor": 1000,
    "usage_growth.dpor": 0,
    "usage_growth.csp": 2000,
    "deployments.cpor": 5,
    "deployments.dpor": 0,
    "deployments.csp": 10,
}


def test_score_is_the_sum_of_its_metrics() -> None:
    outcome = verdict(MW, SUMMER_2026, FULL, track="enterprise")
    assert (outcome.total, outcome.qualified, outcome.started) == (point(100), True, True)


def test_facts_that_are_missing_leave_the_score_between_bounds() -> None:
    given = {name: one for name, one in FULL.items() if not name.startswith(("usage", "deploy"))}
    outcome = verdict(MW, SUMMER_2026, given, track="enterprise")
    assert (outcome.total, outcome.qualified) == (Q(45, 100), None)
    assert Why.TOTAL_UNDETERMINED in codes_of(outcome.codes)


def test_metric_at_zero_decides_whatever_is_missing() -> None:
    outcome = verdict(MW, SUMMER_2026, {"net_customer_adds": 0}, track="enterprise")
    assert outcome.qualified is False
    assert code(outcome.codes, Why.AT_ZERO, metric="net_customer_adds")["have"] == 0


def test_total_that_cannot_reach_the_minimum_is_not_qualified() -> None:
    given = {
        "net_customer_adds": 1,
        "usage_growth.cpor": 10,
        "usage_growth.dpor": 0,
        "deployments.cpor": 1,
        "deployments.dpor": 0,
    }
    outcome = verdict(MW, SUMMER_2026, given, track="enterprise")
    assert outcome.qualified is False
    assert code(outcome.codes, Why.TOTAL_SHORT)["need"] == 70


def test_options_are_not_mixed_and_the_best_counts() -> None:
    outcome = verdict(
        MW, SUMMER_2026, {**FULL, "usage_growth.cpor": 500, "usage_growth.dpor": 2400}, track="enterprise"
    )
    found = outcome.metrics["usage_growth"]
    assert found.points == point(18)
    assert code(found.codes, Why.MIXED_OPTIONS)["best"] == "dpor"


def test_points_above_the_maximum_are_capped() -> None:
    found = verdict(MW, SUMMER_2026, {**FULL, "usage_growth.cpor": 1500}, track="enterprise").metrics["usage_growth"]
    assert (found.points, found.parts["cpor"]) == (point(30), point(45))
    assert code(found.codes, Why.CAPPED)["at"] == 30


def test_better_of_two_tracks_counts() -> None:
    given = {**FULL, "net_customer_adds.enterprise": 5, "net_customer_adds.smb": 1}
    outcome = verdict(MW, SUMMER_2026, given)
    assert (outcome.track, outcome.total) == ("enterprise", point(100))
    outcome = verdict(MW, SUMMER_2026, {**given, "net_customer_adds.enterprise": 0, "net_customer_adds.smb": 10})
    assert (outcome.track, outcome.total, outcome.qualified) == ("smb", point(100), True)


def test_of_equal_tracks_the_first_counts() -> None:
    assert verdict(MW, SUMMER_2026, FULL).track == "enterprise"


def test_track_with_the_better_total_decides_even_if_the_other_one_would_qualify() -> None:
    given = {**FULL, "skilling_advanced.enterprise": 0, "net_customer_adds.smb": 1}
    outcome = verdict(MW, SUMMER_2026, {**given, "usage_growth.csp": 1000, "usage_growth.cpor.smb": 0})
    assert (outcome.track, outcome.total, outcome.qualified) == ("enterprise", point(85), False)


def test_track_that_leads_only_with_a_high_total_is_judged_by_that() -> None:
    """Enterprise lies between 60 and 90; it leads only from 82 on, and then it qualifies as small does."""
    given = {**FULL, "usage_growth.cpor.enterprise": Q(0, 1000), "usage_growth.dpor": 0, "net_customer_adds.smb": 1}
    outcome = verdict(MW, SUMMER_2026, given)
    assert outcome.qualified is True
    assert outcome.total == Q(82, 100)


def test_score_qualifies_if_one_day_of_the_window_does() -> None:
    program = programs()[MW]
    poor = Facts({"net_customer_adds": point(0)}, {"track": "smb"}, SUMMER_2026)
    rich = Facts({name: point(one) for name, one in FULL.items()}, {"track": "smb"}, date(2026, 6, 30))
    unknown = Facts({}, {"track": "smb"}, date(2026, 5, 31))
    none = Facts({}, {}, date(2001, 1, 1))  # a day without rules

    def judged(today: Facts, *earlier: Facts) -> tuple[bool | None, Code]:
        outcome = with_earlier(program, judge_on(program, today), earlier, 6)
        return outcome.qualified, outcome.codes[-1]

    assert judged(poor, unknown, rich) == (True, (Why.QUALIFIED_EARLIER, {"month": "2026-06-01", "months": 6}))
    assert judged(poor, rich, unknown) == (True, (Why.QUALIFIED_EARLIER, {"month": "2026-06-01", "months": 6}))
    assert judged(poor, unknown) == (None, (Why.EARLIER_UNDETERMINED, {"month": "2026-05-01", "months": 6}))
    assert judged(poor, none)[0] is None
    assert judged(poor)[0] is False
    assert judged(rich, unknown)[0] is True
    assert judged(rich, unknown)[1].code is Why.MET


def test_base_that_is_too_small_gives_no_points_and_says_so() -> None:
    day, given = date(2021, 6, 1), {"mau_12_months_ago": 200, "mau_now": 1000}
    found = verdict("pci.cba", day, given, market="developed", path="ce").metrics["mau_growth"]
    assert found.points == point(0)
    assert code(found.codes, Why.BELOW_BASELINE)["need"] == 250
    open_market = verdict("pci.cba", day, given, path="ce").metrics["mau_growth"]
    assert (open_market.points, Why.BASELINE_UNKNOWN in codes_of(open_market.codes)) == (Q(0, 25), True)


def test_unknown_base_is_narrowed_to_what_gives_points_at_all() -> None:
    """From a base of 50 to 75 to 60 now: at most 20 %, and nothing from below 50."""
    given = {"mau_12_months_ago": Q(10, 75), "mau_now": 60}
    found = verdict("pci.cba", date(2021, 6, 1), given, market="developing", path="fo").metrics["mau_growth"]
    assert found.points == Q(0, 20)


# --- No wider than it must be ----------------------------------------------------------------------------------------

#: Programmes with facts and the range in which they are drawn.
SHAPES: list[tuple[str, date, dict[str, tuple[int, int]], tuple[dict[str, str], ...]]] = [
    (SMCS, SUMMER_2015, {"new_customers": (0, 30), "seats_sold": (0, 300)}, ({},)),
    (
        CP,
        SUMMER_2018,
        {"active_entitlements": (0, 5000), "certified_people": (0, 3)},
        ({"market": "developed"}, {"market": "developing"}),
    ),
    (
        "competency.enterprise_mobility_management",
        SUMMER_2018,
        {"new_customers": (0, 25), "active_entitlements": (0, 5000), "assessed_people": (0, 5)},
        ({},),
    ),
    (
        "pci.smcs_cba_smb",
        date(2021, 6, 1),
        {
            "net_new_revenue": (0, 40000),
            "net_customer_adds": (-3, 12),
            "functional_consultants": (0, 6),
            "developers": (0, 3),
            "new_large_deployments": (0, 12),
            "mau_12_months_ago": (20, 100),
            "mau_now": (20, 160),
        },
        ({},),
    ),
    (
        MW,
        SUMMER_2026,
        {
            "net_customer_adds": (-2, 12),
            "skilling_intermediate": (0, 5),
            "skilling_advanced": (0, 3),
            "usage_growth.cpor": (0, 1200),
            "usage_growth.dpor": (0, 4500),
            "usage_growth.csp": (0, 2500),
            "deployments.cpor": (0, 6),
            "deployments.dpor": (0, 11),
            "deployments.csp": (0, 11),
        },
        ({"track": "enterprise"}, {"track": "smb"}),
    ),
]


@pytest.mark.parametrize("seed", range(40))
def test_verdict_about_bounds_holds_those_of_all_points_and_differs_only_where_they_do(seed: int) -> None:
    chance = random.Random(seed)
    name, day, ranges, choices = SHAPES[seed % len(SHAPES)]
    program, version = rules(name, day)
    values: dict[str, Q] = {}
    open_facts = set(chance.sample(sorted(ranges), min(3, len(ranges))))
    for fact, (low, high) in ranges.items():
        ends = sorted(chance.randint(low, high) for _ in range(2))
        values[fact] = Q(*ends) if fact in open_facts else point(ends[0])
    known = chance.random() < 0.5 or "track" in choices[0]
    chosen = [chance.choice(choices)] if known else list(choices)
    outcome = judge(program, version, Facts(values, chosen[0] if known else {}, day))
    corners = product(*[{one.low, one.high, (one.low + one.high) // 2} for one in values.values()])
    points = [
        judge(program, version, Facts(dict(zip(values, map(point, corner), strict=True)), choice, day))
        for corner in corners
        for choice in chosen
    ]
    for level in outcome.levels:
        said = {one.meets(level) for one in points}
        assert outcome.meets(level) is (said.pop() if len(said) == 1 else None)
    if outcome.qualified is not None:
        assert {one.qualified for one in points} == {outcome.qualified}
    if outcome.total is not None:
        totals = [one.total.low for one in points if one.total is not None]
        assert outcome.total.low <= min(totals)
        assert outcome.total.high >= max(totals)
