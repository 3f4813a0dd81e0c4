"""Tokens, suspension, stored answers, and the table of rights."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from por.accounts import actions
from por.accounts.models import IdempotencyKey, Membership, Token, User
from por.accounts.rules import RIGHTS, OrganisationKind, Right, Role, rights_of
from por.errors import Forbidden, NotFound, Refused
from tests.factories import make_customer, make_user, suspend


def token_of(actor, **fields) -> str:
    _token, secret = actions.create_token(
        actor.user, actor.organisation, **({"name": "CI", "read_only": False} | fields)
    )
    return secret


def test_token_acts_for_its_person_and_organisation(admin):
    actor = actions.actor_of_token(token_of(admin))

    assert (actor.user, actor.organisation, actor.role) == (admin.user, admin.organisation, "administrator")
    assert actor.may(Right.ATTACH)


def test_only_the_digest_of_a_token_is_stored(admin):
    secret = token_of(admin)

    token = Token.objects.get()
    assert secret not in {str(getattr(token, field.name)) for field in Token._meta.fields}
    assert secret.startswith("por_")
    assert len(secret) > 40


def test_read_only_token_may_read_and_not_write(admin):
    actor = actions.actor_of_token(token_of(admin, read_only=True))

    assert not actor.may(Right.ATTACH)
    with pytest.raises(Forbidden) as caught:
        actor.require(Right.ATTACH)
    assert caught.value.code == "token_is_read_only"


def test_last_use_is_saved_to_the_minute(admin):
    secret = token_of(admin)
    actions.actor_of_token(secret)
    first = Token.objects.get().last_used_at

    actions.actor_of_token(secret)
    assert Token.objects.get().last_used_at == first

    Token.objects.update(last_used_at=first - timedelta(minutes=2))
    actions.actor_of_token(secret)
    assert Token.objects.get().last_used_at >= first


def test_unknown_or_revoked_token_has_no_actor(admin):
    secret = token_of(admin)
    actions.revoke_token(admin.user, Token.objects.get().pk)

    assert actions.actor_of_token(secret) is None
    assert actions.actor_of_token("por_unknown") is None


def test_tokens_of_a_suspended_person_stop_immediately(admin):
    secret = token_of(admin)

    suspend(admin)

    assert actions.actor_of_token(secret) is None


def test_session_of_a_suspended_person_stops_immediately(admin, client):
    client.force_login(admin.user)
    assert client.get("/me").status_code == 200

    suspend(admin)

    assert client.get("/me").status_code == 302


def test_token_of_a_person_who_left_the_organisation_stops_immediately(admin):
    secret = token_of(admin)

    Membership.objects.all().delete()

    assert actions.actor_of_token(secret) is None


def test_token_requires_a_membership_of_its_organisation(admin):
    with pytest.raises(NotFound):
        actions.create_token(admin.user, make_customer("Almviks kommun").organisation, name="CI", read_only=True)


def test_token_requires_a_name(admin):
    with pytest.raises(Refused) as caught:
        token_of(admin, name="  ")
    assert caught.value.field == "name"


def test_person_cannot_revoke_the_token_of_another(admin):
    token_of(admin)

    with pytest.raises(NotFound):
        actions.revoke_token(make_user(), Token.objects.get().pk)


def test_two_people_cannot_share_an_address_in_any_case(admin):
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create(email=admin.user.email.upper(), name="Twin")


def test_answers_are_deleted_after_their_time_and_not_before(admin):
    def answer(key: str, age: timedelta) -> None:
        IdempotencyKey.objects.create(
            organisation=admin.organisation,
            key=key,
            request_digest="",
            status=201,
            body="",
            created_at=timezone.now() - age,
        )

    answer("old", timedelta(hours=49))
    answer("young", timedelta(hours=25))

    assert actions.purge_idempotency_keys() == 1
    assert IdempotencyKey.objects.get().key == "young"


def test_every_role_of_every_kind_has_its_rights_in_the_table():
    assert {kind: set(roles) for kind, roles in RIGHTS.items()} == {
        OrganisationKind.CUSTOMER: {Role.ADMINISTRATOR, Role.VIEWER},
        OrganisationKind.PARTNER: {Role.ADMINISTRATOR, Role.INCENTIVES, Role.VIEWER},
        OrganisationKind.STAFF: {Role.REVIEWER, Role.PROGRAMME_ADMINISTRATOR, Role.SUPPORT, Role.AUDITOR},
    }


def test_only_an_administrator_of_a_customer_changes_the_record():
    may = {
        (kind, role)
        for kind, roles in RIGHTS.items()
        for role in roles
        if {Right.ATTACH, Right.REMOVE, Right.UNDO} & rights_of(kind, role)
    }
    assert may == {(OrganisationKind.CUSTOMER, Role.ADMINISTRATOR)}
