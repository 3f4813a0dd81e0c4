"""Interests: who has one in an organisation decides nothing about its claims and overrides."""

from __future__ import annotations

import uuid

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from associations.claims.actions.assigning import reviewers
from associations.claims.events.reviews import InterestEvent
from associations.claims.models import Interest
from associations.claims.rules import NOTE_LENGTH
from por.accounts.models import Actor, Organisation, User
from por.accounts.rules import OrganisationKind, Right
from por.directory.rules import is_guid, normal_mpn_id
from por.errors import NotFound, Refused
from por.history.actions import recording as history


@transaction.atomic
def mark(number: str, *, by: Actor, reviewer_id: int | None = None, note: str = "") -> Interest:
    """Mark an interest in the organisation with this MPN ID or tenant ID; return it. A second time changes the note.

    It is the actor's own, or that of the reviewer whom a programme administrator names. Raises Forbidden, or Refused on
    `number` or `reviewer`.
    """
    by.require(Right.WRITE_INTEREST)
    organisation = _organisation(number)
    person = _reviewer(by, reviewer_id)
    now = timezone.now()
    interest, is_new = Interest.objects.get_or_create(
        reviewer=person, organisation=organisation, defaults={"note": note.strip()[:NOTE_LENGTH], "at": now}
    )
    if is_new:
        _record(InterestEvent.MARKED, interest, by=by)
    elif note.strip() and interest.note != note.strip():
        interest.note = note.strip()[:NOTE_LENGTH]
        interest.save(update_fields=["note"])
    return interest


@transaction.atomic
def remove(interest_id: int, *, by: Actor) -> None:
    """Remove an interest: one's own, or as a programme administrator that of any reviewer.

    Raises NotFound or Forbidden.
    """
    found = Interest.objects.select_related("reviewer", "organisation").select_for_update(of=("self",))
    interest = found.filter(pk=interest_id).first() if by.is_staff else None
    if interest is None:
        raise NotFound("not_found", _("This does not exist, or you do not have access to it."))
    by.require(Right.WRITE_INTEREST)
    if not may_change(interest, by):
        raise NotFound("not_found", _("This does not exist, or you do not have access to it."))
    _record(InterestEvent.REMOVED, interest, by=by)
    interest.delete()


def may_change(interest: Interest, by: Actor) -> bool:
    """Return whether the actor may remove this interest."""
    return by.may(Right.WRITE_INTEREST) and (interest.reviewer_id == by.user_id or marks_for_others(by))


def marks_for_others(by: Actor) -> bool:
    """Return whether the actor marks interests of others, as programme administrators do: they review nothing."""
    return by.may(Right.WRITE_INTEREST) and not by.may(Right.REVIEW_CLAIMS)


def _reviewer(by: Actor, reviewer_id: int | None) -> User:
    if not marks_for_others(by):
        reviewer_id = by.user_id
    member = reviewers().filter(user=reviewer_id).first()
    if member is None:
        raise Refused("reviewer_unknown", _("Choose a reviewer from the list."), field="reviewer")
    return member.user


def _organisation(number: str) -> Organisation:
    """Return the customer with this tenant ID, or the partner with this MPN ID."""
    if is_guid(number):
        given, kind = str(uuid.UUID(number.strip())), OrganisationKind.CUSTOMER
    else:
        given, kind = normal_mpn_id(number) or "", OrganisationKind.PARTNER
    found = Organisation.objects.filter(kind=kind, number=given).first()
    if found is None:
        raise Refused(
            "organisation_not_found",
            _("No partner has this MPN ID, and no customer this tenant ID."),
            field="number",
        )
    return found


def _record(verb: InterestEvent, interest: Interest, *, by: Actor) -> None:
    about = history.ObjectRef("interest", str(interest.pk), interest.organisation.name)
    changes = {
        "interested_in": {"number": interest.organisation.number, "name": interest.organisation.name},
        "reviewer": {"user": interest.reviewer_id, "name": interest.reviewer.name},
    }
    history.record(verb, about, by=by, at=timezone.now(), chain=None, changes=changes)
