"""Sessions: the product's store reads what Django's own store has written, and nothing that has expired."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from por.accounts.models import Actor
from por.accounts.sessions import SessionStore
from tests.factories import PASSWORD
from tests.pages import queries, signed_in


def test_session_of_djangos_own_store_stays_valid_and_the_other_way_round():
    theirs = db.SessionStore()
    theirs["organisation"] = 7
    theirs.save()
    assert SessionStore(theirs.session_key)["organisation"] == 7
    ours = SessionStore()
    ours["organisation"] = 8
    ours.save()
    assert db.SessionStore(ours.session_key)["organisation"] == 8


def test_session_that_has_expired_or_never_was_is_empty():
    store = SessionStore()
    store["organisation"] = 7
    store.save()
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    for key in (store.session_key, "a" * 32, "' OR '1'='1"):
        found = SessionStore(key)
        assert found.get("organisation") is None
        assert found.session_key is None


def test_key_from_before_signing_in_is_worth_nothing_after(admin: Actor):
    """Otherwise who gives someone a key would be signed in as them later."""
    assert admin.user
    admin.user.set_password(PASSWORD)
    admin.user.save()
    store = SessionStore()
    store["language"] = "sv"
    store.save()
    victim, attacker = Client(), Client()
    victim.cookies[settings.SESSION_COOKIE_NAME] = attacker.cookies[settings.SESSION_COOKIE_NAME] = store.session_key
    answer = victim.post("/login", {"login": admin.user.email, "password": PASSWORD})
    assert answer.status_code == 302
    assert victim.get("/c/").status_code == 200
    assert victim.cookies[settings.SESSION_COOKIE_NAME].value != store.session_key
    assert attacker.get("/c/").status_code == 302


def test_each_person_gets_their_own_memberships_from_the_same_query(admin: Actor, amira: Actor):
    assert admin.organisation
    assert amira.organisation
    first, second = signed_in(admin), signed_in(amira)
    for _ in range(2):
        assert admin.organisation.name in first.get("/c/").text
        assert amira.organisation.name in second.get("/p/").text
        assert admin.organisation.name not in second.get("/p/").text
    assert queries(lambda: first.get("/me")) == queries(lambda: second.get("/me"))
