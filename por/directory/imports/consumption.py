"""The import of `consumption.csv`: what subscriptions consumed of each service in a month.

A correction is a new revision of the month.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import partial

from por.directory.imports.monthly import Monthly, check_month, plain_lines
from por.imports.loading import File, Line
from por.imports.opening import Columns
from por.imports.reading import Cells
from por.imports.staging import GUID, MONEY, MONTH

NAMES = ("month", "subscription_id", "service", "amount_usd")
LONGEST_NAME = 100  # characters of the name of a service


@dataclass(slots=True)
class ConsumptionLine(Line):
    month: date
    subscription_id: uuid.UUID
    service: str
    amount_usd: Decimal


def _parse(cells: Cells) -> ConsumptionLine:
    row = ConsumptionLine(
        line=cells.line,
        month=cells.month("month"),
        subscription_id=cells.required_guid("subscription_id"),
        service=cells.name("service", most=LONGEST_NAME),
        amount_usd=cells.required_money("amount_usd"),
    )
    check_month(row.month)
    return row


#: A name of plain words, with one blank between two of them.
_SERVICE = rf"(?=.{{1,{LONGEST_NAME}}},[^,]*$)[A-Za-z0-9][A-Za-z0-9()/.&+-]*(?: [A-Za-z0-9()/.&+-]+)*"
_PLAIN = re.compile(rf"({MONTH}),{GUID},{_SERVICE},-?{MONEY}".encode())

_MONTHLY = Monthly("consumption", "service", ("amount_usd",))
CONSUMPTION = File(
    name="consumption.csv",
    columns=Columns(every=NAMES, required=NAMES, numbers=("amount_usd",), days=("month",), months=("month",)),
    key=["subscription_id", "month", "service"],
    stored=_MONTHLY.stored(),
    line=ConsumptionLine,
    parse=_parse,
    plain=partial(plain_lines, _PLAIN),
    found=_MONTHLY.found,
    merge_all=_MONTHLY.merge_all,
)
