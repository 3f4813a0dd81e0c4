"""Dated policies of claims: the figures in force on a day, read from policies.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from associations.claims.rules import Program
from por.programs.policies import DatedPolicies, Term


@dataclass(frozen=True)
class Policy:
    """The figures in force from a day on. policies.yaml names the source of each."""

    takes_claims: tuple[Program, ...]
    start_review_within: Term | None
    review_within: Term | None
    answer_within: Term | None
    consent_lapses_after: Term | None
    decline_after_consent: bool
    dispute_within: Term
    disputes: int
    dispute_review_within: Term | None
    most_recent_proof_first: bool
    proof_on_approved: bool
    edit_submitted: bool
    migrated_proof_deadline: date | None
    migrated_proof_reminders: tuple[int, ...]
    renewal_notice_days: tuple[int, ...]
    acknowledged_within_months: int
    conflict_within: Term | None
    claims_a_day: int
    transaction_within_days: int
    public_sector_disclosure: bool
    holidays: tuple[date, ...]


POLICIES = DatedPolicies(Path(__file__).parent / "policies.yaml", Policy)


def policy_on(day: date) -> Policy:
    """Return the policy in force on a day; before the first one, that one."""
    return POLICIES.on(day)


def policy_of(moment: datetime) -> Policy:
    """Return the policy in force on the UTC day of an instant."""
    return policy_on(moment.date())
