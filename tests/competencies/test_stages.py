"""The stages of a competency from files: before, on and after the anniversary, also where that was extended in 2020."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from competencies.programs import programs
from competencies.queries import attained_in
from por.directory.models import Partner
from por.programs.lifecycle import Stage
from tests import estates
from tests.competencies.test_forecast import AZURE, FOUR, azure, holding, months, sold
from tests.estates import PARTNER

SMCS = "competency.smcs"


def load(directory: Path, *begun: str, holdings: list[dict[str, str]]) -> None:
    """Load a partner with a new customer from each of these days on. Silver needs four in twelve months.

    Someone at another partner has an exam, so that it is known that nobody has one here.
    """
    partners = [estates.partner(market="developed"), estates.partner(estates.RIVAL)]
    exam = {"person": "P", "mpn_id": estates.RIVAL, "credential": "exam:70-347"}
    exam |= {"valid_from": "2016-01-01", "valid_to": ""}
    files = estates.write(
        directory,
        credentials=[exam],
        partners=partners,
        **({"holdings": holdings} if holdings else {}),
        **sold(*begun, seats="40"),
    )
    assert not estates.load(files).errors


def stage(day: date | str, program: str = SMCS) -> Stage:
    day = date.fromisoformat(day) if isinstance(day, str) else day
    return attained_in(Partner.objects.get(mpn_id=PARTNER).organisation, program, day).stage


def around(anniversary: str, program: str = SMCS) -> list[tuple[str | None, date | None]]:
    """Return the stages of the day before the anniversary, of the anniversary itself, and of the day after."""
    middle = date.fromisoformat(anniversary)
    found = [stage(middle + timedelta(days=number), program) for number in (-1, 0, 1)]
    return [(one.name, one.valid_until) for one in found]


ELSEWHERE = holding() | {"mpn_id": estates.RIVAL}


@pytest.mark.parametrize(("begun", "name"), [((), "none"), (FOUR[:1], "started"), (FOUR, "qualified")])
def test_without_a_fee_the_stage_is_what_is_measured(tmp_path, begun, name):
    load(tmp_path, "2015-01-01", *begun, holdings=[ELSEWHERE])  # the first customer is no longer new
    assert (stage("2018-01-31").name, stage("2018-01-31").valid_until) == (name, None)


def test_fee_that_is_not_paid_yet_makes_nothing_active(tmp_path):
    load(tmp_path, *FOUR, holdings=[holding(fee_paid_on="2018-02-01", anniversary_on="2019-02-01")])
    assert [stage(day).name for day in ("2018-01-31", "2018-02-01")] == ["qualified", "active"]


def test_level_without_a_day_of_the_fee_is_not_paid(tmp_path):
    load(tmp_path, *FOUR, holdings=[holding(fee_paid_on="")])
    assert stage("2018-01-31").name == "qualified"


def test_without_any_holdings_the_stage_of_a_company_that_meets_all_is_not_known(tmp_path):
    load(tmp_path, *FOUR, holdings=[])
    assert stage("2018-01-31").name is None


def test_paid_level_lasts_until_the_anniversary_and_is_lost_after_it_if_not_met(tmp_path):
    load(tmp_path, "2017-02-01", holdings=[holding(fee_paid_on="2017-06-30", anniversary_on="2018-06-30")])
    day = date(2018, 6, 30)
    assert around("2018-06-30") == [("active", day), ("active", day), ("lost", day)]


def test_paid_level_that_is_met_again_is_qualified_after_the_anniversary(tmp_path):
    load(tmp_path, *FOUR, holdings=[holding(fee_paid_on="2017-06-30", anniversary_on="2018-06-30")])
    day = date(2018, 6, 30)
    assert around("2018-06-30") == [("active", day), ("active", day), ("qualified", None)]


def test_paid_level_is_undetermined_after_the_anniversary_if_nobody_knows_whether_it_is_met(tmp_path):
    """Nobody reported what was consumed after June."""
    azure(
        tmp_path,
        months(2016, 1, 6, "2500"),
        holdings=[holding(AZURE, anniversary_on="2017-03-31", fee_paid_on="2016-03-31")],
    )
    last = date(2017, 3, 31)
    assert around("2017-03-31", program=AZURE) == [("active", last), ("active", last), (None, last)]


def test_next_year_that_is_paid_goes_on_where_the_first_ends(tmp_path):
    years = [
        holding(fee_paid_on="2016-06-30", anniversary_on="2017-06-30"),
        holding(fee_paid_on="2017-07-01", anniversary_on="2018-06-30"),
    ]
    load(tmp_path, "2015-01-01", holdings=years)
    first, second = date(2017, 6, 30), date(2018, 6, 30)
    assert around("2017-06-30") == [("active", first), ("active", first), ("active", second)]
    assert around("2018-06-30")[-1] == ("lost", second)


# --- The extensions of 2020 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("anniversary", "lasts"),
    [
        ("2020-01-01", "2021-01-01"),
        ("2020-02-29", "2021-02-28"),
        ("2020-03-31", "2021-03-31"),
        ("2020-06-29", "2021-06-29"),
        ("2020-06-30", "2021-06-30"),
        ("2020-07-01", "2020-07-01"),
        ("2020-07-02", "2020-07-02"),
        ("2021-03-31", "2021-03-31"),
    ],
)
def test_anniversary_of_the_first_half_of_2020_is_that_of_2021(tmp_path, anniversary, lasts):
    paid = (date.fromisoformat(anniversary) - timedelta(days=365)).isoformat()
    load(tmp_path, "2015-01-01", holdings=[holding(fee_paid_on=paid, anniversary_on=anniversary)])
    last = date.fromisoformat(lasts)
    assert around(lasts) == [("active", last), ("active", last), ("lost", last)]
    if anniversary != lasts:
        assert around(anniversary)[1:] == [("active", last)] * 2


def test_by_the_rules_of_2019_an_anniversary_of_2020_is_not_extended_yet(tmp_path):
    load(tmp_path, "2015-01-01", holdings=[holding(fee_paid_on="2019-03-31", anniversary_on="2020-03-31")])
    found = [stage(day).valid_until for day in ("2019-12-31", "2020-01-01")]
    assert found == [date(2020, 3, 31), date(2021, 3, 31)]


def test_anniversary_of_2019_is_not_extended(tmp_path):
    load(tmp_path, "2015-01-01", holdings=[holding(fee_paid_on="2019-01-01", anniversary_on="2019-12-31")])
    assert around("2019-12-31")[1:] == [("active", date(2019, 12, 31)), ("lost", date(2019, 12, 31))]


def test_rules_have_one_extension_from_2020_on():
    found = {one.id: one.lifecycle.extensions for one in programs()["competency"].versions}
    assert found["competency-2014"] == ()
    assert [(one.begins, one.ends, one.years) for one in found["competency-2020"]] == [
        (date(2020, 1, 1), date(2020, 6, 30), 1)
    ]


def test_extension_is_of_competencies_only(tmp_path):
    """A designation is held until the day in its row."""
    held = holding(program="pcs.modern_work", level="qualified", fee_paid_on="2022-11-01", anniversary_on="2023-03-31")
    load(tmp_path, "2015-01-01", holdings=[held])
    day = date(2023, 3, 31)
    found = around("2023-03-31", "pcs.modern_work")
    assert found[:2] == [("active", day)] * 2
    assert found[2][1] == day
