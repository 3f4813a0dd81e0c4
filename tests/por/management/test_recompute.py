"""`manage.py recompute` computes competencies for a day and stores what differs."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from competencies.models import Attainment
from tests.competencies.test_facts import load
from tests.estates import PARTNER, RIVAL


def recompute(*arguments: str) -> str:
    written = StringIO()
    call_command("recompute", *arguments, stdout=written)
    return written.getvalue().strip()


@pytest.mark.django_db
def test_day_is_computed_for_all_and_a_second_time_nothing_differs(tmp_path: Any) -> None:
    load(tmp_path)
    assert recompute("--as-of", "2016-06-30") == "Companies computed for 2016-06-30: 1. With another result: 1."
    assert recompute("--as-of", "2016-06-30") == "Companies computed for 2016-06-30: 1. With another result: 0."
    stored = Attainment.objects.get(program="competency.smcs")
    assert (stored.level, stored.day.isoformat(), stored.company.number) == ("silver", "2016-06-30", PARTNER)


@pytest.mark.django_db
def test_one_partner_is_computed_alone(tmp_path: Any) -> None:
    load(tmp_path)
    recompute("--as-of", "2016-06-30", "--partner", RIVAL)
    assert {one.company.number for one in Attainment.objects.select_related("company")} == {RIVAL}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--as-of", "yesterday"], "yesterday is no date"),
        (["--as-of", "2099-01-01"], "2099-01-01 is in the future"),
        (["--partner", "9999999999"], "There is no partner with the MPN ID 9999999999"),
        (["--partner", "Nordvik"], "There is no partner with the MPN ID Nordvik"),
    ],
)
def test_bad_argument_is_refused_with_the_reason(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        recompute(*arguments)
