"""What can be done with an invitation: send, accept, decline, report, revoke, open and expire."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from associations.attaching.actions.attach import attach_locked
from associations.delegated_admin import actions as administrators
from associations.invitations.events import InvitationEvent
from associations.invitations.models import Invitation, Invited
from associations.invitations.rules import INVITATION, Administering, InvitationStatus
from associations.record import locking, recording
from associations.record.access import subscriptions_visible_to
from associations.record.policies import policy_on
from associations.record.rules import Source
from por.accounts import zones
from por.accounts.models import SYSTEM, Actor
from por.accounts.rules import Right
from por.db.locks import lock_timeout_as_busy
from por.directory import actions as directory
from por.directory.models import Customer, Partner, Subscription
from por.errors import NotFound, RateLimited, Refused
from por.history.actions import recording as history
from por.web.formatting import Deadline

#: How many subscriptions an invitation may have, and how many invitations a partner may send in a day.
MOST, A_DAY = 50, 200


@transaction.atomic
def invite(
    tenant_id: uuid.UUID,
    subscription_ids: Sequence[uuid.UUID],
    *,
    by: Actor,
    message: str = "",
    delegated_admin: bool = False,
) -> Invitation:
    """Ask the customer to make the actor's location the partner of record. Nothing changes until it accepts.

    With `delegated_admin`, it also asks to be a delegated administrator of the whole tenant.

    The partner gets the ids from the customer. If they do not belong together, the refusal is the same whatever exists,
    so it reveals nothing. A subscription cannot be in two open invitations of one partner. Raise Forbidden, Locked, or
    Refused: on `subscription_ids` for what was entered, else for the state of the partner.
    """
    by.require(Right.INVITE)
    wanted = list(dict.fromkeys(subscription_ids))
    if not wanted or len(wanted) > MOST:
        raise Refused(
            "invalid", _("Choose between 1 and %(most)s subscriptions.") % {"most": MOST}, field="subscription_ids"
        )
    _lock_customer(tenant_id)
    partner = directory.locked(by.organisation_id or 0)
    directory.require_attachable(partner)
    now = timezone.now()
    if sent_in_a_day(partner.pk) >= A_DAY:
        raise too_many()
    subscriptions, refused = _invitable(tenant_id, wanted, partner.pk)
    codes = set(refused.values())
    if "subscription_not_found" in codes:
        raise Refused(
            "subscription_not_found",
            _("Some of these IDs do not belong to this customer’s subscriptions. Check the IDs with the customer."),
            field="subscription_ids",
        )
    if all(one.status == Subscription.Status.EXPIRED for one in subscriptions):
        raise Refused(
            "subscription_expired", _("You cannot attach a partner because these subscriptions have expired.")
        )
    if "already_invited" in codes:
        raise Refused(
            "already_invited",
            _(
                "You have already invited this customer for some of these subscriptions, and they have not "
                "answered yet. Withdraw that invitation first."
            ),
            field="subscription_ids",
        )
    deadline = deadline_of(subscriptions[0].customer.organisation.time_zone, now)
    invitation = Invitation.objects.create(
        partner=partner,
        customer=subscriptions[0].customer,
        asks_to_administer=delegated_admin,
        message=message.strip(),
        sent_at=now,
        expires_on=deadline.day,
        expires_at=deadline.ends_at,
        sent_by=by.user,
    )
    Invited.objects.bulk_create(Invited(invitation=invitation, subscription=one) for one in subscriptions)
    asks: dict[str, Any] = {"delegated_admin": True} if delegated_admin else {}
    _record_event(InvitationEvent.SENT, invitation, by=by, at=now, reason=invitation.message, **asks)
    return invitation


def deadline_of(zone: str, at: datetime) -> Deadline:
    """Return the last day on which a customer in this zone can answer an invitation that is sent at this instant."""
    today = zones.day_in(zone, at)
    day = today + timedelta(days=policy_on(today).invitation_days)
    return Deadline(day, zones.end_of_day(day, zone))


def obstacles(tenant_id: uuid.UUID, subscription_ids: Sequence[uuid.UUID], *, by: Actor) -> dict[uuid.UUID, str]:
    """Return the subscriptions that the partner cannot invite for now, each with a code.

    They stay so until the transaction ends: the customer is locked, as by `invite`. Raise Locked, and RateLimited if no
    more invitations can be sent today, so that it shows no more than `invite`.
    """
    _lock_customer(tenant_id)
    if sent_in_a_day(by.organisation_id or 0) >= A_DAY:
        raise too_many()
    return _invitable(tenant_id, subscription_ids, by.organisation_id or 0)[1]


def sent_in_a_day(partner_id: int) -> int:
    """Return how many invitations the partner has sent in the last 24 hours."""
    return Invitation.objects.filter(partner=partner_id, sent_at__gt=timezone.now() - timedelta(days=1)).count()


def too_many() -> RateLimited:
    """Return the refusal for more invitations than can be sent in a day."""
    message = _("You have reached the limit for invitations in one day. Try again tomorrow.")
    return RateLimited("too_many_invitations", message, retry_after=3600)


def _lock_customer(tenant_id: uuid.UUID) -> None:
    """Let one invitation at a time be sent to a customer, so that a second click finds the first one."""
    with lock_timeout_as_busy():
        Customer.objects.select_for_update(no_key=True).filter(tenant_id=tenant_id).first()


def _invitable(
    tenant_id: uuid.UUID, wanted: Sequence[uuid.UUID], partner_id: int
) -> tuple[list[Subscription], dict[uuid.UUID, str]]:
    """Return the customer's subscriptions among these, and the code of why not for each that cannot be invited for."""
    subscriptions = list(
        Subscription.objects.filter(customer__tenant_id=tenant_id, subscription_id__in=wanted)
        .select_related("customer__organisation", "sku")
        .order_by("pk")
    )
    refused = dict.fromkeys(wanted, "subscription_not_found")
    still_open = Invitation.objects.open().filter(partner=partner_id, expires_at__gt=timezone.now())
    invited = Invited.objects.filter(invitation__in=still_open, subscription__in=subscriptions)
    already = set(invited.values_list("subscription", flat=True))
    for one in subscriptions:
        del refused[one.subscription_id]
        if one.pk in already:
            refused[one.subscription_id] = "already_invited"
        elif one.status == Subscription.Status.EXPIRED:
            refused[one.subscription_id] = "subscription_expired"
    return subscriptions, refused


@transaction.atomic
def accept(
    invitation_id: uuid.UUID, subscription_ids: Sequence[uuid.UUID], *, by: Actor, delegated_admin: bool = False
) -> Invitation:
    """Attach the partner to these subscriptions in one step, and close the invitation, even if some were left out.

    The outcome of each is in `invited`: attached, unchanged, change_requested, or refused with a code. If the
    invitation asks for it, `delegated_admin` makes the partner a delegated administrator of the tenant too; then the
    subscriptions may all be left out. Raise NotFound, Forbidden, Locked, or Refused: on `subscription_ids` and
    `delegated_admin` for what was not invited, else by the status.
    """
    invitation = _get_visible(invitation_id, Right.ANSWER_INVITATION, by=by)
    wanted = set(subscription_ids)
    rows = {row.subscription.subscription_id: row for row in invitation.invited.select_related("subscription")}
    if delegated_admin and not invitation.asks_to_administer:
        message = _("The invitation does not ask to be a delegated administrator.")
        raise Refused("not_invited", message, field="delegated_admin")
    if not (wanted or delegated_admin) or wanted - rows.keys():
        raise Refused("not_invited", _("Choose only subscriptions from the invitation."), field="subscription_ids")
    if delegated_admin:
        customer = administrators.locked_customer(invitation.customer_id)
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
    _close_by_customer(invitation, "accept", now := _next_instant(invitation))
    for row, subscription in zip(chosen, subscriptions, strict=True):
        try:
            with transaction.atomic():
                attached = attach_locked(subscription, partner, by=by, source=Source.INVITATION)
                row.outcome = "attached" if attached.outcome == "moved" else attached.outcome
        except Refused as refused:
            row.outcome, row.code = "refused", refused.code
        row.save(update_fields=["outcome", "code"])
    outcomes: dict[str, Any] = {
        "outcomes": {str(row.subscription.subscription_id): row.code or row.outcome for row in chosen}
    }
    if invitation.asks_to_administer:
        invitation.administering = Administering.LEFT_OUT
        if delegated_admin:
            is_new = administrators.begin(customer, partner, by=by)
            invitation.administering = Administering.ACCEPTED if is_new else Administering.UNCHANGED
        invitation.save(update_fields=["administering"])
        outcomes["delegated_admin"] = str(invitation.administering)
    _record_event(InvitationEvent.ACCEPTED, invitation, by=by, at=now, **outcomes)
    return invitation


@transaction.atomic
def decline(invitation_id: uuid.UUID, *, by: Actor, reason: str = "") -> Invitation:
    """Decline the invitation; the partner can read why. Raise like accept, by the status."""
    return _turn_down("decline", InvitationEvent.DECLINED, invitation_id, by=by, reason=reason)


@transaction.atomic
def report(invitation_id: uuid.UUID, *, by: Actor, reason: str = "") -> Invitation:
    """Report the invitation as improper: the partner sees it as declined, only the staff can read why."""
    return _turn_down("report", InvitationEvent.REPORTED, invitation_id, by=by, reason=reason)


def _turn_down(step: str, verb: InvitationEvent, invitation_id: uuid.UUID, *, by: Actor, reason: str) -> Invitation:
    _get_visible(invitation_id, Right.ANSWER_INVITATION, by=by)
    invitation = _locked(invitation_id)
    invitation.reason = reason.strip()
    _close_by_customer(invitation, step, now := _next_instant(invitation))
    is_declined = verb == InvitationEvent.DECLINED
    if not is_declined:  # the partner may only learn that it was declined
        _record_event(InvitationEvent.DECLINED, invitation, by=by, at=now)
    _record_event(verb, invitation, by=by, at=now, reason=invitation.reason, parties=None if is_declined else [])
    return invitation


@transaction.atomic
def revoke(invitation_id: uuid.UUID, *, by: Actor) -> Invitation:
    """Withdraw the partner's invitation. Raise NotFound, Forbidden, Locked, or Refused by the status."""
    _get_visible(invitation_id, Right.INVITE, by=by)
    invitation = _locked(invitation_id)
    _close(invitation, "revoke", now := _next_instant(invitation))
    _record_event(InvitationEvent.REVOKED, invitation, by=by, at=now)
    return invitation


@transaction.atomic
def note_opened(invitation_id: uuid.UUID, *, by: Actor) -> None:
    """Note that a member of the customer looks at the invitation for the first time. Do nothing if it is closed."""
    invitation = Invitation.objects.filter(invitation_id=invitation_id, customer=by.organisation_id).first()
    if invitation is None:
        raise absent()
    invitation = _locked(invitation_id)
    if invitation.opened_at is None and INVITATION.allows(invitation.status, "open"):
        invitation.opened_at = _next_instant(invitation)
        invitation.save(update_fields=["opened_at"])
        _record_event(InvitationEvent.OPENED, invitation, by=by, at=invitation.opened_at)


# --- Run by the scheduler and after an import -----------------------------------------------------------------------


def expire_invitations() -> int:
    """Close the invitations whose time is over or with nothing left to accept. Return how many were closed."""
    alive = Invited.objects.filter(invitation=OuterRef("pk")).exclude(subscription__status=Subscription.Status.EXPIRED)
    late = Invitation.objects.open().filter(expires_at__lte=timezone.now())
    empty = Invitation.objects.open().exclude(Exists(alive))
    closed = Invitation.objects.open().filter(partner__status=Partner.Status.CLOSED)
    count = 0
    for step, found in (
        ("[expiry]", late),
        ("[nothing left to accept]", empty),
        ("[nothing left to accept]", closed),
    ):
        for key in list(found.order_by("pk").values_list("invitation_id", flat=True)):
            count += _expire(key, step)
    return count


@transaction.atomic
def _expire(invitation_id: uuid.UUID, step: str) -> bool:
    invitation = _locked(invitation_id)
    if not INVITATION.allows(invitation.status, step):
        return False
    now = timezone.now()
    _close(invitation, step, now)
    _record_event(InvitationEvent.EXPIRED, invitation, by=SYSTEM, at=now)
    return True


# --- Shared ---------------------------------------------------------------------------------------------------------


def absent() -> NotFound:
    """Return the refusal, the same whether there is no such invitation or the actor may not see it."""
    return NotFound("not_found", _("This invitation does not exist, or you do not have access to it."))


def _get_visible(invitation_id: uuid.UUID, right: Right, *, by: Actor) -> Invitation:
    """Return the invitation, not locked. Raise NotFound if the actor may not see it, Forbidden without the right."""
    invitation = Invitation.objects.visible_to(by).filter(invitation_id=invitation_id).first()
    if invitation is None:
        raise absent()
    by.require(right)
    return invitation


def _locked(invitation_id: uuid.UUID) -> Invitation:
    with lock_timeout_as_busy():
        invitations = Invitation.objects.select_related("partner__organisation", "customer__organisation")
        return invitations.select_for_update(of=("self",), no_key=True).get(invitation_id=invitation_id)


def _next_instant(invitation: Invitation) -> datetime:
    """Return an instant after the invitation was sent, even if clocks differ.

    Raise Refused if its time is over, whether or not `expire_invitations` has closed it.
    """
    now = locking.next_instant(after=invitation.sent_at)
    if invitation.status == InvitationStatus.SENT and now >= invitation.expires_at:
        raise Refused(*INVITATION.refusals[InvitationStatus.EXPIRED])
    return now


def _close_by_customer(invitation: Invitation, step: str, at: datetime) -> None:
    """Close the invitation. The customer has looked at it by now, even if its page could not report that."""
    invitation.opened_at = invitation.opened_at or at
    _close(invitation, step, at)


def _close(invitation: Invitation, step: str, at: datetime) -> None:
    invitation.status = INVITATION.after(invitation.status, step)
    invitation.closed_at = at
    invitation.version += 1
    invitation.save()


def _record_event(
    verb: InvitationEvent,
    invitation: Invitation,
    *,
    by: Actor,
    at: datetime,
    reason: str = "",
    parties: Sequence[int] | None = None,
    **changes: object,
) -> None:
    """Record the event in the customer's chain. The partner can read it too, unless `parties` are given."""
    history.record(
        verb,
        history.ObjectRef("invitation", str(invitation.invitation_id), invitation.customer.organisation.name),
        by=by,
        at=at,
        chain=invitation.customer_id,
        parties=[invitation.partner_id] if parties is None else parties,
        changes={"partner": recording.named(invitation.partner), **changes},
        reason=reason,
    )
