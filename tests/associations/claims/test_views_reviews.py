"""The pages of staff: the queue, one claim with the decision, and interests."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from associations.claims.actions import assigning, interests, reviewing, submitting
from associations.claims.models import Claim, ClaimStep, Comment
from associations.claims.rules import ClaimStatus, Reason
from por.accounts.models import Actor
from por.directory.models import Customer, Partner
from tests.claims import make_approved, make_draft, make_submitted, make_under_review
from tests.factories import make_customer, make_member, make_partner, make_staff
from tests.pages import packed, queries, signed_in

QUEUE = "/a/claims/"


@pytest.fixture
def claimant(partner: Partner) -> Actor:
    return make_member(partner.organisation)


@pytest.fixture
def reader() -> Actor:
    return make_staff()


def page_of(claim: Claim, verb: str = "") -> str:
    return f"{QUEUE}{claim.pk}/{verb}"


def due_in(claim: Claim, **left: float) -> Claim:
    Claim.objects.filter(pk=claim.pk).update(due_at=timezone.now() + timedelta(**left))
    return claim


def decide(web: Client, claim: Claim, decision: str, **given: Any) -> Any:
    sent = {"decision": decision, "version": Claim.objects.get(pk=claim.pk).version, "note": ""} | given
    return web.post(page_of(claim, "decide/"), sent)


# --- The queue ------------------------------------------------------------------------------------------------------


def test_queue_begins_with_what_is_overdue_and_ends_with_what_has_no_term(customer, claimant, web):
    none, later, over = (make_submitted(customer, claimant, one) for one in ("exo", "spo", "teams"))
    Claim.objects.filter(pk=none.pk).update(due_at=None)
    due_in(over, hours=-2, minutes=-5)
    due_in(later, days=3, minutes=5)
    make_draft(customer, claimant, "yammer")

    page = web.get(QUEUE)

    assert [row[0] for row in page.context["rows"]] == [over, later, none]
    assert "Overdue by 2 h" in page.text
    assert "3 days left" in page.text
    assert "Exchange Online" in page.text


def test_views_of_the_queue_have_the_claims_that_they_count(customer, claimant, reader, web):
    other = make_staff()
    submitted = due_in(make_submitted(customer, claimant, "exo"), hours=-1)
    mine = due_in(make_under_review(customer, claimant, "spo", reviewer=reader), days=5)
    asked = make_under_review(customer, claimant, "teams", reviewer=other)
    reviewing.ask(asked.pk, [Reason.DATES], by=other)
    disputed = due_in(make_submitted(customer, claimant, "yammer"), days=9)
    Claim.objects.filter(pk=disputed.pk).update(status=ClaimStatus.DISPUTED)
    approved = make_approved(customer, claimant, "intune", reviewer=other)
    wanted = {
        "": [submitted, mine, disputed],
        "mine": [mine],
        "today": [submitted],
        "partner": [asked],
        "disputed": [disputed],
        "all": [approved, disputed, asked, mine, submitted],
    }

    for key, claims in wanted.items():
        page = web.get(QUEUE, {"view": key} if key else {})
        assert [row[0].pk for row in page.context["rows"]] == [one.pk for one in claims], key
        assert [tab.count for tab in page.context["tabs"]] == [len(one) for one in wanted.values()], key


def test_queue_is_filtered_by_programme_status_and_search(customer, claimant, web):
    exo = make_submitted(customer, claimant, "exo")
    other = make_submitted(make_customer("Ekholmen AB", domain="ekholmen.example"), claimant, "exo", name="Mail")

    def found(**query: str) -> list[int]:
        return [row[0].pk for row in web.get(QUEUE, query).context["rows"]]

    assert found(search=exo.number.lower()) == [exo.pk]
    assert found(search="ekholm") == found(search="Mail") == [other.pk]
    assert found(search="Nordvik") == [exo.pk, other.pk]
    assert found(status="under_review") == found(program="osa_sell") == []
    assert web.get(QUEUE, {"search": "x"}).status_code == 422
    assert "The queue is clear" in web.get(QUEUE, {"view": "mine"}).text


def test_queue_takes_no_more_queries_for_more_claims(customer, claimant, web):
    make_submitted(customer, claimant, "exo")
    few = queries(lambda: web.get(QUEUE))
    for workload in ("spo", "teams", "yammer"):
        make_submitted(make_customer(domain=f"{workload}.example"), claimant, workload)

    assert queries(lambda: web.get(QUEUE)) == few <= 10
    assert queries(lambda: web.get(QUEUE, {"view": "all", "status": "submitted"})) <= 10


def test_next_claim_is_the_first_one_due_that_nobody_else_has_and_of_no_interest(customer, claimant, reader, web):
    taken, interesting, later, first = (
        make_submitted(one, claimant, "exo")
        for one in (customer, make_customer(domain="a.example"), make_customer(domain="b.example"),
                    make_customer(domain="c.example"))
    )  # fmt: skip
    other = make_staff()
    assigning.assign(taken.pk, other.user_id, by=other)
    interests.mark(str(interesting.customer.tenant_id), by=reader)
    for hours, claim in enumerate((taken, interesting, first, later)):
        due_in(claim, hours=hours)

    assert web.get(f"{QUEUE}next/").url == page_of(first)
    Claim.objects.filter(pk=first.pk).update(status=ClaimStatus.UNDER_REVIEW)
    done = decide(web, first, "approve", next="1")
    assert done.url == page_of(later)
    assert f"Claim {first.number} is approved." in web.get(done.url).text
    Claim.objects.filter(pk=later.pk).update(status=ClaimStatus.WITHDRAWN)
    assert web.get(f"{QUEUE}next/").url == QUEUE


# --- One claim ------------------------------------------------------------------------------------------------------


def test_reviewer_sees_all_that_a_claim_has(customer, claimant, reader, web):
    claim = make_under_review(customer, claimant, "exo", "spo", reviewer=reader)
    common = {"claim": claim, "organisation": claimant.organisation, "at": timezone.now()}
    Comment.objects.create(text="We moved their mail.", by_name=claimant.name, **common)
    reviewing.ask(claim.pk, ["dates"], by=reader, note="See page 2.")
    submitting.submit(claim.pk, by=claimant)
    reviewing.start_review(claim.pk, by=reader)

    page = web.get(page_of(claim)).text

    for text in (
        claim.number, claim.name, "Exchange Online", "SharePoint Online", "Karin Lund", "Head of IT",
        "karin.lund@vasterhamn.example", "amira@nordvik.example", claim.proofs.get().filename, "No malware found",
        "We moved their mail.", "Dates are missing or too old; See page 2.", "The review started", reader.name,
    ):  # fmt: skip
        assert text in page, text
    assert {f'value="{one}"' for one in ("approve", "ask", "reject")} <= set(packed(page).replace(">", " ").split())


@pytest.mark.parametrize(
    ("role", "reads_papers"), [("support", True), ("auditor", True), ("programme_administrator", False)]
)
def test_other_staff_see_the_claim_without_buttons(customer, claimant, role, reads_papers):
    claim = make_under_review(customer, claimant)
    web = signed_in(make_staff(role))

    page = web.get(page_of(claim)).text

    assert claim.number in page
    assert 'name="decision"' not in page
    assert f"/a/claims/{claim.pk}/assign/" not in page
    assert (claim.proofs.get().filename in page) == reads_papers
    assert web.get(QUEUE).status_code == 200
    assert decide(web, claim, "approve").status_code == 403


def test_reviewer_comments_for_the_partner_or_for_staff_alone(customer, claimant, web):
    claim = make_submitted(customer, claimant)

    assert web.post(page_of(claim, "comment/"), {"text": "  "}).status_code == 422
    assert web.post(page_of(claim, "comment/"), {"text": "Which page?"}).status_code == 302
    assert web.post(page_of(claim, "comment/"), {"text": "Odd.", "internal": "on"}).status_code == 302

    assert [(one.text, one.internal) for one in Comment.objects.order_by("pk")] == [
        ("Which page?", False),
        ("Odd.", True),
    ]
    assert "Only staff read this" in web.get(page_of(claim)).text


def test_draft_is_absent_for_staff(customer, claimant, web):
    assert web.get(page_of(make_draft(customer, claimant))).status_code == 404


def test_review_is_started_then_the_partner_is_asked(customer, claimant, reader, web):
    claim = make_submitted(customer, claimant)
    version = claim.version

    first = web.post(page_of(claim, "start/"), {"version": version})
    second = web.post(page_of(claim, "start/"), {"version": version})

    assert (first.status_code, second.status_code) == (302, 302)
    assert ClaimStep.objects.filter(claim=claim, verb="start review").count() == 1
    assert decide(web, claim, "ask", reasons=["dates", "no_products"], note="Page 2").url == page_of(claim)
    claim.refresh_from_db()
    assert (claim.status, claim.assigned_to) == (ClaimStatus.ACTION_REQUIRED, reader.user)
    step = claim.steps.latest("pk")
    assert (step.reasons, step.note) == (["dates", "no_products"], "Page 2")


@pytest.mark.parametrize(
    ("decision", "given", "message"),
    [
        ("ask", {}, "Choose at least one reason."),
        ("reject", {}, "Choose at least one reason."),
        ("approve", {"reasons": ["dates"]}, "Something is missing."),
        ("reject", {"reasons": ["no_answer"]}, "no_answer"),
        ("reject", {"reasons": ["dates"], "note": "x" * 2001}, "at most 2000"),
    ],
)
def test_decision_with_a_fault_is_shown_again_with_what_was_entered(
    customer, claimant, reader, web, decision, given, message
):
    claim = make_under_review(customer, claimant, reviewer=reader)

    page = decide(web, claim, decision, **{"note": "Kept words", **given})

    assert page.status_code == 422
    assert message in page.text
    assert given.get("note", "Kept words") in page.text
    ticked = re.findall(r'<input[^>]*value="(\w+)"[^>]* checked', page.text)
    assert ticked == [one for one in given.get("reasons", []) if one != "no_answer"]
    claim.refresh_from_db()
    assert claim.status == ClaimStatus.UNDER_REVIEW


def test_outdated_decision_is_refused_and_keeps_what_was_entered(customer, claimant, reader, web):
    claim = make_under_review(customer, claimant, reviewer=reader)
    Claim.objects.filter(pk=claim.pk).update(version=claim.version + 1)

    page = decide(web, claim, "reject", version=claim.version, reasons=["dates"], note="Kept words")

    assert page.status_code == 409
    assert "This claim has changed since you opened it" in page.text
    assert "Kept words" in page.text
    assert f'name="version" value="{claim.version + 1}"' in packed(page.text)


def test_decision_that_is_sent_twice_is_one(customer, claimant, reader, web):
    claim = make_under_review(customer, claimant, reviewer=reader)

    answers = [decide(web, claim, "reject", version=claim.version, reasons=["dates"]) for _each in range(2)]

    assert [one.status_code for one in answers] == [302, 302]
    assert ClaimStep.objects.filter(claim=claim, verb="reject").count() == 1


def test_reviewer_with_an_interest_has_no_buttons_and_is_refused(customer, claimant, reader, partner, web):
    claim = make_under_review(customer, claimant, reviewer=reader)
    interests.mark(partner.mpn_id, by=reader)

    page = web.get(page_of(claim)).text
    refused = decide(web, claim, "approve")

    assert "Your interest in Nordvik Cloud AB is marked" in page
    assert 'name="decision"' not in page
    assert refused.status_code == 409
    assert "You have an interest in one of the parties" in refused.text


def test_contested_claim_is_asked_about_but_not_decided(customer, claimant, reader, web):
    claim = make_under_review(customer, claimant, "exo", reviewer=reader)
    make_submitted(customer, make_member(make_partner("Rival AB").organisation), "exo")

    page = web.get(page_of(claim)).text

    assert "Another partner has claimed Exchange Online too." in page
    assert 'value="ask"' in page
    assert 'value="approve"' not in page
    assert decide(web, claim, "approve").status_code == 409


def test_disclosure_is_confirmed_on_the_page(customer, claimant, reader, web):
    customer.segment = Customer.Segment.PUBLIC_SECTOR
    customer.save(update_fields=["segment"])
    claim = make_under_review(customer, claimant, reviewer=reader)

    assert "The disclosure for the public sector is missing" in web.get(page_of(claim)).text
    assert decide(web, claim, "approve").status_code == 422
    assert decide(web, claim, "approve", disclosed="on").status_code == 302


def test_claim_is_given_to_another_reviewer(customer, claimant, reader, web):
    claim, other = make_submitted(customer, claimant), make_staff()

    assert web.post(page_of(claim, "assign/"), {"reviewer": other.user_id}).status_code == 302
    claim.refresh_from_db()
    assert claim.assigned_to == other.user
    assert f"Assigned to {other.user}." in web.get(page_of(claim)).text
    assert web.post(page_of(claim, "assign/"), {"reviewer": "0"}).status_code == 422


# --- Interests ------------------------------------------------------------------------------------------------------


def test_reviewer_marks_and_removes_an_interest(reader, partner, web):
    assert web.post("/a/interests/", {"number": "999", "note": "Why"}).status_code == 422
    assert web.post("/a/interests/", {"number": f" {partner.mpn_id} ", "note": "My brother"}).status_code == 302
    page = web.get("/a/interests/").text
    assert "Nordvik Cloud AB" in page
    assert "My brother" in page
    (interest,) = web.get("/a/interests/").context["page"].rows

    assert signed_in(make_staff()).post(f"/a/interests/{interest.pk}/remove/").status_code == 404
    assert web.post(f"/a/interests/{interest.pk}/remove/").status_code == 302
    assert "No interests marked" in web.get("/a/interests/").text


def test_programme_administrator_marks_an_interest_of_a_reviewer(reader, partner):
    web = signed_in(make_staff("programme_administrator"))

    assert web.post("/a/interests/", {"number": partner.mpn_id}).status_code == 422
    assert web.post("/a/interests/", {"number": partner.mpn_id, "reviewer": reader.user_id}).status_code == 302
    assert str(reader.user) in web.get("/a/interests/").text
