"""A change request with customer, partner of record and proposed partner signed in.

Each gets e-mails and pages with what they may know, for each answer and without one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Stack, Visitor
from tests.product import manage

pytestmark = pytest.mark.journey

AINA, OVE, SIV = "aina@ljungdal.example", "ove@ljungdal.example", "siv@ljungdal.example"
NILS, HANNA = "nils@nordvik.example", "hanna@halden.example"
NORDVIK, HALDEN = "Nordvik Molntjänster AB", "Halden Rådgivning AB"
IDS = {NORDVIK: "6060842", HALDEN: "6060859"}


@dataclass
class Contest:
    """A subscription with Nordvik as partner of record and Halden proposed, and the people who are concerned."""

    stack: Stack
    subscription: str
    aina: Visitor
    nils: Visitor
    hanna: Visitor
    number: str = ""

    @property
    def customer_page(self) -> str:
        return f"/c/change-requests/{self.number}/"

    @property
    def partner_page(self) -> str:
        return f"/p/change-requests/{self.number}/"

    def mail(self, address: str, subject: str) -> str:
        """Return the text of the newest mail about this change request; wait for it."""
        path = self.partner_page if address in {NILS, HANNA} else self.customer_page
        return self.stack.mail_to(address, subject, about=f"{path}\n")[-1].get_body(("plain",)).get_content()

    def answer(self, choice: str, words: str = "") -> Page:
        page = self.aina.open(self.customer_page)
        page.get_by_role("radio", name=re.compile(f"^{choice}")).check()
        page.get_by_label("In your own words").fill(words)
        page.get_by_role("button", name="Send answer").click()
        expect(page.get_by_role("button", name="Undo")).to_be_visible()
        return page


def name_partner(page: Page, name: str) -> None:
    page.get_by_label("MPN ID (Partner ID)").fill(IDS[name])
    page.get_by_role("button", name="Check ID").click()


def contest(stack: Stack, visitor, **how: bool) -> Contest:
    """Attach Nordvik and propose Halden as Aina, who first reads what will happen."""
    case = Contest(stack, stack.contested.pop(), visitor(AINA, **how), visitor(NILS), visitor(HANNA))
    page = case.aina.open(f"/c/subscriptions/{case.subscription}/")
    name_partner(page, NORDVIK)
    page.get_by_role("button", name=f"OK, attach {NORDVIK}").click()
    page.get_by_role("link", name="Change partner").click()
    name_partner(page, HALDEN)
    expect(page.get_by_text(f"We tell both partners, {NORDVIK} and {HALDEN}, immediately")).to_be_visible()
    expect(page.get_by_text(f"If no one answers, {NORDVIK} stays")).to_be_visible()
    page.get_by_role("button", name="Ask both first").click()
    link = page.locator("#done").get_by_role("link", name="Answer")
    expect(
        page.get_by_text(f"{NORDVIK} stays the partner of record until the change request is answered")
    ).to_be_visible()
    case.number = re.findall(r"/c/change-requests/(\d+)/", link.get_attribute("href"))[0]
    return case


def test_the_proposed_partner_becomes_partner_of_record_and_the_answer_can_be_undone(stack, visitor):
    case = contest(stack, visitor)
    case.aina.look()
    assert NORDVIK in case.mail(HANNA, "You have been proposed")
    assert HALDEN in case.mail(NILS, "Another partner has been proposed")
    assert "/c/change-requests/" in case.mail(AINA, "Which partner is doing the work for")
    assert case.mail(OVE, "")  # every administrator is asked, in their own language

    for person, words in ((case.nils, "We keep the mail running."), (case.hanna, "We did the rollout.")):
        page = person.open(case.partner_page)
        expect(
            page.get_by_role("heading", name="We have asked Ljungdal Bygg AB which partner is doing the work")
        ).to_be_visible()
        page.get_by_label("What you do for the customer").fill(words)
        page.get_by_role("button", name="Send to customer").click()
        expect(page.get_by_role("button", name="Update statement")).to_be_visible()
        person.look()
    expect(case.hanna.page.get_by_text("We keep the mail running.")).to_have_count(0)
    expect(case.hanna.page.get_by_role("link", name="Open the subscription")).to_have_count(0)
    expect(case.hanna.open("/p/").get_by_text("We have asked Ljungdal Bygg AB").first).to_be_visible()

    page = case.aina.open("/c/")
    expect(page.get_by_role("link", name=re.compile("^Answer")).first).to_be_visible()
    page = case.aina.open(case.customer_page)
    expect(page.get_by_text("We keep the mail running.").first).to_be_visible()
    expect(page.get_by_text("We did the rollout.").first).to_be_visible()
    case.aina.look()
    page.get_by_role("button", name="Send answer").click()  # nothing chosen
    expect(page.locator(".esum")).to_contain_text("Choose an answer")
    case.answer(HALDEN, "Halden set it all up.")
    case.aina.look()

    assert "Halden set it all up." in case.mail(HANNA, "You are now the partner of record")
    assert "Halden set it all up." in case.mail(NILS, "You are no longer the partner of record")
    assert HALDEN in case.mail(AINA, "Change request answered")
    page = case.nils.open(case.partner_page)
    expect(page.get_by_text(f"{HALDEN} is doing the work and has become the partner of record.")).to_be_visible()
    expect(page.get_by_text("Halden set it all up.").first).to_be_visible()
    case.nils.look()
    expect(case.hanna.open(f"/p/subscriptions/{case.subscription}/").get_by_role("heading", level=1)).to_be_visible()

    case.aina.page.get_by_role("button", name="Undo").click()
    expect(case.aina.page.get_by_text("Undone. The change request is open again.")).to_be_visible()
    for address in (NILS, HANNA, AINA):
        assert case.mail(address, "Answer undone")
    assert case.hanna.page.goto(f"{stack.url}/p/subscriptions/{case.subscription}/").status == 404


@pytest.mark.parametrize(
    ("choice", "to_nils", "to_hanna", "outcome"),
    [
        (
            NORDVIK,
            "You are still the partner of record",
            "You have not become the partner of record",
            "is still your partner of record",
        ),
        (
            "Neither",
            "You are no longer the partner of record",
            "You have not become the partner of record",
            "neither partner is doing the work",
        ),
    ],
    ids=["the partner of record", "neither"],
)
def test_the_partner_of_record_stays_or_neither_partner_is_of_record(
    stack, visitor, choice, to_nils, to_hanna, outcome
):
    case = contest(stack, visitor, scripts=False)

    page = case.answer(choice)

    expect(page.get_by_text(re.compile(outcome)).first).to_be_visible()
    assert case.mail(NILS, to_nils)
    assert case.mail(HANNA, to_hanna)
    page = case.aina.open(f"/c/subscriptions/{case.subscription}/")
    expect(page.get_by_role("heading", name=NORDVIK)).to_have_count(1 if choice == NORDVIK else 0)


@pytest.mark.crawl
def test_without_an_answer_the_partner_of_record_stays_in_swedish_on_a_phone_in_dark_mode(stack, visitor):
    case = contest(stack, visitor)
    ove = visitor(OVE, phone=True, dark=True)
    for path in (f"/c/subscriptions/{case.subscription}/", "/c/", "/c/change-requests/", case.customer_page):
        page = ove.open(path)
        assert page.locator("html").get_attribute("lang") == "sv"
        ove.look()
    expect(page.get_by_role("button", name="Skicka svar")).to_be_visible()
    siv = visitor(SIV)
    expect(siv.open(case.customer_page).get_by_role("button", name="Send answer")).to_have_count(0)
    with stack.database() as cursor:
        cursor.execute(
            "UPDATE associations_changerequest SET opened_at = opened_at - interval '20 days',"
            " due_at = now() - interval '1 second' WHERE id = %s",
            [case.number],
        )
    manage(stack.var, "shell", "--no-imports", "-c", "from associations.tasks import keep_time; keep_time.delay()")

    for address in (NILS, HANNA, AINA):
        assert NORDVIK in case.mail(address, "Change request closed without an answer")
    page = ove.open(case.customer_page)
    expect(page.get_by_text(f"Frågan besvarades inte i tid. {NORDVIK} förblev partner of record.")).to_be_visible()
    expect(page.get_by_role("button", name="Skicka svar")).to_have_count(0)
    ove.look()
    expect(ove.open("/c/change-requests/?view=closed").get_by_text(f"{NORDVIK} blev kvar").first).to_be_visible()
    ove.look()


def test_customer_switches_now_and_takes_it_back_and_removal_gives_back_the_question(stack, visitor):
    subscription, aina = stack.contested.pop(), visitor(AINA)
    page = aina.open(f"/c/subscriptions/{subscription}/")
    name_partner(page, NORDVIK)
    page.get_by_role("button", name=f"OK, attach {NORDVIK}").click()
    page.get_by_role("link", name="Change partner").click()
    name_partner(page, HALDEN)
    expect(page.get_by_role("heading", name="If you switch now")).to_be_visible()
    aina.look()
    page.get_by_role("button", name=f"Switch to {HALDEN} now").click()
    expect(page.get_by_text(f"{HALDEN} is now your partner of record, instead of {NORDVIK}.")).to_be_visible()
    aina.look()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text(f"Undone. {NORDVIK} is the partner of record again.")).to_be_visible()
    expect(page.get_by_text("Change request open")).to_have_count(0)

    page.get_by_role("link", name="Change partner").click()
    name_partner(page, HALDEN)
    page.get_by_role("button", name="Ask both first").click()
    expect(page.get_by_text(f"Removing {NORDVIK} cancels the open change request.")).to_be_visible()
    aina.look()
    page.get_by_role("button", name=f"Remove {NORDVIK}").click()
    expect(page.get_by_text(f"{NORDVIK} is no longer your partner of record.")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Undone. The change request is open again.")).to_be_visible()
    aina.look()
