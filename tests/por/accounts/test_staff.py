"""Platform staff: who may change it, what is recorded, and that one administrator always stays."""

from __future__ import annotations

import re

import pytest
from django.core import mail
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext

from por.accounts import actions
from por.accounts.models import Actor, Membership, User
from por.errors import Forbidden, NotFound, Refused
from por.history.actions.relaying import relay
from por.history.actions.verifying import verify
from por.history.models import Event
from por.notifications.actions.delivering import deliver
from por.notifications.models import Delivery
from tests.at_once import at_once, together
from tests.factories import make_customer, make_member, make_staff, make_user
from tests.pages import signed_in

ADMINISTRATOR = "programme_administrator"


@pytest.fixture
def boss() -> Actor:
    return make_staff(ADMINISTRATOR)


def role_of(person_id: int) -> str | None:
    return Membership.objects.filter(user=person_id, organisation__kind="staff").values_list("role", flat=True).first()


def newest() -> Event:
    return Event.objects.newest_first()[0]


# --- Adding -----------------------------------------------------------------------------------------------------


def test_new_person_is_added_and_gets_a_mail_to_choose_a_password(boss, client):
    actions.add_to_staff(" Ines@House.example", name="Ines Ek", role="reviewer", language="sv", by=boss)
    relay()
    deliver()

    person = User.objects.get(email="ines@house.example")
    assert (person.name, person.language, role_of(person.pk)) == ("Ines Ek", "sv", "reviewer")
    (message,) = mail.outbox
    assert message.to == ["ines@house.example"]
    assert "Välj ett lösenord" in message.body
    link = re.search(r"https?://[^/]+(/password/reset/\S+)", message.body)
    assert link is not None
    page = client.get(link[1], follow=True)
    client.post(page.request["PATH_INFO"], {"password1": "sju sköna sjömän", "password2": "sju sköna sjömän"})
    person.refresh_from_db()
    assert person.check_password("sju sköna sjömän")


def test_link_in_the_welcome_mail_is_in_no_row(boss):
    actions.add_to_staff("ines@house.example", name="Ines Ek", role="reviewer", by=boss)
    relay()

    delivery = Delivery.objects.get()
    assert "reset" not in " ".join(str(value) for value in delivery.__dict__.values())
    assert "ines@house.example" not in f"{newest().object_name} {newest().changes} {newest().reason}"


def test_person_with_an_account_is_added_under_their_own_name_without_a_mail(boss):
    known = make_user("Karin Almgren", email="karin@people.example")
    known.set_password("correct horse battery")
    known.save()

    added = actions.add_to_staff("KARIN@people.example", name="Someone else", role="support", by=boss)
    relay()

    assert (added.pk, added.name, role_of(known.pk)) == (known.pk, "Karin Almgren", "support")
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"name": " "}, "name_missing", "name"),
        ({"role": "administrator"}, "role_unknown", "role"),
        ({"role": ""}, "role_unknown", "role"),
        ({"email": "boss@house.example"}, "already_on_staff", "email"),
    ],
)
def test_invalid_person_is_refused_at_the_field_and_nothing_is_saved(boss, given, code, field):
    User.objects.filter(pk=boss.user_id).update(email="boss@house.example")

    with pytest.raises(Refused) as refused:
        actions.add_to_staff(**({"email": "ines@house.example", "name": "Ines", "role": "reviewer"} | given), by=boss)

    assert (refused.value.code, refused.value.field) == (code, field)
    assert User.objects.count() == 1
    assert not Event.objects.exists()


# --- Changing and removing --------------------------------------------------------------------------------------


def test_change_of_role_is_recorded_with_the_role_before(boss):
    person = make_staff("reviewer")

    actions.change_role(person.user_id, "support", by=boss)

    assert role_of(person.user_id) == "support"
    event = newest()
    assert (event.verb, event.object_id, event.chain) == (
        "member.role_changed",
        str(person.user_id),
        f"organisation:{boss.organisation_id}",
    )
    assert event.changes == {"role": "support", "role_before": "reviewer"}


def test_same_role_changes_nothing(boss):
    person = make_staff("reviewer")
    actions.change_role(person.user_id, "reviewer", by=boss)
    assert not Event.objects.exists()


def test_removed_person_keeps_other_organisations_and_loses_the_platform_immediately(boss):
    person = make_staff("reviewer")
    _token, secret = actions.create_token(person.user, person.organisation, name="CI", read_only=False)
    Membership.objects.create(user=person.user, organisation=make_customer().organisation, role="viewer")

    actions.remove_from_staff(person.user_id, by=boss)

    assert actions.actor_of_token(secret) is None
    assert [one.role for one in person.user.memberships.all()] == ["viewer"]
    assert newest().verb == "member.removed"


@pytest.mark.parametrize("verb", ["change_role", "remove_from_staff"])
def test_person_who_is_not_on_the_staff_is_not_found(boss, verb):
    outsider = make_member(make_customer().organisation)
    given = ("support",) if verb == "change_role" else ()
    with pytest.raises(NotFound):
        getattr(actions, verb)(outsider.user_id, *given, by=boss)


# --- Suspending -------------------------------------------------------------------------------------------------


def test_suspended_person_can_be_reactivated_and_both_are_recorded(boss):
    person = make_staff("reviewer")

    actions.suspend(person.user_id, by=boss)
    assert not User.objects.get(pk=person.user_id).is_active
    assert newest().verb == "person.suspended"

    actions.reactivate(person.user_id, by=boss)
    assert User.objects.get(pk=person.user_id).is_active
    assert newest().verb == "person.reactivated"


def test_second_suspension_or_reactivation_changes_nothing(boss):
    person = make_staff("reviewer")
    actions.reactivate(person.user_id, by=boss)
    actions.suspend(person.user_id, by=boss)
    actions.suspend(person.user_id, by=boss)
    assert [event.verb for event in Event.objects.all()] == ["person.suspended"]


def test_person_cannot_suspend_themselves(boss):
    make_staff(ADMINISTRATOR)
    with pytest.raises(Refused) as refused:
        actions.suspend(boss.user_id, by=boss)
    assert refused.value.code == "not_yourself"


# --- One administrator always stays -----------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["change_role", "remove_from_staff"])
def test_last_programme_administrator_who_can_sign_in_stays(boss, verb):
    actions.suspend(make_staff(ADMINISTRATOR).user_id, by=boss)
    given = ("reviewer",) if verb == "change_role" else ()

    with pytest.raises(Refused, match="last programme administrator") as refused:
        getattr(actions, verb)(boss.user_id, *given, by=boss)

    assert refused.value.code == "last_administrator"
    assert role_of(boss.user_id) == ADMINISTRATOR


def demote_each_other(monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], int]:
    """Let two administrators demote each other after both passed the check; return outcomes and remaining ones."""
    one, other = make_staff(ADMINISTRATOR), make_staff(ADMINISTRATOR)
    check = together(actions._require_another_administrator)
    monkeypatch.setattr(actions, "_require_another_administrator", check)
    outcomes = at_once(
        lambda: actions.change_role(one.user_id, "reviewer", by=other),
        lambda: actions.change_role(other.user_id, "reviewer", by=one),
    )
    return outcomes, Membership.objects.filter(role=ADMINISTRATOR).count()


@pytest.mark.django_db(transaction=True)
def test_of_two_administrators_who_demote_each_other_one_stays(monkeypatch):
    assert demote_each_other(monkeypatch) == (["done", "no_right"], 1)
    assert list(verify()) == []


@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_none_stays(monkeypatch):
    monkeypatch.setattr(QuerySet, "select_for_update", lambda self, **_: self)

    assert demote_each_other(monkeypatch) == (["done", "done"], 0)


@pytest.mark.django_db(transaction=True)
def test_of_two_simultaneous_additions_of_a_person_one_succeeds():
    one, other = make_staff(ADMINISTRATOR), make_staff(ADMINISTRATOR)
    given = {"email": "ines@house.example", "name": "Ines Ek", "role": "reviewer"}
    assert at_once(
        lambda: actions.add_to_staff(**given, by=one),
        lambda: actions.add_to_staff(**given, by=other),
    ) == ["already_on_staff", "done"]
    assert Event.objects.filter(verb="member.added").count() == 1


@pytest.mark.parametrize("role", ["reviewer", "support", "auditor", "customer"])
def test_only_programme_administrators_change_platform_staff(role):
    by = make_member(make_customer().organisation) if role == "customer" else make_staff(role)
    person = make_staff("reviewer").user_id
    for call in (
        lambda: actions.add_to_staff("x@house.example", name="X", role="reviewer", by=by),
        lambda: actions.change_role(person, "support", by=by),
        lambda: actions.remove_from_staff(person, by=by),
        lambda: actions.suspend(person, by=by),
        lambda: actions.reactivate(person, by=by),
    ):
        with pytest.raises(Forbidden):
            call()
    assert not Event.objects.exists()


def test_right_that_was_lost_since_the_request_began_is_refused(boss):
    other = make_staff(ADMINISTRATOR)
    actions.remove_from_staff(other.user_id, by=boss)

    with pytest.raises(Forbidden):
        actions.suspend(boss.user_id, by=other)


# --- The pages --------------------------------------------------------------------------------------------------

NEW = {"email": "ines@house.example", "name": "Ines", "role": "reviewer", "language": "en"}


def page(person_id: int, verb: str = "") -> str:
    return f"/a/people/{person_id}/{verb}"


def test_list_shows_memberships_and_filters_by_name_address_kind_role_and_state(boss):
    customer = make_customer("Ekholmen Logistik AB")
    elin = make_member(customer.organisation, name="Elin Sandberg", email="elin@ekholmen.example")
    make_member(customer.organisation, "viewer", name="Vera Holm")
    actions.suspend(make_staff("support").user_id, by=boss)
    web = signed_in(boss)

    def found(query: str) -> set[str]:
        return {one.email for one in web.get(f"/a/people/?{query}").context["page"].rows}

    assert "Ekholmen Logistik AB" in web.get("/a/people/").text
    assert found("search=elin%40ekho") == {elin.user.email}
    assert len(found("search=Vera")) == 1
    assert len(found("kind=customer")) == 2
    assert found("kind=customer&role=administrator") == {elin.user.email}
    assert found("kind=staff&role=administrator") == set()
    assert len(found("view=suspended")) == 1
    assert len(found("view=staff")) == 2
    assert web.get("/a/people/?search=el").status_code == 422
    assert "Clear filters" in web.get("/a/people/?search=nobody+at+all").text


def test_number_of_queries_of_the_list_does_not_grow(boss, django_assert_num_queries):
    web, organisation = signed_in(boss), make_customer().organisation
    make_member(organisation)
    with CaptureQueriesContext(connection) as few:
        web.get("/a/people/")
    for _ in range(12):
        make_member(organisation)
    with django_assert_num_queries(len(few)):
        web.get("/a/people/")


def test_page_of_a_person_shows_tokens_without_secret_and_digest(boss):
    elin = make_member(make_customer().organisation)
    token, secret = actions.create_token(elin.user, elin.organisation, name="Nightly export", read_only=True)
    actions.revoke_token(
        elin.user, actions.create_token(elin.user, elin.organisation, name="Old", read_only=True)[0].pk
    )

    text = signed_in(make_staff("auditor")).get(page(elin.user_id)).text

    assert "Nightly export" in text
    assert "Revoked" in text
    assert secret not in text
    assert token.digest not in text


def test_administrator_adds_changes_suspends_reactivates_and_removes_on_the_pages(boss):
    web = signed_in(boss)
    added = web.post(
        "/a/people/add/", {"email": "ines@house.example", "name": "Ines", "role": "reviewer", "language": "en"}
    )
    ines = User.objects.get(email="ines@house.example")
    assert added["Location"] == page(ines.pk)
    assert "an email with a link to choose a password" in web.get(added["Location"]).text

    assert "a different role" in web.post(page(ines.pk, "role/"), {"role": "support"}, follow=True).text
    assert "is suspended" in web.post(page(ines.pk, "suspend/"), follow=True).text
    assert "can sign in again" in web.post(page(ines.pk, "reactivate/"), follow=True).text
    assert "no longer a member of platform staff" in web.post(page(ines.pk, "remove/"), follow=True).text
    assert [event.verb for event in Event.objects.order_by("pk")] == [
        "member.added",
        "member.role_changed",
        "person.suspended",
        "person.reactivated",
        "member.removed",
    ]


def test_refusal_is_shown_on_the_page_of_the_person(boss):
    web = signed_in(boss)
    refused = web.post(page(boss.user_id, "remove/"))
    assert refused.status_code == 409
    assert "last programme administrator" in refused.text
    assert web.post(page(boss.user_id, "role/"), {"role": "king"}).status_code == 422


def test_form_errors_are_shown_at_their_field_and_input_is_kept(boss):
    answer = signed_in(boss).post(
        "/a/people/add/", {"email": boss.user.email, "name": "Typed", "role": "reviewer", "language": "en"}
    )
    assert answer.status_code == 422
    assert "already a member of platform staff" in answer.text
    assert 'value="Typed"' in answer.text
    assert signed_in(boss).post("/a/people/add/", {"email": "not an address"}).status_code == 422


def test_person_who_may_only_read_sees_no_button(boss):
    text = signed_in(make_staff("auditor")).get(page(make_staff("reviewer").user_id)).text
    assert "/suspend/" not in text
    assert "/role/" not in text
    assert "/a/people/add/" not in signed_in(make_staff("support")).get("/a/people/").text


def test_pages_are_translated_to_swedish(boss):
    User.objects.filter(pk=boss.user_id).update(language="sv")
    web = signed_in(boss)
    assert "Lägg till i plattformens personal" in web.get("/a/people/").text
    assert "Senaste inloggning" in web.get(page(boss.user_id)).text
