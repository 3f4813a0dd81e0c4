"""What a member does with the lines of their own inbox. Nobody else hears of it, so nothing is recorded."""

from __future__ import annotations

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from por.accounts.models import Actor
from por.errors import NotFound
from por.notifications.models import Notification, NotificationQuerySet


def finish(notification_id: int, *, by: Actor) -> Notification:
    """Puts a line among those that are done; one that is done already stays as it is. Raises Absent or Forbidden."""
    _theirs(by).filter(pk=notification_id, done_at=None).update(done_at=timezone.now())
    return _one(notification_id, by)


def reopen(notification_id: int, *, by: Actor) -> Notification:
    """Takes that back; an open line stays as it is. Raises Absent or Forbidden."""
    _theirs(by).filter(pk=notification_id).update(done_at=None)
    return _one(notification_id, by)


def finish_all(notification_id: int, *, by: Actor) -> int:
    """Does so for this line and the older ones about the same thing; returns how many it were.

    What has come since they looked stays open. Raises Absent or Forbidden.
    """
    newest = _one(notification_id, by)
    lines = _theirs(by).filter(about=newest.about, pk__lte=newest.pk, done_at=None)
    return lines.update(done_at=timezone.now())


def _theirs(by: Actor) -> NotificationQuerySet:
    by.require_writing()
    return Notification.objects.visible_to(by)


def _one(notification_id: int, by: Actor) -> Notification:
    found = _theirs(by).select_related("event").filter(pk=notification_id).first()
    if found is None:
        raise absent()
    return found


def absent() -> NotFound:
    """Nobody can tell whether there is none, or none of theirs."""
    return NotFound("not_found", _("We could not find this message in your inbox."))
