"""The verbs on people's access: tokens, profiles, platform staff, suspension; and on settings of organisations."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from por import names
from por.accounts import zones
from por.accounts.events import OrganisationEvent, PeopleEvent
from por.accounts.models import (
    SYSTEM,
    Actor,
    IdempotencyKey,
    Membership,
    Organisation,
    Token,
    User,
    UserSession,
    keys_below,
)
from por.accounts.rules import PLATFORM, OrganisationKind, Right, Role, roles_of
from por.db.locks import lock_timeout_as_busy
from por.db.prepared import Param, PreparedQuery
from por.errors import NotFound, Refused
from por.history.actions import recording as history

#: How old "last used" may become: a token in constant use is not written to on every request.
LAST_USED_PRECISION = timedelta(minutes=1)
#: How long the first answer to an idempotent request is kept.
IDEMPOTENCY_KEPT = timedelta(hours=48)


@transaction.atomic
def create_token(
    user: User, organisation: Organisation, *, name: str, read_only: bool, days: int | None = None
) -> tuple[Token, str]:
    """Create a token for a member of the organisation; return it with its secret, which is stored nowhere.

    It ends after this many days, after settings.TOKEN_DAYS if no number is given. Raises NotFound, `name_missing` or
    `direction_mark` on `name`, or `days_not_allowed` on `days`.
    """
    days = settings.TOKEN_DAYS if days is None else days
    if not 1 <= days <= settings.TOKEN_LONGEST_DAYS:
        text = _("A token works for at least one day and at most %(n)s days.") % {"n": settings.TOKEN_LONGEST_DAYS}
        raise Refused("days_not_allowed", text, field="days")
    name = names.clean(name, field="name")
    if not name:
        raise Refused(
            "name_missing", _("Enter a name for the token, so that you can recognise it later."), field="name"
        )
    if not Membership.objects.usable().filter(user=user, organisation=organisation).exists():
        raise NotFound("not_a_member", _("You are not a member of this organisation."))
    secret = f"por_{secrets.token_urlsafe(32)}"
    now = timezone.now()
    token = Token.objects.create(
        user=user,
        organisation=organisation,
        name=name[:80],
        digest=Token.digest_of(secret),
        read_only=read_only,
        created_at=now,
        expires_at=now + timedelta(days=days),
    )
    return token, secret


def revoke_token(user: User, token_id: int) -> Token:
    """Revoke one of the person's own tokens; it stops working immediately. A second call changes nothing.

    Raises NotFound.
    """
    token = Token.objects.filter(user=user, pk=token_id).first()
    if token is None:
        raise NotFound("token_not_found", _("We could not find this token."))
    if token.revoked_at is None:
        token.revoked_at = timezone.now()
        token.save(update_fields=["revoked_at"])
    return token


def revoke_all_tokens(user: User) -> int:
    """Revoke the person's tokens for all organisations; return how many."""
    return Token.objects.filter(user=user, revoked_at=None).update(revoked_at=timezone.now())


def actor_of_token(secret: str) -> Actor | None:
    """Return the actor of a token.

    Return None if it is unknown, revoked or expired, or its person is suspended or no longer a member.
    """
    token = _USABLE_TOKEN.one(digest=Token.digest_of(secret))
    if token is None or token.role is None or token.has_expired:  # type: ignore[attr-defined]  # an annotation
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


def _name(given: str) -> str:
    """Return the name of a person as it is stored. Raises `name_missing` or `direction_mark` on `name`."""
    if name := names.clean(given, field="name"):
        return name[:150]
    raise Refused("name_missing", _("Enter the person’s name."), field="name")


def update_profile(user: User, **given: str) -> None:
    """Save the name, language and time zone of a person, as far as they are given.

    With an empty time zone they have that of their organisation from now on. Raises `name_missing` or
    `direction_mark` on `name`.
    """
    changes: dict[str, Any] = {field: given[field] for field in given.keys() & {"name", "language", "time_zone"}}
    if "time_zone" in changes:
        changes["own_time_zone"] = bool(changes["time_zone"])
        if not changes["time_zone"]:
            del changes["time_zone"]
    if "name" in changes:
        changes["name"] = _name(changes["name"])
    User.objects.filter(pk=user.pk).update(**changes)


@transaction.atomic
def change_time_zone(time_zone: str, *, by: Actor) -> None:
    """Give the actor's organisation another time zone; the same one changes nothing.

    Deadlines that have been told stay as they are. Raises Forbidden, Locked, or `time_zone_unknown` on `time_zone`.
    """
    by.require(Right.MANAGE_ORGANISATION)
    if time_zone not in dict(zones.names()):
        raise Refused("time_zone_unknown", _("Choose a time zone from the list."), field="time_zone")
    organisation = _lock(by.organisation_id or 0)
    before, organisation.time_zone = organisation.time_zone, time_zone
    if before == time_zone:
        return
    organisation.save(update_fields=["time_zone"])
    history.record(
        OrganisationEvent.TIME_ZONE_CHANGED,
        history.ObjectRef("organisation", str(organisation.pk), organisation.name),
        by=by,
        at=timezone.now(),
        chain=organisation.pk,
        changes={"time_zone": time_zone, "time_zone_before": before},
    )


# --- Sessions -------------------------------------------------------------------------------------------------------


def idle_limit() -> timedelta:
    return timedelta(seconds=settings.SESSION_IDLE_SECONDS)


def age_limit() -> timedelta:
    return timedelta(seconds=settings.SESSION_COOKIE_AGE)


def open_sessions(user: User) -> QuerySet[UserSession]:
    """Return the sessions in which the person is signed in, the one used last first."""
    now = timezone.now()
    there = Session.objects.filter(session_key=OuterRef("key"), expire_date__gt=now)
    found = UserSession.objects.filter(
        Exists(there), user=user, used_at__gte=now - idle_limit(), began_at__gte=now - age_limit()
    )
    return found.order_by("-used_at", "-pk")


def begin_session(user: User, key: str, *, device: str) -> None:
    """Note a session that has begun. If this key has one already, it begins anew, maybe for another person."""
    now = timezone.now()
    given = {"user": user, "device": device.replace("\x00", "")[:300], "began_at": now, "used_at": now}
    UserSession.objects.update_or_create(key=key, defaults=given)


def use_session(key: str, at: datetime) -> None:
    UserSession.objects.filter(key=key, used_at__lt=at).update(used_at=at)


def rename_session(before: list[str], key: str) -> None:
    """Give a session that has a new key the new one in the list too."""
    UserSession.objects.filter(key__in=before).update(key=key)


def forget_sessions(keys: Sequence[str]) -> int:
    """End the sessions with these keys, as stored; return how many there were."""
    UserSession.objects.filter(key__in=keys).delete()
    return Session.objects.filter(session_key__in=keys).delete()[0]


def end_session(user: User, session_id: int, *, current: str) -> None:
    """End another session of the person than the current one. Raises NotFound."""
    found = open_sessions(user).filter(pk=session_id).exclude(key=current).first()
    if found is None:
        raise NotFound("session_not_found", _("This device is not signed in any more."))
    forget_sessions([found.key])


def end_other_sessions(user: User, current: str) -> int:
    """End all sessions of the person but the current one; return how many."""
    keys = UserSession.objects.filter(user=user).exclude(key=current).values_list("key", flat=True)
    return forget_sessions(list(keys))


def purge_sessions() -> int:
    """Delete the sessions that no one has used for too long, and the rows of those that are gone; return how many."""
    idle = UserSession.objects.filter(used_at__lt=timezone.now() - idle_limit())
    gone = UserSession.objects.filter(~Exists(Session.objects.filter(session_key=OuterRef("key"))))
    return forget_sessions(list(idle.values_list("key", flat=True))) + gone.delete()[0]


def keep_answer(
    key: str, *, by: Actor, request_digest: str, status: int, headers: dict[str, str], body: str
) -> IdempotencyKey:
    """Save the first answer under a key of the actor's organisation, to be replayed to the same request."""
    assert by.organisation is not None  # without one, an actor may not write
    return IdempotencyKey.objects.create(
        organisation=by.organisation,
        key=key,
        request_digest=request_digest,
        status=status,
        headers=headers,
        body=body,
    )


def purge_idempotency_keys() -> int:
    """Delete answers older than IDEMPOTENCY_KEPT; return how many."""
    return IdempotencyKey.objects.filter(created_at__lt=timezone.now() - IDEMPOTENCY_KEPT).delete()[0]


# --- Platform staff -------------------------------------------------------------------------------------------------
# Each verb first locks the platform, the organisation of the staff. So its people are changed one
# after another, and the check for the last programme administrator is still true when the verb writes. The order of
# locks is: platform, person, head of the chain.


@transaction.atomic
def add_to_staff(email: str, *, name: str, role: str, language: str = "en", by: Actor) -> User:
    """Add a person to platform staff: the one with that address, or a new one without a password. Return the person.

    Raises Forbidden, Locked, `role_unknown`, `already_on_staff`, `name_missing` or `direction_mark`.
    """
    platform = _locked_platform(by)
    _require_role(role)
    person = User.objects.with_email(email).first()
    if person is None:
        person = User.objects.create_user(email, None, name=_name(name), language=language)
    elif Membership.objects.filter(user=person, organisation=platform).exists():
        raise Refused("already_on_staff", _("This person is already a member of platform staff."), field="email")
    Membership.objects.create(user=person, organisation=platform, role=role)
    _record(PeopleEvent.ADDED, person, platform.pk, by=by, role=role)
    return person


@transaction.atomic
def add_to_staff_by_command(email: str, *, name: str, role: str, language: str = "en") -> tuple[User, bool]:
    """Add a person to platform staff for someone at the server, such as the first one, whom no one else could add.

    Return the person, and whether they were added: someone who has this role already does not change. The platform is
    created if it does not exist. The event is in the chain of the system, because no person did it. Raises Locked,
    `role_unknown`, `suspended`, `other_role`, `name_missing` or `direction_mark`.
    """
    number, called = PLATFORM
    platform, _is_new = Organisation.objects.get_or_create(
        kind=OrganisationKind.STAFF, number=number, defaults={"name": called}
    )
    _lock(platform.pk)
    _require_role(role)
    person = User.objects.with_email(email).first()
    if person is None:
        person = User.objects.create_user(email, None, name=_name(name), language=language)
    elif not person.is_active:
        raise Refused("suspended", _("This person is suspended. A programme administrator can reactivate them."))
    elif member := Membership.objects.filter(user=person, organisation=platform).first():
        if member.role != role:
            raise Refused(
                "other_role",
                _("This person has the role “%(role)s”. A programme administrator can change it.")
                % {"role": member.get_role_display()},
            )
        return person, False
    Membership.objects.create(user=person, organisation=platform, role=role)
    _record(PeopleEvent.ADDED_BY_COMMAND, person, None, by=SYSTEM, role=role)
    return person, True


@transaction.atomic
def change_role(person_id: int, role: str, *, by: Actor) -> User:
    """Give a member of platform staff another role; the same role changes nothing.

    Raises Forbidden, Locked, NotFound, `role_unknown` or `last_administrator`.
    """
    platform = _locked_platform(by)
    _require_role(role)
    membership = _membership(person_id, platform)
    if membership.role != role:
        _require_another_administrator(platform, except_for=membership.user)
        before, membership.role = membership.role, role
        membership.save(update_fields=["role"])
        _record(PeopleEvent.ROLE_CHANGED, membership.user, platform.pk, by=by, role=role, role_before=before)
    return membership.user


@transaction.atomic
def remove_from_staff(person_id: int, *, by: Actor) -> User:
    """Remove a person from platform staff, which stops their tokens for it immediately; other memberships stay.

    Raises Forbidden, Locked, NotFound or `last_administrator`.
    """
    platform = _locked_platform(by)
    membership = _membership(person_id, platform)
    _require_another_administrator(platform, except_for=membership.user)
    membership.delete()
    _record(PeopleEvent.REMOVED, membership.user, platform.pk, by=by, role=membership.role)
    return membership.user


@transaction.atomic
def suspend(person_id: int, *, by: Actor) -> User:
    """Suspend a person: from the next request on, their sessions and tokens are refused, for every organisation.

    A second call changes nothing. Raises Forbidden, Locked, NotFound, `not_yourself` or `last_administrator`.
    """
    platform = _locked_platform(by)
    person = _person(person_id)
    if person.pk == by.user_id:
        raise Refused("not_yourself", _("You cannot suspend yourself. Ask another programme administrator."))
    if person.is_active:
        _require_another_administrator(platform, except_for=person)
        person.is_active = False
        person.save(update_fields=["is_active"])
        _record(PeopleEvent.SUSPENDED, person, platform.pk, by=by)
    return person


@transaction.atomic
def reactivate(person_id: int, *, by: Actor) -> User:
    """Reactivate a person: they can sign in again, and their tokens work again. An active person does not change.

    Raises Forbidden, Locked or NotFound.
    """
    platform = _locked_platform(by)
    person = _person(person_id)
    if not person.is_active:
        person.is_active = True
        person.save(update_fields=["is_active"])
        _record(PeopleEvent.REACTIVATED, person, platform.pk, by=by)
    return person


def _locked_platform(by: Actor) -> Organisation:
    """Return the organisation of platform staff, locked until the transaction ends.

    It checks the right again after locking, because the actor may have lost it since the request began.
    """
    by.require(Right.MANAGE_PEOPLE)
    platform = _lock(by.organisation_id or 0)
    membership = Membership.objects.usable().filter(user=by.user_id, organisation=platform).first()
    now = Actor(by.user, platform, membership.role, by.token) if membership else SYSTEM
    now.require(Right.MANAGE_PEOPLE)
    return platform


def _lock(organisation_id: int) -> Organisation:
    with lock_timeout_as_busy():
        return Organisation.objects.select_for_update(no_key=True).get(pk=organisation_id)


def _person(person_id: int) -> User:
    with lock_timeout_as_busy():
        person = User.objects.select_for_update(no_key=True).filter(pk=person_id).first()
    if person is None:
        raise NotFound("not_found", _("We could not find this person."))
    return person


def _membership(person_id: int, platform: Organisation) -> Membership:
    membership = Membership.objects.select_related("user").filter(user=person_id, organisation=platform).first()
    if membership is None:
        raise NotFound("not_on_staff", _("This person is not a member of platform staff."))
    return membership


def _require_role(role: str) -> None:
    if role not in roles_of(OrganisationKind.STAFF):
        raise Refused("role_unknown", _("Choose a platform staff role."), field="role")


def _require_another_administrator(platform: Organisation, *, except_for: User) -> None:
    """Refuse `last_administrator` unless someone else remains who can change platform staff."""
    administrators = Membership.objects.usable().filter(organisation=platform, role=Role.PROGRAMME_ADMINISTRATOR)
    if set(administrators.values_list("user_id", flat=True)) <= {except_for.pk}:
        raise Refused(
            "last_administrator",
            _("%(name)s is the last programme administrator who can sign in. Give someone else that role first.")
            % {"name": except_for},
        )


def _record(verb: PeopleEvent, person: User, chain: int | None, *, by: Actor, **changes: str) -> None:
    """Record an event about a person by name and id, without the address, which could never be erased from a chain."""
    history.record(
        verb,
        history.ObjectRef("person", str(person.pk), person.name),
        by=by,
        at=timezone.now(),
        chain=chain,
        changes=changes,
    )
