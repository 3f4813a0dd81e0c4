"""Claims of a partner as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils.translation import gettext as _

from associations.claims.models import Claim
from associations.claims.queries.as_of import as_then
from associations.claims.queries.claims import due_at
from por.web.csv_export import CHUNK
from por.web.lists import csv_file

CLAIM_COLUMNS = [
    "claim_id",
    "number",
    "name",
    "status",
    "whose_turn",
    "due_at",
    "customer",
    "tenant_id",
    "domain",
    "partner",
    "mpn_id",
    "program",
    "role",
    "workloads",
    "subscription_ids",
    "contested",
    "newest_proof_at",
    "submitted_at",
    "approved_at",
    "consent",
    "consent_due_at",
    "closed_at",
    "end_reason",
]


def claims_csv(claims: QuerySet[Claim], *, past: bool = False) -> StreamingHttpResponse:
    """Return the file of these claims, which are those of claims_for_listing, or of a day that is `past`."""
    return csv_file(_("claims"), CLAIM_COLUMNS, _rows(claims, past))


def _rows(claims: QuerySet[Claim], past: bool) -> Iterator[list[Any]]:
    rows: QuerySet[Any] = claims
    for one in rows.iterator(chunk_size=CHUNK):
        if past:
            as_then(one)
        units = one.units.all()
        yield [
            one.pk,
            one.number,
            one.name,
            one.status,
            one.turn.value,
            due_at(one),
            one.customer.organisation.name,
            one.customer.tenant_id,
            one.domain,
            one.partner.organisation.name,
            one.partner.mpn_id,
            one.program,
            one.role,
            " ".join(unit.workload for unit in units if unit.workload),
            " ".join(str(unit.subscription.subscription_id) for unit in units if unit.subscription),
            bool(one.sides.all()),
            one.newest_proof_at,
            one.submitted_at,
            one.approved_at,
            one.consent,
            one.consent_due_at,
            one.closed_at,
            one.end_reason,
        ]
