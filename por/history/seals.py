"""What a file of signed heads looks like: lines of canonical JSON, signed with a key that the database never sees.

    {"at":"2026-11-25T22:00:00.123456+00:00","key":"5f0c…","previous":"9b1e…"}
    {"chain":"house","hash":"04d2…","seq":12}
    …
    {"signature":"c77a…"}

`previous` is the signature of the file before, so that one that was taken away is missed; `key` tells which key it
was signed with, and nothing about it. Files are written and read a line at a time, however many chains there are.
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
    """Where a chain stood."""

    chain: str
    seq: int
    hash: str


class Unfit(Exception):
    """A file does not prove anything; the text says why."""


class Sealed(NamedTuple):
    """What a file says of itself, once its signature has been found to hold."""

    at: datetime
    previous: str
    signature: str


def write(file: IO[bytes], heads: Iterable[Head], *, at: datetime, previous: str) -> Sealed:
    key = _key(settings.SECRET_KEY)
    signature = key.copy()
    opening = {"at": at.isoformat(), "key": _mark(key), "previous": previous}
    for content in chain([opening], (head._asdict() for head in heads)):
        line = _line(content)
        signature.update(line)
        file.write(line)
    file.write(_line({"signature": signature.hexdigest()}))
    return Sealed(at, previous, signature.hexdigest())


def read(file: File[bytes]) -> Sealed:
    """Checks the signature over the whole file; raises Unfit."""
    keys = {_mark(key): key for key in map(_key, [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS])}
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
    """Where the chains stood, of a file that has been checked."""
    file.seek(0)
    for line in file:
        content = json.loads(line)
        if "chain" in content:
            yield Head(**content)


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def _key(secret: str) -> hmac.HMAC:
    return salted_hmac("por.history.seals", b"", secret, algorithm="sha256")


def _mark(key: hmac.HMAC) -> str:
    mark = key.copy()
    mark.update(b"which key")
    return mark.hexdigest()[:16]
