"""The import of `holdings.csv`: which level a company holds in a programme, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from competencies.models import Holding
from competencies.programs import Level, is_program
from por.directory.imports.common import check_first_year, required_mpn_id
from por.directory.imports.of_partners import OfPartners
from por.imports.loading import File, Line
from por.imports.opening import Columns
from por.imports.reading import Cells, Unfit

NAMES = ("mpn_id", "program", "level", "anniversary_on", "fee_paid_on")
#: How far ahead an anniversary may be: a designation is held for 13 months. A day after that is a slip of the pen.
AHEAD = timedelta(days=800)


@dataclass(slots=True)
class HoldingLine(Line):
    mpn_id: str
    program: str
    level: str
    anniversary_on: date
    fee_paid_on: date | None


def _parse(cells: Cells) -> HoldingLine:
    row = HoldingLine(
        line=cells.line,
        mpn_id=required_mpn_id(cells, "mpn_id"),
        program=_program(cells),
        level=cells.choice("level", Level.values, words="level"),
        anniversary_on=cells.required_day("anniversary_on"),
        fee_paid_on=cells.day("fee_paid_on"),
    )
    check_first_year("anniversary_on", row.anniversary_on)
    check_first_year("fee_paid_on", row.fee_paid_on)
    today = timezone.now().date()
    if row.anniversary_on > today + AHEAD:
        text = _("The anniversary is more than two years ahead. Correct it.")
        raise Unfit("anniversary_on", "anniversary_far_ahead", text)
    if row.fee_paid_on is not None and row.fee_paid_on > today:
        raise Unfit("fee_paid_on", "day_in_future", _("The day cannot be in the future."))
    if row.fee_paid_on is not None and row.fee_paid_on > row.anniversary_on:
        text = _("The fee was paid after the anniversary. Correct one of the two days.")
        raise Unfit("fee_paid_on", "fee_after_anniversary", text)
    return row


def _program(cells: Cells) -> str:
    text = cells.required("program")
    if is_program(text):
        return text
    message = _("The ID of a programme has small letters, digits, dots and underscores, such as competency.smcs.")
    return cells.refuse("program", "program_malformed", message)


_MERGING = OfPartners(
    file="holdings",
    table=Holding._meta.db_table,
    key=("program", "anniversary_on"),
    figures=("level", "fee_paid_on"),
    locations_only=False,
)
HOLDINGS = File(
    name="holdings.csv",
    columns=Columns(
        every=NAMES,
        required=("mpn_id", "program", "level", "anniversary_on"),
        days=("anniversary_on", "fee_paid_on"),
        closed={"level": (Level.values, "level")},
    ),
    key=["mpn_id", "program", "anniversary_on"],
    stored=_MERGING.stored(),
    line=HoldingLine,
    parse=_parse,
    found=_MERGING.found,
    merge_all=_MERGING.merge_all,
)
