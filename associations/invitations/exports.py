"""Invitations as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils.translation import gettext as _

from associations.invitations.models import Invitation
from associations.invitations.queries import seen
from por.accounts.models import Actor
from por.web.csv_export import CHUNK
from por.web.lists import csv_file

INVITATION_COLUMNS = [
    "invitation_id",
    "status",
    "customer",
    "tenant_id",
    "partner",
    "mpn_id",
    "subscriptions",
    "attached",
    "delegated_admin",
    "sent_at",
    "opened_at",
    "expires_at",
    "closed_at",
    "message",
    "reason",
]


def invitations_csv(actor: Actor, invitations: QuerySet[Invitation]) -> StreamingHttpResponse:
    """Return the file of these invitations, as the actor may see them."""
    return csv_file(_("invitations"), INVITATION_COLUMNS, _invitation_rows(actor, invitations))


def _invitation_rows(actor: Actor, invitations: QuerySet[Invitation]) -> Iterator[list[Any]]:
    for one in invitations.iterator(chunk_size=CHUNK):
        shown, invited = seen(actor, one), one.invited.all()
        yield [
            one.invitation_id,
            shown.state.value,
            one.customer.organisation.name,
            one.customer.tenant_id,
            one.partner.organisation.name,
            one.partner.mpn_id,
            len(invited),
            sum(row.outcome == "attached" for row in invited),
            one.administering or ("asked" if one.asks_to_administer else ""),
            one.sent_at,
            one.opened_at,
            one.expires_at,
            one.closed_at,
            one.message,
            shown.reason,
        ]
