"""The question which partner is actually doing the work: asked when another one is named, answered by the customer.

Whoever is of record stays until it is answered. The subscription's lock is that of its questions too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from associations.change_requests.models import Challenger, ChangeRequest, Statement
from associations.change_requests.rules import CHANGE_REQUEST, Cancellation, ChangeStatus
from associations.record import actions as record
from associations.record import locking, recording
from associations.record.models import Association
from associations.record.policies import Policy, policy_on
from associations.record.rules import EndReason, Source
from por.accounts.models import SYSTEM, Actor, Membership
from por.db import prepared
from por.directory import actions as directory
from por.directory.access import partners_of
from por.directory.models import Partner, Subscription
from por.directory.rules import normal_mpn_id
from por.errors import NotFound, Refused, VersionConflict


def open_or_join(
    subscription: Subscription, incumbent: Association, partner: Partner, *, by: Actor, note: str = ""
) -> ChangeRequest:
    """Open a change request between the incumbent and this partner, or add the partner to the open one; return it.

    Naming the same partner again changes nothing. The caller has locked all of them, and the partner may be attached.
    """
    requests = requests_of(subscription)
    request = next((one for one in requests if one.status == ChangeStatus.OPEN), None)
    if request is not None and request.challengers.filter(partner=partner).exists():
        return request
    locking.partner_of(incumbent)
    now = locking.next_instant(locking.latest(subscription), requests)
    verb = "change_request.opened"
    if request is None:
        request = ChangeRequest.objects.create(
            subscription=subscription, incumbent=incumbent, opened_at=now, due_at=policy_of(now).answer_due(now.date())
        )
    else:
        verb = "change_request.joined"
        _step(request, "propose another partner")
        request.save(update_fields=["version"])
    challenger = Challenger.objects.create(request=request, partner=partner, joined_at=now, note=note.strip())
    _write(verb, request, by=by, at=now, reason=challenger.note, partner=recording.named(partner))
    return request


def policy_of(moment: datetime) -> Policy:
    return policy_on(moment.date())


@transaction.atomic
def answer(
    request_id: int, mpn_id: str | None, *, by: Actor, statement: str = "", version: int | None = None
) -> ChangeRequest:
    """The customer says who is actually doing the work: a party, or None for neither. The record follows in one step.

    Raises Absent, Forbidden, Stale, Busy, Refused with the code of the request's status if it is not open any more,
    or of the partner or subscription if a challenger cannot be attached now; on `mpn_id`: `not_a_party`.
    """
    request = _locked(request_id, "change.answer", by=by, version=version)
    subscription = request.subscription
    chosen = None if mpn_id is None else _party(request, mpn_id)
    _step(request, "answer")
    incumbent = request.incumbent
    if incumbent.ended_at is not None or incumbent.undone_at is not None:  # the estate ended it, this very moment
        raise Refused(*CHANGE_REQUEST.refusals[ChangeStatus.CANCELLED])
    moves = chosen is not None and chosen.pk != incumbent.partner_id
    if chosen is not None and moves:
        locking.require_open_to_attach(subscription)
        directory.require_attachable(directory.locked(chosen.pk))
    now = locking.next_instant(locking.all_associations(subscription), requests_of(subscription))
    if chosen is None or moves:
        record.end(incumbent, at=now, reason=EndReason.CHANGED if moves else EndReason.REMOVED, note=statement)
    if chosen is not None and moves:
        made = record.draft(subscription, chosen, source=Source.CHANGE, began_at=now, attached_at=now, note=statement)
        request.made = record.begin(made)
    request.chosen, request.answered_by, request.answer_statement = chosen, by.user, statement.strip()
    request.closed_at = now
    request.save()
    _write("change_request.answered", request, by=by, at=now, reason=request.answer_statement, **_said(chosen))
    return request


@transaction.atomic
def submit_statement(request_id: int, text: str, *, by: Actor, version: int | None = None) -> Statement:
    """Keep what a party says it does for the customer; it may say it again while the change request is open.

    Raises Absent, Forbidden, Stale, Busy, or Refused: on `text` if there is none, else with the code of the status.
    """
    request = _locked(request_id, "change.state", by=by, version=version)
    if not (text := text.strip()):
        raise Refused("statement_empty", _("Enter what you do for the customer."), field="text")
    partner = _own_party(request, by)
    _step(request, "state")
    now = locking.next_instant(after=request.opened_at)
    stated, created = Statement.objects.get_or_create(
        request=request, partner=partner, defaults={"text": text, "written_at": now}
    )
    if not created and stated.text == text:
        return stated
    if not created:
        stated.text, stated.written_at = text, now
        stated.save(update_fields=["text", "written_at"])
    request.save(update_fields=["version"])
    _write_quietly("change_request.stated", request, by=by, at=now, reason=text, partner=partner)
    return stated


@transaction.atomic
def forward(request_id: int, member_id: int, *, by: Actor, note: str = "") -> Membership:
    """Asks a colleague to look at the question: they are told by e-mail. Raises Absent, Forbidden, Busy, Refused."""
    request = _locked(request_id, "change.answer", by=by)
    CHANGE_REQUEST.after(request.status, "forward")
    member = (
        Membership.objects.usable().filter(organisation=by.organisation_id, pk=member_id).select_related("user").first()
    )
    if member is None:
        raise Refused("not_a_colleague", _("Choose someone in your organisation."), field="member")
    now = locking.next_instant(after=request.opened_at)
    to = {"user": member.user_id, "name": member.user.name}
    _write_quietly("change_request.forwarded", request, by=by, at=now, reason=note.strip(), to=to)
    return member


# --- What the clock and other verbs do -----------------------------------------------------------------------------


def ask_again(request: ChangeRequest, answered: Partner | None, *, by: Actor, at: datetime) -> None:
    """Open an answered change request again; `answered` is the partner the answer named.

    Its caller has locked everything, and takes back what the answer did to the record.
    """
    _step(request, "undo")
    request.closed_at, request.reopened_at = None, at
    request.chosen = request.made = request.answered_by = None
    request.answer_statement = ""
    request.save()
    _write("change_request.answer_undone", request, by=by, at=at, **_said(answered))


def cancel_open(requests: Sequence[ChangeRequest], why: Cancellation, *, by: Actor, at: datetime) -> None:
    """Cancels the open one of a subscription's questions, if there is one: nobody is left to ask about."""
    for request in requests:
        if request.status == ChangeStatus.OPEN:
            _step(
                request,
                "[no other partner left]" if why == Cancellation.PARTNER_CLOSED else "[no partner of record any more]",
            )
            request.closed_at, request.cancelled_because = at, why
            request.save()
            _write("change_request.cancelled", request, by=by, at=at, why=why)


@transaction.atomic
def expire(request_id: int) -> bool:
    """Closes a question that was not answered in time, with whoever is of record; says whether it did."""
    request = _locked_by_system(request_id)
    now = locking.next_instant([request])
    if request.status != ChangeStatus.OPEN or now < request.due_at:
        return False
    _step(request, "[deadline]")
    request.closed_at = now
    request.save()
    _write("change_request.expired", request, by=SYSTEM, at=now)
    return True


@transaction.atomic
def remind(request_id: int) -> bool:
    """Reminds the customer if a reminder is due; one, however many were missed. Says whether it did."""
    request = _locked_by_system(request_id)
    now = locking.next_instant([request])
    due = sum(moment <= now for moment in reminders_of(request))
    if request.status != ChangeStatus.OPEN or now >= request.due_at or due <= request.reminders:
        return False
    request.reminders = due
    request.save(update_fields=["reminders"])
    _write_quietly("change_request.reminded", request, by=SYSTEM, at=now, number=due)
    return True


def reminders_of(request: ChangeRequest) -> list[datetime]:
    """When the customer is reminded: at the end of so many business days, by the policy of the day it was opened."""
    policy = policy_of(request.opened_at)
    return [policy.business_days_after(request.opened_at.date(), days) for days in policy.change_request_reminders]


def expire_and_remind() -> int:
    """Close change requests and send reminders that are due; return how many. It may run at any time, and twice."""
    now = timezone.now()
    done = 0
    for request in ChangeRequest.objects.open().order_by("due_at"):
        if request.due_at <= now:
            done += expire(request.pk)
        elif sum(moment <= now for moment in reminders_of(request)) > request.reminders:
            done += remind(request.pk)
    return done


def cancel_overtaken() -> int:
    """Cancels the questions the estate has answered by itself: nobody is of record, or nobody else is left to be."""
    left = Challenger.objects.filter(request=OuterRef("pk")).exclude(partner__status=Partner.Status.CLOSED)
    ended = ChangeRequest.objects.open().exclude(incumbent__ended_at=None, incumbent__undone_at=None)
    alone = ChangeRequest.objects.open().exclude(Exists(left))
    done = 0
    for request_id in [*ended.values_list("pk", flat=True), *alone.values_list("pk", flat=True)]:
        done += _cancel_if_overtaken(request_id)
    return done


@transaction.atomic
def _cancel_if_overtaken(request_id: int) -> bool:
    request = _locked_by_system(request_id)
    incumbent = request.incumbent
    ended = incumbent.ended_at is not None or incumbent.undone_at is not None
    if request.status != ChangeStatus.OPEN or not (ended or _all_closed(request)):
        return False
    why = Cancellation.ENDED if ended else Cancellation.PARTNER_CLOSED
    cancel_open([request], why, by=SYSTEM, at=locking.next_instant([incumbent], [request]))
    return True


def _all_closed(request: ChangeRequest) -> bool:
    return not request.challengers.exclude(partner__status=Partner.Status.CLOSED).exists()


# --- Shared --------------------------------------------------------------------------------------------------------


def absent() -> NotFound:
    """Nobody can tell whether there is none, or none of theirs."""
    return NotFound("not_found", _("This change request does not exist, or you do not have access to it."))


def requests_of(subscription: Subscription) -> list[ChangeRequest]:
    """Return all change requests of the subscription, oldest first. The subscription's lock is theirs too."""
    found = _REQUESTS_OF.all(subscription=subscription.pk)
    for request in found:
        request.subscription = subscription
    return found


_REQUESTS_OF = prepared.PreparedQuery(
    lambda: ChangeRequest.objects.filter(subscription=prepared.Param("subscription")).order_by("opened_at", "pk")
)


def _locked(request_id: int, right: str, *, by: Actor, version: int | None = None) -> ChangeRequest:
    """The question with its subscription, locked until the transaction ends, if it is theirs, they may, and as seen."""
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
    raise Refused(
        "not_a_party",
        _("This partner is not part of the change request. Choose one of the partners in it, or choose neither."),
        field="mpn_id",
    )


def _own_party(request: ChangeRequest, by: Actor) -> Partner:
    """The party the actor speaks for. Where a company is on both sides, the location it acts for, else the first."""
    own = set(partners_of(by).values_list("pk", flat=True))
    parties = {pk: partner for pk, partner in request.parties().items() if pk in own}
    return parties.get(by.organisation_id or 0) or next(iter(parties.values()))


def _write(verb: str, request: ChangeRequest, *, by: Actor, at: datetime, reason: str = "", **changes: Any) -> None:
    """The event of what all parties are told of. The subscription's readers see it, so it gets a new version."""
    recording.record_event(
        verb,
        request.subscription,
        by=by,
        at=at,
        parties=_parties(request),
        changes={"change_request": request.pk, **changes},
        reason=reason,
    )


def _write_quietly(
    verb: str,
    request: ChangeRequest,
    *,
    by: Actor,
    at: datetime,
    reason: str = "",
    partner: Partner | None = None,
    **changes: Any,
) -> None:
    """The event of what is between the customer and one partner, or the customer's own: no other party reads it."""
    recording.record_event(
        verb,
        request.subscription,
        by=by,
        at=at,
        parties=[partner.pk] if partner else [],
        changes={"change_request": request.pk, **_said(partner), **changes},
        reason=reason,
        is_new_version=False,
    )


def _said(partner: Partner | None) -> dict[str, Any]:
    """The partner an event names; an answer names nobody where it is neither."""
    return {"partner": recording.named(partner)} if partner else {}


def _parties(request: ChangeRequest) -> list[int]:
    return [request.incumbent.partner_id, *request.challengers.values_list("partner", flat=True)]
