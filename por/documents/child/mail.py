"""A saved mail: that it is whole, has few parts, and that each of its attachments could be kept itself."""

from __future__ import annotations

import binascii
import email.errors as defects
import quopri
import re
import secrets
import string
from collections.abc import Callable, Iterable, Iterator
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesFeedParser
from email.policy import compat32
from io import BytesIO
from typing import Any, cast

from por.documents.child.facts import Facts, text_of
from por.documents.child.faults import Fault
from por.documents.kinds import DEEPEST_MAIL, LONGEST_FACT, MB, MOST_PARTS, Kind

HEAD = MB  # the header may name thousands of recipients
_HEADERS = {"subject": "subject", "sender": "from", "recipients": "to", "sent": "date"}
_ANY_OF = {b"date", b"message-id", b"received", b"mime-version"}
_HALF = (
    defects.CloseBoundaryNotFoundDefect,
    defects.StartBoundaryNotFoundDefect,
    defects.NoBoundaryInMultipartDefect,
    defects.MultipartInvariantViolationDefect,
)
#: Says that a mail is from whom it says. Programs add it to each mail.
_SIGNATURES = {"application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature"}
_ENCRYPTED = {"multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"}
_WORDS = {"text/plain", "text/html"}
_DECODE: dict[str, Callable[[bytes], bytes]] = {
    "quoted-printable": quopri.decodestring,
    **dict.fromkeys(("7bit", "8bit", "binary"), bytes),
}
_NOT_BASE64 = bytes(range(256)).translate(None, string.ascii_letters.encode() + string.digits.encode() + b"+/=")
#: Many lines of base64. The library would make an object of each, and take five times their size.
_RUN = re.compile(rb"^(?:[A-Za-z0-9+/]{40,76}+\r?\n){64,}+", re.MULTILINE)  # possessive: nothing to go back to
BLOCK = 1 << 16

LookInto = Callable[[bytes, int], tuple[Kind, Facts]]


def is_mail(head: bytes) -> bool:
    """Return whether the first bytes are the header of a mail."""
    header = head.replace(b"\r\n", b"\n").partition(b"\n\n")[0].lower()
    names = {line.partition(b":")[0] for line in header.split(b"\n") if line[:1] not in {b" ", b"\t"}}
    return b"from" in names and not names.isdisjoint(_ANY_OF) and b"\0" not in header


def look_into(data: memoryview, look: LookInto, depth: int) -> Facts:
    """Return who wrote what when, and the attachments. Raises Fault. `look` looks into an attachment."""
    if not re.search(rb"\n\r?\n", data):
        raise Fault("file_truncated")  # in its header
    mail = _Mail(data)
    facts: Facts = {name: said for name, header in _HEADERS.items() if (said := _decoded(mail.top[header]))}
    facts["attachments"] = [
        found for part, level in _parts(mail.top, depth) if (found := _attachment(mail, part, look, level))
    ]
    return facts


def _decoded(value: object) -> str:
    """Return a header or a name as people read it. Only its beginning is looked at: it may be long."""
    beginning = str(value or "")[: 10 * LONGEST_FACT]
    try:
        return text_of(make_header(decode_header(beginning)))
    except (ValueError, LookupError, defects.HeaderParseError):
        return text_of(beginning)


class _Mail:
    """A mail as the library reads it, without the lines of base64 that are put back where they are needed."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._mark = secrets.token_hex(16).encode()
        self._count = 0
        parser = BytesFeedParser(self._part, policy=compat32)  # the newer one reads long headers slowly
        for piece in self._pieces():
            parser.feed(piece)
        self.top: Message = parser.close()

    def content_of(self, part: Message) -> bytes:
        """Return the content of a part that holds no others. Raises ValueError if it is cut off."""
        text: Any = part.get_payload()
        words, *runs = re.split(self._mark + rb" (\d+) (\d+)\n", text.encode("utf-8", "surrogateescape"))
        pieces: list[bytes | memoryview] = [words]
        for start, end, words in zip(runs[::3], runs[1::3], runs[2::3], strict=True):
            pieces += [self._data[int(start) : int(end)], words]
        encoding = str(part.get("content-transfer-encoding", "7bit")).strip().lower()
        return _from_base64(pieces) if encoding == "base64" else _DECODE[encoding](b"".join(pieces))

    def _pieces(self) -> Iterator[bytes]:
        place = 0
        for run in _RUN.finditer(self._data):
            yield from self._blocks(place, run.start())
            yield b"%s %d %d\n" % (self._mark, *run.span())
            place = run.end()
        yield from self._blocks(place, len(self._data))

    def _blocks(self, start: int, end: int) -> Iterator[bytes]:
        for place in range(start, end, BLOCK):
            yield bytes(self._data[place : min(place + BLOCK, end)])

    def _part(self, *_: Any, **__: Any) -> Message:
        self._count += 1
        if self._count > MOST_PARTS:
            raise Fault("mail_parts")
        return Message()


def _from_base64(pieces: Iterable[bytes | memoryview]) -> bytes:
    """Return what pieces of base64 hold. Raises ValueError if it is cut off, or goes on behind its end.

    Block by block: the content would else lie in memory three times.
    """
    found, rest, is_ended = BytesIO(), b"", False
    for piece in pieces:
        for place in range(0, len(piece), BLOCK):
            text = rest + bytes(piece[place : place + BLOCK]).translate(None, _NOT_BASE64)
            if is_ended and text:
                raise ValueError("There is more behind the end")
            whole = len(text) - len(text) % 4
            found.write(binascii.a2b_base64(text[:whole], strict_mode=True))
            rest, is_ended = text[whole:], is_ended or text[:whole].endswith(b"=")
    if rest:
        raise ValueError("A part of four characters is missing")
    return found.getvalue()


def _parts(part: Message, depth: int) -> Iterator[tuple[Message, int]]:
    """Yield a part and those in it, with the number of mails around them. Raises Fault if one is cut off."""
    if any(isinstance(defect, _HALF) for defect in part.defects):
        raise Fault("file_truncated")
    if depth >= DEEPEST_MAIL:
        raise Fault("mail_nested")
    yield part, depth
    if part.is_multipart():
        for one in cast(list[Message], part.get_payload()):
            yield from _parts(one, depth + (part.get_content_type() == "message/rfc822"))


def _attachment(mail: _Mail, part: Message, look: LookInto, depth: int) -> Facts | None:
    """Return what an attachment is; None for the words of the mail and for what only holds other parts."""
    content_type = part.get_content_type()
    if content_type in _ENCRYPTED:
        raise Fault("file_encrypted")
    is_words = content_type in _WORDS and part.get_content_disposition() != "attachment"
    if part.is_multipart() or is_words or content_type in _SIGNATURES:
        return None
    name = _decoded(part.get_filename()) or content_type
    try:
        content = mail.content_of(part)
    except ValueError:
        raise Fault("file_truncated") from None
    except (KeyError, AttributeError):
        raise Fault("mail_attachment", name=name) from None
    try:
        kind, _facts = look(content, depth + 1)
    except Fault as fault:
        code = "mail_attachment" if fault.code == "file_type" else fault.code
        raise Fault(code, **{"name": name, **fault.details}) from None
    return {"name": name, "kind": kind, "size": len(content)}
