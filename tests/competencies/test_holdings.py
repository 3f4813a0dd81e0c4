"""Holdings: what files say of the levels that companies hold in programmes."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from competencies.models import Holding
from por.directory.models import Partner
from por.history.models import Event
from tests import estates
from tests.estates import GLOBAL, PARTNER, RIVAL, UNKNOWN, holding


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    partners = [
        estates.partner(GLOBAL, kind="global"),
        estates.partner(parent_mpn_id=GLOBAL),
        estates.partner(RIVAL),
    ]
    assert estates.load(estates.write(tmp_path, partners=partners)).failure == ""
    return tmp_path


def stored() -> list[tuple[str, ...]]:
    found = Holding.objects.order_by("partner__mpn_id", "program", "anniversary_on")
    rows = found.values_list("partner__mpn_id", "program", "level", "anniversary_on", "fee_paid_on")
    return [tuple(str(one or "") for one in row) for row in rows]


def day(ahead: int) -> str:
    return (timezone.now().date() + timedelta(days=ahead)).isoformat()


def test_file_gives_holdings_of_locations_and_global_accounts_and_the_same_file_changes_nothing(estate):
    rows = [
        holding(),
        holding(anniversary_on="2026-06-30", fee_paid_on=""),
        holding(GLOBAL, program="pcs.azure.data_ai", level="qualified"),
    ]
    assert "3 created, 0 changed, 0 unchanged, 0 failed" in estates.load_one(estate, "holdings", *rows).out
    assert stored() == [
        (GLOBAL, "pcs.azure.data_ai", "qualified", "2025-06-30", "2024-07-01"),
        (PARTNER, "competency.smcs", "silver", "2025-06-30", "2024-07-01"),
        (PARTNER, "competency.smcs", "silver", "2026-06-30", ""),
    ]
    loaded = Event.objects.filter(verb="estate.loaded", object_id="holdings.csv")
    assert sorted(event.changes["created"] for event in loaded) == [1, 2]
    assert "Nothing has changed" in estates.load_one(estate, "holdings", *rows).out


def test_later_file_corrects_level_and_fee_of_the_same_anniversary(estate):
    estates.load_one(estate, "holdings", holding(), holding(RIVAL))
    loaded = estates.load_one(estate, "holdings", holding(level="gold", fee_paid_on=""), holding(RIVAL))
    assert "0 created, 1 changed, 1 unchanged, 0 failed" in loaded.out
    assert [row[2:] for row in stored()] == [("gold", "2025-06-30", ""), ("silver", "2025-06-30", "2024-07-01")]


@pytest.mark.parametrize("written", ["Silver", "SILVER", "silver competency"])
def test_level_is_read_as_other_programs_write_it(estate, written):
    assert estates.load_one(estate, "holdings", holding(level=written)).failure == ""
    assert [row[2] for row in stored()] == ["silver"]


@pytest.mark.parametrize(
    ("cells", "column", "code"),
    [
        ({"mpn_id": "4999999"}, "mpn_id", "unknown_partner"),
        ({"mpn_id": UNKNOWN}, "mpn_id", "mpn_id_malformed"),
        ({"program": "smcs"}, "program", "program_malformed"),
        ({"program": "competency..smcs"}, "program", "program_malformed"),
        ({"program": "competency.smcs."}, "program", "program_malformed"),
        ({"program": "Competency.SMCS"}, "program", "program_malformed"),
        ({"program": "competency." + "s" * 50}, "program", "program_malformed"),
        ({"level": "platinum"}, "level", "unknown_value"),
        ({"level": "attained"}, "level", "unknown_value"),
        ({"anniversary_on": ""}, "anniversary_on", "missing_value"),
        ({"anniversary_on": day(900)}, "anniversary_on", "anniversary_far_ahead"),
        ({"anniversary_on": "1989-12-31", "fee_paid_on": ""}, "anniversary_on", "day_too_early"),
        ({"fee_paid_on": "1900-01-01"}, "fee_paid_on", "day_too_early"),
        ({"fee_paid_on": day(2), "anniversary_on": day(300)}, "fee_paid_on", "day_in_future"),
        ({"fee_paid_on": "2025-07-01"}, "fee_paid_on", "fee_after_anniversary"),
    ],
)
def test_row_that_cannot_be_is_refused_alone(estate, cells, column, code):
    loaded = estates.load_one(estate, "holdings", holding(**cells), holding(RIVAL))
    assert loaded.codes == [("2", column, code)]
    assert [row[0] for row in stored()] == [RIVAL]


def test_fee_may_be_paid_on_the_anniversary_itself(estate):
    assert estates.load_one(estate, "holdings", holding(fee_paid_on="2025-06-30")).failure == ""


def test_database_keeps_one_holding_until_an_anniversary_and_none_that_was_paid_after_it(estate):
    partner = Partner.objects.get(mpn_id=PARTNER)
    given = {"partner": partner, "program": "competency.smcs", "level": "gold", "anniversary_on": date(2025, 6, 30)}
    Holding.objects.create(**given)
    with pytest.raises(IntegrityError, match="one_holding_until_an_anniversary"), transaction.atomic():
        Holding.objects.create(**given)
    with pytest.raises(IntegrityError, match="a_fee_is_paid_before_the_anniversary"), transaction.atomic():
        Holding.objects.create(**given | {"program": "competency.x", "fee_paid_on": date(2025, 7, 1)})
