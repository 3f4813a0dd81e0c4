"""Drawing the rooms in docs/architecture.md from what the code imports."""

from __future__ import annotations

import ast
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.core.management.base import BaseCommand

FILE = settings.BASE_DIR / "docs" / "architecture.md"
ROOTS = ("por", "associations", "competencies", "incentives")
BEGIN, END = "<!-- rooms: drawn by manage.py draw_rooms -->", "<!-- rooms: end -->"

Graph = dict[str, set[str]]
#: The rooms that share a box of the picture: one, unless they import each other.
Box = tuple[str, ...]
Node = TypeVar("Node", bound=Hashable)


class Command(BaseCommand):
    help = "Draw the rooms in docs/architecture.md from what the code imports."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        FILE.write_text(drawn_into(FILE.read_text(encoding="utf-8")), encoding="utf-8")
        self.stdout.write(f"Wrote {FILE}.")


def drawn_into(document: str) -> str:
    """Return the document with the picture between its two markers drawn anew."""
    before, rest = document.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n\n{picture(rooms(settings.BASE_DIR))}\n\n{END}{after}"


# --- The imports in the code ----------------------------------------------------------------------------------------


def rooms(base: Path) -> Graph:
    """Return for each room the rooms it imports.

    A package inside a root is a room, and so is a module of a root that a room imports. The other modules of a root
    put the rooms together: they are one room with the name of the root.
    """
    imports = {module: set(_imported(path)) for module, path in _modules(base).items()}
    known = set(imports) | {module.rpartition(".")[0] for module in imports}
    used: Graph = {module: {_known(name, known) for name in names} - {""} for module, names in imports.items()}
    own = {_two(module) for module in imports if module.count(".") > 1}
    while more := {_two(name) for module in used if _two(module) in own for name in used[module]} - {*own, *ROOTS}:
        own |= more
    graph: Graph = {}
    for module, names in used.items():
        room = _room(module, own)
        graph.setdefault(room, set()).update({_room(name, own) for name in names} - {room, *ROOTS})
    return {room: names for room, names in graph.items() if names or room in own}


def _modules(base: Path) -> dict[str, Path]:
    """Return every module by its name. `__init__.py` holds no code, and migrations are left out."""
    return {
        ".".join(path.relative_to(base).with_suffix("").parts): path
        for root in ROOTS
        for path in sorted((base / root).rglob("*.py"))
        if path.stem != "__init__" and "migrations" not in path.parts
    }


def _imported(path: Path) -> Iterator[str]:
    """Yield each name the module imports, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _known(name: str, modules: set[str]) -> str:
    """Return the module that a name belongs to; "" if it is not one of ours."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def _two(module: str) -> str:
    return ".".join(module.split(".")[:2])


def _room(module: str, own: set[str]) -> str:
    return _two(module) if _two(module) in own else module.split(".")[0]


# --- The picture ----------------------------------------------------------------------------------------------------


def picture(graph: Mapping[str, Iterable[str]]) -> str:
    """Return a Mermaid diagram, highest rooms first.

    An import that follows from others is left out, so that it stays readable. Rooms that import each other in a
    circle share a box.
    """
    boxes = _boxes(graph)
    below = {box: _below(box, boxes) for box in boxes}
    height: dict[Box, int] = {}
    for box in sorted(boxes, key=lambda box: len(below[box])):  # each comes after all it imports
        height[box] = max((height[near] + 1 for near in boxes[box]), default=0)
    lines = ["```mermaid", "flowchart TD"]
    for box in (highest_first := sorted(boxes, key=lambda box: (-height[box], box))):
        lines.append(f'    {_key(box)}["{" ⇄ ".join(box)}"]')
    for box in highest_first:
        drawn = boxes[box] - {far for near in boxes[box] for far in below[near]}
        lines += [f"    {_key(box)} --> {_key(near)}" for near in sorted(drawn)]
    return "\n".join([*lines, "```"])


def _boxes(graph: Mapping[str, Iterable[str]]) -> dict[Box, set[Box]]:
    """Return what imports what, with the rooms of each circle in one box, so that no circle is left."""
    every = sorted({*graph, *(name for names in graph.values() for name in names)})
    below = {room: _below(room, graph) for room in every}
    box_of = {room: tuple(other for other in every if other == room or _circle(room, other, below)) for room in every}
    boxes: dict[Box, set[Box]] = {box_of[room]: set() for room in every}
    for room, names in graph.items():
        boxes[box_of[room]] |= {box_of[name] for name in names} - {box_of[room]}
    return boxes


def _circle(one: str, other: str, below: Mapping[str, set[str]]) -> bool:
    return other in below[one] and one in below[other]


def _below(start: Node, graph: Mapping[Node, Iterable[Node]]) -> set[Node]:
    """Return everything that the start reaches by its imports and theirs."""
    reached: set[Node] = set()
    ahead = list(graph.get(start, ()))
    while ahead:
        if (node := ahead.pop()) not in reached:
            reached.add(node)
            ahead += graph.get(node, ())
    return reached


def _key(box: Box) -> str:
    return re.sub(r"\W", "_", "__".join(box))
