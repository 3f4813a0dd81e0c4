from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError
from tqdm import tqdm

from por.errors import Locked, Refused
from por.imports import whole
from por.imports.formats import ENCODINGS
from por.imports.loading import Report, Tally, only_import
from por.imports.mapping import read
from por.imports.reading import RowError
from por.imports.rejected import Rejected
from por.imports.sources import kept_mappings
from por.ops.checks import OWN

SHOWN = 20  # failed rows on the terminal; --errors has them all


class Command(BaseCommand):
    """Import the CSV files of an estate. A bad row is reported and skipped; importing again changes nothing."""

    help = __doc__ or ""
    requires_system_checks = [OWN]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("directory", metavar="DIR", type=Path, help="the folder with partners.csv, customers.csv …")
        parser.add_argument("--dry-run", action="store_true", help="report what would happen, and change nothing")
        parser.add_argument("--errors", metavar="FILE", type=Path, help="write every row that failed to this CSV file")
        parser.add_argument(
            "--rejected", metavar="DIR", type=Path, help="write the rows that failed to this folder, as they were sent"
        )

        parser.add_argument(
            "--mapping", metavar="FILE", type=Path, action="append", default=[], help="how files of others become ours"
        )
        parser.add_argument(
            "--set", metavar="NAME=VALUE", action="append", default=[], help="what a mapped file does not say"
        )
        parser.add_argument(
            "--complete",
            choices=("yes", "no"),
            help="whether the files name all subscriptions of their customers, so that the others are missing",
        )

    def handle(
        self,
        *args: Any,
        directory: Path,
        dry_run: bool,
        errors: Path | None,
        rejected: Path | None,
        mapping: list[Path],
        **options: Any,
    ) -> None:
        if not all("=" in one for one in options["set"]):
            raise CommandError("Write --set as NAME=VALUE.")
        told = dict(one.split("=", 1) for one in options["set"])
        encoding = told.get("encoding", "")
        if encoding not in ("", *ENCODINGS):
            raise CommandError(f"--set encoding=… takes one of these: {', '.join(ENCODINGS)}.")
        try:
            present = whole.present(directory)
            sources = whole.mapped(directory, [read(path) for path in mapping], told, kept_mappings())
        except Refused as refused:
            raise CommandError(str(refused)) from None
        if not present and not sources:
            names = ", ".join(whole.names())
            raise CommandError(f"{directory} holds none of the files of an estate: {names}.")
        if rejected:
            _check_is_free(rejected)
        paths = [*present.values(), *(source.path for source in sources)]
        started = time.monotonic()
        with self._errors(errors) as on_error, _progress(paths) as on_bytes, Rejected() as refused_rows:

            def on_fault(error: RowError) -> None:
                on_error(error)
                if rejected:
                    refused_rows(error)

            is_complete = {"yes": True, "no": False}.get(options["complete"])
            report = Report(on_error=on_fault, on_bytes=on_bytes, dry_run=dry_run, is_complete=is_complete)
            try:
                with only_import() as report.held:
                    whole.import_all(present, report, sources, encoding)
            except Locked as locked:
                raise CommandError(str(locked)) from None
            except OSError as error:
                raise CommandError(f"{error.filename} cannot be read: {error.strerror}.") from None
            except OperationalError as error:
                why = str(error).partition("\n")[0].strip()
                raise CommandError(f"The database stopped the import ({why}). Import again to finish it.") from None
            if rejected:
                whole.write_rejected(present, sources, refused_rows, partial(_create, rejected), encoding)
        self._print(report, time.monotonic() - started, dry_run=dry_run)
        if failed := report.total.failed:
            raise CommandError(f"{_rows(failed)} of {report.total.rows} could not be imported.")

    @contextmanager
    def _errors(self, path: Path | None) -> Iterator[Callable[[RowError], None]]:
        """Yield a function for failed rows, which prints the first ones and writes all of them to the file."""
        try:
            file = path.open("w", encoding="utf-8", newline="") if path else None
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
        writer = csv.writer(file, lineterminator="\n") if file else None
        if writer:
            writer.writerow(RowError._fields)
        count = 0

        def report(error: RowError) -> None:
            nonlocal count
            count += 1
            if writer:
                writer.writerow(error)
            if count <= SHOWN:
                where = f"{error.file}, line {error.line}" + (f", {error.column}" if error.column else "")
                with tqdm.external_write_mode():  # above the bar, not through it
                    self.stderr.write(f"{where}: {error.code}: {error.reason}")

        try:
            yield report
        finally:
            if file:
                file.close()
            if count > SHOWN:
                rest = "" if path else "; --errors FILE writes them all"
                self.stderr.write(f"… and {count - SHOWN} more{rest}.")

    def _print(self, report: Report, seconds: float, *, dry_run: bool) -> None:
        total = report.total
        for name, tally in [*report.files.items(), ("all", total)]:
            self.stdout.write(f"{name + ':':<20} {_counts(tally)}")
        if report.ended:
            self.stdout.write(f"Ended, because a subscription expired or an account was closed: {report.ended}.")
        if report.reopened:
            self.stdout.write(f"Reopened, because the files have taken the reason of an end back: {report.reopened}.")
        if not (total.created or total.changed or report.ended or report.reopened or report.marked):
            self.stdout.write("Nothing has changed.")
        self.stdout.write(f"{_rows(total.rows)} in {seconds:.1f} s, {total.rows / seconds:,.0f} rows per second.")
        for note in report.notes:
            self.stdout.write(note)
        if dry_run:
            self.stdout.write("This was a dry run, so nothing was saved.")


def _check_is_free(directory: Path) -> None:
    """Make the folder for rejected rows. Raise CommandError if it has files of an estate: none may be overwritten."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"{directory} cannot be created: {error.strerror}.") from None
    if there := [name for name in whole.names() if (directory / name).exists()]:
        raise CommandError(f"{directory} already holds {there[0]}. Choose another folder for the rejected rows.")


def _create(directory: Path, name: str) -> IO[bytes]:
    return (directory / name).open("wb")


@contextmanager
def _progress(paths: Collection[Path]) -> Iterator[Callable[[int], None]]:
    """Show a bar if stderr is a terminal; yield a function that moves it by a number of bytes."""
    size = sum(path.stat().st_size for path in paths)
    with tqdm(total=size, unit="B", unit_scale=True, leave=False, disable=not sys.stderr.isatty()) as bar:

        def moved(count: int) -> None:
            bar.update(count)

        yield moved


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _counts(tally: Tally) -> str:
    return f"{tally.created} created, {tally.changed} changed, {tally.unchanged} unchanged, {tally.failed} failed"
