"""Claims as one reader may see them: the list, one of them, and what waits for its partner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet
from django.utils import timezone

from associations.claims.actions.conflicts import open_sides
from associations.claims.models import (
    Claim,
    ClaimQuerySet,
    ClaimUnit,
    Comment,
    Proof,
)
from associations.claims.queries.proofs import newest_proof_at
from associations.claims.rules import LIVE, READABLE, ClaimStatus, Turn
from associations.record.access import Reader, few_ids
from por.accounts.models import Actor, Organisation
from por.accounts.rules import OrganisationKind, Right
from por.db.prepared import PreparedQuery
from por.directory.models import Customer
from por.web.formatting import Deadline
from por.web.lists import ListTab, countable

#: The views of a partner's list, with the statuses of each.
VIEWS: dict[str, Sequence[str]] = {
    "": ClaimStatus.values,
    "drafts": [ClaimStatus.DRAFT],
    "in_review": [ClaimStatus.SUBMITTED, ClaimStatus.UNDER_REVIEW, ClaimStatus.DISPUTED],
    "action_required": [ClaimStatus.ACTION_REQUIRED],
    "approved": [ClaimStatus.APPROVED],
    "ended": [ClaimStatus.REJECTED, ClaimStatus.REJECTED_FINAL, ClaimStatus.WITHDRAWN, ClaimStatus.ENDED],
}


# --- Sight ----------------------------------------------------------------------------------------------------------


def is_claimant(actor: Actor) -> bool:
    """Return whether the actor belongs to a partner: all claims that it sees are those of its company."""
    return actor.kind == OrganisationKind.PARTNER


def may_read_all(actor: Actor) -> bool:
    """Return whether the actor reads more of a claim than who, units, status and contacts: a customer does not."""
    return is_claimant(actor) or actor.is_staff


def comments_of(actor: Actor, claim: Claim) -> QuerySet[Comment]:
    """Return the comments that the actor may read, oldest first; staff alone read internal ones. None without right."""
    if not actor.may(Right.LIST_PROOFS):
        return Comment.objects.none()
    found = Comment.objects.filter(claim=claim).select_related("organisation").order_by("at", "pk")
    return found if actor.is_staff else found.filter(internal=False)


# --- Lists ----------------------------------------------------------------------------------------------------------


def contested(claims: QuerySet[Claim]) -> QuerySet[Claim]:
    """Return those of the claims that are a side of an open conflict."""
    return claims.filter(pk__in=open_sides().values("claim"), status__in=LIVE)


def contested_by_keys(claims: QuerySet[Claim]) -> QuerySet[Claim]:
    """Return the same for a list. If they are few, their keys are read first.

    Else the database joins all claims with their parties before it finds those.
    """
    found = contested(claims)
    keys = few_ids(found.order_by().values_list("pk", flat=True))
    return found if keys is None else claims.filter(pk__in=keys)


def claims_for_listing(actor: Actor) -> ClaimQuerySet:
    """Return the claims that the actor may see, as rows of a list: with `newest_proof_at`, and open conflicts alone.

    The conflicts are read of the rows that are shown. As a column, they would be looked up for all claims first.
    """
    found = Claim.objects.visible_to(actor).for_listing().annotate(newest_proof_at=newest_proof_at())
    return found.prefetch_related(Prefetch("sides", open_sides()))


def claims_with_all(actor: Actor) -> ClaimQuerySet:
    """Return the claims that the actor may see, with what the API shows of each: their proofs and open conflicts."""
    return (
        Claim.objects.visible_to(actor)
        .for_listing()
        .prefetch_related(
            Prefetch("proofs", Proof.objects.order_by("-number")),
            Prefetch("sides", open_sides().order_by("conflict")),
        )
    )


def counts_of(claims: QuerySet[Claim], of: Sequence[ListTab]) -> Mapping[str, int]:
    """Return how many of the claims each view has, by its key. Takes one query."""
    parts: list[str] = []
    given: list[Any] = []
    for tab in of:
        sql, parameters = countable((tab.count or tab.filter)(claims)).query.sql_with_params()
        parts.append(f"(SELECT count(*) FROM ({sql}) AS counted)")
        given += parameters
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(parts)}", given)  # noqa: S608  # the parts are Django's own SQL
        counts = cursor.fetchone()
    return dict(zip([tab.key for tab in of], counts, strict=True))


def in_view(claims: QuerySet[Claim], key: str) -> QuerySet[Claim]:
    """Return those of the claims that a view of the list shows."""
    return claims.filter(status__in=VIEWS[key]) if key else claims


def of_workload(claims: QuerySet[Claim], workload: str) -> QuerySet[Claim]:
    """Return those of the claims that name this workload."""
    return claims.filter(Exists(ClaimUnit.objects.filter(claim=OuterRef("pk"), workload=workload)))


def search(claims: QuerySet[Claim], text: str, *, names: bool) -> QuerySet[Claim]:
    """Return the claims whose number, customer or partner has this text, or with `names` whose own name has it.

    The organisations are looked for first: joined with each claim, their names would be compared once for each.
    """
    named = Organisation.objects.filter(Q(name__icontains=text) | Q(number=text.lower())).values_list("pk", flat=True)
    few = few_ids(named)
    parties = named if few is None else few
    found = Q(number__icontains=text) | Q(customer__in=parties) | Q(partner__in=parties)
    return claims.filter(found | Q(name__icontains=text) if names else found)


def waiting_for_partner(claims: QuerySet[Claim]) -> QuerySet[Claim]:
    """Return the claims about which a reviewer has asked the partner."""
    return claims.filter(status=ClaimStatus.ACTION_REQUIRED)


def open_with(actor: Actor, customer: Customer, count: int) -> list[Claim]:
    """Return the claims on a customer that are approved or wait for a decision, the newest first."""
    found = claims_for_listing(actor).filter(customer=customer, status__in=LIVE)
    return list(found.order_by("-pk")[:count])


def next_due(actor: Actor, count: int) -> list[Claim]:
    """Return the claims that wait for the partner, those that are due first at the top."""
    return _next_due(Reader.of(actor), count).all(organisation=actor.organisation_id)


@lru_cache(maxsize=256)
def _next_due(reader: Reader, count: int) -> PreparedQuery[Claim]:
    found = waiting_for_partner(Claim.objects.visible_to(reader.actor())).select_related("customer__organisation")
    return PreparedQuery(lambda: found.order_by("due_at", "pk")[:count])


# --- One claim ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Due:
    """When the step that is waited for is due, as an instant, and as a day where it ends with one at the customer."""

    at: datetime
    deadline: Deadline | None

    @property
    def is_over(self) -> bool:
        return self.at <= timezone.now()


def due_at(claim: Claim) -> datetime | None:
    """Return when the step that is waited for is due: while the customer can decline, that."""
    return claim.consent_due_at if claim.turn == Turn.CUSTOMER else claim.due_at


def due_of(claim: Claim) -> Due | None:
    """Return the same as a day in the customer's zone, where it ends with a day there."""
    if (at := due_at(claim)) is None:
        return None
    return Due(at, last_day(claim, at))


def last_day(claim: Claim, at: datetime) -> Deadline | None:
    """Return the last day of a term that ends then, in the customer's zone; None if it ends within a day."""
    zone = ZoneInfo(claim.customer.organisation.time_zone)
    day = (at - timedelta(microseconds=1)).astimezone(zone).date()
    return Deadline(day, at) if at.astimezone(zone).date() > day else None


def proved_at(claim: Claim) -> datetime | None:
    """Return the same as newest_proof_at of a claim whose files have been read."""
    return max((one.uploaded_at for one in claim.proofs.all() if one.scan in READABLE), default=None)


def as_partner_sees(rows: Sequence[Any]) -> list[tuple[Claim, Due | None]]:
    """Return the rows of a list, each with when it is due."""
    return [(one, due_of(one)) for one in rows]
