"""Files that no one may upload as a proof, made anew for each test: at least five of each kind."""

from __future__ import annotations

import gzip
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.message import EmailMessage
from io import BytesIO
from zipfile import ZipFile

import pikepdf
from pikepdf import Array, Dictionary, Name, String

from tests.por.documents.archives import DOCX, SAMPLES, XLSX, Entry, archive, changed, entries, overlapping, quoted

#: What is wrong, a name for the test, the ending of the file, its content, and the code of the refusal.
Bad = tuple[str, str, Callable[[], bytes], str]


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


# --- PDF


def pdf(change: Callable[[pikepdf.Pdf], object] | None = None, **saving: object) -> bytes:
    document = pikepdf.open(SAMPLES / "reportlab.pdf")
    if change:
        change(document)
    out = BytesIO()
    document.save(out, **saving)
    return out.getvalue()


def script(document: pikepdf.Pdf) -> Dictionary:
    return Dictionary(S=Name.JavaScript, JS=String("app.alert(1)"))


def opens_with(action: Callable[[pikepdf.Pdf], object]) -> Callable[[], bytes]:
    return lambda: pdf(lambda document: setattr(document.Root, "OpenAction", action(document)))


def of_page(key: str, value: Callable[[pikepdf.Pdf], object], **saving: object) -> Callable[[], bytes]:
    return lambda: pdf(lambda document: document.pages[0].__setitem__(key, value(document)), **saving)


def annotation(**entries: object) -> Callable[[pikepdf.Pdf], object]:
    return lambda document: Array([document.make_indirect(Dictionary(Type=Name.Annot, Rect=[0, 0, 9, 9], **entries))])


def attached(document: pikepdf.Pdf) -> None:
    document.attachments["secret.txt"] = b"hidden"


def without_text(old: bytes, new: bytes) -> bytes:
    """Return a PDF whose bytes are changed in place, so that its table stays right."""
    assert len(old) == len(new)
    content = pdf(lambda document: setattr(document.Root, "OpenAction", Dictionary(S=Name.GoToX, XX=String("x"))))
    assert old in content
    return content.replace(old, new)


SCRIPTS: list[Bad] = [
    ("opened", "pdf", opens_with(script), "pdf_script"),
    ("page", "pdf", of_page("/AA", lambda document: Dictionary(O=script(document))), "pdf_script"),
    (
        "named",
        "pdf",
        lambda: pdf(lambda one: setattr(one.Root, "Names", Dictionary(JavaScript=Dictionary(Names=[])))),
        "pdf_script",
    ),
    (
        "packed",
        "pdf",
        of_page(
            "/AA",
            lambda one: Dictionary(O=one.make_indirect(script(one))),
            object_stream_mode=pikepdf.ObjectStreamMode.generate,
        ),
        "pdf_script",
    ),
    (
        "escaped",
        "pdf",
        lambda: without_text(b"/XX (x)", b"/#4aS()"),
        "pdf_script",
    ),
    (
        "xfa",
        "pdf",
        lambda: pdf(lambda one: setattr(one.Root, "AcroForm", Dictionary(Fields=[], XFA=String("x")))),
        "pdf_script",
    ),
    (
        "unused",
        "pdf",
        lambda: pdf().replace(b"\nstartxref", b"\n99 0 obj <</S/JavaScript>> endobj\nstartxref"),
        "pdf_script",
    ),
    ("launch", "pdf", opens_with(lambda _: Dictionary(S=Name.Launch, F=String("cmd.exe"))), "pdf_action"),
    (
        "sends",
        "pdf",
        of_page("/Annots", annotation(Subtype=Name.Link, A=Dictionary(S=Name.SubmitForm, F=String("http://x")))),
        "pdf_action",
    ),
    ("media", "pdf", of_page("/Annots", annotation(Subtype=Name.RichMedia)), "pdf_action"),
    ("elsewhere", "pdf", of_page("/Annots", annotation(Subtype=Name.Link, A=Dictionary(S=Name.GoToE))), "pdf_action"),
]
EMBEDDED: list[Bad] = [
    ("attached", "pdf", lambda: pdf(attached), "pdf_embedded_file"),
    ("packed", "pdf", lambda: pdf(attached, object_stream_mode=pikepdf.ObjectStreamMode.generate), "pdf_embedded_file"),
    ("clip", "pdf", of_page("/Annots", annotation(Subtype=Name.FileAttachment)), "pdf_embedded_file"),
    (
        "associated",
        "pdf",
        of_page("/AF", lambda _: Array([Dictionary(Type=Name.Filespec, EF=Dictionary())])),
        "pdf_embedded_file",
    ),
    (
        "portfolio",
        "pdf",
        lambda: pdf(lambda one: setattr(one.Root, "Collection", Dictionary(View=Name.D))),
        "pdf_embedded_file",
    ),
    (
        "unused",
        "pdf",
        lambda: pdf().replace(b"\nstartxref", b"\n99 0 obj <</Type/EmbeddedFile>> endobj\nstartxref"),
        "pdf_embedded_file",
    ),
]

# --- Whole and open


def mail(*parts: tuple[str, bytes], **headers: str) -> bytes:
    message = EmailMessage()
    for name, value in {"From": "a@b.example", "Date": "Mon, 02 Mar 2020 10:00:00 +0100", **headers}.items():
        message[name.replace("_", "-")] = value
    message.set_content("Hello")
    for name, content in parts:
        message.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return bytes(message)


WHOLE = {
    "pdf": "typst.pdf",
    "docx": "libreoffice.docx",
    "xlsx": "libreoffice.xlsx",
    "png": "ghostscript.png",
    "jpg": "poppler.jpg",
    "eml": "python-email.eml",
}
EMPTY: list[Bad] = [("nothing", ending, lambda: b"", "file_empty") for ending in WHOLE]
#: Sent half-way: of each type, at five places.
TRUNCATED: list[Bad] = [
    (
        f"at {share}",
        ending,
        lambda name=name, share=share: sample(name)[: int(len(sample(name)) * share)],
        "file_truncated",
    )  # type: ignore[misc]
    for ending, name in WHOLE.items()
    for share in (0.2, 0.5, 0.8, 0.97)
]


def old_office(*streams: str) -> bytes:
    """Return what an old or an encrypted file of Office begins as: a compound file with streams of these names."""
    return (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
        + bytes(1000)
        + b"".join(one.encode("utf-16-le") + bytes(64) for one in streams)
    )


def locked(**how: object) -> Callable[[], bytes]:
    return lambda: pdf(encryption=pikepdf.Encryption(owner="owner", **how))


def of_type(content_type: str) -> bytes:
    return (
        b"From: a@b.example\nDate: Mon, 02 Mar 2020 10:00:00 +0100\nContent-Type: "
        + content_type.encode()
        + b"\n\nabc\n"
    )


ENCRYPTED: list[Bad] = [
    ("rc4", "pdf", locked(user="secret", R=3, aes=False, metadata=False), "file_encrypted"),
    ("aes 128", "pdf", locked(user="secret", R=4), "file_encrypted"),
    ("aes 256", "pdf", locked(user="secret", R=6), "file_encrypted"),
    ("that everyone opens", "pdf", locked(user="", R=6), "file_encrypted"),
    ("office", "docx", lambda: old_office("EncryptionInfo", "EncryptedPackage"), "file_encrypted"),
    ("office", "xlsx", lambda: old_office("DataSpaces", "EncryptedPackage"), "file_encrypted"),
    ("zip", "docx", lambda: archive(replace(one, flags=1) for one in entries(DOCX)), "file_encrypted"),
    (
        "pgp",
        "eml",
        lambda: of_type('multipart/encrypted; boundary="x"').replace(b"abc", b"--x\n\nabc\n--x--"),
        "file_encrypted",
    ),
    ("smime", "eml", lambda: of_type("application/pkcs7-mime; smime-type=enveloped-data"), "file_encrypted"),
]

# --- Two in one


def zipped() -> bytes:
    out = BytesIO()
    with ZipFile(out, "w") as inner:
        inner.writestr("run.exe", b"MZ")
    return out.getvalue()


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    written = [
        struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def picture(width: int = 8, height: int = 8, pixels: bytes | None = None, *extra: tuple[bytes, bytes]) -> bytes:
    header = struct.pack(">2L5B", width, height, 8, 0, 0, 0, 0)
    content = zlib.compress(bytes(height * (width + 1))) if pixels is None else pixels
    return png((b"IHDR", header), *extra, (b"IDAT", content), (b"IEND", b""))


def disc(content: bytes) -> bytes:
    return content.ljust(0x8001, b"\n") + b"CD001" + content[-40:]


POLYGLOT: list[Bad] = [
    ("zip behind", "pdf", lambda: sample("typst.pdf") + zipped(), "file_polyglot"),
    ("zip behind", "png", lambda: sample("ghostscript.png") + zipped(), "file_polyglot"),
    ("zip behind", "jpg", lambda: sample("poppler.jpg") + zipped(), "file_polyglot"),
    ("zip behind", "eml", lambda: sample("python-email.eml") + zipped(), "file_polyglot"),
    (
        "zip inside",
        "pdf",
        lambda: pdf(lambda one: setattr(one.Root, "X", one.make_stream(zipped())), compress_streams=False),
        "file_polyglot",
    ),
    ("program behind", "png", lambda: picture() + b"MZ\x90\0", "file_polyglot"),
    ("program behind", "jpg", lambda: sample("poppler.jpg") + b"\x7fELF", "file_polyglot"),
    ("page in front", "pdf", lambda: pdf().replace(b"%\xbf\xf7\xa2\xfe", b"%<script>"), "file_polyglot"),
    ("page within", "jpg", lambda: with_comment(b"<html><script>alert(1)</script>"), "file_polyglot"),
    ("pdf in front", "docx", lambda: archive([Entry(b"%PDF-1.4", b""), *entries(DOCX)]), "file_polyglot"),
    ("pdf within", "jpg", lambda: with_comment(b"%PDF-1.7 1 0 obj"), "file_polyglot"),
    ("pdf within", "png", lambda: picture(8, 8, None, (b"tEXt", b"Comment\0%PDF-1.7")), "file_polyglot"),
    ("between", "docx", lambda: archive(entries(DOCX), between=b"#!/bin/sh\n".ljust(99)), "file_polyglot"),
    ("behind", "xlsx", lambda: sample("libreoffice.xlsx") + b"MZ", "file_polyglot"),
    ("behind the end", "pdf", lambda: sample("typst.pdf") + b"MZ\x90\0", "file_polyglot"),
    ("far behind the end", "pdf", lambda: sample("typst.pdf") + bytes(5000), "file_polyglot"),
    ("in the pixels", "png", lambda: picture(8, 8, zlib.compress(bytes(72)) + b"MZ"), "file_polyglot"),
    ("tape", "jpg", lambda: with_comment(b"\0" * 210 + b"ustar" * 10), "file_polyglot"),
    ("rar within", "jpg", lambda: with_comment(b"\0" * 2000 + b"Rar!\x1a\x07\0"), "file_polyglot"),
]


def with_comment(comment: bytes) -> bytes:
    """Return a JPEG with a comment at its beginning; what should lie at byte 257 is moved there."""
    whole = sample("poppler.jpg")
    shift = (257 - 6 - comment.find(b"ustar")) if b"ustar" in comment else 0
    comment = b"\0" * max(shift, 0) + comment
    return whole[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + whole[2:]


# --- Office

_MAIN = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
_BOOK = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
_TYPE = b"</Types>"
_RELATION = b"</Relationships>"


def external(kind: str) -> bytes:
    attributes = f'Id="rX" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}"'
    return changed(
        DOCX,
        swap=(_RELATION, f'<Relationship {attributes} Target="http://x" TargetMode="External"/>'.encode() + _RELATION),
    )


MACRO: list[Bad] = [
    (
        "docm",
        "docx",
        lambda: changed(DOCX, swap=(_MAIN, b"application/vnd.ms-word.document.macroEnabled.main+xml")),
        "file_macro",
    ),
    (
        "xlsm",
        "xlsx",
        lambda: changed(XLSX, swap=(_BOOK, b"application/vnd.ms-excel.sheet.macroEnabled.main+xml")),
        "file_macro",
    ),
    ("project", "docx", lambda: changed(DOCX, extra={"word/vbaProject.bin": b"x"}), "file_macro"),
    ("project elsewhere", "xlsx", lambda: changed(XLSX, extra={"customXml/VBAProject.BIN": b"x"}), "file_macro"),
    (
        "renamed project",
        "docx",
        lambda: changed(
            DOCX, swap=(_TYPE, b'<Override PartName="/a" ContentType="application/vnd.ms-office.vbaProject"/></Types>')
        ),
        "file_macro",
    ),
    ("sheet of 1992", "xlsx", lambda: changed(XLSX, extra={"xl/macrosheets/sheet1.xml": b"<a/>"}), "file_macro"),
    ("control", "docx", lambda: changed(DOCX, extra={"word/activeX/activeX1.xml": b"<a/>"}), "file_macro"),
    ("in a mail", "eml", lambda: mail(("a.docx", changed(DOCX, extra={"word/vbaProject.bin": b"x"}))), "file_macro"),
]
OFFICE: list[Bad] = [
    (
        "ole",
        "docx",
        lambda: changed(DOCX, extra={"word/embeddings/oleObject1.bin": old_office("Ole10Native")}),
        "office_embedded",
    ),
    ("program", "xlsx", lambda: changed(XLSX, extra={"xl/media/image1.png": b"MZ\x90\0"}), "office_embedded"),
    ("pdf", "docx", lambda: changed(DOCX, extra={"word/media/a.emf": b"%PDF-1.7"}), "office_embedded"),
    ("template", "docx", lambda: external("attachedTemplate"), "office_elsewhere"),
    ("object", "docx", lambda: external("oleObject"), "office_elsewhere"),
    ("picture", "docx", lambda: external("image"), "office_elsewhere"),
    (
        "entity",
        "docx",
        lambda: changed(
            DOCX, extra={"word/x.xml": b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'}
        ),
        "office_xml",
    ),
    (
        "laughs",
        "xlsx",
        lambda: changed(XLSX, extra={"xl/x.xml": b'<!DOCTYPE a [<!ENTITY b "' + b"x" * 999 + b'">]><a>&b;</a>'}),
        "office_xml",
    ),
    ("broken", "docx", lambda: changed(DOCX, extra={"word/x.xml": b"<a>"}), "file_damaged"),
    ("other zip", "docx", zipped, "file_type"),
    (
        "slides",
        "docx",
        lambda: changed(DOCX, swap=(b"wordprocessingml.document", b"presentationml.presentation")),
        "file_type",
    ),
]

# --- Bombs


def bomb(size: int) -> Entry:
    return Entry(b"word/bomb.xml", b"<a>" + bytes([32]) * size + b"</a>")


RATIO: list[Bad] = [
    ("one", "docx", lambda: archive([*entries(DOCX), bomb(40_000_000)]), "archive_ratio"),
    ("other", "xlsx", lambda: changed(XLSX, extra={"xl/media/image9.png": bytes(30_000_000)}), "archive_ratio"),
    ("lies", "docx", lambda: archive([*entries(DOCX), replace(bomb(40_000_000), size=900)]), "archive_ratio"),
    (
        "lies more",
        "docx",
        lambda: archive([*entries(DOCX), replace(bomb(40_000_000), name=b"word/bomb.bin", size=900)]),
        "archive_ratio",
    ),
    ("says 4 GB", "docx", lambda: archive([*entries(DOCX), replace(bomb(10), size=0xFFFFFFF0)]), "archive_ratio"),
    (
        "many",
        "docx",
        lambda: archive([*entries(DOCX), *(replace(bomb(990_000), name=b"word/b%d.xml" % one) for one in range(200))]),
        "archive_ratio",
    ),
    (
        "in a mail",
        "eml",
        lambda: mail(("a.docx", changed(DOCX, extra={"word/b.xml": bytes(20_000_000)}))),
        "archive_ratio",
    ),
]
OVERLAP: list[Bad] = [
    ("same", "docx", lambda: overlapping(2), "archive_overlap"),
    ("thousand", "docx", lambda: overlapping(1000), "archive_overlap"),
    ("quoted", "xlsx", lambda: quoted(5), "archive_overlap"),
    ("quoted deep", "docx", lambda: quoted(900), "archive_overlap"),
    ("with a good one", "docx", lambda: archive([*entries(DOCX), replace(entries(DOCX)[0], at=0)]), "archive_overlap"),
    ("into the list", "docx", lambda: into_the_list(), "archive_overlap"),
]


def into_the_list() -> bytes:
    """Return an archive whose last entry says that its bytes go on behind the list of contents."""
    written = bytearray(archive([*entries(DOCX), Entry(b"word/z.xml", b"<a/>")]))
    for place in (written.rfind(b"PK\3\4") + 18, written.rfind(b"PK\1\2") + 20):
        written[place : place + 4] = struct.pack("<L", 60)
    return bytes(written)


NESTED: list[Bad] = [
    ("workbook", "docx", lambda: changed(DOCX, extra={"word/embeddings/a.xlsx": XLSX.read_bytes()}), "archive_nested"),
    ("itself", "docx", lambda: changed(DOCX, extra={"word/embeddings/a.docx": DOCX.read_bytes()}), "archive_nested"),
    ("named otherwise", "xlsx", lambda: changed(XLSX, extra={"xl/media/image1.png": zipped()}), "archive_nested"),
    ("gzip", "docx", lambda: changed(DOCX, extra={"word/a.bin": gzip.compress(bytes(9))}), "archive_nested"),
    ("rar", "docx", lambda: changed(DOCX, extra={"word/a.bin": b"Rar!\x1a\x07\0"}), "archive_nested"),
    ("7z", "xlsx", lambda: changed(XLSX, extra={"xl/a.bin": b"7z\xbc\xaf\x27\x1c"}), "archive_nested"),
    (
        "many parts",
        "docx",
        lambda: archive(Entry(b"word/%d.xml" % one, b"<a/>") for one in range(2001)),
        "archive_too_many",
    ),
]
MEMBERS: list[Bad] = [
    (name, "docx", lambda name=name: archive([*entries(DOCX), Entry(name.encode(), b"<a/>")]), "archive_names")  # type: ignore[misc]
    for name in ("../x.xml", "/etc/x.xml", "word\\x.xml", "c:x.xml", "word/../../x.xml", "word/\0x.xml")
]
MEMBERS += [
    (
        "link",
        "docx",
        lambda: archive([*entries(DOCX), Entry(b"word/l.xml", b"<a/>", attributes=0o120777 << 16)]),
        "archive_names",
    ),
    ("twice", "docx", lambda: archive([*entries(DOCX), entries(DOCX)[0]]), "archive_names"),
]


def jpg(width: int, height: int, scans: int = 1) -> bytes:
    size = b"\xff\xc2\0\x0b\x08" + struct.pack(">2H", height, width) + b"\1\1\x11\0"
    return b"\xff\xd8" + size + b"\xff\xda\0\x08\1\1\0\0\0\0\0" * scans + b"\xff\xd9"


PICTURES: list[Bad] = [
    ("pixels", "png", lambda: picture(60_000, 60_000, zlib.compress(b"")), "picture_too_large"),
    ("line", "png", lambda: picture(0x7FFFFFFF, 1, zlib.compress(b"")), "picture_too_large"),
    ("pixels", "jpg", lambda: jpg(65_000, 65_000), "picture_too_large"),
    ("more than it says", "png", lambda: picture(8, 8, zlib.compress(bytes(30_000_000), 9)), "picture_bomb"),
    (
        "text",
        "png",
        lambda: picture(8, 8, None, (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(30_000_000), 9))),
        "picture_bomb",
    ),
    (
        "other text",
        "png",
        lambda: picture(8, 8, None, (b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(30_000_000), 9))),
        "picture_bomb",
    ),
    (
        "profile",
        "png",
        lambda: picture(8, 8, None, (b"iCCP", b"a\0\0" + zlib.compress(bytes(30_000_000), 9))),
        "picture_bomb",
    ),
    ("scans", "jpg", lambda: jpg(500, 500, 5000), "picture_bomb"),
    ("less than it says", "png", lambda: picture(800, 800, zlib.compress(bytes(99))), "file_truncated"),
    ("checksum", "png", lambda: picture().replace(b"IDAT", b"IDAt"), "file_damaged"),
]

# --- Mails


def parts(count: int, around: bytes = b"Content-Type: text/plain\n\nx\n") -> bytes:
    return of_type('multipart/mixed; boundary="x"').replace(b"abc", (b"--x\n" + around) * count + b"--x--")


def deep(levels: int) -> bytes:
    inner = b"Content-Type: text/plain\n\nx\n"
    for level in range(levels):
        mark = b"b%d" % level
        inner = (
            b'Content-Type: multipart/mixed; boundary="'
            + mark
            + b'"\n\n--'
            + mark
            + b"\n"
            + inner
            + b"\n--"
            + mark
            + b"--\n"
        )
    return b"From: a@b.example\nDate: Mon, 02 Mar 2020 10:00:00 +0100\n" + inner


def mails_in_mails(levels: int) -> bytes:
    inner = b"From: a@b.example\n\nx\n"
    for _ in range(levels):
        inner = b"From: a@b.example\nDate: x\nContent-Type: message/rfc822\n\n" + inner
    return inner


MAILS: list[Bad] = [
    ("10,000 parts", "eml", lambda: parts(10_000), "mail_parts"),
    (
        "10,000 mails",
        "eml",
        lambda: parts(10_000, b"Content-Type: message/rfc822\n\nFrom: a@b.example\n\nx\n"),
        "mail_parts",
    ),
    ("10,000 attachments", "eml", lambda: parts(10_000, b"Content-Type: image/png\n\n\x89PNG\n"), "mail_parts"),
    ("10,000 deep", "eml", lambda: deep(10_000), "mail_parts"),
    ("10,000 mails deep", "eml", lambda: mails_in_mails(10_000), "mail_parts"),
    ("mails in mails", "eml", lambda: mails_in_mails(4), "mail_nested"),
    ("saved mails in mails", "eml", lambda: mail(("a.eml", mail(("b.eml", mail(("c.eml", mail())))))), "mail_nested"),
    ("program", "eml", lambda: mail(("run.pdf", b"MZ\x90\0")), "mail_attachment"),
    ("page", "eml", lambda: mail(("a.html", b"<html><script>")), "mail_attachment"),
    ("packed", "eml", lambda: mail(("a.zip", zipped())), "mail_attachment"),
    ("nothing in it", "eml", lambda: mail(("a.pdf", b"")), "file_empty"),
    ("unknown encoding", "eml", lambda: mail(("a.png", picture())).replace(b"base64", b"x-uuenc"), "mail_attachment"),
    ("half an attachment", "eml", lambda: mail(("a.png", picture()[:-5])), "file_truncated"),
    ("script", "eml", lambda: mail(("a.pdf", opens_with(script)())), "pdf_script"),
]
OTHERS: list[Bad] = [
    ("text", "pdf", lambda: b"Hello, this is no PDF.", "file_type"),
    ("page", "eml", lambda: b"<html><script>alert(1)</script>", "file_type"),
    ("picture", "png", lambda: b"GIF89a" + bytes(99), "file_type"),
    ("drawing", "png", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', "file_type"),
    ("program", "docx", lambda: b"MZ\x90\0" + bytes(99), "file_type"),
    ("old document", "docx", lambda: old_office("WordDocument", "1Table"), "file_type"),
    ("noise", "jpg", lambda: random.Random(7).randbytes(5000), "file_type"),
    ("no pages", "pdf", lambda: pdf(lambda one: one.pages.__delitem__(slice(None))), "file_damaged"),
    ("table", "pdf", lambda: pdf().replace(b"0000000015 00000 n", b"0000000025 00000 n"), "file_damaged"),
    ("objects", "pdf", lambda: objects(100_050), "file_too_complex"),
]


def objects(count: int) -> bytes:
    document = pikepdf.new()
    document.add_blank_page()
    document.Root.X = Array([document.make_indirect(String("x")) for _ in range(count)])
    out = BytesIO()
    document.save(out, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    return out.getvalue()


KINDS = {
    "empty": EMPTY,
    "truncated": TRUNCATED,
    "encrypted": ENCRYPTED,
    "polyglot": POLYGLOT,
    "macro": MACRO,
    "office": OFFICE,
    "embedded": EMBEDDED,
    "script": SCRIPTS,
    "ratio": RATIO,
    "overlap": OVERLAP,
    "nested": NESTED,
    "members": MEMBERS,
    "picture": PICTURES,
    "mail": MAILS,
    "other": OTHERS,
}


def every() -> Iterator[tuple[str, Bad]]:
    for kind, files in KINDS.items():
        for one in files:
            yield f"{kind}: {one[0]} {one[1]}", one
