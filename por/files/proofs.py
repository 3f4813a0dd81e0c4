"""Files of proofs: put into quarantine, released once they are clean, and removed if nobody names them.

What is not a storage's own fault is raised as it is: por.db.outages.of_storage turns it into a refusal.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import IO, TYPE_CHECKING, cast

from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from por.files.pieces import PIECE

if TYPE_CHECKING:
    from por.files.bucket import Bucket
    from por.files.directory import Directory

QUARANTINE = "quarantine"
PROOFS = "proofs"
#: How long a file may lie without a row. An upload and its transaction take far less.
UNNAMED_FOR = timedelta(hours=24)
LINK_SECONDS = 60
BATCH = 500


class Damaged(OSError):
    """What the storage has is not what was stored."""


@dataclass(frozen=True)
class Stored:
    """A file in quarantine. Its name says nothing of what is in it."""

    name: str
    size: int
    sha256: str


def store(file: IO[bytes]) -> Stored:
    """Put a file into quarantine and return where it is, once it is there to the last byte. Memory stays bounded."""
    storage = _storage()
    sha256 = hashlib.sha256()
    file.seek(0)
    while piece := file.read(PIECE):
        sha256.update(piece)
    size = file.seek(0, os.SEEK_END)
    name = storage.save(f"{QUARANTINE}/{uuid.uuid4()}", File(file))
    if storage.size(name) != size:
        storage.delete(name)
        raise Damaged(f"Of {size} bytes not all were stored")
    return Stored(name, size, sha256.hexdigest())


def release(name: str) -> str:
    """Copy a file out of quarantine and return its name there. What lies in quarantine is removed with the unnamed."""
    released = f"{PROOFS}/{name.removeprefix(f'{QUARANTINE}/')}"
    _storage().copy(name, released)
    return released


@contextmanager
def fetched(name: str, sha256: str) -> Iterator[IO[bytes]]:
    """Yield a copy of a file on this machine's disk, the same as it was stored to the last bit. Raises Damaged."""
    found = hashlib.sha256()
    with tempfile.TemporaryFile() as copy:
        for piece in _storage().pieces(name):
            found.update(piece)
            copy.write(piece)
        if found.hexdigest() != sha256:
            raise Damaged(f"{name} has changed")
        copy.seek(0)
        yield copy


def link(name: str, *, filename: str, content_type: str) -> str | None:
    """Return a link that saves the file, valid for a minute; None where the product sends the file itself."""
    return _storage().link(name, filename=filename, content_type=content_type, seconds=LINK_SECONDS)


def discard(name: str) -> None:
    """Delete a file of an upload that was refused."""
    _storage().delete(name)


def keep_page(name: str, page: int, picture: bytes) -> None:
    """Keep the picture of a page of a released file. One that is there already is the same."""
    storage, place = _storage(), page_name(name, page)
    if not storage.exists(place):
        storage.save(place, ContentFile(picture))


def page_name(name: str, page: int) -> str:
    return f"{PROOFS}/{name.rpartition('/')[2]}.{page}.png"


def file_of(name: str) -> str:
    """Return the name of the file itself, which a picture of one of its pages belongs to."""
    return name.partition(".")[0]


def pieces(name: str) -> Iterator[bytes]:
    """Return the content of a file, piece by piece; the first is fetched at once, so that an outage shows early.

    Raises FileNotFoundError.
    """
    found = _storage().pieces(name)
    first = next(found, b"")
    return chain([first], found)


def remove_unnamed(named_of: Callable[[Collection[str]], set[str]], now: datetime) -> int:
    """Remove the files that have lain for a day and that no row names; return how many. `named_of` asks the rows."""
    storage = _storage()
    removed = 0
    for folder in (QUARANTINE, PROOFS):
        old = [one.name for one in storage.listing(folder) if one.modified_at < now - UNNAMED_FOR]
        for start in range(0, len(old), BATCH):
            batch = old[start : start + BATCH]
            for name in set(batch) - named_of(batch):
                storage.delete(name)
                removed += 1
    return removed


def _storage() -> Bucket | Directory:
    return cast("Bucket | Directory", storages["default"])
