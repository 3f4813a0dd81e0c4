"""Moving the record between locations of one company. It stays with the company, so nobody is asked."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from associations.attaching.moving_events import MoveEvent
from associations.change_requests import actions as change_requests
from associations.change_requests.models import ChangeRequest
from associations.change_requests.rules import CHANGE_REQUEST, ChangeStatus
from associations.record import actions as record
from associations.record import bulk, locking, recording
from associations.record.access import all_visible_to
from associations.record.describing import fingerprints_of
from associations.record.models import Association
from associations.record.rules import EndReason, Source
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.db.locks import lock_timeout_as_busy
from por.directory import actions as directory
from por.directory.access import partners_of
from por.directory.models import Partner, Subscription
from por.directory.rules import normal_mpn_id
from por.errors import Refused
from por.history.actions import recording as history

#: The most subscriptions that one act moves. They are locked together.
MOST = 1000


def open_request(requests: Iterable[ChangeRequest]) -> ChangeRequest | None:
    return next((one for one in requests if one.status == ChangeStatus.OPEN), None)


def names(request: ChangeRequest | None, partner: Partner) -> bool:
    """Return whether the partner is proposed in the change request: then the customer's answer decides."""
    return request is not None and request.challengers.filter(partner=partner).exists()


# --- By the customer, which names another location ------------------------------------------------------------------


def move_locked(
    subscription: Subscription,
    current: Association,
    partner: Partner,
    *,
    by: Actor,
    source: Source,
    at: datetime,
    note: str,
    request: ChangeRequest | None,
) -> Association:
    """End the record of the current location, and begin that of another one of its company; return the new one.

    An open change request goes on with the new location. The caller has locked and checked everything.
    """
    record.end(current, at=at, reason=EndReason.MOVED)
    draft = record.draft(subscription, partner, source=source, began_at=at, attached_at=at, note=note)
    association = record.begin(draft)
    changes = moved(current, association)
    if request is not None:
        change_requests.follow_move(request, association)
        changes["change_request"] = request.pk
    recording.record_event(
        MoveEvent.MOVED,
        subscription,
        by=by,
        at=at,
        association=association,
        parties=[current.partner_id],
        changes=changes,
    )
    return association


def moved(former: Association, association: Association) -> dict[str, Any]:
    """Return what the event of a move says of both associations."""
    return {
        "former_association": former.pk,
        "former": recording.named(former.partner),
        "to": recording.named(association.partner),
        "fingerprints": fingerprints_of(former, association),
    }


# --- By the company, for many subscriptions -------------------------------------------------------------------------


class Outcome(NamedTuple):
    """The outcome of one subscription; `refused` says why it was not moved."""

    subscription_id: uuid.UUID
    subscription: Subscription | None
    code: Literal["moved", "unchanged", "refused"]
    refused: Refused | None = None


class Moves(NamedTuple):
    """The outcomes of an act, and how many subscriptions of the location it left for the next one."""

    former: Partner
    to: Partner
    outcomes: list[Outcome]
    left: int = 0


@transaction.atomic
def move(from_mpn_id: str, to_mpn_id: str, subscription_ids: Sequence[uuid.UUID] | None = None, *, by: Actor) -> Moves:
    """Move the record of chosen subscriptions, or of all, between two locations of the actor's company.

    All of them are locked and moved in one transaction, up to MOST. One that cannot be moved keeps its record and says
    why. Customers and both locations are told once each. Raises Forbidden, Locked, `partner_suspended`, or Refused:
    `not_your_mpn_id` on either MPN ID, `partner_is_global`, `same_location` or `partner_closed` on `to_mpn_id`,
    `too_many_rows` on `subscription_ids`.
    """
    by.require(Right.MOVE)
    former, to = _location(from_mpn_id, "from_mpn_id", by), _location(to_mpn_id, "to_mpn_id", by)
    if former.pk == to.pk:
        raise Refused("same_location", _("Choose another location than the first one."), field="to_mpn_id")
    if subscription_ids is not None and len(subscription_ids) > MOST:
        message = _("Move at most %(most)s subscriptions at a time.") % {"most": MOST}
        raise Refused("too_many_rows", message, field="subscription_ids")
    found, left = _locked(former, subscription_ids, by)
    _require_both(former, to)
    outcomes = _move_each(found, former, to, by=by)
    if subscription_ids is None:
        return Moves(former, to, list(outcomes.values()), left)
    unknown = locking.absent()
    return Moves(
        former,
        to,
        [outcomes.get(one, Outcome(one, None, "refused", unknown)) for one in dict.fromkeys(subscription_ids)],
    )


def _location(mpn_id: str, field: str, by: Actor) -> Partner:
    """Return a location of the actor's company. Raises the same for an ID of another partner and an unknown one."""
    own = partners_of(by).exclude(status=Partner.Status.CLOSED).select_related("organisation")
    partner = own.filter(mpn_id=normal_mpn_id(mpn_id) or "").first()
    if partner is None:
        message = directory.malformed(mpn_id, _("Enter the MPN ID of one of your own locations."))
        raise Refused("not_your_mpn_id", message, field=field)
    if partner.kind == Partner.Kind.GLOBAL and field == "to_mpn_id":
        raise Refused("partner_is_global", directory.MESSAGES["partner_is_global"], field=field)
    return partner


def _locked(former: Partner, subscription_ids: Sequence[uuid.UUID] | None, by: Actor) -> tuple[list[Subscription], int]:
    """Return the subscriptions to move, locked in the order of their keys, and how many are left for another act."""
    left = 0
    chosen = Subscription.objects.select_related("customer__organisation", "sku").order_by("pk")
    if subscription_ids is None:
        held = Association.objects.open().of_record().filter(partner=former).order_by("subscription")
        keys = [one.subscription_id for one in held[:MOST] if one.subscription_id is not None]
        left = held.count() - len(keys) if len(keys) == MOST else 0
        chosen = chosen.filter(pk__in=keys)
    else:
        visible = all_visible_to(by).filter(left_at=None, subscription_id__in=subscription_ids)
        chosen = chosen.filter(pk__in=[one.pk for one in visible])
    with lock_timeout_as_busy():
        return list(chosen.select_for_update(of=("self",), no_key=True)), left


def _require_both(former: Partner, to: Partner) -> None:
    """Lock both locations. Raises Refused if one of them is not active: a suspended one earns nothing elsewhere."""
    for pk in sorted([former.pk, to.pk]):
        partner = directory.locked(pk)
        if partner.status == Partner.Status.CLOSED:
            raise Refused("partner_closed", _("The account of this location has been closed."))
        if partner.status == Partner.Status.SUSPENDED:
            raise Refused("partner_suspended", _("The membership of one of the two locations is suspended."))


def _move_each(
    subscriptions: Sequence[Subscription], former: Partner, to: Partner, *, by: Actor
) -> dict[uuid.UUID, Outcome]:
    """Move those that can be moved, by a few statements for all; return the outcomes by the IDs."""
    keys = [one.pk for one in subscriptions]
    of_record: dict[int, list[Association]] = defaultdict(list)
    for one in Association.objects.of_record().filter(subscription__in=keys).order_by("attached_at", "pk"):
        of_record[one.subscription_id or 0].append(one)
    asked = {
        one.subscription_id: one
        for one in ChangeRequest.objects.open()
        .filter(subscription__in=keys)
        .select_related("incumbent")
        .prefetch_related("challengers")
    }
    at = locking.next_instant(*of_record.values(), ChangeRequest.objects.filter(subscription__in=keys))
    outcomes: dict[uuid.UUID, Outcome] = {}
    ended: list[Association] = []
    for subscription in subscriptions:
        current = locking.current(of_record[subscription.pk])
        outcome = _outcome(subscription, current, former, to, asked.get(subscription.pk))
        outcomes[subscription.subscription_id] = outcome
        if outcome.code == "moved" and current is not None:
            current.subscription, current.customer, current.partner = subscription, subscription.customer, former
            record.end(current, at=at, reason=EndReason.MOVED)
            ended.append(current)
    if ended:
        _begin_and_tell(ended, to, asked, by=by, at=at)
    return outcomes


def _outcome(
    subscription: Subscription, current: Association | None, former: Partner, to: Partner, asked: ChangeRequest | None
) -> Outcome:
    refused = None
    if current is not None and current.partner_id == to.pk:
        return Outcome(subscription.subscription_id, subscription, "unchanged")
    if current is None or current.partner_id != former.pk:
        refused = Refused("no_partner_of_record", _("This location is not the partner of record."))
    elif asked is not None and any(one.partner_id == to.pk for one in asked.challengers.all()):
        refused = Refused(*CHANGE_REQUEST.refusals[ChangeStatus.OPEN])
    return Outcome(subscription.subscription_id, subscription, "refused" if refused else "moved", refused)


def _begin_and_tell(
    ended: Sequence[Association], to: Partner, asked: dict[int, ChangeRequest], *, by: Actor, at: datetime
) -> None:
    """Begin the records of the new location, and record the events: of each subscription, customer and company."""
    former = ended[0].partner
    begun = []
    for one in ended:
        assert one.subscription is not None
        draft = record.draft(one.subscription, to, source=Source.AUTOMATIC, began_at=at, attached_at=at)
        draft.customer = one.customer
        begun.append(draft)
    bulk.begin(begun)
    Subscription.objects.filter(pk__in=[one.subscription_id for one in ended]).update(version=F("version") + 1)
    events, customers = [], defaultdict(list)
    for before, after in zip(ended, begun, strict=True):
        assert after.subscription is not None
        if request := asked.get(after.subscription.pk):
            change_requests.follow_move(request, after)
        changes = recording.facts_of(after) | moved(before, after) | {"together": True}
        about = recording.about_subscription(after.subscription)
        events.append(history.EventDraft(after.customer_id, changes, about, [former.pk, to.pk]))
        customers[after.customer].append(after)
    both = {"former": recording.named(former), "to": recording.named(to)}
    of_customers = [
        history.EventDraft(
            customer.pk,
            both | {"subscriptions": len(moved_here)},
            history.ObjectRef("customer", str(customer.tenant_id), customer.organisation.name),
        )
        for customer, moved_here in customers.items()
    ]
    history.record_each(MoveEvent.MOVED, by=by, at=at, events=events, in_request=True)
    history.record_each(MoveEvent.MOVED_TOGETHER, by=by, at=at, events=of_customers, in_request=True)
    history.record(
        MoveEvent.LOCATION_MOVED,
        history.ObjectRef("partner", _number_of(by), by.organisation_name),
        by=by,
        at=at,
        chain=by.organisation_id,
        parties={former.pk, to.pk} - {by.organisation_id or 0},
        changes=both | {"subscriptions": len(ended), "customers": len(customers)},
    )


def _number_of(by: Actor) -> str:
    return by.organisation.number if by.organisation else ""
