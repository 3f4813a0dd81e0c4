"""What pages share: a checked partner, what being of record affects, and looking back to a day."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from associations import actions, reading
from associations.forms import AsOfForm, CheckForm
from associations.models import ChangeRequest
from por.accounts.middleware import Request
from por.accounts.models import Actor
from por.directory import actions as directory
from por.directory.models import Partner, Subscription
from por.directory.portals import affects, who
from por.errors import Absent, Forbidden, Refused
from por.http import NOT_YOURS, address, submit

#: The orders of lists of subscriptions: what belongs together stands together, and the key makes it one order for good.
BY_CUSTOMER = ("customer__organisation__name", "pk")
BY_PRODUCT = ("product", "pk")


def theirs(actor: Actor, subscription_id: uuid.UUID) -> Subscription:
    """The subscription, if the actor may see it; raises Absent."""
    subscription = reading.subscriptions_for_listing(actor).filter(subscription_id=subscription_id).first()
    if subscription is None:
        raise Absent("not_found", NOT_YOURS)
    return subscription


def check_had_started(subscription: Subscription, form: AsOfForm) -> None:
    """A day to look back to from before the subscription is refused, in the form."""
    if form.is_valid() and form.day and form.day < subscription.started_on:
        form.add_error("as_of", _("The subscription had not started on that date. Choose a later date."))


def looking_back(request: Request, form: AsOfForm) -> dict[str, Any]:
    """What a page needs to know of the day it looks back to, once the form that asks for it has been checked."""
    return {
        "as_of_form": form,
        "as_of": form.day,
        "as_of_query": f"?as_of={form.day.isoformat()}" if form.day else "",
        "today_url": address(request, without=["as_of"]),
    }


def being_of_record(subscription: Subscription, as_of: date | None = None, *, own: bool = False) -> dict[str, Any]:
    """What a page says of being of record for a subscription: who should be, and what it affects."""
    scenario = (subscription.agreement, subscription.product, as_of or timezone.now().date())
    return {"who": who(*scenario), "affects": affects(*scenario, trial=subscription.is_trial, own=own)}


def checked(actor: Actor, form: CheckForm) -> Partner | None:
    """Return the partner with the ID in the form; where there is none to show, the form says why."""

    def at_its_field(refused: Refused) -> Refused:
        if isinstance(refused, Forbidden):
            return refused
        return Refused(refused.code, refused.sentence, field="mpn_id")

    sent = submit(form, lambda: directory.check(form.cleaned_data["mpn_id"], by=actor), reword=at_its_field)
    return sent.result if sent.is_done else None


def undoable(actor: Actor, subscription: Subscription, requests: Sequence[ChangeRequest]) -> actions.LastChange | None:
    """The customer's last change, if this actor may take it back and there is still time to."""
    if not actor.may("record.undo"):
        return None
    last = actions.last_change(actions.all_associations(subscription), requests)
    return last if last and timezone.now() <= last.undo_until else None
