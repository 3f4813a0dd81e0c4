"""Calendars, life cycle, attribution, gates and reductions."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from math import inf
from typing import Any

import pytest

from por.programs import gates
from por.programs.attribution import AddedTo, Attribution, MonthOfCustomer, reduce_adds
from por.programs.calendars import Move, Step, Window, WindowKind, follow, months_later, newest_month
from por.programs.codes import GateCode
from por.programs.facts import Facts
from por.programs.lifecycle import Extension, LifeCycle, Stage, StageName, Standing, stage
from por.programs.quantity import EVERYTHING, ZERO, Q, point
from por.programs.reducing import reduce_consumption_value, reduce_entitlements, reduce_instances, reduce_track
from tests.por.programs.cases import programs

# --- Days ------------------------------------------------------------------------------------------------------------

LEAP = date(2020, 2, 29)


@pytest.mark.parametrize(
    ("steps", "begins", "ends"),
    [
        ([Step(Move.MONTHS, 1), Step(Move.DAY, 20)], date(2021, 2, 28), date(2021, 3, 20)),
        ([Step(Move.MONTHS, 1)], date(2021, 1, 31), date(2021, 2, 28)),
        ([Step(Move.MONTHS, -1), Step(Move.DAY, 24)], date(2016, 1, 5), date(2015, 12, 24)),
        ([Step(Move.YEARS, 1)], LEAP, date(2021, 2, 28)),
        ([Step(Move.YEARS, 4)], LEAP, date(2024, 2, 29)),
        ([Step(Move.DAYS, 14), Step(Move.DAYS, 21), Step(Move.MONTH_END, 0)], date(2015, 8, 25), date(2015, 9, 30)),
        ([Step(Move.MONTH_START, -5)], date(2024, 3, 31), date(2023, 10, 1)),
        ([Step(Move.MONTH_END, 1)], date(2024, 1, 15), LEAP.replace(year=2024)),
        ([Step(Move.DAY, 31)], date(2021, 2, 1), date(2021, 2, 28)),
        ([Step(None, 2, 4)], date(2020, 5, 31), date(2020, 5, 8)),
        ([Step(None, 1, 4)], date(2020, 5, 31), date(2020, 5, 1)),
        ([Step(None, 4, 3)], date(2020, 5, 1), date(2020, 5, 28)),
        ([], LEAP, LEAP),
    ],
)
def test_steps_lead_to_a_day(steps: list[Step], begins: date, ends: date) -> None:
    assert follow(steps, begins) == ends


@pytest.mark.parametrize(
    ("day", "month"),
    [
        (date(2016, 5, 30), date(2016, 4, 1)),
        (date(2016, 5, 31), date(2016, 5, 1)),
        (date(2016, 1, 1), date(2015, 12, 1)),
        (LEAP, date(2020, 2, 1)),
        (date(2020, 2, 28), date(2020, 1, 1)),
    ],
)
def test_newest_month_is_the_newest_whole_one(day: date, month: date) -> None:
    assert newest_month(day) == month


@pytest.mark.parametrize(
    ("window", "day", "first", "last"),
    [
        (Window(), date(2016, 6, 15), date(2015, 6, 16), date(2016, 6, 15)),
        (Window(), LEAP, date(2019, 3, 1), LEAP),
        (Window(WindowKind.WHOLE_MONTHS), date(2016, 6, 15), date(2015, 6, 1), date(2016, 5, 31)),
        (Window(WindowKind.WHOLE_MONTHS), date(2016, 6, 30), date(2015, 7, 1), date(2016, 6, 30)),
        (Window(WindowKind.SNAPSHOT), LEAP, LEAP, LEAP),
        (Window(WindowKind.NEWEST_MONTH), date(2016, 6, 15), date(2016, 5, 1), date(2016, 5, 31)),
        (Window(WindowKind.YEAR_ON_YEAR), date(2016, 6, 15), date(2016, 5, 1), date(2016, 5, 31)),
        (Window(WindowKind.ROLLING_DAYS, days=28), date(2016, 3, 28), date(2016, 3, 1), date(2016, 3, 28)),
    ],
)
def test_window_spans_days(window: Window, day: date, first: date, last: date) -> None:
    assert window.span(day) == (first, last)


def test_year_on_year_starts_from_the_same_month_a_year_before() -> None:
    assert Window(WindowKind.YEAR_ON_YEAR).before(date(2016, 6, 15)) == (date(2015, 5, 1), date(2015, 5, 31))
    assert months_later(date(2016, 1, 31), -11) == date(2015, 2, 28)


# --- Life cycle ------------------------------------------------------------------------------------------------------

RULE = LifeCycle(1, 3, (Extension(date(2020, 1, 1), date(2020, 6, 30), 1),))
DAY = date(2019, 5, 1)
LATER = date(2019, 6, 1)


def _ending(until: date | None, *, forecast_below: bool | None = True) -> Standing:
    """Return what decides about a paid level that is kept by an override until a day."""
    held = {"all_met": False, "fee_paid": True, "forecast_below": forecast_below, "anniversary_on": LATER}
    return Standing(**held, override_on=date(2019, 4, 15), override_until=until)


@pytest.mark.parametrize(
    ("standing", "name", "at_risk"),
    [
        (Standing(all_met=False, started=False, fee_paid=False), StageName.NONE, None),
        (Standing(all_met=False, started=True, fee_paid=False), StageName.STARTED, None),
        (Standing(all_met=False, started=None, fee_paid=False), None, None),
        (Standing(all_met=None, started=True, fee_paid=False), None, None),
        (Standing(all_met=True, fee_paid=False), StageName.QUALIFIED, None),
        (Standing(all_met=True, fee_paid=None), None, None),
        (Standing(all_met=False, started=True, fee_paid=None), StageName.STARTED, None),
        (Standing(all_met=True, fee_paid=True, anniversary_on=LATER), StageName.ACTIVE, None),
        (Standing(all_met=False, fee_paid=True, anniversary_on=LATER), StageName.ACTIVE, None),
        (Standing(all_met=True, fee_paid=True, anniversary_on=DAY, forecast_below=True), StageName.ACTIVE, True),
        (_ending(date(2019, 5, 31)), StageName.ACTIVE, True),
        (_ending(LATER), StageName.ACTIVE, False),
        (_ending(date(2019, 6, 2)), StageName.ACTIVE, False),
        (_ending(date(2019, 5, 31), forecast_below=None), StageName.ACTIVE, None),
        (_ending(LATER, forecast_below=None), StageName.ACTIVE, False),
        (_ending(None), StageName.ACTIVE, False),  # until 2019-07-15 by the rule
        (Standing(all_met=False, fee_paid=True, anniversary_on=date(2019, 4, 30)), StageName.LOST, None),
        (Standing(all_met=None, fee_paid=True, anniversary_on=date(2019, 4, 30)), None, None),
        (Standing(all_met=True, fee_paid=True, anniversary_on=date(2019, 4, 30)), StageName.QUALIFIED, None),
        (Standing(all_met=False, fee_paid=False, override_on=date(2019, 2, 1)), StageName.QUALIFIED, None),
        (Standing(all_met=False, started=True, fee_paid=False, override_on=date(2019, 1, 31)), StageName.STARTED, None),
        (Standing(all_met=False, started=True, fee_paid=False, override_on=date(2019, 5, 2)), StageName.STARTED, None),
    ],
)
def test_stage_follows_from_what_is_met_and_paid(
    standing: Standing, name: StageName | None, at_risk: bool | None
) -> None:
    found = stage(RULE, standing, DAY)
    assert (found.name, found.at_risk) == (name, at_risk)


@pytest.mark.parametrize(
    ("anniversary", "until"),
    [
        (date(2019, 12, 31), date(2019, 12, 31)),
        (date(2020, 1, 1), date(2021, 1, 1)),
        (LEAP, date(2021, 2, 28)),
        (date(2020, 6, 30), date(2021, 6, 30)),
        (date(2020, 7, 1), date(2020, 7, 1)),
    ],
)
def test_anniversaries_of_early_2020_are_a_year_later(anniversary: date, until: date) -> None:
    held = Standing(all_met=False, fee_paid=True, anniversary_on=anniversary)
    assert stage(RULE, held, until) == Stage(StageName.ACTIVE, None, until)
    assert stage(RULE, held, date.fromordinal(until.toordinal() + 1)).name is StageName.LOST
    assert RULE.anniversary(months_later(anniversary, -12)) == RULE.extended(
        months_later(months_later(anniversary, -12), 12)
    )


def test_override_has_to_hold_on_the_anniversary_as_extended() -> None:
    anniversary, day = date(2020, 3, 31), date(2021, 3, 1)
    for until, at_risk in ((date(2021, 3, 30), True), (date(2021, 3, 31), False)):
        held = Standing(all_met=False, fee_paid=True, forecast_below=True, anniversary_on=anniversary)
        found = stage(RULE, replace(held, override_on=date(2021, 2, 1), override_until=until), day)
        assert (found.at_risk, found.valid_until) == (at_risk, date(2021, 3, 31))


def test_override_holds_for_three_months() -> None:
    assert RULE.override_until(date(2019, 11, 30)) == date(2020, 2, 29)


# --- Attribution -----------------------------------------------------------------------------------------------------


def months(*rows: tuple[str, int, str]) -> list[MonthOfCustomer]:
    return [MonthOfCustomer(date.fromisoformat(f"{month}-01"), seats, list(who)) for month, seats, who in rows]


ALL = Attribution("cpor", {"osa": ("adds",), "presales": ()}, AddedTo.ALL_ATTACHED, 12)
LATEST = Attribution("cpor", {}, AddedTo.LATEST, 12)


@pytest.mark.parametrize(
    ("rule", "history", "net"),
    [
        (ALL, months(("2021-01", 5, "AB"), ("2021-02", 5, "ABC")), {"A": 1, "B": 1, "C": 0}),
        (ALL, months(("2021-01", 5, "A"), ("2021-02", 0, "A")), {"A": 0}),
        (ALL, months(("2021-01", 5, "A"), ("2021-02", 0, "A"), ("2021-03", 1, "B")), {"A": 0, "B": 1}),
        (ALL, months(("2020-01", 5, "A"), ("2021-01", 0, "A")), {"A": 0}),  # credited a year before: no longer
        (ALL, months(("2020-02", 5, "A"), ("2021-01", 0, "A")), {"A": 0}),
        (ALL, months(("2020-01", 5, "A"), ("2020-06", 5, "A"), ("2021-06", 5, "A")), {"A": 0}),
        (LATEST, months(("2021-01", 5, "AB")), {"A": 0, "B": 1}),
        (ALL, [], {}),
        (ALL, months(("2021-01", 0, "A")), {"A": 0}),
    ],
)
def test_customers_are_added_to_those_attached_and_lost_by_those_credited(
    rule: Attribution, history: Any, net: Any
) -> None:
    assert reduce_adds(rule, history) == net


@pytest.mark.parametrize(
    ("attached", "basis", "credited"),
    [
        ({"cpor": "P1", "dpor": "P2"}, "osa", {"adds": "P1", "users": "P2"}),
        ({"cpor": "P1", "dpor": "P2"}, "presales", {"adds": "P2", "users": "P2"}),
        ({"dpor": "P2"}, "", {"adds": "P2", "users": "P2"}),
        ({"dpor": "P2", "csp": "P3"}, "", {"adds": None, "users": None}),
        ({"cpor": "P1"}, "osa", {"adds": "P1", "users": None}),
        ({}, "", {"adds": None, "users": None}),
    ],
)
def test_claim_takes_the_metrics_of_its_basis_and_others_keep_the_rest(
    attached: Any, basis: str, credited: Any
) -> None:
    assert ALL.credited(attached, basis, ["adds", "users"]) == credited


# --- Gates -----------------------------------------------------------------------------------------------------------

READY = {
    "partner_active": True,
    "association": "dpor",
    "customer_tenant": "T1",
    "partner_tenant": "T2",
    "trial": False,
    "agreement": "MOSP",
    "agreement_signed": True,
    "cloud_productivity_silver": True,
    "active_users": point(5),
    "bank_ok": True,
    "tax_ok": True,
    "no_failed_check": True,
    "on_rate_card": True,
}


def passed(day: date, program: str = "incentive.osu", **changes: Any) -> gates.Passed:
    version = programs()[program].on(day)
    assert version is not None
    values = {name: one for name, one in {**READY, **changes}.items() if one is not None}
    return gates.check(version.gates, Facts(values), day)


SPRING = date(2016, 5, 31)


def test_what_meets_every_gate_earns_and_is_payable() -> None:
    assert passed(SPRING) == gates.Passed(True, True, ())


@pytest.mark.parametrize(
    ("changes", "code", "earns", "payable"),
    [
        ({"association": "osa_form"}, GateCode.IVDADV, False, False),
        ({"partner_tenant": "T1"}, GateCode.CUSEQPTR, False, False),
        ({"trial": True}, GateCode.TRIAL, False, False),
        ({"agreement": "OPEN"}, GateCode.OPEN_LICENCE, False, False),
        ({"agreement_signed": False}, GateCode.IVDMPA, False, False),
        ({"cloud_productivity_silver": False, "devices_and_deployment_silver": False}, GateCode.IVDCOMP, False, False),
        ({"active_users": point(0)}, GateCode.NOT_IN_USE, False, False),
        ({"bank_ok": False}, GateCode.NO_BANK, True, False),
        ({"tax_ok": False}, GateCode.NO_TAX, True, False),
        ({"no_failed_check": False}, GateCode.IVDPOE, True, False),
        ({"on_rate_card": False}, GateCode.NOT_ON_RATE_CARD, False, False),
        ({"partner_active": False}, GateCode.IVDMPN, True, False),
        ({"cloud_productivity_silver": None, "devices_and_deployment_silver": False}, GateCode.IVDCOMP, None, None),
    ],
)
def test_gate_says_what_blocks(changes: Any, code: GateCode, earns: bool | None, payable: bool | None) -> None:
    found = passed(SPRING, **changes)
    assert (found.earns, found.payable) == (earns, payable)
    (blocked,) = found.blocked
    assert (blocked.code, blocked.certain) == (code, earns is not None)
    assert blocked.codes


def test_devices_and_deployment_opens_the_gate_for_its_workloads_only() -> None:
    held = {"cloud_productivity_silver": False, "devices_and_deployment_silver": True}
    assert passed(SPRING, **held, workload="intune").earns is True
    assert passed(SPRING, **held, workload="exo").earns is False


def test_forms_earn_until_the_end_of_2015() -> None:
    assert passed(date(2015, 12, 31), association="osa_form").earns is True
    assert passed(date(2016, 1, 1), association="osa_form").earns is False


def test_bank_details_hold_the_payment_until_2019_and_lose_the_month_from_2020_on() -> None:
    azure = {"program": "incentive.azure", "cloud_platform_silver": True, "bank_ok": False}
    assert (passed(date(2019, 12, 31), **azure).earns, passed(date(2020, 1, 31), **azure).earns) == (True, False)


def test_all_reasons_are_kept_in_the_order_of_the_gates() -> None:
    found = passed(SPRING, trial=True, bank_ok=False, association="osa_form")
    assert [one.code for one in found.blocked] == [GateCode.IVDADV, GateCode.TRIAL, GateCode.NO_BANK]
    assert found.blocked[0].next == "become_of_record"


# --- Reductions ------------------------------------------------------------------------------------------------------


def test_person_in_three_workloads_counts_three_times() -> None:
    active = {"exo": point(1), "spo": point(1), "sfb": point(1), "other": EVERYTHING}
    assert reduce_entitlements(active, ("exo", "spo", "sfb", "yammer")) == point(3)
    assert reduce_entitlements(active | {"spo": Q(0, inf)}, ("exo", "spo")) == Q(1, inf)


@pytest.mark.parametrize(
    ("before", "most", "counts"),
    [
        (point(249), point(250), point(2)),
        (point(249), point(249), ZERO),
        (point(250), point(900), ZERO),
        (point(0), point(900), point(2)),
        (EVERYTHING, point(900), Q(0, 2)),
        (EVERYTHING, point(249), ZERO),
    ],
)
def test_tenant_that_grew_past_the_threshold_brings_all_its_instances(before: Q, most: Q, counts: Q) -> None:
    assert reduce_instances([(before, most, point(2))], point(250)) == counts


def test_where_the_threshold_is_not_known_a_tenant_between_brings_none_or_all() -> None:
    grown, between = (point(0), point(900), point(3)), (point(0), point(200), point(5))
    assert reduce_instances([grown, between], Q(150, 250)) == Q(3, 8)


def test_consumption_value_and_track_are_reduced() -> None:
    assert reduce_consumption_value([(point(10), point(1000)), (point(0), point(5))]) == point(10_000)
    assert reduce_consumption_value([(EVERYTHING, point(1000))]) == EVERYTHING
    assert reduce_track(["enterprise", None, "smb"], "smb", "enterprise") == "smb"
    assert reduce_track(["enterprise"], "smb", "enterprise") == "enterprise"
    assert reduce_track(["enterprise", None], "smb", "enterprise") is None
