"""Every figure of the tables of the programmes, on both sides of each threshold, as cases of the worked examples."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest

from tests.por.programs.cases import HANDLERS, Case, differences, programs

Row = tuple[str, str, str, dict[str, Any], dict[str, Any], str | None]


def rows() -> Iterator[Row]:
    yield from levels()
    yield from indicators()
    yield from designations()
    yield from incentives()


def row(
    program: str, metric: str, as_of: str, given: dict[str, Any], expected: dict[str, Any], track: str | None = None
) -> Row:
    return program, metric, as_of, given, expected, track


# --- Levels ----------------------------------------------------------------------------------------------------------

SMCS, CP, CPLAT, EMM = (
    "competency.smcs",
    "competency.cloud_productivity",
    "competency.cloud_platform",
    "competency.enterprise_mobility_management",
)
CRM, CBA = "competency.cloud_crm", "competency.cloud_business_applications"


def levels() -> Iterator[Row]:
    for as_of, silver, gold in (
        ("2014-09", (10, 150), (30, 300)),
        ("2015-08", (10, 150), (30, 300)),
        ("2015-09", (4, 40), (25, 250)),
        ("2016-09", (4, 40), (25, 250)),
    ):
        for customers, seats in (silver, gold):
            level = "silver" if (customers, seats) == silver else "gold"
            yield row(SMCS, "level", as_of, _sold(customers, seats), {f"meets_{level}": True, "level": level})
            yield row(SMCS, "level", as_of, _sold(customers - 1, seats), {f"meets_{level}": False})
            yield row(SMCS, "level", as_of, _sold(customers, seats - 1), {f"meets_{level}": False})
        yield row(
            SMCS,
            "level",
            as_of,
            {"new_customers_ttm": silver[0], "seats_sold_ttm": None},
            {"meets_silver": None, "level": None},
        )
        yield row(
            SMCS,
            "level",
            as_of,
            {"new_customers_ttm": silver[0] - 1, "seats_sold_ttm": None},
            {"meets_silver": False, "level": "none"},
        )
    for as_of, silver, gold in (("2016-10", 4, 25), ("2019-09", 4, 25), ("2019-10", 10, 50), ("2022-09", 10, 50)):
        people = {"people_with_70_347": 2} if as_of < "2019-10" else {}
        for name in ("net_new_o365_customers_ttm", "new_customers_ttm"):
            yield row(SMCS, "level", as_of, {name: silver}, {"meets_silver": True})
            yield row(
                SMCS,
                "level",
                as_of,
                {name: silver - 1, **people},
                {"meets_silver": False, "meets_gold": False, "level": "none"},
            )
            yield row(SMCS, "level", as_of, {name: gold, **people}, {"meets_gold": True, "level": "gold"})
            yield row(SMCS, "level", as_of, {name: gold - 1, **people}, {"meets_gold": False, "level": "silver"})
        yield row(
            SMCS, "level", as_of, {"new_customers": gold + 3, "lost_customers": 3, **people}, {"meets_gold": True}
        )
        yield row(
            SMCS, "level", as_of, {"new_customers": gold + 3, "lost_customers": 4, **people}, {"meets_gold": False}
        )
        yield row(
            SMCS,
            "level",
            as_of,
            {"new_customers": gold, "lost_customers": None, **people},
            {"meets_gold": None, "meets_silver": None},
        )
        yield row(SMCS, "level", as_of, {"new_customers": silver - 1, "lost_customers": None}, {"meets_silver": False})
    yield row(
        SMCS,
        "level",
        "2017-07",
        {"net_new_o365_customers_ttm": 25, "people_with_70_347": 1},
        {"meets_gold": False, "level": "silver"},
    )
    yield row(
        SMCS,
        "level",
        "2017-07",
        {"net_new_o365_customers_ttm": 25, "people_with_70_347": None},
        {"meets_gold": None, "level": "silver"},
    )
    for score, level in (
        (59, "none"),
        (60, "silver"),
        (79, "silver"),
        (80, "gold"),
        (100, "gold"),
        (79.9, "silver"),
        (59.99, "none"),
    ):
        yield row(SMCS, "level", "2021-02", {"pci_score": score}, {"level": level})
        yield row("pci", "level", "2020-09..2022", {"pci_score": score}, {"level": level})
        yield row(CBA, "level", "2021-05", {"pci_score": score}, {"level": level})
        yield row("pci", "level", "2019-12", {"pci_score": score}, {"level": None})
    yield row(SMCS, "level", "2020-12", {"pci_score": 100}, {"meets_gold": None})

    for market, silver in (("developed", 2000), ("developing", 1000)):
        yield row(CP, "level", "2017-07", _entitled(silver, 1, market), {"meets_silver": True, "level": "silver"})
        yield row(CP, "level", "2017-07", _entitled(silver - 1, 1, market), {"meets_silver": False, "level": "none"})
        yield row(CP, "level", "2017-07", _entitled(silver, 0, market), {"meets_silver": False})
        yield row(CP, "level", "2017-07", _entitled(4000, 2, market), {"meets_gold": True})
        yield row(CP, "level", "2017-07", _entitled(3999, 2, market), {"meets_gold": False})
        yield row(CP, "level", "2017-07", _entitled(4000, 1, market), {"meets_gold": False, "level": "silver"})
        yield row(CP, "level", "2017-07", _entitled(None, 2, market), {"meets_silver": None, "meets_gold": None})
    for entitlements, met in ((999, False), (1000, None), (1999, None), (2000, True)):
        yield row(
            CP, "level", "2015-10", {"active_entitlements": entitlements, "certified_people": 1}, {"meets_silver": met}
        )
    yield row(CP, "level", "2014-10", {"seats_sold_ttm": 100000}, {"meets_silver": None, "level": None})

    for market, silver in (("developed", 15000), ("developing", 10000)):
        for usd, met in ((silver, True), (silver - 1, False), (silver - 0.01, False)):
            yield row(
                CPLAT,
                "level",
                "2015-10..2019-04+",
                {"market": market, "azure_consumption_usd_ttm": usd},
                {"meets_silver": met},
            )
            yield row(
                CPLAT,
                "level",
                "2018-03",
                {"market": market, "azure_consumption_usd_ttm": usd, "certified_people": 1},
                {"meets_silver": met},
            )
            yield row(
                CPLAT,
                "level",
                "2019-03",
                {"market": market, "azure_consumption_usd_ttm": usd, "certified_people": 0},
                {"meets_silver": False},
            )
        yield row(
            CPLAT, "level", "2016", {"market": market, "azure_consumption_usd_ttm": 99999.99}, {"meets_gold": False}
        )
        yield row(
            CPLAT,
            "level",
            "2016",
            {"market": market, "azure_consumption_usd_ttm": 100000, "certified_people": 2},
            {"level": "gold"},
        )
    for usd, met in ((9999, False), (10000, None), (14999, None), (15000, True)):
        yield row(CPLAT, "level", "2016", {"market": "any", "azure_consumption_usd_ttm": usd}, {"meets_silver": met})
    yield row(
        CPLAT,
        "level",
        "2014-12",
        {"azure_consumption_usd_ttm": 25000},
        {"meets_silver": True, "meets_gold": None, "level": "silver"},
    )
    yield row(
        CPLAT,
        "level",
        "2014-12",
        {"azure_consumption_usd_ttm": 24999},
        {"meets_silver": False, "meets_gold": False, "level": "none"},
    )

    for option, silver in (("enterprise", (3, 500, 2)), ("smb", (20, 125, 2))):
        yield row(EMM, "level", "2017-07..2019-04+", _mobile(option, *silver), {"meets_silver": True})
        for short in range(3):
            given = [*silver]
            given[short] -= 1
            yield row(EMM, "level", "2017-07..2019-04+", _mobile(option, *given), {"meets_silver": False})
        yield row(EMM, "level", "2018", _mobile(option, 5, 4000, 4), {"meets_gold": True, "level": "gold"})
        for short in range(3):
            given = [5, 4000, 4]
            given[short] -= 1
            yield row(EMM, "level", "2018", _mobile(option, *given), {"meets_gold": False})
    yield row(EMM, "level", "2016-01", _mobile("enterprise", 100, 10000, 9), {"meets_silver": None, "level": None})
    yield row(
        EMM,
        "level",
        "2018",
        {"new_ems_customers_ttm": 20, "active_entitlements": 125, "assessed_people": 2},
        {"level": "silver"},
    )

    for market, silver, gold in (("developed", 100000, 300000), ("developing", 50000, 150000)):
        for level, usd, people, technical in (("silver", silver, 2, 5), ("gold", gold, 4, 15)):
            met = f"meets_{level}"
            revenue = {"market": market, "net_new_cloud_revenue_usd_ttm": usd}
            yield row(CRM, "level", "2018", {**revenue, "certified_people": people}, {met: True, "level": level})
            yield row(CRM, "level", "2018", {**revenue, "certified_people": people - 1}, {met: False})
            less = {"market": market, "net_new_cloud_revenue_usd_ttm": usd - 1}
            yield row(CRM, "level", "2018", less, {met: False})
            ce = {"option": "customer_engagement"}
            yield row(CBA, "level", "2018", {**ce, **revenue}, {met: True})
            yield row(CBA, "level", "2018", {**ce, **less}, {met: False})
            yield row(
                CBA,
                "level",
                "2018",
                {**ce, **revenue, "technical_people": technical, "functional_people": technical},
                {met: True},
            )
            yield row(
                CBA,
                "level",
                "2018",
                {**ce, **revenue, "technical_people": technical - 1, "functional_people": technical},
                {met: False},
            )
            yield row(
                CBA,
                "level",
                "2018",
                {**ce, **revenue, "technical_people": technical, "functional_people": technical - 1},
                {met: False},
            )
    for market, level, total, net in (
        ("developed", "silver", 100000, 25000),
        ("developing", "silver", 50000, 12000),
        ("developed", "gold", 300000, 75000),
        ("developing", "gold", 150000, 37000),
    ):
        for a, b, met in ((total, net, True), (total - 1, net, False), (total, net - 1, False)):
            given = {
                "option": "operations",
                "market": market,
                "total_revenue_usd": a,
                "net_new_cloud_revenue_usd_ttm": b,
            }
            yield row(CBA, "level", "2017-09..2020-09", given, {f"meets_{level}": met})
    yield row(
        "competency.data_analytics",
        "level",
        "2018",
        {"power_bi_seats": 250, "certified_people": 1},
        {"level": "silver"},
    )
    yield row(
        "competency.data_analytics",
        "level",
        "2018",
        {"power_bi_seats": 999, "certified_people": 2},
        {"level": "silver"},
    )
    yield row(
        "competency.data_analytics", "level", "2018", {"power_bi_seats": 1000, "certified_people": 2}, {"level": "gold"}
    )
    yield row("competency.windows_and_devices", "level", "2018", {"devices": 11}, {"level": "none"})
    yield row("competency.windows_and_devices", "level", "2018", {"devices": 12}, {"level": "silver"})
    yield row("competency.windows_and_devices", "level", "2018", {"devices": 52}, {"level": "gold"})
    yield row("action_pack.extras", "level", "2015", {"seats_sold_ttm": 10**6}, {"level": None})

    stages = (
        ({"all_metrics_met": True, "fee_paid": False}, {"stage": "qualified"}),
        ({"all_metrics_met": False, "fee_paid": False}, {"stage": "started"}),
        ({"all_metrics_met": True, "fee_paid": True}, {"stage": "active"}),
        (
            {"all_metrics_met": False, "fee_paid": True, "forecast_at_anniversary_below_threshold": True},
            {"stage": "active", "at_risk": True},
        ),
        (
            {"all_metrics_met": True, "fee_paid": True, "forecast_at_anniversary_below_threshold": False},
            {"stage": "active", "at_risk": False},
        ),
        (
            {"all_metrics_met": False, "fee_paid": True, "anniversary": "2020-03-01", "day": "2021-02-28"},
            {"stage": "active"},
        ),
        (
            {"all_metrics_met": False, "fee_paid": True, "anniversary": "2020-07-01", "day": "2020-07-02"},
            {"stage": "lost"},
        ),
        ({"all_metrics_met": None, "fee_paid": False}, {"stage": None}),
    )
    for given, expected in stages:
        yield row("competency", "lifecycle", "2021", given, expected)
    for purchased, as_of, opens in (
        ("2018-09-01", "2020-11", "2019-09-02"),
        ("2019-12-31", "2020-11", "2021-01-01"),
        ("2020-02-29", "2020-11", "2021-03-01"),
        ("2015-09-01", "2016", "2016-06-03"),
    ):
        yield row("competency", "renewal_window", as_of, {"purchase_date": purchased}, {"renewal_window_opens": opens})
    tenant = {"ExO": 1, "SpO": 2, "SfB": 3, "Yammer": 4, "ProPlus": 5, "Teams": 1000, "trial_SpO": 1000}
    yield row(CP, "active_entitlements", "2017-07", {"tenant": tenant}, {"active_entitlements": 15})


def _sold(customers: int, seats: int) -> dict[str, Any]:
    return {"new_customers_ttm": customers, "seats_sold_ttm": seats}


def _entitled(entitlements: int | None, people: int, market: str) -> dict[str, Any]:
    return {"active_entitlements": entitlements, "certified_people": people, "market": market}


def _mobile(option: str, customers: int, entitlements: int, people: int) -> dict[str, Any]:
    return {
        "option": option,
        "new_ems_customers_ttm": customers,
        "active_entitlements": entitlements,
        "assessed_people": people,
    }


# --- Partner contribution indicators ---------------------------------------------------------------------------------


def indicators() -> Iterator[Row]:
    grown = (
        ("developed", 14, 40, 0),
        ("developed", 15, 20, 0),
        ("developed", 15, 21, 15),
        ("developed", 29, 39, 0),
        ("developed", 29, 40, 15),
        ("developed", 30, 37, 0),
        ("developed", 30, 38, 15),
        ("developed", 49, 61, 0),
        ("developed", 49, 62, 15),
        ("developed", 50, 50, 15),
        ("developing", 4, 40, 0),
        ("developing", 5, 6, 0),
        ("developing", 5, 7, 15),
        ("developing", 14, 18, 0),
        ("developing", 14, 19, 15),
        ("developing", 15, 18, 0),
        ("developing", 15, 19, 15),
        ("developing", 24, 29, 0),
        ("developing", 24, 30, 15),
        ("developing", 25, 25, 15),
    )
    for market, baseline, current, expected in grown:
        given = {"market": market, "baseline": baseline, "current": current}
        yield row("pci.cba", "functional_consultant_growth", "2021-05", given, {"points": expected})
    for market, certified, expected in (
        ("developed", 49, 0),
        ("developed", 50, 15),
        ("developing", 24, 0),
        ("developing", 25, 15),
    ):
        given = {"market": market, "certified_consultants_at_first_pci_competency": certified}
        yield row("pci.cba", "functional_consultant_growth", "2021-05", given, {"points": expected, "valid_months": 24})
    for baseline, current, expected in ((4, 100, 0), (20, 24, 0), (20, 26, None), (20, 27, 15), (None, 100, None)):
        given = {"baseline": baseline, "current": current}
        yield row("pci.cba", "functional_consultant_growth", "2021-05", given, {"points": expected})

    mau = (
        ("developed", "CE", 249, 1000, 0),
        ("developed", "CE", 250, 275, 10),
        ("developing", "CE", 149, 1000, 0),
        ("developing", "CE", 200, 250, 25),
        ("developed", "FO", 99, 1000, 0),
        ("developed", "FO", 100, 110, 10),
        ("developing", "FO", 49, 1000, 0),
        ("developing", "FO", 50, 55, 10),
        ("developed", "FO", 100, 90, 0),
        ("developed", "CE", 1000, 1250, 25),
        ("developed", "CE", 1000, 9000, 25),
        ("developed", "CE", 1000, 1125, 12.5),
    )
    for market, path, before, now, expected in mau:
        given = {"market": market, "path": path, "mau_12_months_ago": before, "mau_now": now}
        yield row("pci.cba", "mau_growth", "2021-05", given, {"points": expected})
    yield row(
        "pci.cba", "mau_growth", "2021-05", {"path": "FO", "mau_12_months_ago": 75, "mau_now": 90}, {"points": None}
    )
    yield row("pci.cba", "mau_growth", "2021-05", {"mau_12_months_ago": 40, "mau_now": 90}, {"points": 0})
    for before, now, expected in ((49, 100, 0), (50, 67.5, 25), (100, 107, 5), (100, 90, 0)):
        yield row(
            "pci.smcs_cba_smb",
            "mau_growth",
            "2021-01",
            {"mau_12_months_ago": before, "mau_now": now},
            {"points": expected},
        )

    for market, most in (("developed", 300000), ("developing", 150000)):
        for share in (0, 1, 2, 3, 4):
            given = {
                "market": market,
                "net_new_revenue_usd": most * share // 2,
                "threshold_usd": most,
                "max_points": 10,
            }
            yield row("pci.cba", "net_new_revenue", "2019-10..2021-05", given, {"points": min(10, 5 * share)})
    yield row(
        "pci.cba", "net_new_revenue", "2021-05", {"market": "developed", "net_new_revenue_usd": -5}, {"points": 0}
    )
    for market, path, at in (
        ("developed", "CE", 10),
        ("developing", "CE", 5),
        ("developed", "FO", 3),
        ("developing", "FO", 1),
    ):
        given = {"market": market, "path": path, "net_adds": at, "threshold": at, "max_points": 10}
        yield row("pci.cba", "net_customer_adds", "2021-05", given, {"points": 10})
        yield row("pci.cba", "net_customer_adds", "2021-05", {**given, "net_adds": -1}, {"points": 0})
    for metric, most, at in (("functional_consultants", 15, (15, 5)), ("developers", 5, (5, 2))):
        for market, threshold in zip(("developed", "developing"), at, strict=True):
            given = {"market": market, "certified_people": threshold, "threshold": threshold, "max_points": most}
            yield row("pci.cba", metric, "2021-05", given, {"points": most})
            yield row("pci.cba", metric, "2021-05", {**given, "certified_people": threshold + 9}, {"points": most})
    for metric, most, at, name in (
        ("functional_consultants", 30, 5, "certified_people"),
        ("developers", 5, 2, "certified_people"),
        ("net_customer_adds", 10, 10, "net_adds"),
        ("net_new_revenue", 10, 30000, "net_new_revenue_usd"),
    ):
        yield row("pci.smcs_cba_smb", metric, "2021-05", {name: at}, {"points": most})
        yield row("pci.smcs_cba_smb", metric, "2021-05", {name: 0}, {"points": 0})
    for market, path, mau_at, full in (
        ("developed", "CE", 250, 5),
        ("developing", "CE", 150, 1),
        ("developed", "FO", 100, 3),
        ("developing", "FO", 50, 1),
    ):
        tenants = [
            {"mau_12m_ago": mau_at - 1, "max_mau_next_11m": mau_at, "production_instances": full},
            {"mau_12m_ago": mau_at, "max_mau_next_11m": mau_at * 2, "production_instances": 7},
            {"mau_12m_ago": 0, "max_mau_next_11m": mau_at - 1, "production_instances": 7},
        ]
        given = {"market": market, "path": path, "tenants": tenants}
        yield row("pci.cba", "new_large_deployments", "2021-05", given, {"qualifying_instances": full, "points": 20})
    tenants = [{"mau_12m_ago": 4, "max_mau_next_11m": 5}] * 3
    yield row(
        "pci.smcs_cba_smb",
        "new_large_deployments",
        "2021-05",
        {"tenants": tenants},
        {"qualifying_instances": 3, "points": 6},
    )

    both = {"CPOR": "P1", "DPOR": "P2"}
    every = ("net_new_revenue", "net_customer_adds", "new_deployments", "mau_growth")
    for basis in ("OSA", "OSU", "pre-sales"):
        yield row(
            "pci", "attribution", "2019-10", {"subscription": both, "cpor_basis": basis}, dict.fromkeys(every, "P1")
        )
    yield row(
        "pci",
        "attribution",
        "2021-05",
        {"subscription": both, "cpor_basis": "OSA (revenue claim)"},
        dict(zip(every, ("P1", "P1", "P2", "P2"), strict=True)),
    )
    yield row(
        "pci",
        "attribution",
        "2021-05",
        {"subscription": both, "cpor_basis": "OSU (usage claim)"},
        dict(zip(every, ("P2", "P2", "P1", "P1"), strict=True)),
    )
    yield row(
        "pci",
        "attribution",
        "2021-05",
        {"subscription": both, "cpor_basis": "pre-sales claim"},
        dict.fromkeys(every, "P2"),
    )
    yield row("pci", "publication_date", "2021-05", {"data_month": "2021-12"}, {"published_on": "2022-01-20"})
    lost = [
        {"m": "2020-01", "customer_paid_seats": 5, "partners": ["A"]},
        {"m": "2020-06", "customer_paid_seats": 0, "partners": ["A"]},
        {"m": "2020-08", "customer_paid_seats": 5, "partners": ["B", "C"]},
    ]
    yield row("pci", "net_customer_adds", "2019-10", {"events": lost}, {"net": {"A": 0, "B": 0, "C": 1}})
    yield row("pci", "net_customer_adds", "2021-05", {"events": lost}, {"net": {"A": 0, "B": 1, "C": 1}})


# --- Designations ----------------------------------------------------------------------------------------------------


def designations() -> Iterator[Row]:
    mw = "pcs.modern_work"
    for track, adds, first, second in (("enterprise", 5, 4, 2), ("smb", 10, 2, 1)):
        for as_of in ("2022-04", "2023", "2026-06"):
            yield row(
                mw,
                "net_customer_adds",
                as_of,
                {"net_adds": adds, "threshold": adds, "max_points": 20},
                {"points": 20},
                track,
            )
            yield row(mw, "net_customer_adds", as_of, {"net_adds": 1}, {"points": 20 // adds}, track)
            yield row(mw, "net_customer_adds", as_of, {"net_adds": -1}, {"points": 0}, track)
            yield row(
                mw,
                "skilling_intermediate",
                as_of,
                {"certified_people": first, "threshold": first, "max_points": 10},
                {"points": 10},
                track,
            )
            yield row(
                mw,
                "skilling_advanced",
                as_of,
                {"certified_people": second, "threshold": second, "max_points": 15},
                {"points": 15},
                track,
            )
            yield row(mw, "skilling_advanced", as_of, {"certified_people": None}, {"points": None}, track)
    yield row(mw, "net_customer_adds", "2026-06", {"net_adds": 0}, {"points": 0})
    yield row(mw, "net_customer_adds", "2026-06", {"net_adds": 5}, {"points": None})
    for track, kind, usage, deployed in (
        ("enterprise", "CPOR", 1000, 5),
        ("enterprise", "DPOR", 4000, 10),
        ("smb", "CPOR", 500, 5),
        ("smb", "CSP", 2000, 10),
    ):
        for metric, at, most in (("usage_growth", usage, 30), ("deployments", deployed, 25)):
            given = {"max_points": most, "options": {kind: {"growth": at, "threshold": at}}}
            yield row(mw, metric, "2026-06", given, {"points": most, "raw_points": {kind: most}}, track)
            given = {"max_points": most, "options": {kind: {"growth": -at, "threshold": at}}}
            yield row(mw, metric, "2026-06", given, {"points": 0, "raw_points": {kind: -most}}, track)
    for track, units, before, eligible in (
        ("enterprise", 300, None, False),
        ("enterprise", 301, None, True),
        ("smb", 10, None, False),
        ("smb", 11, None, True),
        ("smb", 300, None, True),
        ("smb", 301, None, None),
        ("smb", 301, False, False),
        ("smb", 5000, True, True),
    ):
        given = {"max_paid_licenses_in_any_workload": units, "track": track, "was_smb_last_year": before}
        yield row(mw, "eligible_tenant", "2026-06", given, {"eligible": eligible}, track)
        if before is None:
            del given["was_smb_last_year"]
            yield row(mw, "eligible_tenant", "2026-06", given, {"eligible": eligible}, track)
    for mau, paid, eligible in ((39, 100, False), (40, 100, True), (2, 5, True), (399, 1000, False), (0, 10, False)):
        yield row(mw, "eligible_deployment", "2026-06", {"mau": mau, "paid_licenses": paid}, {"eligible": eligible})

    for acr, enterprise, smb in ((499.99, False, False), (500, False, True), (999, False, True), (1000, True, True)):
        given = {"acr_usd_best_of_last_two_months": acr}
        yield row("pcs.azure", "eligible_customer", "2026-06", given, {"eligible": enterprise}, "enterprise")
        yield row("pcs.azure", "eligible_customer", "2026-06", given, {"eligible": smb}, "smb")
        yield row("pcs.azure", "eligible_customer", "2024-06", given, {"eligible": enterprise}, "smb")
    yield row("pcs.azure", "eligible_customer", "2026-06", {"acr_usd_best_of_last_two_months": 700}, {"eligible": None})
    for now, net, expected in ((19, -1, 0), (21, 1, 10), (22, 2, 20), (23, 3, 30)):
        given = {"eligible_last_month": now, "eligible_same_month_last_year": 20}
        yield row("pcs.azure", "net_customer_adds", "2026-06", given, {"net_adds": net, "points": expected})
    for total, smb, track in ((10, 8, "smb"), (10, 7, "enterprise"), (5, 4, "smb"), (100, 79, "enterprise")):
        yield row(
            "pcs.azure",
            "qualification_track",
            "2026-06",
            {"customers_total": total, "customers_smb": smb},
            {"track": track},
        )
    yield row(
        "pcs.azure",
        "enrolment_track",
        "2026-06",
        {"monthly_tracks_in_window": ["enterprise"] * 6},
        {"enrolment_track": "enterprise"},
    )
    yield row(
        "pcs.azure", "enrolment_track", "2026-06", {"monthly_tracks_in_window": ["smb"] * 6}, {"enrolment_track": "smb"}
    )
    for before, now, percent, expected in (
        (999, 5000, None, 0),
        (1000, 1010, 1, 1),
        (1000, 1200, 20, 20),
        (1000, 1195, 19.5, 19.5),
        (10000, 10000, 0, 0),
    ):
        given = {"acr_same_month_last_year": before, "acr_last_month": now}
        yield row(
            "pcs.azure",
            "usage_growth",
            "2026-06",
            given,
            {"points": expected, **({"growth_pct": percent} if percent is not None else {})},
        )
    for services, expected in ((0, 0), (1, 2), (4, 8), (5, 10), (50, 10)):
        yield row(
            "pcs.azure",
            "deployments",
            "2026-06",
            {"distinct_services_with_acr_gt_0_excluding_vm": services},
            {"points": expected},
        )
    for area, step, most in (
        ("data_ai", "intermediate", 40),
        *((area, step, 20) for area in ("infrastructure", "digital_app") for step in ("intermediate", "advanced")),
    ):
        steps = 2 if area == "data_ai" else 1
        for people, electives in ((2, 0), (2, 1), (2, 3), (2, 99), (1, 3), (0, 3)):
            given = {"required_steps": [people] * steps, "elective_people": electives}
            enterprise = min(most, 4 * electives) if people >= 2 else 0
            smb = min(most, 4 * steps + 4 * electives) if people >= 1 else 0
            yield row(f"pcs.azure.{area}", step, "2026-06", given, {"points": enterprise}, "enterprise")
            yield row(f"pcs.azure.{area}", step, "2026-06", given, {"points": smb}, "smb")
    for steps, electives, enterprise, smb in (
        ([2, 2], 6, 40, 40),
        ([2, 2], 4, 80 / 3, 40),
        ([2, 1], 3, 0, 32),
        ([2, 0], 3, 0, 4),
        ([1, 1], 1, 0, 16),
        ([2, 2], None, None, None),
    ):
        given = {"required_steps": steps, "elective_people": electives}
        yield row("pcs.security", "intermediate", "2026-06", given, {"points": enterprise}, "enterprise")
        yield row("pcs.security", "intermediate", "2026-06", given, {"points": smb}, "smb")

    ba = "pcs.business_applications"
    for track, first, second, base in (("enterprise", 20, 7, 50000), ("smb", 5, 2, 25000)):
        yield row(
            ba,
            "intermediate_certifications",
            "2026-06",
            {"certified_people": first, "threshold": first, "max_points": 20},
            {"points": 20},
            track,
        )
        yield row(
            ba,
            "advanced_certifications",
            "2026-06",
            {"certified_people": second, "threshold": second, "max_points": 15},
            {"points": 15},
            track,
        )
        for before, now, expected in (
            (base - 1, base * 2, 0),
            (base, base * 13 // 10, 30),
            (base, base * 11 // 10, 10),
            (base, base, 0),
            (base, base * 9, 30),
        ):
            yield row(
                ba,
                "usage_growth",
                "2026-06",
                {"mcv_same_month_last_year": before, "mcv_last_month": now},
                {"points": expected},
                track,
            )
    for number, expected in ((-1, 0), (1, 3), (5, 15), (6, 15)):
        yield row(ba, "net_customer_adds", "2026-06", {"net_adds": number}, {"points": expected})
    for number, expected in ((0, 0), (1, 4), (5, 20), (9, 20)):
        yield row(ba, "deployments", "2026-06", {"net_new_deployments": number}, {"points": expected})
    rates = {
        "Business Central": 1000,
        "Contact Center": 200,
        "Core HR": 1000,
        "Customer Insights": 0.2,
        "Guides": 1000,
        "Portals": 100,
        "Power Apps": 200,
        "Power Automate": 200,
        "Power BI": 200,
        "Remote Assist": 1000,
        "Retail": 100,
        "Talent": 1000,
        "Customer Engagement": 200,
        "CE": 200,
        "F&O": 100,
        "Finance and Operations": 100,
    }
    for workload, rate in rates.items():
        yield row(
            ba,
            "monthly_consumption_value",
            "2026-06",
            {"workload": workload, "units": 10, "rate": rate},
            {"mcv": 10 * rate},
        )

    for track, adds in (("enterprise", 10), ("smb", 5)):
        yield row(
            "pcs.security", "net_customer_adds", "2026-06", {"azure_adds": adds, "m365_adds": 0}, {"points": 20}, track
        )
        yield row(
            "pcs.security",
            "net_customer_adds",
            "2026-06",
            {"azure_adds": 1, "m365_adds": 0},
            {"points": 20 // adds},
            track,
        )
        yield row(
            "pcs.security", "net_customer_adds", "2026-06", {"azure_adds": -3, "m365_adds": 1}, {"points": 0}, track
        )
    for track, users, usd in (("enterprise", 125, 1250), ("smb", 50, 750)):
        for m365, acr, expected in (
            (users, 0, 1),
            (0, usd, 1),
            (users * 10, usd * 10, 20),
            (users * 30, 0, 20),
            (-users, usd, 0),
            (-users, usd * 5, 4),
        ):
            yield row(
                "pcs.security",
                "usage_growth",
                "2026-06",
                {"m365_protected_user_growth": m365, "azure_security_acr_growth_usd": acr},
                {"points": expected},
                track,
            )
    for number, expected in ((0, 0), (3, 10), (6, 20), (7, 20)):
        yield row("pcs.security", "deployments", "2026-06", {"net_new_deployments": number}, {"points": expected})

    for adds, threshold, most in ((1, 3, 30), (2, 5, 20), (5, 5, 15), (4, 10, 20)):
        yield row(
            "pcs.generic",
            "net_customer_adds",
            "2026-03",
            {"net_adds": adds, "threshold": threshold, "max_points": most},
            {"points": adds * most / threshold},
        )
    for values, total, qualified in (
        ((20, 20, 10, 10, 10), 70, True),
        ((30, 30, 10, 10, 0), 80, False),
        ((20, 20, 10, 10, 9.99), 69.99, False),
        ((30, 39.5, 0.5, None, 0), None, False),
        ((20, 20, 20, 9, None), None, None),
    ):
        given = {
            "metric_points": dict(
                zip(
                    ("net_customer_adds", "intermediate", "advanced", "usage_growth", "deployments"),
                    values,
                    strict=True,
                )
            )
        }
        yield row("pcs.generic", "qualification", "2026-03", given, {"total": total, "qualified": qualified})
    for today, start in (("2024-01-31", "2023-08-01"), ("2024-02-29", "2023-09-01"), ("2024-12-01", "2024-07-01")):
        yield row(
            "pcs.generic",
            "qualification_window",
            "2024-08",
            {"enrolled": False, "today": today},
            {"window_start": start, "window_end": today},
        )


# --- Incentives ------------------------------------------------------------------------------------------------------


def incentives() -> Iterator[Row]:
    eligible = (
        ("incentive.osu", "OSA form only", "2015-12", True),
        ("incentive.osu", "OSA form only", "2016-01", False),
        ("incentive.osu", "DPOR", "2016-01", True),
        ("incentive.osa_sell", "DPOR only", "2019-02", True),
        ("incentive.osa_sell", "DPOR only", "2019-03", False),
        ("incentive.osa_sell", "CPOR", "2019-03", True),
        ("incentive.azure", "DPOR", "2021-09", True),
        ("incentive.azure", "DPOR", "2021-10", False),
        ("incentive.azure", "PAL", "2021-10", True),
        ("incentive.azure", "CSP", "2022-01", True),
        ("incentive.osu_m365", "CPOR", "2020-01", True),
        ("incentive.osu_m365", "DPOR", "2020-01", False),
    )
    for program, association, month, expected in eligible:
        yield row(program, "eligibility", month, {"association": association, "month": month}, {"eligible": expected})
    for pau, expected in ((149, False), (150, True), (None, None)):
        yield row("incentive.osu_m365", "eligibility", "FY20-FY22", {"pau": pau}, {"eligible": expected})
    for mau, pau, mark, expected, code in (
        (401, 500, 400, True, None),
        (400, 500, 400, False, "MAULWPHWM"),
        (400, 400, 400, False, "PAULWPHWM"),
        (401, None, 400, None, None),
    ):
        yield row(
            "incentive.mci_modern_work_usage",
            "ineligibility",
            "2023-09",
            {"mau": mau, "pau": pau, "prior_hwm": mark},
            {"eligible": expected, "reason_code": code},
        )
    yield row(
        "incentive.mci_modern_work_usage",
        "ineligibility",
        "2023-09",
        {"mau": 401, "prior_hwm": 400},
        {"eligible": True},
    )
    for customer, partner, expected, code in (("T1", "T1", False, "CUSEQPTR"), ("T1", "T2", True, None)):
        yield row(
            "incentive.any",
            "ineligibility",
            "2016",
            {"customer_tenant": customer, "partner_tenant": partner},
            {"eligible": expected, "reason_code": code},
        )
    for seats, amount in (
        (0, 0),
        (149, 0),
        (150, 2250),
        (999, 14985),
        (1000, 15000),
        (1001, 15005),
        (9999, 59995),
        (10000, 60000),
        (10001, 60000),
        (None, None),
    ):
        yield row("incentive.fasttrack_fund", "tiered_amount", "FY15", {"seats": seats}, {"amount_usd": amount})
    yield row(
        "incentive.fasttrack_fund", "active_usage_gate", "FY15", {"seats": 1000, "gate": 0.15}, {"required_active": 150}
    )
    yield row(
        "incentive.fasttrack_fund", "active_usage_gate", "FY16", {"seats": 300, "gate": 0.30}, {"required_active": 90}
    )
    given = {"pau": 100, "prior_hwm": 400, "rate_usd": 2.5, "max_earning_usd": 1000}
    yield row(
        "incentive.mci_modern_work_usage",
        "compensable_units",
        "2022-2024",
        given,
        {"opportunity_units": 0, "potential_earnings_usd": 0, "max_compensable_units": 400, "capped_earning_usd": 0},
    )
    given = {"pau": 600, "prior_hwm": 400, "rate_usd": None, "max_earning_usd": 1000}
    yield row(
        "incentive.mci_modern_work_usage",
        "compensable_units",
        "2022-2024",
        given,
        {"opportunity_units": 200, "potential_earnings_usd": None, "capped_earning_usd": None},
    )
    for unpaid, end, issued in (
        (200, False, False),
        (200.01, False, True),
        (0.01, True, True),
        (199.99, False, False),
        (5000, False, True),
    ):
        yield row(
            "incentive.osa_osu",
            "minimum_payment",
            "FY14-FY16",
            {"cumulative_unpaid_usd": unpaid, "program_year_end": end},
            {"statement_issued": issued, "held": not issued},
        )
    yield row(
        "incentive.osa_osu",
        "payment_timeline",
        "FY14-FY16",
        {"cycle_end": "2016-03-25", "kind": "direct"},
        {"bank_deposit_by": "2016-04-30"},
    )
    for month, cutoff, claim in (
        ("2020-01", "2020-01-10", "2020-01-05"),
        ("2020-02", "2020-02-14", "2020-02-09"),
        ("2019-11", "2019-11-08", "2019-11-03"),
    ):
        yield row(
            "incentive.osa_sell",
            "claim_cutoff",
            "FY20",
            {"month": month},
            {"monthly_cutoff": cutoff, "claim_by": claim},
        )
    for month, day in (("2016-01", "2015-12-24"), ("2017-03", "2017-02-24")):
        yield row("incentive.osa_sell", "snapshot", "2016", {"payment_month": month}, {"snapshot_date": day})
    for product, rates in (
        ("office365", (0.08, 0.03, 0.04)),
        ("CRM EA", (0.26, 0.04, 0)),
        ("crm_mosa", (0.12, 0.03, 0.03)),
    ):
        given = {"product": product, "seats": 100, "annual_value_per_seat_usd": 120, "accelerator": True}
        amounts = {
            "sell_usd": 12000 * rates[0],
            "manage_usd_per_month": 1000 * rates[1],
            "accelerator_usd": 12000 * rates[2],
        }
        yield row("incentive.osa_sell", "fee", "FY16", given, amounts)
    given = {"seats": 10, "annual_value_per_seat_usd": 144, "accelerator": False}
    yield row("incentive.osa_sell", "fee", "FY16", given, {"accelerator_usd": 0})
    yield row("incentive.osa_sell", "fee", "FY18", given, {"sell_usd": None})
    for value, users, amount in ((4, 0, 0), (2.5, 1000, 250), (None, 10, None)):
        yield row(
            "incentive.osu",
            "usage_fee",
            "FY16",
            {"rate_card_value_usd": value, "active_users": users, "lever": 0.1},
            {"fee_usd": amount},
        )
    for last, active in (("2016-03-01", True), ("2016-02-29", False), ("2016-03-28", True)):
        yield row(
            "incentive.osu",
            "active_entitlement",
            "2016",
            {"snapshot": "2016-03-28", "last_intentional_action": last},
            {"active": active},
        )
    yield row(
        "incentive.osu",
        "active_usage_aadp",
        "2016",
        {"users_third_party_app": 5, "users_sspr": 4, "users_mfa": 9},
        {"active_users": 9},
    )
    yield row(
        "incentive.azure",
        "payment_timeline",
        "2023-10",
        {"consumption_month": "2023-12"},
        {"computed_in": "2024-01", "paid_in": "2024-02"},
    )
    yield row(
        "incentive.mci_modern_work_usage",
        "payment_timeline",
        "2023",
        {"usage_month": "2023-12"},
        {"earnings_available_by": "2024-01-16"},
    )
    yield row(
        "incentive.mci_bizapps_presales",
        "payment_timeline",
        "2023",
        {"usage_month": "2023-12"},
        {"earnings_available_by": "2024-01-20"},
    )
    yield row(
        "incentive.any",
        "earning_start",
        "2021",
        {"all_requirements_met_in": "2020-12"},
        {"earning_start": "2020-12-01"},
    )
    yield row(
        "incentive.any",
        "earning_start",
        "2021",
        {"all_requirements_met_in": "2020-12-17"},
        {"earning_start": "2020-12-01"},
    )
    yield row(
        "payout.marketplace",
        "recoupment",
        "2021-05",
        {"write_off": "2020-12-31"},
        {"negative_transaction_on": "2021-01-01", "future_payouts_withheld_from": "2021-01-15"},
    )
    yield row(
        "cpor",
        "consent",
        "2020-10",
        {"approved_on": "2020-11-06"},
        {"customer_opt_out_business_days": 5, "sent_to_incentive_evaluation_on_or_after": "2020-11-14"},
    )
    yield row(
        "cpor",
        "consent",
        "2021",
        {"approved_on": "2021-12-28"},
        {"customer_opt_out_days": 7, "sent_to_incentive_evaluation_on_or_after": "2022-01-04"},
    )
    yield row(
        "cpor",
        "review_sla",
        "2023-12",
        {"states": []},
        {"review_business_days": 14, "partner_response_business_days": 14},
    )
    yield row(
        "por",
        "retroactivity",
        "2016",
        {"dpor_set_on": "2016-06-15", "subscription_sold_on": "2015-06-15", "program": "cloud competency"},
        {"counts_in_ttm": False},
    )
    yield row(
        "por",
        "retroactivity",
        "2016",
        {"dpor_set_on": "2016-06-15", "azure_consumption_months": ["2015-07..2016-05"], "program": "cloud platform"},
        {"counts_in_ttm": True},
    )


ROWS = list(rows())


@pytest.mark.parametrize("given", ROWS, ids=lambda given: f"{given[0]}-{given[1]}-{given[2]}-{given[5]}")
def test_rules_have_the_figures_of_the_tables(given: Row) -> None:
    program, metric, as_of, inputs, expected, track = given
    inputs, expected = json.loads(json.dumps([inputs, expected]), parse_float=Fraction)
    example = {"id": "", "program": program, "metric": metric, "inputs": inputs, "expected": expected, "as_of": as_of}
    if track:
        example["track"] = track
    if any(isinstance(value, Fraction) for value in expected.values()):
        example["tolerance"] = Fraction(1, 10**9)
    assert differences(Case.of(example)) == [], inputs


def test_every_programme_and_metric_of_the_adapter_has_rows_or_given_cases() -> None:
    tried = {(program, metric) for program, metric, *_rest in ROWS}
    beside = {metric for metric in HANDLERS if metric not in tried}
    # The areas of Azure share these three metrics, and the programmes of incentives their gates.
    shared = {(program, metric) for program, metric in beside if program.startswith(("pcs.azure.", "incentive."))}
    assert (
        beside - shared
        == {
            ("incentive.osa_osu", "cycle_day"),
            ("pcs.business_applications", "eligible_customer"),
            ("por", "uniqueness"),
        }
        - shared
    )


def test_areas_of_azure_differ_in_skilling_only() -> None:
    areas = [programs()[f"pcs.azure.{area}"] for area in ("data_ai", "infrastructure", "digital_app")]
    for number in range(2):
        versions = [area.versions[number] for area in areas]
        shared = [
            {
                name: one
                for name, one in version.metrics.items()
                if name in ("net_customer_adds", "usage_growth", "deployments")
            }
            for version in versions
        ]
        kept = [_without_keys(repr((one, version.tests))) for one, version in zip(shared, versions, strict=True)]
        assert kept[0] == kept[1] == kept[2]


def _without_keys(text: str) -> str:
    return re.sub(r"key='[^']*'", "", text)
