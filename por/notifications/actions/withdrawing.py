"""Withdrawing mail about what has been undone or is no longer so, if it has not left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from por.history.events import spec_of
from por.history.models import Event
from por.notifications.models import DIGEST, Delivery


def withdraw(deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Return the new deliveries without those that tell of an undo to someone who never got mail of what is undone.

    That mail is withdrawn, among the new deliveries and among those that wait. One that a sender has taken may have
    left: then both are sent. The inbox has a line for each in any case.
    """
    events = {one.event.pk: one.event for one in deliveries if one.event is not None}
    undone = {pk: before for pk, event in events.items() if (before := _undone_by(event)) is not None}
    if not undone:
        return list(deliveries)
    gone = set()
    for one in deliveries:
        if one.event_id in undone.values() and one.status == Delivery.Status.WAITING:
            one.status = Delivery.Status.WITHDRAWN
            gone.add((one.event_id, one.organisation_id, one.recipient))
    withdraw_waiting(undone.values())
    stored = Delivery.objects.filter(event__in=undone.values()).exclude(template=DIGEST)  # as the index of events
    withdrawn = stored.filter(status=Delivery.Status.WITHDRAWN)  # by an earlier call too
    gone |= set(withdrawn.values_list("event_id", "organisation_id", "recipient"))
    return [
        one for one in deliveries if (undone.get(one.event_id or 0), one.organisation_id, one.recipient) not in gone
    ]


def withdraw_waiting(events: Iterable[int]) -> None:
    """Withdraw the mail about these events that waits and that no sender has taken. Lines of inboxes stay."""
    waiting = Delivery.objects.filter(event__in=events).waiting().filter(is_taken=False)
    waiting.update(status=Delivery.Status.WITHDRAWN)


def _undone_by(event: Event) -> int | None:
    """Return the event that this one undoes: the last of its kind about the same object; None if it undoes none."""
    spec = spec_of(event.verb)
    if spec is None or not spec.undoes:
        return None
    earlier = Event.objects.filter(
        chain=event.chain, object_kind=event.object_kind, object_id=event.object_id, verb__in=spec.undoes
    )
    return earlier.filter(seq__lt=event.seq).order_by("-seq").values_list("pk", flat=True).first()
