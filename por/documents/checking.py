"""Whether an uploaded file may be kept. Its content decides what it is; its name only has to agree."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from por.documents import children, naming
from por.documents.kinds import CONTENT_TYPES, LARGEST, MB, Kind
from por.documents.refusals import refusal


@dataclass(frozen=True)
class Checked:
    """A file that may be kept. `facts` is what it says of itself: shown, never believed."""

    name: str
    kind: Kind
    size: int
    facts: dict[str, Any]

    @property
    def content_type(self) -> str:
        return CONTENT_TYPES[self.kind]


def check(file: IO[bytes], name: str) -> Checked:
    """Return what a file is, if it may be kept. Raises Refused, each reason with its own code."""
    name, promised = naming.clean(name)
    size = file.seek(0, os.SEEK_END)
    if not size:
        raise refusal("file_empty")
    if size > LARGEST:
        raise refusal("file_too_large")
    with on_disk(file) as readable:
        answer = _look_into(readable)
    if "code" in answer:
        raise refusal(answer["code"], answer["details"])
    kind = Kind(answer["kind"])
    if kind is not promised:
        raise refusal("wrong_ending", {"named": promised.value.upper(), "found": kind.value.upper()})
    return Checked(name, kind, size, answer["facts"])


def _look_into(file: IO[bytes]) -> dict[str, Any]:
    try:
        with children.answer_of("look", file, children.LOOK) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except (children.Died, ValueError):
        return {"code": "file_too_complex", "details": {}}


@contextmanager
def on_disk(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Yield the same file, or a copy if it lies in memory: a child process reads from disk."""
    try:
        file.fileno()
    except (AttributeError, OSError):
        with tempfile.TemporaryFile() as copy:
            file.seek(0)
            shutil.copyfileobj(file, copy, MB)
            yield copy
    else:
        yield file
