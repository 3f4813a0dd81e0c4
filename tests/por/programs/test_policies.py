"""Dated policies: how a file is read, and when a term ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from por.programs.policies import DatedPolicies, Term, business_day_after

STOCKHOLM = ZoneInfo("Europe/Stockholm")
NEW_YORK = ZoneInfo("America/New_York")


class Program(Enum):
    SELL = "sell"
    USAGE = "usage"


@dataclass(frozen=True)
class Policy:
    takes: tuple[Program, ...]
    most: int
    open: bool
    word: str
    deadline: date | None
    answer_within: Term | None
    share: Decimal
    reminders: tuple[int, ...]
    holidays: tuple[date, ...]


FILE = """
- valid_from: 2010-01-01
  takes: []
  most: 1
  open: false
  word: first
  deadline: null
  answer_within: null
  share: "0.02"
  reminders: [60, 30]
  holidays: [2020-12-24]
- valid_from: 2019-10-01
  takes: [sell, usage]
  answer_within: 5 business days
- valid_from: 2021-05-01
  open: true
  answer_within: 7 days
  deadline: 2021-06-30
"""


def read(folder: Path, text: str) -> DatedPolicies[Policy]:
    file = folder / "policies.yaml"
    file.write_text(text, encoding="utf-8")
    return DatedPolicies(file, Policy)


def test_each_policy_is_in_force_from_its_day_and_keeps_what_it_does_not_say(tmp_path):
    policies = read(tmp_path, FILE)

    first = Policy((), 1, False, "first", None, None, Decimal("0.02"), (60, 30), holidays=(date(2020, 12, 24),))
    assert policies.on(date(2010, 1, 1)) == policies.on(date(2019, 9, 30)) == first
    second = policies.on(date(2019, 10, 1))
    assert (second.takes, second.answer_within) == ((Program.SELL, Program.USAGE), Term(5, business=True))
    assert (second.most, second.share, second.deadline) == (1, Decimal("0.02"), None)
    third = policies.on(date(2030, 1, 1))
    assert (third.takes, third.answer_within) == (second.takes, Term(7))
    assert (third.open, third.deadline) == (True, date(2021, 6, 30))
    assert list(policies.by_start) == [date(2010, 1, 1), date(2019, 10, 1), date(2021, 5, 1)]


def test_before_the_first_policy_that_one_is_in_force(tmp_path):
    assert read(tmp_path, FILE).on(date(1999, 1, 1)).word == "first"


WRONG = {
    "an unknown key": ("  most: 1", "  least: 1", "entry 1: least is no figure of a policy"),
    "no first date": ("- valid_from: 2010-01-01\n ", "-", "entry 1: valid_from is missing"),
    "no later date": ("- valid_from: 2021-05-01\n ", "-", "entry 3: valid_from is missing"),
    "the same day twice": ("2021-05-01", "2019-10-01", "entry 3: valid_from is no day after that of the entry before"),
    "an earlier day": ("2021-05-01", "2011-10-01", "entry 3: valid_from is no day after that of the entry before"),
    "a day that is an instant": ("2021-05-01", "2021-05-01 10:00:00", r"entry 3: valid_from: datetime.* is no date"),
    "a day that is text": ("2021-05-01", '"2021-05-01"', "entry 3: valid_from: '2021-05-01' is no date"),
    "a figure that is missing": ("  most: 1\n", "", "entry 1: most is missing"),
    "a bool for a number": ("  most: 1", "  most: true", "entry 1: most: True is no int"),
    "a number for a bool": ("  open: true", "  open: 1", "entry 3: open: 1 is no bool"),
    "null for a number": ("  most: 1", "  most: null", "entry 1: most: None is no int"),
    "text for a list": ("[60, 30]", "60", "entry 1: reminders: 60 is no list"),
    "text in a list of numbers": ("[60, 30]", "[60, x]", "entry 1: reminders: 'x' is no int"),
    "an unknown word": ("[sell, usage]", "[sell, buy]", "entry 2: takes: 'buy' is not a valid Program"),
    "a term without a unit": ("7 days", "7", "entry 3: answer_within: 7 is no str"),
    "a term with another unit": ("7 days", "7 weeks", "entry 3: answer_within: '7 weeks' is no term such as"),
    "a term of no days": ("7 days", "0 days", "entry 3: answer_within: '0 days' is no term such as"),
    "a share that is not exact": ('"0.02"', "0.02", "entry 1: share: 0.02 is no str"),
    "a share that is no figure": ('"0.02"', '"2 %"', "entry 1: share: '2 %' is no decimal figure"),
    "a share without end": ('"0.02"', '"Infinity"', "entry 1: share: 'Infinity' is no decimal figure"),
}


@pytest.mark.parametrize(("old", "new", "message"), WRONG.values(), ids=WRONG)
def test_wrong_file_is_refused_with_its_name_entry_and_key(tmp_path, old, new, message):
    assert old in FILE
    with pytest.raises(ValueError, match=f"policies.yaml: {message}"):
        read(tmp_path, FILE.replace(old, new, 1))


def test_seven_days_are_seven_times_24_hours_from_the_instant():
    begins = datetime(2021, 6, 1, 14, 30, 5, tzinfo=UTC)
    assert Term(7).end(begins, STOCKHOLM) == datetime(2021, 6, 8, 14, 30, 5, tzinfo=UTC)
    before_the_clocks_change = datetime(2021, 10, 30, 12, tzinfo=UTC)
    assert Term(7).end(before_the_clocks_change, STOCKHOLM) == before_the_clocks_change + timedelta(hours=7 * 24)


@pytest.mark.parametrize(
    ("begins", "zone", "ends"),
    [  # five business days from Friday 2020-11-27
        ("2020-11-27T10:00", STOCKHOLM, "2020-12-04T23:00"),
        ("2020-11-27T10:00", NEW_YORK, "2020-12-05T05:00"),
        ("2020-11-27T23:30", STOCKHOLM, "2020-12-04T23:00"),  # Saturday there
        ("2020-11-29T23:30", STOCKHOLM, "2020-12-07T23:00"),  # Monday there, still Sunday in New York
        ("2020-11-29T23:30", NEW_YORK, "2020-12-05T05:00"),
        ("2020-12-18T10:00", STOCKHOLM, "2020-12-28T23:00"),  # over a holiday
    ],
)
def test_business_days_end_with_the_last_day_in_the_zone(begins, zone, ends):
    term = Term(5, business=True)
    end = term.end(datetime.fromisoformat(f"{begins}+00:00"), zone, holidays=(date(2020, 12, 24),))
    assert end == datetime.fromisoformat(f"{ends}+00:00")
    assert end.tzinfo == UTC


def test_business_days_are_monday_to_friday_without_holidays():
    friday = date(2020, 12, 18)
    assert business_day_after(friday, 0) == friday
    assert business_day_after(friday, 1) == date(2020, 12, 21)
    assert business_day_after(friday, 5, (date(2020, 12, 24), date(2020, 12, 25))) == date(2020, 12, 29)
