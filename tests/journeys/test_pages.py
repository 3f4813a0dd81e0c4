"""Every page in two ways: in English on a desktop in light mode, and in Swedish on a phone in dark mode."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.test_attach import ADMINISTRATOR, NILS, NORA, SWEDE, detail

pytestmark = pytest.mark.journey

SHARED = [
    "/me",
    "/me/tokens/",
    "/me/sessions/",
    "/me/password/",
    "/me/mail/",
    "/api/docs/",
    "/what-counts/?as_of=2015-11-15",
    "/how-claims-work/",
    "/how-claims-work/?as_of=2020-07-15",
    "/how-competencies-work/",
    "/programmes/pcs.modern_work/",
    "/programmes/competency.smcs/?as_of=2016-01-01&against=2020-01-01",
]
CUSTOMERS = [
    *("/c/", "/c/subscriptions/", "/c/subscriptions/?search=nothing+of+the+kind", "/c/usage/", "/c/history/"),
    *("/c/partners/", "/c/gaps/", "/c/invitations/"),
]
PARTNERS = [
    *(
        "/p/",
        "/p/customers/",
        "/p/locations/",
        "/p/subscriptions/",
        "/p/gaps/",
        "/p/usage/",
        "/p/transition/?as_of=2015-11-15",
    ),
    *("/p/history/", "/p/invitations/", "/p/competencies/people/?as_of=2018-06-30"),
]
ADMINISTRATORS = ["/p/invitations/new/", "/p/invitations/many/", "/p/activate/"]
STAFFS = [
    *("/a/", "/a/deliveries/", "/a/outbox/", "/a/people/", "/a/people/add/", "/a/partners/", "/a/partners/4471902/"),
    *("/a/history/", "/a/history/1/", "/a/mail/", "/a/loads/", "/a/blocked/"),
]
#: Competencies, as a partner and as staff see them.
COMPETENCIES = [
    "/p/competencies/",
    "/p/competencies/pcs.modern_work/",
    "/p/competencies/competency.cloud_platform/?as_of=2018-06-30",
    "/p/competencies/what-if/?people=2:exam:70-346%2Bexam:70-347&as_of=2018-06-30",
    "/p/help/retroactive/",
    "/programmes/",
]
STAFFS_COMPETENCIES = [
    "/a/partners/4471902/competencies/",
    "/a/partners/4471902/competencies/people/?as_of=2018-06-30",
    "/a/partners/4471902/competencies/competency.smcs/?as_of=2018-06-30",
    *("/a/recomputations/", "/a/overrides/"),
]
#: The other pages: they are looked at less often, because each look takes a second.
MORE = {
    "customer@demo.example": [
        *("/c/change-requests/", "/c/subscriptions/attach/", "/c/bulk/", "/c/claims/", "/c/conflicts/", "/inbox/"),
        "/me/organisation/",
    ],
    "partner@demo.example": [
        *("/p/change-requests/", "/p/move/", "/p/claims/", "/p/claims/new/", "/p/claims/proofs/", "/p/conflicts/"),
    ],
    "admin@demo.example": [
        *("/a/loads/mappings/", "/a/find/", "/a/customers/", "/a/subscriptions/", "/a/gaps/", "/a/change-requests/"),
        *("/a/claims/", "/a/interests/", "/a/conflicts/", "/logout"),
    ],
    "support@demo.example": ["/a/claims/end/"],
    "": ["/login", "/password/reset/", "/password/reset/sent/", "/password/reset/done/", "/suspended"],
}
#: Where a person of two organisations chooses one.
HOMES = ["/"]
#: Addresses that answer without a page.
NO_PAGES = {"/livez", "/readyz", "/metrics"}
TABLE = Path(__file__).parent.parent / "permissions.csv"


def test_every_page_without_parameters_is_looked_at() -> None:
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if "GET" in row["methods"].split()]
    pages = {row["url"] for row in rows if "<" not in row["url"] and "200" in row.values()}
    pages = {page for page in pages if not page.startswith("/api/v1/")}
    lists = [SHARED, CUSTOMERS, PARTNERS, ADMINISTRATORS, STAFFS, COMPETENCIES, STAFFS_COMPETENCIES, HOMES]
    lists += MORE.values()
    looked_at = {path.partition("?")[0] for paths in lists for path in paths}
    assert len(pages) > 60
    assert pages - looked_at - NO_PAGES == set()


def speak(stack: Any, address: str, language: str) -> None:
    with stack.database() as cursor:
        cursor.execute("UPDATE accounts_user SET language = %s WHERE email = %s", [language, address])


def look_at(one, paths: list[str]) -> None:
    titles = {}
    for path in paths:
        page = one.open(path)
        one.look()
        titles[path.partition("?")[0]] = page.title()
    assert len(set(titles.values())) == len(titles), titles


@pytest.mark.parametrize(
    "phone", [False, pytest.param(True, marks=pytest.mark.crawl)], ids=["desk, light, English", "phone, dark, Swedish"]
)
def test_a_customers_pages(stack, visitor, phone):
    one = visitor(SWEDE if phone else ADMINISTRATOR, phone=phone, dark=phone)
    subscription = stack.free[0]

    look_at(
        one,
        [
            *CUSTOMERS,
            detail(subscription),
            detail(subscription) + "history/",
            detail(subscription) + "usage/",
            *SHARED,
        ],
    )

    assert one.page.locator("html").get_attribute("lang") == ("sv" if phone else "en")


@pytest.mark.parametrize(
    "phone",
    [False, pytest.param(True, marks=pytest.mark.crawl)],
    ids=["desk, light, English", "phone, dark, Swedish"],
)
def test_a_partners_pages(stack, visitor, phone):
    # On the phone it is a viewer, who may neither invite nor activate.
    look_at(
        visitor(NORA if phone else NILS, phone=phone, dark=phone),
        [*PARTNERS, *([] if phone else ADMINISTRATORS), *SHARED[:1]],
    )


@pytest.mark.parametrize(
    ("address", "paths"),
    [
        ("customer@demo.example", ["/c/", "/c/subscriptions/", "/c/history/", "/c/partners/"]),
        ("partner@demo.example", [*PARTNERS, *COMPETENCIES]),
        ("admin@demo.example", [*STAFFS, *STAFFS_COMPETENCIES]),
        ("auditor@demo.example", ["/a/", "/a/deliveries/?view=failed", "/a/history/?search=nothing+of+the+kind"]),
        ("both@demo.example", HOMES),
    ],
)
def test_the_pages_of_the_demonstration(stack, visitor, address, paths):
    look_at(visitor(address), paths)


@pytest.mark.crawl
def test_the_staffs_pages_on_a_phone_in_dark_mode_in_swedish(visitor):
    boss = visitor("admin2@demo.example", phone=True, dark=True)
    boss.page.locator(".topacts .menu > summary").click()
    boss.page.locator(".pop button[value=sv]").click()
    look_at(boss, [*STAFFS, *STAFFS_COMPETENCIES])
    assert boss.page.locator("html").get_attribute("lang") == "sv"


@pytest.mark.crawl
@pytest.mark.parametrize("language", ["en", "sv"])
def test_competencies_on_a_phone_in_dark_mode(stack, visitor, language):
    speak(stack, "partner@demo.example", language)
    one = visitor("partner@demo.example", phone=True, dark=True)
    look_at(one, COMPETENCIES)
    assert one.page.locator("html").get_attribute("lang") == language
    speak(stack, "partner@demo.example", "en")


@pytest.mark.crawl
@pytest.mark.parametrize("phone", [False, True], ids=["desk, light", "phone, dark"])
@pytest.mark.parametrize("address", MORE)
def test_the_other_pages(stack, visitor, address, phone):
    look_at(visitor(address or None, phone=phone, dark=phone), MORE[address])


#: The width of a sheet of A4 between its margins.
SHEET = {"width": 688, "height": 1000}


@pytest.mark.parametrize(
    ("address", "paths"),
    [
        ("partner@demo.example", COMPETENCIES),
        pytest.param("partner@demo.example", [*PARTNERS, *SHARED], marks=pytest.mark.crawl),
        pytest.param("customer@demo.example", CUSTOMERS, marks=pytest.mark.crawl),
        pytest.param("admin@demo.example", [*STAFFS, *STAFFS_COMPETENCIES], marks=pytest.mark.crawl),
    ],
    ids=["competencies", "partner", "customer", "staff"],
)
def test_a_printed_page_fits_the_sheet_and_hides_nothing_but_what_can_be_pressed(visitor, address, paths):
    one = visitor(address)
    one.page.set_viewport_size(SHEET)
    one.page.emulate_media(media="print")
    faults = []
    for path in paths:
        page = one.open(path)
        if (over := page.evaluate("document.documentElement.scrollWidth - innerWidth")) > 0:
            faults.append((path, f"{over} pixels too wide"))
        if page.locator(".side").is_visible() or not page.locator("h1").is_visible():
            faults.append((path, "the navigation is printed, or the title is not"))
        faults += [(path, text) for text in page.evaluate(FOLDED)]
    assert faults == []


#: Returns what is folded away although it is printed: what is in a box to open and close that is no menu.
FOLDED = """
() => [...document.querySelectorAll("main details.more > :not(summary)")]
    .filter((one) => !one.checkVisibility({contentVisibilityAuto: true}))
    .map((one) => one.textContent.trim().slice(0, 40))
"""


def test_the_sign_in_page_and_the_page_not_found(stack, visitor):
    nobody = visitor()
    look_at(nobody, ["/login"])
    nobody.open("/no/such/page")
    nobody.look()
