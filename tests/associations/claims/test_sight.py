"""Who reads what of a claim: each party, each claim, each way to it. Nobody reads more than the table says."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any
from unittest import mock

import pytest
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.claims.actions import commenting, drafting, reviewing
from associations.claims.models import Claim, ClaimQuerySet
from por.accounts.models import Actor
from por.history.actions.relaying import relay
from por.history.models import Event
from por.notifications.messages import compose
from por.notifications.models import Delivery
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
    "reviewer": {"name", "proof", "comment", "internal", "note"},
    "support": {"name", "proof", "comment", "internal", "note"},
    "auditor": {"name", "proof", "comment", "internal", "note"},
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
    relay()
    return {"claim": claim, "draft": draft, "over": over, "people": people}


#: The places of the pages of partners, customers and staff. Each reader asks at all of them.
PLACES = ("p", "c", "a")


def ways(case: dict[str, Any], reader: Actor) -> dict[str, str]:
    """Return all that the reader gets of the claims, by the address or the name of the way."""
    claims = [case[name] for name in ("claim", "draft", "over")]
    lists = [f"/{place}/claims/" for place in PLACES]
    paths = [f"{path}{query}" for path in lists for query in ("", "?search=Secret", "?format=csv")]
    paths += [f"/{place}/claims/{one.pk}/{part}" for place in PLACES for one in claims for part in ("", "proofs/")]
    paths += [f"/p/claims/{one.pk}/edit/{page}/" for one in claims for page in ("summary", "contacts")]
    paths += [f"/{place}/history/" for place in PLACES] + ["/c/", "/p/", "/a/", "/inbox/", "/c/partners/"]
    paths += [f"/p/customers/{case['claim'].customer.tenant_id}/", f"/p/claims/proofs/?claim={case['claim'].pk}"]
    web, api = signed_in(reader), Api(reader)
    of_api = ["claims/", "claims/?search=Secret", "claims/?format=csv"]
    of_api += [f"claims/{one.pk}/{part}" for one in claims for part in ("", "comments/", "proofs/", "proofs/1/")]
    found = {path: body(web.get(path)) for path in paths} | {path: body(api.get(path)) for path in of_api}
    return found | as_of(case, reader) | mails(reader)


def as_of(case: dict[str, Any], reader: Actor) -> dict[str, str]:
    """Return the same of the day on which all was made, as it is seen some days later."""
    made, claims = timezone.now(), [case[name] for name in ("claim", "draft", "over")]
    day = f"as_of={made.astimezone(UTC).date()}"
    paths = [f"/{place}/claims/?{day}{query}" for place in PLACES for query in ("", "&search=Secret", "&format=csv")]
    paths += [f"/{place}/claims/{one.pk}/?{day}" for place in PLACES for one in claims]
    paths += [f"/c/partners/?{day}", f"/p/customers/{case['claim'].customer.tenant_id}/?{day}"]
    of_api = [f"claims/?{day}", f"claims/?{day}&format=csv", *(f"claims/{one.pk}/?{day}" for one in claims)]
    with mock.patch.object(timezone, "now", return_value=made + timedelta(days=3)):
        web, api = signed_in(reader), Api(reader)
        return {path: body(web.get(path)) for path in paths} | {path: body(api.get(path)) for path in of_api}


def mails(reader: Actor) -> dict[str, str]:
    """Return the mails of the reader."""
    sent = Delivery.objects.filter(user=reader.user).select_related("event", "organisation", "user")
    found = {}
    for one in sent:
        mail = compose(one)
        found[f"mail {one.template} {one.pk}"] = f"{mail.subject} {mail.body} {mail.alternatives}"
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
    assert read == MAY_READ[name], {secret: [w for w in found if SECRETS[secret] in found[w]] for secret in read}


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


#: Who may open the file of a claim, at an address of each kind: the others find nothing there, or are refused.
MAY_OPEN = {
    "/p/claims/{}/proofs/1/download/": {"claimant", "incentives", "company"},
    "/a/claims/{}/proofs/1/download/": {"reviewer"},
    "claims/{}/proofs/1/content/": {"claimant", "incentives", "company", "reviewer"},
}


@pytest.mark.parametrize("address", MAY_OPEN)
def test_file_leads_to_a_link_for_those_alone_who_may_open_it(case, address):
    path = address.format(case["claim"].pk)
    statuses = {}
    for name, reader in case["people"].items():
        ask = signed_in(reader) if path.startswith("/") else Api(reader)
        statuses[name] = ask.get(path).status_code
    assert {name for name, status in statuses.items() if status == 302} == MAY_OPEN[address]
    assert set(statuses.values()) <= {302, 403, 404}


def test_pictures_of_pages_are_refused_to_all_who_may_not_open_the_file(case):
    for place, may in (("p", {"claimant", "incentives", "company"}), ("a", {"reviewer"})):
        for name, reader in case["people"].items():
            if name not in may:
                status = signed_in(reader).get(f"/{place}/claims/{case['claim'].pk}/proofs/1/pages/1/").status_code
                assert status in (403, 404), name


def test_each_reader_of_a_claim_gets_it_by_csv_as_of_a_day_and_by_mail(case):
    """The ways of the matrix are real: a claimant finds its secret by each kind of them."""
    found = ways(case, case["people"]["claimant"])
    kinds = {
        "csv": lambda way: way == "/p/claims/?format=csv",
        "csv as of a day": lambda way: way.startswith("/p/claims/?as_of=") and way.endswith("format=csv"),
        "csv of the API": lambda way: way == "claims/?format=csv",
        "page as of a day": lambda way: way.startswith(f"/p/claims/{case['claim'].pk}/?as_of="),
        "API as of a day": lambda way: way.startswith(f"claims/{case['claim'].pk}/?as_of="),
        "mail": lambda way: way.startswith("mail "),
    }
    for kind, is_of in kinds.items():
        assert any(SECRETS["name"] in text for way, text in found.items() if is_of(way)), kind


def test_control_without_the_guard_of_claims_a_rival_finds_them_by_csv_and_as_of_a_day(case, monkeypatch):
    monkeypatch.setattr(ClaimQuerySet, "visible_to", lambda self, _actor: self.all())
    found = ways(case, case["people"]["rival"])
    ways_of_name = {way for way, text in found.items() if SECRETS["name"] in text}
    assert "/p/claims/?format=csv" in ways_of_name
    assert any("as_of=" in way and "format=csv" in way for way in ways_of_name)
    assert any(way.startswith(f"/p/claims/{case['claim'].pk}/?as_of=") for way in ways_of_name)


def test_control_without_the_guard_of_a_past_day_the_customer_finds_name_file_and_note(case, monkeypatch):
    monkeypatch.setattr("associations.claims.views.past.may_read_all", lambda _actor: True)
    monkeypatch.setattr(Actor, "may", lambda _self, _right: True)
    found = as_of(case, case["people"]["customer"])
    page = next(text for way, text in found.items() if way.startswith(f"/c/claims/{case['claim'].pk}/?as_of="))
    assert [words in page for words in (SECRETS["name"], SECRETS["proof"], SECRETS["note"])] == [True, True, True]


def test_control_a_field_that_is_not_hidden_from_the_customer_is_found(case, monkeypatch):
    monkeypatch.setattr("associations.claims.schemas.claims.may_read_all", lambda _actor: True)
    found = ways(case, case["people"]["customer"])
    assert any(SECRETS["name"] in text for text in found.values())
