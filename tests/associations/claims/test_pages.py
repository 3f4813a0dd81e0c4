"""The list of a partner's claims, the page of one, and where else the partner reads of claims."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from associations.attaching.actions import attach as attaching
from associations.claims.actions import commenting, drafting, reviewing
from associations.claims.models import Claim
from associations.claims.queries.claims import due_of
from associations.claims.queries.steps import WORDS
from associations.claims.rules import CLAIM, ClaimStatus
from associations.record import access
from por.accounts.models import Actor
from por.directory.models import Customer, Partner
from tests.claims import add_proof, make_approved, make_draft, make_submitted, make_under_review
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.pages import queries, signed_in

LIST = "/p/claims/"


@pytest.fixture(scope="module")
def case(shared: None) -> dict[str, Any]:
    """Return a partner with a claim in most statuses, and a rival with a claim on one of the same workloads."""
    customer, partner, reviewer = make_customer(), make_partner(), make_staff()
    amira, rival = make_member(partner.organisation), make_member(make_partner("Rival AB").organisation)
    claims = {
        "draft": make_draft(customer, amira, "intune", name="Not sent"),
        "submitted": make_submitted(customer, amira, "exo", "spo", name="For all"),
        "asked": make_under_review(customer, amira, "teams", reviewer=reviewer),
        "approved": make_approved(customer, amira, "yammer", reviewer=reviewer),
        "withdrawn": make_submitted(customer, amira, "proplus"),
        "rejected": make_under_review(customer, amira, "aip", reviewer=reviewer),
        "rival": make_submitted(customer, rival, "exo"),
    }
    reviewing.ask(claims["asked"].pk, ["dates"], by=reviewer, note="Page 2 is undated.")
    reviewing.reject(claims["rejected"].pk, ["insufficient"], by=reviewer)
    drafting.withdraw(claims["withdrawn"].pk, by=amira)
    for one in claims.values():
        one.refresh_from_db()
    return {"amira": amira, "partner": partner, "customer": customer, "reviewer": reviewer, "rival": rival} | claims


@pytest.fixture
def web(case: dict[str, Any]) -> Client:
    return signed_in(case["amira"])


def text(response: Any) -> str:
    main = re.sub(r"<[^>]+>", " ", response.content.decode().partition("<main")[2])
    return " ".join(main.split())


def listed(web: Client, query: str = "") -> list[int]:
    page = web.get(LIST + query).content.decode()
    return [int(one) for one in re.findall(r'<th scope="row">\s*<a\s+href="/p/claims/(\d+)/"', page)]


def tabs(web: Client) -> dict[str, int]:
    page = web.get(LIST).content.decode()
    nav = page.partition('<nav class="views"')[2].partition("</nav>")[0]
    found = re.findall(r'href="([^"]*)"[^>]*>[^<]*<span class="cnt">(\d+)', nav)
    return {url.partition("view=")[2]: int(count) for url, count in found}


def test_tabs_count_what_they_show(web, case):
    shown = tabs(web)

    assert shown == {
        "": 6,
        "drafts": 1,
        "in_review": 1,
        "action_required": 1,
        "approved": 1,
        "without_proof": 0,
        "expiring": 0,
        "contested": 1,
        "ended": 2,
    }
    for key, count in shown.items():
        assert len(listed(web, f"?view={key}")) == count, key
    assert listed(web, "?view=contested") == [case["submitted"].pk]


def test_claim_that_leaves_a_conflict_between_others_is_not_contested(case):
    third = make_member(make_partner("Third AB").organisation)
    claim = make_submitted(case["customer"], third, "exo", "aadp")
    reviewing.start_review(claim.pk, by=case["reviewer"])
    reviewing.ask(claim.pk, ["dates"], by=case["reviewer"])
    assert listed(signed_in(third), "?view=contested") == [claim.pk]

    drafting.change(claim.pk, {"workloads": ["aadp"]}, by=third)

    assert listed(signed_in(third), "?view=contested") == []


def test_filters_find_by_status_programme_workload_number_and_names(web, case):
    for query, found in (
        ("?status=approved", ["approved"]),
        ("?program=osu_bizapps", []),
        ("?workload=spo", ["submitted"]),
        (f"?search={case['approved'].number}", ["approved"]),
        ("?search=for+al", ["asked", "approved", "withdrawn", "rejected", "submitted"]),
        ("?search=Not+sent", ["draft"]),
        ("?search=Rival", []),
        (f"?search={case['customer'].tenant_id}&status=draft", ["draft"]),
    ):
        assert sorted(listed(web, query)) == sorted(case[one].pk for one in found), query
    assert web.get(LIST + "?search=x").status_code == 422


@pytest.mark.parametrize(
    "query", ["?view=contested", "?search=vik", "?search=CPR", "?search=for+al", "?search=Not+sent"]
)
def test_many_keys_are_found_as_few_are(web, case, monkeypatch, query):
    few = listed(web, query)
    monkeypatch.setattr(access, "FEW", 0)
    assert listed(web, query) == few


def test_file_has_exactly_what_the_list_shows(web, case):
    for query in ("", "?status=approved", "?view=ended", "?search=Not+sent"):
        response = web.get(f"{LIST}{query}{'&' if query else '?'}format=csv")
        body = b"".join(response.streaming_content).decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(body)))
        assert [int(row["claim_id"]) for row in rows] == listed(web, query)
    (row,) = rows
    assert (row["name"], row["status"], row["workloads"], row["contested"]) == ("Not sent", "draft", "intune", "0")


def test_no_view_of_the_list_takes_more_than_ten_queries(web, case):
    for query in ("", *(f"?view={key}" for key in tabs(web) if key), "?search=CPR", "?as_of=2026-01-01"):
        assert queries(lambda query=query: web.get(LIST + query)) <= 10, query


def test_queries_do_not_grow_with_claims_and_are_ten_at_most(web, case):
    few = queries(lambda: web.get(LIST))
    filtered = queries(lambda: web.get(LIST + "?search=CPR&status=approved"))
    for workload in ("intune", "aadp"):
        add_proof(make_draft(case["customer"], case["amira"], workload), case["amira"])

    assert queries(lambda: web.get(LIST)) == few <= 10
    assert queries(lambda: web.get(LIST + "?search=CPR")) <= filtered + 1


def test_new_partner_reads_what_a_claim_needs():
    nobody = make_partner("Ny partner AB")
    assert "No claims yet" in text(signed_in(make_member(nobody.organisation)).get(LIST))
    viewer = signed_in(make_member(nobody.organisation, "viewer")).get(LIST)
    assert "New claim" not in text(viewer)
    assert "Someone with the administrator or incentives role can claim" in text(viewer)


# --- The page of one ------------------------------------------------------------------------------------------------


def test_page_says_whose_turn_it_is_and_until_when(web, case):
    claim = case["asked"]
    shown = text(web.get(f"{LIST}{claim.pk}/"))

    assert "Waiting for the partner" in shown
    assert "Dates are missing or too old" in shown
    assert "Page 2 is undated." in shown
    assert "Answer the reviewer" in shown
    assert due_of(claim).deadline.ends_at == claim.due_at
    assert "The customer can decline" in text(web.get(f"{LIST}{case['approved'].pk}/"))


def test_term_of_hours_has_no_last_day(case):
    claim = Claim(
        customer=case["customer"], status=ClaimStatus.SUBMITTED, due_at=datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    )
    due = due_of(claim)
    assert due
    assert (due.deadline, due.is_over) == (None, True)


def test_every_step_of_a_claim_has_words():
    of_files = {"[imported]", "[corrected by a file]"}  # they have no status before
    assert {verb for steps in CLAIM.steps.values() for verb in steps} | of_files == set(WORDS)


def test_viewer_sees_a_claim_without_proofs_comments_and_notes(case):
    commenting.comment(case["asked"].pk, "Signed again.", by=case["amira"])
    proof = case["asked"].proofs.get()
    shown = {}
    for role in ("administrator", "incentives", "viewer"):
        web = signed_in(make_member(case["partner"].organisation, role))
        shown[role] = text(web.get(f"{LIST}{case['asked'].pk}/"))
    for secret in (proof.filename, "Signed again.", "Page 2 is undated."):
        assert secret in shown["administrator"]
        assert secret in shown["incentives"]
        assert secret not in shown["viewer"]
    for verb in ("Withdraw this claim", "Answer the reviewer", "Add comment"):
        assert verb not in shown["viewer"]


def test_comment_is_added_and_kept_when_it_is_refused(web, case):
    url = f"{LIST}{case['asked'].pk}/comment/"
    assert web.post(url, {"text": "See page 3."}).status_code == 302
    assert "See page 3." in text(web.get(f"{LIST}{case['asked'].pk}/"))
    empty = web.post(url, {"text": " "})
    assert empty.status_code == 422
    assert "Enter a comment." in text(empty)
    assert web.post(f"{LIST}{case['withdrawn'].pk}/comment/", {"text": "Kept"}).status_code == 409


def test_withdrawn_claim_is_withdrawn_once(web, case):
    claim = make_submitted(case["customer"], case["amira"], "aadp")
    sent = {"version": claim.version, "note": "Another location does it."}
    answers = [web.post(f"{LIST}{claim.pk}/withdraw/", sent).status_code for _time in range(2)]

    claim.refresh_from_db()
    assert (answers, claim.status, claim.steps.count()) == ([302, 302], ClaimStatus.WITHDRAWN, 2)
    assert web.post(f"{LIST}{case['approved'].pk}/withdraw/", {"version": 99}).status_code == 409


# --- Elsewhere ------------------------------------------------------------------------------------------------------


def test_claims_that_wait_for_the_partner_are_counted_in_the_menu_and_first_on_the_dashboard(case):
    amira = make_member(make_partner("Halden Konsult AB").organisation)
    claim = make_under_review(case["customer"], amira, "aadp", reviewer=case["reviewer"])
    assert "The reviewer asks for more" not in text(signed_in(amira).get("/p/"))
    reviewing.ask(claim.pk, ["dates"], by=case["reviewer"])

    home = signed_in(amira).get("/p/")

    assert "The reviewer asks for more about the claim" in text(home)
    assert claim.number in text(home)
    link = home.content.decode().partition('href="/p/claims/"')[2].partition("</a>")[0]
    assert " ".join(re.sub(r"<[^>]+>", " ", link.partition(">")[2]).split()) == "Claims 1 open"


def test_partner_of_record_reads_that_another_partner_has_an_approved_claim_but_not_which(case):
    customer: Customer = case["customer"]
    subscription = make_subscription(customer)
    third: Partner = make_partner("Tredje AB")
    by: Actor = make_member(customer.organisation)
    attaching.attach(subscription.subscription_id, third.mpn_id, by=by)
    says = "Another partner has an approved claim on this subscription or one of its workloads."
    page = signed_in(make_member(third.organisation)).get(f"/p/subscriptions/{subscription.subscription_id}/")
    assert says in text(page)
    assert case["partner"].organisation.name not in page.content.decode()

    drafting_only = make_customer("Ekholmen AB")
    other = make_subscription(drafting_only)
    make_submitted(drafting_only, case["amira"], "exo")
    attaching.attach(other.subscription_id, third.mpn_id, by=make_member(drafting_only.organisation))
    assert says not in text(
        signed_in(make_member(third.organisation)).get(f"/p/subscriptions/{other.subscription_id}/")
    )
