"""How the API shows a change request with a subscription."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypedDict

from associations.change_requests.queries import Side, VisibleRequest, open_questions
from associations.change_requests.rules import ChangeStatus
from associations.record.schemas import partner_shape
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.api.schema import Is, Timestamp, timestamp
from por.directory.access import is_own

ChangeStatusCode = Annotated[str, Is(enum=ChangeStatus.values)]


class IncumbentShape(TypedDict):
    """The partner of record while the change request is open. `statement` is null for the other partners."""

    mpn_id: str
    name: str
    since: Timestamp
    statement: str | None


class ChallengerShape(TypedDict):
    """A proposed partner, with the note that the customer wrote for it. `statement` and `note` are null for the other
    partners.
    """

    mpn_id: str
    name: str
    joined_at: Timestamp
    statement: str | None
    note: str | None


class QuestionShape(TypedDict):
    """The open change request of a subscription."""

    id: int
    status: ChangeStatusCode
    incumbent: IncumbentShape
    challengers: list[ChallengerShape]
    opened_at: Timestamp
    due_at: Timestamp


def question_shape(visible: VisibleRequest) -> QuestionShape:
    incumbent = visible.incumbent
    return {
        "id": visible.request.pk,
        "status": visible.request.status,
        "incumbent": {
            **partner_shape(incumbent.partner),
            "since": timestamp(incumbent.since),
            "statement": _text(incumbent),
        },
        "challengers": [
            {
                **partner_shape(one.partner),
                "joined_at": timestamp(one.since),
                "statement": _text(one),
                "note": one.note or None,
            }
            for one in visible.challengers
        ],
        "opened_at": timestamp(visible.request.opened_at),
        "due_at": timestamp(visible.request.due_at),
    }


def question_shapes(actor: Actor, subscriptions: Sequence[int]) -> dict[int, QuestionShape]:
    """Return the open change request of each of these subscriptions, by its key, where the actor may see one.

    A list shows few of them, and fifty subscriptions: so they are read as values, by one query.
    """
    is_partner, shapes = actor.kind == OrganisationKind.PARTNER, dict[int, QuestionShape]()
    for one in open_questions(actor, subscriptions):
        if one.subscription not in shapes:
            reads = not is_partner or is_own(actor, one.incumbent, one.incumbent_company)
            shapes[one.subscription] = {
                "id": one.request,
                "status": one.status,
                "incumbent": {
                    "mpn_id": one.incumbent_mpn_id,
                    "name": one.incumbent_name,
                    "since": timestamp(one.since),
                    "statement": one.incumbent_statement if reads else None,
                },
                "challengers": [],
                "opened_at": timestamp(one.opened_at),
                "due_at": timestamp(one.due_at),
            }
        if one.challenger is not None:
            reads = not is_partner or is_own(actor, one.challenger, one.challenger_company)
            shapes[one.subscription]["challengers"].append(
                {
                    "mpn_id": one.challenger_mpn_id,
                    "name": one.challenger_name,
                    "joined_at": timestamp(one.joined_at),
                    "statement": one.challenger_statement if reads else None,
                    "note": (one.note or None) if reads else None,
                }
            )
    return shapes


def _text(side: Side) -> str | None:
    return side.statement.text if side.statement else None
