"""The daily digest: one mail in the morning of its reader, with everything that was not mailed immediately."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from por.accounts.models import Membership
from por.notifications.actions import delivering, notifying
from por.notifications.digest import MESSAGE
from por.notifications.models import Notification


def put_together() -> int:
    """Create the digest of each member for whom one is due; return how many.

    After days on which this did not run, each member gets one digest. Members who are suspended get theirs when they
    are active again.
    """
    due = Notification.objects.put_aside().filter(digest_at__lte=timezone.now(), membership__user__is_active=True)
    members = list(due.order_by("membership").values_list("membership", flat=True).distinct())
    return sum(_put_together(membership_id) for membership_id in members)


@transaction.atomic
def _put_together(membership_id: int) -> bool:
    """Create the digest of one member; return whether it was due. The locked membership lets only one worker do it."""
    found = Membership.objects.usable().select_for_update(of=("self",), skip_locked=True, no_key=True)
    member = found.filter(pk=membership_id).first()
    lines = Notification.objects.put_aside().filter(membership=membership_id)
    if member is None or not lines.filter(digest_at__lte=timezone.now()).exists():
        return False
    taken = list(lines.select_related("event").order_by("pk"))
    digest = notifying.to_member(taken[-1].event, MESSAGE, member)
    digest.save()
    Notification.objects.filter(pk__in=[line.pk for line in taken]).update(digest=digest)
    delivering.wake.after_commit()
    return True
