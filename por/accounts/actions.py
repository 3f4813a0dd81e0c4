"""What is done with people's access."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.db import transaction
from django.db.models import OuterRef
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from por.accounts.events import PeopleEvent
from por.accounts.models import SYSTEM, Actor, IdempotencyKey, Membership, Organisation, Token, User, keys_below
from por.accounts.rules import OrganisationKind, Right, Role, roles_of
from por.db.locks import lock_timeout_as_busy
from por.db.prepared import Param, PreparedQuery
from por.errors import NotFound, Refused
from por.history.actions import recording as history

#: How stale "last used" may be: a token that is busy is not written to on every request.
LAST_USED_PRECISION = timedelta(minutes=1)
#: How long a first answer is kept for replay.
IDEMPOTENCY_KEPT = timedelta(hours=48)


@transaction.atomic
def create_token(user: User, organisation: Organisation, *, name: str, read_only: bool) -> tuple[Token, str]:
    """A new token of a member of the organisation, and its secret, which is kept nowhere else."""
    name = name.strip()
    if not name:
        raise Refused(
            "name_missing", _("Enter a name for the token, so that you can recognise it later."), field="name"
        )
    if not Membership.objects.usable().filter(user=user, organisation=organisation).exists():
        raise NotFound("not_a_member", _("You are not a member of this organisation."))
    secret = f"por_{secrets.token_urlsafe(32)}"
    token = Token.objects.create(
        user=user, organisation=organisation, name=name[:80], digest=Token.digest_of(secret), read_only=read_only
    )
    return token, secret


def revoke_token(user: User, token_id: int) -> Token:
    """Ends one of the person's own tokens at once; revoking it again changes nothing."""
    token = Token.objects.filter(user=user, pk=token_id).first()
    if token is None:
        raise NotFound("token_not_found", _("We could not find this token."))
    if token.revoked_at is None:
        token.revoked_at = timezone.now()
        token.save(update_fields=["revoked_at"])
    return token


def actor_of_token(secret: str) -> Actor | None:
    """Whom a token speaks for, or None: unknown, revoked, its person suspended or no longer a member."""
    token = _USABLE_TOKEN.one(digest=Token.digest_of(secret))
    if token is None or token.role is None:  # type: ignore[attr-defined]  # an annotation
        return None
    now = timezone.now()
    if token.last_used_at is None or now - token.last_used_at > LAST_USED_PRECISION:
        Token.objects.filter(pk=token.pk).update(last_used_at=now)
    return Actor(
        user=token.user,
        organisation=token.organisation,
        role=token.role,  # type: ignore[attr-defined]
        token=token,
        below=tuple(token.below),  # type: ignore[attr-defined]
    )


_USABLE_TOKEN = PreparedQuery(
    lambda: (
        Token.objects.select_related("user", "organisation")
        .filter(digest=Param("digest"), revoked_at=None, user__is_active=True)
        .annotate(
            role=Membership.objects.filter(user=OuterRef("user"), organisation=OuterRef("organisation")).values("role"),
            below=keys_below("organisation"),
        )
    )
)


def update_profile(user: User, **given: str) -> None:
    """What people set for themselves: their name, language or time zone, whichever are given."""
    User.objects.filter(pk=user.pk).update(
        **{name: given[name] for name in given.keys() & {"name", "language", "time_zone"}}
    )


def keep_answer(
    key: str, *, by: Actor, request_digest: str, status: int, headers: dict[str, str], body: str
) -> IdempotencyKey:
    """Keeps the first answer under a key of the actor's organisation, for the same request to get again."""
    assert by.organisation is not None  # without one nobody may write anything
    return IdempotencyKey.objects.create(
        organisation=by.organisation,
        key=key,
        request_digest=request_digest,
        status=status,
        headers=headers,
        body=body,
    )


def purge_idempotency_keys() -> int:
    """Forgets answers older than the promise; returns how many."""
    return IdempotencyKey.objects.filter(created_at__lt=timezone.now() - IDEMPOTENCY_KEPT).delete()[0]


# --- People of the house --------------------------------------------------------------------------------------------
# Each verb locks the house first, so that one change of its people comes after another: the last programme
# administrator is the last one at the moment of writing. Order: house, then person, then the head of the chain.


@transaction.atomic
def add_to_staff(email: str, *, name: str, role: str, language: str = "en", by: Actor) -> User:
    """Makes a person a member of the house: one who is known by that address, or a new one without a password.

    Raises Forbidden, Busy, `role_unknown`, `already_on_staff` or `name_missing`.
    """
    house = _house(by)
    _require_role(role)
    person = User.objects.filter(email__iexact=email.strip()).first()
    if person is None:
        if not name.strip():
            raise Refused("name_missing", _("Enter the person’s name."), field="name")
        person = User.objects.create_user(email, None, name=name.strip()[:150], language=language)
    elif Membership.objects.filter(user=person, organisation=house).exists():
        raise Refused("already_on_staff", _("This person is already a member of platform staff."), field="email")
    Membership.objects.create(user=person, organisation=house, role=role)
    _record(PeopleEvent.ADDED, person, house, by=by, role=role)
    return person


@transaction.atomic
def change_role(person_id: int, role: str, *, by: Actor) -> User:
    """Gives a member of the house another role; the same one changes nothing.

    Raises Forbidden, Busy, Absent, `role_unknown` or `last_administrator`.
    """
    house = _house(by)
    _require_role(role)
    membership = _membership(person_id, house)
    if membership.role != role:
        _require_another_administrator(house, besides=membership.user)
        before, membership.role = membership.role, role
        membership.save(update_fields=["role"])
        _record(PeopleEvent.ROLE_CHANGED, membership.user, house, by=by, role=role, role_before=before)
    return membership.user


@transaction.atomic
def remove_from_staff(person_id: int, *, by: Actor) -> User:
    """They act for the house no longer, and their tokens for it stop at once; other memberships stay.

    Raises Forbidden, Busy, Absent or `last_administrator`.
    """
    house = _house(by)
    membership = _membership(person_id, house)
    _require_another_administrator(house, besides=membership.user)
    membership.delete()
    _record(PeopleEvent.REMOVED, membership.user, house, by=by, role=membership.role)
    return membership.user


@transaction.atomic
def suspend(person_id: int, *, by: Actor) -> User:
    """The person's sessions and tokens are refused from the next request on, whomever they act for.

    Suspending again changes nothing. Raises Forbidden, Busy, Absent, `not_yourself` or `last_administrator`.
    """
    house = _house(by)
    person = _person(person_id)
    if person.pk == by.user_id:
        raise Refused("not_yourself", _("You cannot suspend yourself. Ask another programme administrator."))
    if person.is_active:
        _require_another_administrator(house, besides=person)
        person.is_active = False
        person.save(update_fields=["is_active"])
        _record(PeopleEvent.SUSPENDED, person, house, by=by)
    return person


@transaction.atomic
def reactivate(person_id: int, *, by: Actor) -> User:
    """The person can sign in again, and tokens that were not revoked work again; nothing if they could all along."""
    house = _house(by)
    person = _person(person_id)
    if not person.is_active:
        person.is_active = True
        person.save(update_fields=["is_active"])
        _record(PeopleEvent.REACTIVATED, person, house, by=by)
    return person


def _house(by: Actor) -> Organisation:
    """The house, locked until the transaction ends, for somebody who may change its people now, not only before."""
    by.require(Right.MANAGE_PEOPLE)
    with lock_timeout_as_busy():
        house = Organisation.objects.select_for_update(no_key=True).get(pk=by.organisation_id or 0)
    membership = Membership.objects.usable().filter(user=by.user_id, organisation=house).first()
    now = Actor(by.user, house, membership.role, by.token) if membership else SYSTEM
    now.require(Right.MANAGE_PEOPLE)
    return house


def _person(person_id: int) -> User:
    with lock_timeout_as_busy():
        person = User.objects.select_for_update(no_key=True).filter(pk=person_id).first()
    if person is None:
        raise NotFound("not_found", _("We could not find this person."))
    return person


def _membership(person_id: int, house: Organisation) -> Membership:
    membership = Membership.objects.select_related("user").filter(user=person_id, organisation=house).first()
    if membership is None:
        raise NotFound("not_on_staff", _("This person is not a member of platform staff."))
    return membership


def _require_role(role: str) -> None:
    if role not in roles_of(OrganisationKind.STAFF):
        raise Refused("role_unknown", _("Choose a platform staff role."), field="role")


def _require_another_administrator(house: Organisation, *, besides: User) -> None:
    """That somebody would be left who can change the people of the house."""
    administrators = Membership.objects.usable().filter(organisation=house, role=Role.PROGRAMME_ADMINISTRATOR)
    if set(administrators.values_list("user_id", flat=True)) <= {besides.pk}:
        raise Refused(
            "last_administrator",
            _("%(name)s is the last programme administrator who can sign in. Give someone else that role first.")
            % {"name": besides},
        )


def _record(what: PeopleEvent, person: User, house: Organisation, *, by: Actor, **changes: str) -> None:
    """By name and id: an address in a chain could never be erased."""
    history.record(
        what,
        history.ObjectRef("person", str(person.pk), person.name),
        by=by,
        at=timezone.now(),
        of=house.pk,
        changes=changes,
    )
