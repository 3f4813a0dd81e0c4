"""The table of what kinds of association count for says the same as the rules, whenever one of them changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from associations.kinds.queries import Competency, kinds
from associations.kinds.rules import in_force
from associations.record.rules import AssociationKind
from competencies.programs import COMPUTED, programs
from por.programs.rules import Program, Version

LEGACY = {"smcs", "cloud_productivity", "cloud_platform", "enterprise_mobility_management", "cloud_crm"}
AZURE = {"azure.data_ai", "azure.infrastructure", "azure.digital_app"}
BOTH_TRACKS = {"modern_work, enterprise", "modern_work, smb"}
#: What each answer of the table says about the programmes that are computed.
SAYS = {
    Competency.YES: LEGACY,
    Competency.NO: set(),
    Competency.UNKNOWN: set(),
    Competency.CONTRIBUTION: set(),
    Competency.NOT_CLOUD_PLATFORM: LEGACY - {"cloud_platform"},
    Competency.NOT_CLOUD_CRM: LEGACY - {"cloud_crm"},
    Competency.NOT_CLOUD_PLATFORM_OR_CRM: LEGACY - {"cloud_platform", "cloud_crm"},
    Competency.MOBILITY: {"enterprise_mobility_management"},
    Competency.MOBILITY_AND_PRODUCTIVITY: {"enterprise_mobility_management", "cloud_productivity"},
    Competency.DESIGNATIONS_OF_RECORD: AZURE | {"modern_work, enterprise"},
    Competency.DESIGNATIONS_CLAIMED: BOTH_TRACKS,
    Competency.DESIGNATIONS_LINKED: AZURE,
    Competency.DESIGNATIONS_SOLD: AZURE | {"modern_work, smb"},
}


def test_the_table_and_the_rules_agree_on_every_day_one_of_them_changes():
    found: dict[tuple[str, str], list[date]] = {}
    for day in days():
        for name, counted in rules(day):
            for kind in AssociationKind:
                if (name in said(kind, day)) is not (kind in counted):
                    found.setdefault((name, kind), []).append(day)
    assert found == {}


def days() -> set[date]:
    """Return the days on which an answer, a version or its credit begins, and the days before."""
    begins = {one.since for answers in kinds().values() for one in answers["competency"] if one.since}
    for program in computed():
        for version in program.versions:
            begins |= {version.begins, *([version.ends + timedelta(days=1)] if version.ends else [])}
            entries = [*version.credit, *(one for metric in version.metrics.values() for one in metric.credit)]
            begins |= {one.begins for one in entries if one.begins}
    return begins | {day - timedelta(days=1) for day in begins}


def computed() -> Iterator[Program]:
    return (programs()[name] for name in COMPUTED)


def said(kind: AssociationKind, day: date) -> set[str]:
    answer = in_force(kinds()[kind]["competency"], day)
    return SAYS[Competency(answer.says)] if answer else set()


def rules(day: date) -> Iterator[tuple[str, set[str]]]:
    """Yield each programme in force, with its track where kinds depend on it, and the kinds that count for it."""
    for program in computed():
        version = program.on(day)
        if version is None or day < version.begins:
            continue
        name = program.id.partition(".")[2]
        if name == "modern_work":
            for track in ("enterprise", "smb"):
                yield f"{name}, {track}", credited(version, day, track)
        else:
            yield name, credited(version, day, "")


def credited(version: Version, day: date, track: str) -> set[str]:
    measured = [name for name, metric in version.metrics.items() if metric.measure and metric.measure != "people"]
    return {kind for name in measured for kind in version.policy(name, day, track).kinds}
