"""What is kept of a company answers as statements over all of its units do, after every change that it is told of."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import date
from random import Random
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from associations.credit import Supposed
from associations.record.models import Association, start_of
from competencies.actions import known_companies
from competencies.measures import kept
from competencies.measures.asking import Suppose, ask_together, asked_once, contributions, dated, measured
from competencies.measures.kept import Kept
from competencies.models import KeptPart
from por.directory.models import Customer, Subscription
from por.management.estates import making
from tests import estates
from tests.competencies.measures.cases import Case, cases
from tests.competencies.measures.comparing import load
from tests.competencies.measures.small import Small

DAYS = (date(2018, 12, 31), date(2024, 2, 29))
EDGES = [date(2016, 5, 24), date(2018, 12, 31), date(2020, 2, 29), date(2023, 2, 28), date(2025, 3, 31)]
Answers = dict[str, Any]


@pytest.fixture(scope="module")
def large(shared: None, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("estate")
    size = {"subscriptions": 150, "customers": 40, "partners": 8, "months": 143}
    making.Maker(directory, seed=5, today=date(2026, 1, 1), **size).make()
    estates.load(directory)


@pytest.mark.parametrize("seed", range(2))
def test_only_customers_with_a_change_are_read_again(large, seed):
    chance, found = Random(seed), []
    with transaction.atomic():
        asked = {one: chance.sample(_asked((one,)), 20) for one in chance.sample(known_companies(), 4)}
        for company, some in asked.items():
            assert _kept(company, None, some) == _read(company, some)
        changed = _change(chance)
        for company, some in asked.items():
            before, after = _kept_as_before(company, some), _read(company, some)
            assert _shown(company, changed, some) == after
            assert _kept(company, changed, some) == after
            found += [name for name in after if before[name] != after[name]]
        transaction.set_rollback(True)

    assert found  # otherwise the changes have changed nothing


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), day=st.sampled_from(EDGES))
def test_customers_add_up_to_their_company_in_small_estates_with_every_edge(shared, tmp_path_factory, seed, day):
    with transaction.atomic():
        chance = Random(seed)
        small, directory = Small(chance, day), tmp_path_factory.mktemp("small")
        load(directory / "first", small.files)
        asked = {one: chance.sample(cases(day, (one,)), 12) for one in known_companies()}
        for company, some in asked.items():
            assert _kept(company, None, some) == _read(company, some)
        load(directory / "second", small.corrected)
        everyone = set(Customer.objects.values_list("pk", flat=True))
        for company, some in asked.items():
            after = _read(company, some)
            assert _shown(company, everyone, some) == after
            assert _kept(company, everyone, some) == after
        transaction.set_rollback(True)


def test_what_is_not_asked_again_is_not_kept(large):
    [company], some = known_companies()[:1], _asked((known_companies()[0],))
    with transaction.atomic():
        _kept(company, None, some)
        rows = KeptPart.objects.filter(company=company)
        before = rows.values("question").distinct().count()
        _kept(company, set(), some[:5])

        assert before > rows.values("question").distinct().count() == 5
        transaction.set_rollback(True)


@pytest.mark.parametrize("seed", range(2))
def test_what_some_customers_would_add_is_asked_of_them_alone(large, seed):
    chance, found = Random(seed), 0
    for company in chance.sample(known_companies(), 3):
        tried = tuple(chance.sample(list(Subscription.objects.order_by("pk").values_list("pk", flat=True)), 12))
        customers = tuple(Subscription.objects.filter(pk__in=tried).values_list("customer", flat=True).distinct())
        for case in chance.sample(_asked((company,)), 12):
            suppose = Suppose(case.ask.day, Supposed(company, start_of(case.ask.day), tried[:8], tried[8:]))
            ask = replace(case.ask, suppose=suppose)
            now, then, alone = [
                sorted(one for one in contributions(case.measure, each) if one[1] in customers)
                for each in (case.ask, ask, replace(ask, customers=customers))
            ]
            assert alone == then, case.name
            found += now != then

    assert found > 5  # otherwise what is supposed changes nothing


def _asked(companies: tuple[int, ...]) -> list[Case]:
    return [case for day in DAYS for case in cases(day, companies)]


def _answers(company: int, asked: Collection[Case]) -> Answers:
    ask_together((case.measure, case.ask) for case in asked)
    found: Answers = {}
    for case in asked:
        key = f"{case.name} on {case.ask.day}"
        of_dates = dated(case.measure, case.ask)
        found[key] = (
            measured(case.measure, case.ask).of(company),
            sorted(of_dates.companies.get(company, ())),
            of_dates.others,
            sorted(contributions(case.measure, case.ask)),
        )
    return found


def _read(company: int, asked: Collection[Case]) -> Answers:
    with asked_once():
        return _answers(company, asked)


def _kept(company: int, changed: Collection[int] | None, asked: Collection[Case]) -> Answers:
    keeper = Kept(company, changed)
    with asked_once(keeper=lambda: keeper):
        found = _answers(company, asked)
    keeper.forget_what_was_not_asked()
    return found


def _shown(company: int, changed: Collection[int], asked: Collection[Case]) -> Answers:
    """Return what a page shows while the changes wait for the worker."""
    answers = kept.Answers(company)
    answers.changed = tuple(changed)
    with asked_once(keeper=lambda: answers):
        return _answers(company, asked)


def _kept_as_before(company: int, asked: Collection[Case]) -> Answers:
    return _kept(company, set(), asked)


def _change(chance: Random) -> set[int]:
    """Strike, end and give away some associations; return the customers that this concerns."""
    changed: set[int] = set()
    now, partners = timezone.now(), list(Association.objects.values_list("partner", flat=True).distinct())
    for one in chance.sample(list(Association.objects.not_undone().order_by("pk")), 60):
        match chance.randrange(2):
            case 0:
                one.undone_at = now
            case 1 if one.ended_at is None:
                one.ended_at = one.began_at + (now - one.began_at) / 2
            case _:
                one.partner_id = chance.choice(partners)
        one.save()
        changed.add(one.customer_id)
        if one.subscription_id is not None:
            changed.add(Subscription.objects.get(pk=one.subscription_id).customer_id)
    return changed
