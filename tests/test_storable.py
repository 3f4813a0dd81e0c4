"""What cannot be stored is 404 in an address and 422 anywhere else, of pages and of the API, and never a 500."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import cycle
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.urls import URLResolver, get_resolver

from por.imports.formats import Formats
from por.imports.reading import Cells, Unfit
from tests.api import Api
from tests.factories import make_member, make_staff
from tests.pages import signed_in

PROBLEM = "application/problem+json"
HUGE = [2**63, 10**400]


def routes(patterns: Any = None, prefix: str = "/") -> Iterator[str]:
    """Yield the addresses of the product, as `/jobs/<int:job_id>/`."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        elif "(" not in route:
            yield route


WITH_A_NUMBER = sorted(route for route in routes() if "<int:" in route)
WITH_TEXT = sorted(route for route in routes() if "<str:" in route)
KNOWN = {"guid": "7d7c2a2e-63a5-4d0c-9a0b-0f9f2f3f8e11", "uuid": "7d7c2a2e-63a5-4d0c-9a0b-0f9f2f3f8e11"}


@pytest.fixture
def clients(admin, amira) -> list[Client]:
    people = [admin, amira, make_staff("programme_administrator"), make_staff("auditor")]
    return [signed_in(one) for one in people]


def address(route: str, value: Any) -> str:
    return re.sub(r"<(\w+):\w+>", lambda found: KNOWN.get(found[1], quote(str(value))), route)


def check_not_there(clients: list[Client], path: str, *, anyone: bool = False) -> None:
    for client in clients:
        for method in ("GET", "POST"):
            answer = client.generic(method, path, content_type="application/json")
            # A person without the right to the page is refused before anything is looked up.
            assert answer.status_code in ({404} if anyone else {403, 404, 405, 302}), (method, path)
            if path.startswith("/api/"):
                assert answer["Content-Type"] == PROBLEM


@pytest.mark.parametrize("route", WITH_A_NUMBER)
def test_a_number_that_no_row_can_have_is_not_there(clients, route):
    check_not_there(clients[:1], address(route, 2**63 - 1))
    for number in HUGE:
        check_not_there(clients, address(route, number), anyone=True)


@pytest.mark.parametrize("route", [*WITH_TEXT, "/<str:x>", "/static/<str:x>", "/api/<str:x>", "/c/<str:x>/"])
@pytest.mark.parametrize("text", ["\0", "a\0b", "x" * 3000 + "\0"])
def test_a_nul_in_an_address_is_not_there(clients, route, text):
    check_not_there([*clients, Client()], address(route, text), anyone=True)


COOKIES = [settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME, settings.LANGUAGE_COOKIE_NAME, "theme", "messages"]


@pytest.mark.parametrize("name", COOKIES)
@pytest.mark.parametrize("value", [r'"\000"', r'"a\000b"'])
def test_a_nul_in_a_cookie_is_refused(name, value):
    client = Client(HTTP_COOKIE=f"{name}={value}", enforce_csrf_checks=True)

    for path in ("/c/", "/login", "/"):
        for answer in (client.get(path), client.post(path)):
            assert answer.status_code == 422
            assert answer["Content-Type"].startswith("text/html")
    answer = client.get("/api/v1/me/")
    assert (answer.status_code, answer["Content-Type"]) == (422, PROBLEM)
    assert answer.json()["code"] == "not_storable"


@pytest.mark.parametrize("name", COOKIES)
@pytest.mark.parametrize("value", ['"\\303\\050"', '"\\ud800"', "\xff\xfe", "%00", "x" * 4000, "9" * 100, '"', "å"])
def test_any_other_cookie_is_answered(name, value):
    client = Client(HTTP_COOKIE=f"{name}={value}", enforce_csrf_checks=True)

    for path in ("/c/", "/login", "/api/v1/me/"):
        assert client.get(path).status_code in {200, 302, 401}
        assert client.post(path).status_code in {302, 401, 403, 405}


HEADERS = ["Authorization", "Accept-Language", "Accept", "If-Match", "If-Modified-Since", "Range", "HX-Request",
           "HX-Current-URL", "HX-Target", "Referer", "Origin", "X-Forwarded-For", "X-CSRFToken", "X-Request-ID",
           "Idempotency-Key", "User-Agent", "X-HTTP-Method-Override", "Content-Type"]  # fmt: skip
ODD = [
    "a\0b",
    "\xff\xfe",
    "\ud800",
    "9" * 5000,
    "http://[",
    "bytes=9-1,-",
    "Fri, 31 Dec 9999 99:99:99 GMT",
    ";q=x,",
    "",
]


@pytest.mark.parametrize("name", HEADERS)
def test_an_odd_header_is_answered(web, admin, subscription, name):
    api = Api(admin)
    record = f"/api/v1/subscriptions/{subscription.subscription_id}/partner-of-record/"
    pages = cycle(["/login", "/c/subscriptions/", "/static/ui/style.css"])
    for value in ODD:
        assert web.get(next(pages), headers={name: value}).status_code < 500
        assert web.post(next(pages), headers={name: value}).status_code < 500
        answer = api.client.put(record, b"{}", headers=api.headers | {"If-Match": "*", name: value})
        assert 400 <= answer.status_code < 500
        assert answer["Content-Type"] == PROBLEM


# fmt: off
LISTS = [
    "/c/", "/c/subscriptions/", "/c/history/", "/c/usage/", "/c/gaps/", "/c/change-requests/", "/c/invitations/",
    "/p/subscriptions/", "/p/customers/", "/p/history/", "/p/usage/", "/p/invitations/", "/p/invitations/new/",
    "/a/people/", "/a/partners/", "/a/history/", "/a/deliveries/", "/a/loads/", "/what-counts/", "/inbox/",
    "/p/competencies/", "/p/competencies/people/", "/p/competencies/what-if/", "/p/competencies/pcs.modern_work/",
    "/p/help/retroactive/", "/how-competencies-work/", "/programmes/", "/programmes/competency.smcs/",
    "/a/recomputations/", "/a/overrides/",
]
PARAMETERS = [
    "search", "status", "product", "cursor", "as_of", "renews_before", "tenant_id", "partner_of_record", "view",
    "mpn_id", "months", "event", "kind", "role", "country", "page", "verb", "since", "until", "about",
    "subscription", "format", "sort", "next", "page_size", "in_force_on",
    "known_at", "against", "attach", "detach", "people", "count", "credentials",
]
VALUES = ["%00", "a%00bc", "%FF%FE", "9" * 28, "-1", "0001-01-01", "9999-12-31", "%ED%A0%80", "1e400", "NaN"]
# fmt: on
#: Each value under all names, and each name alone with one of the values.
QUERIES = ["&".join(f"{name}={value}" for name in PARAMETERS) for value in VALUES] + [
    f"{name}={VALUES[number % len(VALUES)]}" for number, name in enumerate(PARAMETERS)
]


@pytest.mark.parametrize(
    "path", [pytest.param(one, marks=[pytest.mark.crawl] if place % 4 else []) for place, one in enumerate(LISTS)]
)
def test_an_odd_parameter_is_answered(clients, path):
    client = clients[["c", "p", "a"].index(path[1]) if path[1] in "cpa" else 0]
    for query in QUERIES:
        assert client.get(f"{path}?{query}").status_code in {200, 302, 404, 422}, query


@pytest.mark.parametrize("path", ["subscriptions/", "associations/", "change-requests/", "notifications/"])
def test_an_odd_parameter_of_the_api_is_answered(admin, path):
    api = Api(admin)
    for query in QUERIES:
        assert api.get(f"{path}?{query}").status_code in {200, 422}, query


# --- The last net ---------------------------------------------------------------------------------------------------

NET = [
    ("SELECT %s", "\0"),
    ("SELECT %s", "\ud800"),
    ("SELECT %s::bigint", str(10**30)),
    ("SELECT %s::uuid", "x"),
    ("SELECT %s::date", "2026-02-30"),
    ("SELECT %s::date", "99999999-01-01"),
]


def ask_the_database(sql: str, *values: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("sql", "value"), NET, ids=str)
def test_what_the_database_refuses_as_a_value_is_422(admin, monkeypatch, sql, value):
    """A value that was checked nowhere. Each form and body checks its own, so this is made to happen."""
    monkeypatch.setattr("por.accounts.api._me", lambda actor: ask_the_database(sql, value))
    monkeypatch.setattr("associations.kinds.views.render", lambda *args, **kwargs: ask_the_database(sql, value))

    answer = Api(admin).get("me/")
    page = signed_in(admin).get("/what-counts/")

    assert (answer.status_code, answer.json()["code"]) == (422, "not_storable")
    assert page.status_code == 422
    assert "that we cannot save" in page.text


def test_days_beyond_the_calendar_are_422(admin, monkeypatch):
    monkeypatch.setattr("por.accounts.api._me", lambda actor: date.max + timedelta(days=1))

    assert Api(admin).get("me/").status_code == 422


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("sql", ["SELECT 1/0", "SELECT tstzrange(now(), now() - interval '1 day')", "SELECT nothing"])
def test_control_a_defect_of_ours_stays_a_500(admin, monkeypatch, sql):
    monkeypatch.setattr("por.accounts.api._me", lambda actor: ask_the_database(sql))
    api = Api(admin)
    api.client.raise_request_exception = False

    assert api.get("me/").status_code == 500


# --- Files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("column", ["subscription_id", "mpn_id"])
def test_a_nul_in_a_cell_is_refused_with_its_place(admin, row, column):
    rows = [{"subscription_id": KNOWN["guid"], "mpn_id": "4471902"} for _each in range(2)]
    rows[row][column] = "a\0b"
    text = "subscription_id,mpn_id\n" + "\n".join(",".join(one.values()) for one in rows)

    answer = Api(admin).post("bulk/partner-of-record/", text.encode(), Content_Type="text/csv")
    page = signed_in(admin).post("/c/bulk/", {"rows": text, "manner": "dry"})

    assert (answer.status_code, answer.json()["code"]) == (422, "not_storable")
    assert [one["field"] for one in answer.json()["errors"]] == [f"rows.{row}.{column}"]
    assert page.status_code == 422


def cells(**given: str) -> Cells:
    return Cells(2, given, Formats(lambda: (), lambda: ()))


@pytest.mark.parametrize("text", ["0001-01-01", "9999-01-01", "9999-12-31"])
def test_a_day_at_the_ends_of_the_calendar_means_none_in_an_estate(text):
    """In some time zone there is no day before, or none after."""
    assert cells(ended_on=text).day("ended_on") is None
    with pytest.raises(Unfit, match="missing_value"):
        cells(began_on=text).required_day("began_on")
    with pytest.raises(Unfit, match="malformed_month"):
        cells(month=text[:7]).month("month")


@pytest.mark.parametrize("text", ["0001-01-02", "0999-12-31", "2026-02-30"])
def test_an_estate_has_no_days_that_cannot_be_stored(text):
    with pytest.raises(Unfit, match="malformed_date"):
        cells(began_on=text).day("began_on")
    assert cells(began_on="9998-12-31").day("began_on") == date(9998, 12, 31)


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_a_start_at_the_end_of_the_calendar_is_refused(admin, subscription, partner, day):
    answer = Api(admin).put(
        f"subscriptions/{subscription.subscription_id}/partner-of-record/",
        {"mpn_id": partner.mpn_id, "began_on": day},
        If_Match="*",
    )

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "began_on")


def test_a_reader_at_the_edge_of_the_day_looks_back_to_the_first_day(customer, subscription):
    west = make_member(customer.organisation, time_zone="Pacific/Honolulu")

    for path in ("/c/", "/c/subscriptions/", f"/c/subscriptions/{subscription.subscription_id}/"):
        for day in ("0001-01-01", "0001-01-02"):
            assert signed_in(west).get(f"{path}?as_of={day}").status_code in {200, 422}
