"""An override of a competency: one of the staff asks, another one confirms, and it stands in for what is not met."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from associations.claims.actions import interests
from associations.claims.actions.shared import require_no_interest
from competencies import actions
from competencies.models import Attainment, Override, Recompute
from competencies.overrides import actions as overrides
from competencies.queries import attained_in, known_in
from competencies.results import Result
from por.accounts.models import Actor
from por.directory.models import Partner
from por.errors import Forbidden, NotFound, Refused
from por.history.actions.relaying import relay
from por.history.models import Event
from por.notifications.models import Delivery, Notification
from por.programs.lifecycle import StageName
from tests import estates
from tests.at_once import at_once, together
from tests.competencies.test_forecast import sold
from tests.estates import PARTNER, holding
from tests.factories import make_partner, make_staff

SMCS = "competency.smcs"
DAY = date(2018, 3, 5)


@pytest.fixture
def asker() -> Actor:
    return make_staff("reviewer")


@pytest.fixture
def second() -> Actor:
    return make_staff("programme_administrator")


class Clock:
    """Which day it is for the verbs. The database takes no event of another day, so the time stays that of today."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def set(self, day: date) -> None:
        self._monkeypatch.setattr(overrides, "_today", lambda: day)
        self._monkeypatch.setattr(Actor, "today", day)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def ask(partner: Partner, asker: Actor, **given: Any) -> Override:
    fields = {"program": SMCS, "level": "silver", "reason": "Their files are late.", "begins_on": DAY} | given
    return overrides.ask(partner.organisation, by=asker, **fields)


def give(partner: Partner, asker: Actor, second: Actor, **given: Any) -> Override:
    return overrides.confirm(ask(partner, asker, **given).pk, by=second)


def result(partner: Partner, day: date, program: str = SMCS) -> Result:
    return attained_in(partner.organisation, program, day)


def stage(partner: Partner, day: date) -> StageName | None:
    return result(partner, day).stage.name


def refusal(call: Any) -> tuple[str, str | None]:
    with pytest.raises(Refused) as refused, transaction.atomic():
        call()
    return refused.value.code, refused.value.field


def verbs(partner: Partner) -> list[str]:
    found = Event.objects.filter(chain=f"organisation:{partner.pk}", verb__startswith="override.")
    return list(found.order_by("pk").values_list("verb", flat=True))


# --- Two persons ----------------------------------------------------------------------------------------------------


def test_override_holds_only_once_another_person_confirms_it(partner, asker, second):
    asked = ask(partner, asker)
    assert result(partner, DAY).override_until is None

    given = overrides.confirm(asked.pk, by=second, note="Seen.")
    assert (given.status, given.begins_on, given.until) == ("given", DAY, date(2018, 6, 5))
    assert (given.asked_by, given.decided_by, given.decision_note) == (asker.user, second.user, "Seen.")
    assert result(partner, DAY).override_until == date(2018, 6, 5)
    assert verbs(partner) == ["override.asked", "override.given"]


@pytest.mark.parametrize("verb", ["confirm", "decline"])
def test_person_who_asked_cannot_decide_and_another_one_can(partner, asker, second, verb):
    asked = ask(partner, asker)
    decide = getattr(overrides, verb)
    assert refusal(lambda: decide(asked.pk, by=asker)) == ("own_request", None)
    assert Override.objects.get().status == "asked"
    assert verbs(partner) == ["override.asked"]

    assert decide(asked.pk, by=second).status in {"given", "declined"}


def test_database_refuses_one_person_for_both_acts(partner, asker, second):
    """Control: with another person the same row can be stored."""
    asked = ask(partner, asker)
    days = {"status": "given", "begins_on": DAY, "until": DAY}
    with pytest.raises(IntegrityError, match="an_override_needs_two_persons"), transaction.atomic():
        Override.objects.filter(pk=asked.pk).update(decided_by=asker.user, **days)
    assert Override.objects.filter(pk=asked.pk).update(decided_by=second.user, **days) == 1


def test_declined_override_never_holds_and_another_one_can_be_asked_for(partner, asker, second):
    overrides.decline(ask(partner, asker).pk, by=second, note="Not needed.")
    assert result(partner, DAY).override_until is None
    assert verbs(partner) == ["override.asked", "override.declined"]
    assert ask(partner, second).status == "asked"


def test_person_who_asked_withdraws_the_request_and_can_ask_for_another(partner, asker):
    asked = ask(partner, asker)
    withdrawn = overrides.withdraw(asked.pk, by=asker, note=" Their files are there. ")

    assert (withdrawn.status, withdrawn.version, withdrawn.until) == ("withdrawn", 2, None)
    assert (withdrawn.withdrawal_note, withdrawn.decided_by) == ("Their files are there.", None)
    assert withdrawn.withdrawn_at >= withdrawn.asked_at
    assert result(partner, DAY).override_until is None
    assert verbs(partner) == ["override.asked", "override.withdrawn"]
    assert Event.objects.get(verb="override.withdrawn").reason == "Their files are there."
    assert ask(partner, asker).status == "asked"


@pytest.mark.parametrize("role", ["reviewer", "programme_administrator"])
def test_another_person_declines_but_does_not_withdraw_a_request(partner, asker, role):
    asked, other = ask(partner, asker), make_staff(role)
    assert refusal(lambda: overrides.withdraw(asked.pk, by=other)) == ("not_own_request", None)
    assert (Override.objects.get().status, verbs(partner)) == ("asked", ["override.asked"])

    assert overrides.decline(asked.pk, by=other).status == "declined"


def test_request_whose_author_is_gone_is_declined_and_withdrawn_by_nobody(partner, asker, second):
    asked = ask(partner, asker)
    Override.objects.update(asked_by=None)
    for one in (asker, second):
        assert refusal(lambda one=one: overrides.withdraw(asked.pk, by=one)) == ("not_own_request", None)
    assert overrides.decline(asked.pk, by=second).status == "declined"


def test_request_is_withdrawn_before_it_is_decided_and_not_twice(partner, asker, second):
    for decide, code in ((overrides.confirm, "override_given"), (overrides.decline, "override_declined")):
        asked = ask(partner, asker)
        decide(asked.pk, by=second)
        assert refusal(lambda asked=asked: overrides.withdraw(asked.pk, by=asker)) == (code, None)
    asked = ask(partner, asker)
    overrides.withdraw(asked.pk, by=asker)
    for late in (
        lambda: overrides.withdraw(asked.pk, by=asker),
        lambda: overrides.confirm(asked.pk, by=second),
        lambda: overrides.decline(asked.pk, by=second),
        lambda: overrides.end(asked.pk, by=second, reason="Over."),
    ):
        assert refusal(late) == ("override_withdrawn", None)


def test_database_refuses_a_withdrawn_override_that_holds_or_has_no_instant(partner, asker):
    """Control: as the verb writes it, the row can be stored."""
    asked = ask(partner, asker)
    for given, name in (
        ({"status": "withdrawn"}, "an_override_has_an_instant_of_its_withdrawal"),
        ({"withdrawn_at": timezone.now()}, "an_override_has_an_instant_of_its_withdrawal"),
        (
            {"status": "withdrawn", "withdrawn_at": timezone.now(), "begins_on": DAY, "until": DAY},
            "an_override_has_its_days_once_it_is_given",
        ),
    ):
        with pytest.raises(IntegrityError, match=name), transaction.atomic():
            Override.objects.filter(pk=asked.pk).update(**given)
    assert overrides.withdraw(asked.pk, by=asker).status == "withdrawn"


def test_decision_comes_once(partner, asker, second):
    given = give(partner, asker, second)
    assert refusal(lambda: overrides.decline(given.pk, by=second)) == ("override_given", None)
    assert refusal(lambda: overrides.confirm(given.pk, by=second)) == ("override_given", None)
    overrides.end(given.pk, by=asker, reason="Over.", ended_on=DAY)
    assert refusal(lambda: overrides.end(given.pk, by=asker, reason="Over.")) == ("override_ended", None)
    asked = ask(partner, asker)
    assert refusal(lambda: overrides.end(asked.pk, by=second, reason="Over.")) == ("override_asked", None)


def test_one_request_is_open_for_a_company_and_programme(partner, asker, second):
    ask(partner, asker)
    assert refusal(lambda: ask(partner, second, level="gold")) == ("override_asked", None)
    ask(partner, asker, program="competency.cloud_productivity")
    ask(make_partner(), asker)
    assert Override.objects.count() == 3


@pytest.mark.parametrize("role", ["support", "auditor"])
def test_roles_without_the_right_can_do_nothing(partner, asker, second, role):
    given, other = give(partner, asker, second), make_staff(role)
    asked = ask(partner, asker)
    for call in (
        lambda: ask(partner, other),
        lambda: overrides.confirm(asked.pk, by=other),
        lambda: overrides.decline(asked.pk, by=other),
        lambda: overrides.withdraw(asked.pk, by=other),
        lambda: overrides.end(given.pk, by=other, reason="Over."),
    ):
        with pytest.raises(Forbidden):
            call()


def test_partner_finds_no_override_of_its_own(partner, asker, second, amira):
    asked = ask(partner, asker)
    with pytest.raises(Forbidden):
        ask(partner, amira)
    with pytest.raises(NotFound):
        overrides.confirm(asked.pk, by=amira)
    with pytest.raises(NotFound):
        overrides.withdraw(asked.pk, by=amira)
    assert not Override.objects.visible_to(amira).exists()


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"reason": "  "}, "reason_missing", "reason"),
        ({"program": "competency.nothing"}, "not_a_competency", "program"),
        ({"program": "pcs.modern_work", "level": "qualified"}, "not_a_competency", "program"),
        ({"program": "competency"}, "not_a_competency", "program"),
        ({"level": "qualified"}, "level_unknown", "level"),
        ({"begins_on": date(2099, 1, 1)}, "begins_in_future", "begins_on"),
        ({"begins_on": date(2014, 8, 31)}, "no_rules_on_day", "begins_on"),
        ({"begins_on": date(2022, 10, 3)}, "no_rules_on_day", "begins_on"),
        ({"begins_on": None}, "no_rules_on_day", "begins_on"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_field(partner, asker, given, code, field):
    assert refusal(lambda: ask(partner, asker, **given)) == (code, field)
    assert not Override.objects.exists()
    assert not verbs(partner)


# --- Interests ------------------------------------------------------------------------------------------------------


def test_reviewer_with_an_interest_decides_nothing_until_it_is_removed(partner, asker):
    reviewer = make_staff()
    given, asked = give(partner, asker, reviewer), ask(partner, asker)
    interest = interests.mark(partner.mpn_id, by=reviewer, note="My brother works there.")

    for verb in (
        lambda: overrides.confirm(asked.pk, by=reviewer),
        lambda: overrides.decline(asked.pk, by=reviewer),
        lambda: overrides.end(given.pk, by=reviewer, reason="Over.", ended_on=DAY),
    ):
        assert refusal(verb) == ("interest", None)
    assert {one.status for one in Override.objects.all()} == {"given", "asked"}
    assert verbs(partner) == ["override.asked", "override.given", "override.asked"]

    interests.remove(interest.pk, by=reviewer)
    assert overrides.confirm(asked.pk, by=reviewer).status == "given"
    assert overrides.end(given.pk, by=reviewer, reason="Over.", ended_on=DAY).status == "ended"


def test_refusal_for_an_interest_is_that_of_claims(partner, asker):
    reviewer = make_staff()
    asked = ask(partner, asker)
    interests.mark(partner.mpn_id, by=reviewer)
    with pytest.raises(Refused) as ours:
        overrides.confirm(asked.pk, by=reviewer)
    with pytest.raises(Refused) as of_claims:
        require_no_interest(reviewer, {partner.pk})
    assert (ours.value.code, str(ours.value.message)) == (of_claims.value.code, str(of_claims.value.message))


def test_interest_in_a_location_is_one_in_its_company_and_none_in_another(asker):
    company, other, reviewer = make_partner("Nordvik Group", kind="global"), make_partner(), make_staff()
    location = make_partner(parent=company.organisation)
    interests.mark(location.mpn_id, by=reviewer)

    asked = ask(company, asker)
    assert refusal(lambda: overrides.confirm(asked.pk, by=reviewer)) == ("interest", None)
    assert overrides.confirm(ask(other, asker).pk, by=reviewer).status == "given"


def test_interest_is_of_one_person_and_keeps_nobody_from_asking_or_withdrawing(partner, second):
    reviewer = make_staff()
    interests.mark(partner.mpn_id, by=reviewer)
    overrides.withdraw(ask(partner, reviewer).pk, by=reviewer)
    assert overrides.confirm(ask(partner, reviewer).pk, by=second).status == "given"


# --- Its days -------------------------------------------------------------------------------------------------------


def test_without_a_first_day_it_holds_from_the_day_of_the_confirmation(partner, asker, second, clock):
    clock.set(date(2018, 3, 1))
    asked = ask(partner, asker, begins_on=None)
    clock.set(DAY)
    overrides.confirm(asked.pk, by=second)

    held = [day for day in _days(date(2018, 2, 25), date(2018, 6, 15)) if result(partner, day).override_until]
    assert (held[0], held[-1]) == (DAY, date(2018, 6, 5))
    assert len(held) == 93, "every day from the first to the last"


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


@pytest.mark.parametrize(
    ("begins", "until"),
    [
        (date(2017, 11, 30), date(2018, 2, 28)),
        (date(2019, 11, 30), date(2020, 2, 29)),
        (date(2020, 1, 31), date(2020, 4, 30)),
    ],
)
def test_three_months_end_on_the_last_day_of_a_shorter_month(partner, asker, second, begins, until):
    assert give(partner, asker, second, begins_on=begins).until == until


@pytest.mark.parametrize("ended", [DAY, date(2018, 4, 10), date(2018, 6, 5)])
def test_ended_early_it_holds_until_the_day_before(partner, asker, second, ended):
    given = give(partner, asker, second)
    overrides.end(given.pk, by=asker, reason="Their files are there.", ended_on=ended)

    before, day = ended - timedelta(days=1), ended
    assert result(partner, day).override_until is None
    assert result(partner, before).override_until == (before if before >= DAY else None)
    assert Event.objects.get(verb="override.ended").reason == "Their files are there."


def test_end_lies_within_the_override_and_not_in_the_future(partner, asker, second, clock):
    given = give(partner, asker, second)
    for day in (DAY - timedelta(days=1), date(2018, 6, 6), None):
        end = lambda day=day: overrides.end(given.pk, by=asker, reason="Over.", ended_on=day)  # noqa: E731
        assert refusal(end) == ("end_outside", "ended_on")
    assert refusal(lambda: overrides.end(given.pk, by=asker, reason=" ")) == ("reason_missing", "reason")

    clock.set(date(2018, 4, 1))
    later = lambda: overrides.end(given.pk, by=asker, reason="Over.", ended_on=date(2018, 4, 2))  # noqa: E731
    assert refusal(later) == ("end_outside", "ended_on")
    assert overrides.end(given.pk, by=asker, reason="Over.").ended_on == date(2018, 4, 1)


def test_of_two_that_overlap_the_one_that_holds_longest_counts(partner, asker, second):
    give(partner, asker, second)
    later = give(partner, asker, second, begins_on=date(2018, 5, 1))
    assert result(partner, date(2018, 4, 30)).override_until == date(2018, 6, 5)
    assert result(partner, date(2018, 5, 1)).override_until == date(2018, 8, 1)
    overrides.end(later.pk, by=second, reason="Not needed.", ended_on=date(2018, 5, 1))
    assert result(partner, date(2018, 5, 1)).override_until == date(2018, 6, 5)


def test_last_day_is_that_of_the_day_it_was_given_even_if_a_later_rule_is_shorter(tmp_path, asker, second, monkeypatch):
    partner = load(tmp_path)
    given = give(partner, asker, second)
    shorter = lambda self, day: day + timedelta(days=3)  # noqa: E731
    monkeypatch.setattr("por.programs.lifecycle.LifeCycle.override_until", shorter)
    assert result(partner, given.until).override_until == given.until == date(2018, 6, 5)
    assert stage(partner, given.until) is not stage(partner, given.until + timedelta(days=1))
    assert give(partner, asker, second).until == DAY + timedelta(days=3), "control: the rule is another one now"


# --- What it stands in for ------------------------------------------------------------------------------------------


def load(directory: Any, *holdings: dict[str, str]) -> Partner:
    """Load a partner with one new customer of the four that silver needs. Without holdings, another company has one."""
    rows = list(holdings) or [holding(estates.RIVAL)]
    partners = [estates.partner(market="developed"), estates.partner(estates.RIVAL)]
    files = estates.write(directory, partners=partners, holdings=rows, **sold("2017-09-01"))
    assert not estates.load(files).errors
    return Partner.objects.get(mpn_id=PARTNER)


def test_company_that_meets_too_little_is_qualified_while_it_holds(tmp_path, asker, second):
    partner = load(tmp_path)
    give(partner, asker, second)
    stages = [stage(partner, day) for day in (date(2018, 3, 4), DAY, date(2018, 6, 5), date(2018, 6, 6))]
    assert stages == [StageName.STARTED, StageName.QUALIFIED, StageName.QUALIFIED, StageName.STARTED]
    assert result(partner, DAY).level == "none", "what is measured stays what it is"


def test_company_that_has_paid_stays_active_and_is_not_lost_after_its_anniversary(tmp_path, asker, second):
    partner = load(tmp_path, holding(anniversary_on="2018-04-30", fee_paid_on="2017-04-30"))
    give(partner, asker, second)
    days = {
        date(2018, 3, 4): StageName.ACTIVE,
        date(2018, 4, 30): StageName.ACTIVE,
        date(2018, 5, 1): StageName.QUALIFIED,
        date(2018, 6, 5): StageName.QUALIFIED,
        date(2018, 6, 6): StageName.LOST,
    }
    assert {day: stage(partner, day) for day in days} == days


def test_override_is_of_one_company_and_one_competency(partner, asker, second):
    give(partner, asker, second)
    assert result(make_partner(), DAY).override_until is None
    assert result(partner, DAY, "competency.cloud_productivity").override_until is None


def test_scores_have_none_even_if_a_row_says_so(partner, asker, second):
    given = give(partner, asker, second)
    Override.objects.filter(pk=given.pk).update(program="pcs.modern_work", begins_on="2023-01-01", until="2023-04-01")
    found = result(partner, date(2023, 2, 1), "pcs.modern_work")
    assert (found.override_until, found.stage.name) == (None, None)


def test_location_has_that_of_its_company(asker, second):
    company = make_partner("Nordvik Group", kind="global")
    make_partner(parent=company.organisation)
    give(company, asker, second)
    assert result(company, DAY).override_until == date(2018, 6, 5)


# --- Stored and told ------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_giving_and_ending_compute_the_stored_days_anew_and_what_was_stored_stays(partner, asker, second):
    stored = Attainment.objects.filter(company=partner.pk, program=SMCS).order_by("pk")
    given = {"company": partner.organisation, "program": SMCS, "level": "none", "result": {"override_until": None}}
    for day in (date(2018, 3, 1), date(2018, 4, 20)):
        Attainment.objects.create(day=day, **given)
    asked = ask(partner, asker)
    relay()
    assert not Recompute.objects.exists(), "asking changes nothing"

    overrides.confirm(asked.pk, by=second)
    relay()
    assert [(one.company_id, one.since) for one in Recompute.objects.all()] == [(partner.pk, DAY)]
    actions.run()
    overrides.end(asked.pk, by=second, reason="Over.", ended_on=date(2018, 4, 20))
    relay()
    assert Recompute.objects.get().since == DAY
    actions.run()

    assert [(str(one.day), one.result["override_until"]) for one in stored] == [
        ("2018-03-01", None),
        ("2018-04-20", None),
        ("2018-04-20", "2018-06-05"),
        ("2018-04-20", None),
    ]


@pytest.mark.django_db(transaction=True)
def test_known_at_reads_an_override_that_was_stored(partner, asker, second):
    give(partner, asker, second)
    call_command("recompute", as_of=DAY.isoformat(), partner=partner.mpn_id)
    today = timezone.now().date()
    assert known_in(partner.organisation, SMCS, DAY, today).override_until == date(2018, 6, 5)
    assert known_in(partner.organisation, SMCS, DAY, today - timedelta(days=1)).override_until is None


def test_company_is_told_when_it_is_given_and_ended_and_not_when_it_is_asked_for(partner, asker, second, amira):
    asked = ask(partner, asker)
    relay()
    assert not Delivery.objects.exists()
    overrides.confirm(asked.pk, by=second)
    relay()
    overrides.end(asked.pk, by=second, reason="Over.", ended_on=date(2018, 4, 1))
    relay()

    told = Delivery.objects.order_by("pk").values_list("template", "recipient")
    assert list(told) == [("override_given", amira.user.email), ("override_ended", amira.user.email)]
    assert Notification.objects.filter(membership__user=amira.user).count() == 2


def test_declining_and_withdrawing_tell_nobody(partner, asker, second, amira):
    overrides.decline(ask(partner, asker).pk, by=second)
    overrides.withdraw(ask(partner, asker).pk, by=asker)
    relay()
    assert not Delivery.objects.exists()


# --- At the same moment ---------------------------------------------------------------------------------------------


def _race(partner: Partner, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the outcomes of two who ask at once. Both look for an open one before either writes, if they can."""
    monkeypatch.setattr(overrides, "_require_none_open", together(overrides._require_none_open))
    one, other = make_staff(), make_staff()
    return at_once(lambda: ask(partner, one), lambda: ask(partner, other))


@pytest.mark.django_db(transaction=True)
def test_of_two_who_ask_at_once_one_is_refused(partner, monkeypatch):
    assert _race(partner, monkeypatch) == ["done", "override_asked"]
    assert Override.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_only_the_constraint_stops_the_second(partner, monkeypatch):
    monkeypatch.setattr(overrides, "_lock", lambda company: None)
    with pytest.raises(IntegrityError, match="one_open_override_of_a_programme"):
        _race(partner, monkeypatch)
    assert Override.objects.count() == 1


@pytest.mark.parametrize("verb", ["decline", "withdraw"])
@pytest.mark.django_db(transaction=True)
def test_of_a_confirmation_and_another_verb_at_once_one_counts(partner, asker, verb):
    asked, one, other = ask(partner, asker), make_staff(), make_staff()
    rival = {"decline": (overrides.decline, other), "withdraw": (overrides.withdraw, asker)}
    call, by = rival[verb]
    outcomes = at_once(lambda: overrides.confirm(asked.pk, by=one), lambda: call(asked.pk, by=by))
    status = Override.objects.get().status
    assert outcomes == ["done", f"override_{status}"]
    assert len(verbs(partner)) == 2
