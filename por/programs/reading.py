"""Reads programmes from YAML files. Each error names the file, the line and the key."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import ParamSpec, TypeVar

import yaml

from por.programs.checking import problems
from por.programs.nodes import Node, RuleError, RuleErrors, documents, line_of
from por.programs.reader import Reader
from por.programs.rules import Program
from por.programs.typed_reader import Recorded

P = ParamSpec("P")
T = TypeVar("T")
#: The file with the sources, beside the programmes of the lowest room.
SOURCES = "sources.yaml"


def read_programs(folders: Iterable[Path], sources: Path) -> dict[str, Program]:
    """Return all programmes in the files of some folders, by id. Raises RuleErrors with every error of every file."""
    errors: list[RuleError] = []
    found: dict[str, Program] = {}
    known = _tried(read_sources, errors, sources)
    if known is None:
        raise RuleErrors(errors)
    for file in sorted(one for folder in folders for one in folder.glob("*.yaml") if one.name != SOURCES):
        for program in _tried(read_file, errors, file, known) or []:
            if program.id in found:
                reason = f"{program.id} is also in {found[program.id].file}"
                errors.append(RuleError(str(file), 1, "program", reason))
            found[program.id] = program
    if errors:
        raise RuleErrors(errors)
    return found


def read_file(file: Path, sources: Collection[str]) -> list[Program]:
    """Return the programmes of a file: one a document, or a list of them. Raises RuleErrors."""
    return read_text(str(file), _text(file), sources)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RuleError(str(file), 1, "", f"it cannot be read as UTF-8 text: {error}") from error


def read_text(file: str, text: str, sources: Collection[str]) -> list[Program]:
    """Return the programmes in a text. `file` names it in errors. Raises RuleErrors."""
    errors: list[RuleError] = []
    roots = _tried(documents, errors, file, text) or []
    if not roots and not errors:
        errors.append(RuleError(file, 1, "", "it holds no programme"))
    nodes = [one for root in roots for one in (root.value if isinstance(root, yaml.SequenceNode) else [root])]
    found = []
    for node in nodes:
        reader = Reader(file, sources)
        program = _program(reader, node)
        errors += reader.errors
        if program is not None:
            found.append(program)
    if errors:
        raise RuleErrors(errors)
    return found


def _program(reader: Reader, node: Node) -> Program | None:
    try:
        program = reader.program(node)
    except RuleError as error:
        reader.errors.append(error)
        return None
    except Recorded:
        return None
    for key, reason in problems(program):
        reader.errors.append(RuleError(reader.file, _line(reader, key, node), key, reason))
    return program


def _line(reader: Reader, key: str, node: Node) -> int:
    """Return the line of a key, or of the nearest thing around it that has one."""
    while key:
        if key in reader.lines:
            return reader.lines[key]
        key = key.rpartition(".")[0]
    return line_of(node)


def read_sources(file: Path) -> dict[str, str]:
    """Return the sources by key. Raises RuleErrors."""
    errors: list[RuleError] = []
    text = _tried(_text, errors, file) or ""
    reader = Reader(str(file), ())
    found: dict[str, str] = {}
    for root in _tried(documents, errors, str(file), text) or []:
        try:
            found |= reader.named_each(str, root, "")
        except RuleError as error:
            errors.append(error)
        except Recorded:
            errors += reader.errors
    if errors:
        raise RuleErrors(errors)
    return found


def _tried(read: Callable[P, T], errors: list[RuleError], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """Return what is read; None with the errors recorded."""
    try:
        return read(*args, **kwargs)
    except RuleError as error:
        errors.append(error)
    except RuleErrors as error:
        errors += error.errors
    return None
