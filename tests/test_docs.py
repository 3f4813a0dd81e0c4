"""The documents name paths that exist, and decisions are complete and in the index."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DECISIONS = ROOT / "docs" / "decisions"
DOCUMENTS = [
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
]
#: Folders and files at the top that each machine makes, so they are not in a checkout.
MADE = {line.strip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").split()} | {".git"}
SOURCE = (".py", ".md", ".toml", ".yaml", ".yml", ".html", ".lock", ".po")
FILES = {
    path.relative_to(ROOT).as_posix()
    for top in ROOT.iterdir()
    if top.name not in MADE
    for path in (top.rglob("*") if top.is_dir() else [top])
    if path.is_file() and "__pycache__" not in path.parts
}
FOLDERS = {parent.as_posix() for name in FILES for parent in Path(name).parents} - {"."}


def named(document: str, text: str) -> Iterator[str]:
    """Yield each path of the repository that a document names: in backticks, in a block of code, or as a link.

    A word counts as a path if it begins with a folder of the repository or ends like a file of it. A placeholder of a
    name, such as `<feature>`, is yielded as `*`.
    """
    folder = Path(document).parent
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"\w+:|#", link):
            yield _normal(folder / link.partition("#")[0])
    for code in re.findall(r"```.*?```|`[^`]+`", text, re.DOTALL):
        for word in re.findall(r"[\w.<>*/-]+", code):
            path = re.sub(r"<[^>]*>", "*", word).rstrip(".,:").split("::")[0]
            top = path.split("/")[0]
            if top in MADE or path in SOURCE:
                continue
            if "/" in path and top in FOLDERS or path.endswith(SOURCE):
                yield path.rstrip("/")


def _normal(path: Path) -> str:
    return (ROOT / path).resolve().relative_to(ROOT).as_posix()


def exists(path: str) -> bool:
    """Return whether the repository has the path, which may start in any folder."""
    return path in FILES or path in FOLDERS or any(Path(name).match(path) for name in FILES | FOLDERS)


def test_every_path_in_a_document_exists() -> None:
    found = [
        f"{document.relative_to(ROOT)}: {path}"
        for document in DOCUMENTS
        for path in sorted(set(named(document.relative_to(ROOT).as_posix(), document.read_text(encoding="utf-8"))))
        if not exists(path)
    ]
    assert found == []


def test_a_path_that_does_not_exist_is_found() -> None:
    text = """See [one](gone.md), `por/gone.py`, `tests/gone/`, `gone_for_good.py` and `associations/<feature>/gone.py`.
    ```
    .venv/bin/pytest tests/gone_too.py
    ```
    But [two](glossary.md), [away](https://example.org/x.md), `por/settings.py`, `docs/`, `*/models.py`, `text/csv`,
    `var/log/web.log` and `/api/v1/` are there, or are no paths of the repository.
    """
    assert sorted(path for path in named("docs/some.md", text) if not exists(path)) == [
        "associations/*/gone.py",
        "docs/gone.md",
        "gone_for_good.py",
        "por/gone.py",
        "tests/gone",
        "tests/gone_too.py",
    ]


# --- Tests that documents name ----------------------------------------------------------------------------------------


def missing_tests(text: str) -> list[str]:
    """Return the tests that a text names, as `tests/test_some.py::test_name`, and that are not there."""
    named_tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    return [
        f"{path}::{name}"
        for path, name in named_tests
        if path not in FILES or not re.search(rf"^def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE)
    ]


def test_every_test_that_a_document_names_exists() -> None:
    assert {
        str(document.relative_to(ROOT)): missing
        for document in DOCUMENTS
        if (missing := missing_tests(document.read_text(encoding="utf-8")))
    } == {}


def test_a_test_that_does_not_exist_is_found() -> None:
    there = "test_a_path_that_does_not_exist_is_found"
    text = f"`tests/test_docs.py::test_gone` `tests/gone.py::test_gone` `tests/test_docs.py::{there}`"
    assert missing_tests(text) == ["tests/test_docs.py::test_gone", "tests/gone.py::test_gone"]


def test_every_check_that_has_passed_names_a_test() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| .+ \| (passed|in part|not yet|not for us) \| (.*)\|$", text, re.MULTILINE)
    assert sorted(number for number, *_rest in rows) == sorted(
        [*map(str, range(1, 45)), "S", *(f"T{number}" for number in range(1, 7))]
    )
    assert [number for number, outcome, shown in rows if outcome == "passed" and "::" not in shown] == []


# --- Decisions ------------------------------------------------------------------------------------------------------

RECORD = re.compile(
    r"# (?P<title>.+)\n\n- Date: (?P<date>\d{4}-\d\d-\d\d)\n- Status: (accepted|replaced by \[.+\]\(.+\))\n\n"
    r"## Question\n\n.+\n\n## Decision\n\n.+\n\n## Reason\n\n.+\n(\n## Measurement\n\n.+\n)?",
    re.DOTALL,
)


def test_every_decision_has_its_fields_and_is_in_the_index_once() -> None:
    index = re.findall(r"^- (\S+) \[(.+)\]\((.+\.md)\)$", (DECISIONS / "README.md").read_text("utf-8"), re.MULTILINE)
    records = []
    for path in DECISIONS.glob("*.md"):
        if path.name != "README.md":
            record = RECORD.fullmatch(path.read_text(encoding="utf-8"))
            assert record, f"{path.name} lacks a field"
            assert path.name.startswith(record["date"]), path.name
            records.append((record["date"], record["title"], path.name))
    assert sorted(index) == sorted(records)
    assert len({title for _, title, _ in records}) == len(records)
