"""Signing in, the active organisation, preferences, and the person's own account."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.cache import cache
from django.template.loader import get_template
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries, Settings

from por.accounts.models import Actor, Membership, Token, User
from por.directory.models import Customer, Partner
from por.notifications.actions.delivering import deliver
from tests.factories import PASSWORD, make_member, make_staff, make_user
from tests.pages import packed


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    """Start each test without failed attempts."""
    cache.clear()


@pytest.fixture
def elin(customer: Customer) -> Actor:
    """Return an administrator of the customer who can sign in."""
    actor = make_member(customer.organisation, email="elin@vasterhamn.example")
    assert actor.user is not None
    actor.user.set_password(PASSWORD)
    actor.user.save()
    return actor


@pytest.fixture
def as_elin(client: Client, elin: Actor) -> Client:
    assert elin.user is not None
    client.force_login(elin.user)
    return client


def user_of(actor: Actor) -> User:
    assert actor.user is not None
    return actor.user


def sign_in(client: Client, email: str, password: str, **query: str) -> Any:
    return client.post(reverse("account_login", query=query or None), {"login": email, "password": password})


# --- Signing in -----------------------------------------------------------------------------------------------------


def test_right_password_leads_to_the_home_page(client: Client, elin: Actor) -> None:
    response = sign_in(client, "elin@vasterhamn.example", PASSWORD)
    assert (response.status_code, response.url) == (302, "/")
    assert client.get("/").url == "/c/"


def test_capitals_in_the_address_do_not_matter(client: Client, elin: Actor) -> None:
    assert sign_in(client, "Elin@Vasterhamn.example", PASSWORD).status_code == 302


def test_refusal_in_swedish_uses_our_own_translation(client: Client, elin: Actor) -> None:
    client.post(reverse("accounts:language"), {"language": "sv", "next": "/login"})
    text = sign_in(client, "elin@vasterhamn.example", "not this one").text
    assert "E-postadressen eller lösenordet stämmer inte." in text
    assert ">E-post<" in text
    assert ">E-post<" in client.get(reverse("account_reset_password")).text
    assert "Epost" not in text


def test_wrong_address_and_wrong_password_get_the_same_answer(client: Client, elin: Actor) -> None:
    wrong_password = sign_in(client, "elin@vasterhamn.example", "not this one")
    wrong_address = sign_in(client, "nobody@vasterhamn.example", PASSWORD)
    assert wrong_password.status_code == wrong_address.status_code == 422
    assert list(wrong_password.context["form"].non_field_errors()) == list(
        wrong_address.context["form"].non_field_errors()
    )
    assert "<title>Error:" in packed(wrong_password.text)


def test_signing_in_leads_to_the_requested_page(client: Client, elin: Actor) -> None:
    there = client.get("/me").url
    assert there == "/login?next=/me"
    assert client.post(there, {"login": "elin@vasterhamn.example", "password": PASSWORD}).url == "/me"


@pytest.mark.parametrize("there", ["https://elsewhere.example/", "//elsewhere.example/", "javascript:alert(1)"])
def test_signing_in_leads_only_to_our_own_pages(client: Client, elin: Actor, there: str) -> None:
    assert sign_in(client, "elin@vasterhamn.example", PASSWORD, next=there).url == "/"


def test_suspended_person_cannot_sign_in(client: Client, elin: Actor) -> None:
    User.objects.filter(pk=user_of(elin).pk).update(is_active=False)
    sign_in(client, "elin@vasterhamn.example", PASSWORD)
    assert client.get("/me").url == "/login?next=/me"


def test_signing_out_ends_the_session(as_elin: Client) -> None:
    assert as_elin.get(reverse("account_logout")).status_code == 200
    assert as_elin.get("/me").status_code == 200
    assert as_elin.post(reverse("account_logout")).status_code == 302
    assert as_elin.get("/me").status_code == 302


@pytest.mark.parametrize("path", ["/signup", "/signup/", "/accounts/signup/", "/login/signup"])
def test_no_one_can_sign_up(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_demo_lists_its_people_and_no_password(client: Client, elin: Actor, settings: Settings) -> None:
    make_member(user_of_organisation(elin), email="customer@demo.example")
    assert "customer@demo.example" not in client.get("/login").text
    settings.DEMO = True
    page = client.get("/login", {"as": "customer@demo.example"}).text
    assert "customer@demo.example" in page
    assert 'value="customer@demo.example"' in page
    assert "elin@vasterhamn.example" not in page


def user_of_organisation(actor: Actor) -> Any:
    assert actor.organisation is not None
    return actor.organisation


def test_forgotten_password_is_replaced_with_a_link_that_works_once(client: Client, elin: Actor) -> None:
    User.objects.filter(pk=user_of(elin).pk).update(language="sv")
    response = client.post(reverse("account_reset_password"), {"email": "elin@vasterhamn.example"}, follow=True)
    assert response.status_code == 200
    assert not mail.outbox, "no request waits for a mail server"
    deliver()
    (message,) = mail.outbox
    link = re.search(r"https?://[^/]+(/password/reset/\S+)", str(message.body))
    assert link is not None
    form = client.get(link[1], follow=True)
    answer = client.post(
        form.context["action_url"], {"password1": "a new phrase here", "password2": "a new phrase here"}
    )
    assert answer.url == reverse("account_reset_password_from_key_done")
    assert sign_in(client, "elin@vasterhamn.example", "a new phrase here").status_code == 302
    assert "no longer works" in Client().get(link[1]).text


def test_reset_for_an_unknown_address_looks_the_same_and_sends_nothing(client: Client, elin: Actor) -> None:
    known = client.post(reverse("account_reset_password"), {"email": "elin@vasterhamn.example"})
    deliver()
    sent = len(mail.outbox)
    unknown = client.post(reverse("account_reset_password"), {"email": "nobody@vasterhamn.example"})
    assert (known.status_code, known.url) == (unknown.status_code, unknown.url)
    deliver()
    assert len(mail.outbox) == sent == 1


def test_weak_new_password_is_refused(as_elin: Client) -> None:
    answer = as_elin.post(
        reverse("account_change_password"), {"oldpassword": PASSWORD, "password1": "short", "password2": "short"}
    )
    assert answer.status_code == 422


def test_changed_password_leads_back_to_the_account(as_elin: Client) -> None:
    answer = as_elin.post(
        reverse("account_change_password"),
        {"oldpassword": PASSWORD, "password1": "a new phrase here", "password2": "a new phrase here"},
    )
    assert answer.url == reverse("accounts:me")


def test_person_without_a_password_is_sent_to_the_reset_page(client: Client, customer: Customer) -> None:
    client.force_login(user_of(make_member(customer.organisation)))
    response = client.get(reverse("account_change_password"), follow=True)
    assert response.redirect_chain[-1][0] == reverse("account_reset_password")


# --- The active organisation ----------------------------------------------------------------------------------------


@pytest.fixture
def both(customer: Customer, partner: Partner) -> User:
    """Return a member of a customer and of a partner."""
    user = make_user("Per Lund")
    Membership.objects.create(user=user, organisation=customer.organisation, role="administrator")
    Membership.objects.create(user=user, organisation=partner.organisation, role="viewer")
    return user


def test_stranger_reads_what_the_product_is_and_can_sign_in(client: Client) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "Attach a partner to a subscription by its MPN ID" in page.text
    assert 'href="/login"' in page.text


def test_each_kind_of_organisation_has_its_own_home_page(client: Client, customer: Customer, partner: Partner) -> None:
    people = {
        "/c/": make_member(customer.organisation),
        "/p/": make_member(partner.organisation),
        "/a/": make_staff("auditor"),
    }
    for home, actor in people.items():
        client.force_login(user_of(actor))
        assert client.get("/").url == home


def test_person_with_several_organisations_chooses_and_can_switch(client: Client, both: User, partner: Partner) -> None:
    client.force_login(both)
    assert partner.organisation.name in client.get("/").text
    assert client.post(reverse("accounts:switch"), {"organisation": partner.organisation_id}).url == "/p/"
    assert client.get("/").url == "/p/"


def test_link_to_another_organisation_of_the_reader_asks_to_switch(
    client: Client, both: User, partner: Partner
) -> None:
    client.force_login(both)
    customer = both.memberships.exclude(organisation=partner.organisation).get().organisation
    client.post(reverse("accounts:switch"), {"organisation": customer.pk})
    page = client.get("/p/subscriptions/?search=almvik")
    assert page.status_code == 403
    assert f"Switch to {partner.organisation.name}" in page.text
    assert 'name="next" value="/p/subscriptions/?search=almvik"' in page.text
    given = {"organisation": partner.organisation_id, "next": "/p/subscriptions/?search=almvik"}
    assert client.post(reverse("accounts:switch"), given).url == "/p/subscriptions/?search=almvik"
    assert "Switch to" not in client.get("/p/subscriptions/00000000-0000-0000-0000-000000000000/").text


@pytest.mark.parametrize("there", ["https://elsewhere.example/p/", "//elsewhere.example/p/", "/c/", "/logout", ""])
def test_switch_leads_only_to_pages_of_the_chosen_organisation(
    client: Client, both: User, partner: Partner, there: str
) -> None:
    client.force_login(both)
    given = {"organisation": partner.organisation_id, "next": there}
    assert client.post(reverse("accounts:switch"), given).url == "/p/"


def test_person_cannot_switch_to_an_organisation_of_others(as_elin: Client, partner: Partner) -> None:
    for other in (partner.organisation_id, "", "x"):
        assert as_elin.post(reverse("accounts:switch"), {"organisation": other}).status_code == 404


def test_person_without_an_organisation_is_told_whom_to_ask(client: Client) -> None:
    client.force_login(make_user())
    response = client.get("/")
    assert response.status_code == 200
    assert "Ask your administrator" in response.text


def test_home_page_of_staff_is_closed_to_others(as_elin: Client) -> None:
    assert as_elin.get("/a/").status_code == 403


def test_administrator_finds_the_sent_mail_of_the_demo(client: Client, settings: Settings, tmp_path: Path) -> None:
    client.force_login(user_of(make_staff("programme_administrator")))
    assert "/a/mail/" not in client.get("/a/").text
    settings.MAIL_SINK = str(tmp_path)
    assert "/a/mail/" in client.get("/a/").text


# --- Language and theme ---------------------------------------------------------------------------------------------


def test_language_is_kept_after_signing_out_and_in(client: Client, elin: Actor) -> None:
    sign_in(client, "elin@vasterhamn.example", PASSWORD)
    assert client.post(reverse("accounts:language"), {"language": "sv", "next": "/me"}).url == "/me"
    assert '<html lang="sv"' in packed(client.get("/me").text)
    client.post(reverse("account_logout"))
    assert '<html lang="sv"' in packed(client.get("/login").text)
    elsewhere = Client()
    sign_in(elsewhere, "elin@vasterhamn.example", PASSWORD)
    assert '<html lang="sv"' in packed(elsewhere.get("/me").text)


def test_unknown_language_is_not_found(client: Client) -> None:
    assert client.post(reverse("accounts:language"), {"language": "xx"}).status_code == 404


@pytest.mark.parametrize("there", ["http://[", "http://[x", "//["])
def test_sign_in_with_an_odd_way_back_is_answered(client, admin, there):
    assert client.get("/login", {"next": there}).status_code == 200
    client.force_login(admin.user)
    for answer in (client.get("/login", {"next": there}), client.post("/login", {"next": there})):
        assert (answer.status_code, answer.url) == (302, "/")


@pytest.mark.parametrize(
    "there", ["0422-05-05", "home", "accounts:me", "", "//elsewhere.example", "/\\elsewhere.example"]
)
def test_way_back_that_is_no_address_of_ours_leads_to_the_start_page(client, there):
    for name in ("accounts:theme", "accounts:language"):
        assert client.post(reverse(name), {"language": "sv", "theme": "dark", "next": there}).url == "/"


@pytest.mark.parametrize("name", ["language", "theme"])
def test_redirect_after_a_preference_leads_only_to_our_pages(client: Client, name: str) -> None:
    given = {"language": "en", "theme": "dark", "next": "https://elsewhere.example/"}
    assert client.post(reverse(f"accounts:{name}"), given).url == "/"


def test_theme_is_rendered_by_the_server(client: Client) -> None:
    assert "data-theme" not in client.get("/login").text.split(">")[1]
    client.post(reverse("accounts:theme"), {"theme": "dark"})
    assert 'data-theme="dark"' in client.get("/login").text
    client.post(reverse("accounts:theme"), {"theme": ""})
    assert 'data-theme="' not in client.get("/login").text


def test_unknown_theme_is_ignored(client: Client) -> None:
    client.post(reverse("accounts:theme"), {"theme": '"><script>'})
    assert "data-theme=" not in re.search(r"<html[^>]*>", client.get("/login").text)[0]  # type: ignore[index]


# --- The person's own account ---------------------------------------------------------------------------------------


def profile(**given: str) -> dict[str, str]:
    return {"name": "Elin S", "language": "sv", "time_zone": "Europe/Helsinki", "theme": "", "shortcuts": "on"} | given


def test_name_language_and_time_zone_are_saved(as_elin: Client, elin: Actor) -> None:
    assert as_elin.post(reverse("accounts:me"), profile(shortcuts="")).url == reverse("accounts:me")
    user = User.objects.get(pk=user_of(elin).pk)
    assert (user.name, user.language, user.time_zone) == ("Elin S", "sv", "Europe/Helsinki")
    assert 'data-shortcuts="off"' in as_elin.get("/me").text


@pytest.mark.parametrize(("field", "value"), [("name", ""), ("language", "xx"), ("time_zone", "Mars/Olympus")])
def test_invalid_entry_is_kept_and_its_field_named(as_elin: Client, elin: Actor, field: str, value: str) -> None:
    response = as_elin.post(reverse("accounts:me"), profile(**{field: value}))
    assert response.status_code == 422
    assert field in response.context["form"].errors
    assert User.objects.get(pk=user_of(elin).pk).name == "Elin Sandberg"


def token_form(actor: Actor, **given: Any) -> dict[str, Any]:
    this = {"name": "Nightly report", "organisation": actor.organisation_id, "access": "read"}
    return this | {"days": 90, "password": PASSWORD} | given


def test_token_is_shown_once_and_only_its_digest_is_stored(as_elin: Client, elin: Actor) -> None:
    response = as_elin.post(reverse("accounts:tokens"), token_form(elin))
    assert response.status_code == 201
    secret = response.context["secret"]
    assert secret in response.text
    assert "no-store" in response.headers["Cache-Control"]
    assert secret not in as_elin.get(reverse("accounts:tokens")).text
    token = Token.objects.get()
    assert (token.digest, token.read_only) == (Token.digest_of(secret), True)


def test_token_cannot_be_created_for_an_organisation_of_others(as_elin: Client, partner: Partner, elin: Actor) -> None:
    response = as_elin.post(reverse("accounts:tokens"), token_form(elin, organisation=partner.organisation_id))
    assert response.status_code == 422
    assert not Token.objects.exists()


def test_viewer_may_not_create_a_token(client: Client, customer: Customer) -> None:
    viewer = make_member(customer.organisation, "viewer")
    client.force_login(user_of(viewer))
    assert "<form" not in client.get(reverse("accounts:tokens")).text.split('id="new-title"')[1]
    assert client.post(reverse("accounts:tokens"), token_form(viewer)).status_code == 422


def test_revoking_asks_first_and_is_for_own_tokens_only(as_elin: Client, elin: Actor, both: User) -> None:
    as_elin.post(reverse("accounts:tokens"), token_form(elin))
    token = Token.objects.get()
    page = reverse("accounts:token_revoke", args=[token.pk])
    stranger = Client()
    stranger.force_login(both)
    assert stranger.get(page).status_code == stranger.post(page).status_code == 404
    assert as_elin.get(page).status_code == 200
    token.refresh_from_db()
    assert token.revoked_at is None
    assert as_elin.post(page).url == reverse("accounts:tokens")
    token.refresh_from_db()
    assert token.revoked_at is not None
    assert as_elin.get(page).status_code == 404


def test_number_of_queries_of_the_list_of_tokens_does_not_grow(
    as_elin: Client, elin: Actor, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(8):
        as_elin.post(reverse("accounts:tokens"), token_form(elin, name=f"Token {number}"))
    with django_assert_max_num_queries(5):
        as_elin.get(reverse("accounts:tokens"))


# --- Error pages ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "sv"])
def test_unknown_address_has_our_own_page(as_elin: Client, elin: Actor, language: str) -> None:
    User.objects.filter(pk=user_of(elin).pk).update(language=language)
    response = as_elin.get("/nothing/here")
    assert response.status_code == 404
    assert f'<html lang="{language}"' in packed(response.text)


def test_form_without_its_csrf_token_has_our_own_page() -> None:
    response = Client(enforce_csrf_checks=True).post("/login", {})
    assert response.status_code == 403
    assert "expired" in response.text


@pytest.mark.parametrize("name", ["400", "500"])
def test_pages_for_400_and_500_need_no_query(name: str, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        assert "<h1>" in get_template(f"{name}.html").render()


@pytest.mark.parametrize(
    "path", ["/login", "/password/reset/", "/password/reset/sent/", "/password/reset/done/", "/suspended"]
)
def test_pages_for_signing_in_are_public(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert response.text.count("<h1") == 1


@pytest.mark.parametrize("path", ["/me", "/c/", "/inbox/", "/c/nothing/"])
def test_no_cache_keeps_a_private_page(as_elin: Client, path: str) -> None:
    assert as_elin.get(path)["Cache-Control"] == "private, no-store"


def test_browser_forgets_what_it_kept_at_sign_out(as_elin: Client) -> None:
    assert "Clear-Site-Data" not in as_elin.get("/logout")
    assert as_elin.post("/logout")["Clear-Site-Data"] == '"cache", "storage"'
