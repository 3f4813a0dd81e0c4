"""Files in a directory of this machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from django.core.files import File
from django.core.files.storage import FileSystemStorage

from por.files.pieces import PIECE, Listed


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
        self._to_disk(place.parent)
        return name

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file in pieces."""
        with Path(self.path(name)).open("rb") as file:
            while piece := file.read(PIECE):
                yield piece

    def listing(self, folder: str) -> Iterator[Listed]:
        """Yield all files below a folder."""
        for place in Path(self.path(folder)).rglob("*"):
            with suppress(FileNotFoundError):  # deleted meanwhile
                about = place.stat()
                if place.is_file():
                    name = place.relative_to(self.location).as_posix()
                    yield Listed(name, about.st_size, datetime.fromtimestamp(about.st_mtime, UTC))

    def copy(self, name: str, to: str) -> None:
        """Give a file another name besides its own, as of now. A copy that is there already has the same content."""
        place = Path(self.path(to))
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.link(self.path(name), place)
        os.utime(place)
        self._to_disk(place.parent)

    def link(self, name: str, *, filename: str, content_type: str, seconds: int) -> str | None:
        """Return None: a directory has no links, so the product sends the file itself."""
        return None

    def load(self) -> None:
        """Do nothing: a directory needs no client."""

    def check(self) -> None:
        """Raise an error unless the directory can be written to."""
        with self._draft() as draft:
            draft.write(b"ready?")
            draft.flush()

    @staticmethod
    def _to_disk(place: Path) -> None:
        """Write the entries of a directory to the disk."""
        directory = os.open(place, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)

    @contextmanager
    def _draft(self) -> Iterator[IO[bytes]]:
        """Yield a hidden file that is deleted at the end of the block."""
        Path(self.location).mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.location, prefix=".draft-") as draft:
            yield draft
