"""An override that holds on the anniversary keeps a paid level from being at risk, and what is told about that."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils.html import strip_tags

from competencies import actions
from competencies.models import Attainment, Override
from competencies.overrides import actions as overrides
from competencies.queries import attained_in
from competencies.results import Result
from competencies.taking import Batch, Turn
from por.accounts.models import Actor
from por.directory.models import Partner
from por.history.actions.relaying import relay
from por.history.models import Event
from por.notifications.models import Delivery, Notification
from por.programs.calendars import months_later
from por.programs.lifecycle import StageName
from tests import estates
from tests.api import Api
from tests.competencies.test_forecast import AZURE, FOUR, azure, holding, months, sold
from tests.estates import PARTNER
from tests.factories import make_member, make_staff
from tests.pages import signed_in

SMCS = "competency.smcs"
#: By then all but one of the four customers that silver needs have left the window.
ANNIVERSARY = date(2018, 12, 3)
#: A day on which silver is met, and gold is not.
DAY = date(2018, 9, 10)
ONE_DAY = timedelta(days=1)


def load(directory: Path, level: str = "silver") -> Partner:
    """Load a partner that has four customers of the four that silver needs, and has paid for a level."""
    held = holding(level=level, anniversary_on=ANNIVERSARY.isoformat(), fee_paid_on="2017-12-03")
    files = estates.write(
        directory, partners=[estates.partner(market="developed")], holdings=[held], **sold("2017-09-11", *FOUR[1:])
    )
    assert not estates.load(files).errors
    return Partner.objects.get(mpn_id=PARTNER)


def ask(
    partner: Partner, begins_on: date, level: str = "silver", program: str = SMCS, by: Actor | None = None
) -> Override:
    fields = {"reason": "Their files are late.", "begins_on": begins_on}
    return overrides.ask(partner.organisation, program, level, by=by or make_staff(), **fields)


def give(partner: Partner, begins_on: date, level: str = "silver", program: str = SMCS) -> Override:
    return overrides.confirm(ask(partner, begins_on, level, program).pk, by=make_staff())


def until(last: date) -> date:
    """Return the first day of an override whose last day is this one."""
    begins = months_later(last, -3)
    assert months_later(begins, 3) == last
    return begins


def end(override: Override, ended_on: date) -> None:
    overrides.end(override.pk, by=make_staff(), reason="Over.", ended_on=ended_on)


def result(partner: Partner, day: date = DAY, program: str = SMCS) -> Result:
    return attained_in(partner.organisation, program, day)


# --- The days -------------------------------------------------------------------------------------------------------


def test_without_an_override_the_level_is_at_risk(tmp_path):
    found = result(load(tmp_path))
    assert (found.level, found.stage.name, found.stage.at_risk, found.is_kept) == ("silver", "active", True, False)


@pytest.mark.parametrize(
    ("last", "at_risk"),
    [(ANNIVERSARY - ONE_DAY, True), (ANNIVERSARY, False), (ANNIVERSARY + ONE_DAY, False)],
)
def test_override_keeps_the_level_if_its_last_day_is_the_anniversary_or_later(tmp_path, last, at_risk):
    partner = load(tmp_path)
    assert give(partner, until(last)).until == last
    found = result(partner)
    assert (found.override_until, found.stage.at_risk, found.is_kept) == (last, at_risk, not at_risk)


@pytest.mark.parametrize(
    ("ended_on", "at_risk"),
    [(ANNIVERSARY, True), (ANNIVERSARY + ONE_DAY, False), (ANNIVERSARY + 2 * ONE_DAY, False)],
)
def test_override_that_is_ended_early_keeps_the_level_if_it_still_holds_on_the_anniversary(tmp_path, ended_on, at_risk):
    partner = load(tmp_path)
    end(give(partner, until(date(2018, 12, 10))), ended_on)
    found = result(partner, date(2018, 9, 20))
    assert (found.override_until, found.stage.at_risk) == (ended_on - ONE_DAY, at_risk)


def test_override_keeps_the_level_from_its_first_day_on(tmp_path):
    partner = load(tmp_path)
    give(partner, DAY)
    at_risk = [result(partner, day).stage.at_risk for day in (DAY - ONE_DAY, DAY, DAY + ONE_DAY, ANNIVERSARY)]
    assert at_risk == [True, False, False, False]


@pytest.mark.parametrize(
    ("last", "stages"),
    [
        (ANNIVERSARY - ONE_DAY, [StageName.ACTIVE, StageName.LOST, StageName.LOST]),
        (ANNIVERSARY, [StageName.ACTIVE, StageName.LOST, StageName.LOST]),
        (ANNIVERSARY + ONE_DAY, [StageName.ACTIVE, StageName.QUALIFIED, StageName.LOST]),
    ],
)
def test_after_the_anniversary_each_day_is_judged_by_itself(tmp_path, last, stages):
    partner = load(tmp_path)
    give(partner, until(last))
    days = [ANNIVERSARY + number * ONE_DAY for number in range(3)]
    assert [result(partner, day).stage.name for day in days] == stages


def test_request_that_nobody_has_confirmed_or_that_is_withdrawn_keeps_nothing(tmp_path):
    partner, asker = load(tmp_path), make_staff()
    asked = ask(partner, DAY, by=asker)
    assert result(partner).stage.at_risk is True
    overrides.withdraw(asked.pk, by=asker)
    assert result(partner).stage.at_risk is True


# --- The levels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paid", "level", "at_risk"),
    [("silver", "silver", False), ("silver", "gold", False), ("gold", "silver", True), ("gold", "gold", False)],
)
def test_override_keeps_its_own_level_and_those_below(tmp_path, paid, level, at_risk):
    partner = load(tmp_path, paid)
    give(partner, DAY, level)
    assert result(partner).stage.at_risk is at_risk


def test_of_two_overrides_the_one_of_the_paid_level_counts_and_the_longer_one_is_shown(tmp_path):
    partner = load(tmp_path, "gold")
    gold = give(partner, until(ANNIVERSARY), "gold")
    give(partner, until(ANNIVERSARY + 2 * ONE_DAY), "silver")
    found = result(partner)
    assert (found.override_until, found.stage.at_risk) == (ANNIVERSARY + 2 * ONE_DAY, False)
    end(gold, DAY)
    assert result(partner).stage.at_risk is True


# --- What is measured -----------------------------------------------------------------------------------------------


def test_level_that_is_met_at_the_anniversary_is_not_kept_by_an_override(tmp_path):
    partner = load(tmp_path)
    partner.holdings.update(anniversary_on="2018-09-10", fee_paid_on="2017-09-10")
    give(partner, date(2018, 8, 1))
    found = result(partner, date(2018, 8, 2))
    assert (found.stage.at_risk, found.is_kept, found.ahead) == (False, False, [])


def test_override_keeps_a_level_of_which_nobody_can_tell(tmp_path):
    """No month tells what was consumed since June."""
    held = holding(AZURE, anniversary_on="2017-03-31", fee_paid_on="2016-03-31")
    azure(tmp_path, months(2016, 1, 6, "2500"), holdings=[held])
    partner, day = Partner.objects.get(mpn_id=PARTNER), date(2017, 1, 31)
    assert result(partner, day, AZURE).stage.at_risk is None
    give(partner, day, program=AZURE)
    found = result(partner, day, AZURE)
    assert (found.stage.at_risk, found.is_kept) == (False, True)


def test_page_and_api_say_that_the_override_holds_at_the_anniversary(tmp_path):
    partner = load(tmp_path)
    reader = make_member(partner.organisation)
    give(partner, DAY)
    text = page(reader)
    assert "Active, at risk" not in text
    assert (
        "At the anniversary on 3 Dec 2018 the requirements will not be met, if nothing is added: Net new customers: "
        "1 of 4 customers. Missing: 3 customers." in text
    )
    assert "The override by platform staff still holds at the anniversary, so the level is not at risk." in text
    api = Api(reader)
    asked = {"as_of": DAY.isoformat()}
    answer = api.get(f"/api/v1/competencies/{SMCS}/", asked).json()
    assert (answer["state"], answer["at_risk"], answer["override_until"]) == ("active", False, "2018-12-10")
    assert [one["code"] for one in answer["ahead"]] == ["short_by"]

    end(Override.objects.get(), DAY)
    text = page(reader)
    assert "Active, at risk" in text
    assert "so the level is not at risk" not in text
    assert api.get(f"/api/v1/competencies/{SMCS}/", asked).json()["at_risk"] is True


def page(reader: Actor) -> str:
    url = reverse("competencies:partner_competency", args=[SMCS])
    answer = signed_in(reader, language="en").get(url, {"as_of": DAY.isoformat()})
    return " ".join(strip_tags(answer.content.decode()).split())


# --- What is told ---------------------------------------------------------------------------------------------------


def compute(partner: Partner, day: date = DAY) -> None:
    """Compute and store the results of a day, as the worker does on that day."""
    actions.compute(Batch([Turn(0, partner.pk, day, None, None, 0, has_changed=False)]), today=day)


def told(partner: Partner) -> int:
    """Return how often it was told that the level is at risk."""
    return Event.objects.filter(chain=f"organisation:{partner.pk}", verb="competency.at_risk").count()


def announced_for(directory: Path, level: str) -> Partner:
    """Return a partner that was told that the level for which it has paid is at risk."""
    partner = load(directory, level)
    held = partner.holdings.get()
    partner.holdings.all().delete()
    compute(partner)
    held.save(force_insert=True)
    compute(partner)
    assert told(partner) == 1
    return partner


@pytest.fixture
def announced(tmp_path: Path) -> Partner:
    return announced_for(tmp_path, "silver")


def test_level_that_an_override_keeps_is_not_told_to_be_at_risk(tmp_path):
    partner = load(tmp_path)
    held = partner.holdings.get()
    partner.holdings.all().delete()
    compute(partner)
    override = give(partner, DAY)
    held.save(force_insert=True)
    compute(partner)
    assert told(partner) == 0

    end(override, DAY + ONE_DAY)
    compute(partner, DAY + ONE_DAY)
    assert told(partner) == 1, "control: without the override it is told"


def test_level_is_told_to_be_at_risk_again_if_the_override_that_kept_it_is_ended(announced):
    reader = make_member(announced.organisation)
    override = give(announced, DAY)
    for _night in range(2):
        compute(announced)
    last = Attainment.objects.filter(company=announced.pk, program=SMCS).latest("pk").result
    assert (last["stage"]["at_risk"], last["is_kept"], told(announced)) == (False, True, 1)

    end(override, DAY + ONE_DAY)
    for _night in range(2):
        compute(announced, DAY + ONE_DAY)
    assert told(announced) == 2
    relay()
    event = Event.objects.filter(verb="competency.at_risk").latest("pk")
    assert event.changes["anniversary_on"] == ANNIVERSARY.isoformat()
    assert [one.recipient for one in Delivery.objects.filter(event=event)] == [reader.user.email]


@pytest.mark.parametrize(
    ("begins", "is_taken", "status"),
    [
        (DAY, False, "withdrawn"),
        (DAY, True, "waiting"),  # a sender has it: it may have left
        (until(ANNIVERSARY), False, "withdrawn"),
        (until(ANNIVERSARY - ONE_DAY), False, "waiting"),
    ],
)
def test_mail_about_the_risk_that_has_not_left_is_withdrawn_if_an_override_keeps_the_level(
    announced, begins, is_taken, status
):
    make_member(announced.organisation)
    relay()
    mail = Delivery.objects.get(template="competency_at_risk")
    assert mail.status == "waiting"
    Delivery.objects.update(is_taken=is_taken)
    give(announced, begins)
    relay()
    mail.refresh_from_db()
    assert mail.status == status
    assert Delivery.objects.get(template="override_given").status == "waiting", "the company is told of the override"


@pytest.mark.parametrize(("begins", "mails"), [(until(ANNIVERSARY), 0), (until(ANNIVERSARY - ONE_DAY), 1)])
def test_risk_that_is_relayed_with_the_override_that_keeps_the_level_is_not_told(announced, begins, mails):
    make_member(announced.organisation)
    give(announced, begins)
    relay()
    assert Delivery.objects.filter(template="competency_at_risk").count() == mails
    assert Notification.objects.filter(message="competency_at_risk").count() == mails


@pytest.mark.parametrize(("level", "status"), [("silver", "waiting"), ("gold", "withdrawn")])
def test_mail_about_the_risk_of_gold_is_withdrawn_for_an_override_of_gold_alone(tmp_path, level, status):
    partner = announced_for(tmp_path, "gold")
    make_member(partner.organisation)
    relay()
    give(partner, DAY, level)
    relay()
    assert Delivery.objects.get(template="competency_at_risk").status == status


def test_override_that_does_not_reach_the_anniversary_is_ended_without_telling_again(announced):
    override = give(announced, until(ANNIVERSARY - ONE_DAY))
    compute(announced)
    end(override, DAY)
    compute(announced)
    assert told(announced) == 1


def test_override_that_is_given_and_ended_before_anything_is_computed_is_not_told_again(announced):
    end(give(announced, DAY), DAY)
    compute(announced)
    assert told(announced) == 1


def test_level_whose_figures_go_up_and_down_is_told_once_beside_an_override(announced):
    """Only an override that kept the level makes it told again, not one that was there while enough was met."""
    override = give(announced, DAY)
    Attainment.objects.create(company=announced.organisation, program=SMCS, day=DAY, level="silver", result=_met())
    end(override, DAY)
    compute(announced)
    assert told(announced) == 1


def _met() -> dict[str, Any]:
    """Return the newest result as if enough would be met at the anniversary."""
    result = Attainment.objects.filter(program=SMCS).latest("pk").result
    return result | {"stage": result["stage"] | {"at_risk": False}, "override_until": "2018-12-10"}
