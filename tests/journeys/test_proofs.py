"""A partner uploads proof of a claim, with and without scripts, cancels an upload, and drops a file on the form."""

from __future__ import annotations

import datetime

import pytest
from playwright.sync_api import expect

from tests.files import SAMPLES
from tests.journeys.test_attach import NILS

pytestmark = pytest.mark.journey

TODAY = datetime.datetime.now(datetime.UTC).date().isoformat()
#: Puts a file on the form as a person does who drags it there.
DROP = """
(form) => {
  const files = new DataTransfer();
  files.items.add(new File(["%PDF-1.7 nothing"], "dropped.pdf", { type: "application/pdf" }));
  form.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
}
"""


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_proof_is_uploaded_scanned_and_looked_at(stack, visitor, scripts):
    nils = visitor(NILS, scripts=scripts)
    page = nils.open(f"/p/claims/{stack.claims.pop()}/proofs/")
    if scripts:
        nils.look()
    page.locator("input[type=file]").set_input_files([SAMPLES / "typst.pdf", SAMPLES / "libreoffice.docx"])
    page.get_by_label("Date of the customer’s acknowledgement").fill(TODAY)
    page.get_by_role("button", name="Upload").click()

    expect(page.get_by_text("2 files uploaded. They are being scanned.")).to_be_visible()
    assert page.url.endswith("/proofs/")
    view = page.get_by_role("link", name="View typst.pdf")
    for _ in range(60):
        if view.count():
            break
        page.wait_for_timeout(500)
        page.reload()
    expect(page.get_by_text("Not scanned").first).to_be_visible()
    view.click()
    expect(page.get_by_role("img", name="Page 1")).to_be_visible()
    assert page.get_by_role("img", name="Page 1").evaluate("image => image.naturalWidth") > 500
    if scripts:
        nils.look()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download", exact=True).click()
    assert download.value.suggested_filename == "typst.pdf"
    assert download.value.path().read_bytes() == (SAMPLES / "typst.pdf").read_bytes()


def test_upload_can_be_cancelled_and_what_is_wrong_is_said(stack, visitor):
    nils = visitor(NILS)
    page = nils.open(f"/p/claims/{stack.claims.pop()}/proofs/")
    page.locator("[data-upload]").evaluate(DROP)
    page.get_by_label("Date of the customer’s acknowledgement").fill(TODAY)
    page.route("**/proofs/", lambda route: None)  # a slow line
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Upload cancelled.")).to_be_visible()
    page.unroute("**/proofs/")

    page.get_by_role("button", name="Upload").click()

    expect(page.get_by_role("heading", name="There is a problem")).to_be_visible()
    expect(page.get_by_text("The file is not complete").first).to_be_visible()
    nils.look()
    expect(page.get_by_text("No files yet")).to_be_visible()
