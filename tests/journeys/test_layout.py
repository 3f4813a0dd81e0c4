"""Where things stand on a page: what a person must see first is high up, whatever the language and the size."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.journeys.test_attach import ADMINISTRATOR, NAME, NORDVIK, SWEDE, detail

pytestmark = pytest.mark.journey


def bottom(locator) -> float:
    box = locator.bounding_box()
    return box["y"] + box["height"]


@pytest.mark.parametrize("address", [ADMINISTRATOR, SWEDE], ids=["English", "Swedish"])
def test_id_field_stands_within_the_first_500_pixels_of_a_phone_and_has_the_focus(stack, visitor, address):
    page = visitor(address, phone=True).open(detail(stack.free[0]))
    field = page.locator("#id_mpn_id")
    assert page.evaluate("scrollY") == 0
    assert bottom(field) <= 500
    expect(field).to_be_focused()
    assert page.locator("nav.crumbs").count() == 1
    assert page.locator("main ol.trail").bounding_box()["y"] > bottom(field)  # the path in the portal is no second one


def test_ticked_subscription_gets_the_same_partner(stack, visitor):
    astrid = visitor(ADMINISTRATOR)
    page = astrid.open(detail(stack.free.pop()))
    page.locator("#id_mpn_id").fill(NORDVIK)
    page.get_by_role("button", name="Check ID").click()
    offers = page.get_by_role("group", name="Attach them to").get_by_role("checkbox", disabled=False)
    offers.first.check()
    taken = offers.first.get_attribute("value")
    astrid.look()
    page.get_by_role("button", name=f"OK, attach {NAME}").click()
    page.get_by_text("Attached to 2 subscriptions.").wait_for()
    astrid.look()
    stack.free.remove(taken)


def test_charts_of_usage_stand_side_by_side_and_at_half_height_on_a_wide_screen(visitor):
    page = visitor("customer@demo.example").open("/c/usage/")
    first, second = (page.locator(".charts svg.chart--l").nth(n).bounding_box() for n in (0, 1))
    assert first["y"] == second["y"]
    assert first["x"] + first["width"] <= second["x"]
    assert first["height"] <= 200, "they were 356 pixels high, one below another"
    page = visitor("customer@demo.example", phone=True).open("/c/usage/")
    first, second = (page.locator(".charts svg.chart--s").nth(n).bounding_box() for n in (0, 1))
    assert first["x"] == second["x"]
    assert first["y"] + first["height"] <= second["y"]


def test_partner_finds_what_to_do_above_its_figures_and_the_button_to_invite(visitor):
    page = visitor("partner@demo.example").open("/p/")
    assert bottom(page.locator(".todo")) <= page.locator(".kpis").bounding_box()["y"]
    assert bottom(page.get_by_role("link", name="Invite a customer")) <= 150


def test_home_of_a_customer_has_its_cards_in_one_row(visitor):
    page = visitor("customer@demo.example").open("/c/")
    tops = {card.bounding_box()["y"] for card in page.locator(".todo li").all()}
    count = page.locator(".todo li").count()
    assert count in (3, 4)  # an approved claim can be declined for some days
    assert len(tops) == (1 if count == 3 else 2)


def test_help_of_earlier_months_is_short_on_a_phone_and_has_every_month(visitor):
    page = visitor("partner@demo.example", phone=True).open("/p/help/retroactive/")
    assert page.evaluate("document.documentElement.scrollHeight") < 4000, "it was 9,000 pixels high"
    rows = page.locator("tbody tr")
    assert rows.count() >= 12
    assert not rows.first.is_visible()
    page.locator("details.more > summary").first.press("Enter")
    expect(rows.first).to_be_visible()
    page.emulate_media(media="print")
    expect(rows.last).to_be_visible()
