"""The form for a proof: what the partner did, and where the customer signs. Filled with the data of a claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

FONTS = Path(__file__).with_name("fonts")
#: Rows to be filled in by hand.
ACTIVITIES = 4
ACCENT = (15, 108, 189)

Rows: TypeAlias = list[tuple[str, ...]]


@dataclass(frozen=True)
class ProofForm:
    """What is known of a claim. `units` are its workloads or subscriptions, by name."""

    claim: str
    program: str
    role: str
    partner: str
    mpn_id: str
    customer: str
    domain: str
    tenant_id: str
    units: Sequence[str]
    project: str = ""


@dataclass(frozen=True)
class Section:
    """A heading, what to do, and a table. In a table of facts, the first column is its heading; else the first row."""

    heading: str
    text: str
    rows: Rows
    is_facts: bool = True


def title() -> str:
    return _("Proof of execution")


def sections(form: ProofForm) -> list[Section]:
    """Return the form in the active language."""
    work = (_("Activity"), _("What was done"), _("From – to"), _("Document"))
    return [
        Section(
            _("1. Partner and customer"),
            _("Check that this is what the claim says."),
            [
                (_("Claim"), form.claim),
                (_("Programme and role"), f"{form.program}, {form.role}"),
                (_("Partner"), form.partner),
                (_("MPN ID"), form.mpn_id),
                (_("Customer"), form.customer),
                (_("Customer’s domain"), form.domain),
                (_("Customer’s tenant ID"), form.tenant_id),
                (_("Project (optional)"), form.project),
            ],
        ),
        Section(
            _("2. Acknowledgement by the customer"),
            _(
                "We confirm that the partner has done the work below for us. "
                "The date must be within the 12 months before the claim is submitted."
            ),
            [(_("Name"), ""), (_("Title"), ""), (_("Date"), ""), (_("Signature"), "")],
        ),
        Section(
            _("3. Activities and documents"),
            _("Describe what the partner did, and name the documents that show it."),
            [work, *([("", "", "", "")] * ACTIVITIES)],
            is_facts=False,
        ),
        Section(
            _("4. Products and workloads"),
            _("Say for each what the work was."),
            [(_("Product or workload"), _("Work")), *((unit, "") for unit in form.units)],
            is_facts=False,
        ),
    ]


def as_docx(form: ProofForm) -> bytes:
    """Return the form as a document of Word."""
    # Loaded when it is needed: both libraries take half a second and 60 MB, and most processes never write a form.
    import docx
    from docx.oxml.ns import qn
    from docx.shared import Pt, RGBColor

    document = docx.Document()
    about = document.core_properties
    about.title, about.author, about.comments, about.language = title(), form.partner, "", get_language() or ""
    about.created = timezone.now()
    style = document.styles["Normal"]
    style.font.name, style.font.size = "Inter", Pt(10)  # where it is not installed, Word takes its own
    for name in ("Title", "Heading 2"):
        heading = document.styles[name]
        heading.font.name, heading.font.color.rgb = "Inter", RGBColor(*ACCENT)
        heading.element.rPr.rFonts.attrib.clear()
        heading.element.rPr.rFonts.set(qn("w:ascii"), "Inter")
        heading.element.rPr.rFonts.set(qn("w:hAnsi"), "Inter")
    document.add_heading(title(), 0)
    for section in sections(form):
        document.add_heading(section.heading, 2)
        document.add_paragraph(section.text)
        table = document.add_table(0, len(section.rows[0]))
        table.style = "Table Grid"
        for number, row in enumerate(section.rows):
            for place, (cell, text) in enumerate(zip(table.add_row().cells, row, strict=True)):
                cell.paragraphs[0].add_run(text).bold = (place if section.is_facts else number) == 0
    out = BytesIO()
    document.save(out)
    return out.getvalue()


def as_pdf(form: ProofForm) -> bytes:
    """Return the form as PDF, in the typeface of our pages."""
    import fpdf  # loaded when it is needed, as above
    from fpdf.enums import TableBordersLayout
    from fpdf.fonts import FontFace

    page = fpdf.FPDF(format="A4")
    page.set_title(title())
    page.set_author(form.partner)
    page.set_lang(get_language() or "")
    page.set_creation_date(timezone.now())
    page.add_font("Inter", "", FONTS / "Inter-Regular.ttf")
    page.add_font("Inter", "B", FONTS / "Inter-SemiBold.ttf")
    page.set_margin(20)
    page.add_page()
    page.set_font("Inter", "B", 20)
    page.set_text_color(*ACCENT)
    page.multi_cell(0, 12, title(), new_x="LMARGIN", new_y="NEXT")
    for section in sections(form):
        page.ln(4)
        page.set_font("Inter", "B", 13)
        page.set_text_color(*ACCENT)
        page.multi_cell(0, 8, section.heading, new_x="LMARGIN", new_y="NEXT")
        page.set_font("Inter", "", 10)
        page.set_text_color(0)
        page.multi_cell(0, 5, section.text, new_x="LMARGIN", new_y="NEXT")
        page.ln(2)
        with page.table(
            borders_layout=TableBordersLayout.ALL,
            first_row_as_headings=not section.is_facts,
            headings_style=FontFace(emphasis="BOLD"),
            line_height=6,
            padding=1,
            text_align="LEFT",
            col_widths=(1, 2) if section.is_facts else None,
        ) as table:
            for values in section.rows:
                row = table.row()
                for place, text in enumerate(values):
                    row.cell(text, style=FontFace(emphasis="BOLD") if section.is_facts and place == 0 else None)
    return bytes(page.output())
