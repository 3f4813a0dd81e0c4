"""CSV files for spreadsheets."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.http import StreamingHttpResponse
from django.utils.translation import get_language

from por.directory.models import Partner
from por.web.csv_export import BOM, cell, csv_lines
from por.web.lists import csv_file
from tests.factories import make_partner


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(None, "", id="nothing"),
        pytest.param(True, "1", id="yes"),
        pytest.param(-5, "-5", id="a negative figure is no formula"),
        pytest.param(Decimal("-12.50"), "-12.50", id="nor is negative money"),
        pytest.param(Decimal("0.000000000000041"), "0.000000000000041", id="all decimals"),
        pytest.param(date(2026, 11, 24), "2026-11-24", id="a day"),
        pytest.param(
            datetime(2026, 11, 24, 1, 2, tzinfo=timezone(timedelta(hours=1))), "2026-11-24T00:02:00Z", id="UTC"
        ),
        pytest.param(UUID(int=7), "00000000-0000-0000-0000-000000000007", id="an id"),
        pytest.param("Nordvik Cloud AB", "Nordvik Cloud AB", id="text"),
        pytest.param("=1+1", "'=1+1", id="equals"),
        pytest.param("+46 8 123", "'+46 8 123", id="plus"),
        pytest.param("-1 for them", "'-1 for them", id="minus"),
        pytest.param("@SUM(A1)", "'@SUM(A1)", id="at"),
        pytest.param("\t=1", "'\t=1", id="tab"),
    ],
)
def test_a_cell_is_text_that_no_spreadsheet_runs_as_a_formula(value: Any, text: str) -> None:
    assert cell(value) == text


def test_english_files_have_commas_and_points() -> None:
    lines = list(csv_lines(["a", "b"], [["x,y", Decimal("1.5")]], language="en"))

    assert lines == [f"{BOM}a,b\r\n", '"x,y",1.5\r\n']


def test_swedish_files_have_semicolons_and_decimal_commas() -> None:
    lines = list(csv_lines(["a", "b"], [["x;y", Decimal("1.5")]], language="sv"))

    assert lines == [f"{BOM}a;b\r\n", '"x;y";1,5\r\n']


def test_rows_that_are_made_late_are_in_the_readers_language() -> None:
    lines = csv_lines(["a"], ([get_language()] for _row in range(1)), language="sv")

    assert list(lines)[1] == "sv\r\n"


def test_an_instant_keeps_its_microseconds() -> None:
    assert cell(datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)) == "2026-01-02T03:04:05.000006Z"


@pytest.mark.django_db(transaction=True)
def test_a_list_is_read_in_one_transaction_which_ends_with_the_file():
    """Its cursor belongs to the transaction. A pooler gives the next one another session."""
    for number in range(3):
        make_partner(f"Partner {number}")

    def file() -> StreamingHttpResponse:
        return csv_file("partners", ["mpn_id"], ([one.mpn_id] for one in Partner.objects.iterator(chunk_size=1)))

    left_early, read = file(), file()
    assert len(list(islice(left_early.streaming_content, 2))) == 2
    assert connection.in_atomic_block
    left_early.close()
    assert not connection.in_atomic_block
    assert len(list(read.streaming_content)) == 4
    assert not connection.in_atomic_block
