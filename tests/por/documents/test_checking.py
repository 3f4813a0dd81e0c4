"""Which files may be kept as a proof: the content decides, in a child process of its own."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from django.utils import translation

from por.documents import children
from por.documents.checking import Checked, check
from por.documents.child import looking
from por.documents.child.faults import Fault
from por.documents.kinds import CONTENT_TYPES, ENDINGS, LARGEST, MB, Kind
from por.documents.refusals import SENTENCES, refusal
from por.errors import Refused
from tests.por.documents import bad
from tests.por.documents.archives import SAMPLES
from tests.por.documents.some import first_of_each

GOOD = sorted(path for path in SAMPLES.iterdir() if path.suffix != ".md")
BAD = dict(bad.every())


def facts_of(content: bytes) -> tuple[Kind, dict[str, Any]]:
    return looking.look_into(memoryview(content), BytesIO(content))


def look(content: bytes) -> str:
    """Return what the child would answer, without a process: the type of the file, or the code of its refusal."""
    try:
        return facts_of(content)[0]
    except Fault as fault:
        return fault.code


def refused(content: bytes, name: str) -> str:
    with pytest.raises(Refused) as refusal:
        check(BytesIO(content), name)
    assert refusal.value.field == "file"
    return refusal.value.code


# --- Good files -----------------------------------------------------------------------------------------------------


def test_there_are_thirty_good_files_and_each_has_an_origin() -> None:
    assert len(GOOD) >= 30
    assert {path.suffix[1:] for path in GOOD} == set(Kind)
    told = (SAMPLES / "README.md").read_text(encoding="utf-8")
    assert [
        path.name for path in GOOD if path.name not in told and path.stem.split("-")[0].split(".")[0] not in told
    ] == []


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_content_of_a_real_program_is_accepted(path: Path) -> None:
    assert look(path.read_bytes()) == ENDINGS[path.suffix[1:]]


@pytest.mark.parametrize("path", first_of_each(GOOD, lambda path: path.suffix, lambda path: path.name))
def test_file_of_a_real_program_is_accepted_by_the_child(path: Path) -> None:
    with path.open("rb") as file:
        checked = check(file, path.name)
    assert checked.kind == ENDINGS[path.suffix[1:]]
    assert (checked.name, checked.size) == (path.name, path.stat().st_size)
    assert checked.content_type == CONTENT_TYPES[checked.kind]


def test_file_in_memory_is_checked_as_one_on_disk() -> None:
    checked = check(BytesIO(bad.sample("reportlab.pdf")), "Invoice.pdf")
    assert checked.facts == {
        "pages": 2,
        "title": "Invoice 4711",
        "author": "anonymous",
        "producer": "ReportLab PDF Library - (opensource)",
    }


def test_mail_tells_who_wrote_it_and_what_is_attached() -> None:
    facts = check(BytesIO(bad.sample("python-email.eml")), "mail.EML").facts
    assert facts["subject"] == "Godkännande av arbetet"
    assert [(one["name"], one["kind"]) for one in facts["attachments"]] == [
        ("Faktura å.pdf", "pdf"),
        ("plan.xlsx", "xlsx"),
    ]


def test_mail_to_thousands_is_accepted() -> None:
    recipients = ",\n ".join(f'"Person {number}" <person{number}@contoso.example>' for number in range(10_000))
    content = bad.mail().replace(b"Date:", f"To: {recipients}\nDate:".encode(), 1)
    assert facts_of(content)[1]["recipients"].startswith('"Person 0" <person0@')


@pytest.mark.parametrize("sender", ["=?utf-9?q?a?= <a@b.example>", "=?utf-8?b?a?=", "a b: c, d;", "\udcff", "<<>>@,;"])
def test_mail_with_an_odd_sender_is_accepted(sender: str) -> None:
    content = bad.mail().replace(b"a@b.example", sender.encode("utf-8", "surrogateescape"), 1)
    assert facts_of(content)[1]["sender"]


def test_child_that_opens_nothing_knows_odd_encodings() -> None:
    content = bad.mail().replace(b"a@b.example", b"=?utf-9?q?a?= <a@b.example>", 1)
    content = content.replace(b"Date:", b"To: =?iso-2022-jp?b?GyRCRnxLXBsoQg==?=\nDate:", 1)
    facts = check(BytesIO(content), "mail.eml").facts
    assert (facts["sender"], facts["recipients"]) == ("=?utf-9?q?a?= <a@b.example>", "日本")


def test_encoded_name_of_an_attachment_is_decoded() -> None:
    content = bad.mail(("a.pdf", bad.sample("typst.pdf"))).replace(b'"a.pdf"', b'"=?utf-8?q?Avtal_=C3=A5.pdf?="')
    assert [one["name"] for one in facts_of(content)[1]["attachments"]] == ["Avtal å.pdf"]


def test_attachments_of_a_forwarded_mail_are_listed() -> None:
    facts = facts_of(bad.sample("python-email-forwarded.eml"))[1]
    assert [one["kind"] for one in facts["attachments"]] == ["pdf", "xlsx"]


def test_long_attachment_is_put_together_from_its_lines() -> None:
    whole = bad.mail(("scan.pdf", bad.sample("libreoffice-writer.pdf")), ("again.pdf", bad.sample("chromium.pdf")))
    assert [one["size"] for one in facts_of(whole)[1]["attachments"]] == [
        len(bad.sample("libreoffice-writer.pdf")),
        len(bad.sample("chromium.pdf")),
    ]


def test_mail_of_the_largest_size_is_read_within_the_memory_of_a_child() -> None:
    """A PDF of 17 MB is 24 MB in a mail, and the child may have 110 MB of addresses, of which 45 are its code."""
    document = pikepdf.open(SAMPLES / "reportlab.pdf")
    document.pages[0].obj["/Noise"] = pikepdf.Stream(document, random.Random(1).randbytes(17 * MB))
    out = BytesIO()
    document.save(out)
    mail = bad.mail(("a.pdf", out.getvalue()))
    assert 22 * MB < len(mail) < LARGEST
    assert check(BytesIO(mail), "a.eml").facts["attachments"][0]["size"] == len(out.getvalue())


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"JVBERi0", b"JVBERi0=", "file_truncated"),  # an end in the middle: others may read on
        (b"JVBERi0", b"=JVBERi0", "file_truncated"),
        (b"JVBERi0", b"JVBERi0xx", "file_truncated"),  # half of four characters at the end
        (b"JVBERi0", b"JVBE Ri0!", "eml"),  # what is no base64 is passed over, as programs for mail do
    ],
)
def test_attachment_is_what_every_program_reads(old: bytes, new: bytes, code: str) -> None:
    for name in ("fpdf2.pdf", "libreoffice-writer.pdf"):
        content = bad.mail(("a.pdf", bad.sample(name)))
        assert content.count(old) == 1
        assert look(content.replace(old, new)) == code


def test_what_a_file_says_of_itself_has_no_unseen_characters() -> None:
    mail = bad.mail(Subject="a\u202eb\u200bc" + "d" * 999)
    assert facts_of(mail)[1]["subject"] == ("a b c" + "d" * 999)[:200]


# --- Bad files ------------------------------------------------------------------------------------------------------


def test_there_are_five_bad_files_of_each_kind() -> None:
    assert {kind: len(files) for kind, files in bad.KINDS.items() if len(files) < 5} == {}


@pytest.mark.parametrize("what", [name for name in BAD if not name.startswith("empty")])
def test_bad_file_is_refused_for_what_is_wrong_with_it(what: str) -> None:
    _what, _ending, make, code = BAD[what]
    assert look(make()) == code


FIRST = [next(name for name in BAD if name.startswith(kind)) for kind in bad.KINDS]


@pytest.mark.parametrize(
    "what",
    [*(f"empty: nothing {ending}" for ending in Kind), *first_of_each(FIRST, lambda what: what.rpartition(" ")[2])],
)
def test_bad_file_is_refused_by_the_child_with_a_sentence(what: str) -> None:
    _what, ending, make, code = BAD[what]
    assert refused(make(), f"Proof.{ending}") == code


@pytest.mark.parametrize(
    "name", ["typst.pdf", "ghostscript.png", "pillow-progressive.jpg", "libreoffice.docx", "python-email.eml"]
)
def test_file_cut_at_any_byte_is_refused(name: str) -> None:
    whole = bad.sample(name)
    assert look(whole) == name.rpartition(".")[2]
    places = {*range(1, 300), *range(300, len(whole) - 300, 197), *range(len(whole) - 300, len(whole))}
    accepted = [place for place in sorted(places) if place < len(whole) and look(whole[:place]) in set(Kind)]
    line_end = len(whole) - len(whole.rstrip(b"\n"))
    assert len(accepted) <= line_end, accepted  # only without the line end behind its last mark


def test_file_of_another_type_than_its_name_says_is_refused() -> None:
    assert refused(bad.sample("libreoffice.docx"), "Proof.xlsx") == "wrong_ending"
    assert refused(bad.sample("python-email.eml"), "Proof.pdf") == "wrong_ending"


def test_too_large_a_file_is_refused_before_it_is_read() -> None:
    with tempfile.TemporaryFile() as file:
        file.truncate(LARGEST + 1)
        with pytest.raises(Refused) as refusal:
            check(file, "Scan.pdf")
    assert refusal.value.code == "file_too_large"
    assert "25 MB" in str(refusal.value)


def test_attachment_that_is_meant_is_named() -> None:
    with pytest.raises(Refused, match=r"^run\.pdf in the mail: The attachment is of no type"):
        check(BytesIO(bad.mail(("run.pdf", b"MZ\x90\0"))), "a.eml")


def test_every_refusal_has_a_sentence_in_both_languages() -> None:
    codes = {one[3] for one in BAD.values()} | {"file_too_large", "wrong_ending", "file_damaged"}
    assert codes == set(SENTENCES)
    details = {"named": "PDF", "found": "PNG"}
    english = {code: str(refusal(code, details)) for code in SENTENCES}
    with translation.override("sv"):
        swedish = {code: str(refusal(code, details)) for code in SENTENCES}
    assert [code for code in SENTENCES if english[code] == swedish[code]] == []


def test_two_readers_agree_on_good_pdfs() -> None:
    """pypdf is the referee: another reader finds the same pages and nothing that is encrypted."""
    from pypdf import PdfReader

    for path in GOOD:
        if path.suffix == ".pdf":
            _kind, facts = facts_of(path.read_bytes())
            other = PdfReader(path)
            assert (len(other.pages), other.is_encrypted, list(other.attachments)) == (facts["pages"], False, [])


# --- The child ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [{"output": 0}, {"patience": 0}])
def test_child_that_dies_refuses_its_file_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, limits: dict[str, int]
) -> None:
    content = bad.objects(10_000)
    monkeypatch.setattr(children, "LOOK", replace(children.LOOK, **limits))
    assert refused(content, "a.pdf") == "file_too_complex"
    monkeypatch.undo()
    assert isinstance(check(BytesIO(content), "a.pdf"), Checked)


@pytest.mark.parametrize(
    "attempt",
    [
        "__import__('socket').socket()",
        "open('/etc/passwd')",
        "open('/tmp/por-escape', 'w')",
        "__import__('os').pipe()",
        "__import__('subprocess').Popen(['true'], stdin=-1)",
        "bytearray(300_000_000)",
        "__import__('resource').setrlimit(__import__('resource').RLIMIT_CORE, (1, 1)) or 1/0",
    ],
)
def test_limited_child_reaches_nothing(attempt: str, run_child: Callable[[str], int]) -> None:
    assert run_child("1 + 1") == 0
    assert run_child(attempt) != 0


def test_limited_child_that_never_ends_is_ended(run_child: Callable[[str], int]) -> None:
    assert run_child("exec('while True: pass')") < 0


def test_child_knows_no_secret(run_child: Callable[[str], int]) -> None:
    assert run_child("1 / (not {'SECRET_KEY', 'DATABASE_URL', 'REDIS_URL'} & set(__import__('os').environ))") == 0
