"""The format of a file of signed heads: lines of canonical JSON, signed with a key that the database never sees.

    {"at":"2026-11-25T22:00:00.123456+00:00","key":"5f0c…","previous":"9b1e…"}
    {"chain":"house","hash":"04d2…","seq":12}
    …
    {"signature":"c77a…"}

`previous` is the signature of the file before, so that a deleted file is noticed. `key` identifies the key that signed
the file, without revealing it. Files are written and read one line at a time, however many chains there are.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain
from typing import IO, Any, NamedTuple

from django.conf import settings
from django.core.files import File
from django.utils.crypto import constant_time_compare, salted_hmac


class Head(NamedTuple):
    """The newest event of a chain at some moment."""

    chain: str
    seq: int
    hash: str


class Unfit(Exception):
    """A file does not prove anything; the message is the reason."""


class Sealed(NamedTuple):
    """The opening line and the signature of a file whose signature is valid."""

    at: datetime
    previous: str
    signature: str


def write(file: IO[bytes], heads: Iterable[Head], *, at: datetime, previous: str) -> Sealed:
    """Write the heads and a signature to the file."""
    key = _key(settings.SECRET_KEY)
    signature = key.copy()
    opening = {"at": at.isoformat(), "key": _key_id(key), "previous": previous}
    for content in chain([opening], (head._asdict() for head in heads)):
        line = _line(content)
        signature.update(line)
        file.write(line)
    file.write(_line({"signature": signature.hexdigest()}))
    return Sealed(at, previous, signature.hexdigest())


def read(file: File[bytes]) -> Sealed:
    """Check the signature over the whole file. Raises Unfit."""
    keys = {_key_id(key): key for key in map(_key, [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS])}
    line = b""
    try:
        lines = iter(file)
        line = next(lines)
        opening = json.loads(line)
        at, previous = datetime.fromisoformat(opening["at"]), str(opening["previous"])
        if (key := keys.get(opening["key"])) is None:
            raise Unfit(f"the key {opening['key']} that it was signed with is not known any more")
        signature = key.copy()
        for following in lines:
            signature.update(line)
            line = following
        given = str(json.loads(line)["signature"])
    except (ValueError, KeyError, TypeError, StopIteration):
        raise Unfit("it cannot be read as signed heads") from None
    if not constant_time_compare(given, signature.hexdigest()):
        raise Unfit("its content does not fit its signature")
    return Sealed(at, previous, given)


def heads(file: File[bytes]) -> Iterator[Head]:
    """Yield the heads in a file that has been checked."""
    file.seek(0)
    for line in file:
        content = json.loads(line)
        if "chain" in content:
            yield Head(**content)


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def _key(secret: str) -> hmac.HMAC:
    return salted_hmac("por.history.seals", b"", secret, algorithm="sha256")


def _key_id(key: hmac.HMAC) -> str:
    identifier = key.copy()
    identifier.update(b"which key")
    return identifier.hexdigest()[:16]
