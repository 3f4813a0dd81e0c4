"""A customer names another location of its partner's company, and the company moves subscriptions back."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.journeys.test_attach import ADMINISTRATOR

pytestmark = pytest.mark.journey

BODIL = "bodil@varde.example"
LUND, UMEA = "Värde Lund AB", "Värde Umeå AB"
IDS = {LUND: "6060897", UMEA: "6060903"}


def test_customer_names_another_location_and_the_company_moves_subscriptions(stack, visitor):
    first, second = stack.free.pop(), stack.free.pop()
    astrid, bodil = visitor(ADMINISTRATOR), visitor(BODIL)
    for subscription in (first, second):
        page = astrid.open(f"/c/subscriptions/{subscription}/")
        page.get_by_label("MPN ID (Partner ID)").fill(IDS[LUND])
        page.get_by_role("button", name="Check ID").click()
        page.get_by_role("button", name=f"OK, attach {LUND}").click()
        expect(page.locator("#done")).to_be_visible()
    page.get_by_role("link", name="Change partner").click()
    page.get_by_label("MPN ID (Partner ID)").fill(IDS[UMEA])
    page.get_by_role("button", name="Check ID").click()
    expect(page.get_by_text("Both are locations of the same company, so nobody is asked")).to_be_visible()
    astrid.look()
    page.get_by_role("button", name=f"OK, move to {UMEA}").click()
    expect(page.get_by_text(f"{UMEA} is now your partner of record, instead of {LUND}.")).to_be_visible()
    astrid.look()

    page = bodil.open("/p/subscriptions/")
    page.get_by_role("link", name="Move between locations").click()
    page.get_by_label("From location").select_option(IDS[LUND])
    page.get_by_role("button", name="Show subscriptions").click()
    page.get_by_label("To location").select_option(IDS[UMEA])
    page.get_by_role("checkbox").first.check()
    bodil.look()
    page.get_by_role("button", name="Move selected").click()
    expect(page.get_by_text(f"1 subscription moved from {LUND} to {UMEA}.")).to_be_visible()
    bodil.look()
    page.get_by_role("button", name="Move them back").click()
    expect(page.get_by_text(f"1 subscription moved from {UMEA} to {LUND}.")).to_be_visible()
    assert stack.mail_to("sven@ekholmen.example", about=UMEA)
