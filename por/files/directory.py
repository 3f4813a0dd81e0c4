"""Files in a directory of this machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from django.core.files import File
from django.core.files.storage import FileSystemStorage


class Directory(FileSystemStorage):
    """A directory that only its owner can enter."""

    def _save(self, name: str, content: File[bytes]) -> str:
        place = Path(self.path(name))
        with self._draft() as draft:
            for chunk in content.chunks():
                draft.write(chunk)
            draft.flush()
            os.fsync(draft.fileno())
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.link(draft.name, place)  # refuses a name that is taken, even a moment ago
        directory = os.open(place.parent, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
        return name

    def load(self) -> None:
        """Do nothing: a directory needs no client."""

    def check(self) -> None:
        """Raise an error unless the directory can be written to."""
        with self._draft() as draft:
            draft.write(b"ready?")
            draft.flush()

    @contextmanager
    def _draft(self) -> Iterator[IO[bytes]]:
        """Yield a hidden file that is deleted at the end of the block."""
        Path(self.location).mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.location, prefix=".draft-") as draft:
            yield draft
