from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from associations.attaching.actions import attach as attaching
from por.accounts.actions import actor_of_token
from por.accounts.models import Membership
from por.accounts.rules import Right
from por.db.grants import as_owner
from por.directory.models import Customer, Partner, Subscription
from tests.factories import make_member, suspend


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_token_is_the_last_word_printed_and_acts_for_the_only_organisation(customer: Customer) -> None:
    elin = make_member(customer.organisation, email="elin@people.example")
    actor = actor_of_token(run("create_token", "Elin@people.example", "--name", "nightly").split()[-1])
    assert actor is not None
    assert (actor.user, actor.organisation) == (elin.user, customer.organisation)
    assert actor.may(Right.ATTACH)


def test_read_only_token_may_not_write(customer: Customer) -> None:
    make_member(customer.organisation, email="elin@people.example")
    actor = actor_of_token(run("create_token", "elin@people.example", "--name", "report", "--read-only").split()[-1])
    assert actor is not None
    assert not actor.may(Right.ATTACH)


def test_person_with_several_organisations_must_choose_one(customer: Customer, partner: Partner) -> None:
    elin = make_member(customer.organisation, email="elin@people.example")
    assert elin.user
    Membership.objects.create(user=elin.user, organisation=partner.organisation, role="viewer")
    for options in ([], ["--organisation", "1234"]):
        with pytest.raises(CommandError, match="--organisation") as refused:
            run("create_token", "elin@people.example", "--name", "nightly", *options)
        assert f"{partner.mpn_id} (Nordvik Cloud AB), {customer.tenant_id} (Västerhamn Energi AB)" in str(refused.value)
    secret = run("create_token", "elin@people.example", "--name", "nightly", "--organisation", partner.mpn_id)
    actor = actor_of_token(secret.split()[-1])
    assert actor is not None
    assert actor.organisation == partner.organisation


def test_person_without_a_usable_membership_gets_no_token(customer: Customer) -> None:
    elin = make_member(customer.organisation, email="elin@people.example")
    suspend(elin)
    for email in ("elin@people.example", "nobody@people.example"):
        with pytest.raises(CommandError, match="No one with the address"):
            run("create_token", email, "--name", "nightly")


def test_token_without_a_name_is_refused_with_a_message(customer: Customer) -> None:
    make_member(customer.organisation, email="elin@people.example")
    with pytest.raises(CommandError, match="Enter a name for the token"):
        run("create_token", "elin@people.example", "--name", " ")


def test_untouched_history_holds(subscription: Subscription, customer: Customer, partner: Partner) -> None:
    elin = make_member(customer.organisation)
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=elin)
    attaching.remove(subscription.subscription_id, by=elin)
    assert run("verify_history") == ("Every chain holds (events checked: 2, chains: 1; no head is signed yet).\n")


@pytest.mark.django_db(transaction=True)
def test_changed_event_is_reported(subscription: Subscription, customer: Customer, partner: Partner) -> None:
    elin = make_member(customer.organisation)
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=elin)
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE history_event DISABLE TRIGGER USER")
        cursor.execute("UPDATE history_event SET reason = 'something else'")
        cursor.execute("ALTER TABLE history_event ENABLE TRIGGER USER")
    out = StringIO()
    with pytest.raises(CommandError, match="1 chain does not hold"):
        call_command("verify_history", stdout=out)
    assert out.getvalue() == f"organisation:{customer.pk}, event 1: its content was changed\n"
