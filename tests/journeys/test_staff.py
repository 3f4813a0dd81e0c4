"""A programme administrator sends a given-up message again and adds a person to the staff; an auditor searches."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.journeys.test_attach import ADMINISTRATOR, NAME, NILS, attach, detail

pytestmark = pytest.mark.journey

BOSS = "admin@demo.example"
#: What otherwise needs hours and a broken mail server.
GIVE_UP = """
UPDATE notifications_delivery AS delivery
   SET status = 'dead', attempts = 12, last_error = 'SMTPServerDisconnected: closed'
  FROM history_event AS event WHERE event.id = event_id AND object_id = %s AND recipient = %s
"""
#: Of this customer alone: the first of several customers that are found would be another one.
EKHOLMENS_DOMAIN = """
UPDATE directory_customer AS customer SET domain = 'ekholmen.example'
  FROM accounts_organisation AS organisation
 WHERE organisation.id = organisation_id AND organisation.name = 'Ekholmen Logistik AB'
"""


def give_up(stack, subscription: str, recipient: str) -> None:
    with stack.database() as cursor:
        cursor.execute(GIVE_UP, [subscription, recipient])
        assert cursor.rowcount == 1


def received(stack, subscription: str, times: int) -> set[str]:
    """Return the Message-IDs of the partner's mails about a subscription; wait for this many mails."""
    mails = stack.mail_to(NILS, about=subscription, times=times)
    assert len(mails) == times
    return {mail["Message-ID"] for mail in mails}


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_given_up_message_is_found_and_sent_again(stack, visitor, scripts):
    subscription = stack.free.pop()
    attach(visitor(ADMINISTRATOR).open(detail(subscription)))
    received(stack, subscription, times=1)
    give_up(stack, subscription, NILS)

    boss = visitor(BOSS, scripts=scripts)
    page = boss.open("/a/")
    page.get_by_role("link", name="View list").first.click()
    page.get_by_role("link", name=NILS).first.click()
    expect(page.get_by_text("SMTPServerDisconnected: closed")).to_be_visible()
    if scripts:
        boss.look()
    page.get_by_role("button", name="Send again").click()

    expect(page.get_by_text(f"We are sending the message to {NILS} again")).to_be_visible()
    expect(page.get_by_text("was sent again")).to_be_visible()
    assert len(received(stack, subscription, times=2)) == 1


def test_a_person_joins_the_staff_by_the_link_in_a_mail_and_leaves_again(stack, visitor):
    boss = visitor(BOSS)
    page = boss.open("/a/people/")
    page.get_by_role("link", name="Add to platform staff").click()
    boss.look()
    page.get_by_label("Email").fill("ines@house.example")
    page.get_by_label("Name").fill("Ines Ek")
    page.get_by_label("Role").select_option("support")
    page.get_by_role("button", name="Add to platform staff").click()
    expect(page.get_by_role("heading", name="Ines Ek")).to_be_visible()
    boss.look()

    (mail,) = stack.mail_to("ines@house.example")
    link = re.search(r"https?://\S+/password/reset/\S+", mail.get_body(["plain"]).get_content())
    assert link is not None
    ines = visitor()
    ines.page.goto(link[0])
    for field in ines.page.locator("input[type=password]").all():
        field.fill("sju sköna sjömän")
    ines.page.locator("main form .btn--p").click()
    ines.open("/login")
    ines.page.locator("input[name=login]").fill("ines@house.example")
    ines.page.locator("input[name=password]").fill("sju sköna sjömän")
    ines.page.locator("main form .btn--p").first.click()
    expect(ines.page.get_by_role("heading", name="Platform status")).to_be_visible()

    page.get_by_role("button", name="Suspend").click()
    expect(page.get_by_text("is suspended")).to_be_visible()
    ines.open("/a/")
    expect(ines.page).to_have_url(re.compile("/login"))
    page.get_by_role("button", name="Reactivate").click()
    page.get_by_role("button", name="Remove from platform staff").click()
    expect(page.get_by_text("no longer a member of platform staff")).to_be_visible()


@pytest.mark.parametrize("phone", [False, True], ids=["desk, light", "phone, dark"])
def test_the_history_is_searched_and_an_event_opened(stack, visitor, phone):
    subscription = stack.free.pop()
    attach(visitor(ADMINISTRATOR).open(detail(subscription)))

    auditor = visitor("auditor@demo.example", phone=phone, dark=phone)
    page = auditor.open("/a/history/")
    auditor.look()
    page.get_by_label("Name or ID").fill(subscription)
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_text("1 event", exact=True)).to_be_visible()
    auditor.look()
    page.locator("tbody th a").click()
    expect(page.get_by_role("heading", name="Position in the chain")).to_be_visible()
    auditor.look()


def test_what_a_browser_blocks_is_shown_to_staff(visitor):
    someone = visitor(BOSS)
    someone.open("/a/")
    someone.page.evaluate("fetch('https://elsewhere.example/secret').catch(() => null)")
    for _try in range(50):
        someone.open("/a/blocked/")
        if "https://elsewhere.example" in someone.page.content():
            break
        someone.page.wait_for_timeout(200)
    row = someone.page.locator("tbody tr", has_text="https://elsewhere.example")
    expect(row).to_contain_text("connect-src")
    someone.look()


@pytest.mark.parametrize(
    "by",
    [
        "subscription ID",
        "customer",
        *(pytest.param(one, marks=pytest.mark.crawl) for one in ("short ID", "domain", "partner")),
    ],
)
def test_staff_answer_who_is_of_record_and_why_from_home(stack, visitor, by):
    """Three steps: search, choose the subscription, read. With SHOTS, a picture of each is kept."""
    subscription = stack.free.pop()
    page = visitor(ADMINISTRATOR).open(detail(subscription))
    attach(page)
    page.get_by_role("button", name=re.compile("^Remove")).first.click()
    expect(page.get_by_text("No partner attached").first).to_be_visible()
    attach(visitor(ADMINISTRATOR).open(detail(subscription)))
    with stack.database() as cursor:
        cursor.execute(EKHOLMENS_DOMAIN)
    asked = {
        "subscription ID": subscription,
        "short ID": subscription[:8],
        "customer": "Ekholmen",
        "domain": "ekholmen.ex",
        "partner": NAME,
    }

    support = visitor(BOSS)
    page = support.open("/a/")

    def keep(name: str) -> None:
        support.look()
        if shots := os.environ.get("SHOTS", ""):
            page.screenshot(path=Path(shots) / f"who-{by.replace(' ', '-')}-{name}.png", full_page=True)

    keep("1-home")
    page.get_by_label("Find a customer, partner or subscription").fill(asked[by])
    page.locator("main").get_by_role("button", name="Search", exact=True).click()
    keep("2-found")
    answer = page.locator(f"main a[href^='/a/subscriptions/{subscription}/']").first
    if not answer.count():
        page.get_by_role("link", name="View list").first.click()
        page.get_by_label("Search", exact=True).last.fill(subscription[:8])
        page.get_by_role("button", name="Filter").click()
    answer.click()
    expect(page.get_by_role("link", name=NAME).first).to_be_visible()
    expect(page.get_by_text(re.compile("Attached by (the customer|Astrid)")).first).to_be_visible()
    keep("3-answer")
