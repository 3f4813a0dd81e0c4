"""Comments: partner and reviewer talk about a claim, and staff among themselves."""

from __future__ import annotations

import pytest
from django.utils import timezone

from associations.claims.actions import commenting, drafting
from associations.claims.models import Claim, Comment
from associations.claims.queries.claims import comments_of
from associations.claims.rules import NOTE_LENGTH
from por.accounts.models import Actor
from por.directory.models import Partner
from por.errors import Forbidden, NotFound, RateLimited, Refused
from por.history.models import Event
from tests.claims import make_draft, make_submitted
from tests.factories import make_member, make_partner, make_staff


@pytest.fixture
def claimant(partner: Partner) -> Actor:
    return make_member(partner.organisation)


@pytest.fixture
def claim(customer, claimant) -> Claim:
    return make_submitted(customer, claimant)


def texts(actor: Actor, claim: Claim) -> list[str]:
    return [one.text for one in comments_of(actor, claim)]


def test_partner_and_reviewer_read_each_other_and_staff_alone_read_internal_comments(claim, claimant, partner):
    reviewer = make_staff()
    commenting.comment(claim.pk, "  See page 2. ", by=claimant)
    commenting.comment(claim.pk, "Thank you.", by=reviewer)
    commenting.comment(claim.pk, "Looks doubtful.", by=reviewer, internal=True)

    assert texts(claimant, claim) == ["See page 2.", "Thank you."]
    for staff in (reviewer, make_staff("auditor"), make_staff("support")):
        assert texts(staff, claim) == ["See page 2.", "Thank you.", "Looks doubtful."]
    assert texts(make_member(partner.organisation, "viewer"), claim) == []
    assert texts(make_staff("programme_administrator"), claim) == []


def test_event_of_a_comment_is_in_the_chain_of_the_claimant_and_that_of_an_internal_one_in_that_of_staff(
    claim, claimant, customer
):
    commenting.comment(claim.pk, "See page 2.", by=claimant)
    commenting.comment(claim.pk, "Looks doubtful.", by=make_staff(), internal=True)

    said = Event.objects.filter(verb__in=["claim.commented", "claim.noted"]).order_by("pk")
    chains = [(one.verb, one.chain) for one in said]
    assert chains == [("claim.commented", f"organisation:{claim.partner_id}"), ("claim.noted", "house")]
    assert not any("page 2" in str(one.changes) or "doubtful" in str(one.changes) for one in said)


@pytest.mark.parametrize(
    ("text", "code"), [("  ", "comment_empty"), ("x" * (NOTE_LENGTH + 1), "comment_too_long")], ids=["empty", "long"]
)
def test_comment_has_a_text_of_some_length(claim, claimant, text, code):
    with pytest.raises(Refused) as refused:
        commenting.comment(claim.pk, text, by=claimant)
    assert (refused.value.code, refused.value.field) == (code, "text")


def test_only_claimants_and_reviewers_comment(claim, partner, admin):
    for by in (make_member(partner.organisation, "viewer"), admin, make_staff("support"), make_staff("auditor")):
        with pytest.raises(Forbidden):
            commenting.comment(claim.pk, "Hello", by=by)
    with pytest.raises(NotFound):
        commenting.comment(claim.pk, "Hello", by=make_member(make_partner().organisation))


def test_partner_writes_no_internal_comment(claim, claimant):
    with pytest.raises(Refused) as refused:
        commenting.comment(claim.pk, "Hello", by=claimant, internal=True)
    assert refused.value.code == "internal_is_for_staff"


def test_nobody_comments_on_a_draft_or_on_a_claim_that_is_over(customer, claim, claimant):
    draft = make_draft(customer, claimant, "spo")
    drafting.withdraw(claim.pk, by=claimant)
    for one, code in ((draft, "claim_is_draft"), (claim, "claim_withdrawn")):
        with pytest.raises(Refused) as refused:
            commenting.comment(one.pk, "Hello", by=claimant)
        assert refused.value.code == code


def test_organisation_adds_some_comments_to_a_claim_within_a_day(claim, claimant):
    Comment.objects.bulk_create(
        Comment(claim=claim, organisation=claimant.organisation, text="x", at=timezone.now())
        for _each in range(commenting.MOST_COMMENTS)
    )
    with pytest.raises(RateLimited) as refused:
        commenting.comment(claim.pk, "One more", by=claimant)
    assert (refused.value.code, refused.value.retry_after > 80_000) == ("too_many_comments", True)
    commenting.comment(claim.pk, "The other side may", by=make_staff())
