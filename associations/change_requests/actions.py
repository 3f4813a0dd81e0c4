"""Change requests: another partner is proposed, the partners submit statements, and the customer answers.

The partner of record stays until the customer answers. A change request is locked by its subscription.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from associations.change_requests.events import AnswerEvent, ChangeRequestEvent
from associations.change_requests.models import Challenger, ChangeRequest, Statement, choices_of
from associations.change_requests.rules import CHANGE_REQUEST, NO_CHOICE, Cancellation, ChangeStatus
from associations.record import actions as record
from associations.record import describing, locking, recording
from associations.record.models import Association
from associations.record.policies import Policy, policy_on
from associations.record.rules import EndReason, Source
from por.accounts import zones
from por.accounts.models import SYSTEM, Actor, Membership
from por.accounts.rules import Right
from por.db import prepared
from por.directory import actions as directory
from por.directory.access import partners_of
from por.directory.models import Partner, Subscription
from por.directory.rules import normal_mpn_id
from por.errors import NotFound, Refused, VersionConflict
from por.web.formatting import Deadline


def open_or_join(
    subscription: Subscription, incumbent: Association, partner: Partner, *, by: Actor, note: str = ""
) -> ChangeRequest:
    """Open a change request between the incumbent and this partner, or add the partner to the open one; return it.

    Proposing the same partner again changes nothing. The caller has locked the subscription, the incumbent and the
    partner, and has checked that the partner may be attached.
    """
    requests = requests_of(subscription)
    request = next((one for one in requests if one.status == ChangeStatus.OPEN), None)
    if request is not None and request.challengers.filter(partner=partner).exists():
        return request
    locking.partner_of(incumbent)
    now = locking.next_instant(locking.latest(subscription), requests)
    verb: str = ChangeRequestEvent.OPENED
    if request is None:
        request = _opened(subscription, incumbent, at=now)
    else:
        verb = ChangeRequestEvent.JOINED
        _step(request, "propose another partner")
        request.save(update_fields=["version"])
    challenger = Challenger.objects.create(request=request, partner=partner, joined_at=now, note=note.strip())
    _record(verb, request, by=by, at=now, partner=recording.named(partner))
    if challenger.note:  # in an event of its own, because the other partners read the first one
        _record_privately(ChangeRequestEvent.NOTED, request, by=by, at=now, reason=challenger.note, partner=partner)
    return request


def policy_of(moment: datetime) -> Policy:
    """Return the policy in force on the day of an instant."""
    return policy_on(moment.date())


def deadline_of(subscription: Subscription, at: datetime) -> Deadline:
    """Return the last day on which a change request that is opened at this instant can be answered."""
    zone = subscription.customer.organisation.time_zone
    day = policy_of(at).answer_by(zones.day_in(zone, at))
    return Deadline(day, zones.end_of_day(day, zone))


@transaction.atomic
def answer(
    request_id: int, mpn_id: str | None, *, by: Actor, statement: str = "", version: int | None = None
) -> ChangeRequest:
    """Answer for the customer which partner is doing the work: a party, or None for neither; return the change request.

    The partner of record changes in the same transaction. Raises NotFound, Forbidden, VersionConflict, Locked, Refused
    with the code of the status if the change request is closed, or with that of the partner or subscription if a
    challenger cannot be attached now; on `mpn_id`: `not_a_party`.
    """
    request = _locked(request_id, Right.ANSWER_CHANGE_REQUEST, by=by, version=version)
    subscription = request.subscription
    chosen = None if mpn_id is None else _party(request, mpn_id)
    _step(request, "answer")
    incumbent = request.incumbent
    if incumbent.ended_at is not None or incumbent.undone_at is not None:  # an import has just ended it
        raise Refused(*CHANGE_REQUEST.refusals[ChangeStatus.CANCELLED])
    replaced = chosen is not None and chosen.pk != incumbent.partner_id
    if chosen is not None and replaced:
        locking.require_open_to_attach(subscription)
        directory.require_attachable(directory.locked(chosen.pk))
    now = locking.next_instant(locking.all_associations(subscription), requests_of(subscription))
    if chosen is None:
        record.end(incumbent, at=now, reason=EndReason.REMOVED, note=statement)
    elif replaced:
        request.made = _replace(incumbent, chosen, at=now, why=statement, note=statement)
    _close(request, chosen, by=by, at=now, statement=statement)
    _record_answer(AnswerEvent.ANSWERED, request, chosen, by=by, at=now, reason=request.answer_statement)
    describing.describe([one.pk for one in (incumbent, request.made) if one is not None], in_request=True)
    return request


def switch(
    subscription: Subscription, incumbent: Association, partner: Partner, *, by: Actor, note: str = ""
) -> ChangeRequest:
    """Let this partner replace the incumbent at once; return the change request that this answers.

    An open change request gets the answer, and the partner joins it. Else a change request is opened and answered in
    one step, so that undo leaves none open. The caller has locked the subscription, the incumbent and the partner, and
    has checked that the partner may be attached. Raises Forbidden.
    """
    by.require(Right.ANSWER_CHANGE_REQUEST)
    requests = requests_of(subscription)
    request = next((one for one in requests if one.status == ChangeStatus.OPEN), None)
    former = locking.partner_of(incumbent)
    now = locking.next_instant(locking.all_associations(subscription), requests)
    verb = AnswerEvent.SWITCHED if request is None else AnswerEvent.ANSWERED
    request = request or _opened(subscription, incumbent, at=now)
    request.incumbent = incumbent
    _step(request, "answer")
    note = note.strip()
    request.made = _replace(incumbent, partner, at=now, note=note)
    _close(request, partner, by=by, at=now)
    Challenger.objects.get_or_create(
        request=request, partner=partner, defaults={"joined_at": now, "note": note}
    )  # who was proposed before keeps the note of that time
    more: dict[str, Any] = {"former": recording.named(former)} if verb == AnswerEvent.SWITCHED else {}
    _record_answer(verb, request, partner, by=by, at=now, **more)
    if note:
        _record_privately(ChangeRequestEvent.NOTED, request, by=by, at=now, reason=note, partner=partner)
    describing.describe([incumbent.pk, request.made.pk], in_request=True)
    return request


def _opened(subscription: Subscription, incumbent: Association, *, at: datetime) -> ChangeRequest:
    request = ChangeRequest(subscription=subscription, incumbent=incumbent, opened_at=at)
    request.due_on, request.due_at = deadline_of(subscription, at)
    request.save()
    return request


def _replace(incumbent: Association, partner: Partner, *, at: datetime, why: str = "", note: str) -> Association:
    """End the incumbent, and begin an association of the partner at the same instant; return it."""
    assert incumbent.subscription is not None
    record.end(incumbent, at=at, reason=EndReason.CHANGED, note=why)
    draft = record.draft(incumbent.subscription, partner, source=Source.CHANGE, began_at=at, attached_at=at, note=note)
    return record.begin(draft)


def _close(request: ChangeRequest, chosen: Partner | None, *, by: Actor, at: datetime, statement: str = "") -> None:
    request.chosen, request.answered_by, request.answer_statement = chosen, by.user, statement.strip()
    request.closed_at = at
    request.save()


@transaction.atomic
def submit_statement(request_id: int, text: str, *, by: Actor, version: int | None = None) -> Statement:
    """Save what a party does for the customer, in its own words; return the statement.

    The party may change it while the change request is open. Raises NotFound, Forbidden, VersionConflict, Locked, or
    Refused: on `text` if that is empty, else with the code of the status.
    """
    request = _locked(request_id, Right.SUBMIT_STATEMENT, by=by, version=version)
    if not (text := text.strip()):
        raise Refused("statement_empty", _("Enter what you do for the customer."), field="text")
    partner = _own_party(request, by)
    _step(request, "state")
    now = locking.next_instant(after=request.opened_at)
    saved, created = Statement.objects.get_or_create(
        request=request, partner=partner, defaults={"text": text, "written_at": now}
    )
    if not created and saved.text == text:
        return saved
    if not created:
        saved.text, saved.written_at = text, now
        saved.save(update_fields=["text", "written_at"])
    request.save(update_fields=["version"])
    _record_privately(ChangeRequestEvent.STATED, request, by=by, at=now, reason=text, partner=partner)
    return saved


@transaction.atomic
def forward(request_id: int, member_id: int, *, by: Actor, note: str = "") -> Membership:
    """Ask a colleague, by email, to look at the change request; return them.

    Raises NotFound, Forbidden, Locked, or Refused: on `member`, or with the code of the status.
    """
    request = _locked(request_id, Right.ANSWER_CHANGE_REQUEST, by=by)
    CHANGE_REQUEST.after(request.status, "forward")
    member = (
        Membership.objects.usable().filter(organisation=by.organisation_id, pk=member_id).select_related("user").first()
    )
    if member is None:
        raise Refused("not_a_colleague", _("Choose someone in your organisation."), field="member")
    now = locking.next_instant(after=request.opened_at)
    to = {"user": member.user_id, "name": member.user.name}
    _record_privately(ChangeRequestEvent.FORWARDED, request, by=by, at=now, reason=note.strip(), to=to)
    return member


# --- What scheduled work and other verbs do -----------------------------------------------------------------------


def ask_again(request: ChangeRequest, answered: Partner | None, *, by: Actor, at: datetime) -> None:
    """Open an answered change request again; `answered` is the partner that the answer named.

    The caller has locked everything, takes back what the answer changed in the record, and describes it.
    """
    _step(request, "undo")
    request.chosen = request.made = request.answered_by = None
    request.answer_statement = ""
    _open_again(request, at=at)
    _record_answer(AnswerEvent.ANSWER_UNDONE, request, answered, by=by, at=at)


def reopen_cancelled(request: ChangeRequest, *, by: Actor, at: datetime) -> None:
    """Open a change request again whose incumbent's removal is undone, unless no other partner is left to choose.

    The caller has locked the subscription, and has opened the incumbent again.
    """
    if not choices_of(request.pk).exists():
        return
    _step(request, "undo the removal")
    request.cancelled_because = ""
    _open_again(request, at=at)
    _record(AnswerEvent.REOPENED, request, by=by, at=at)


def _open_again(request: ChangeRequest, *, at: datetime) -> None:
    """Save a change request as open. A deadline that has passed moves to the end of the next business day."""
    request.closed_at, request.reopened_at = None, at
    if request.due_at <= at:
        zone = request.subscription.customer.organisation.time_zone
        request.due_on = policy_of(at).business_day_after(zones.day_in(zone, at), 1)
        request.due_at = zones.end_of_day(request.due_on, zone)
    request.save()


def take_back_switch(request: ChangeRequest, *, by: Actor, at: datetime) -> None:
    """Close the change request of a switch that is undone: no question was open before it, so none is open after it.

    The caller has locked everything, takes back what the switch changed in the record, and describes it.
    """
    _step(request, "undo the switch")
    switched_to = request.chosen
    request.closed_at, request.cancelled_because = at, Cancellation.SWITCH_UNDONE
    request.chosen = request.made = request.answered_by = None
    request.save()
    former = recording.named(request.incumbent.partner)
    _record_answer(AnswerEvent.SWITCH_UNDONE, request, switched_to, by=by, at=at, former=former)


def follow_move(request: ChangeRequest, moved: Association) -> None:
    """Let an open change request go on with the location of the same company that the record has moved to.

    What the company has written stays its statement. The caller has locked the subscription, and records the move.
    """
    _step(request, "move the incumbent")
    request.statements.filter(partner=request.incumbent.partner_id).update(partner=moved.partner)
    request.incumbent = moved
    request.save(update_fields=["incumbent", "version"])


def cancel_open(requests: Sequence[ChangeRequest], why: Cancellation, *, by: Actor, at: datetime) -> None:
    """Cancel the open one of a subscription's change requests, if there is one: there is nothing left to choose."""
    for request in requests:
        if request.status == ChangeStatus.OPEN:
            _step(request, "[no other partner left]" if why in NO_CHOICE else "[no partner of record any more]")
            request.closed_at, request.cancelled_because = at, why
            request.save()
            _record(AnswerEvent.CANCELLED, request, by=by, at=at, why=why)


@transaction.atomic
def expire(request_id: int) -> bool:
    """Close a change request that was not answered in time; return whether it did. The partner of record stays."""
    request = _locked_by_system(request_id)
    now = locking.next_instant([request])
    if request.status != ChangeStatus.OPEN or now < request.due_at:
        return False
    _step(request, "[deadline]")
    request.closed_at = now
    request.save()
    _record(AnswerEvent.EXPIRED, request, by=SYSTEM, at=now)
    return True


@transaction.atomic
def remind(request_id: int) -> bool:
    """Remind the customer if a reminder is due, once however many were missed; return whether it did."""
    request = _locked_by_system(request_id)
    now = locking.next_instant([request])
    due = sum(moment <= now for moment in reminders_of(request))
    if request.status != ChangeStatus.OPEN or now >= request.due_at or due <= request.reminders:
        return False
    request.reminders = due
    request.save(update_fields=["reminders"])
    _record_privately(ChangeRequestEvent.REMINDED, request, by=SYSTEM, at=now, number=due)
    return True


def reminders_of(request: ChangeRequest) -> list[datetime]:
    """Return when the customer is reminded: the ends of its business days, by the policy of the day it was opened."""
    policy, zone = policy_of(request.opened_at), request.subscription.customer.organisation.time_zone
    opened_on = zones.day_in(zone, request.opened_at)
    return [
        zones.end_of_day(policy.business_day_after(opened_on, days), zone) for days in policy.change_request_reminders
    ]


def expire_and_remind() -> int:
    """Close change requests and send reminders that are due; return how many. It may run at any time, and twice."""
    now = timezone.now()
    count = 0
    found = ChangeRequest.objects.open().select_related("subscription__customer__organisation")
    for request in found.order_by("due_at"):
        if request.due_at <= now:
            count += expire(request.pk)
        elif sum(moment <= now for moment in reminders_of(request)) > request.reminders:
            count += remind(request.pk)
    return count


def cancel_overtaken() -> int:
    """Cancel the open change requests that an import has made pointless; return how many.

    Their partner of record has ended, the accounts of all proposed partners are closed, or these now belong to the
    company of the partner of record.
    """
    open_ones = ChangeRequest.objects.open()
    if not open_ones.exists():  # planning the queries below takes 35 ms, also for no rows
        return 0
    ended = open_ones.exclude(incumbent__ended_at=None, incumbent__undone_at=None)
    without_choice = open_ones.exclude(Exists(choices_of(OuterRef("pk"))))
    request_ids = [*ended.values_list("pk", flat=True), *without_choice.values_list("pk", flat=True)]
    return sum(_cancel_if_overtaken(request_id) for request_id in request_ids)


@transaction.atomic
def _cancel_if_overtaken(request_id: int) -> bool:
    request = _locked_by_system(request_id)
    incumbent = request.incumbent
    ended = incumbent.ended_at is not None or incumbent.undone_at is not None
    if request.status != ChangeStatus.OPEN or not (ended or not choices_of(request.pk).exists()):
        return False
    why = Cancellation.SAME_COMPANY
    if ended:
        why = Cancellation.ENDED
    elif _all_closed(request):
        why = Cancellation.PARTNER_CLOSED
    cancel_open([request], why, by=SYSTEM, at=locking.next_instant([incumbent], [request]))
    return True


def _all_closed(request: ChangeRequest) -> bool:
    return not request.challengers.exclude(partner__status=Partner.Status.CLOSED).exists()


# --- Shared --------------------------------------------------------------------------------------------------------


def absent() -> NotFound:
    """Return the refusal for a change request that does not exist, and the same for one the actor may not see."""
    return NotFound("not_found", _("This change request does not exist, or you do not have access to it."))


def requests_of(subscription: Subscription) -> list[ChangeRequest]:
    """Return all change requests of the subscription, oldest first. The caller has locked it."""
    found = _REQUESTS_OF.all(subscription=subscription.pk)
    for request in found:
        request.subscription = subscription
    return found


_REQUESTS_OF = prepared.PreparedQuery(
    lambda: ChangeRequest.objects.filter(subscription=prepared.Param("subscription")).order_by("opened_at", "pk")
)


def _locked(request_id: int, right: str, *, by: Actor, version: int | None = None) -> ChangeRequest:
    """Return the change request with its subscription, locked until the transaction ends.

    Raises NotFound if the actor may not see it, Forbidden without the right, VersionConflict or Locked.
    """
    if not ChangeRequest.objects.visible_to(by).filter(pk=request_id).exists():
        raise absent()
    by.require(right)
    request = _locked_by_system(request_id)
    if version is not None and request.version != version:
        raise VersionConflict(
            "stale", _("This change request has changed since you opened it. Check the changes, then try again.")
        )
    return request


def _locked_by_system(request_id: int) -> ChangeRequest:
    subscription = locking.locked_by_system(
        ChangeRequest.objects.only("subscription").get(pk=request_id).subscription_id
    )
    request = ChangeRequest.objects.select_related("incumbent__partner__organisation").get(pk=request_id)
    request.subscription = subscription
    return request


def _step(request: ChangeRequest, verb: str) -> None:
    request.status = CHANGE_REQUEST.after(request.status, verb)
    request.version += 1


def _party(request: ChangeRequest, mpn_id: str) -> Partner:
    number = normal_mpn_id(mpn_id)
    for partner in request.parties().values():
        if partner.mpn_id == number:
            return partner
    message = _("This partner is not part of the change request. Choose one of the partners in it, or choose neither.")
    raise Refused("not_a_party", directory.malformed(mpn_id, message), field="mpn_id")


def _own_party(request: ChangeRequest, by: Actor) -> Partner:
    """Return the party the actor acts for. Of several of its company: its own location, else the first."""
    own = set(partners_of(by).values_list("pk", flat=True))
    parties = {pk: partner for pk, partner in request.parties().items() if pk in own}
    return parties.get(by.organisation_id or 0) or next(iter(parties.values()))


def _record(verb: str, request: ChangeRequest, *, by: Actor, at: datetime, reason: str = "", **changes: Any) -> None:
    """Record an event that all parties may read. The subscription's page shows it, so it gets a new version."""
    recording.record_event(
        verb,
        request.subscription,
        by=by,
        at=at,
        parties=_parties(request),
        changes={"change_request": request.pk, **changes},
        reason=reason,
    )


def _record_answer(
    verb: str,
    request: ChangeRequest,
    partner: Partner | None,
    *,
    by: Actor,
    at: datetime,
    reason: str = "",
    **changes: Any,
) -> None:
    """Record an answer. All parties read it, so another event describes the associations, for the customer alone."""
    _record(verb, request, by=by, at=at, reason=reason, fingerprints={}, **_named(partner), **changes)


def _record_privately(
    verb: str,
    request: ChangeRequest,
    *,
    by: Actor,
    at: datetime,
    reason: str = "",
    partner: Partner | None = None,
    **changes: Any,
) -> None:
    """Record an event that the customer reads, and of the parties at most this partner."""
    recording.record_event(
        verb,
        request.subscription,
        by=by,
        at=at,
        parties=[partner.pk] if partner else [],
        changes={"change_request": request.pk, **_named(partner), **changes},
        reason=reason,
        is_new_version=False,
    )


def _named(partner: Partner | None) -> dict[str, Any]:
    """Return the partner for the payload of an event; an answer of neither has none."""
    return {"partner": recording.named(partner)} if partner else {}


def _parties(request: ChangeRequest) -> list[int]:
    return [request.incumbent.partner_id, *request.challengers.values_list("partner", flat=True)]
