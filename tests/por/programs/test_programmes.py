"""The programmes that come with the product: complete, dated without gaps, and each figure with its source."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from associations.record.rules import AssociationKind
from competencies.measures.figures import SAID
from por.directory import rules as directory
from por.programs.checking import CREDENTIAL
from por.programs.codes import GateCode, Why
from por.programs.figures import Status
from por.programs.reading import read_sources
from por.programs.rules import Kind, Measure, Product, Program, Workload
from por.programs.scoring import KINDS
from por.programs.showing import figures
from tests.por.programs.cases import ROOT, SOURCES, programs

each_programme = pytest.mark.parametrize("program", programs().values(), ids=lambda one: one.id)


@each_programme
def test_versions_follow_each_other_without_gap_or_overlap(program: Program) -> None:
    for one, after in pairwise(program.versions):
        assert one.ends is not None
        assert after.begins == one.ends + timedelta(days=1)
    for version in program.versions:
        assert program.on(version.begins) is version
        assert version.ends is None or program.on(version.ends) is version


@each_programme
def test_every_figure_has_a_known_source_and_a_status(program: Program) -> None:
    known = read_sources(SOURCES)
    for version in program.versions:
        for figure in figures(version):
            assert figure.sources
            assert set(figure.sources) <= known.keys()
            assert figure.published is (figure.status not in (Status.GATED, Status.UNKNOWN))


@each_programme
def test_a_metric_counts_trials_only_where_its_version_does(program: Program) -> None:
    """What a metric says of its rows stands in place of what its version says, so it has to say all of it."""
    for version in program.versions:
        own = {name: metric.only.trial for name, metric in version.metrics.items() if metric.only is not None}
        assert own == dict.fromkeys(own, version.only.trial if version.only.trial is not None else False), version.id


def test_rules_ask_for_credentials_in_the_form_that_files_have() -> None:
    assert directory.CREDENTIAL == CREDENTIAL


def test_every_source_is_named_somewhere() -> None:
    """Those that no figure rests on are named in a note or a comment, or say what is not a figure."""
    texts = "".join(
        path.read_text("utf-8")
        for room in ("competencies", "incentives")
        for path in (ROOT / room).rglob("*.yaml")
        if path != SOURCES
    )
    unused = {key for key in read_sources(SOURCES) if not re.search(rf"\b{key}\b", texts)}
    assert unused == NO_FIGURES


#: Sources of what is no figure of a rule: words, statuses, screens, and what the definitions decide.
NO_FIGURES = {
    "S4",
    "SE",
    "US17B",
    "CPOR21",
    "UIP20",
    "PAYST21",
    "INCFAQ",
    "PCINS21",
    "CIT22",
    "GROW22",
    "TDS22",
    "KB3185160",
}


def used(value: object, kind: type) -> list[Any]:
    """Return the values of a type anywhere inside."""
    if isinstance(value, kind):
        return [value]
    if isinstance(value, dict):
        return [found for one in value.values() for found in used(one, kind)]
    if isinstance(value, tuple):
        return [found for one in value for found in used(one, kind)]
    if is_dataclass(value):
        return [found for field in fields(value) for found in used(getattr(value, field.name), kind)]
    return []


#: Measures that no rule asks for, and why they are in the list.
UNUSED_MEASURES: dict[Measure, str] = {}
#: Gates that no rule has yet, and why their codes are in the list: the vendor's reports use them.
UNUSED_GATES = {
    "CUSPUBSEC",
    "CUSNOTNEW",
    "IVDCOSELL",
    "IVDGEO",
    "IVDCUST",
    "CHREVNONCH",
    "IVDPTRROLE",
    "INVTNXACO",
    "RATE_UNKNOWN",
    "COMPETENCY_UNKNOWN",
    "NOT_CREDITED",
    "RATE_WITHDRAWN",
}


def test_every_measure_is_asked_for_by_a_rule() -> None:
    asked = {measure for program in programs().values() for measure in used(program, Measure)}
    assert set(Measure) - asked == set(UNUSED_MEASURES)


def test_every_kind_of_score_is_used_by_a_rule() -> None:
    found = {kind for kind, form in KINDS.items() for one in programs().values() if used(one, form)}
    # Nothing gives all points from a number on today; the kind stays because the ten are what rules may use.
    assert set(KINDS) - found == {"threshold"}


def test_every_code_of_a_gate_is_used_by_a_rule_or_is_one_of_the_vendors() -> None:
    found = {str(code) for program in programs().values() for code in used(program, GateCode)}
    assert {str(code) for code in GateCode} - found == UNUSED_GATES


def test_every_code_of_a_verdict_is_given_by_the_engine() -> None:
    code = "".join(path.read_text("utf-8") for path in (ROOT / "por" / "programs").glob("*.py") if path.stem != "codes")
    # Whether anything is stored, and what is not certain of a fact, is not for the engine to know.
    given = {Why.NOTHING_KNOWN, *SAID.values()}
    assert {one for one in Why if f"Why.{one.name}" not in code} == given - {Why.NO_FACTS}


def test_areas_that_are_computed_later_say_who_is_credited_and_which_rows_count() -> None:
    for name in (
        "competency.smcs",
        "competency.cloud_productivity",
        "competency.cloud_platform",
        "competency.cloud_crm",
        "competency.enterprise_mobility_management",
        "pcs.modern_work",
        "pcs.azure.data_ai",
    ):
        program = programs()[name]
        for version in program.versions:
            for metric, one in version.metrics.items():
                if one.measure is not None and one.measure is not Measure.PEOPLE:
                    tracks = program.choices["track"].of if "track" in program.choices else ("",)
                    assert all(version.policy(metric, version.begins, track).kinds for track in tracks), (
                        version.id,
                        metric,
                    )


def test_words_of_rules_are_those_of_the_rooms() -> None:
    """The engine imports no room, so it has its own lists."""
    assert [str(one) for one in Kind] == sorted(AssociationKind.values, key=[str(one) for one in Kind].index)
    assert [str(one) for one in Product] == directory.Product.values
    assert [str(one) for one in Workload] == directory.Workload.values
