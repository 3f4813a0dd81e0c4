"""The import of `claims.csv`: claims that were approved before they came here. docs/estates.md defines the lines."""

from __future__ import annotations

import re

from django.utils import timezone
from django.utils.translation import gettext as _

from associations.claims.imports.merging import ClaimLine, merge
from associations.claims.programs import PROGRAMS
from associations.claims.rules import NAME_LENGTH, NUMBER_LENGTH, Program
from associations.record import describing
from por.directory.imports.common import required_mpn_id
from por.directory.rules import Workload
from por.imports import values
from por.imports.loading import File
from por.imports.opening import Columns
from por.imports.reading import Cells, Unfit, guid_of

NAMES = ("claim_number", "name", "mpn_id", "tenant_id", "program", "workloads", "subscription_ids", "approved_on")
SEPARATORS = re.compile(r"[;,|]")


def _parse(cells: Cells) -> ClaimLine:
    row = ClaimLine(
        line=cells.line,
        claim_number=cells.name("claim_number", most=NUMBER_LENGTH),
        name=cells.name("name", most=NAME_LENGTH),
        mpn_id=required_mpn_id(cells, "mpn_id"),
        tenant_id=cells.required_guid("tenant_id"),
        program=cells.choice("program", Program.values, words="claimed_program"),
        workloads=_workloads(cells),
        subscription_ids=_subscription_ids(cells),
        approved_on=cells.required_day("approved_on"),
    )
    if row.program:
        of_workloads = bool(PROGRAMS[Program(row.program)].workloads)
        wanted, other = ("workloads", "subscription_ids")[:: 1 if of_workloads else -1]
        if getattr(row, other):
            message = _("A claim in this programme names its units in the column %(column)s.")
            raise Unfit(other, "wrong_unit_for_program", message % {"column": wanted})
        if cells.has(wanted) and not getattr(row, wanted):
            raise Unfit(wanted, "missing_value", _("Enter a value."))
    if row.approved_on > timezone.now().date():
        raise Unfit("approved_on", "day_in_future", _("The day cannot be in the future."))
    return row


def _workloads(cells: Cells) -> str:
    """Return the workloads of a cell in the order in which they are compared, with semicolons between them."""
    found = []
    for part in _parts(cells, "workloads"):
        word = values.meaning("workload", part, Workload.values)
        if word is None or not word.is_sure:
            message = _("Enter workloads with semicolons between them, of these: %(values)s.")
            cells.refuse("workloads", "unknown_workload", message % {"values": ", ".join(Workload.values)})
        else:
            found.append(word.value)
    return _once(cells, "workloads", found)


def _subscription_ids(cells: Cells) -> str:
    found = []
    for part in _parts(cells, "subscription_ids"):
        if (one := guid_of(part)) is None:
            message = _("Enter GUIDs with semicolons between them.")
            cells.refuse("subscription_ids", "malformed_guid", message)
        else:
            found.append(str(one))
    return _once(cells, "subscription_ids", found)


def _parts(cells: Cells, column: str) -> list[str]:
    return [part.strip() for part in SEPARATORS.split(cells.given(column)) if part.strip()]


def _once(cells: Cells, column: str, units: list[str]) -> str:
    if len(set(units)) < len(units):
        cells.refuse(column, "unit_twice", _("The same unit is named twice."))
    return ";".join(sorted(units))


#: The claims that the staged lines name, as their lines would say them.
_STORED = """
    SELECT claim.number AS claim_number, claim.name, partner.mpn_id, customer.tenant_id, claim.program,
        unit.workloads, unit.subscription_ids, (claim.approved_at AT TIME ZONE 'UTC')::date AS approved_on
    FROM claims_claim AS claim
    JOIN directory_partner AS partner ON partner.organisation_id = claim.partner_id
    JOIN directory_customer AS customer ON customer.organisation_id = claim.customer_id
    JOIN (
        SELECT unit.claim_id,
            coalesce(string_agg(workload, ';' ORDER BY workload COLLATE "C")
                FILTER (WHERE unit.subscription_id IS NULL), '') AS workloads,
            coalesce(string_agg(subscription.subscription_id::text, ';' ORDER BY subscription.subscription_id), '')
                AS subscription_ids
        FROM claims_claimunit AS unit LEFT JOIN directory_subscription AS subscription
            ON subscription.id = unit.subscription_id
        GROUP BY unit.claim_id
    ) AS unit ON unit.claim_id = claim.id
    WHERE claim.number IN (SELECT claim_number FROM estate_staged_claims)
"""


def _found() -> str:
    """Return SQL for the lines that say something new; those of a customer together, in their order."""
    return f"""
        SELECT staged.*, true AS apart FROM estate_staged_claims AS staged
        LEFT JOIN ({_STORED}) AS known USING (claim_number)
        WHERE (
            staged.name, staged.mpn_id, staged.tenant_id, staged.program, staged.workloads, staged.subscription_ids,
            staged.approved_on
        ) IS DISTINCT FROM (
            known.name, known.mpn_id, known.tenant_id, known.program, known.workloads, known.subscription_ids,
            known.approved_on
        )
        ORDER BY staged.tenant_id, staged.line
    """


CLAIMS = File(
    name="claims.csv",
    columns=Columns(
        every=NAMES,
        required=("claim_number", "name", "mpn_id", "tenant_id", "program", "approved_on"),
        days=("approved_on",),
        closed={"program": (Program.values, "claimed_program")},
    ),
    key=["claim_number"],
    stored=_STORED,
    line=ClaimLine,
    parse=_parse,
    found=_found,
    unit=lambda row: row.tenant_id,
    unit_key="tenant_id",
    merge=merge,
    recorded=describing.describe_new,
)
