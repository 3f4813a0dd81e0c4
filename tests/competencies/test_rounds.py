"""Rounds: many companies computed again, counted exactly, shared by workers, and finished after a worker was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from competencies import actions, programs, taking
from competencies.models import Attainment, Recompute, Round
from por.history.actions.relaying import relay
from por.history.models import Event
from por.queue.models import PeriodicRun
from por.queue.rules import MAX_ATTEMPTS
from tests import estates
from tests.api import Api
from tests.competencies.test_recomputing import AZURE, attach_and_relay, make_azure, today
from tests.databases import addresses
from tests.factories import make_partner, make_staff
from tests.pages import signed_in
from tests.product import ROOT, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def companies(count: int) -> list[int]:
    """Return companies that a round computes, each the partner of record of one subscription."""
    found = []
    for _each in range(count):
        subscription, admin = make_azure()
        partner = make_partner()
        attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
        found.append(partner.pk)
    relay()
    Recompute.objects.all().delete()
    return found


def nightly() -> Round:
    round_ = actions.begin_round(Round.Reason.NIGHTLY, today())
    assert round_ is not None
    return round_


def test_round_counts_its_companies_and_those_with_another_result_and_ends() -> None:
    companies(3)
    first = actions.finish(nightly())
    assert (first.companies, first.done, first.changed, first.failed) == (3, 3, 3, 0)
    assert first.ended_at is not None
    second = actions.finish(nightly())
    assert (second.done, second.changed) == (3, 0)


def test_round_is_not_over_before_its_last_company_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    companies(3)
    monkeypatch.setattr(taking, "TOGETHER", 1)
    monkeypatch.setattr(actions.Recomputations, "run_for", 0.0)  # one batch for each run
    round_ = nightly()
    for done in (1, 2, 3):
        actions.run()
        round_.refresh_from_db()
        assert (round_.done, round_.ended_at is not None) == (done, done == 3), "what was done in time is kept"


def test_company_that_is_given_up_ends_the_round_as_failed_and_counts_as_done_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken, *_others = companies(2)
    round_ = nightly()
    compute = actions.compute

    def fails(batch: taking.Batch) -> actions.Computed:
        if broken in batch.spans:
            raise ValueError("no such rule")
        return compute(batch)

    monkeypatch.setattr(actions, "compute", fails)
    for _try in range(MAX_ATTEMPTS):
        actions.run()
        Recompute.objects.update(next_at=timezone.now())
    round_.refresh_from_db()
    assert (round_.done, round_.failed, round_.ended_at is not None) == (1, 1, True)

    monkeypatch.setattr(actions, "compute", compute)
    actions.finish(nightly())
    round_.refresh_from_db()
    assert (round_.done, round_.failed, round_.ended_at is not None) == (2, 0, True)


# --- Several workers, and a worker that is killed -------------------------------------------------------------------

WORKER = """
import os, signal, sys
import django
django.setup()
from competencies import actions, taking
taking.TOGETHER = 2
compute, left = actions.compute, [int(sys.argv[1])]
def computed(batch):
    found = compute(batch)
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)  # after the results were written, before they are committed
    return found
actions.compute = computed
actions.Recomputations.run_for = 60.0
actions.run()
"""


def start_worker(dies_in_batch: int = 0) -> subprocess.Popen[bytes]:
    environment = os.environ | addresses() | {"DJANGO_SETTINGS_MODULE": "por.settings"}
    return subprocess.Popen([sys.executable, "-c", WORKER, str(dies_in_batch)], cwd=ROOT, env=environment)


def rows_that_no_one_has() -> list[int]:
    """Return the rows that no worker has locked: the server may notice a little later that a worker is gone."""
    with transaction.atomic():
        return list(Recompute.objects.select_for_update(skip_locked=True).values_list("pk", flat=True))


def test_round_ends_after_a_worker_was_killed_and_counts_each_company_once() -> None:
    companies(6)
    round_ = nightly()
    assert start_worker(dies_in_batch=2).wait() == -signal.SIGKILL
    wait_until(lambda: len(rows_that_no_one_has()) == 4)
    round_.refresh_from_db()
    assert (round_.done, round_.changed, round_.ended_at) == (2, 2, None)

    assert start_worker().wait() == 0
    round_.refresh_from_db()
    assert (round_.done, round_.changed, round_.ended_at is not None) == (6, 6, True)
    assert Attainment.objects.filter(program=AZURE).count() == 6


def test_second_worker_takes_other_companies_of_the_round(monkeypatch: pytest.MonkeyPatch) -> None:
    companies(4)
    round_ = nightly()
    monkeypatch.setattr(taking, "TOGETHER", 2)
    other = connection.copy()
    other.set_autocommit(False)
    with other.cursor() as cursor:  # as a worker that has taken the first two
        cursor.execute("SELECT id FROM competencies_recompute ORDER BY priority, id LIMIT 2 FOR UPDATE")
        actions.run()
        round_.refresh_from_db()
        assert (round_.done, round_.ended_at) == (2, None)
    other.rollback()
    other.close()
    assert actions.finish(round_).ended_at is not None


def test_act_of_a_person_is_computed_before_the_rest_of_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    companies(3)
    monkeypatch.setattr(taking, "TOGETHER", 2)
    monkeypatch.setattr(actions.Recomputations, "run_for", 0.0)
    actions.begin_round(Round.Reason.IMPORT, date.min)
    subscription, admin = make_azure()
    partner = make_partner()
    attach_and_relay(subscription, partner, admin)
    actions.run()
    assert set(Attainment.objects.values_list("company", flat=True)) == {partner.pk}


# --- Days -----------------------------------------------------------------------------------------------------------


def stored_on(company: int, *days: date) -> None:
    rows = [
        Attainment(company_id=company, program=AZURE, day=day, level="none", result={"level": "none", "version": "x"})
        for day in days
    ]
    Attainment.objects.bulk_create(rows)


def days_computed(company: int) -> set[date]:
    return set(Attainment.objects.filter(company=company, evidence__isnull=False).values_list("day", flat=True))


def test_import_of_old_facts_computes_every_stored_day_the_newest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    [company] = companies(1)
    old = [date(2022, 10, 5), date(2023, 1, 1), date(2024, 1, 1), date(2025, 1, 1)]
    stored_on(company, *old)
    monkeypatch.setattr(taking, "DAYS_TOGETHER", 2)
    monkeypatch.setattr(actions.Recomputations, "run_for", 0.0)
    round_ = actions.begin_round(Round.Reason.IMPORT, date.min)
    assert round_ is not None

    actions.run()
    assert days_computed(company) == {*old[2:], today()}
    row = Recompute.objects.get()
    assert (row.until, row.priority, row.has_changed) == (old[1], actions.OF_OLDER_DAYS, True)
    round_.refresh_from_db()
    assert (round_.done, round_.ended_at) == (0, None)

    actions.run()
    assert days_computed(company) == {*old, today()}
    round_.refresh_from_db()
    assert (round_.done, round_.changed, round_.ended_at is not None) == (1, 1, True)


def test_import_begins_a_round_of_all_days(tmp_path: Path) -> None:
    files = {
        "partners": [estates.partner()],
        "customers": [estates.customer()],
        "subscriptions": [estates.subscription()],
        "associations": [estates.association(subscription_id=estates.SUBSCRIPTION)],
    }
    estates.load(estates.write(tmp_path, **files))
    round_ = Round.objects.get()
    assert (round_.reason, round_.since, round_.companies) == (Round.Reason.IMPORT, None, 1)


def test_level_that_an_older_day_has_as_well_is_still_told(monkeypatch: pytest.MonkeyPatch) -> None:
    [company] = companies(1)
    actions.finish(nightly())
    last = Attainment.objects.get(company=company, program=AZURE)
    yesterday = today() - timedelta(days=1)
    Attainment.objects.create(
        company_id=company, program=AZURE, day=yesterday, level="none", result=last.result | {"level": "none"}
    )
    judged = actions.judged

    def reached(program: Any, *args: Any) -> Any:
        found = judged(program, *args)
        return {pk: one | {"level": "qualified"} if program.id == AZURE else one for pk, one in found.items()}

    monkeypatch.setattr(actions, "judged", reached)
    round_ = actions.begin_round(Round.Reason.IMPORT, date.min)
    assert round_ is not None
    actions.finish(round_)
    assert [one.changes["level"] for one in Event.objects.filter(verb="competency.reached")] == ["qualified"]


# --- New rules ------------------------------------------------------------------------------------------------------


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder with a copy of the rules, which the product reads instead of its own."""
    folder = tmp_path / "rules"
    folder.mkdir()
    for file in programs.FOLDERS[0].glob("*.yaml"):
        (folder / file.name).write_bytes(file.read_bytes())
    caches = (programs.programs, programs.sources, programs.fingerprint)
    monkeypatch.setattr(programs, "FOLDERS", (folder, programs.FOLDERS[1]))
    for one in caches:
        one.cache_clear()
    yield folder
    monkeypatch.undo()
    for one in caches:
        one.cache_clear()


def check_rules() -> Round | None:
    """Look for new rules, as the clock does ten minutes later."""
    PeriodicRun.objects.filter(name="competencies after new rules").update(done_at=None)
    return actions.run_after_new_rules()


def test_new_rules_begin_one_round_of_all_days_once_the_release_is_over(rules: Path) -> None:
    companies(1)
    first = check_rules()
    assert first is not None
    assert (first.reason, first.since) == (Round.Reason.RULES, None)
    assert Recompute.objects.get().next_at > timezone.now() + actions.OF_A_RELEASE - timedelta(minutes=1)
    assert check_rules() is None, "the rules are those of the last round"

    with (rules / "lifecycle.yaml").open("a") as file:
        file.write("# changed\n")
    programs.fingerprint.cache_clear()
    assert actions.run_after_new_rules() is None, "it was asked a moment ago"
    assert check_rules() is not None
    assert check_rules() is None


def test_new_code_that_measures_begins_a_round_as_new_rules_do(
    rules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    companies(1)
    code = tmp_path / "growth.py"
    code.write_text("SIZE = 1")
    monkeypatch.setattr(programs, "_CODE", ((tmp_path, "*.py"),))
    programs.fingerprint.cache_clear()
    assert check_rules() is not None
    assert check_rules() is None

    code.write_text("SIZE = 2")
    programs.fingerprint.cache_clear()
    assert check_rules() is not None


# --- Who reads them -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "empty", "reason"),
    [("en", "No recomputations yet", "Nightly"), ("sv", "Inga omräkningar än", "Varje natt")],
)
def test_staff_read_how_far_a_round_is(language: str, empty: str, reason: str) -> None:
    client = signed_in(make_staff("auditor"), language=language)
    page = reverse("competencies:round_list")
    assert empty in client.get(page).content.decode()
    companies(2)
    actions.finish(nightly())
    nightly()
    text = client.get(page).content.decode()
    assert reason in text
    assert ("2 of 2 companies" if language == "en" else "2 av 2 företag") in text
    assert ("0 of 2 companies" if language == "en" else "0 av 2 företag") in text


def test_api_returns_the_rounds_and_refuses_others() -> None:
    companies(1)
    done = actions.finish(nightly())
    [found] = Api(make_staff("programme_administrator")).get("/api/v1/recomputations/").json()["results"]
    assert (found["id"], found["reason"], found["companies"], found["done"]) == (done.pk, "nightly", 1, 1)
    assert found["ended_at"] is not None
    assert Api(make_staff("support")).get("/api/v1/recomputations/").status_code == 403
