"""Which subscriptions need their partner's attention, and the periods of the partners of record of one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from django.db.models import Exists, OuterRef, Q

from associations.attaching.events import AttachEvent
from associations.attaching.moving_events import MoveEvent
from associations.change_requests.events import AnswerEvent
from associations.change_requests.models import ChangeRequest
from associations.change_requests.rules import ChangeStatus
from associations.record.models import Association
from associations.record.queries import RENEWING_WITHIN, subscription_events
from por.accounts.models import Actor
from por.directory.models import Subscription
from por.directory.queries import show_names_on

#: The statuses in which a subscription is about to end unless the customer renews it.
ENDING = (Subscription.Status.GRACE, Subscription.Status.SUSPENDED)


def needs_attention(today: date, *, subscription: str = "") -> Q:
    """Return the condition that a partner of record should look after a subscription.

    It is renewed within 90 days, in grace or suspended, or the customer is asked about its partner. `subscription` is
    the path to it, "subscription__" for associations.
    """
    renewing = Q(**{f"{subscription}renews_on__range": (today, today + RENEWING_WITHIN)})
    over = Q(**{f"{subscription}status": Subscription.Status.EXPIRED})
    ending = Q(**{f"{subscription}status__in": ENDING})
    asked = ChangeRequest.objects.open().filter(subscription=OuterRef(f"{subscription}pk"))
    return renewing & ~over | ending | Q(Exists(asked))


@dataclass(frozen=True)
class Period:
    """A time when a partner was partner of record, and who began and ended it; "" if no person did that here."""

    association: Association
    began_by: str
    ended_by: str


def periods(actor: Actor, subscription: Subscription, as_of: date | None = None) -> list[Period]:
    """Return the periods that the actor may know of, newest first, without those that were undone.

    As of a day: those that had begun by then, as they were at its end.
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
    found = [one.as_of(as_of) for one in associations]
    if as_of is not None:
        show_names_on(as_of, [one.partner.organisation for one in found])
    began, ended = _who_changed(actor, subscription)
    return [
        Period(one, began_by=began.get(one.pk, ""), ended_by=ended.get(one.pk, "") if one.ended_at else "")
        for one in found
    ]


def _who_changed(actor: Actor, subscription: Subscription) -> tuple[dict[int, str], dict[int, str]]:
    """Return who began and who ended associations, by their keys. An answer to a change request may have done both."""
    began: dict[int, str] = {}
    ended: dict[int, str] = {}
    answers: dict[int, str] = {}
    verbs: dict[str, tuple[dict[int, str], str]] = {
        MoveEvent.MOVED: (began, "association"),
        AttachEvent.ATTACHED: (began, "association"),
        AttachEvent.REMOVED: (ended, "association"),
        AttachEvent.RESIGNED: (ended, "association"),
        AnswerEvent.ANSWERED: (answers, "change_request"),
        AnswerEvent.SWITCHED: (answers, "change_request"),
    }
    changes = subscription_events(actor, subscription).filter(verb__in=verbs).order_by("id")
    for verb, changed, name in changes.values_list("verb", "changes", "actor_name"):
        names, key = verbs[verb]
        names[changed[key]] = name
        if verb == MoveEvent.MOVED:
            ended[changed["former_association"]] = name
    answered = ChangeRequest.objects.filter(pk__in=list(answers), status=ChangeStatus.ANSWERED).select_related(
        "incumbent"
    )
    for request in answered:
        if request.made_id:
            began[request.made_id] = answers[request.pk]
        if request.incumbent.ended_at == request.closed_at:
            ended[request.incumbent_id] = answers[request.pk]
    return began, ended
