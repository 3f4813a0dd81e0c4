"""The periods of the partners of record of one subscription."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from associations.change_requests.models import ChangeRequest
from associations.change_requests.rules import ChangeStatus
from associations.record.models import Association
from associations.record.queries import subscription_events
from por.accounts.models import Actor
from por.directory.models import Subscription


@dataclass(frozen=True)
class Period:
    """A time somebody was of record, and who began and ended it; no name where no person of this house did."""

    association: Association
    began_by: str
    ended_by: str


def periods(actor: Actor, subscription: Subscription, as_of: date | None = None) -> list[Period]:
    """Who was of record from when to when, newest first, as far as the actor may know; what was undone is left out.

    As of a day: those that had begun by then, as they stood at its end.
    """
    associations = (
        Association.objects.begun_by(as_of)
        .of_record()
        .visible_to(actor)
        .filter(subscription=subscription)
        .for_listing()
        .select_related("consent")
        .order_by("-began_at", "-pk")
    )
    began, ended = _doers(actor, subscription)
    return [
        Period(one, began_by=began.get(one.pk, ""), ended_by=ended.get(one.pk, "") if one.ended_at else "")
        for one in (one.as_of(as_of) for one in associations)
    ]


def _doers(actor: Actor, subscription: Subscription) -> tuple[dict[int, str], dict[int, str]]:
    """Who began and who ended associations, by their keys; an answer about them may have done both."""
    began: dict[int, str] = {}
    ended: dict[int, str] = {}
    answers: dict[int, str] = {}
    found = {
        "partner_of_record.attached": (began, "association"),
        "partner_of_record.removed": (ended, "association"),
        "change_request.answered": (answers, "change_request"),
    }
    changes = subscription_events(actor, subscription).filter(verb__in=found).order_by("id")
    for verb, changed, name in changes.values_list("verb", "changes", "actor_name"):
        doers, key = found[verb]
        doers[changed[key]] = name
    asked = ChangeRequest.objects.filter(pk__in=list(answers), status=ChangeStatus.ANSWERED).select_related("incumbent")
    for request in asked:  # none are asked for where there are none
        if request.made_id:
            began[request.made_id] = answers[request.pk]
        if request.incumbent.ended_at == request.closed_at:
            ended[request.incumbent_id] = answers[request.pk]
    return began, ended
