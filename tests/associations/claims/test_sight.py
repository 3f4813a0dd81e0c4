"""Who reads what of a claim: each party, each claim, each way to it. Nobody reads more than the table says."""

from __future__ import annotations

from typing import Any

import pytest

from associations.attaching.actions import attach as attaching
from associations.claims.actions import commenting, drafting, reviewing
from associations.claims.models import Claim
from por.accounts.models import Actor
from por.history.models import Event
from tests.api import Api
from tests.claims import make_draft, make_submitted
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.pages import signed_in

#: What a claim has that not everyone may read. The words stand nowhere else.
SECRETS = {
    "name": "Secret name",
    "proof": "secret-file",
    "comment": "Secret comment",
    "internal": "Secret among staff",
    "note": "Secret note",
    "draft": "Secret draft",
}
#: What each reader finds by any way: pages, API, files and events.
MAY_READ: dict[str, set[str]] = {
    "claimant": {"name", "proof", "comment", "note", "draft"},
    "incentives": {"name", "proof", "comment", "note", "draft"},
    "company": {"name", "proof", "comment", "note", "draft"},
    "viewer": {"name", "draft"},
    "rival": set(),
    "of record": set(),
    "customer": set(),
    "customer viewer": set(),
    "other customer": set(),
    "reviewer": {"name", "proof", "comment", "internal"},
    "support": {"name", "proof", "comment", "internal"},
    "auditor": {"name", "proof", "comment", "internal"},
    "programme administrator": {"name"},
}


@pytest.fixture(scope="module")
def case(shared: None) -> dict[str, Any]:
    """Return a contested claim with a proof, comments and a note, a draft, and a person for each reader."""
    customer, company = make_customer(), make_partner("Nordvik AB", kind="global")
    partner = make_partner("Nordvik Cloud AB", parent=company.organisation)
    holder, rival = make_partner("Halden Konsult AB"), make_partner("Rival AB")
    claimant, admin = make_member(partner.organisation), make_member(customer.organisation)
    people: dict[str, Actor] = {
        "claimant": claimant,
        "incentives": make_member(partner.organisation, "incentives"),
        "company": make_member(company.organisation),
        "viewer": make_member(partner.organisation, "viewer"),
        "rival": make_member(rival.organisation),
        "of record": make_member(holder.organisation),
        "customer": admin,
        "customer viewer": make_member(customer.organisation, "viewer"),
        "other customer": make_member(make_customer("Ekholmen AB").organisation),
        "reviewer": make_staff("reviewer"),
        "support": make_staff("support"),
        "auditor": make_staff("auditor"),
        "programme administrator": make_staff("programme_administrator"),
    }
    attaching.attach(make_subscription(customer).subscription_id, holder.mpn_id, by=admin)
    claim = make_submitted(customer, claimant, "exo", name=SECRETS["name"], proof={"filename": "secret-file.pdf"})
    draft = make_draft(customer, claimant, "spo", name=SECRETS["draft"])
    reviewing.start_review(claim.pk, by=people["reviewer"])
    reviewing.ask(claim.pk, ["dates"], by=people["reviewer"], note=SECRETS["note"])
    commenting.comment(claim.pk, SECRETS["comment"], by=claimant)
    commenting.comment(claim.pk, SECRETS["internal"], by=people["reviewer"], internal=True)
    make_submitted(customer, people["rival"], "exo")
    over = make_submitted(customer, claimant, "teams", name="Over")
    drafting.withdraw(over.pk, by=claimant, note="Secret note")
    return {"claim": claim, "draft": draft, "over": over, "people": people}


def ways(case: dict[str, Any], reader: Actor) -> dict[str, str]:
    """Return all that the reader gets of the claims, by the address or the name of the way."""
    web, api, found = signed_in(reader), Api(reader), {}
    paths = ["/p/claims/", "/p/claims/?search=Secret", "/p/claims/?format=csv"]
    for one in (case["claim"], case["draft"], case["over"]):
        paths += [f"/p/claims/{one.pk}/", f"/p/claims/{one.pk}/edit/summary/", f"/p/claims/{one.pk}/edit/contacts/"]
        found |= {path: body(api.get(path)) for path in (f"claims/{one.pk}/", f"claims/{one.pk}/comments/")}
    found |= {path: body(web.get(path)) for path in paths}
    found |= {path: body(api.get(path)) for path in ("claims/", "claims/?search=Secret", "claims/?format=csv")}
    return found


def body(response: Any) -> str:
    if response.status_code not in (200, 422):
        return ""
    content = b"".join(response.streaming_content) if response.streaming else response.content
    text: str = content.decode()
    return text.replace('value="Secret"', "")


@pytest.mark.parametrize("name", MAY_READ)
def test_reader_finds_by_any_way_what_it_may_read_and_nothing_else(case, name):
    reader = case["people"][name]
    found = ways(case, reader)

    read = {secret for secret, words in SECRETS.items() if any(words in text for text in found.values())}
    assert read == MAY_READ[name]


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("claimant", {"claim", "draft", "over"}),
        ("viewer", {"claim", "draft", "over"}),
        ("rival", set()),
        ("of record", set()),
        ("customer", {"claim", "over"}),
        ("other customer", set()),
        ("reviewer", {"claim", "over"}),
    ],
)
def test_claim_that_a_reader_may_not_see_is_absent(case, name, seen):
    api = Api(case["people"][name])
    listed = {one["id"] for one in api.get("claims/").json()["results"]}
    for key in ("claim", "draft", "over"):
        status = api.get(f"claims/{case[key].pk}/").status_code
        assert (status == 200) == (case[key].pk in listed) == (key in seen), key
        assert status in (200, 404)


def test_customer_reads_who_units_status_and_contacts(case):
    found = Api(case["people"]["customer"]).get(f"claims/{case['claim'].pk}/").json()

    assert found["status"] == "action_required"
    assert (found["workloads"], found["customer_contact"]["name"]) == (["exo"], "Karin Lund")
    assert found["proved_at"]
    assert len(found["conflicts"]) == 1
    hidden = {"name", "opt_out_of_payment", "transaction_on", "seller", "solution", "checked", "proofs", "due_at"}
    assert {one for one in hidden if found[one] is not None} == set()


def test_customer_does_not_find_a_claim_by_the_name_that_the_partner_gave_it(case):
    for name, found in (("customer", 0), ("reviewer", 1)):
        page = Api(case["people"][name]).get("claims/", {"search": "Secret name"})
        assert len(page.json()["results"]) == found


def test_no_event_has_a_name_a_file_a_comment_or_a_note(case):
    of_claims = Event.objects.filter(object_kind__in=["claim", "conflict"])
    assert of_claims.count() > 5
    for event in of_claims:
        told = f"{event.changes} {event.reason} {event.object_name}"
        assert "ecret" not in told, event.verb


def test_events_stand_in_the_chain_of_who_may_read_them(case):
    claim: Claim = case["claim"]
    found = dict(Event.objects.filter(object_kind="claim", object_id=str(claim.pk)).values_list("verb", "chain"))
    assert found == {
        "claim.submitted": f"organisation:{claim.customer_id}",
        "claim.review_started": f"organisation:{claim.partner_id}",
        "claim.asked": f"organisation:{claim.partner_id}",
        "claim.commented": f"organisation:{claim.partner_id}",
        "claim.noted": "house",
    }


def test_control_a_field_that_is_not_hidden_from_the_customer_is_found(case, monkeypatch):
    monkeypatch.setattr("associations.claims.schemas.claims.may_read_all", lambda _actor: True)
    found = ways(case, case["people"]["customer"])
    assert any(SECRETS["name"] in text for text in found.values())
