"""A programme administrator maps an export by hand, tries it, imports it, and the next one is known."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.journeys.test_staff import BOSS

pytestmark = pytest.mark.journey

TENANTS = ("0e2f6f52-5d0c-4a30-9d55-1d1f3f1f8b11", "0e2f6f52-5d0c-4a30-9d55-1d1f3f1f8c11")


#: What the text of the mapping says.
KEPT = re.compile(r"title: Licences .*subscription_id: Licens-ID.*words:.*suspended:\n\s+- Vilande", re.DOTALL)


def export(way: str, tenant: str, month: str = "03") -> bytes:
    """Return a list of licences as a distributor writes it, of one customer."""
    header = "Kund-ID;Kundnamn;Licens-ID;Antal;Läge;Produktnamn;Start;Förnyas;Kommentar"
    licences = [f"{tenant[:-2]}{number}" for number in (21, 22, 23)]
    rows = [
        f"{tenant};Alm {way} AB;{licences[0]};1 250;Löpande;Microsoft 365 E3;01/{month}/2024;01/{month}/2027;",
        f"{tenant};Alm {way} AB;{licences[1]};12,0;Vilande;Azure;02/{month}/2024;;betalar sent",
        f"{tenant};Alm {way} AB;{licences[2]};3;Avslutad;EMS;02/{month}/2024;;",
    ]
    return "\r\n".join([header, *rows, ""]).encode("utf-8-sig")


@pytest.mark.parametrize("phone", [False, True], ids=["desk, with scripts", "phone, dark, without scripts"])
def test_an_unknown_export_is_mapped_by_hand_and_the_next_one_is_known(stack, visitor, phone):
    way, tenant = ("phone", TENANTS[0]) if phone else ("desk", TENANTS[1])
    boss = visitor(BOSS, phone=phone, dark=phone, scripts=not phone)
    page = boss.open("/a/loads/")
    shots = os.environ.get("SHOTS", "")

    def look(name: str) -> None:
        if not phone:
            boss.look()
        if shots:
            page.screenshot(path=Path(shots) / f"{name}-{way}.png", full_page=True)

    def upload(name: str, content: bytes) -> None:
        boss.open("/a/loads/")
        page.locator("input[type=file]").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content})
        page.get_by_role("button", name="Upload").click()

    def choose(name: str, column: str) -> None:
        page.locator(f"[name=from_{name}]").select_option(column)

    def start() -> None:
        for _try in range(60):
            if page.get_by_role("heading", name="Report", exact=True).count():
                return
            page.wait_for_timeout(500)
            page.reload()

    # Customers first, then their licences, from the same file.
    upload(f"Licenser {way}.csv", export(way, tenant))
    expect(page.get_by_role("heading", name="We do not know this file. What is in it?")).to_be_visible()
    look("unknown")
    page.get_by_label("Each row is about").select_option("customers.csv")
    page.get_by_role("button", name="Choose columns").click()
    expect(page.locator("[name=from_tenant_id]")).to_have_value("Kund-ID")
    page.get_by_label("Take the first").check()
    page.get_by_label("Name of the mapping").fill(f"Licences {way}")
    look("customers")
    page.get_by_role("button", name="Continue, then map another table").click()

    expect(page.get_by_role("heading", name=f"This file is read as: Licences {way}")).to_be_visible()
    look("another")
    page.get_by_label("Each row is about").select_option("subscriptions.csv")
    page.get_by_role("button", name="Choose columns").click()
    for ours, theirs in {"subscription_id": "Licens-ID", "status": "Läge", "product": "Produktnamn"}.items():
        choose(ours, theirs)
    choose("started_on", "Start")
    choose("renews_on", "Förnyas")
    page.locator("[name=value_agreement]").select_option("CSP")
    look("columns")
    page.get_by_role("button", name="Continue", exact=True).click()

    expect(page.get_by_role("heading", name="Läge: which status is it?")).to_be_visible()
    page.get_by_label("Löpande").select_option("active")
    page.get_by_label("Vilande").select_option("suspended")
    page.get_by_label("Avslutad").select_option("no row")
    page.get_by_label("Microsoft 365 E3").select_option("office365")
    page.get_by_label("The day: 31/12/2026").check()
    look("values")
    page.get_by_role("button", name="Save, and start the dry run").click()

    start()
    expect(page.get_by_text("This was a dry run, so nothing was saved.")).to_be_visible()
    expect(page.get_by_text("These columns of", exact=False)).to_contain_text("Kommentar")
    look("report")
    page.get_by_role("button", name="Import these files now").click()
    start()
    expect(page.get_by_role("row", name="All files")).to_contain_text("3")

    # The next month's file is known, and nothing is asked.
    upload(f"Licenser {way} april.csv", export(way, tenant))
    start()
    expect(page.get_by_text(f"is read as: Licences {way}.")).to_be_visible()
    expect(page.get_by_text("Nothing has changed.")).to_be_visible()

    page.goto(stack.url + "/a/loads/mappings/")
    look("mappings")
    page.get_by_role("link", name=f"Licences {way}").click()
    expect(page.get_by_label("Mapping (YAML)")).to_have_value(KEPT)
    look("mapping")
    page.get_by_role("button", name="Remove mapping").click()
    expect(page.get_by_text("Mapping removed.")).to_be_visible()
