"""Passwords that are refused because they are easily guessed."""

from __future__ import annotations

import pytest
from django.conf import global_settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import Client, override_settings

from por import settings
from por.accounts.models import Membership, User
from tests.factories import PASSWORD, make_customer, make_member


@pytest.fixture
def person() -> User:
    """Return a person at Västerhamn Energi AB."""
    member = make_member(make_customer("Västerhamn Energi AB").organisation, name="Elin Sandberg")
    assert member.user is not None
    member.user.set_password(PASSWORD)
    member.user.save()
    return member.user


def refused_as(password: str, person: User | None) -> set[str]:
    try:
        validate_password(password, person)
    except ValidationError as error:
        return {one.code for one in error.error_list}
    return set()


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("aaaaaaaaaaaa", "password_repeated"),
        ("abcabcabcabc", "password_repeated"),
        ("AbCaBcABCabc", "password_repeated"),
        ("121212121212", "password_repeated"),
        ("aabbaabbccdd", "password_repeated"),
        ("mustang9mustang9", "password_repeated"),
        ("butterfly12345", "password_common_word"),
        ("!!Butterfly2026", "password_common_word"),
        ("1234football!", "password_common_word"),
        ("passwordpassword", "password_repeated"),
        ("partnerofrecord", "password_of_names"),
        ("Partner-of-Record 2026", "password_of_names"),
        ("2026partnerpartner", "password_of_names"),
        ("vasterhamnenergi", "password_of_names"),
        ("Västerhamn2026!", "password_of_names"),
        ("västerhamnenergi", "password_of_names"),
        ("energi.ab.västerhamn", "password_of_names"),
        ("elin1sandberg2", "password_of_names"),
    ],
)
def test_password_that_others_would_try_is_refused(person, password, code):
    assert code in refused_as(password, person)


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD,
        "a b " + "tR7-vanlig-kvist " * 8,
        "blå fikus under trappan",
        "tR7-vanlig-kvist",
        "Västerhamn men inte jag",
        "hjulspår93rymd",
    ],
)
def test_password_that_is_hard_to_guess_is_accepted(person, password):
    assert refused_as(password, person) == set()


def test_name_of_another_organisation_is_no_name_of_mine(person):
    other = make_customer("Fikusodlarna Handelsbolag")
    assert refused_as("fikusodlarna 2026", person) == set()
    Membership.objects.create(user=person, organisation=other.organisation, role="viewer")
    assert refused_as("fikusodlarna 2026", person) == {"password_of_names"}


def test_person_who_changes_to_such_a_password_is_told_why(person):
    User.objects.filter(pk=person.pk).update(language="sv")
    web = Client()
    web.force_login(person)
    sent = {"oldpassword": PASSWORD, "password1": "abcabcabcabc", "password2": "abcabcabcabc"}
    answer = web.post("/me/password/", sent)
    assert answer.status_code == 422
    assert "Lösenordet upprepar samma få tecken." in answer.text


def test_passwords_are_stored_with_a_million_rounds_and_older_ones_are_renewed(person: User) -> None:
    assert not hasattr(settings, "PASSWORD_HASHERS"), "the product chooses no hasher of its own"
    with override_settings(PASSWORD_HASHERS=global_settings.PASSWORD_HASHERS):
        assert person.password.split("$")[1] == "1", "as the tests store them"
        Client().post("/login", {"login": person.email, "password": PASSWORD})
        person.refresh_from_db()
        kind, rounds, *_rest = person.password.split("$")
    assert kind == "pbkdf2_sha256"
    assert int(rounds) >= 1_000_000
