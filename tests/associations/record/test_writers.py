"""Only associations/record/actions.py and bulk.py write associations: the source itself is checked."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from associations.record.models import Association

ROOT = Path(__file__).parents[3]
WRITERS = {"associations/record/actions.py", "associations/record/bulk.py"}

#: Methods of querysets, managers and instances that write.
WRITES = {
    *("create", "acreate", "bulk_create", "abulk_create", "bulk_update", "abulk_update", "update", "aupdate"),
    *("get_or_create", "aget_or_create", "update_or_create", "aupdate_or_create", "delete", "adelete"),
    *("save", "asave", "save_base", "_raw_delete", "_update", "_insert"),
}
#: Columns that only associations have. Code that sets none of them has nothing to save.
COLUMNS = {
    "began_at",
    "ended_at",
    "attached_at",
    "undone_at",
    "source",
    "end_reason",
    "end_note",
    "ends_on",
    "end_inferred",
}
SQL = re.compile(
    r"\b(?:INSERT\s+INTO|UPDATE(?:\s+ONLY)?|DELETE\s+FROM(?:\s+ONLY)?|MERGE\s+INTO|TRUNCATE(?:\s+TABLE)?|COPY)"
    rf"\s+(?:\"?public\"?\.)?\"?{Association._meta.db_table}\b",
    re.IGNORECASE,
)
#: Set on what is no association, or is not saved there: claims have an end reason too; an association as it was on a
#: day, and a row of a page.
NEVER_SAVED = {
    ("associations/claims/actions/carrying_out.py", "claim.end_reason"),
    ("associations/claims/actions/ending.py", "claim.end_reason"),
    ("associations/claims/actions/outside.py", "claim.end_reason"),
    ("associations/claims/queries/as_of.py", "one.end_reason"),
    ("competencies/overrides/actions.py", "override.ended_at"),
    ("competencies/overrides/actions.py", "override.end_reason"),
    ("associations/record/models.py", "self.ended_at"),
    ("associations/record/models.py", "self.end_reason"),
    ("associations/record/models.py", "self.end_note"),
    ("por/portal/views/partner.py", "row.ended_at"),
}


def files() -> list[Path]:
    """Return the source files of the product without its migrations."""
    found = [
        path for folder in ("por", "associations", "competencies") for path in sorted((ROOT / folder).rglob("*.py"))
    ]
    return [path for path in found if "migrations" not in path.parts]


def writes(source: str, name: str = "") -> list[str]:
    """Return what writes an association in the source of one file, each with its line."""
    tree = ast.parse(source)
    if not re.search(r"\bassociations\b|associations_association", source):
        return []  # a file that does not use associations
    ours = _associations(tree)
    found = {(getattr(node, "lineno", 0), what) for node in ast.walk(tree) for what in _of(node, ours, name)}
    return [f"line {line}: {what}" for line, what in sorted(found)]


def _of(node: ast.AST, ours: set[str], name: str) -> Iterator[str]:
    if isinstance(node, ast.Call):
        function = node.func
        if isinstance(function, ast.Name | ast.Attribute) and _is_class(function):
            yield "makes an instance"
        if isinstance(function, ast.Attribute) and function.attr in WRITES and _is_ours(function.value, ours):
            yield ast.unparse(function)
        if isinstance(function, ast.Name) and function.id == "setattr" and _is_ours(node.args[0], ours):
            yield ast.unparse(node)
    is_set = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr in COLUMNS
    if is_set and (name, ast.unparse(node)) not in NEVER_SAVED:
        yield f"sets {ast.unparse(node)}"
    if SQL.search(_text(node)):
        yield "SQL"


def _text(node: ast.AST) -> str:
    """Return the text of a string; of the gaps of an f-string, only the name of the table is kept."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(value) for value in node.values)
    if isinstance(node, ast.FormattedValue) and "Association._meta.db_table" in ast.unparse(node):
        return Association._meta.db_table
    return ""


def _associations(tree: ast.AST) -> set[str]:
    """Return the names in one file that hold associations or a query for them, by annotation or by value."""
    ours = {"Association"}
    for _ in range(3):  # a name may depend on one that is found later in the file
        for node in ast.walk(tree):
            match node:
                case ast.arg(arg=arg, annotation=ast.AST() as annotation):
                    ours |= {arg} if "Association" in _names(annotation) else set()
                case ast.AnnAssign(target=ast.Name(id=target), annotation=annotation):
                    ours |= {target} if "Association" in _names(annotation) else set()
                case (
                    ast.Assign(targets=[ast.Name(id=target)], value=value)
                    | ast.NamedExpr(target=ast.Name(id=target), value=value)
                ):
                    ours |= {target} if _is_ours(value, ours) else set()
                case (
                    ast.For(target=ast.Name(id=target), iter=value)
                    | ast.comprehension(target=ast.Name(id=target), iter=value)
                ):
                    ours |= {target} if _is_ours(value, ours) else set()
                case ast.ClassDef(name="Association" | "AssociationQuerySet"):
                    ours |= {"self"}
                case ast.alias(name="Association", asname=str(target)):
                    ours |= {target}
    return ours


def _is_class(function: ast.Name | ast.Attribute) -> bool:
    return (function.id if isinstance(function, ast.Name) else function.attr) == "Association"


def _is_ours(value: ast.AST, ours: set[str]) -> bool:
    """Return whether an expression begins with such a name, or goes through the related manager."""
    while True:
        match value:
            case ast.Attribute(attr="associations" | "Association"):
                return True
            case ast.Call(func=ast.Attribute(attr="get_model"), args=arguments):
                return any(isinstance(one, ast.Constant) and "Association" in str(one.value) for one in arguments)
            case ast.Attribute(value=inner) | ast.Call(func=inner) | ast.Subscript(value=inner):
                value = inner
            case ast.Name(id=name):
                return name in ours
            case _:
                return False


def _names(annotation: ast.AST) -> set[str]:
    text = annotation.value if isinstance(annotation, ast.Constant) else ast.unparse(annotation)
    return set(re.findall(r"\w+", str(text)))


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_writers_write_an_association(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    found = writes(path.read_text(encoding="utf-8"), name)
    assert bool(found) == (name in WRITERS), found


WRONG = [
    "Association.objects.create(partner=partner)",
    "Association.objects.not_undone().filter(pk=1).update(ended_at=now)",
    "Association(partner=partner).save()",
    "Association._base_manager.bulk_create(rows)",
    "from associations import models\nmodels.Association(partner=partner)",
    "from associations.models import Association as A\nA.objects.filter(pk=1).update(note='')",
    "apps.get_model('associations.Association').objects.create(partner=partner)",
    "open_ones = Association.objects.open()\nopen_ones.filter(pk=1).delete()",
    "for one in Association.objects.all():\n    one.save()",
    "if (one := Association.objects.first()) is not None:\n    one.delete()",
    "def end(association: Association | None) -> None:\n    association.save(update_fields=['note'])",
    "def end(ones: 'list[Association]') -> None:\n    for one in ones:\n        one.save()",
    "subscription.associations.filter(ended_at=None).update(ended_at=now)",
    "request.incumbent.ended_at = now",
    "last.struck.undone_at, now = now, None",
    "def end(association: Association) -> None:\n    setattr(association, 'ended_at', now)",
    "class AssociationQuerySet(QuerySet):\n    def end(self):\n        self.update(ended_at=now)",
    'cursor.execute("DELETE FROM associations_association WHERE id = 1")',
    'cursor.execute("""\n  update only public."associations_association"\n  SET note = \'\'""")',
    'SQL = f"INSERT INTO associations_association ({columns}) SELECT 1"',
    'SQL = f"MERGE INTO {Association._meta.db_table} USING found"',
]
RIGHT = [
    "Association.objects.open().filter(partner=partner).exists()",
    "ChangeRequest.objects.create(incumbent=Association.objects.get(pk=1))",
    "def answer(request: ChangeRequest, association: Association) -> None:\n    request.save()",
    "request.reopened_at = now",
    'cursor.execute("SELECT 1 FROM associations_association FOR UPDATE")',
    'cursor.execute("UPDATE directory_subscription SET version = 1 FROM associations_association AS one")',
    "from associations.record import actions as record\nrecord.end(association, at=now, reason=reason)",
]


@pytest.mark.parametrize(("name", "target"), sorted(NEVER_SAVED))
def test_every_exception_is_still_in_the_source(name: str, target: str, monkeypatch) -> None:
    monkeypatch.setattr(f"{__name__}.NEVER_SAVED", NEVER_SAVED - {(name, target)})

    assert any(f"sets {target}" in one for one in writes((ROOT / name).read_text(encoding="utf-8"), name))


@pytest.mark.parametrize("source", WRONG)
def test_every_other_way_to_write_one_is_found(source: str) -> None:
    assert writes(f"import associations\n{source}") != []


@pytest.mark.parametrize("source", RIGHT)
def test_reading_associations_and_writing_other_things_is_allowed(source: str) -> None:
    assert writes(f"import associations\n{source}") == []
