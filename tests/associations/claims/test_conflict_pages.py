"""The pages of conflicts: what each reader sees, and the reviewer's decision."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from associations.claims.actions import deciding
from associations.claims.models import Claim, Conflict, Interest, Proof
from por.accounts.models import Actor
from por.directory.models import Partner
from tests.claims import add_proof, make_approved, make_submitted
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.pages import queries, signed_in

HOUR = timedelta(hours=1)


SECRET = "Secret of Halden"


@pytest.fixture
def claimant(partner: Partner) -> Actor:
    return make_member(partner.organisation)


@pytest.fixture
def rival() -> Actor:
    return make_member(make_partner("Halden Systems AB").organisation)


@pytest.fixture
def reviewer() -> Actor:
    return make_staff()


@pytest.fixture
def conflict(customer, claimant, rival) -> Conflict:
    """Return a conflict of an approved claim and a newer one, whose proof is older."""
    make_approved(customer, claimant)
    make_submitted(customer, rival, proof={"uploaded_at": timezone.now() - 30 * 24 * HOUR, "description": SECRET})
    return Conflict.objects.get()


def url(name: str, conflict: Conflict) -> str:
    return reverse(f"claims:{name}", args=[conflict.pk])


def lead_of(text: str) -> str | None:
    """Return the partner whose side is looked at first."""
    _before, found, after = text.partition("rival--lead")
    return min(("Nordvik Cloud AB", "Halden Systems AB"), key=after.index) if found else None


def test_side_with_the_newest_proof_is_looked_at_first_whoever_claimed_first(conflict, reviewer):
    page = signed_in(reviewer).get(url("review_conflict", conflict))
    assert (page.status_code, lead_of(page.text)) == (200, "Nordvik Cloud AB")
    assert "the most recent proof is looked at first" in page.text

    add_proof(Claim.objects.get(status="submitted"), make_member(Partner.objects.last().organisation))
    page = signed_in(reviewer).get(url("review_conflict", conflict))
    assert lead_of(page.text) == "Halden Systems AB"
    assert page.text.index("Halden Systems AB</a>") < page.text.index("Nordvik Cloud AB</a>"), "it comes first"


def test_equal_instants_lead_to_no_lead_and_a_note(conflict, reviewer):
    now = timezone.now()
    for claim in Claim.objects.all():
        add_proof(claim, reviewer, uploaded_at=now)
    page = signed_in(reviewer).get(url("review_conflict", conflict)).text
    assert lead_of(page) is None
    assert "The newest proofs came at the same instant" in page


def test_proof_that_is_not_clean_does_not_lead(conflict, reviewer):
    Proof.objects.filter(claim__status="approved").update(scan="infected")
    page = signed_in(reviewer).get(url("review_conflict", conflict)).text
    assert lead_of(page) == "Halden Systems AB"
    assert "No proof that can be opened" in page


def test_rule_is_that_of_the_day_of_the_decision(conflict, reviewer):
    winner = Claim.objects.get(status="submitted")
    deciding.decide(conflict.pk, winner.pk, note="Signed.", by=reviewer)
    Conflict.objects.update(decided_at=timezone.now().replace(year=2020, month=3))
    page = signed_in(reviewer).get(url("review_conflict", conflict)).text
    assert "No rule says which proof is looked at first" in page
    assert lead_of(page) is None


def test_reviewer_decides_and_opens_the_next_one(conflict, customer, claimant, rival, reviewer):
    make_submitted(customer, claimant, "spo")
    make_submitted(customer, rival, "spo")
    following = Conflict.objects.get(workload="spo")
    winner = Claim.objects.get(status="submitted", units__workload="exo")
    web = signed_in(reviewer)

    missing = f"missing_{Claim.objects.get(status='approved').pk}"
    answer = web.post(
        url("review_conflict_decide", conflict),
        {"version": 1, "winner": winner.pk, "note": "Signed, and newer.", missing: ["dates"]},
    )

    assert answer.url == url("review_conflict", following)
    conflict.refresh_from_db()
    assert (conflict.status, conflict.winner, conflict.note) == ("decided", winner, "Signed, and newer.")
    assert conflict.sides.get(claim__status="ended").missing == ["dates"]
    answer = web.post(url("review_conflict_decide", following), {"version": 1, "winner": "none", "note": "Neither."})
    assert answer.url == reverse("claims:review_conflict_list")


def test_decision_without_a_reason_is_refused_and_keeps_what_was_entered(conflict, reviewer):
    page = signed_in(reviewer).post(url("review_conflict_decide", conflict), {"winner": "none", "note": " "})
    assert page.status_code == 422
    assert "Say why you decide so" in page.text
    assert page.context["decide_form"]["winner"].value() == "none"
    conflict.refresh_from_db()
    assert conflict.status == "open"


def test_reviewer_who_comes_second_sees_the_decision_of_the_first(conflict, reviewer):
    web, pk = signed_in(reviewer), Claim.objects.get(status="approved").pk
    deciding.decide(conflict.pk, pk, note="It is signed.", by=make_staff())
    page = web.post(url("review_conflict_decide", conflict), {"version": 1, "winner": pk, "note": "Mine."})
    assert page.status_code == 409
    assert "It is signed." in page.text
    assert "This conflict has" in page.text


def test_reviewer_asks_the_customer_and_a_side(conflict, reviewer):
    web = signed_in(reviewer)
    assert web.post(url("review_conflict_ask_customer", conflict)).status_code == 302
    claim = Claim.objects.get(status="submitted")
    given = {"claim": claim.pk, "note": "Please sign it."}
    assert web.post(url("review_conflict_ask_proof", conflict), given).status_code == 302
    assert web.post(url("review_conflict_ask_proof", conflict), given).status_code == 409
    assert web.post(url("review_conflict_ask_proof", conflict), {"claim": ""}).status_code == 422
    claim.refresh_from_db()
    assert claim.status == "action_required"
    Interest.objects.create(reviewer=reviewer.user, organisation=conflict.customer.organisation, at=timezone.now())
    page = web.post(url("review_conflict_ask_customer", conflict))
    assert page.status_code == 409
    assert "You have an interest" in page.text


def test_other_staff_read_and_cannot_decide(conflict):
    for role in ("support", "auditor", "programme_administrator"):
        web = signed_in(make_staff(role))
        page = web.get(url("review_conflict", conflict))
        assert "A reviewer can decide this conflict." in page.text
        assert web.post(url("review_conflict_decide", conflict), {"winner": "none", "note": "No."}).status_code == 403


def test_claimant_sees_who_the_others_are_and_when_their_newest_proof_came_and_nothing_else(
    conflict, claimant, rival, admin, reviewer
):
    deciding.answer(conflict.pk, None, by=admin, text="They both left.")
    theirs = Claim.objects.get(partner=rival.organisation_id)
    conflict.sides.filter(claim=theirs).update(missing=["dates"])
    page = signed_in(claimant).get(url("conflict", conflict)).text

    assert "Halden Systems AB" in page
    assert "None of them is doing the work" in page
    for hidden in ("They both left", SECRET, theirs.number, "statement-of-work", "Dates are missing"):
        assert hidden not in page, hidden
    assert "Dates are missing" in signed_in(rival).get(url("conflict", conflict)).text


def test_customer_answers_and_changes_its_answer(conflict, admin, rival):
    web = signed_in(admin)
    page = web.get(url("customer_conflict", conflict)).text
    assert "statement-of-work" not in page
    mpn_id = Partner.objects.get(pk=rival.organisation_id).mpn_id
    sent = {"version": 1, "mpn_id": mpn_id, "text": "They moved us."}
    assert web.post(url("customer_conflict_answer", conflict), sent).status_code == 302
    conflict.refresh_from_db()
    assert (conflict.answer.partner.mpn_id, conflict.answer.text) == (mpn_id, "They moved us.")
    page = web.post(url("customer_conflict_answer", conflict), {"version": 1, "mpn_id": "none"})
    assert page.status_code == 409, "it was answered meanwhile"
    assert web.post(url("customer_conflict_answer", conflict), {"mpn_id": ""}).status_code == 422
    assert web.post(url("customer_conflict_answer", conflict), {"version": 2, "mpn_id": "none"}).status_code == 302


def test_conflict_is_shown_to_its_sides_its_customer_and_staff_alone(conflict, claimant, rival, admin, reviewer):
    viewer = make_member(conflict.customer.organisation, "viewer")
    readers = {
        "conflict": (claimant, rival, make_member(make_partner().organisation)),
        "customer_conflict": (admin, viewer, make_member(make_customer().organisation)),
        "review_conflict": (reviewer, make_staff("auditor")),
    }
    for name, actors in readers.items():
        found = [signed_in(one).get(url(name, conflict)).status_code for one in actors]
        assert found == ([200, 200, 404] if len(actors) == 3 else [200, 200]), name


@pytest.mark.parametrize("language", ["en", "sv"])
def test_lists_show_open_and_closed_ones_and_count_what_waits(conflict, claimant, admin, reviewer, language):
    for actor, name in (
        (admin, "customer_conflict_list"),
        (claimant, "conflict_list"),
        (reviewer, "review_conflict_list"),
    ):
        web = signed_in(actor, language=language)
        page = web.get(reverse(f"claims:{name}"))
        assert "Exchange Online" in page.text
        assert page.context["navigation"][0].links
        counts = {link.icon: link.count for link in page.context["navigation"][0].links}
        assert counts["scales"] == 1, name
    deciding.decide(conflict.pk, None, note="Neither.", by=reviewer)
    page = signed_in(reviewer, language=language).get(reverse("claims:review_conflict_list") + "?view=closed")
    assert "Exchange Online" in page.text


def test_list_and_page_take_as_many_queries_however_many_there_are(customer, claimant, rival, reviewer):
    web, found = signed_in(reviewer), []
    for units in (["exo"], ["spo", "teams", "yammer"]):
        make_submitted(customer, claimant, *units)
        make_submitted(customer, rival, *units)
        pk = Conflict.objects.last().pk
        web.get(reverse("claims:review_conflict_list"))
        found.append(
            (
                queries(lambda: web.get(reverse("claims:review_conflict_list"))),
                queries(lambda pk=pk: web.get(reverse("claims:review_conflict", args=[pk]))),
            )
        )
    assert found[0] == found[1]


def test_conflict_about_a_subscription_has_its_page(customer, claimant, rival, reviewer, admin):
    crm = make_subscription(customer, product="crm_online", sku_string_id="CRMSTANDARD")
    make_submitted(customer, claimant, crm)
    make_submitted(customer, rival, crm)
    conflict = Conflict.objects.get()
    for actor, name in ((admin, "customer_conflict"), (claimant, "conflict"), (reviewer, "review_conflict")):
        assert crm.name in signed_in(actor).get(url(name, conflict)).text
