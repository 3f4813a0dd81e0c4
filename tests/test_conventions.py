"""Rules of the code that are easily broken without noticing."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.units import LONGEST, Units, unit_of

ROOT = Path(__file__).parents[1]
#: The packages of the product.
TOPS = ("associations", "competencies", "por")
ROOMS = [
    ROOT / "associations",
    ROOT / "competencies",
    *(
        ROOT / "por" / room
        for room in ("accounts", "breaches", "directory", "imports", "history", "notifications", "portal")
    ),
]
WRITES = {"create", "bulk_create", "bulk_update", "update", "save", "delete", "update_or_create", "get_or_create"}
#: Files that may write: verbs, and the imports of estates.
WRITERS = {"actions", "imports"}
#: The ground of the verbs of associations; tests/associations/record finds what else writes an association.
GROUND = {"record/bulk.py", "record/recording.py"}
#: What a worker keeps of figures for its next computation.
KEPT = {"measures/kept.py"}


def files() -> list[Path]:
    return [
        path
        for room in ROOMS
        for path in sorted(room.rglob("*.py"))
        if not {path.stem.rpartition("_")[2], *path.relative_to(room).parts} & (WRITERS | {"migrations"})
        and path.relative_to(room).as_posix() not in GROUND | KEPT
    ]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_verbs_write(path):
    """Pages, API, tasks and queries call verbs; they never write rows themselves."""
    written = [
        f"line {node.lineno}: {ast.unparse(node.func)}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in WRITES
        and "objects" in ast.unparse(node.func)
    ]
    assert not written


CLIENTS = {"urllib.request", "http.client", "requests", "httpx", "urllib3", "aiohttp"}


def clients_in(code: str) -> set[str]:
    """Return the modules that ask servers over HTTP and that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return {one for one in found if any(f"{one}.".startswith(f"{client}.") for client in CLIENTS)}


def test_the_product_asks_no_other_server_over_http():
    """So no address that someone enters can lead it to one. The one-command run asks whether it is ready itself."""
    asking = {
        str(path.relative_to(ROOT)): clients
        for folder in TOPS
        for path in (ROOT / folder).rglob("*.py")
        if "embedded" not in path.parts and (clients := clients_in(path.read_text(encoding="utf-8")))
    }
    assert asking == {}
    assert clients_in("from http import client\nimport urllib.request, urllib.parse") == {
        "http.client",
        "urllib.request",
    }


#: Where a day is the UTC day: what is stored, figures, files, dated policies and scheduled work.
UTC_DAYS = {
    "associations/attaching/actions/activation.py",
    "associations/attaching/actions/ending.py",
    "associations/claims/actions/drafting.py",
    "associations/claims/actions/migrated.py",
    "associations/claims/actions/reviewing.py",
    "associations/claims/imports/files.py",
    "associations/claims/views/wizard.py",
    "associations/imports.py",
    "associations/legacy_forms/actions.py",
    "associations/merging.py",
    "associations/moves.py",
    "associations/record/sums.py",
    "associations/record/usage.py",
    "associations/renewals/actions.py",
    "competencies/actions.py",
    "competencies/imports.py",
    "competencies/taking.py",
    "competencies/overrides/actions.py",
    "por/directory/imports/absent.py",
    "por/directory/imports/credentials.py",
    "por/directory/imports/enrolments.py",
    "por/directory/imports/monthly.py",
    "por/management/commands/demo.py",
    "por/management/commands/recompute.py",
}
_TODAY = re.compile(r"\bnow(\(\))?\.date\(\)|\b(date|datetime)\.today\(|\butcnow\(")
_CUT_OFF = re.compile(r"{[{%][^}]*_at\.date\b|{[{%][^}]*\|(date|time)\b(?!:\"Y-m-d\")")


def test_today_is_the_readers_day_but_where_utc_days_are_meant():
    """Pages ask timezone.localdate(), and verbs their actor: else a reader meets two days for one moment."""
    found = {
        path.relative_to(ROOT).as_posix()
        for top in TOPS
        for path in (ROOT / top).rglob("*.py")
        if _TODAY.search(path.read_text(encoding="utf-8"))
    }
    assert found == UTC_DAYS


def test_no_query_cuts_a_day_out_of_an_instant_in_the_zone_of_one_reader():
    """A prepared query is kept for all readers, and would keep the zone of the first one."""
    cut = re.compile(r"__(date|month|year|hour)\b(?!_)|\bTrunc\w+\((?!.*tzinfo=)")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for top in TOPS
        for path in (ROOT / top).rglob("*.py")
        if "migrations" not in path.parts
        for line in path.read_text(encoding="utf-8").splitlines()
        if cut.search(line)
    ]
    assert found == []
    assert cut.search("ended_at__date=day")


def test_templates_show_instants_by_the_tags_that_know_the_readers_day():
    assert not [path.name for path in templates() if _CUT_OFF.search(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("shown", ["{% day one.began_at.date %}", '{{ one.began_at|date:"j M" }}', "{{ now|time }}"])
def test_a_template_that_cuts_off_the_utc_day_is_found(shown):
    assert _CUT_OFF.search(shown)


def test_no_python_file_is_longer_than_500_lines():
    long = {
        str(path.relative_to(ROOT)): lines
        for folder in TOPS
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 500
    }
    assert long == {}


def test_tests_that_share_a_server_run_in_one_process():
    assert [path for paths in LONGEST for path in paths if not (ROOT / path).exists()] == []
    assert unit_of("tests/journeys/test_pages.py::test_a[x::y]") == unit_of("tests/journeys/test_attach.py::test_b")
    assert unit_of("tests/por/test_files.py::test_a") == unit_of("tests/por/history/test_seals.py::test_b")
    assert unit_of("tests/por/ops/test_logs.py::test_a") == "tests/por/ops/test_logs.py"
    for ours in ("_split_scope", "_assign_work_unit"):  # they still replace methods of pytest-xdist
        assert getattr(Units, ours) is not getattr(LoadScopeScheduling, ours)


def too_long(template: str) -> list[int]:
    """Return the numbers of the lines that have more than 140 characters."""
    return [number for number, line in enumerate(template.splitlines(), 1) if len(line) > 140]


def templates() -> list[Path]:
    return [path for path in (ROOT / "templates").rglob("*") if path.is_file()]


def test_no_line_of_a_template_is_longer_than_140_characters():
    """The formatter leaves a line that it cannot break as it is."""
    found = {str(path.relative_to(ROOT)): too_long(path.read_text(encoding="utf-8")) for path in templates()}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_a_long_line_of_a_template_is_found():
    assert too_long(f"<p>\n{'å' * 140}\n{'a' * 141}\n</p>") == [3]


def test_every_template_is_where_the_formatter_looks():
    """`make check` formats templates/ only."""
    html = [path for room in TOPS for path in (ROOT / room).rglob("*.html")]
    assert html == []


def test_no_template_has_inline_scripts_styles_or_handlers():
    """The Content-Security-Policy forbids them, so they would not work."""
    forbidden = (" style=", "<style", " onclick=", " onsubmit=", " onchange=", "javascript:")
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in (ROOT / "templates").rglob("*.html")
        if "emails" not in path.parts
        for word in forbidden
        if word in path.read_text(encoding="utf-8")
    ]
    assert found == []


# --- Layers ---------------------------------------------------------------------------------------------------------

#: Rooms and features in which the order of the modules is not fixed: there it is enough that the room has a place.
WITHOUT_FURNITURE = {
    *(f"por.{room}" for room in ("db", "embedded", "files", "management", "queue", "web")),
    "associations.migrations",
    "associations.templatetags",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def layers_of(contracts: list[dict[str, Any]]) -> dict[str, set[str]]:
    """Return the full names of the modules in the layers contracts, by container; that of the rooms is ""."""
    found: dict[str, set[str]] = {}
    for contract in contracts:
        if contract["type"] == "layers":
            names = [*contract["layers"], *contract.get("exhaustive_ignores", [])]
            modules = {name for text in names for name in re.findall(r"[\w.]+", text)}
            for container in contract.get("containers", [""]):
                found[container] = {f"{container}.{name}".lstrip(".") for name in modules}
    return found


def has_a_layer(module: str, layers: dict[str, set[str]]) -> bool:
    """Return whether a module, or a package that it is in, is in a layer of its room and of each container above it."""
    parts = module.split(".")
    above = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    if not above & layers[""] or not all(above & layers[container] for container in above & layers.keys() - {module}):
        return False
    room = max(above & (layers[""] | layers["associations"]), key=len)
    return room == module or room in layers or room in WITHOUT_FURNITURE


def modules() -> list[str]:
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for folder in TOPS
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path.name != "__init__.py"
    ]


def test_every_module_has_a_layer():
    layers = layers_of(PROJECT["tool"]["importlinter"]["contracts"])

    assert [module for module in modules() if not has_a_layer(module, layers)] == []


@pytest.mark.parametrize(
    "module",
    [
        "por.made_up",
        "por.made_up.models",
        "por.ops.made_up",
        "por.api.made_up",
        "por.history.made_up",
        "associations.made_up",
        "associations.made_up.models",
        "associations.record.made_up",
        "associations.attaching.made_up.attach",
        "competencies.made_up",
        "competencies.made_up.models",
        "competencies.overrides.made_up",
    ],
)
def test_a_module_without_a_layer_is_found(module):
    assert not has_a_layer(module, layers_of(PROJECT["tool"]["importlinter"]["contracts"]))


def test_a_feature_whose_modules_have_no_order_is_found():
    layers = layers_of(PROJECT["tool"]["importlinter"]["contracts"])
    layers["associations"] |= {"associations.made_up"}

    assert not has_a_layer("associations.made_up.models", layers)
    assert has_a_layer("associations.made_up", layers)
