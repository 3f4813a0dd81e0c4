"""How numbers, days and words of other programs are read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import pytest

from por.imports import values
from por.imports.formats import Formats, Unreadable, Unsettled

DAY = date(2025, 2, 1)


def formats(*cells: str) -> Formats:
    """Return the formats of a file with these cells."""
    return Formats(lambda: cells, lambda: cells)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1250", "1250"),
        ("25.0", "25.0"),
        ("12,0", "12.0"),
        ("-812.337912", "-812.337912"),
        ("\u22125", "-5"),
        ("0.125", "0.125"),
        ("1234,567", "1234.567"),
        ("1.250,5", "1250.5"),
        ("1,250.5", "1250.5"),
        ("1,250,000", "1250000"),
        ("1 250", "1250"),
        ("1\u00a0250\u00a0000,5", "1250000.5"),
        ("1'250.5", "1250.5"),
        ("4.1E-05", "0.000041"),
        ("-4,1e-5", "-0.000041"),
        ("9.99E+02", "999"),
    ],
)
def test_number_that_can_be_read_in_one_way_is_read(text: str, number: str) -> None:
    assert formats().number(text) == Decimal(number)


#: 1.23E+05 is what a spreadsheet leaves of 123456.
NO_NUMBERS = ["", "x", "1,2,3", "12.34.5", "1,25,000", "1.23E+05", "5.66891E+17", "1E2", "1 25", "--1", "1.", "\u0663"]


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_number_is_not_read(text: str) -> None:
    with pytest.raises(Unreadable):
        formats("250.0").number(text)


@pytest.mark.parametrize(
    ("cells", "text", "number"),
    [
        (["250.0"], "1,250", "1250"),
        (["250.0"], "1.250", "1.250"),
        (["12,0", "7"], "1,250", "1.250"),
        (["1.250.000"], "1,250", "1.250"),
        (["1.250,5", "what"], "1.250", "1250"),
        ([], "1,250", None),
        (["1,250", "2.250", "7"], "1,250", None),
        (["250.0", "12,0"], "1,250", None),
    ],
)
def test_thousands_are_told_from_decimals_by_the_other_numbers_of_the_file(
    cells: Sequence[str], text: str, number: str | None
) -> None:
    if number is None:
        with pytest.raises(Unsettled):
            formats(*cells).number(text)
    else:
        assert formats(*cells).number(text) == Decimal(number)


@pytest.mark.parametrize(
    "text",
    [
        "2025-02-01",
        "2025-2-1",
        "2025/02/01",
        "2025-02-01T00:00:00Z",
        "2025-02-01 23:59:59.9970000",
        "2025-02-01T00:00+02:00",
    ],
)
def test_day_with_the_year_first_is_read_whatever_time_follows(text: str) -> None:
    assert formats().day(text) == DAY


@pytest.mark.parametrize(
    "text",
    [
        *("0001-01-01", "1/1/0001 12:00:00 AM", "01.01.0001 00:00:00", "9999-12-31", "9999-12-31T23:59:59.9970000"),
        *("12/31/9999 11:59:59 PM", "31.12.9999 23:59:59", "Never Expires", "1/0/1900"),
    ],
)
def test_first_and_last_day_of_a_calendar_mean_none(text: str) -> None:
    assert formats().day(text) is None


@pytest.mark.parametrize(
    ("cells", "text", "day"),
    [
        (["1/2/2025"], "2/2/2025", date(2025, 2, 2)),
        ([], "13/2/2025", date(2025, 2, 13)),
        (["25/12/2024"], "1/2/2025", DAY),
        (["31.12.2024 00:00:00", "2024-12-25"], "01.02.2025 00:00:00", DAY),
        (["12/14/9999"], "2/1/2025 12:00:00 AM", DAY),
        (["3/4/2025"], "1/2/2025", None),
        (["25/12/2024", "12/25/2024"], "1/2/2025", None),
        (["31/02/2024"], "1/2/2025", None),
    ],
)
def test_day_and_month_are_told_apart_by_the_other_days_of_the_file(
    cells: Sequence[str], text: str, day: date | None
) -> None:
    if day is None:
        with pytest.raises(Unsettled):
            formats(*cells).day(text)
    else:
        assert formats(*cells).day(text) == day


@pytest.mark.parametrize(
    "text",
    [
        *("1-Feb-2025", "01 February 2025", "1. februari 2025", "1 Febr. 2025 00:00:00", "Feb 1, 2025"),
        *("Saturday, February 1, 2025 12:00:00 AM", "lördag 1 februari 2025", "1st Feb 2025"),
    ],
)
def test_day_with_the_name_of_its_month_is_read(text: str) -> None:
    assert formats().day(text) == DAY


@pytest.mark.parametrize("text", ["1 Ma 2025", "1 Foo 2025", "Ju 1, 2025", "30 Feb 2025", "1 Ma. 2025", "Feb 2025"])
def test_name_of_no_month_is_no_day(text: str) -> None:
    with pytest.raises(Unreadable):
        formats().day(text)


@pytest.mark.parametrize("text", ["x", "2025-02-30", "13/13/2025", "31/02/2024", "01-02-25", "20250201", "45352"])
def test_what_is_no_day_is_not_read(text: str) -> None:
    with pytest.raises(Unreadable):
        formats("25/12/2024").day(text)


def test_file_is_looked_through_only_if_a_cell_needs_it() -> None:
    def fails() -> Sequence[str]:
        raise AssertionError

    exact = Formats(fails, fails)
    assert (exact.number("25.0"), exact.day("2025-02-01")) == (25, DAY)


@pytest.mark.parametrize(
    ("table", "text", "word"),
    [
        ("status", "In Grace Period", ("grace", True)),
        ("status", "InGracePeriod", ("grace", True)),
        ("status", "Expired", ("expired", False)),
        ("status", "Disabled", ("suspended", False)),
        ("status", "Pending", ("", False)),
        ("status", "whatever", None),
        ("agreement", "csp_indirect", ("CSP", True)),
        ("agreement", "direct", ("MOSP", False)),
        ("product", "Microsoft 365", ("office365", True)),
        ("product", "Exchange Online (Plan 1)", ("office365", True)),
        ("product", "Microsoft 365 E3", ("office365", False)),
        ("product", "Power BI Pro", ("", False)),
        ("product", "Azure Active Directory Premium P1", ("aadp", True)),
        ("product", "Azure Information Protection", ("ems", False)),
        ("attribution", "CSP Tier 2", ("csp", True)),
        ("market", "sweden", ("SE", True)),
        ("market", "Norge", ("NO", True)),
        ("market", "Schweden", ("SE", True)),
        ("market", "Österreich", ("AT", True)),
        ("market", "Tyskland", ("DE", True)),
        ("market", "United\u200b States", ("US", True)),
        ("boolean", "FALSE", ("0", True)),
    ],
)
def test_words_of_other_programs_have_a_meaning(table: str, text: str, word: tuple[str, bool] | None) -> None:
    assert values.meaning(table, text, ()) == word
