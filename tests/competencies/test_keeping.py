"""A large company is computed from what is kept of its customers; only those with a change are read again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from associations.attaching.actions import attach as attaching
from competencies import actions, queries
from competencies.measures import kept
from competencies.measures.asking import asked_once, contributions
from competencies.measures.kept import Answers
from competencies.models import Attainment, KeptPart, Recompute, Round
from competencies.programs import computed_on
from competencies.queries import asked_about, attained
from competencies.results import Result
from por.accounts.models import Actor
from por.directory.models import Partner, Subscription, Usage
from por.history.actions.relaying import relay
from tests import estates
from tests.competencies.measures.cases import cases
from tests.competencies.test_recomputing import AZURE, make_azure, today
from tests.factories import make_partner

pytestmark = pytest.mark.usefixtures("last_day_of_month")


@pytest.fixture(autouse=True)
def every_company_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "LARGE", 1)


def attach(partner: Partner, subscription: Subscription, by: Actor, **more: Any) -> None:
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=by, **more)
    compute()


def compute() -> None:
    relay()
    actions.run()
    assert not Recompute.objects.exists()


def stored(partner: Partner) -> list[Result]:
    newest = {one.program: one.result for one in Attainment.objects.filter(company=partner.pk).newest(today())}
    return [Result.read(program, newest[program.id]) for program in computed_on(today())]


def read(partner: Partner) -> list[Result]:
    """Return what reading everything gives."""
    with asked_once():
        return attained(partner.organisation, today())


def customers_of(partner: Partner) -> Any:
    """Return how many customers the newest result counts."""
    [found] = [one for one in stored(partner) if one.program.id == AZURE]
    return next(one.value.low for one in found.metrics if one.metric == "net_customer_adds")


@pytest.mark.django_db(transaction=True)
def test_each_change_gives_what_reading_everything_gives() -> None:
    (first, of_first), (second, of_second), (third, of_third) = [make_azure() for _each in range(3)]
    account = make_partner("Nordvik Group", kind="global")
    location, other = make_partner(parent=account.organisation), make_partner()
    counted = []

    def check() -> None:
        compute()
        counted.append((customers_of(account), customers_of(other)))
        assert stored(account) == read(account)
        assert stored(other) == read(other)

    attach(location, first, of_first)
    attach(other, second, of_second)
    attach(location, third, of_third)
    check()
    attaching.remove(first.subscription_id, by=of_first, reason="No longer.")
    check()
    attach(other, first, of_first)
    check()
    attach(location, third, of_third, began_on=today() - timedelta(days=40))
    attaching.remove(second.subscription_id, by=of_second, reason="No longer.")
    check()
    assert counted == [(2, 1), (1, 1), (1, 2), (1, 1)]


@pytest.mark.django_db(transaction=True)
def test_only_the_customer_with_a_change_is_read_again_until_the_next_round() -> None:
    (first, of_first), (second, of_second) = make_azure(), make_azure()
    partner = make_partner()
    attach(partner, first, of_first)
    Usage.objects.filter(subscription=first).delete()  # no event tells of this
    attach(partner, second, of_second)
    assert customers_of(partner) == 2

    actions.begin_round(Round.Reason.NIGHTLY, today())
    compute()
    assert customers_of(partner) == 1
    assert stored(partner) == read(partner)


@pytest.mark.django_db(transaction=True)
def test_import_has_everything_read_again(tmp_path: Any) -> None:
    (first, of_first), (second, of_second) = make_azure(), make_azure()
    partner = make_partner()
    attach(partner, first, of_first)
    attach(partner, second, of_second)
    Usage.objects.filter(subscription=first).delete()
    estates.load(estates.write(tmp_path, partners=[estates.partner()]))
    compute()

    assert customers_of(partner) == 1


@pytest.mark.django_db(transaction=True)
def test_failed_computation_leaves_nothing_that_lacks_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    (first, of_first), (second, of_second) = make_azure(), make_azure()
    partner = make_partner()
    attach(partner, first, of_first)

    def fails(*_given: Any) -> Any:
        raise ValueError("no such rule")

    with monkeypatch.context() as broken:
        broken.setattr(actions, "judged", fails)
        attaching.attach(second.subscription_id, partner.mpn_id, by=of_second)
        relay()
        actions.run()
    assert not KeptPart.objects.exists()

    Recompute.objects.update(attempts=100)  # given up: this row names the customer, and is never taken again
    attaching.remove(first.subscription_id, by=of_first, reason="No longer.")
    relay()
    actions.run()
    assert customers_of(partner) == 1
    assert stored(partner) == read(partner)


@pytest.mark.django_db(transaction=True)
def test_nothing_is_kept_of_a_company_that_is_not_large(monkeypatch: pytest.MonkeyPatch) -> None:
    (first, of_first), (second, of_second) = make_azure(), make_azure()
    partner = make_partner()
    attach(partner, first, of_first)
    assert KeptPart.objects.filter(company=partner.pk).exists()

    monkeypatch.setattr(kept, "LARGE", 3)
    attach(partner, second, of_second)
    assert not KeptPart.objects.exists()
    assert stored(partner) == read(partner)


@pytest.mark.django_db
def test_change_of_many_customers_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "MOST_CHANGED", 1)
    (first, of_first), (second, of_second) = make_azure(), make_azure()
    partner = make_partner()
    for subscription, admin in ((first, of_first), (second, of_second)):
        attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    changes = [actions.Change(one.customer_id, today(), 0) for one in (first, second)]

    actions._queue_for(changes[:1])
    assert Recompute.objects.get().customers == [first.customer_id]
    actions._queue_for(changes)
    assert Recompute.objects.latest("pk").customers is None


@pytest.mark.django_db(transaction=True)
def test_page_reads_what_is_kept_and_the_customer_of_which_a_change_waits() -> None:
    (first, of_first), (second, of_second) = make_azure(), make_azure()
    partner = make_partner()
    attach(partner, first, of_first)
    Usage.objects.filter(subscription=first).delete()  # no event tells of this

    def shown() -> tuple[Any, bool]:
        """Return how many customers count, and whether a statement has read the usage of units."""
        with CaptureQueriesContext(connection) as captured:
            [found] = [one for one in attained(partner.organisation, today()) if one.program.id == AZURE]
        read = any("units AS" in one["sql"] for one in captured)
        return next(one.value.low for one in found.metrics if one.metric == "net_customer_adds"), read

    assert shown() == (1, False)
    attaching.attach(second.subscription_id, partner.mpn_id, by=of_second)
    assert shown() == (2, True), "the event waits for the relay"
    relay()
    assert shown() == (2, True), "the company waits for its computation"
    compute()
    assert shown() == (2, False)


@pytest.mark.django_db(transaction=True)
def test_page_reads_everything_while_it_is_not_known_what_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    (first, of_first), (second, of_second) = make_azure(), make_azure()
    partner = make_partner()
    attach(partner, first, of_first)
    attach(partner, second, of_second)
    Usage.objects.filter(subscription=first).delete()  # no event tells of this

    def shown() -> Any:
        [found] = [one for one in attained(partner.organisation, today()) if one.program.id == AZURE]
        return next(one.value.low for one in found.metrics if one.metric == "net_customer_adds")

    assert shown() == 2
    actions.begin_round(Round.Reason.NIGHTLY, today())
    assert shown() == 1, "a round waits"
    Recompute.objects.all().delete()
    with monkeypatch.context() as many:
        many.setattr(queries, "MOST_CHANGED", 0)
        attaching.remove(second.subscription_id, by=of_second, reason="No longer.")
        assert shown() == 0, "too many customers have changed"
    assert shown() == 1
    with monkeypatch.context() as many:
        many.setattr(queries, "MOST_WAITING", 1)
        assert shown() == 0, "many events wait"


@pytest.mark.django_db(transaction=True)
def test_row_of_older_days_is_no_reason_to_read_anything() -> None:
    subscription, admin = make_azure()
    partner = make_partner()
    attach(partner, subscription, admin)
    Recompute.objects.create(company=partner.organisation, since=today() - timedelta(9), until=today() - timedelta(2))

    with CaptureQueriesContext(connection) as captured:
        attained(partner.organisation, today())
    assert not any("units AS" in one["sql"] for one in captured)


@pytest.mark.django_db(transaction=True)
def test_change_of_another_company_is_no_reason_to_read_everything() -> None:
    (first, of_first), (second, of_second) = make_azure(), make_azure()
    partner, other = make_partner(), make_partner()
    attach(partner, first, of_first)
    attaching.attach(second.subscription_id, other.mpn_id, by=of_second)

    with CaptureQueriesContext(connection) as captured:
        attained(partner.organisation, today())
    assert sum("units AS" in one["sql"] for one in captured) == 0


@pytest.mark.django_db(transaction=True)
def test_another_day_and_another_company_are_not_answered_from_what_is_kept() -> None:
    subscription, admin = make_azure()
    partner, other = make_partner(), make_partner()
    attach(partner, subscription, admin)

    for company, day in ((partner, today() - timedelta(days=400)), (other, today())):
        with CaptureQueriesContext(connection) as captured:
            attained(company.organisation, day)
        assert sum("units AS" in one["sql"] for one in captured) > 0


@pytest.mark.django_db(transaction=True)
def test_what_is_given_up_while_a_page_reads_is_read_from_the_units() -> None:
    subscription, admin = make_azure()
    partner = make_partner()
    attach(partner, subscription, admin)
    answers = Answers(partner.pk)
    assert answers.known
    KeptPart.objects.all().delete()
    expected = read(partner)

    with asked_once(keeper=lambda: answers):
        assert attained(partner.organisation, today()) == expected
        [case] = [one for one in cases(today(), (partner.pk,)) if one.name == "azure adds"]
        assert list(contributions(case.measure, case.ask)) == [(partner.pk, subscription.customer_id, 1)]


@pytest.mark.django_db(transaction=True)
def test_page_that_asks_for_several_results_looks_once_for_what_is_kept() -> None:
    subscription, admin = make_azure()
    partner = make_partner()
    attach(partner, subscription, admin)

    with CaptureQueriesContext(connection) as captured, asked_about(partner.organisation):
        attained(partner.organisation, today())
        attained(partner.organisation, today())
    looked = [one for one in captured if '"competencies_keptpart"."customer_id" IS NULL' in one["sql"]]
    assert len(looked) == 1
