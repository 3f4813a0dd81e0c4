"""What a member does with the lines of their own inbox. It concerns no one else, so no event is recorded."""

from __future__ import annotations

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from por.accounts.models import Actor
from por.errors import NotFound
from por.notifications.models import Notification, NotificationQuerySet


def finish(notification_id: int, *, by: Actor) -> Notification:
    """Mark a line as done; do nothing if it is done already. Raises NotFound or Forbidden."""
    _visible(by).filter(pk=notification_id, done_at=None).update(done_at=timezone.now())
    return _one(notification_id, by)


def reopen(notification_id: int, *, by: Actor) -> Notification:
    """Reopen a line; do nothing if it is open. Raises NotFound or Forbidden."""
    _visible(by).filter(pk=notification_id).update(done_at=None)
    return _one(notification_id, by)


def finish_all(notification_id: int, *, by: Actor) -> int:
    """Mark this line and the older ones about the same object as done; return how many lines changed.

    Newer lines, which the reader has not seen, stay open. Raises NotFound or Forbidden.
    """
    newest = _one(notification_id, by)
    lines = _visible(by).filter(about=newest.about, pk__lte=newest.pk, done_at=None)
    return lines.update(done_at=timezone.now())


def _visible(by: Actor) -> NotificationQuerySet:
    by.require_writing()
    return Notification.objects.visible_to(by)


def _one(notification_id: int, by: Actor) -> Notification:
    found = _visible(by).select_related("event").filter(pk=notification_id).first()
    if found is None:
        raise not_found()
    return found


def not_found() -> NotFound:
    """Return the refusal of a line that does not exist, or is in the inbox of someone else."""
    return NotFound("not_found", _("We could not find this message in your inbox."))
