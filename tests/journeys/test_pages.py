"""Every page in two ways: in English on a desktop in light mode, and in Swedish on a phone in dark mode."""

from __future__ import annotations

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
        ("partner@demo.example", PARTNERS),
        ("admin@demo.example", STAFFS),
        ("auditor@demo.example", ["/a/", "/a/deliveries/?view=failed", "/a/history/?search=nothing+of+the+kind"]),
        ("both@demo.example", ["/"]),
    ],
)
def test_the_pages_of_the_demonstration(stack, visitor, address, paths):
    look_at(visitor(address), paths)


@pytest.mark.crawl
def test_the_staffs_pages_on_a_phone_in_dark_mode_in_swedish(visitor):
    boss = visitor("admin2@demo.example", phone=True, dark=True)
    boss.page.locator(".topacts .menu > summary").click()
    boss.page.locator(".pop button[value=sv]").click()
    look_at(boss, STAFFS)
    assert boss.page.locator("html").get_attribute("lang") == "sv"


def test_the_sign_in_page_and_the_page_not_found(stack, visitor):
    nobody = visitor()
    look_at(nobody, ["/login"])
    nobody.open("/no/such/page")
    nobody.look()
