"""An export says the same however it is written: order of columns, separator, decimals, encoding, titles."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from associations.record.models import Association
from por.directory.models import Customer, Subscription, Usage
from tests.estates import load
from tests.factories import make_partner

EXPORTS = Path(__file__).with_name("exports")
ALV = "e2a214e8-bbe9-4675-9d52-490575ffc53d"
#: What is told about each export; and what its customers are known by, where it names none.
TOLD = {
    "partner-center-customers": [],
    "insights-subscription-details": [],
    "insights-azure-usage": [],
    "insights-office365-usage": ["days=month-first"],
    "recon-license-based": [],
    "partner-center-subscriptions": [],
    "graph-directory-subscriptions": [f"tenant_id={ALV}", "agreement=CSP"],
}
Table = list[list[str]]
AMOUNT = re.compile(r"-?\d+\.\d+")


def table_of(name: str) -> tuple[list[str], Table]:
    """Return the column names and the rows of an export."""
    text = (EXPORTS / f"{name}.csv").read_text(encoding="utf-8-sig")
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith("#TYPE")]
    rows = list(csv.reader(io.StringIO("".join(lines)), delimiter=";" if lines[0].count(";") > 3 else ","))
    return rows[0], rows[1:]


def written(header: list[str], rows: Table, separator: str = ",", end: str = "\r\n") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator=end).writerows([header, *rows])
    return text.getvalue()


def with_commas(rows: Table) -> Table:
    """Return the rows with their decimals as Swedes and Germans write them, and without signs between thousands."""
    plain = [
        [one.replace(",", "") if re.fullmatch(r"\d{1,3},\d{3}(\.\d+)?", one) else one for one in row] for row in rows
    ]
    return [[one.replace(".", ",") if AMOUNT.fullmatch(one) else one for one in row] for row in plain]


FORMS: dict[str, Callable[[list[str], Table], bytes]] = {
    "columns reversed": lambda header, rows: written(header[::-1], [row[::-1] for row in rows]).encode(),
    "semicolons and commas of decimals": lambda header, rows: written(header, with_commas(rows), ";").encode(
        "utf-8-sig"
    ),
    "tabs in UTF-16": lambda header, rows: codecs.BOM_UTF16_LE + written(header, rows, "\t").encode("utf-16-le"),
    "titles above": lambda header, rows: f"Report\r\n\r\nPrinted,2026-11-29\r\n{written(header, rows)}".encode(),
    "names in capitals with blanks": lambda header, rows: written(
        [re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).upper() for name in header], rows, "|", "\n"
    ).encode(),
}


def stored() -> list[Any]:
    associations = Association.objects.order_by("customer", "partner__mpn_id", "kind", "subscription", "began_at")
    return [
        list(
            Customer.objects.order_by("tenant_id").values_list("tenant_id", "organisation__name", "domain", "country")
        ),
        list(
            Subscription.objects.order_by("subscription_id").values_list(
                *("subscription_id", "customer__tenant_id", "product", "sku__string_id", "agreement", "seats"),
                *("is_trial", "started_on", "renews_on", "status"),
            )
        ),
        list(
            Usage.objects.current()
            .order_by("subscription__subscription_id", "month", "workload")
            .values_list("subscription__subscription_id", "month", "workload", "consumed_usd")
        ),
        sorted(
            associations.values_list("partner__mpn_id", "kind", "subscription__subscription_id", "began_at"), key=str
        ),
    ]


def loaded(place: Path, name: str, content: bytes) -> list[Any]:
    """Return what is stored after an import of an export, and roll it back."""
    for old in place.glob("*.csv"):
        old.unlink()
    (place / f"{name}.csv").write_bytes(content)
    told = [part for one in TOLD[name] for part in ("--set", one)]
    with transaction.atomic():
        report = load(place, *told)
        found = [sorted((one["column"], one["code"]) for one in report.errors), *stored()]
        transaction.set_rollback(True)
    return found


@pytest.mark.parametrize("name", TOLD)
def test_export_says_the_same_in_every_form(db: None, tmp_path: Path, name: str) -> None:
    for mpn_id in ("7100001", "7200001", "7300001"):
        make_partner(f"Partner {mpn_id}", mpn_id=mpn_id)
    if name in ("partner-center-subscriptions", "graph-directory-subscriptions"):
        # Partner Center gives its list a name that is one of ours.
        (tmp_path / "customers.csv").write_bytes((EXPORTS / "partner-center-customers.csv").read_bytes())
        load(tmp_path)
    header, rows = table_of(name)
    plain = loaded(tmp_path, name, written(header, rows).encode())
    assert plain[1], "something is stored"
    for form, write in FORMS.items():
        assert loaded(tmp_path, name, write(header, rows)) == plain, form
