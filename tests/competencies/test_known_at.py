"""What was shown on a day stays so, whatever happens later; a fresh computation follows what is known now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from associations.attaching.actions import attach as attaching
from associations.attaching.actions import undo as undoing
from competencies import actions, programs
from competencies.models import Attainment, Round
from competencies.queries import attained, known
from competencies.results import Result
from por.accounts.models import Actor
from por.directory.models import Partner, Subscription, Usage
from por.programs.calendars import months_later, newest_month
from tests.competencies.test_recomputing import AZURE, today
from tests.factories import make_customer, make_member, make_partner, make_subscription

VERSION = "pcs-data-ai-2026"


def some_days_ago() -> date:
    """Return a day before the newest month, so that an attachment of today is none of that day."""
    return months_later(newest_month(today()), 0) + timedelta(days=2)


def make_used(day: date) -> tuple[Subscription, Actor]:
    customer = make_customer()
    subscription = make_subscription(customer, product="azure", agreement="MOSA", started_on=date(2020, 1, 1))
    newest = newest_month(day)
    for month in (newest, months_later(newest, -1), months_later(newest, -12), months_later(newest, -13)):
        Usage.objects.create(subscription=subscription, month=month, workload="azure", consumed_usd=Decimal(5000))
    return subscription, make_member(customer.organisation)


class Story:
    """A company with two customers since a while, what was shown on a day, and what happens afterwards."""

    def __init__(self, rules: Path) -> None:
        self.rules, self.day = rules, some_days_ago()
        self.partner: Partner = make_partner()
        self.held = [make_used(self.day) for _each in range(2)]
        self.last: tuple[Subscription, Actor] | None = None
        for subscription, admin in self.held:
            start = self.day - timedelta(days=90)
            attaching.attach(subscription.subscription_id, self.partner.mpn_id, by=admin, began_on=start)
        self.compute(Round.Reason.COMMAND, self.day, day=self.day)
        noon = datetime.combine(self.day, time(12), UTC)
        rows = Attainment.objects.filter(company=self.partner.pk)
        Attainment.objects.bulk_create(
            Attainment(
                company_id=one.company_id,
                program=one.program,
                day=one.day,
                level=one.level,
                result=one.result,
                evidence=one.evidence,
                recorded_at=noon,
            )
            for one in rows
        )
        self.shown = self.known_then()
        assert any(one.metrics for one in self.shown)

    def compute(self, reason: Round.Reason, since: date, day: date | None = None) -> None:
        round_ = actions.begin_round(reason, since, day=day)
        assert round_ is not None
        done = actions.finish(round_)
        assert done.ended_at is not None

    def known_then(self) -> list[Result]:
        return known(self.partner.organisation, self.day, self.day)

    def fresh(self) -> list[Result]:
        return attained(self.partner.organisation, self.day)

    def remove(self) -> None:
        if self.held:
            subscription, admin = self.held.pop()
            attaching.remove(subscription.subscription_id, by=admin, reason="No longer.")
            self.last = subscription, admin

    def attach(self) -> None:
        subscription, admin = make_used(self.day)
        attaching.attach(subscription.subscription_id, self.partner.mpn_id, by=admin)
        self.last = subscription, admin

    def undo(self) -> None:
        if self.last is not None:
            subscription, admin = self.last
            undoing.undo(subscription.subscription_id, by=admin)
            self.last = None

    def correct(self) -> None:
        """Correct what was consumed in the months before, as a file with other figures does."""
        newest = newest_month(self.day)
        for row in Usage.objects.filter(month__in=(newest, months_later(newest, -1))):
            row.consumed_usd = Decimal(0 if row.consumed_usd else 5000)
            row.save(update_fields=["consumed_usd"])

    def change_rules(self) -> None:
        """Give the version that judged the day another name, as if it had been replaced."""
        file = self.rules / "pcs_azure.yaml"
        text = file.read_text()
        file.write_text(text.replace(VERSION, f"{VERSION}-again", 1))
        forget_rules()


def forget_rules() -> None:
    for one in (programs.programs, programs.sources, programs.fingerprint):
        one.cache_clear()


DATED: dict[str, Callable[[Story], None]] = {"remove": Story.remove, "attach": Story.attach, "undo": Story.undo}
ACTS = DATED | {"correct": Story.correct, "change rules": Story.change_rules}


def play(acts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let things happen, each followed by a round of all days, and check both days after each; keep nothing of it."""
    with TemporaryDirectory() as scratch, monkeypatch.context() as patched, transaction.atomic():
        for file in programs.FOLDERS[0].glob("*.yaml"):
            (Path(scratch) / file.name).write_bytes(file.read_bytes())
        patched.setattr(programs, "FOLDERS", (Path(scratch), programs.FOLDERS[1]))
        forget_rules()
        try:
            story = Story(Path(scratch))
            for act in acts:
                ACTS[act](story)
                story.compute(Round.Reason.IMPORT, date.min)
                check(story, acts)
        finally:
            transaction.set_rollback(True)
            patched.undo()
            forget_rules()


def check(story: Story, acts: list[str]) -> None:
    # The rules of a programme may have been read again, so what is compared is what they say.
    assert [said(one) for one in story.known_then()] == [said(one) for one in story.shown], "what was shown stays"
    now = known(story.partner.organisation, story.day, today())
    assert [said(one) for one in now] == [said(one) for one in story.fresh()], (
        "what is stored last is what is known now"
    )
    if set(acts) <= DATED.keys():
        assert [said(one) for one in story.fresh()] == [said(one) for one in story.shown]


def said(result: Result) -> object:
    return result.program.id, result.version.id, result.level, result.levels, result.metrics, result.reasons


@pytest.mark.django_db
@settings(deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(st.sampled_from(sorted(ACTS)), min_size=1, max_size=4))
def test_what_was_shown_on_a_day_stays_in_whatever_order_things_happen(
    acts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    play(acts, monkeypatch)


@pytest.mark.django_db
@settings(deadline=None, max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(st.sampled_from(sorted(DATED)), min_size=1, max_size=4))
def test_past_day_is_computed_the_same_after_changes_of_later_days(
    acts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    play(acts, monkeypatch)


@pytest.mark.django_db
@pytest.mark.parametrize("act", ["correct", "change rules"])
def test_control_correction_and_new_rules_change_what_is_computed_of_a_past_day(
    act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DATED, act, ACTS[act])  # as if it were dated, so that nothing may differ
    with pytest.raises(AssertionError):
        play([act], monkeypatch)


@pytest.mark.django_db
def test_result_of_rules_that_are_gone_can_still_be_read() -> None:
    program = programs.programs()[AZURE]
    stored = {
        "version": "pcs-data-ai-1999",
        "stage": {"name": None, "at_risk": False, "valid_until": None},
        "level": "none",
        "next_level": "qualified",
        "track": None,
        "total": None,
        "levels": [],
        "metrics": [
            {"metric": "net_customer_adds", "value": 4, "points": 8, "most": 20, "why": []},
            {"metric": "of_another_time", "value": 1, "points": None, "most": None, "why": []},
        ],
        "why": [],
    }
    result = Result.read(program, stored)
    assert (result.version.id, [one.metric for one in result.metrics]) == ("pcs-data-ai-1999", ["net_customer_adds"])
