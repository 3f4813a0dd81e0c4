"""What is done with people's access."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.db import transaction
from django.db.models import OuterRef
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from por.accounts.models import Actor, IdempotencyKey, Membership, Organisation, Token, User
from por.errors import Absent, Refused
from por.statements import Given, Statement

#: How stale "last used" may be: a token that is busy is not written to on every request.
LAST_USED_PRECISION = timedelta(minutes=1)
#: How long a first answer is kept for replay.
IDEMPOTENCY_KEPT = timedelta(hours=48)


@transaction.atomic
def create_token(user: User, organisation: Organisation, *, name: str, read_only: bool) -> tuple[Token, str]:
    """A new token of a member of the organisation, and its secret, which is kept nowhere else."""
    name = name.strip()
    if not name:
        raise Refused("name_missing", _("Give the token a name, so that you know it again."), field="name")
    if not Membership.objects.usable().filter(user=user, organisation=organisation).exists():
        raise Absent("not_a_member", _("You do not act for this organisation."))
    secret = f"por_{secrets.token_urlsafe(32)}"
    token = Token.objects.create(
        user=user, organisation=organisation, name=name[:80], digest=Token.digest_of(secret), read_only=read_only
    )
    return token, secret


def revoke_token(user: User, token_id: int) -> Token:
    """Ends one of the person's own tokens at once; revoking it again changes nothing."""
    token = Token.objects.filter(user=user, pk=token_id).first()
    if token is None:
        raise Absent("token_not_found", _("There is no such token."))
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
    )


_USABLE_TOKEN = Statement(
    lambda: (
        Token.objects.select_related("user", "organisation")
        .filter(digest=Given("digest"), revoked_at=None, user__is_active=True)
        .annotate(
            role=Membership.objects.filter(user=OuterRef("user"), organisation=OuterRef("organisation")).values("role")
        )
    )
)


def update_profile(user: User, **given: str) -> None:
    """What people set for themselves: their name, language or time zone, whichever are given."""
    User.objects.filter(pk=user.pk).update(
        **{name: given[name] for name in given.keys() & {"name", "language", "time_zone"}}
    )


def suspend(user: User) -> None:
    """The person's sessions and tokens are refused from the next request on."""
    User.objects.filter(pk=user.pk).update(is_active=False)


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
