"""How claims work on a day, in words that follow from the policy of that day alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from associations.claims.policies import Policy, policy_on
from associations.claims.rules import CHECKLIST, Program
from por.programs.policies import Term
from por.web.formatting import number_text


class Rule(NamedTuple):
    """What happens at a step of a claim, and how long it may take."""

    step: str
    text: str


class Help(NamedTuple):
    """What the page explains: each part may be empty, where the policy of the day says nothing."""

    programs: list[str]
    steps: list[Rule]
    proof: list[str]
    conflicts: list[str]


def help_on(day: date) -> Help:
    """Return how claims work on a day."""
    policy = policy_on(day)
    programs = [str(Program(one).label) for one in policy.takes_claims]
    if not programs:
        return Help([], [], [], [])
    return Help(programs, list(_steps(policy)), list(_proof(policy)), list(_conflicts(policy)))


def term_text(term: Term) -> str:
    """Return a term in words: "5 business days", "7 days"."""
    if term.business:
        text = ngettext("%(n)s business day", "%(n)s business days", term.days)
    else:
        text = ngettext("%(n)s day", "%(n)s days", term.days)
    return text % {"n": number_text(term.days)}


def _steps(policy: Policy) -> Iterator[Rule]:
    if policy.start_review_within:
        text = _(
            "A reviewer starts within %(term)s after the claim is submitted. "
            "If the review starts late, the claim stays as it is."
        )
        yield Rule(_("Start of the review"), text % {"term": term_text(policy.start_review_within)})
    if policy.review_within:
        text = _("The reviewer decides within %(term)s, or asks the partner for what is missing.")
        yield Rule(_("Review"), text % {"term": term_text(policy.review_within)})
    if policy.answer_within:
        text = _("The partner answers within %(term)s. Without an answer the claim is rejected.")
        yield Rule(_("Answer of the partner"), text % {"term": term_text(policy.answer_within)})
    if policy.consent_lapses_after:
        text = _("The customer can decline within %(term)s of the approval. Then the claim counts for nothing.")
        if policy.decline_after_consent:
            text += " " + _("Later it can still decline, and the association ends on that day.")
        else:
            text += " " + _("Silence is consent.")
        yield Rule(_("Consent of the customer"), text % {"term": term_text(policy.consent_lapses_after)})
    if policy.disputes:
        text = ngettext(
            "The partner can dispute a rejection once, within %(term)s. Later it can make a new claim.",
            "The partner can dispute a rejection %(n)s times, within %(term)s each. Later it can make a new claim.",
            policy.disputes,
        )
        values = {"n": number_text(policy.disputes), "term": term_text(policy.dispute_within)}
        yield Rule(_("Dispute"), text % values)
    if policy.dispute_review_within:
        text = _("A reviewer decides a dispute within %(term)s.")
        yield Rule(_("Review of a dispute"), text % {"term": term_text(policy.dispute_review_within)})


def _proof(policy: Policy) -> Iterator[str]:
    text = ngettext(
        "The customer’s acknowledgement is signed, and not older than %(n)s month when the claim is submitted.",
        "The customer’s acknowledgement is signed, and not older than %(n)s months when the claim is submitted.",
        policy.acknowledged_within_months,
    )
    yield text % {"n": number_text(policy.acknowledged_within_months)}
    if policy.public_sector_disclosure:
        yield _("For a customer in the public sector, the proof has the disclosure that the sector asks for.")
    if Program.OSA_SELL in policy.takes_claims:
        text = ngettext(
            "%(program)s: the claim is submitted within %(n)s day of the transaction.",
            "%(program)s: the claim is submitted within %(n)s days of the transaction.",
            policy.transaction_within_days,
        )
        yield text % {"program": Program.OSA_SELL.label, "n": number_text(policy.transaction_within_days)}
    if policy.proof_on_approved:
        yield _("Proof can be added to an approved claim too, to protect it where another partner claims the same.")


def _conflicts(policy: Policy) -> Iterator[str]:
    yield _("Nobody is approved for it before a reviewer has decided. All sides and the customer read the reason.")
    if policy.most_recent_proof_first:
        yield _("The reviewer looks first at the most recent proof of each side.")
    if policy.conflict_within:
        yield _("A conflict is decided within %(term)s.") % {"term": term_text(policy.conflict_within)}
    yield _("The customer can say which partner is doing the work. The partners read whom it chose, and no more.")


def reasons() -> list[str]:
    """Return the known reasons for which claims are refused."""
    return [str(one.label) for one in CHECKLIST]
