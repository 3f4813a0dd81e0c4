"""A file makes a global account a location of another one, or a location a global account, whatever its order."""

from __future__ import annotations

import itertools
import uuid
from pathlib import Path
from unittest import mock

import pytest

from associations.attaching.actions import attach as attaching
from associations.attaching.actions.ending import reopen_taken_back
from associations.attaching.actions.undo import undo
from associations.change_requests.models import ChangeRequest
from associations.invitations import actions as invitations
from associations.record.models import Association
from por.accounts.models import Actor, Organisation
from por.directory.models import Partner, Subscription
from por.imports import loading
from tests import estates
from tests.associations.attaching.test_actions import refused
from tests.estates import GLOBAL, OTHER_SUBSCRIPTION, PARTNER, RIVAL, SUBSCRIPTION, TENANT, Row
from tests.factories import make_member
from tests.pages import signed_in
from tests.por.directory.test_changes_of_files import send, told

OTHER_GLOBAL, THIRD = "4471899", "4471904"


def accounts() -> list[Row]:
    """Return two global accounts; the first has two locations, the second one."""
    return [
        estates.partner(GLOBAL, name="Nordvik Group", kind="global"),
        estates.partner(OTHER_GLOBAL, name="Halden Group", kind="global"),
        estates.partner(PARTNER, parent_mpn_id=GLOBAL),
        estates.partner(RIVAL, parent_mpn_id=GLOBAL),
        estates.partner(THIRD, parent_mpn_id=OTHER_GLOBAL),
    ]


def merged(parent: str = OTHER_GLOBAL) -> list[Row]:
    """Return them after the second company has bought the first one, whose account is now a location."""
    group = estates.partner(GLOBAL, name="Nordvik Group", parent_mpn_id=parent)
    return [group, *(row | {"parent_mpn_id": parent} for row in accounts()[2:]), accounts()[1]]


def swapped() -> list[Row]:
    """Return them after a location of the first company has become its account, and the account its location."""
    return [
        estates.partner(GLOBAL, name="Nordvik Group", parent_mpn_id=PARTNER),
        estates.partner(PARTNER, kind="global"),
        estates.partner(RIVAL, parent_mpn_id=PARTNER),
        *accounts()[1:2],
        *accounts()[4:],
    ]


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    subscriptions = [estates.subscription(), estates.subscription(OTHER_SUBSCRIPTION)]
    associations = [estates.association(), estates.association(THIRD, subscription_id=OTHER_SUBSCRIPTION)]
    estates.write(tmp_path, partners=accounts(), customers=[estates.customer(contact_email="it@ek.example")])
    estates.write(tmp_path, subscriptions=subscriptions, associations=associations)
    assert estates.load(tmp_path).failure == ""
    return tmp_path


def companies() -> dict[str, tuple[str, str]]:
    """Return the kind and the parent of each partner."""
    found = Partner.objects.values_list("mpn_id", "kind", "organisation__parent__number")
    return {mpn_id: (kind, parent or "") for mpn_id, kind, parent in found}


def wanted(rows: list[Row]) -> dict[str, tuple[str, str]]:
    return {row["mpn_id"]: (row["kind"], row["parent_mpn_id"]) for row in rows}


def number(mpn_id: str) -> Organisation:
    return Organisation.objects.get(kind="partner", number=mpn_id)


@pytest.mark.parametrize("rows", [merged(), merged("")[:4], swapped()])
@pytest.mark.parametrize("batch", [1, 3])
def test_account_becomes_a_location_whatever_the_order_and_the_batches(tmp_path, rows, batch):
    """Its locations leave it in the same file, before or after its own row."""
    for order in itertools.islice(itertools.permutations(rows), 0, None, 47):
        estates.load_one(tmp_path, "partners", *accounts())
        with mock.patch.object(loading, "BATCH", batch):
            assert estates.load_one(tmp_path, "partners", *order).codes == []
            assert companies() == wanted(accounts()) | wanted(rows)
            assert "Nothing has changed" in estates.load_one(tmp_path, "partners", *order).out
            assert estates.load_one(tmp_path, "partners", *accounts()).codes == []
        assert companies() == wanted(accounts())


def test_merger_is_told_to_both_companies_and_moves_what_they_see(estate):
    of_group, of_halden = (make_member(number(one)) for one in (GLOBAL, OTHER_GLOBAL))
    pages = [f"/p/subscriptions/{one}/" for one in (SUBSCRIPTION, OTHER_SUBSCRIPTION)]

    def seen(by: Actor) -> list[int]:
        web = signed_in(by)
        return [web.get(page).status_code for page in pages]

    assert (seen(of_group), seen(of_halden)) == ([200, 404], [404, 200])
    estates.load_one(estate, "partners", *merged())
    assert (seen(of_group), seen(of_halden)) == ([404, 404], [200, 200])
    both = sorted([GLOBAL, OTHER_GLOBAL])
    assert [event[:3] for event in sorted(told(), key=lambda one: one[1])] == [
        ("organisation.became_location", GLOBAL, [OTHER_GLOBAL]),
        ("organisation.parent_changed", PARTNER, both),
        ("organisation.parent_changed", RIVAL, both),
    ]
    sent = send()
    assert sorted(to for to, _subject in sent) == sorted(one.user.email for one in (of_group, of_halden) if one.user)
    assert {subject.split(": ")[1] for _to, subject in sent} == {"imported files made 3 changes"}
    for reader in (of_group, of_halden):
        assert "A file made Nordvik Group a location" in signed_in(reader).get("/p/history/").text


def test_question_between_partners_that_become_one_company_is_cancelled(estate):
    """The partner of record stays, and the customer can name the other location at once."""
    admin = make_member(customer_of(TENANT))
    members = [make_member(number(one)) for one in (PARTNER, THIRD)]
    subscription = Subscription.objects.get(subscription_id=SUBSCRIPTION)
    attaching.attach(subscription.subscription_id, THIRD, by=admin)
    request = ChangeRequest.objects.get()
    assert request.status == "open"
    send()
    estates.load_one(estate, "partners", *merged())
    request.refresh_from_db()
    assert (request.status, request.cancelled_because) == ("cancelled", "same_company")
    closed = "Change request closed without an answer"
    assert {to for to, subject in send() if subject.startswith(closed)} == {
        "it@ek.example",
        *(one.user.email for one in (admin, *members) if one.user),
    }
    assert Association.objects.open().of_record().get(subscription=subscription).partner.mpn_id == PARTNER
    assert attaching.attach(subscription.subscription_id, THIRD, by=admin).outcome == "moved"


def customer_of(tenant: str) -> Organisation:
    return Organisation.objects.get(kind="customer", number=tenant)


def test_question_with_a_third_partner_stays_open(estate):
    admin = make_member(customer_of(TENANT))
    estates.load_one(estate, "partners", estates.partner("5550001"))
    subscription = Subscription.objects.get(subscription_id=SUBSCRIPTION)
    for mpn_id in (THIRD, "5550001"):
        attaching.attach(subscription.subscription_id, mpn_id, by=admin)
    estates.load_one(estate, "partners", *merged())
    assert ChangeRequest.objects.get().status == "open"


def refusals(estate: Path, *rows: Row) -> list[tuple[str, str, str]]:
    before = companies()
    loaded = estates.load_one(estate, "partners", *rows)
    refused = {rows[int(line) - 2]["mpn_id"] for line, _column, _code in loaded.codes}
    assert {one: companies()[one] for one in refused} == {one: before[one] for one in refused}
    return loaded.codes


def test_account_that_keeps_a_location_stays_one(estate):
    rows = [row for row in merged() if row["mpn_id"] != RIVAL]
    assert refusals(estate, *rows) == [("2", "kind", "has_locations")]
    loaded = estates.load_one(estate, "partners", rows[0])
    assert f"global account with locations: {RIVAL}." in loaded.errors[0]["reason"]


@pytest.mark.parametrize("batch", [1, 5000])
def test_accounts_below_each_other_and_two_levels_are_refused(estate, batch):
    circle = [
        estates.partner(GLOBAL, parent_mpn_id=OTHER_GLOBAL),
        estates.partner(OTHER_GLOBAL, parent_mpn_id=GLOBAL),
        *(estates.partner(one) for one in (PARTNER, RIVAL, THIRD)),
    ]
    with mock.patch.object(loading, "BATCH", batch):
        assert refusals(estate, *circle) == [(line, "parent_mpn_id", "cycle_of_parents") for line in ("2", "3")]
        chain = [circle[0], estates.partner(OTHER_GLOBAL), *circle[2:]]
        assert refusals(estate, *chain) == [("2", "parent_mpn_id", "parent_is_not_global")]


def test_location_that_is_in_use_cannot_become_an_account(estate):
    admin, amira = make_member(customer_of(TENANT)), make_member(number(RIVAL))
    row = estates.partner(kind="global")
    loaded = estates.load_one(estate, "partners", row)
    assert loaded.codes == [("2", "kind", "location_in_use")]
    assert "associations in force: 1" in loaded.errors[0]["reason"]

    attaching.attach(Subscription.objects.get(subscription_id=OTHER_SUBSCRIPTION).subscription_id, PARTNER, by=admin)
    invitations.invite(uuid.UUID(TENANT), [uuid.UUID(SUBSCRIPTION)], by=amira)
    assert "open change requests: 1" in estates.load_one(estate, "partners", row).errors[0]["reason"]
    loaded = estates.load_one(estate, "partners", estates.partner(RIVAL, kind="global"))
    assert "open invitations: 1" in loaded.errors[0]["reason"]


def test_account_gets_back_no_record_of_the_location_that_it_was(estate):
    """Neither by undo, nor because a file takes the reason of the end back."""
    admin = make_member(customer_of(TENANT))
    subscription = Subscription.objects.get(subscription_id=SUBSCRIPTION)
    attaching.remove(subscription.subscription_id, by=admin)
    assert estates.load_one(estate, "partners", estates.partner(kind="global")).codes == []
    refused("partner_is_global", lambda: undo(subscription.subscription_id, by=admin))

    estates.load_one(estate, "partners", estates.partner(THIRD, status="closed"))
    assert Association.objects.open().count() == 0
    estates.load_one(estate, "partners", estates.partner(THIRD, kind="global"))
    assert (reopen_taken_back(), Association.objects.open().count()) == (0, 0)


def test_location_that_became_an_account_is_told_with_its_former_company(estate):
    reader = make_member(number(GLOBAL))
    estates.load_one(estate, "partners", estates.partner(RIVAL, kind="global", contact_email="a@rival.example"))
    ((verb, chain, parties, changes),) = [event for event in told() if event[0] == "organisation.became_global"]
    assert (chain, parties) == (RIVAL, [GLOBAL])
    assert changes == {"name": f"Nordvik {RIVAL}", "before": "Nordvik Group", "now": ""}
    assert (reader.user and reader.user.email, f"Nordvik {RIVAL} is now a global account") in send()
