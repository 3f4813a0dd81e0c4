"""A file renames a partner or a customer: the other side is told, and the old name is found and stands on its days."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from por.accounts.models import FormerName, Organisation
from por.history.models import Event
from tests import estates
from tests.api import Api
from tests.estates import OTHER_TENANT, PARTNER, RIVAL, TENANT
from tests.factories import make_member, make_staff
from tests.pages import signed_in
from tests.por.directory.test_changes_of_files import send, told

OLD, NEW = "Västerhamn Energi AB", "Kustkraft AB"
OLD_PARTNER, NEW_PARTNER = f"Nordvik {PARTNER}", "Halden Cloud"


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """Import a customer with a partner of record, and another partner and customer that have nothing with them."""
    customers = [
        estates.customer(contact_email="it@ek.example"),
        estates.customer(OTHER_TENANT, name="Alm AB", contact_email="it@alm.example", domain="alm.example"),
    ]
    partners = [
        estates.partner(contact_email="a@nordvik.example", language="en"),
        estates.partner(RIVAL, contact_email="a@rival.example", language="en"),
    ]
    subscriptions = [estates.subscription()]
    estates.write(tmp_path, partners=partners, customers=customers, subscriptions=subscriptions)
    assert estates.load(estates.write(tmp_path, associations=[estates.association()])).failure == ""
    return tmp_path


def rename(estate: Path) -> None:
    row = estates.customer(name=NEW, domain="kust.example", contact_email="it@ek.example")
    assert estates.load_one(estate, "customers", row).codes == []
    row = estates.partner(name=NEW_PARTNER, contact_email="a@nordvik.example", language="en")
    assert estates.load_one(estate, "partners", row).codes == []


def three_days_ago() -> None:
    """Let the new names have come three days ago."""
    FormerName.objects.update(until=timezone.now() - timedelta(days=3))


def day(ago: int) -> str:
    return f"{timezone.now().date() - timedelta(days=ago):%Y-%m-%d}"


def organisation(number: str) -> Organisation:
    return Organisation.objects.get(number=number)


def test_other_side_is_told_of_a_new_name_and_no_one_else(estate):
    of_partner, of_customer = make_member(organisation(PARTNER)), make_member(organisation(TENANT))
    rename(estate)
    assert [(verb, chain, parties, changes["before"], changes["now"]) for verb, chain, parties, changes in told()] == [
        ("organisation.renamed", TENANT, [PARTNER], OLD, NEW),
        ("organisation.renamed", PARTNER, [TENANT], OLD_PARTNER, NEW_PARTNER),
    ]
    sent = send()
    members = {one.user.email for one in (of_partner, of_customer) if one.user}
    assert {to for to, _subject in sent} == {"a@nordvik.example", "it@ek.example"} | members
    assert {subject.split(": ")[1] for _to, subject in sent} == {"imported files made 2 changes"}
    page = signed_in(of_partner).get("/p/history/").text
    assert f"{OLD} → {NEW}" in page
    assert f"{OLD_PARTNER} → {NEW_PARTNER}" in page
    assert f"{OLD_PARTNER} is now called {NEW_PARTNER}." in signed_in(of_customer).get("/inbox/").text


def test_one_new_name_is_a_mail_of_its_own(estate):
    row = estates.partner(name=NEW_PARTNER, contact_email="a@nordvik.example", language="en")
    estates.load_one(estate, "partners", row)
    assert ("it@ek.example", f"{OLD_PARTNER} is now called {NEW_PARTNER}") in send()


@pytest.mark.parametrize(
    ("reader", "address", "text", "found"),
    [
        ("staff", "/a/find/", "Västerhamn", f"{NEW}, formerly {OLD}"),
        ("staff", "/a/find/", OLD_PARTNER, f"{NEW_PARTNER}, formerly {OLD_PARTNER}"),
        ("staff", "/a/customers/", "västerhamn", f"{NEW}, formerly {OLD}"),
        ("staff", "/a/partners/", OLD_PARTNER, f"{NEW_PARTNER}, formerly {OLD_PARTNER}"),
        ("staff", "/a/subscriptions/", "Energi", f"{NEW}, formerly {OLD}"),
        ("partner", "/p/subscriptions/", "Energi", f"{NEW}, formerly {OLD}"),
        ("partner", "/p/subscriptions/", "En", f"{NEW}, formerly {OLD}"),
        ("partner", "/p/customers/", "Energi", f"{NEW}, formerly {OLD}"),
        ("customer", "/c/subscriptions/", OLD_PARTNER, f"{NEW_PARTNER}, formerly {OLD_PARTNER}"),
    ],
)
def test_search_finds_the_old_name_and_says_so(estate, reader, address, text, found):
    rename(estate)
    readers = {
        "staff": make_staff("auditor"),
        "partner": make_member(organisation(PARTNER)),
        "customer": make_member(organisation(TENANT)),
    }
    web = signed_in(readers[reader])
    assert found in web.get(address, {"search": text}).text
    assert "formerly" not in web.get(address, {"search": found.split(",")[0]}).text


def test_old_name_shows_nothing_to_those_who_do_not_see_its_owner(estate):
    rename(estate)
    rival, other = make_member(organisation(RIVAL)), make_member(organisation(OTHER_TENANT))
    for reader, addresses in ((rival, ("/p/subscriptions/", "/p/customers/")), (other, ("/c/subscriptions/",))):
        web = signed_in(reader)
        for address in addresses:
            for text in ("Energi", OLD_PARTNER):
                page = web.get(address, {"search": text}).text
                assert NEW not in page
                assert NEW_PARTNER not in page


def test_past_days_have_the_names_of_their_day(estate):
    """On pages, over the API and in files; the last name of all is the one of today."""
    rename(estate)
    three_days_ago()
    reader = make_member(organisation(TENANT))
    api, web = Api(reader), signed_in(reader)
    for ago, (customer, partner) in {10: (OLD, OLD_PARTNER), 1: (NEW, NEW_PARTNER)}.items():
        query = f"?as_of={day(ago)}"
        one = api.get(f"subscriptions/{estates.SUBSCRIPTION}/{query}").json()
        (row,) = api.get(f"subscriptions/{query}").json()["results"]
        for shape in (one, row):
            assert (shape["customer"]["name"], shape["partner_of_record"]["name"]) == (customer, partner)
        (row,) = api.get(f"associations/{query}").json()["results"]
        assert (row["customer"]["name"], row["partner"]["name"]) == (customer, partner)
        hidden = NEW_PARTNER if partner == OLD_PARTNER else OLD_PARTNER
        for address in ("/c/subscriptions/", f"/c/subscriptions/{estates.SUBSCRIPTION}/"):
            text = web.get(f"{address}{query}").text
            assert partner in text, address
            assert address != "/c/subscriptions/" or hidden not in text
        file = b"".join(web.get(f"/c/subscriptions/{query}&format=csv").streaming_content).decode()
        assert customer in file
        assert partner in file


def test_each_name_ends_when_the_next_one_comes(estate):
    for name in ("Second", "Third", OLD):
        estates.load_one(estate, "customers", estates.customer(name=name))
    found = FormerName.objects.order_by("pk").values_list("organisation__number", "name")
    assert list(found) == [(TENANT, OLD), (TENANT, "Second"), (TENANT, "Third")]
    now = timezone.now()
    for ago, one in zip((9, 6, 3), FormerName.objects.order_by("pk"), strict=True):
        FormerName.objects.filter(pk=one.pk).update(until=now - timedelta(days=ago))
    api = Api(make_staff("auditor"))
    names = [
        api.get(f"subscriptions/?as_of={day(ago)}").json()["results"][0]["customer"]["name"] for ago in (10, 8, 5, 1)
    ]
    assert names == [OLD, "Second", "Third", OLD]
    assert Event.objects.filter(verb="organisation.renamed").count() == 3
