"""Small estates for tests: files with valid rows, of which a test changes the cells it is about."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from django.core.management import call_command
from django.core.management.base import CommandError

from por.imports.loading import Report

TENANT = "0a2f6f52-5d0c-4a30-9d55-1d1f3f1f8a11"
OTHER_TENANT = "0b2f6f52-5d0c-4a30-9d55-1d1f3f1f8a12"
SUBSCRIPTION = "5c1d0f0e-7a53-4a86-8b0d-3f6f0f3f7b21"
OTHER_SUBSCRIPTION = "5d1d0f0e-7a53-4a86-8b0d-3f6f0f3f7b22"
UNKNOWN = "ffffffff-7a53-4a86-8b0d-3f6f0f3f7b29"
PARTNER, RIVAL, GLOBAL = "4471902", "4471903", "4471900"

Row = dict[str, str]


def partner(mpn_id: str = PARTNER, **cells: str) -> Row:
    return {
        "mpn_id": mpn_id, "name": f"Nordvik {mpn_id}", "kind": "location", "parent_mpn_id": "", "city": "Göteborg",
        "country": "SE", "market": "developed", "status": "active", "contact_email": "", "language": "sv",
        "tenant_id": "",
    } | cells  # fmt: skip


def enrolment(mpn_id: str = PARTNER, **cells: str) -> Row:
    return {
        "mpn_id": mpn_id, "program": "incentive.osu_m365", "agreement_signed_on": "2024-07-01",
        "bank_ok_on": "2024-07-15", "tax_ok_on": "",
    } | cells  # fmt: skip


def credential(mpn_id: str = PARTNER, **cells: str) -> Row:
    return {
        "person": "Tove Lind", "mpn_id": mpn_id, "credential": "exam:70-347", "valid_from": "2024-07-01",
        "valid_to": "",
    } | cells  # fmt: skip


def holding(mpn_id: str = PARTNER, **cells: str) -> Row:
    return {
        "mpn_id": mpn_id, "program": "competency.smcs", "level": "silver", "anniversary_on": "2025-06-30",
        "fee_paid_on": "2024-07-01",
    } | cells  # fmt: skip


def revenue(month: str = "2025-03", **cells: str) -> Row:
    return {
        "month": month, "subscription_id": SUBSCRIPTION, "amount": "1250.40", "currency": "EUR", "kind": "total",
    } | cells  # fmt: skip


def consumption(month: str = "2025-03", **cells: str) -> Row:
    return {
        "month": month, "subscription_id": SUBSCRIPTION, "service": "Azure App Service", "amount_usd": "312.5",
    } | cells  # fmt: skip


def customer(tenant_id: str = TENANT, **cells: str) -> Row:
    return {
        "tenant_id": tenant_id, "name": "Västerhamn Energi AB", "domain": "vasterhamn.example", "country": "SE",
        "segment": "enterprise", "contact_email": "", "language": "",
    } | cells  # fmt: skip


def subscription(subscription_id: str = SUBSCRIPTION, **cells: str) -> Row:
    return {
        "subscription_id": subscription_id, "tenant_id": TENANT, "product": "office365",
        "sku_string_id": "ENTERPRISEPACK", "agreement": "EA", "seats": "420", "trial": "0",
        "started_on": "2024-07-01", "renews_on": "2036-06-30", "status": "active", "replaces_subscription_id": "",
    } | cells  # fmt: skip


def association(mpn_id: str = PARTNER, **cells: str) -> Row:
    return {
        "subscription_id": SUBSCRIPTION, "tenant_id": "", "mpn_id": mpn_id, "kind": "dpor",
        "began_on": "2024-08-01", "ended_on": "",
    } | cells  # fmt: skip


def claim(claim_number: str = "CPR-900001", **cells: str) -> Row:
    return {
        "claim_number": claim_number, "name": "Exchange FRP Migrated FRP", "mpn_id": PARTNER, "tenant_id": TENANT,
        "program": "osu_m365", "workloads": "exo;teams", "subscription_ids": "", "approved_on": "2024-09-01",
    } | cells  # fmt: skip


def usage(month: str = "2025-03", **cells: str) -> Row:
    return {
        "month": month, "subscription_id": SUBSCRIPTION, "workload": "exo", "paid_units": "420",
        "active_users": "312", "consumed_usd": "",
    } | cells  # fmt: skip


def write(directory: Path, **files: list[Row]) -> Path:
    """Write the files of an estate, each named without its ending; return the directory."""
    for name, rows in files.items():
        with (directory / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
    return directory


class Loaded(NamedTuple):
    """The output of an import: the lines of the terminal, the file of errors, and its error message, if it failed."""

    out: str
    err: str
    errors: list[Row]
    failure: str

    @property
    def codes(self) -> list[tuple[str, str, str]]:
        """Return line, column and code of each row that failed."""
        return [(row["line"], row["column"], row["code"]) for row in self.errors]


def load(directory: Path, *arguments: str) -> Loaded:
    out, err, failure = StringIO(), StringIO(), ""
    errors = directory / "errors.csv"
    try:
        call_command("load_estate", str(directory), "--errors", str(errors), *arguments, stdout=out, stderr=err)
    except CommandError as error:
        failure = str(error)
    rows = []
    if errors.exists():
        with errors.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    return Loaded(out.getvalue(), err.getvalue(), rows, failure)


def unread_report() -> Report:
    """Return the report of an import that no one reads."""
    return Report(on_error=lambda error: None, on_bytes=lambda count: None)


def load_one(directory: Path, file: str, *rows: Row) -> Loaded:
    """Import one file by itself."""
    for old in directory.glob("*.csv"):
        old.unlink()
    return load(write(directory, **{file: list(rows)}))
