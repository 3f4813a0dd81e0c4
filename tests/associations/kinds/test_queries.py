"""The kinds of association: what each counts for on a day, and with which source."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from associations.kinds import queries as kinds
from associations.kinds.queries import QUESTIONS, what_counts
from associations.record.policies import POLICIES, policy_on
from associations.record.rules import AssociationKind
from por.accounts.models import Organisation
from por.directory import portals
from tests.factories import make_customer, make_member, make_partner, make_staff
from tests.pages import packed, queries, signed_in

PAGE = reverse("associations:what_counts")


def answer_on(kind: str, question: str, day: str) -> str:
    """Return the answer on the day; "" if the kind did not exist."""
    (row,) = [row for row in what_counts(date.fromisoformat(day)) if row.kind == kind]
    return row.answers[list(QUESTIONS).index(question)].says.value if row.answers else ""


@pytest.mark.parametrize(
    ("kind", "question", "by_day"),
    [
        ("dpor", "competency", {"2014-08-31": "", "2014-09-01": "yes", "2022-10-03": "designations_of_record"}),
        ("dpor", "incentive", {"2014-12-31": "unknown", "2015-03-02": "yes", "2019-03-01": "not_crm"}),
        ("dpor", "incentive", {"2019-09-30": "not_crm", "2019-10-01": "azure", "2021-10-01": "no"}),
        ("cpor", "set_by", {"2019-02-28": "", "2019-03-01": "claim", "2019-10-01": "claim"}),
        ("cpor", "of", {"2019-03-01": "subscription", "2019-09-30": "subscription", "2019-10-01": "workload"}),
        ("cpor", "competency", {"2019-09-30": "unknown", "2019-10-01": "contribution", "2020-07-01": "contribution"}),
        ("cpor", "competency", {"2022-10-02": "contribution", "2022-10-03": "designations_claimed"}),
        ("cpor", "incentive", {"2019-03-01": "crm", "2019-10-01": "yes", "2023-10-01": "not_recognition"}),
        ("delegated_admin", "competency", {"2016-05-23": "no", "2016-05-24": "not_cloud_platform", "2023-01-01": "no"}),
        (
            "delegated_admin",
            "competency",
            {"2017-06-30": "not_cloud_platform", "2017-07-01": "not_cloud_platform_or_crm"},
        ),
        ("transacting", "competency", {"2016-05-23": "no", "2016-05-24": "yes", "2023-01-01": "unknown"}),
        ("transacting", "competency", {"2017-06-30": "yes", "2017-07-01": "not_cloud_crm"}),
        ("transacting", "incentive", {"2015-01-01": "no", "2026-01-01": "no"}),
        ("csp", "competency", {"2016-05-23": "unknown", "2016-05-24": "yes", "2023-01-01": "designations_sold"}),
        ("osa_form", "set_by", {"2015-04-30": "form", "2015-05-01": "form_but_ea"}),
        ("osa_form", "incentive", {"2015-12-31": "yes", "2016-01-01": "no"}),
        ("pal", "how_many", {"2018-01-31": "", "2018-02-01": "several"}),
    ],
)
def test_each_answer_is_valid_from_its_day_on(kind, question, by_day):
    assert {day: answer_on(kind, question, day) for day in by_day} == by_day


def test_every_kind_has_an_answer_to_every_question_on_every_day_it_exists():
    for year in range(2010, 2031):
        rows = what_counts(date(year, 6, 30))
        assert [row.kind for row in rows] == list(AssociationKind)
        for row in rows:
            assert [answer.label for answer in row.answers] in ([], [one.label for one in QUESTIONS.values()])
            assert row.answers or row.begins > date(year, 6, 30)


def test_answers_agree_with_the_policies_and_the_effects():
    for day in (start + timedelta(days=off) for start in POLICIES.by_start for off in (-1, 0)):
        policy = policy_on(day)
        assert (answer_on("osa_form", "incentive", f"{day}") == "yes") == policy.legacy_form_earns
        assert (answer_on("osa_form", "set_by", f"{day}") == "form_but_ea") == policy.new_ea_deals_digital_only
    known = kinds.kinds()[AssociationKind.DPOR]
    assert portals.CLAIMS_SINCE in [answer.since for answer in known["incentive"]]
    assert portals.DESIGNATIONS_SINCE in [answer.since for answer in known["competency"]]


WRONG = {
    "no such kind": ("dpor:\n", "friend:\n", "kinds.yaml: friend is not known"),
    "no such question": ("  of:\n", "  if:\n", "kinds.yaml: dpor: if is not known"),
    "no such word": ("says: customer", "says: nobody", "kinds.yaml: dpor: set_by: entry 1: says: 'nobody' is none of"),
    "a boolean": ('says: "yes"', "says: yes", "kinds.yaml: dpor: competency: entry 1: says: True is none of"),
    "no such status": ("status: secondary", "status: rumour", "entry 1: status: 'rumour' is none of official"),
    "no day": ("since: 2014-09-01", "since: autumn", "entry 1: since: 'autumn' is no date"),
    "an earlier day": ("since: 2015-04-07", "since: 2013-04-07", "entry 2: since is no day after that of the entry"),
    "no source": (", source: ", ", from: ", "entry 1: from is not known"),
    "an empty source": ('source: "KB4491739, 2019"', 'source: ""', "dpor: incentive: entry 2: source: '' is no text"),
}


@pytest.mark.parametrize(("old", "new", "message"), WRONG.values(), ids=WRONG)
def test_wrong_file_is_refused_with_its_name_entry_and_key(tmp_path, monkeypatch, old, new, message):
    text = kinds.KINDS.read_text(encoding="utf-8")
    wrong = Path(tmp_path) / "kinds.yaml"
    wrong.write_text(text.replace(old, new, 1), encoding="utf-8")
    monkeypatch.setattr(kinds, "KINDS", wrong)
    with pytest.raises(ValueError, match=message):
        kinds.kinds.__wrapped__()


def browser_of(organisation: Organisation | None) -> Client:
    return signed_in(make_staff() if organisation is None else make_member(organisation, "viewer"))


def test_everyone_who_is_signed_in_finds_the_page_under_help():
    for organisation in (make_customer().organisation, make_partner().organisation, None):
        page = browser_of(organisation).get(PAGE)
        assert page.status_code == 200
        assert f'href="{PAGE}" aria-current="page"' in packed(page.text)
        assert "Partner Center, earnings-revenue 2023" in page.text
    assert Client().get(PAGE).status_code == 302


def test_customer_reads_a_summary_first_and_sources_stand_behind_a_disclosure(partner):
    def parts(organisation: Organisation | None) -> list[str]:
        return packed(browser_of(organisation).get(PAGE).text).split("<main")[1].split("<details")

    shown, *hidden = parts(make_customer().organisation)
    assert "You choose the partner of record yourself" in shown
    assert "Set by" in shown
    assert "Counts towards competencies" not in shown
    assert "Counts towards competencies" in hidden[-2]
    assert "Partner Center, earnings-revenue 2023" in hidden[-1]
    for reader in (partner.organisation, None):
        shown, *hidden = parts(reader)
        assert "Counts towards competencies" in shown
        assert "earnings-revenue 2023" not in shown
        assert "earnings-revenue 2023" in hidden[-1]


def test_page_of_a_day_before_a_kind_existed_shows_so_in_both_languages(partner):
    client = browser_of(partner.organisation)
    then = client.get(f"{PAGE}?as_of=2015-11-15").text
    assert then.count("Did not exist on that day. The first known date is") == 2
    assert "As of" in then
    assert "Did not exist on that day" not in client.get(PAGE).text
    assert client.get(f"{PAGE}?as_of=2999-01-01").status_code == 422
    client.post("/language", {"language": "sv"})
    assert "Fanns inte den dagen" in client.get(f"{PAGE}?as_of=2015-11-15").text
    assert queries(lambda: client.get(PAGE)) <= 4
