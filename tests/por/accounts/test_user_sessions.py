"""Where a person is signed in, how sessions end, and how their keys are stored."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as product
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.db import SessionStore as OlderStore
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from por.accounts import actions
from por.accounts.models import Actor, User, UserSession
from por.accounts.sessions import USED_PRECISION, hashed
from por.accounts.tasks import purge_sessions
from tests.factories import PASSWORD, make_customer, make_member
from tests.pages import signed_in

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
EDGE = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0 Safari/537.36 Edg/141.0"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Safari/604.1"
LIST, END_OTHERS = "/me/sessions/", "/me/sessions/end/"
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()


@pytest.fixture
def person(admin: Actor) -> User:
    assert admin.user is not None
    admin.user.set_password(PASSWORD)
    admin.user.save()
    return admin.user


def make_other() -> User:
    """Return a person of another customer."""
    user = make_member(make_customer("Almviks kommun").organisation, email="other@almvik.example").user
    assert user is not None
    user.set_password(PASSWORD)
    user.save()
    return user


def browser(person: User, agent: str = FIREFOX) -> Client:
    """Return a browser in which the person has just signed in with the password."""
    client = Client(headers={"User-Agent": agent})
    assert client.post("/login", {"login": person.email, "password": PASSWORD}).status_code == 302
    return client


def key_of(client: Client) -> str:
    return client.cookies[product.SESSION_COOKIE_NAME].value


def is_in(client: Client) -> bool:
    return client.get("/me").status_code == 200


def older(client: Client, **ago: timedelta) -> None:
    """Let the session of the browser have begun or been used that long ago."""
    rows = UserSession.objects.filter(key__in=[key_of(client), hashed(key_of(client))])
    assert rows.update(**{name: timezone.now() - time for name, time in ago.items()}) == 1


# --- The list -------------------------------------------------------------------------------------------------------


def test_person_sees_where_they_are_signed_in(person):
    here, _phone = browser(person), browser(person, PHONE)
    browser(make_other(), EDGE)
    page = here.get(LIST)
    assert [one.device_name for one in page.context["sessions"]] == ["Safari on iPhone", "Firefox on Linux"]
    assert page.text.count("This device") == 1
    assert "Edge" not in page.text


@pytest.mark.parametrize(
    ("agent", "name"),
    [(EDGE, "Edge on Windows"), ("curl/8", "Unknown device"), ("", "Unknown device"), ("iPad", "iPad")],
)
def test_device_has_a_name(agent, name):
    assert UserSession(device=agent).device_name == name


def test_last_use_is_saved_to_the_minute(person):
    client = browser(person)
    first = UserSession.objects.get().used_at
    assert is_in(client)
    assert UserSession.objects.get().used_at == first
    older(client, used_at=USED_PRECISION * 2)
    assert is_in(client)
    assert UserSession.objects.get().used_at >= first


def test_session_costs_a_page_no_query_more_than_before(person, settings):
    client = browser(person)
    with CaptureQueriesContext(connection) as captured:
        assert is_in(client)
    assert sum("django_session" in one["sql"] or "accounts_usersession" in one["sql"] for one in captured) == 1


# --- Ending one, or all others --------------------------------------------------------------------------------------


def test_one_session_is_ended_and_the_others_stay(person):
    here, lost, third = browser(person), browser(person, PHONE), browser(person, EDGE)
    row = UserSession.objects.get(device=PHONE)
    assert here.post(f"{LIST}{row.pk}/end/").url == LIST
    assert (is_in(here), is_in(lost), is_in(third)) == (True, False, True)
    assert here.post(f"{LIST}{row.pk}/end/").status_code == 404


def test_session_of_another_person_cannot_be_ended(person):
    here, theirs = browser(person), browser(make_other())
    row = UserSession.objects.exclude(user=person).get()
    assert here.post(f"{LIST}{row.pk}/end/").status_code == 404
    assert is_in(theirs)


def test_current_session_is_ended_by_signing_out_only(person):
    here = browser(person)
    assert here.post(f"{LIST}{UserSession.objects.get().pk}/end/").status_code == 404
    assert is_in(here)
    here.post("/logout")
    assert not UserSession.objects.exists()
    assert not Session.objects.exists()


def test_address_of_a_button_leads_back_to_the_list(person):
    here = browser(person)
    for path in (END_OTHERS, f"{LIST}{UserSession.objects.get().pk}/end/"):
        assert here.get(path).url == LIST
    assert is_in(here)


def test_all_other_sessions_are_ended(person):
    here, others = browser(person), [browser(person, PHONE), browser(person, EDGE)]
    stranger = browser(make_other())
    assert here.post(END_OTHERS).url == LIST
    assert [is_in(one) for one in (here, stranger, *others)] == [True, True, False, False]


def test_session_that_was_ended_is_not_written_again_by_a_request_under_way(person):
    here = browser(person)
    under_way = here.session
    assert under_way["_auth_user_id"]
    actions.end_other_sessions(person, "")
    under_way["more"] = 1
    with pytest.raises(UpdateError):
        under_way.save()
    assert not Session.objects.exists()


def test_new_password_ends_the_other_sessions_and_leaves_this_one_in_the_list(person):
    here, other = browser(person), browser(person, PHONE)
    new = "en helt annan fikus 77"
    sent = {"oldpassword": PASSWORD, "password1": new, "password2": new}
    before = UserSession.objects.get(device=FIREFOX)
    assert here.post("/me/password/", sent).status_code == 302
    assert (is_in(here), is_in(other)) == (True, False)
    now = UserSession.objects.get()
    assert (now.pk, now.began_at) == (before.pk, before.began_at)
    assert now.key != before.key
    assert [one.pk for one in here.get(LIST).context["sessions"]] == [now.pk]


# --- Limits ---------------------------------------------------------------------------------------------------------


def test_session_ends_when_it_is_not_used(person, settings):
    client = browser(person)
    older(client, used_at=timedelta(seconds=settings.SESSION_IDLE_SECONDS - 60))
    assert is_in(client)
    older(client, used_at=timedelta(seconds=settings.SESSION_IDLE_SECONDS + 60))
    assert not is_in(client)
    assert not list(actions.open_sessions(person))


def test_session_in_constant_use_ends_too(person, settings):
    client = browser(person)
    older(client, began_at=timedelta(seconds=settings.SESSION_COOKIE_AGE - 60))
    Session.objects.update(expire_date=timezone.now() + 24 * HOUR)  # as after a write of its data
    assert is_in(client)
    older(client, began_at=timedelta(seconds=settings.SESSION_COOKIE_AGE + 60))
    assert not is_in(client)
    assert not list(actions.open_sessions(person))


def test_unused_sessions_are_deleted(person, settings):
    unused, used = browser(person), browser(person, PHONE)
    older(unused, used_at=timedelta(seconds=settings.SESSION_IDLE_SECONDS + 60))
    UserSession.objects.create(user=person, key="gone")
    purge_sessions()
    assert [one.key for one in UserSession.objects.all()] == [key_of(used)] == [one.pk for one in Session.objects.all()]


# --- How keys are stored --------------------------------------------------------------------------------------------


def stored() -> list[str]:
    return list(Session.objects.values_list("session_key", flat=True))


def test_this_release_stores_keys_so_that_the_one_before_reads_them(person):
    client = browser(person)
    assert stored() == [key_of(client)] == [UserSession.objects.get().key]
    assert OlderStore(key_of(client))["_auth_user_id"] == str(person.pk)


def test_session_of_the_release_before_goes_on_and_enters_the_list(person, settings):
    older_session = OlderStore()
    older_session[SESSION_KEY], older_session[BACKEND_SESSION_KEY] = str(person.pk), product.AUTHENTICATION_BACKENDS[0]
    older_session[HASH_SESSION_KEY] = person.get_session_auth_hash()
    older_session.save()
    client = Client(headers={"User-Agent": FIREFOX})
    client.cookies[product.SESSION_COOKIE_NAME] = older_session.session_key
    assert is_in(client)
    assert [one.device_name for one in client.get(LIST).context["sessions"]] == ["Firefox on Linux"]
    settings.SESSION_KEYS_HASHED = True
    assert is_in(client), "a session that is stored by its key goes on when hashes are written"
    session: Any = client.session
    session["more"] = 1
    session.save()
    assert client.session["more"] == 1
    assert stored() == [key_of(client)]


def test_hashes_are_written_when_the_settings_say_so(person, settings):
    settings.SESSION_KEYS_HASHED = True
    client = browser(person)
    key = key_of(client)
    assert stored() == [hashed(key)] == [UserSession.objects.get().key]
    assert len(hashed(key)) == 40
    assert is_in(client)
    settings.SESSION_KEYS_HASHED = False
    assert is_in(client), "this release reads both forms, whichever it writes"
    client.post("/switch", {"organisation": person.memberships.get().organisation_id})
    assert is_in(client)
    assert stored() == [hashed(key)]
    client.post("/logout")
    assert stored() == []


def test_hash_from_the_database_is_no_key(person, settings):
    settings.SESSION_KEYS_HASHED = True
    key = key_of(browser(person))
    thief = Client()
    for stolen in (hashed(key), hashed(key)[1:]):
        thief.cookies[product.SESSION_COOKIE_NAME] = stolen
        assert not is_in(thief)
    thief.cookies[product.SESSION_COOKIE_NAME] = key
    assert is_in(thief), "the control: the key itself is one"


def test_lists_and_limits_hold_for_hashed_keys(person, settings):
    settings.SESSION_KEYS_HASHED = True
    here, other = browser(person), browser(person, PHONE)
    assert here.get(LIST).text.count("This device") == 1
    assert here.post(END_OTHERS).status_code == 302
    assert (is_in(here), is_in(other)) == (True, False)
    older(here, used_at=timedelta(seconds=settings.SESSION_IDLE_SECONDS + 60))
    assert not is_in(here)


def test_page_is_in_the_language_of_the_person(admin):
    assert "Inloggningar" in signed_in(admin, language="sv").get(LIST).text
