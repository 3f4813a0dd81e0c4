"""The import of `usage.csv`. A row with new figures for a month becomes a new revision of that month."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import partial

from django.utils.translation import gettext as _

from por.directory.imports.monthly import Monthly, check_month, plain_lines
from por.directory.rules import Workload
from por.imports.loading import File, Line
from por.imports.opening import Columns
from por.imports.reading import Cells, Unfit
from por.imports.staging import GUID, MONEY, MONTH, NUMBER


@dataclass(slots=True)
class UsageLine(Line):
    month: date
    subscription_id: uuid.UUID
    workload: str
    paid_units: int | None
    active_users: int | None
    consumed_usd: Decimal | None


def _parse(cells: Cells) -> UsageLine:
    row = UsageLine(
        line=cells.line,
        month=cells.month("month"),
        subscription_id=cells.required_guid("subscription_id"),
        workload=cells.choice("workload", Workload.values, words="workload"),
        paid_units=cells.number("paid_units"),
        active_users=cells.number("active_users"),
        consumed_usd=cells.money("consumed_usd"),
    )
    check_month(row.month)
    if row.paid_units is None and row.active_users is None and row.consumed_usd is None:
        raise Unfit("paid_units", "missing_value", _("The line has no usage for this month. Enter at least one value."))
    return row


_PLAIN = re.compile(
    rf"({MONTH}),{GUID},(?:{'|'.join(Workload.values)}),(?!,,$)(?:{NUMBER})?,(?:{NUMBER})?,(?:{MONEY})?".encode()
)


_MONTHLY = Monthly("usage", "workload", ("paid_units", "active_users", "consumed_usd"))
USAGE = File(
    name="usage.csv",
    columns=Columns(
        every=("month", "subscription_id", "workload", "paid_units", "active_users", "consumed_usd"),
        required=("month", "subscription_id", "workload"),
        numbers=("paid_units", "active_users", "consumed_usd"),
        days=("month",),
        months=("month",),
        closed={"workload": (Workload.values, "workload")},
    ),
    key=["subscription_id", "month", "workload"],
    stored=_MONTHLY.stored(),
    line=UsageLine,
    parse=_parse,
    plain=partial(plain_lines, _PLAIN),
    found=_MONTHLY.found,
    merge_all=_MONTHLY.merge_all,
)
