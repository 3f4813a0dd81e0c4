"""A load that moves many companies: each person is told as they want it, in turn, and behind what people do."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from competencies import actions
from competencies.models import Attainment, Round
from por.accounts.models import Actor, Membership
from por.history.actions.relaying import relay
from por.history.models import Event
from por.notifications.actions import notifying
from por.notifications.actions.delivering import deliver
from por.notifications.models import Delivery, How, Notification, Preference, Topic
from tests.competencies.test_recomputing import AZURE, make_azure
from tests.factories import make_member, make_partner

pytestmark = pytest.mark.django_db(transaction=True)


def move(count: int, monkeypatch: pytest.MonkeyPatch, how: dict[int, How]) -> list[Actor]:
    """Let a round find that so many companies have reached a level; return a member of each, who want mail as given."""
    people = []
    for number in range(count):
        subscription, admin = make_azure()
        partner = make_partner()
        people.append(make_member(partner.organisation))
        if number in how:
            member = Membership.objects.get(user=people[-1].user)
            Preference.objects.create(membership=member, message=Topic.COMPETENCY.key, how=how[number])
        attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    relay()
    while deliver():
        pass
    compute(Round.Reason.NIGHTLY)
    assert not Event.objects.filter(verb="competency.reached").exists(), "the first result is no change"
    judged = actions.judged

    def reached(program: Any, *args: Any) -> Any:
        found = judged(program, *args)
        return {pk: one | {"level": "qualified"} if program.id == AZURE else one for pk, one in found.items()}

    monkeypatch.setattr(actions, "judged", reached)
    compute(Round.Reason.IMPORT)
    relay()
    assert Attainment.objects.filter(program=AZURE, level="qualified").count() == count
    return people


def compute(reason: Round.Reason) -> None:
    round_ = actions.begin_round(reason, date.min)
    assert round_ is not None
    assert actions.finish(round_).ended_at is not None


def of_competencies() -> Any:
    return Delivery.objects.filter(template="competency_reached").order_by("pk")


def test_each_person_is_told_as_they_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    people = move(3, monkeypatch, {1: How.DIGEST, 2: How.OFF})
    assert [one.recipient for one in of_competencies()] == [people[0].user.email]
    lines = Notification.objects.filter(message="competency_reached").order_by("membership")
    assert [one.digest_at is not None for one in lines] == [False, True, False], "all three have it in their inbox"


def test_mails_of_a_load_are_due_minute_by_minute_and_an_act_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "OF_LOADS_A_MINUTE", 2)
    people = move(5, monkeypatch, {})
    first = timezone.now()
    minutes = [round((one.next_at - first) / timedelta(minutes=1)) for one in of_competencies()]
    assert minutes == [0, 0, 1, 1, 2]

    subscription, admin = make_azure()
    attaching.attach(subscription.subscription_id, people[4].organisation.number, by=admin)
    relay()
    assert deliver() == 2 + 2, "two of the load, one to the partner and one to whoever attached it"
    left = list(
        Delivery.objects.filter(sent_at__isnull=False).order_by("-sent_at")[:4].values_list("template", flat=True)
    )
    assert left[:2] == ["competency_reached"] * 2, "what a person did has left before"
    assert of_competencies().filter(sent_at=None).count() == 3


def test_later_mail_of_a_load_is_never_due_before_an_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "OF_LOADS_A_MINUTE", 2)
    move(5, monkeypatch, {})
    latest = of_competencies().last().next_at
    deliver()
    judged = actions.judged

    def lost(program: Any, *args: Any) -> Any:
        found = judged(program, *args)
        return {pk: one | {"level": "none"} if program.id == AZURE else one for pk, one in found.items()}

    monkeypatch.setattr(actions, "judged", lost)
    compute(Round.Reason.IMPORT)
    relay()
    later = Delivery.objects.filter(template="competency_lost")
    assert later.count() == 5
    assert all(one.next_at >= latest for one in later)
