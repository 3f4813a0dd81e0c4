"""Uploaded files of an estate: limiting their size, unpacking and checking them."""

from __future__ import annotations

import lzma
import shutil
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import IO, Any
from zipfile import BadZipFile, ZipFile, ZipInfo

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files import File
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from por.imports import whole
from por.imports.opening import UTF16
from por.imports.reading import CONTROL, Unfit, visible
from por.imports.sampling import Table, beginning_of, likely
from por.imports.sources import STORED, Entry, new_entry
from por.web.formatting import number_text

#: How many bytes the form around the files may have.
ENVELOPE = 65_536
#: The most entries of a zip. One of an estate has a tenth of these, with the folders that some programs add.
MOST_ENTRIES = 100
#: The list of contents of a zip is read in one go. A comment at its end has 65,535 bytes at most.
LONGEST_READ = 70_000
#: How many bytes of the first line are checked for being text.
HEAD = 4096
#: The most files of other programs at a time, and the longest name of one that is shown, without its ending.
MOST_SOURCES = 20
LONGEST_STEM = 100
#: How many bytes are unpacked at a time.
BLOCK = 65_536
#: What workbooks begin with: a zip, and the older format of Excel.
WORKBOOKS = (b"PK\3\4", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
#: How much of a line a message shows.
SHOWN_OF_LINE = 60
#: What the record at the end of a zip begins with. Its bytes 10 and 11 are the number of entries.
END_OF_ZIP = b"PK\5\6"
#: The folder that macOS adds to the files that it packs.
MAC_FOLDER = "__MACOSX/"
#: The errors of a zip that is cut off, damaged, packed in an unknown way or protected by a password.
UNREADABLE = (BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)


class Limit(FileUploadHandler):
    """The first of the upload handlers. It discards uploads that are too large, so that no other handler saves them."""

    def __init__(self, most: int | None = None) -> None:
        super().__init__()
        self.left = settings.LARGEST_UPLOAD if most is None else most
        self.is_passed = False

    def handle_raw_input(
        self,
        input_data: IO[bytes],
        META: Mapping[str, str],  # noqa: N803  # the framework's name
        content_length: int,
        boundary: str,
        encoding: str | None = None,
    ) -> None:
        self.is_passed = content_length > self.left + ENVELOPE

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        if self.is_passed:
            raise StopUpload(connection_reset=False)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        self.left -= len(raw_data)
        if self.left < 0:
            self.is_passed = True
            raise StopUpload(connection_reset=False)
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None


def too_large() -> ValidationError:
    """Return the error for uploads that are too large."""
    most = filesizeformat(settings.LARGEST_UPLOAD)
    text = _(
        "The files are too large. The maximum total size is %(most)s. Import them in smaller parts, "
        "or use the command line."
    )
    return ValidationError(text % {"most": most}, code="too_large")


def files_of(uploads: Sequence[UploadedFile[bytes]], scratch: ExitStack) -> list[File[bytes]]:
    """Return the uploaded files of an estate, those in a zip unpacked. Raises ValidationError with all that is wrong.

    Unpacked files are deleted when `scratch` is closed.
    """
    found: list[File[bytes]] = []
    wrong: list[ValidationError] = []
    try:
        for upload in uploads:
            is_zip = (upload.name or "").lower().endswith(".zip")
            found += _unpacked(upload, scratch) if is_zip else [upload]
    except ValidationError as error:
        wrong.append(error)
    seen: set[str] = set()
    for file in found:
        if file.name not in whole.names() and file.file and is_named_like_one(file.name or ""):
            file.name = whole.recognized(file.file) or file.name
        if file.name in whole.names() and file.file and whole.is_only_named_like_ours(file.file, file.name):
            file.name = file.name.capitalize()
        if problem := _what_is_wrong(file, seen):
            wrong.append(problem)
        seen.add(file.name or "")
    sources = [file for file in found if file.name not in whole.names()]
    if len(sources) > MOST_SOURCES:
        text = _("Choose at most %(most)s files of other programs at a time.")
        wrong.append(ValidationError(text % {"most": MOST_SOURCES}, code="too_many_files"))
    if sum(file.size for file in found) > settings.LARGEST_UPLOAD:
        wrong.append(too_large())
    if wrong:
        raise ValidationError(wrong)
    return found


def is_named_like_one(name: str) -> bool:
    """Return whether the first line may tell that this is a file of an estate. It is at the top level of a zip."""
    return name.lower().endswith(whole.ENDINGS) and "/" not in name and "\\" not in name


def is_workbook(name: str, file: IO[bytes] | None = None) -> bool:
    """Return whether a file is one of a spreadsheet, by its name or by its first bytes."""
    if file is not None:
        file.seek(0)
        if file.read(8).startswith(WORKBOOKS):
            return True
    return name.lower().endswith((".xlsx", ".xlsm", ".xls", ".xlsb", ".ods", ".numbers"))


def _what_is_wrong(file: File[bytes], seen: set[str]) -> ValidationError | None:
    given = {"name": file.name, "names": ", ".join(whole.names())}
    if is_workbook(file.name or "", file.file):
        text = _(
            "%(name)s is a workbook of a spreadsheet. Open it, choose “Save as”, then “CSV UTF-8 (comma delimited)”, "
            "for each sheet, and upload that file."
        )
        return ValidationError(text % given, code="workbook")
    if file.name not in whole.names() and not is_named_like_one(file.name or ""):
        text = _("%(name)s is not an estate file. Use these file names: %(names)s.")
        return ValidationError(text % given, code="unknown_file")
    if file.name in seen:
        return _chosen_twice(file.name)
    if not file.size:
        return ValidationError(_("%(name)s is empty.") % given, code="file_empty")
    file.seek(0)
    head = file.read(HEAD)
    if b"\0" in head.partition(b"\n")[0] and head[:2] not in UTF16:
        text = _("%(name)s is not a CSV file. Save the file as CSV in UTF-8. Renaming it is not enough.")
        return ValidationError(text % given, code="not_csv")
    return None if file.name in whole.names() else _why_not_mapped(file)


def _why_not_mapped(file: File[bytes]) -> ValidationError | None:
    """Return why a file of another program cannot be read; None if it can."""
    assert file.file is not None
    given = {"name": file.name, "names": ", ".join(whole.names())}
    try:
        with beginning_of(file.file) as path:
            table = Table(path)
            if not table.has_names:
                text = _(
                    "%(name)s has no line with the names of its columns: it begins with “%(first)s”. Export it with "
                    "column names, or write them above the first row."
                )
                first = ", ".join(table.names)[:SHOWN_OF_LINE]
                return ValidationError(text % (given | {"first": first}), code="no_names")
            if next(table.rows(), None) is None:
                text = _("%(name)s has no rows below its first line, and is none of these files: %(names)s.")
                return ValidationError(text % given, code="no_rows")
    except Unfit as unfit:
        return ValidationError(f"{file.name}: {unfit.reason}", code=unfit.code)
    return None


def entries_of(files: Sequence[File[bytes]]) -> dict[str, Entry]:
    """Give the files of other programs the names under which they are stored; return their entries by these names."""
    entries: dict[str, Entry] = {}
    for file in files:
        ours = file.name if file.name in whole.names() else ""
        if file.file and (not ours or likely(file.file)):
            shown = visible(file.name or "")
            stem, dot, ending = shown.rpartition(".")
            name = STORED.format(len(entries) + 1)
            entries[name] = new_entry(file.file, CONTROL.sub("", stem)[:LONGEST_STEM] + dot + ending, ours)
            file.name = name
    return entries


def _chosen_twice(name: str) -> ValidationError:
    return ValidationError(_("You chose %(name)s twice. Choose only one.") % {"name": name}, code="file_twice")


def _count_of_entries(upload: UploadedFile[bytes]) -> int:
    """Return how many entries a zip says it has, from the record at its end; 0 without one. It reads nothing else."""
    upload.seek(max(0, (upload.size or 0) - LONGEST_READ))
    end = upload.read(LONGEST_READ)
    place = end.rfind(END_OF_ZIP)
    return int.from_bytes(end[place + 10 : place + 12], "little") if place >= 0 else 0


def _unpacked(upload: UploadedFile[bytes], scratch: ExitStack) -> list[File[bytes]]:
    """Return the files in a zip. It checks names and sizes before it unpacks anything, and no name becomes a path."""
    try:
        if (count := _count_of_entries(upload)) > MOST_ENTRIES:
            text = _("%(zip)s contains %(n)s files. Put only the files of the estate in it, at most %(most)s.")
            given = {"zip": upload.name, "n": number_text(count), "most": MOST_ENTRIES}
            raise ValidationError(text % given, code="too_many_files")
        with ZipFile(_BoundedReads(upload)) as archive:
            entries = [one for one in archive.infolist() if not one.filename.startswith(MAC_FOLDER)]
            for entry in entries:
                if is_workbook(entry.filename):
                    continue  # its reason is told with those of all files
                if not is_named_like_one(entry.filename):
                    text = _(
                        "%(zip)s contains %(name)s, which is not an estate file. Put the files at the top "
                        "level, not in a folder, and use these names: %(names)s."
                    )
                    given = {"zip": upload.name, "name": entry.filename[:100], "names": ", ".join(whole.names())}
                    raise ValidationError(text % given, code="unknown_file")
            names = [entry.filename for entry in entries]
            if twice := next((name for name in names if names.count(name) > 1), ""):
                raise _chosen_twice(twice)
            if sum(entry.file_size for entry in entries) > settings.LARGEST_UPLOAD:
                raise too_large()
            return [_unpack(archive, entry, scratch) for entry in entries]
    except UNREADABLE as error:
        if isinstance(error, OSError) and error.errno:
            raise  # a full disk, for example, is not the fault of the zip
        text = _("We cannot unpack %(zip)s. Create it again without a password, or choose the files themselves.")
        raise ValidationError(text % {"zip": upload.name}, code="bad_zip") from error


def _unpack(archive: ZipFile, entry: ZipInfo, scratch: ExitStack) -> File[bytes]:
    place = scratch.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  # entered here
    with archive.open(entry) as packed:  # yields no more than the size in the list of contents
        shutil.copyfileobj(packed, place, BLOCK)
    place.flush()
    return File(place, name=entry.filename)


class _BoundedReads:
    """A file that refuses long reads, because a large list of contents of a zip would fill the memory."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if size > LONGEST_READ:
            raise BadZipFile("Its list of contents is too long.")
        data: bytes = self._file.read(LONGEST_READ if size < 0 else size)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
