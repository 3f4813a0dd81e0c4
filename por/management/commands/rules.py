"""Checking and showing the rules of the programmes, for those who write them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from competencies.programs import FOLDERS, problems_of_computed, sources
from por.programs.nodes import RuleErrors
from por.programs.reading import SOURCES, read_programs
from por.programs.rules import Program, Version
from por.programs.showing import differences, figures, lines


class Command(BaseCommand):
    help = "Check the rules of the programmes, show those of a day, or show what differs between two days."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="check|show|diff")
        check = verbs.add_parser("check", help="read all files and name every error with file, line and key")
        check.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="other folders than the product's")
        show = verbs.add_parser("show", help="show the rules of a programme that hold on a day")
        show.add_argument("program")
        show.add_argument("--on", metavar="DATE", help="the day, such as 2016-05-24; today if left out")
        diff = verbs.add_parser("diff", help="show what differs between two days")
        diff.add_argument("program")
        diff.add_argument("before", metavar="DATE")
        diff.add_argument("after", metavar="DATE")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        handlers = {"check": self.check_rules, "show": self.show, "diff": self.diff}
        handlers[verb](options)

    def check_rules(self, options: dict[str, Any]) -> None:
        """Write how much was read. Raises CommandError with every error."""
        programs = _read(options["folders"] or FOLDERS)
        if found := [problem for program in programs.values() for problem in problems_of_computed(program)]:
            raise CommandError("\n".join([*found, f"{len(found)} errors."]))
        versions = [version for program in programs.values() for version in program.versions]
        every = [figure for version in versions for figure in figures(version)]
        missing = sum(not figure.published for figure in every)
        self.stdout.write(
            f"{len(programs)} programmes, {len(versions)} versions, {len(every)} figures, "
            f"of which {missing} are not published. No errors."
        )

    def show(self, options: dict[str, Any]) -> None:
        day = _day(options["on"]) if options["on"] else timezone.localdate()
        program = _program(options["program"])
        version = _version(program, day)
        self.stdout.write(f"{program.id}: {program.title}")
        self.stdout.write(f"Rules of {day.isoformat()}: {version.id}, {_span(version, day)}")
        for key, text in lines(version, day):
            self.stdout.write(f"  {key}: {text}")
        known = sources()
        self.stdout.write("Sources:")
        used = {source for figure in figures(version) for source in figure.sources} | {*version.sources}
        for source in sorted(used):
            self.stdout.write(f"  {source}: {known[source]}")

    def diff(self, options: dict[str, Any]) -> None:
        program = _program(options["program"])
        days = [_day(options[name]) for name in ("before", "after")]
        before, after = (lines(_version(program, day), day) for day in days)
        found = differences(before, after)
        for line in found:
            self.stdout.write(line)
        if not found:
            self.stdout.write(f"The rules of {program.id} are the same on both days.")


def _read(folders: Iterable[Path]) -> dict[str, Program]:
    folders = list(folders)
    for folder in folders:
        if not folder.is_dir():
            raise CommandError(f"{folder} is no folder.")
    own = folders[0] / SOURCES
    try:
        return read_programs(folders, own if own.exists() else FOLDERS[0] / SOURCES)
    except RuleErrors as errors:
        raise CommandError(f"{errors}\n{len(errors.errors)} errors.") from errors


def _program(name: str) -> Program:
    programs = _read(FOLDERS)
    if name not in programs:
        near = get_close_matches(name, programs, 1)
        hint = f" Did you mean {near[0]}?" if near else f" There are: {', '.join(sorted(programs))}."
        raise CommandError(f"There is no programme {name}.{hint}")
    return programs[name]


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"{text} is no date. Write it as in 2016-05-24.") from error


def _version(program: Program, day: date) -> Version:
    version = program.on(day)
    if version is None:
        spans = "; ".join(f"{one.id}: {one.begins} to {one.ends or 'now'}" for one in program.versions)
        raise CommandError(f"{program.id} has no rules on {day}. It has {spans}.")
    return version


def _span(version: Version, day: date) -> str:
    announced = f"announced on {version.announced}, " if day < version.begins else ""
    return f"{announced}from {version.begins} to {version.ends or 'now'}"
