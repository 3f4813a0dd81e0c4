"""Text of twice the size, as a reader sets it in the browser: no page scrolls sideways, and no text is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserType

from tests.journeys.conftest import Visitor
from tests.journeys.test_attach import ADMINISTRATOR, NILS, NORDVIK, SWEDE, detail
from tests.journeys.test_pages import (
    ADMINISTRATORS,
    COMPETENCIES,
    CUSTOMERS,
    PARTNERS,
    SHARED,
    STAFFS,
    STAFFS_COMPETENCIES,
    speak,
)

pytestmark = pytest.mark.journey

#: Returns what text is cut: boxes that clip what runs out of them, and fields that are lower than their text.
CUT = """
() => {
  const found = [];
  for (const one of document.querySelectorAll("body *")) {
    const style = getComputedStyle(one);
    if (!one.checkVisibility() || one.closest("svg, .vh, .skip") || style.clipPath !== "none") continue;
    if (one.matches("input:not([type=checkbox], [type=radio], [type=file], [type=hidden]), select")) {
      if (one.clientHeight < 1.2 * parseFloat(style.fontSize)) found.push(`${one.id} is lower than its text`);
      continue;
    }
    const clips = (axis) => ["hidden", "clip"].includes(style[`overflow${axis}`]);
    const name = `${one.tagName}.${one.className}`;
    if (clips("X") && one.scrollWidth > one.clientWidth + 1) found.push(`${name} is cut at its side`);
    if (clips("Y") && one.scrollHeight > one.clientHeight + 1) found.push(`${name} is cut below`);
    const text = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (text && style.display !== "inline" && style.overflowY === "visible" && one.clientHeight
        && one.scrollHeight > one.clientHeight + 2) found.push(`${name} is lower than its text`);
  }
  return [...new Set(found)];
}
"""


@pytest.fixture(scope="module")
def large_browser(browser_type: BrowserType, browser_type_launch_args: dict[str, Any]) -> Iterator[Any]:
    """Yield a browser whose reader has set text to 32 pixels instead of 16."""
    args = [*browser_type_launch_args["args"], "--blink-settings=defaultFontSize=32"]
    with browser_type.launch(**{**browser_type_launch_args, "args": args}) as browser:
        yield browser


@pytest.fixture
def reader(stack: Any, large_browser: Any) -> Iterator[Callable[[str], Visitor]]:
    contexts = []

    def sign_in(address: str) -> Visitor:
        context = large_browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
        contexts.append(context)
        return Visitor(stack, context).sign_in(address)

    yield sign_in
    for context in contexts:
        context.close()


def faults(one: Visitor, paths: list[str]) -> list[tuple[str, Any]]:
    found = []
    for path in paths:
        page = one.open(path)
        if (over := page.evaluate("document.documentElement.scrollWidth - innerWidth")) > 0:
            found.append((path, f"{over} pixels too wide"))
        found += [(path, cut) for cut in page.evaluate(CUT)]
    return found


def test_large_text_is_twice_as_large(reader):
    page = reader("customer@demo.example").open("/c/")
    assert page.evaluate("getComputedStyle(document.body).fontSize") == "28px"  # 14 pixels for others


@pytest.mark.crawl
@pytest.mark.parametrize("address", [ADMINISTRATOR, SWEDE], ids=["English", "Swedish"])
def test_customers_pages_keep_all_text(stack, reader, address):
    one = reader(address)
    assert faults(one, [*CUSTOMERS, "/c/bulk/", detail(stack.free[0]), detail(stack.free[0]) + "usage/", *SHARED]) == []
    page = one.open(detail(stack.free[0]))
    page.locator("#id_mpn_id").fill(NORDVIK)
    page.locator("#id_mpn_id").press("Enter")
    page.locator("#result").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(CUT) == []


@pytest.mark.crawl
@pytest.mark.parametrize("address", [NILS, "partner@demo.example"], ids=["new partner", "partner"])
def test_partners_pages_keep_all_text(reader, address):
    assert faults(reader(address), [*PARTNERS, *ADMINISTRATORS, *COMPETENCIES]) == []


@pytest.mark.crawl
def test_staffs_pages_keep_all_text(reader):
    assert faults(reader("admin@demo.example"), [*STAFFS, *STAFFS_COMPETENCIES]) == []


@pytest.mark.crawl
def test_pages_of_a_customer_with_much_to_do_keep_all_text(reader):
    paths = ["/c/", "/c/subscriptions/", "/c/change-requests/", "/c/change-requests/1/", "/c/usage/", "/inbox/"]
    assert faults(reader("customer@demo.example"), paths) == []


@pytest.mark.parametrize("language", ["en", pytest.param("sv", marks=pytest.mark.crawl)])
@pytest.mark.parametrize(
    ("address", "paths"),
    [
        (ADMINISTRATOR, [*CUSTOMERS, "/c/bulk/", "/c/subscriptions/?as_of=2026-01-01", "/me/organisation/", *SHARED]),
        ("customer@demo.example", ["/c/", "/c/subscriptions/", "/c/change-requests/1/", "/c/usage/", "/inbox/"]),
        ("partner@demo.example", [*PARTNERS, *ADMINISTRATORS, *COMPETENCIES, "/me/mail/", "/me/organisation/"]),
        ("admin@demo.example", [*STAFFS, *STAFFS_COMPETENCIES]),
    ],
    ids=["customer", "customer with much to do", "partner", "staff"],
)
def test_narrow_phone_with_large_text_shows_no_page_too_wide(stack, reader, address, paths, language):
    one = reader(address)
    speak(stack, address, language)
    detail_of = {"partner@demo.example": "/p/subscriptions/", "admin@demo.example": "/a/people/"}.get(address)
    if detail_of:
        links = one.open(detail_of).locator("tbody a").all()
        paths = [*paths, next(found for link in links if detail_of in (found := link.get_attribute("href") or ""))]
    one.page.set_viewport_size({"width": 320, "height": 640})
    wide = [path for path in paths if one.open(path).evaluate("document.documentElement.scrollWidth > innerWidth")]
    assert one.page.locator("html").get_attribute("lang") == language
    speak(stack, address, "en")
    assert wide == []


def test_control_a_field_of_a_fixed_height_is_found(reader):
    page = reader("customer@demo.example").open("/c/history/")
    assert page.evaluate(CUT) == []
    page.evaluate("document.querySelector('.filters select').style.height = '20px'")
    assert page.evaluate(CUT) == ["id_what is lower than its text"]
