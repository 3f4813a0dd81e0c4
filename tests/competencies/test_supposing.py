"""What if: the supposed result is that which comes when it happens, nothing is stored, and nobody asks about others."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse

from associations.attaching.actions import attach as attaching
from associations.record.models import Association
from competencies import supposing
from competencies.measures.asking import Group
from competencies.queries import attained
from competencies.results import Result
from competencies.supposing import WhatIf
from por.accounts.models import Actor, Organisation
from por.directory.models import Credential, Partner, ReportedMonth, Subscription, Usage
from por.programs.calendars import months_later, newest_month
from tests import estates
from tests.api import Api
from tests.competencies.test_facts import load, subscription_id
from tests.competencies.test_recomputing import make_azure, today
from tests.factories import make_administrator, make_customer, make_member, make_partner, make_staff, make_subscription
from tests.pages import queries, signed_in

pytestmark = pytest.mark.usefixtures("last_day_of_month")

API = "/api/v1/competencies/what-if/"
PAGE = reverse("competencies:partner_what_if")


def row_counts() -> dict[str, int]:
    """Return how many rows each table has."""
    with connection.cursor() as cursor:
        names = connection.introspection.table_names(cursor)
        return {name: _count(cursor, name) for name in names}


def _count(cursor: Any, table: str) -> int:
    cursor.execute(f'SELECT count(*) FROM "{table}"')
    (count,) = cursor.fetchone()
    return int(count)


def supposed(asked: WhatIf, company: Organisation, day: date, actor: Actor) -> list[Result]:
    """Return the supposed results, after comparing today's with what has been reached."""
    found = asked.results(company, day, actor)
    assert [one.today for one in found] == attained(company, day)
    return [one.supposed for one in found]


def value(results: list[Result], program: str, metric: str) -> Any:
    result = next(one for one in results if one.program.id == program)
    return next(one.value.low for one in result.metrics if one.metric == metric)


# --- As if it happened ----------------------------------------------------------------------------------------------


def make_office() -> Subscription:
    """Return a subscription of Office 365 that began this year, with users in the newest month and a year before."""
    customer = make_customer()
    subscription = make_subscription(customer, started_on=months_later(today(), -13), seats=400)
    newest = newest_month(today())
    for month, users in ((newest, 300), (months_later(newest, -12), 100)):
        ReportedMonth.objects.get_or_create(file="usage", month=month)
        for workload in ("exo", "teams"):
            Usage.objects.create(
                subscription=subscription, month=month, workload=workload, paid_units=400, active_users=users
            )
    return subscription


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("make", [lambda: make_azure()[0], make_office], ids=["azure", "office"])
def test_attaching_and_removing_gives_what_was_supposed(make: Callable[[], Subscription]) -> None:
    partner = make_partner()
    actor, company = make_member(partner.organisation), partner.organisation
    held, wanted = make(), make()
    for one in (held, wanted):
        make_administrator(one.customer, partner)
    of_held, of_wanted = (make_member(one.customer.organisation) for one in (held, wanted))
    attaching.attach(held.subscription_id, partner.mpn_id, by=of_held)
    before = attained(company, today())

    got = supposed(WhatIf(attach=[wanted.subscription_id]), company, today(), actor)
    lost = supposed(WhatIf(detach=[held.subscription_id]), company, today(), actor)
    both = supposed(WhatIf([wanted.subscription_id], [held.subscription_id]), company, today(), actor)
    assert len({str(one) for one in (before, got, lost, both)}) >= 3

    attaching.attach(wanted.subscription_id, partner.mpn_id, by=of_wanted)
    assert attained(company, today()) == got
    attaching.remove(held.subscription_id, by=of_held)
    assert attained(company, today()) == both
    attaching.remove(wanted.subscription_id, by=of_wanted)
    assert attained(company, today()) == lost


@pytest.mark.django_db(transaction=True)
def test_attached_subscription_comes_from_whoever_is_of_record() -> None:
    subscription, admin = make_azure()
    partner, rival = make_partner(), make_partner()
    make_administrator(subscription.customer, partner)
    attaching.attach(subscription.subscription_id, rival.mpn_id, by=admin)

    asked = WhatIf(attach=[subscription.subscription_id])
    found = supposed(asked, partner.organisation, today(), make_member(partner.organisation))

    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin, switch=True)
    assert attained(partner.organisation, today()) == found


def of_file(tmp_path: Any) -> tuple[Organisation, Actor]:
    """Return the first partner of loaded files, with an actor of it: it has three of four subscriptions."""
    load(tmp_path, began="2016-06-15")
    estates.load_one(
        tmp_path,
        "associations",
        *(estates.association(subscription_id=subscription_id(one), began_on="2016-06-15") for one in range(4)),
    )
    partner = Partner.objects.get(mpn_id=estates.PARTNER)
    return partner.organisation, make_member(partner.organisation)


@pytest.mark.django_db
def test_one_more_in_the_past_has_the_whole_window_where_the_rules_say_so(tmp_path: Any) -> None:
    company, actor = of_file(tmp_path)
    Association.objects.filter(subscription__subscription_id=subscription_id(0)).update(ended_at="2016-06-20T00:00Z")
    day, asked = date(2016, 6, 30), WhatIf(attach=[uuid.UUID(subscription_id(0))])

    assert value(attained(company, day), "competency.smcs", "new_customers") == 3
    found = supposed(asked, company, day, actor)
    assert value(found, "competency.smcs", "new_customers") == 4
    row = estates.association(subscription_id=subscription_id(0), began_on="2016-06-30")
    assert not estates.load_one(tmp_path, "associations", row).errors
    assert attained(company, day) == found


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("day", "before", "after", "held_before"),
    [("2018-06-30", 0, 12000, 12000), ("2019-06-30", 0, 1000, 3000)],
    ids=["window", "from_attach"],
)
def test_months_of_consumption_are_those_that_an_attached_partner_would_have(
    tmp_path: Any, day: str, before: int, after: int, held_before: int
) -> None:
    """Until 2018 the whole window counts; from 2019 on the months from the association on."""
    on = date.fromisoformat(day)
    months = [f"{year}-{month:02}" for year in (2017, 2018, 2019) for month in range(1, 13)]
    rival = estates.association(estates.RIVAL, began_on="2016-12-01")
    estates.load(
        estates.write(
            tmp_path,
            partners=[estates.partner(), estates.partner(estates.RIVAL)],
            customers=[estates.customer()],
            subscriptions=[estates.subscription(product="azure", sku_string_id="", seats="", started_on="2016-12-01")],
            associations=[rival, estates.association(kind="csp", began_on="2017-01-01", ended_on="2017-02-01")],
            usage=[
                estates.usage(month, workload="azure", paid_units="", active_users="", consumed_usd="1000")
                for month in months
            ],
        )
    )
    company = Partner.objects.get(mpn_id=estates.PARTNER).organisation
    actor, asked = make_member(company), WhatIf(attach=[uuid.UUID(estates.SUBSCRIPTION)])
    figure = partial(value, program="competency.cloud_platform", metric="azure_consumption")

    found = supposed(asked, company, on, actor)
    assert (figure(attained(company, on)), figure(found)) == (before, after)
    rows = [rival | {"ended_on": day}, estates.association(began_on=day)]
    assert not estates.load_one(tmp_path, "associations", *rows).errors
    assert attained(company, on) == found

    lost = supposed(WhatIf(detach=asked.attach), company, date(2019, 9, 1), actor)
    estates.load_one(tmp_path, "associations", estates.association(began_on=day, ended_on="2019-09-01"))
    assert attained(company, date(2019, 9, 1)) == lost
    assert figure(lost) == held_before


@pytest.mark.django_db
def test_people_who_join_count_as_those_whose_credentials_are_loaded(tmp_path: Any) -> None:
    company, actor = of_file(tmp_path)
    day = date(2018, 6, 30)
    groups = [Group(2, ("exam:70-346", "EXAM:70-347")), Group(1, ("exam:70-533",)), Group(3, ("exam:70-347",))]
    found = supposed(WhatIf(people=groups), company, day, actor)
    assert value(found, "competency.cloud_platform", "qualified_people") == 1

    rows = [
        estates.credential(person=f"{number} {one}", credential=name, valid_from=day.isoformat())
        for number, group in enumerate(groups)
        for one in range(group.count)
        for name in group.credentials
    ]
    assert not estates.load_one(tmp_path, "credentials", *rows).errors
    assert attained(company, day) == found


@pytest.mark.django_db
def test_people_who_are_there_already_stay_beside_those_who_join(tmp_path: Any) -> None:
    company, actor = of_file(tmp_path)
    estates.load_one(tmp_path, "credentials", estates.credential(credential="exam:70-533", valid_from="2017-01-01"))
    found = supposed(WhatIf(people=[Group(1000, ("exam:70-533",))]), company, date(2018, 6, 30), actor)
    assert value(found, "competency.cloud_platform", "qualified_people") == 1001


@pytest.mark.django_db(transaction=True)
def test_association_of_a_location_is_lost_by_its_company_and_that_of_another_company_is_not() -> None:
    subscription, admin = make_azure()
    account = make_partner(kind="global")
    location, rival = make_partner(parent=account.organisation), make_partner()
    attaching.attach(subscription.subscription_id, location.mpn_id, by=admin)
    make_administrator(subscription.customer, rival)
    asked = WhatIf(detach=[subscription.subscription_id])

    found = supposed(asked, account.organisation, today(), make_member(location.organisation))
    assert value(found, "pcs.azure.data_ai", "net_customer_adds") == 0
    same = supposed(asked, rival.organisation, today(), make_member(rival.organisation))
    assert same == attained(rival.organisation, today())
    attaching.remove(subscription.subscription_id, by=admin)
    assert attained(account.organisation, today()) == found


# --- Nothing is stored ----------------------------------------------------------------------------------------------


@pytest.fixture
def office(db: None) -> tuple[Subscription, Actor, Actor]:
    """Return a subscription, the partner who sees it, and another partner."""
    subscription, partner = make_subscription(make_customer()), make_partner()
    make_administrator(subscription.customer, partner)
    return subscription, make_member(partner.organisation), make_member(make_partner().organisation)


def body(subscription: Subscription) -> dict[str, Any]:
    return {
        "attach": [{"subscription_id": str(subscription.subscription_id)}],
        "people": [{"credentials": ["exam:70-346", "exam:70-347"], "count": 2}],
    }


def test_asking_writes_no_row_anywhere(office: Any) -> None:
    subscription, actor, _other = office
    api, query = Api(actor), {"attach": subscription.subscription_id, "people": "2:exam:70-346+exam:70-347"}
    client = signed_in(actor)
    before = row_counts()

    assert api.post(API, body(subscription)).status_code == 200
    assert api.get(API, query).status_code == 200
    assert client.get(PAGE, query).status_code == 200
    assert row_counts() == before


def test_query_and_body_have_the_same_answer_and_so_have_viewer_and_read_only_token(office: Any) -> None:
    subscription, actor, _other = office
    viewer = make_member(actor.organisation, "viewer")
    asked = Api(actor).post(API, body(subscription)).json()
    query = {"attach": [str(subscription.subscription_id)] * 2, "people": ["2:exam:70-346 exam:70-347"]}
    assert Api(viewer).get(API, query).json() == asked
    assert Api(viewer, read_only=True).post(API, body(subscription)).json() == asked
    assert {"program", "today", "supposed"} == set(asked[0])


def test_plus_of_an_address_is_read_whether_it_is_escaped_or_not(office: Any) -> None:
    _subscription, actor, _other = office
    answers = [Api(actor).get(f"{API}?people=2:exam:70-346{sign}exam:70-347").json() for sign in ("+", "%2B", "%20")]
    assert answers[0] == answers[1] == answers[2]


def test_staff_names_the_company_and_may_ask_about_every_subscription(office: Any) -> None:
    subscription, actor, _other = office
    api, given = Api(make_staff("auditor")), body(subscription)
    assert api.post(API, given).json()["errors"][0]["field"] == "mpn_id"
    answer = api.post(f"{API}?mpn_id={actor.organisation.number}", given)
    assert answer.json() == Api(actor).post(API, given).json()


# --- What cannot be asked -------------------------------------------------------------------------------------------


def many(count: int) -> list[dict[str, str]]:
    return [{"subscription_id": str(uuid.UUID(int=number, version=4))} for number in range(count)]


SAME = str(uuid.uuid4())
PEOPLE = {"credentials": ["exam:70-346"], "count": 1}


@pytest.mark.parametrize(
    ("given", "field", "code"),
    [
        ({"attach": [{"subscription_id": "x"}]}, "attach.0.subscription_id", "invalid"),
        ({"detach": [{"subscription_id": 7}]}, "detach.0.subscription_id", "invalid"),
        ({"attach": many(201)}, "attach", "too_many_rows"),
        ({"attach": many(100), "detach": many(200)[100:], "people": [PEOPLE]}, "attach", "too_many_rows"),
        ({"people": [PEOPLE] * 201}, "people", "too_many_rows"),
        (
            {"attach": [{"subscription_id": SAME}], "detach": [{"subscription_id": SAME}]},
            "detach.0.subscription_id",
            "attached_and_detached",
        ),
        ({"people": [PEOPLE, PEOPLE | {"count": 0}]}, "people.1.count", "count_out_of_range"),
        ({"people": [PEOPLE | {"count": 1001}]}, "people.0.count", "count_out_of_range"),
        ({"people": [PEOPLE | {"count": "many"}]}, "people.0.count", "invalid"),
        ({"people": [PEOPLE | {"credentials": []}]}, "people.0.credentials", "credentials_out_of_range"),
        (
            {"people": [PEOPLE | {"credentials": ["exam:A"] * 21}]},
            "people.0.credentials",
            "credentials_out_of_range",
        ),
        (
            {"people": [PEOPLE | {"credentials": ["exam:A", "70-346"]}]},
            "people.0.credentials.1",
            "credential_malformed",
        ),
        ({"as_of": "2099-01-01"}, "as_of", "as_of_in_future"),
        ({"as_of": "0001-01-01", "attach": 1}, "attach", "not_a_list"),
        ({"attached": []}, "attached", "unknown_field"),
    ],
)
def test_bad_question_is_refused_at_its_place(office: Any, given: Any, field: str, code: str) -> None:
    _subscription, actor, _other = office
    answer = Api(actor).post(API, given)
    found = answer.json()
    assert (answer.status_code, found["code"]) == (422, code)
    assert [(one["field"], one["code"]) for one in found["errors"]] == [(field, code)]


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ({"attach": "x"}, "attach", "invalid"),
        ({"attach": SAME, "detach": SAME}, "detach", "attached_and_detached"),
        ({"detach": [one["subscription_id"] for one in many(201)]}, "detach", "too_many_rows"),
        ({"people": "exam:70-346"}, "people", "people_malformed"),
        ({"people": "1001:exam:70-346"}, "people", "count_out_of_range"),
        ({"people": "0:exam:70-346"}, "people", "count_out_of_range"),
        ({"people": "1:"}, "people", "credentials_out_of_range"),
        ({"people": "1:70-346"}, "people", "credential_malformed"),
        ({"as_of": "2099-01-01"}, "as_of", "as_of_in_future"),
        ({"as_of": ["2020-01-01", "2020-01-02"]}, "as_of", "parameter_twice"),
        ({"attached": SAME}, "attached", "unknown_parameter"),
        ({"mpn_id": "x"}, "mpn_id", "mpn_id_malformed"),
    ],
)
def test_bad_address_is_refused_and_its_page_says_why(office: Any, query: Any, field: str, code: str) -> None:
    _subscription, actor, _other = office
    answer = Api(actor).get(API, query)
    found = answer.json()
    assert (answer.status_code, found["code"]) == (422, code)
    assert [(one["field"], one["code"]) for one in found["errors"]] == [(field, code)]
    if code not in ("parameter_twice", "unknown_parameter", "mpn_id_malformed"):
        page = signed_in(actor).get(PAGE, query)
        assert page.status_code == 422
        assert found["detail"] in page.content.decode()


def test_as_many_as_allowed_are_looked_for(office: Any) -> None:
    _subscription, actor, _other = office
    assert Api(actor).post(API, {"attach": many(200)}).status_code == 404
    most = {"people": [{"credentials": ["exam:A"] * 20, "count": 1000}] * 200}
    assert Api(actor).post(API, most).status_code == 200


@pytest.mark.parametrize("field", ["attach", "detach"])
def test_subscription_of_others_answers_as_one_that_does_not_exist(
    office: Any, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription, _actor, other = office
    api, client = Api(other), signed_in(other)

    def answer(name: Any) -> tuple[int, dict[str, Any]]:
        posted = api.post(API, {field: [{"subscription_id": str(name)}]})
        got = api.get(API, {field: str(name)})
        assert posted.status_code == got.status_code
        assert posted.json() | {"request_id": ""} == got.json() | {"request_id": ""}
        return posted.status_code, posted.json() | {"request_id": ""}

    unknown = uuid.uuid4()
    assert answer(subscription.subscription_id) == answer(unknown)
    assert answer(unknown)[0] == 404
    pages = [client.get(PAGE, {field: one}) for one in (subscription.subscription_id, unknown)]
    assert [page.status_code for page in pages] == [404, 404]
    texts = [
        page.content.decode().replace(str(one), "")
        for page, one in zip(pages, (subscription.subscription_id, unknown), strict=True)
    ]
    assert "or you do not have access to it. Check the ID." in texts[0]
    assert texts[0].partition("<main")[2] == texts[1].partition("<main")[2]

    # Control: without the check, it is found.
    monkeypatch.setattr(supposing, "subscriptions_visible_to", lambda _actor: Subscription.objects.all())
    assert api.get(API, {field: str(subscription.subscription_id)}).status_code == 200


def test_every_subscription_of_a_customer_in_sight_can_be_asked_about(db: None) -> None:
    customer, partner = make_customer(), make_partner()
    mine, hidden = make_subscription(customer), make_subscription(customer)
    attaching.attach(mine.subscription_id, partner.mpn_id, by=make_member(customer.organisation))
    api = Api(make_member(partner.organisation))
    assert api.get(f"/api/v1/subscriptions/{hidden.subscription_id}/").status_code == 404
    assert api.get(API, {"attach": str(hidden.subscription_id)}).status_code == 200


# --- The page -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("language", ["en", "sv"])
def test_page_says_what_changes_and_keeps_the_question(language: str) -> None:
    subscription, _admin = make_azure()
    partner = make_partner()
    make_administrator(subscription.customer, partner)
    client = signed_in(make_member(partner.organisation), language=language)
    assert client.get(PAGE).status_code == 200

    text = client.get(
        PAGE,
        {
            "attach": f"{str(subscription.subscription_id)[:8]}\r\n",
            "count": ["2", ""],
            "credentials": ["exam:AZ-104", ""],
        },
    ).content.decode()
    says = {
        "en": "Net customer adds: 0 customers, then 1 customer",
        "sv": "Nettoökning av kunder: 0 kunder, sedan 1 kund",
    }
    assert says[language] in text
    assert 'value="exam:AZ-104"' in text
    assert f"{str(subscription.subscription_id)[:8]}\r\n</textarea>" in text
    assert f'href="{PAGE}"' in client.get(reverse("competencies:partner_competencies")).content.decode()


def test_address_of_the_api_is_shown_as_rows_of_the_page(office: Any) -> None:
    _subscription, actor, _other = office
    text = signed_in(actor).get(f"{PAGE}?people=2:exam:70-346%2Bexam:70-347").content.decode()
    assert 'value="exam:70-346+exam:70-347"' in text
    assert 'name="count"' in text


def test_number_of_queries_does_not_grow_with_the_question(office: Any) -> None:
    subscription, actor, _other = office
    others = [make_subscription(subscription.customer) for _one in range(5)]
    client = signed_in(actor)
    few, all_ = (
        queries(partial(client.get, PAGE, {"attach": [str(one.subscription_id) for one in some]}))
        for some in (others[:1], others)
    )
    assert few == all_


def test_credentials_stay_as_they_are(office: Any) -> None:
    _subscription, actor, _other = office
    assert Api(actor).get(API, {"people": "1:exam:70-346"}).status_code == 200
    assert not Credential.objects.exists()
