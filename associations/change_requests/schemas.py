"""How the API shows a change request with a subscription."""

from __future__ import annotations

from typing import Annotated, TypedDict

from associations.change_requests.queries import Side, VisibleRequest
from associations.change_requests.rules import ChangeStatus
from associations.record.schemas import partner_shape
from por.api.schema import Is, Timestamp, timestamp

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


def _text(side: Side) -> str | None:
    return side.statement.text if side.statement else None
