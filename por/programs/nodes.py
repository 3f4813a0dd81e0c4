"""YAML as nodes that know their line, so that an error can name it. Nothing is built that YAML names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

#: The most bytes of a file, and the deepest it nests.
MOST_BYTES = 512 * 1024
DEEPEST = 40
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Node = yaml.nodes.Node


class RuleError(ValueError):
    """An error in a file of rules: where it is, and what is wrong."""

    def __init__(self, file: str, line: int, key: str, reason: str) -> None:
        super().__init__(f"{file}:{line}: {key}: {reason}" if key else f"{file}:{line}: {reason}")
        self.file, self.line, self.key, self.reason = file, line, key, reason


class RuleErrors(ValueError):
    """All errors found in files of rules."""

    def __init__(self, errors: list[RuleError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors


def documents(file: str, text: str) -> list[Node]:
    """Return the root nodes of a file. Raises RuleError for what is no YAML or is too large."""
    if len(text.encode()) > MOST_BYTES:
        raise RuleError(file, 1, "", f"the file is larger than {MOST_BYTES // 1024} KiB")
    try:
        return [node for node in yaml.compose_all(text, Loader=_LOADER) if node is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise RuleError(file, mark.line + 1 if mark else 1, "", f"no valid YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise RuleError(file, 1, "", f"no valid YAML: {type(error).__name__}") from error


def line_of(node: Node) -> int:
    return int(node.start_mark.line) + 1


def pairs(node: yaml.MappingNode) -> Iterator[tuple[str, Node, Node]]:
    """Yield key, its node, and the node of the value. A key that is no plain text has the key ""."""
    for key, value in node.value:
        yield (key.value if isinstance(key, yaml.ScalarNode) else ""), key, value


def tag(node: Node) -> str:
    """Return the type that YAML sees: str, int, float, bool, null, timestamp, map or seq."""
    return str(node.tag).rpartition(":")[2]
