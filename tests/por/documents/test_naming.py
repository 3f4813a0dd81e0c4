"""How the name of an uploaded file is kept, and which names are refused."""

from __future__ import annotations

import random
import re

import pytest

from por.documents.kinds import Kind
from por.documents.naming import clean
from por.errors import Refused

REFUSED = {
    "name_path": ["../Proof.pdf", "/etc/Proof.pdf", "C:\\Users\\Proof.pdf", "a\\b.pdf", "c:Proof.pdf", "..", "", "  "],
    "name_control": [
        "Pro\0of.pdf",
        "Proof\n.pdf",
        "Proof\x1b[2J.pdf",
        "Proof\x7f.pdf",
        "Proof\u2028.pdf",
        "Proof\ud800.pdf",
    ],
    "direction_mark": [
        "Proof\u202efdp.exe.pdf",
        "\u200eProof.pdf",
        "Pro\u2067of.pdf",
        "Proof\u061c.pdf",
        "P\u202droof.pdf",
    ],
    "file_ending": [
        "Proof.exe",
        "Proof.docm",
        "Proof.xlsm",
        "Proof",
        ".pdf",
        "Proof.pdf.exe",
        "Proof.msg",
        "Proof.svg",
        "Proof.",
    ],
    "double_ending": [
        "Proof.exe.pdf",
        "Proof.docm.docx",
        "Proof.PDF.png",
        "Proof.html.eml",
        "Proof.zip .xlsx",
        "Proof.js.jpg",
    ],
    "name_too_long": [
        "a" * 147 + ".pdf",
        "å" * 200 + ".png",
        "a" * 5000 + ".eml",
        "𝄞" * 147 + ".jpg",
        "e\u0301" * 147 + ".pdf",
    ],
}


@pytest.mark.parametrize(("code", "name"), [(code, name) for code, names in REFUSED.items() for name in names])
def test_name_that_may_harm_or_mislead_is_refused(code: str, name: str) -> None:
    with pytest.raises(Refused) as refusal:
        clean(name)
    assert (refusal.value.code, refusal.value.field) == (code, "file")


@pytest.mark.parametrize(
    ("name", "kept", "kind"),
    [
        ("Proof of execution.pdf", "Proof of execution.pdf", Kind.PDF),
        (" Godka\u0308nnande.DOCX ", "Godkännande.DOCX", Kind.DOCX),
        ("mail from contoso.com.eml", "mail from contoso.com.eml", Kind.EML),
        ("v1.2 final.JPEG", "v1.2 final.JPEG", Kind.JPG),
        ("pro\u200bof.png", "proof.png", Kind.PNG),
        ("合同 (3).xlsx", "合同 (3).xlsx", Kind.XLSX),
        ("a" * 146 + ".pdf", "a" * 146 + ".pdf", Kind.PDF),
    ],
)
def test_good_name_is_kept(name: str, kept: str, kind: Kind) -> None:
    assert clean(name) == (kept, kind)


def test_no_name_of_ten_thousand_becomes_a_path_or_cannot_be_stored() -> None:
    chance = random.Random(11)
    alphabet = "ab.. /\\:\0\n\u202e\u200b\ud800é\u0301😀pdf"
    for _ in range(10_000):
        try:
            name, _kind = clean("".join(chance.choices(alphabet, k=chance.randint(0, 12))) + ".pdf")
        except Refused:
            continue
        assert not re.search(r"[/\\\0-\x1f\u200b\u202e\ud800]", name)
        name.encode()
