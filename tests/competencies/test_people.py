"""People and their credentials: who counts for what, who expires, and who counts for another company."""

from __future__ import annotations

import html
from datetime import date, timedelta
from functools import partial

import pytest
from django.urls import reverse
from django.utils.html import strip_tags

from competencies.queries import attained_in
from por.directory.models import Credential, Partner
from tests.api import Api
from tests.factories import make_member, make_partner, make_staff
from tests.pages import queries, signed_in

PAGE = reverse("competencies:partner_people")
API = "/api/v1/competencies/people/"
DAY = date(2018, 6, 15)
ASKED = {"as_of": DAY.isoformat()}


def make(partner: Partner, person: str, name: str = "exam:70-347", since: str = "2017-03-01", until: str = "") -> None:
    Credential.objects.create(
        person=person,
        partner=partner,
        credential=name,
        valid_from=date.fromisoformat(since),
        valid_to=date.fromisoformat(until) if until else None,
    )


@pytest.mark.django_db
def test_people_who_count_on_the_page_are_those_of_the_metric() -> None:
    partner, rival = make_partner(), make_partner()
    make(partner, "P-1")
    make(partner, "P-2", until="2018-06-14")
    make(partner, "P-3", name="exam:70-999")
    make(partner, "P-4", since="2017-05-01")
    make(rival, "P-4", since="2017-04-01")
    make(rival, "P-5")
    actor = make_member(partner.organisation)

    found = Api(actor).get(API, ASKED).json()["results"]
    counting = {
        one["person"]
        for one in found
        if {"program": "competency.smcs", "metric": "people_with_exam"} in one["counts_for"]
    }
    assert counting == {"P-1"}
    result = attained_in(partner.organisation, "competency.smcs", DAY)
    assert next(one.value.low for one in result.metrics if one.metric == "people_with_exam") == len(counting)
    assert {one["person"]: one["counts_elsewhere"] for one in found} == {
        "P-1": False, "P-2": False, "P-3": False, "P-4": True,
    }  # fmt: skip
    assert [one["is_valid"] for one in found] == [True, False, True, True]


@pytest.mark.django_db
def test_page_warns_of_a_person_who_counts_elsewhere_and_names_no_company() -> None:
    partner, rival = make_partner(), make_partner("Sydkraft Data")
    make(partner, "P-4", since="2017-05-01")
    make(rival, "P-4", since="2017-04-01")
    text = signed_in(make_member(partner.organisation)).get(PAGE, ASKED).content.decode()
    assert "Counts for another company, which had a valid credential of this person first." in text
    assert "ask platform staff to correct credentials.csv" in text
    assert "Sydkraft" not in text
    assert rival.mpn_id not in text
    (found,) = Api(make_member(partner.organisation)).get(API, ASKED).json()["results"]
    assert (found["counts_elsewhere"], found["counts_at"]) == (True, None)
    assert "Sydkraft" not in found["why_not"]


@pytest.mark.django_db
def test_staff_read_for_which_company_a_person_counts() -> None:
    group = make_partner("Sydkraft Group", kind="global")
    partner, rival = make_partner(), make_partner("Sydkraft Data", parent=group.organisation)
    make(partner, "P-4", since="2017-05-01")
    make(rival, "P-4", since="2017-04-01")
    staff = make_staff("auditor")
    page = reverse("competencies:staff_people", args=[partner.mpn_id])
    text = signed_in(staff).get(page, ASKED).content.decode()
    assert (
        f"Counts for Sydkraft Group (MPN ID {group.mpn_id}), which had a valid credential of this person first." in text
    )
    (found,) = Api(staff).get(API, ASKED | {"mpn_id": partner.mpn_id}).json()["results"]
    assert (found["counts_elsewhere"], found["counts_at"]) == (True, group.mpn_id)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("credential", "day", "said"),
    [
        ("exam:70-347", "2018-06-15", ""),
        (
            "exam:70-346",
            "2018-06-15",
            "Counts for Cloud Productivity (Certified people) only together with exam:70-347.",
        ),
        ("exam:70-999", "2018-06-15", "No programme of this day names this credential."),
        (
            "exam:70-347",
            "2024-06-15",
            "No programme of this day names the credentials that count, so nobody is counted.",
        ),
        ("exam:70-347", "2017-02-28", "Not valid on this day."),
    ],
)
def test_credential_that_counts_for_nothing_says_why(credential: str, day: str, said: str) -> None:
    partner = make_partner()
    make(partner, "P-1", name=credential)
    actor = make_member(partner.organisation)
    (found,) = Api(actor).get(API, {"as_of": day}).json()["results"]
    assert found["why_not"] == said
    text = signed_in(actor).get(PAGE, {"as_of": day}).content.decode()
    assert (said in text) if said else "Small and Midmarket Cloud Solutions: People with the exam" in text


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("day", "language", "said"),
    [
        (
            "2018-06-15",
            "en",
            [
                "Small and Midmarket Cloud Solutions People with the exam Gold: at least 2 people exam:70-347",
                "Silver: at least 1 person Gold: at least 2 people One of these is enough: exam:70-346 and "
                "exam:70-347 cert:MCSA-O365",
                "Others whose names are not published. They are not counted.",
                "Silver: at least 2 people Gold: at least 4 people The names of what counts are not published. Nobody "
                "is",
            ],
        ),
        (
            "2024-06-15",
            "en",
            [
                "Solutions Partner for Modern Work Intermediate skilling 10 points: Enterprise: at least 4 people 10 "
                "points: Small and medium-sized business: at least 2 people The names of what counts are not "
                "published. Nobody is",
                "Up to 40 points, People with the first required step: at least 2 people",
                "only Microsoft can say which credentials count",
            ],
        ),
        (
            "2024-06-15",
            "sv",
            ["10 poäng: Storföretag: minst 4 personer", "Namnen på det som räknas är inte publicerade. Ingen räknas."],
        ),
        ("2014-08-31", "en", ["No programme asks for people on that day."]),
    ],
)
def test_page_says_which_programmes_ask_for_how_many_people(day: str, language: str, said: list[str]) -> None:
    client = signed_in(make_member(make_partner().organisation), language=language)
    page = client.get(PAGE, {"as_of": day}).content.decode()
    text = " ".join(html.unescape(strip_tags(page.replace("</p>", " "))).split())
    assert [one for one in said if one not in text] == []


@pytest.mark.django_db
def test_credential_expires_soon_from_ninety_days_before_its_last_day() -> None:
    partner = make_partner()
    for number, until in enumerate((DAY - timedelta(1), DAY, DAY + timedelta(90), DAY + timedelta(91))):
        make(partner, f"P-{number}", until=until.isoformat())
    api = Api(make_member(partner.organisation))
    found = api.get(API, ASKED).json()["results"]
    assert [one["expires_soon"] for one in found] == [False, True, True, False]
    by_state = {
        state: [one["person"] for one in api.get(API, ASKED | {"state": state}).json()["results"]]
        for state in ("valid", "expiring", "not_valid")
    }
    assert by_state == {"valid": ["P-1", "P-2", "P-3"], "expiring": ["P-1", "P-2"], "not_valid": ["P-0"]}


@pytest.mark.django_db
def test_company_reads_all_its_locations_and_nobody_else_does() -> None:
    group = make_partner("Nordvik Group", kind="global")
    one, other = make_partner(parent=group.organisation), make_partner(parent=group.organisation)
    make(one, "P-1")
    make(other, "P-2")
    people = {
        number: [row["person"] for row in Api(make_member(partner.organisation)).get(API, ASKED).json()["results"]]
        for number, partner in enumerate((group, one, other, make_partner()))
    }
    assert people == {0: ["P-1", "P-2"], 1: ["P-1", "P-2"], 2: ["P-1", "P-2"], 3: []}
    rival = Api(make_member(make_partner().organisation))
    assert rival.get(API, ASKED | {"mpn_id": one.mpn_id}).status_code == 404
    staff = make_staff("auditor")
    assert len(Api(staff).get(API, ASKED | {"mpn_id": one.mpn_id}).json()["results"]) == 2
    page = reverse("competencies:staff_people", args=[one.mpn_id])
    assert "P-2" in signed_in(staff).get(page, ASKED).content.decode()


@pytest.mark.django_db
def test_list_has_pages_of_fifty_a_search_and_a_file() -> None:
    partner = make_partner()
    for number in range(51):
        make(partner, f"P-{number:03}")
    actor = make_member(partner.organisation)
    client, api = signed_in(actor), Api(actor)
    text = client.get(PAGE, ASKED).content.decode()
    assert "P-049" in text
    assert "P-050" not in text
    assert "P-050" in client.get(PAGE, ASKED | {"search": "p-05"}).content.decode()
    first = api.get(API, ASKED).json()
    assert (len(first["results"]), bool(first["next"])) == (50, True)
    for answer in (client.get(PAGE, ASKED | {"format": "csv"}), api.get(API, ASKED | {"format": "csv"})):
        assert len(b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()) == 52


@pytest.mark.django_db
def test_file_of_the_api_says_what_each_person_counts_for() -> None:
    partner = make_partner()
    make(partner, "P-1")
    make(partner, "P-2", name="exam:70-999")
    answer = Api(make_member(partner.organisation)).get(API, ASKED | {"format": "csv"})
    header, *lines = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()
    assert header.endswith("counts_for,counts_elsewhere,counts_at,why_not")
    assert lines[0].endswith(",1,0,competency.smcs people_with_exam,0,,")
    assert lines[1].endswith(",1,0,,0,,No programme of this day names this credential.")


@pytest.mark.django_db
def test_number_of_queries_does_not_grow_with_people() -> None:
    partner = make_partner()
    actor = make_member(partner.organisation)
    counts = []
    for round_ in range(2):
        for number in range(3):
            make(partner, f"P-{round_}{number}")
        counts.append(queries(partial(signed_in(actor).get, PAGE, ASKED)))
    assert counts[0] == counts[1]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"as_of": "2099-01-01"}, "as_of"),
        ({"state": "x"}, "state"),
        ({"search": "a"}, "search"),
        ({"sort": "x"}, "sort"),
    ],
)
def test_bad_filter_is_refused_with_its_field(query: dict[str, str], field: str) -> None:
    actor = make_member(make_partner().organisation)
    answer = Api(actor).get(API, query)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    if field != "sort":
        assert signed_in(actor).get(PAGE, query).status_code == 422
