"""The import of `revenue.csv`: what subscriptions were worth in a month.

A correction is a new revision of the month.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from por.directory.imports.monthly import Monthly, check_month, plain_lines
from por.directory.rules import RevenueKind
from por.imports import values
from por.imports.loading import File, Line
from por.imports.opening import Columns
from por.imports.reading import Cells
from por.imports.staging import GUID, MONEY, MONTH, Plain

NAMES = ("month", "subscription_id", "amount", "currency", "kind")


@dataclass(slots=True)
class RevenueLine(Line):
    month: date
    subscription_id: uuid.UUID
    amount: Decimal
    currency: str
    kind: str


def _parse(cells: Cells) -> RevenueLine:
    row = RevenueLine(
        line=cells.line,
        month=cells.month("month"),
        subscription_id=cells.required_guid("subscription_id"),
        amount=cells.required_money("amount"),
        currency=cells.currency("currency"),
        kind=cells.choice("kind", RevenueKind.values, words="revenue_kind"),
    )
    check_month(row.month)
    return row


def _plain() -> Plain:
    codes, kinds = "|".join(sorted(values.currencies())), "|".join(RevenueKind.values)
    return plain_lines(re.compile(rf"({MONTH}),{GUID},-?{MONEY},(?:{codes}),(?:{kinds})".encode()))


_MONTHLY = Monthly("revenue", "kind", ("amount", "currency"))
REVENUE = File(
    name="revenue.csv",
    columns=Columns(
        every=NAMES,
        required=NAMES,
        numbers=("amount",),
        days=("month",),
        months=("month",),
        closed={"kind": (RevenueKind.values, "revenue_kind")},
    ),
    key=["subscription_id", "month", "kind"],
    stored=_MONTHLY.stored(),
    line=RevenueLine,
    parse=_parse,
    plain=_plain,
    found=_MONTHLY.found,
    merge_all=_MONTHLY.merge_all,
)
