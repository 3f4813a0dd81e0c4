"""What the pages that attach a partner share."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.utils import timezone

from associations.attaching.events import ATTACHED_MAIL, REMOVED_MAIL
from associations.attaching.forms import CheckForm
from associations.attaching.moving_events import MOVED_FROM, MOVED_TO
from associations.attaching.start_events import DATED_BACK_MAIL
from associations.change_requests.models import ChangeRequest
from associations.change_requests.queries import LastChange, Told, told, told_of_answer
from por.accounts.models import Actor
from por.directory import actions as directory
from por.directory.models import Partner, Subscription
from por.directory.portals import affects, who
from por.errors import Forbidden, Refused
from por.notifications.actions.notifying import Reach
from por.web.pages import submit


def being_of_record(subscription: Subscription, as_of: date | None = None, *, own: bool = False) -> dict[str, Any]:
    """Return what a page shows about the partner of record of a subscription: who it should be, and the effects."""
    scenario = (subscription.agreement, subscription.product, as_of or timezone.localdate())
    return {"who": who(*scenario), "affects": affects(*scenario, trial=subscription.is_trial, own=own)}


def checked(actor: Actor, form: CheckForm) -> Partner | None:
    """Return the partner with the ID in the form; None, with an error in the form, where there is none to show."""

    def at_its_field(refused: Refused) -> Refused:
        if isinstance(refused, Forbidden):
            return refused
        return Refused(refused.code, refused.message, field="mpn_id")

    sent = submit(form, lambda: directory.check(form.cleaned_data["mpn_id"], by=actor), reword=at_its_field)
    return sent.result if sent.is_done else None


def told_of(last: LastChange) -> list[Told]:
    """Return how the partners are told of the customer's last change."""
    if last.request is not None:
        return told_of_answer(ChangeRequest.objects.for_listing().get(pk=last.request.pk))
    if last.what == "moved" and last.ended is not None:
        return told({last.association.partner: MOVED_TO, last.ended.partner: MOVED_FROM})
    if last.redated is not None:
        return told({last.redated.partner: DATED_BACK_MAIL})
    return told({last.association.partner: ATTACHED_MAIL if last.what == "attached" else REMOVED_MAIL})


def is_told_of_end(partner: Partner) -> bool:
    """Return whether anyone would be told if the partner were removed."""
    return told({partner: REMOVED_MAIL})[0][1] != Reach.NO_ONE
