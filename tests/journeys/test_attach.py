"""A customer attaches a partner, undoes it, and removes it; the partner is notified."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.journey

ADMINISTRATOR, SWEDE, VIEWER = "astrid@ekholmen.example", "sven@ekholmen.example", "vera@ekholmen.example"
NILS, NORA, HANNA = "nils@nordvik.example", "nora@nordvik.example", "hanna@halden.example"
NORDVIK, HALDEN, GLOBAL = "6060842", "6060859", "6060866"
NAME = "Nordvik Molntjänster AB"


def detail(subscription: str) -> str:
    return f"/c/subscriptions/{subscription}/"


def check_id(page: Page, entered: str) -> None:
    page.get_by_label("MPN ID (Partner ID)").fill(entered)
    page.get_by_role("button", name="Check ID").click()


def attach(page: Page) -> None:
    check_id(page, NORDVIK)
    page.get_by_role("button", name=f"OK, attach {NAME}").click()
    expect(page.get_by_role("heading", name=NAME)).to_be_visible()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_attach_undo_attach_and_remove(stack, visitor, scripts):
    subscription = stack.free.pop()
    astrid = visitor(ADMINISTRATOR, scripts=scripts)
    page = astrid.open(detail(subscription))
    expect(page.get_by_text("No partner attached").first).to_be_visible()

    check_id(page, " 606-0842 ")
    expect(page.get_by_role("heading", name=NAME)).to_be_visible()
    expect(page.get_by_role("button", name=f"OK, attach {NAME}")).to_be_visible()
    assert page.get_by_label("MPN ID (Partner ID)").input_value().strip() != ""

    page.get_by_role("button", name=f"OK, attach {NAME}").click()
    expect(page.get_by_text("Attached", exact=True).first).to_be_visible()

    page.get_by_role("button", name="Undo").first.click()
    expect(page.get_by_text("No partner attached").first).to_be_visible()

    attach(page)
    page.get_by_role("button", name=re.compile("^Remove")).first.click()
    expect(page.get_by_text("No partner attached").first).to_be_visible()
    expect(page.get_by_role("button", name="Undo").first).to_be_visible()


def test_the_partner_is_notified_and_finds_the_customer(stack, visitor):
    subscription = stack.free.pop()
    astrid = visitor(ADMINISTRATOR)
    attach(astrid.open(detail(subscription)))

    [newest] = stack.mail_to(NILS, about=subscription)
    assert newest["Message-ID"]
    assert newest["X-Request-ID"]
    assert "Ekholmen Logistik AB" in newest.get_body(("plain",)).get_content()
    assert "<html" in newest.get_body(("html",)).get_content()
    assert stack.mail_to(ADMINISTRATOR, about=subscription)
    assert stack.mail_to(NORA, about=subscription)[-1]["Subject"] != newest["Subject"]  # hers is in Swedish

    nils = visitor(NILS)
    page = nils.open("/p/")
    expect(page.get_by_text("Ekholmen Logistik AB").first).to_be_visible()
    nils.look()
    page = nils.open(f"/p/subscriptions/{subscription}/")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    nils.look()
    hanna = visitor(HANNA)
    assert hanna.page.goto(f"{stack.url}/p/subscriptions/{subscription}/").status == 404
    assert hanna.page.goto(stack.url + detail(subscription)).status == 403


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
@pytest.mark.parametrize(
    ("entered", "message"),
    [("4471920", "No partner has this MPN ID"), ("12", "4 to 10 digits"), (GLOBAL, "global account"), ("", "Enter")],
    ids=["unknown", "malformed", "global", "nothing"],
)
def test_a_wrong_id_gets_a_message_and_stays_in_the_field(stack, visitor, scripts, entered, message):
    astrid = visitor(ADMINISTRATOR, scripts=scripts)
    page = astrid.open(detail(stack.free[0]))

    check_id(page, entered)

    expect(page.get_by_role("alert").first).to_contain_text(message)
    expect(page).to_have_title(re.compile("^Error: "))
    assert page.get_by_label("MPN ID (Partner ID)").input_value() == entered
    expect(page.get_by_role("button", name=re.compile("^OK, attach"))).to_have_count(0)
    if scripts:
        expect(page.locator(".esum")).to_be_focused()
        astrid.look()


def test_an_expired_subscription_has_a_message_and_no_form(stack, visitor):
    astrid = visitor(ADMINISTRATOR)
    page = astrid.open(detail(stack.expired))

    expect(page.get_by_text("expired", exact=False).first).to_be_visible()
    expect(page.get_by_role("button", name="Check ID")).to_have_count(0)
    astrid.look()


def test_a_double_click_makes_one_association(stack, visitor):
    subscription = stack.free.pop()
    astrid = visitor(ADMINISTRATOR)
    page = astrid.open(detail(subscription))
    check_id(page, NORDVIK)

    page.get_by_role("button", name=f"OK, attach {NAME}").dblclick()

    expect(page.get_by_role("button", name="Undo").first).to_be_visible()
    with stack.database() as cursor:
        cursor.execute(
            "SELECT count(*) FROM associations_association JOIN directory_subscription AS unit"
            " ON unit.id = associations_association.subscription_id WHERE unit.subscription_id = %s",
            [subscription],
        )
        assert cursor.fetchone() == (1,)


def test_a_viewer_sees_everything_and_can_change_nothing(stack, visitor):
    vera = visitor(VIEWER)
    page = vera.open(detail(stack.free[0]))

    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_role("button", name="Check ID")).to_have_count(0)
    vera.look()


def test_of_two_windows_the_second_shows_that_the_subscription_has_changed(stack, visitor):
    subscription = stack.free.pop()
    first, second = visitor(ADMINISTRATOR), visitor(ADMINISTRATOR)
    for one in (first, second):
        check_id(one.open(detail(subscription)), NORDVIK)
        expect(one.page.get_by_role("button", name=f"OK, attach {NAME}")).to_be_visible()  # the check has been answered
    first.page.get_by_role("button", name=f"OK, attach {NAME}").click()
    expect(first.page.get_by_role("button", name="Undo").first).to_be_visible()
    first.page.get_by_role("button", name=re.compile("^Remove")).first.click()
    expect(first.page.get_by_text("No partner attached").first).to_be_visible()

    second.page.get_by_role("button", name=f"OK, attach {NAME}").click()

    expect(second.page.get_by_text("has changed").first).to_be_visible()
    expect(second.page.get_by_text("No partner attached").first).to_be_visible()


def test_attach_in_swedish_on_a_phone_in_dark_mode(stack, visitor):
    subscription = stack.free.pop()
    sven = visitor(SWEDE, phone=True, dark=True)
    page = sven.open(detail(subscription))
    assert page.locator("html").get_attribute("lang") == "sv"
    sven.look()

    page.locator("input[name=mpn_id]").first.fill(NORDVIK)
    page.get_by_role("button", name="Kontrollera ID").click()
    expect(page.get_by_role("heading", name=NAME)).to_be_visible()
    sven.look()
    page.get_by_role("button", name=re.compile(f"koppla {NAME}")).click()
    expect(page.get_by_role("button", name="Ångra").first).to_be_visible()
    sven.look()
