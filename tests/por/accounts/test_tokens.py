"""API tokens end, need a password to be made, and go with the password on request."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from por.accounts import actions
from por.accounts.models import Actor, Token, User
from por.errors import Refused
from tests.factories import PASSWORD, make_staff
from tests.pages import signed_in


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()


@pytest.fixture
def person(admin: Actor) -> User:
    assert admin.user is not None
    admin.user.set_password(PASSWORD)
    admin.user.save()
    return admin.user


@pytest.fixture
def web(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def create(admin: Actor, **given: Any) -> tuple[Token, str]:
    assert admin.user is not None
    assert admin.organisation is not None
    return actions.create_token(admin.user, admin.organisation, **{"name": "CI", "read_only": True} | given)


def entered(admin: Actor, **given: Any) -> dict[str, Any]:
    this = {"name": "CI", "organisation": admin.organisation_id, "access": "read", "days": 30, "password": PASSWORD}
    return this | given


def test_token_stops_at_its_end(admin, settings):
    token, secret = create(admin, days=7)
    assert token.expires_at == token.created_at + timedelta(days=7)
    assert actions.actor_of_token(secret)
    Token.objects.update(expires_at=timezone.now())
    assert actions.actor_of_token(secret) is None
    assert Client().get("/api/v1/me/", headers={"Authorization": f"Bearer {secret}"}).status_code == 401


def test_token_without_a_chosen_end_gets_the_usual_one(admin, settings):
    settings.TOKEN_DAYS = 12
    assert (create(admin)[0].expires_at - timezone.now()).days in {11, 12}


@pytest.mark.parametrize("days", [0, -1, 366, 10**9])
def test_token_cannot_work_for_longer_than_allowed(admin, days):
    with pytest.raises(Refused) as caught:
        create(admin, days=days)
    assert (caught.value.code, caught.value.field) == ("days_not_allowed", "days")
    assert not Token.objects.exists()


def test_form_offers_nothing_beyond_the_longest_time(web, admin, settings):
    settings.TOKEN_LONGEST_DAYS, settings.TOKEN_DAYS = 60, 30
    page = web.get("/me/tokens/")
    assert [days for days, _text in page.context["form"].fields["days"].choices] == [7, 30, 60]
    assert web.post("/me/tokens/", entered(admin, days=90)).status_code == 422
    assert web.post("/me/tokens/", entered(admin, days=60)).status_code == 201


def test_token_from_before_tokens_had_an_end_goes_on_and_is_shown_as_such(web, admin):
    _token, secret = create(admin)
    Token.objects.update(expires_at=None)
    assert actions.actor_of_token(secret)
    assert "No end" in web.get("/me/tokens/").text
    staff = signed_in(make_staff("programme_administrator"))
    assert "No end" in staff.get(f"/a/people/{admin.user_id}/").text


def test_expired_token_is_shown_as_expired(web, admin):
    create(admin)
    Token.objects.update(expires_at=timezone.now() - timedelta(days=1))
    assert ">Expired<" in web.get("/me/tokens/").text
    staff = signed_in(make_staff("programme_administrator"))
    assert ">Expired<" in staff.get(f"/a/people/{admin.user_id}/").text


@pytest.mark.parametrize("password", ["", "not my password", f" {PASSWORD}"])
def test_new_token_needs_the_password(web, admin, password):
    answer = web.post("/me/tokens/", entered(admin, password=password))
    assert answer.status_code == 422
    assert "password" in answer.context["form"].errors
    assert not Token.objects.exists()


def test_password_cannot_be_guessed_on_the_page_of_tokens(web, admin):
    answers = [web.post("/me/tokens/", entered(admin, password=f"guess {n}")).status_code for n in range(10)]
    assert set(answers) == {422}
    too_many = web.post("/me/tokens/", entered(admin))
    assert (too_many.status_code, too_many["Retry-After"]) == (429, "60")
    assert not Token.objects.exists()


@pytest.mark.parametrize("ends", [True, False])
def test_change_of_password_ends_tokens_on_request(web, admin, ends):
    _token, secret = create(admin)
    new = "en helt annan fikus 77"
    sent = {"oldpassword": PASSWORD, "password1": new, "password2": new} | ({"end_tokens": "on"} if ends else {})
    assert web.post("/me/password/", sent).status_code == 302
    assert (actions.actor_of_token(secret) is None) == ends


def test_refused_change_of_password_ends_no_tokens(web, admin):
    _token, secret = create(admin)
    sent = {"oldpassword": "wrong", "password1": "en helt annan fikus", "password2": "en helt annan fikus"}
    assert web.post("/me/password/", sent | {"end_tokens": "on"}).status_code == 422
    assert actions.actor_of_token(secret)


def test_new_password_by_mail_ends_tokens_on_request(admin, person):
    from allauth.account.forms import default_token_generator
    from allauth.account.utils import user_pk_to_url_str

    _token, secret = create(admin)
    client = Client()
    page = f"/password/reset/{user_pk_to_url_str(person)}-{default_token_generator.make_token(person)}/"
    form = client.get(page, follow=True).redirect_chain[-1][0]
    new = "en helt annan fikus 77"
    assert client.post(form, {"password1": new, "password2": new, "end_tokens": "on"}).status_code == 302
    assert actions.actor_of_token(secret) is None
