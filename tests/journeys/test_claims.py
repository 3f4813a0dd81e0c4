"""A partner claims a workload, a reviewer approves, the customer declines; support ends a claim by its number."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from tests.files import SAMPLES
from tests.journeys.test_attach import ADMINISTRATOR, NILS

pytestmark = pytest.mark.journey

PARTNER, REVIEWER, SUPPORT = "partner@demo.example", "reviewer@demo.example", "support@demo.example"
TODAY = datetime.now(UTC).date().isoformat()
DOMAIN = "vasterhamn.example"
FIND_TENANT = (
    "SELECT tenant_id FROM directory_customer JOIN accounts_organisation ON id = organisation_id WHERE name = %s"
)


def tenant_of(stack, name: str) -> str:
    with stack.database() as cursor:
        cursor.execute(FIND_TENANT, [name])
        return str(cursor.fetchone()[0])


def upload(page: Page, name: str) -> None:
    """Upload a file for all units of the claim whose files the page shows, and wait until it can be opened."""
    page.locator("input[type=file]").set_input_files(SAMPLES / name)
    page.get_by_label("Date of the customer’s acknowledgement").fill(TODAY)
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("uploaded").first).to_be_visible()
    for _ in range(60):
        if page.get_by_text("Not scanned").count():
            return
        page.wait_for_timeout(500)
        page.reload()
    raise AssertionError("the file is not scanned")


def claim(page: Page, tenant: str, workload: str) -> str:
    """Enter a claim page by page, and submit it; return its number."""
    page.get_by_role("link", name="New claim").first.click()
    page.get_by_label("Customer’s tenant ID").fill(tenant)
    page.get_by_label("Customer’s domain").fill(f" {DOMAIN.upper()} ")
    page.get_by_label("Claim name").fill("Mail for all")
    page.get_by_role("button", name="Check customer").click()
    page.get_by_role("button", name="Yes, claim for").click()
    page.get_by_role("radio").first.check()
    page.get_by_role("button", name="Save and continue").click()
    page.get_by_role("checkbox", name=workload).check()
    page.get_by_role("button", name="Save and continue").click()
    page.get_by_label("Name").first.fill("Karin Lund")
    page.get_by_label("Title").fill("Head of IT")
    page.get_by_label("Email address").first.fill("karin.lund@vasterhamn.example")
    page.get_by_role("button", name="Save and continue").click()
    expect(page.get_by_text("What is missing")).to_be_visible()
    summary = page.url
    page.get_by_role("link", name="Add a proof").click()
    upload(page, "typst.pdf")
    page.goto(summary)
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="Submit claim").click()
    number = page.locator("h1").inner_text()
    assert re.fullmatch(r"CPR-\d{7}", number)
    return number


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_claim_is_entered_reviewed_and_declined(stack, visitor, scripts):
    nils = visitor(NILS, scripts=scripts)
    number = claim(nils.open("/p/claims/"), tenant_of(stack, "Ekholmen Logistik AB"), "Yammer")
    address = nils.page.url
    if scripts:
        nils.look()

    reviewer = visitor(REVIEWER, scripts=scripts)
    page = reviewer.open("/a/claims/?view=all")
    page.get_by_role("link", name=number).first.click()
    if scripts:
        reviewer.look()
    page.get_by_role("button", name="Start the review").click()
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("Approved").first).to_be_visible()

    astrid = visitor(ADMINISTRATOR, scripts=scripts)
    page = astrid.open("/c/claims/")
    page.get_by_text(number).first.click()
    page.locator(f"a:near(:text('{number}'))").first.click() if number not in page.url else None
    page = astrid.open(f"/c/claims/{int(number[4:])}/")
    if scripts:
        astrid.look()
    page.get_by_role("link", name="Decline").first.click()
    page.get_by_label("Reason").fill("We have no project with them.")
    page.get_by_role("button", name="Decline the claim").click()
    expect(page.get_by_text("Ended").first).to_be_visible()

    nils.page.goto(address)
    expect(nils.page.get_by_text("Declined by the customer").first).to_be_visible()


def test_migrated_claim_gets_its_proof_and_support_ends_it_by_its_number(stack, visitor):
    partner = visitor(PARTNER)
    page = partner.open("/p/claims/")
    page.get_by_role("link", name="Migrated without proof").click()
    row = page.get_by_role("row").filter(has_text="FRP Migrated FRP").first
    number = row.get_by_role("link").first.inner_text()
    row.get_by_role("link").first.click()
    expect(page.get_by_text("the most recent proof of each side is reviewed first")).to_be_visible()
    partner.look()
    page.get_by_role("link", name="View proofs").click()
    upload(page, "libreoffice-writer.pdf")
    expect(page.get_by_text("libreoffice-writer.pdf").first).to_be_visible()
    page = partner.open("/p/claims/?view=without_proof")
    expect(page.get_by_role("link", name=number)).to_have_count(0)

    support = visitor(SUPPORT)
    page = support.open("/a/claims/end/")
    page.get_by_label("number").fill(number)
    page.get_by_role("button", name="Show what will end").click()
    support.look()
    page.get_by_label("Reason").fill("The partner no longer works with the customer.")
    page.get_by_role("button", name="End the association").click()
    expect(page.get_by_text(number).first).to_be_visible()
    page = partner.open("/p/claims/?view=ended")
    expect(page.get_by_role("link", name=number)).to_be_visible()
