"""Tokens and suspension: what is kept, what is refused, and how soon."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from por.accounts import actions
from por.accounts.models import IdempotencyKey, Membership, Token, User
from por.accounts.rules import RIGHTS, OrganisationKind, Role, rights_of
from por.errors import Forbidden, NotFound, Refused
from tests.factories import make_customer, make_user, suspend


def token_of(actor, **fields) -> str:
    _token, secret = actions.create_token(
        actor.user, actor.organisation, **({"name": "CI", "read_only": False} | fields)
    )
    return secret


def test_a_token_speaks_for_its_person_and_organisation(admin):
    actor = actions.actor_of_token(token_of(admin))

    assert (actor.user, actor.organisation, actor.role) == (admin.user, admin.organisation, "administrator")
    assert actor.may("record.attach")


def test_only_the_digest_of_a_token_is_kept(admin):
    secret = token_of(admin)

    token = Token.objects.get()
    assert secret not in {str(getattr(token, field.name)) for field in Token._meta.fields}
    assert secret.startswith("por_")
    assert len(secret) > 40


def test_a_read_only_token_may_read_and_not_write(admin):
    actor = actions.actor_of_token(token_of(admin, read_only=True))

    assert not actor.may("record.attach")
    with pytest.raises(Forbidden) as caught:
        actor.require("record.attach")
    assert caught.value.code == "token_is_read_only"


def test_last_use_is_noted_to_the_minute(admin):
    secret = token_of(admin)
    actions.actor_of_token(secret)
    first = Token.objects.get().last_used_at

    actions.actor_of_token(secret)
    assert Token.objects.get().last_used_at == first

    Token.objects.update(last_used_at=first - timedelta(minutes=2))
    actions.actor_of_token(secret)
    assert Token.objects.get().last_used_at >= first


def test_an_unknown_or_revoked_token_speaks_for_nobody(admin):
    secret = token_of(admin)
    actions.revoke_token(admin.user, Token.objects.get().pk)

    assert actions.actor_of_token(secret) is None
    assert actions.actor_of_token("por_unknown") is None


def test_a_suspended_persons_tokens_stop_at_once(admin):
    secret = token_of(admin)

    suspend(admin)

    assert actions.actor_of_token(secret) is None


def test_a_suspended_persons_session_stops_at_once(admin, client):
    client.force_login(admin.user)
    assert client.get("/me").status_code == 200

    suspend(admin)

    assert client.get("/me").status_code == 302


def test_a_token_of_somebody_who_has_left_the_organisation_stops_at_once(admin):
    secret = token_of(admin)

    Membership.objects.all().delete()

    assert actions.actor_of_token(secret) is None


def test_a_token_is_for_an_organisation_one_acts_for(admin):
    with pytest.raises(NotFound):
        actions.create_token(admin.user, make_customer("Almviks kommun").organisation, name="CI", read_only=True)


def test_a_token_has_a_name(admin):
    with pytest.raises(Refused) as caught:
        token_of(admin, name="  ")
    assert caught.value.field == "name"


def test_nobody_revokes_anothers_token(admin):
    token_of(admin)

    with pytest.raises(NotFound):
        actions.revoke_token(make_user(), Token.objects.get().pk)


def test_two_people_cannot_share_an_address_in_any_spelling(admin):
    from django.db import IntegrityError, transaction

    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create(email=admin.user.email.upper(), name="Twin")


def test_answers_are_forgotten_after_their_time_and_not_before(admin):
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


def test_every_role_of_every_kind_has_its_line_in_the_table():
    assert {kind: set(roles) for kind, roles in RIGHTS.items()} == {
        OrganisationKind.CUSTOMER: {Role.ADMINISTRATOR, Role.VIEWER},
        OrganisationKind.PARTNER: {Role.ADMINISTRATOR, Role.INCENTIVES, Role.VIEWER},
        OrganisationKind.STAFF: {Role.REVIEWER, Role.PROGRAMME_ADMINISTRATOR, Role.SUPPORT, Role.AUDITOR},
    }


def test_only_a_customers_administrator_changes_the_record():
    may = {
        (kind, role)
        for kind, roles in RIGHTS.items()
        for role in roles
        if {"record.attach", "record.remove", "record.undo"} & rights_of(kind, role)
    }
    assert may == {(OrganisationKind.CUSTOMER, Role.ADMINISTRATOR)}
