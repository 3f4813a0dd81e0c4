"""A partner asks a customer to be of record: by an invitation, which the customer accepts, declines or reports."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from associations.attaching.actions.attach import attach_locked
from associations.invitations.models import Invitation, Invited
from associations.invitations.rules import INVITATION, InvitationStatus
from associations.record import locking, recording
from associations.record.access import subscriptions_visible_to
from associations.record.policies import policy_on
from associations.record.rules import Source
from por.accounts.models import SYSTEM, Actor
from por.db.locks import lock_timeout_as_busy
from por.directory import actions as directory
from por.directory.models import Customer, Partner, Subscription
from por.errors import Locked, NotFound, Refused
from por.history.actions import recording as history

#: So many subscriptions an invitation, and so many invitations a partner sends in a day.
MOST, A_DAY = 50, 200


@transaction.atomic
def invite(tenant_id: uuid.UUID, subscription_ids: Sequence[uuid.UUID], *, by: Actor, message: str = "") -> Invitation:
    """Asks the customer to make the actor's own location of record for these. Nothing changes until it accepts.

    Whose ids they are the partner has from the customer: what does not belong together is refused in one way,
    whatever of it exists. What it has been asked already is not asked twice. Raises Forbidden, Busy, or Refused: on
    `subscription_ids` for what was entered, else for the state of the partner.
    """
    by.require("invitation.write")
    wanted = list(dict.fromkeys(subscription_ids))
    if not wanted or len(wanted) > MOST:
        raise Refused(
            "invalid", _("Choose between 1 and %(most)s subscriptions.") % {"most": MOST}, field="subscription_ids"
        )
    with lock_timeout_as_busy():  # one at a time to a customer, so that a second click finds the first
        Customer.objects.select_for_update(no_key=True).filter(tenant_id=tenant_id).first()
    partner = directory.locked(by.organisation_id or 0)
    directory.require_attachable(partner)
    now = timezone.now()
    sent = Invitation.objects.filter(partner=partner, sent_at__gt=now - timedelta(days=1))
    if sent.count() >= A_DAY:
        raise Locked(
            "too_many_invitations",
            _("You have reached the limit for invitations in one day. Try again tomorrow."),
            retry_after=3600,
        )
    subscriptions = list(
        Subscription.objects.filter(customer__tenant_id=tenant_id, subscription_id__in=wanted)
        .select_related("customer__organisation", "sku")
        .order_by("pk")
    )
    if len(subscriptions) != len(wanted):
        raise Refused(
            "subscription_not_found",
            _("Some of these IDs do not belong to this customer’s subscriptions. Check the IDs with the customer."),
            field="subscription_ids",
        )
    if all(one.status == Subscription.Status.EXPIRED for one in subscriptions):
        raise Refused(
            "subscription_expired", _("You cannot attach a partner because these subscriptions have expired.")
        )
    asked = Invitation.objects.open().filter(partner=partner, expires_at__gt=now)
    if asked.filter(invited__subscription__in=subscriptions).exists():
        raise Refused(
            "already_invited",
            _(
                "You have already invited this customer for some of these subscriptions, and they have not "
                "answered yet. Withdraw that invitation first."
            ),
            field="subscription_ids",
        )
    policy = policy_on(now.date())
    invitation = Invitation.objects.create(
        partner=partner,
        customer=subscriptions[0].customer,
        message=message.strip(),
        sent_at=now,
        expires_at=now + timedelta(days=policy.invitation_days),
        sent_by=by.user,
    )
    Invited.objects.bulk_create(Invited(invitation=invitation, subscription=one) for one in subscriptions)
    _write("invitation.sent", invitation, by=by, at=now, reason=invitation.message)
    return invitation


@transaction.atomic
def accept(invitation_id: uuid.UUID, subscription_ids: Sequence[uuid.UUID], *, by: Actor) -> Invitation:
    """The partner becomes of record for these, all in one step; the invitation is used up, whichever were left out.

    What came of each stands in `invited`: attached, unchanged, change_requested, or refused with a code. Raises
    Absent, Forbidden, Busy, or Refused: on `subscription_ids` for one that was not invited, else by the status.
    """
    invitation = _theirs(invitation_id, "invitation.answer", by=by)
    wanted = set(subscription_ids)
    rows = {row.subscription.subscription_id: row for row in invitation.invited.select_related("subscription")}
    if not wanted or wanted - rows.keys():
        raise Refused("not_invited", _("Choose only subscriptions from the invitation."), field="subscription_ids")
    chosen = sorted((rows[one] for one in wanted), key=lambda row: row.subscription_id)
    with lock_timeout_as_busy():
        subscriptions = list(
            subscriptions_visible_to(by)
            .filter(pk__in=[row.subscription_id for row in chosen])
            .select_related("customer__organisation", "sku")
            .select_for_update(of=("self",), no_key=True)
            .order_by("pk")
        )
    partner = directory.locked(invitation.partner_id)
    directory.require_attachable(partner)
    invitation = _locked(invitation_id)
    _answered(invitation, "accept", now := _now(invitation))
    for row, subscription in zip(chosen, subscriptions, strict=True):
        try:
            with transaction.atomic():
                attached = attach_locked(subscription, partner, by=by, source=Source.INVITATION)
                row.outcome = attached.outcome
        except Refused as refused:
            row.outcome, row.code = "refused", refused.code
        row.save(update_fields=["outcome", "code"])
    outcomes = {str(row.subscription.subscription_id): row.code or row.outcome for row in chosen}
    _write("invitation.accepted", invitation, by=by, at=now, outcomes=outcomes)
    return invitation


@transaction.atomic
def decline(invitation_id: uuid.UUID, *, by: Actor, reason: str = "") -> Invitation:
    """The customer does not want it; the partner reads why. Raises as accept does, by the status."""
    return _turned_down("decline", "invitation.declined", invitation_id, by=by, reason=reason)


@transaction.atomic
def report(invitation_id: uuid.UUID, *, by: Actor, reason: str = "") -> Invitation:
    """The customer finds it improper: to the partner it is declined, and the house reads why."""
    return _turned_down("report", "invitation.reported", invitation_id, by=by, reason=reason)


def _turned_down(step: str, verb: str, invitation_id: uuid.UUID, *, by: Actor, reason: str) -> Invitation:
    _theirs(invitation_id, "invitation.answer", by=by)
    invitation = _locked(invitation_id)
    invitation.reason = reason.strip()
    _answered(invitation, step, now := _now(invitation))
    is_told = verb == "invitation.declined"
    if not is_told:  # all a partner learns of it is that it was declined
        _write("invitation.declined", invitation, by=by, at=now)
    _write(verb, invitation, by=by, at=now, reason=invitation.reason, parties=None if is_told else [])
    return invitation


@transaction.atomic
def revoke(invitation_id: uuid.UUID, *, by: Actor) -> Invitation:
    """The partner takes it back; its link leads to that. Raises Absent, Forbidden, Busy, or Refused by the status."""
    _theirs(invitation_id, "invitation.write", by=by)
    invitation = _locked(invitation_id)
    _close(invitation, "revoke", now := _now(invitation))
    _write("invitation.revoked", invitation, by=by, at=now)
    return invitation


@transaction.atomic
def note_opened(invitation_id: uuid.UUID, *, by: Actor) -> None:
    """Somebody of the customer, signed in, looks at it for the first time. Nothing if it is no longer open."""
    invitation = Invitation.objects.filter(invitation_id=invitation_id, customer=by.organisation_id).first()
    if invitation is None:
        raise absent()
    invitation = _locked(invitation_id)
    if invitation.opened_at is None and INVITATION.allows(invitation.status, "open"):
        invitation.opened_at = _now(invitation)
        invitation.save(update_fields=["opened_at"])
        _write("invitation.opened", invitation, by=by, at=invitation.opened_at)


# --- What the clock and the estate do ------------------------------------------------------------------------------


def expire_invitations() -> int:
    """Closes those whose time is over, or of which nothing is left to accept; returns how many it were."""
    alive = Invited.objects.filter(invitation=OuterRef("pk")).exclude(subscription__status=Subscription.Status.EXPIRED)
    late = Invitation.objects.open().filter(expires_at__lte=timezone.now())
    empty = Invitation.objects.open().exclude(Exists(alive))
    closed = Invitation.objects.open().filter(partner__status=Partner.Status.CLOSED)
    done = 0
    for step, found in (
        ("[expiry]", late),
        ("[nothing left to accept]", empty),
        ("[nothing left to accept]", closed),
    ):
        for key in list(found.order_by("pk").values_list("invitation_id", flat=True)):
            done += _expire(key, step)
    return done


@transaction.atomic
def _expire(invitation_id: uuid.UUID, step: str) -> bool:
    invitation = _locked(invitation_id)
    if not INVITATION.allows(invitation.status, step):
        return False
    now = timezone.now()
    _close(invitation, step, now)
    _write("invitation.expired", invitation, by=SYSTEM, at=now)
    return True


# --- Shared --------------------------------------------------------------------------------------------------------


def absent() -> NotFound:
    """Nobody can tell whether there is none, or none of theirs."""
    return NotFound("not_found", _("This invitation does not exist, or you do not have access to it."))


def _theirs(invitation_id: uuid.UUID, right: str, *, by: Actor) -> Invitation:
    """The invitation as it was before any lock, if it is theirs and they may."""
    invitation = Invitation.objects.visible_to(by).filter(invitation_id=invitation_id).first()
    if invitation is None:
        raise absent()
    by.require(right)
    return invitation


def _locked(invitation_id: uuid.UUID) -> Invitation:
    with lock_timeout_as_busy():
        invitations = Invitation.objects.select_related("partner__organisation", "customer__organisation")
        return invitations.select_for_update(of=("self",), no_key=True).get(invitation_id=invitation_id)


def _now(invitation: Invitation) -> datetime:
    """After it was sent, whatever the clocks say. One whose time is over is refused, the clock's round or not."""
    now = locking.next_instant(after=invitation.sent_at)
    if invitation.status == InvitationStatus.SENT and now >= invitation.expires_at:
        raise Refused(*INVITATION.refusals[InvitationStatus.EXPIRED])
    return now


def _answered(invitation: Invitation, step: str, at: datetime) -> None:
    """Closed by the customer, who has looked at it by then, whether or not its page could say so."""
    invitation.opened_at = invitation.opened_at or at
    _close(invitation, step, at)


def _close(invitation: Invitation, step: str, at: datetime) -> None:
    invitation.status = INVITATION.after(invitation.status, step)
    invitation.closed_at = at
    invitation.version += 1
    invitation.save()


def _write(
    verb: str,
    invitation: Invitation,
    *,
    by: Actor,
    at: datetime,
    reason: str = "",
    parties: Sequence[int] | None = None,
    **changes: object,
) -> None:
    """In the customer's chain, as all that is about it; the partner reads it too, unless it is not to."""
    history.record(
        verb,
        history.ObjectRef("invitation", str(invitation.invitation_id), invitation.customer.organisation.name),
        by=by,
        at=at,
        of=invitation.customer_id,
        parties=[invitation.partner_id] if parties is None else parties,
        changes={"partner": recording.named(invitation.partner), **changes},
        reason=reason,
    )
