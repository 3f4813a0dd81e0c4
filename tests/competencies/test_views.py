"""The pages and the API of competencies: whose they are, of which day, and what a reader may see of the evidence."""

from __future__ import annotations

import html
from datetime import date
from functools import partial
from typing import Any

import pytest
from django.urls import reverse
from django.utils.html import strip_tags

from associations.attaching.actions import attach as attaching
from competencies import actions
from competencies.programs import programs
from competencies.required import CHOICE_VALUES
from por.accounts.models import Actor
from por.directory.models import Subscription
from por.history.actions.relaying import relay
from tests import estates
from tests.api import Api
from tests.competencies.test_facts import load
from tests.competencies.test_recomputing import AZURE, make_azure, today
from tests.factories import make_customer, make_member, make_partner, make_staff
from tests.pages import queries, signed_in

pytestmark = pytest.mark.usefixtures("last_day_of_month")

LIST = reverse("competencies:partner_competencies")
SMCS = reverse("competencies:partner_competency", args=["competency.smcs"])
API = "/api/v1/competencies/"


def member_of(mpn_id: str) -> Actor:
    from por.directory.models import Partner

    return make_member(Partner.objects.get(mpn_id=mpn_id).organisation)


@pytest.mark.django_db
def test_page_says_what_is_there_and_what_is_missing(tmp_path: Any) -> None:
    load(tmp_path)
    page = signed_in(member_of(estates.PARTNER)).get(SMCS, {"as_of": "2016-06-30"})
    text = page.content.decode()

    assert page.status_code == 200
    assert "Level: <b>Silver</b>" in text
    assert "4 of 25 customers. Missing: 21 customers." in text
    assert "40 of 250 seats. Missing: 210 seats." in text
    assert "This was also required, but the figure was never published." in text


@pytest.mark.django_db
def test_page_names_the_customers_that_make_a_figure(tmp_path: Any) -> None:
    load(tmp_path)
    text = signed_in(member_of(estates.PARTNER)).get(SMCS, {"as_of": "2016-06-30"}).content.decode()
    assert text.count("/p/customers/0a2f6f52") == 8, "four customers, for new customers and for seats"


@pytest.mark.django_db(transaction=True)
def test_location_reads_of_the_company_but_not_the_customers_of_another_location() -> None:
    subscription, admin = make_azure()
    company = make_partner("Nordvik Group", kind="global")
    mine, other = make_partner(parent=company.organisation), make_partner(parent=company.organisation)
    attaching.attach(subscription.subscription_id, other.mpn_id, by=admin)
    page = reverse("competencies:partner_competency", args=[AZURE])
    name = subscription.customer.organisation.name

    own = signed_in(make_member(other.organisation)).get(page).content.decode()
    rival = signed_in(make_member(mine.organisation)).get(page).content.decode()
    assert "1 customer" in own
    assert "1 customer" in rival
    assert f">{name}</a>" in own
    assert name not in rival
    assert "and 1 customer of other locations of the company" in rival


@pytest.mark.django_db
def test_partner_reads_no_other_company() -> None:
    partner, rival = make_partner(), make_partner()
    api = Api(make_member(partner.organisation))
    assert api.get(API, {"mpn_id": partner.mpn_id}).status_code == 200
    refused, absent = (api.get(API, {"mpn_id": one}) for one in (rival.mpn_id, "9999999999"))
    assert refused.status_code == absent.status_code == 404
    assert refused.json() | {"request_id": ""} == absent.json() | {"request_id": ""}


@pytest.mark.django_db
def test_customer_has_none_and_staff_must_name_a_partner() -> None:
    partner, staff = make_partner(), make_staff("auditor")
    customer = Api(make_member(make_customer().organisation))
    assert customer.get(API).json() == []
    assert customer.get(f"{API}{AZURE}/").status_code == 404
    assert Api(staff).get(API).json()["errors"][0]["field"] == "mpn_id"
    assert Api(staff).get(API, {"mpn_id": partner.mpn_id}).status_code == 200
    page = reverse("competencies:staff_competencies", args=[partner.mpn_id])
    assert signed_in(staff).get(page).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"as_of": "2099-01-01"}, "as_of_in_future"),
        ({"known_at": "2099-01-01"}, "known_at_in_future"),
        ({"known_at": "yesterday"}, "invalid"),
        ({"mpn_id": "ABC"}, "mpn_id_malformed"),
        ({"as_off": "2020-01-01"}, "unknown_parameter"),
    ],
)
def test_bad_query_is_refused_with_its_field(query: dict[str, str], code: str) -> None:
    answer = Api(make_member(make_partner().organisation)).get(API, query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == code
    assert answer.json()["errors"][0]["field"] == next(iter(query))


@pytest.mark.django_db
def test_programme_without_rules_on_the_day_is_absent_and_the_list_is_that_of_the_day() -> None:
    api = Api(make_member(make_partner().organisation))
    assert api.get(f"{API}competency.smcs/").status_code == 404
    assert api.get(f"{API}competency.smcs/", {"as_of": "2022-10-02"}).status_code == 200
    assert api.get(f"{API}competency.nothing/").status_code == 404
    assert api.get(f"{API}incentive.osu/", {"as_of": "2016-01-01"}).status_code == 404, "it is not computed"
    assert api.get(API, {"as_of": "2014-08-31"}).json() == []


@pytest.mark.django_db
def test_answer_has_value_thresholds_and_reasons(tmp_path: Any) -> None:
    load(tmp_path)
    found = Api(member_of(estates.PARTNER)).get(f"{API}competency.smcs/", {"as_of": "2016-06-30"}).json()

    assert (found["level"], found["next_level"], found["rule_version"]) == ("silver", "gold", "smcs-2015")
    metric = next(one for one in found["metrics"] if one["metric"] == "new_customers")
    assert metric["value"]["exact"] == 4
    assert [(one["level"], one["needed"]["exact"], one["met"]) for one in metric["thresholds"]] == [
        ("silver", 4, True),
        ("gold", 25, False),
    ]
    assert [(one["code"], one["level"]) for one in metric["why"]] == [("met", "silver"), ("short_by", "gold")]


@pytest.mark.django_db
def test_csv_has_a_row_for_each_metric(tmp_path: Any) -> None:
    load(tmp_path)
    answer = Api(member_of(estates.PARTNER)).get(API, {"as_of": "2016-06-30", "format": "csv"})
    lines = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()
    assert lines[0].startswith("program,title,level")
    assert any(line.startswith("competency.smcs,Small and Midmarket Cloud Solutions,silver,gold") for line in lines)


@pytest.mark.django_db(transaction=True)
def test_known_at_before_anything_was_stored_says_so_and_no_level() -> None:
    subscription, admin = make_azure()
    partner = make_partner()
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    relay()
    actions.run()
    api = Api(make_member(partner.organisation))

    before = api.get(f"{API}{AZURE}/", {"known_at": "2020-01-01"}).json()
    assert (before["level"], before["state"], [one["code"] for one in before["why"]]) == (None, None, ["nothing_known"])
    now = api.get(f"{API}{AZURE}/", {"known_at": today().isoformat()}).json()
    assert now == api.get(f"{API}{AZURE}/").json()


@pytest.mark.django_db(transaction=True)
def test_number_of_queries_does_not_grow_with_customers() -> None:
    partner = make_partner()
    person = make_member(partner.organisation)
    page = reverse("competencies:partner_competency", args=[AZURE])
    counts = []
    for _each in range(2):
        for _one in range(2):
            subscription, admin = make_azure()
            attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
        counts.append(queries(partial(signed_in(person).get, page)))
    assert counts[0] == counts[1]


@pytest.mark.django_db
@pytest.mark.parametrize("day", ["2014-09-01", "2016-05-24", "2019-10-01", "2022-10-03", ""])
@pytest.mark.parametrize("language", ["en", "sv"])
def test_rules_of_every_programme_can_be_read_on_every_day_by_everyone(day: str, language: str) -> None:
    client = signed_in(make_member(make_customer().organisation, "viewer"), language=language)
    query = {"as_of": day} if day else {}
    assert client.get(reverse("competencies:programme_list"), query).status_code == 200
    for name in programs():
        assert client.get(reverse("competencies:programme", args=[name]), query).status_code == 200, name


@pytest.mark.django_db
def test_rules_show_each_figure_with_status_and_source_and_what_changed() -> None:
    client = signed_in(make_member(make_customer().organisation))
    page = reverse("competencies:programme", args=["competency.cloud_platform"])
    text = client.get(page, {"as_of": date(2019, 1, 1).isoformat()}).content.decode()
    assert "Developed: at least USD\xa015,000" in text
    assert "Developing: at least USD\xa010,000" in text
    assert "microsoftpartnercommunity.com" in text
    assert "+ retroactive: from_attach" in text
    assert "What differs from 31 Dec 2018" in text
    assert (
        "Each month counts for the partner that was associated at its end, from the day the association began." in text
    )


def words_of(page: str) -> str:
    return " ".join(html.unescape(strip_tags(page)).split())


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("program", "day", "said"),
    [
        ("pcs.modern_work", "2024-06-30", "30 points Usage growth: Partner of record Enterprise: at least 4,000 users"),
        ("pcs.azure.data_ai", "2024-06-30", "Up to 30 points Net customer adds 10 points for each"),
        ("pcs.azure.data_ai", "2024-06-30", "Up to 40 points People with the first required step at least 2 people"),
        ("pcs.azure.data_ai", "2026-06-30", "The customers decide which track counts."),
        ("pcs.modern_work", "2024-06-30", "It is enough to qualify in one of the last 6 months."),
        ("pci.cba", "2020-09-01", "Customer Engagement, Developed: at least 10 customers"),
        ("pci.cba", "2020-09-01", "Developed: from 15 people on: 35% more"),
        ("competency.smcs", "2016-06-30", "Of these days, the sources name half a year."),
        ("pcs.business_applications", "2024-06-30", "Usage growth: Claimed partner of record, Cloud Solution Provider"),
    ],
)
def test_rules_say_what_gives_points_and_how(program: str, day: str, said: str) -> None:
    client = signed_in(make_member(make_customer().organisation))
    page = client.get(reverse("competencies:programme", args=[program]), {"as_of": day}).content.decode()
    assert said in words_of(page)


@pytest.mark.django_db
def test_rules_of_two_days_are_compared_in_words() -> None:
    client = signed_in(make_member(make_customer().organisation))
    page = reverse("competencies:programme", args=["competency.smcs"])

    def compared(day: str, **asked: str) -> str:
        return words_of(client.get(page, {"as_of": day} | asked).content.decode())

    assert "Gold: New customers at least 30 customers at least 25 customers" in compared(
        "2016-01-01", against="2015-01-01"
    )
    assert "Nothing differs: the same rules applied on both days." in compared("2016-01-01", against="2015-12-01")
    assert "There were no rules for this on that day." in compared("2016-01-01", against="2010-01-01")
    assert "This is the first version." in compared("2015-01-01")
    answer = client.get(page, {"as_of": "2016-01-01", "against": "yesterday"})
    assert answer.status_code == 422
    assert "Enter a date as year-month-day" in answer.content.decode()


@pytest.mark.django_db
def test_list_says_when_programmes_without_rules_had_some() -> None:
    client = signed_in(make_member(make_customer().organisation))
    text = words_of(client.get(reverse("competencies:programme_list")).content.decode())
    assert "Small and Midmarket Cloud Solutions competency.smcs None 1 Sep 2014 to 2 Oct 2022" in text


@pytest.mark.django_db
def test_every_value_of_a_choice_has_a_name() -> None:
    values = {value for one in programs().values() for choice in one.choices.values() for value in choice.of}
    assert values <= CHOICE_VALUES.keys()


@pytest.mark.django_db
def test_unknown_programme_is_absent() -> None:
    client = signed_in(make_member(make_customer().organisation))
    assert client.get(reverse("competencies:programme", args=["competency.nothing"])).status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize("day", ["2018-06-30", "2024-06-30", "2025-12-31", "2026-06-15"])
def test_pages_take_as_many_statements_whatever_the_number_of_customers_and_companies(tmp_path: Any, day: str) -> None:
    """Days, tracks and programmes that ask the same of other months or sizes are answered by one statement."""
    load(tmp_path, customers=2)
    member = member_of(estates.PARTNER)
    web, what_if = signed_in(member), reverse("competencies:partner_what_if")

    def asked() -> tuple[int, int]:
        held = Subscription.objects.order_by("pk")[0].subscription_id
        return (
            queries(lambda: web.get(LIST, {"as_of": day})),
            queries(lambda: web.get(what_if, {"as_of": day, "detach": str(held)})),
        )

    few = asked()
    load(tmp_path, customers=30)
    for _ in range(5):
        make_partner()

    assert asked() == few
    assert few[0] <= 40
    assert few[1] <= 80
