"""What a file changes about an organisation is an event in its own chain, and those concerned are told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from por.accounts.models import Membership, Organisation, User
from por.history.actions.relaying import relay
from por.history.models import Event, Party
from por.notifications.actions.delivering import deliver
from tests import estates
from tests.estates import GLOBAL, PARTNER, RIVAL, TENANT, UNKNOWN
from tests.factories import make_member
from tests.pages import signed_in

OTHER_GLOBAL = "4471899"


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """Import two global accounts, a location of the first, and a customer."""
    partners = [
        estates.partner(GLOBAL, name="Nordvik Group", kind="global"),
        estates.partner(OTHER_GLOBAL, name="Halden Group", kind="global"),
        estates.partner(parent_mpn_id=GLOBAL, contact_email="old@nordvik.example", language="en"),
    ]
    customers = [estates.customer(contact_email="old@vasterhamn.example")]
    assert estates.load(estates.write(tmp_path, partners=partners, customers=customers)).failure == ""
    return tmp_path


def told() -> list[tuple[str, str, list[str], dict[str, Any]]]:
    """Return verb, chain, parties and payload of the events about organisations."""
    numbers = dict(Organisation.objects.values_list("pk", "number"))
    return [
        (
            event.verb,
            numbers[int(event.chain.removeprefix("organisation:"))],
            sorted(numbers[pk] for pk in Party.objects.filter(event=event).values_list("organisation_id", flat=True)),
            event.changes,
        )
        for event in Event.objects.filter(verb__startswith="organisation.").order_by("pk")
    ]


def send() -> list[tuple[str, str]]:
    """Relay and send all that waits; return recipient and subject of each mail."""
    while relay():
        pass
    mail.outbox.clear()
    deliver()
    return sorted((message.to[0], str(message.subject)) for message in mail.outbox)


def member(number: str, email: str) -> None:
    make_member(Organisation.objects.get(number=number), email=email)


def test_first_import_and_the_same_files_again_tell_nothing(estate):
    estates.load(estate)
    assert told() == []
    assert send() == []


def test_new_names_are_told_to_the_organisation(estate):
    estates.load_one(estate, "customers", estates.customer(name="Västerhamn Kraft AB"))
    estates.load_one(estate, "partners", estates.partner(name="Nordvik Väst", parent_mpn_id=GLOBAL, language="en"))
    assert told() == [
        (
            "organisation.renamed", TENANT, [],
            {"name": "Västerhamn Kraft AB", "before": "Västerhamn Energi AB", "now": "Västerhamn Kraft AB"},
        ),
        (
            "organisation.renamed", PARTNER, [],
            {"name": "Nordvik Väst", "before": "Nordvik 4471902", "now": "Nordvik Väst"},
        ),
    ]  # fmt: skip
    assert send() == [
        ("old@nordvik.example", "Nordvik 4471902 is now called Nordvik Väst"),
        ("old@vasterhamn.example", "Västerhamn Energi AB is now called Västerhamn Kraft AB"),
    ]


def test_another_global_account_is_told_to_the_location_and_to_both(estate):
    member(GLOBAL, "a@group.example")
    member(OTHER_GLOBAL, "a@halden.example")
    estates.load_one(estate, "partners", estates.partner(parent_mpn_id=OTHER_GLOBAL, language="en"))
    ((verb, chain, parties, changes),) = told()
    assert (verb, chain, parties) == ("organisation.parent_changed", PARTNER, sorted([GLOBAL, OTHER_GLOBAL]))
    assert changes == {"name": "Nordvik 4471902", "before": "Nordvik Group", "now": "Halden Group"}
    subject = "Nordvik 4471902 is now a location of Halden Group"
    assert send() == [(one, subject) for one in ("a@group.example", "a@halden.example", "old@nordvik.example")]
    assert "The people of Nordvik Group can no longer see it." in mail.outbox[0].body

    estates.load_one(estate, "partners", estates.partner(parent_mpn_id="", language="en"))
    assert {subject for _to, subject in send()} == {"Nordvik 4471902 no longer belongs to Halden Group"}


def test_another_contact_is_told_and_no_address_stands_in_the_chain(estate):
    estates.load_one(estate, "customers", estates.customer(contact_email="new@vasterhamn.example"))
    assert told() == [("organisation.contact_changed", TENANT, [], {"name": "Västerhamn Energi AB"})]
    assert ("new@vasterhamn.example", "Imported files name another contact of Västerhamn Energi AB") in send()


def members(number: str = TENANT) -> list[tuple[str, bool]]:
    """Return the address of each member, and whether a file has named it."""
    found = Membership.objects.filter(organisation__number=number)
    return sorted(found.values_list("user__email", "by_file"))


def test_contact_that_a_file_named_gives_way_to_the_next_one(estate):
    """Who was added in another way stays, and both are told."""
    member(TENANT, "colleague@vasterhamn.example")
    estates.load_one(estate, "customers", estates.customer(contact_email="New@vasterhamn.example"))
    assert members() == [("colleague@vasterhamn.example", False), ("new@vasterhamn.example", True)]
    events = Event.objects.filter(verb__startswith="member.").order_by("pk")
    assert [(one.verb, one.object_name, one.chain) for one in events] == [
        (f"member.{what}_by_file", who, f"organisation:{Organisation.objects.get(number=TENANT).pk}")
        for what, who in (("removed", "Old"), ("added", "New"))
    ]
    assert "@" not in str([event.changes for event in events])
    sent = send()
    assert sent == [
        ("colleague@vasterhamn.example", "Imported files name another contact of Västerhamn Energi AB"),
        ("new@vasterhamn.example", "Imported files name another contact of Västerhamn Energi AB"),
        ("new@vasterhamn.example", "You are now an administrator of Västerhamn Energi AB"),
        ("old@vasterhamn.example", "You are no longer an administrator of Västerhamn Energi AB"),
    ]
    welcome, farewell = (
        next(one for one in mail.outbox if str(one.subject).startswith(start))
        for start in ("You are now", "You are no longer")
    )
    link = re.search(r"http://testserver(/\S*password\S*)", welcome.body)
    assert link is not None
    assert Client().get(link[1]).status_code in {200, 302}
    assert "because you were a member" in farewell.body
    assert "Choose which emails" not in farewell.body


def test_former_contact_sees_nothing_any_more_and_can_come_back(estate):
    old = User.objects.get(email="old@vasterhamn.example")
    web = Client()
    web.force_login(old)
    assert web.get("/c/history/").status_code == 200
    estates.load_one(estate, "customers", estates.customer(contact_email="new@vasterhamn.example"))
    assert web.get("/c/history/").status_code in {302, 403}
    estates.load_one(estate, "customers", estates.customer(contact_email="OLD@vasterhamn.example"))
    assert members() == [("old@vasterhamn.example", True)]
    assert web.get("/c/history/").status_code == 200


@pytest.mark.parametrize("what", ["was removed here", "is unknown"])
def test_membership_of_another_origin_stays(estate, what):
    """One from before files were noted is unknown; one that was removed here does not come back by the same file."""
    if what == "is unknown":
        Membership.objects.filter(organisation__number=TENANT).update(by_file=False)
        left = [("new@vasterhamn.example", True), ("old@vasterhamn.example", False)]
    else:
        Membership.objects.filter(organisation__number=TENANT).delete()
        left = [("new@vasterhamn.example", True)]
    estates.load_one(estate, "customers", estates.customer(contact_email="old@vasterhamn.example", domain="x.example"))
    estates.load_one(estate, "customers", estates.customer(contact_email="new@vasterhamn.example"))
    assert members() == left


def test_member_who_becomes_the_contact_keeps_role_and_origin(estate):
    make_member(Organisation.objects.get(number=TENANT), "viewer", email="new@vasterhamn.example")
    estates.load_one(estate, "customers", estates.customer(contact_email="new@vasterhamn.example"))
    assert members() == [("new@vasterhamn.example", False)]
    assert Membership.objects.get(organisation__number=TENANT).role == "viewer"
    verbs = Event.objects.filter(verb__startswith="member.").values_list("verb", flat=True)
    assert list(verbs) == ["member.removed_by_file"]


def test_empty_contact_changes_nothing(estate):
    for file, row in (
        ("customers", estates.customer()),
        ("partners", estates.partner(parent_mpn_id=GLOBAL, language="en")),
    ):
        assert "Nothing has changed" in estates.load_one(estate, file, row).out
    assert Organisation.objects.get(number=TENANT).contact_email == "old@vasterhamn.example"
    estates.load_one(estate, "customers", estates.customer(name="Another"))
    assert Organisation.objects.get(number=TENANT).contact_email == "old@vasterhamn.example"
    assert [verb for verb, *_rest in told()] == ["organisation.renamed"]
    assert members() == [("old@vasterhamn.example", True)]


def test_another_tenant_of_its_own_is_told(estate):
    estates.load_one(estate, "partners", estates.partner(parent_mpn_id=GLOBAL, tenant_id=UNKNOWN))
    assert told() == [
        ("organisation.tenant_changed", PARTNER, [], {"name": "Nordvik 4471902", "before": "", "now": UNKNOWN})
    ]


def test_history_says_it_to_both_sides(estate):
    estates.load_one(estate, "partners", estates.partner(parent_mpn_id=OTHER_GLOBAL), estates.partner(RIVAL))
    for number in (PARTNER, OTHER_GLOBAL):
        reader = make_member(Organisation.objects.get(number=number))
        text = signed_in(reader).get("/p/history/").text
        assert "moved to another global account by a file" in text
        assert "Nordvik Group → Halden Group" in text
