"""The form for a proof is filled with a claim's data, in both languages, as DOCX and as PDF."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import docx
import pypdf
import pytest
from django.utils import translation

from por.documents.checking import check
from por.documents.previewing import draw
from por.documents.proof_forms import ProofForm, as_docx, as_pdf

FORM = ProofForm(
    claim="CPOR-000123 Åre skidor – Exchange",
    program="Online Services Usage (Microsoft 365)",
    role="usage",
    partner="Räksmörgås & Söner <AB>",
    mpn_id="1234567",
    customer="Åre Älg Ök",
    domain="are.example",
    tenant_id="5f0c1b4e-4f3a-4d6e-9a55-0a8f8f3f5a11",
    units=["Exchange Online", "Microsoft Teams"],
)


def words_of_docx(content: bytes) -> str:
    document = docx.Document(BytesIO(content))
    cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    return " ".join(" ".join([*(paragraph.text for paragraph in document.paragraphs), *cells]).split())


def words_of_pdf(content: bytes) -> str:
    return " ".join(" ".join(page.extract_text() for page in pypdf.PdfReader(BytesIO(content)).pages).split())


BOTH = [pytest.param(as_docx, words_of_docx, "docx", id="docx"), pytest.param(as_pdf, words_of_pdf, "pdf", id="pdf")]
Write = Callable[[ProofForm], bytes]
Words = Callable[[bytes], str]


@pytest.mark.parametrize(("write", "words", "ending"), BOTH)
@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", ["Proof of execution", "2. Acknowledgement by the customer", "within the 12 months", "Signature"]),
        ("sv", ["Bevis på utfört arbete", "2. Kundens bekräftelse", "inom de 12 månader", "Underskrift"]),
    ],
)
def test_form_has_the_data_of_the_claim_in_both_languages(
    write: Write, words: Words, ending: str, language: str, said: list[str]
) -> None:
    with translation.override(language):
        found = words(write(FORM))
    known = [
        FORM.claim,
        FORM.program,
        FORM.partner,
        FORM.mpn_id,
        FORM.customer,
        FORM.domain,
        FORM.tenant_id,
        *FORM.units,
    ]
    assert [one for one in said + known if one not in found] == []


def test_form_itself_may_be_uploaded() -> None:
    assert check(BytesIO(as_docx(FORM)), "Form.docx").facts["author"] == FORM.partner


@pytest.mark.parametrize(("write", "words", "ending"), BOTH)
def test_form_of_many_units_and_long_names_is_complete(write: Write, words: Words, ending: str) -> None:
    units = [f"Subscription {number} of a very long product name" for number in range(100)]
    found = words(write(replace(FORM, units=units, customer="Ö" * 300, project="x" * 300)))
    assert [one for one in units if one not in found] == []
    assert found.replace(" ", "").count("Ö" * 300) == 1


def test_pdf_may_be_uploaded_is_in_our_typeface_and_can_be_drawn() -> None:
    content = as_pdf(FORM)
    fonts = pypdf.PdfReader(BytesIO(content)).pages[0]["/Resources"]["/Font"]
    assert {str(font.get_object()["/BaseFont"]).rpartition("+")[2] for font in fonts.values()} == {"Inter"}
    checked = check(BytesIO(content), "a.pdf")
    assert checked.facts["author"] == FORM.partner
    assert draw(BytesIO(content), checked.kind)
