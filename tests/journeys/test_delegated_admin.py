"""A partner asks to be a delegated administrator, and the customer accepts that by itself and ends it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.journeys.test_attach import ADMINISTRATOR, NAME, NILS, SWEDE

pytestmark = pytest.mark.journey


def test_partner_asks_to_administer_and_the_customer_accepts_and_ends_it(stack, visitor):
    nils, astrid = visitor(NILS), visitor(ADMINISTRATOR)
    me = astrid.page.request.get(f"{stack.url}/api/v1/me/").json()
    subscription = stack.free.pop()

    page = nils.open("/p/invitations/new/")
    page.get_by_text("The customer is not listed").click()
    page.get_by_label("Customer’s tenant ID").fill(me["memberships"][0]["organisation"]["tenant_id"])
    page.get_by_label("Subscription IDs").fill(subscription)
    box = page.get_by_label("Also ask to be a delegated administrator")
    expect(box).not_to_be_checked()
    box.check()
    nils.look()
    page.get_by_role("button", name="Preview invitation").click()
    expect(page.get_by_text("Asked for. The customer can leave this out.")).to_be_visible()
    nils.look()
    page.get_by_role("button", name="Send invitation").click()
    expect(page.get_by_text("The invitation also asks to be a delegated administrator")).to_be_visible()
    nils.look()
    address = page.locator(".secret").inner_text().removeprefix(stack.url)

    sven = visitor(SWEDE, phone=True, dark=True)
    sven.open(address)
    expect(sven.page.get_by_label("Gör också partnern till delegerad administratör")).not_to_be_checked()
    sven.look()

    page = astrid.open(address)
    expect(page.get_by_text("A delegated administrator sees all subscriptions of your organisation")).to_be_visible()
    page.get_by_role("checkbox", name=subscription[:8]).uncheck()
    page.get_by_label("Also make the partner a delegated administrator").check()
    astrid.look()
    page.get_by_role("button", name=f"Accept {NAME}").click()
    expect(page.get_by_text("This invitation has been accepted.")).to_be_visible()
    astrid.look()
    expect(nils.open(f"/p/subscriptions/{stack.free[0]}/").locator("h1")).to_be_visible()

    page = astrid.open("/c/partners/")
    astrid.look()
    page.get_by_role("link", name="View or end delegated administration").click()
    expect(page.get_by_role("heading", name=f"{NAME} is a delegated administrator")).to_be_visible()
    astrid.look()
    sven.open(page.url.removeprefix(stack.url))
    expect(sven.page.get_by_role("button", name="Avsluta delegerad administration")).to_be_visible()
    sven.look()
    page.get_by_label("Reason").fill("The project is over.")
    page.get_by_role("button", name="End delegated administration").click()
    expect(page.get_by_role("heading", name=f"{NAME} is no longer a delegated administrator")).to_be_visible()
    astrid.look()
    assert stack.mail_to(NILS, "You are no longer a delegated administrator", about="The project is over.")
