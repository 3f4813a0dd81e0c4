"""The programmes that give competencies and designations, and their levels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from hashlib import sha256

from django.conf import settings
from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from por.programs.lifecycle import LifeCycle
from por.programs.reading import SOURCES, read_programs, read_sources
from por.programs.rules import Kind, Measure, Program
from por.programs.scoring import BestOfOptions

#: The folders with programmes. The sources of both are in the first.
FOLDERS = (settings.BASE_DIR / "competencies" / "rules", settings.BASE_DIR / "incentives" / "rules")
#: Where the code stands that says what a rule means, and the names of its files.
_CODE = (
    (settings.BASE_DIR / "associations", "credit.py"),
    (settings.BASE_DIR / "competencies" / "measures", "*.py"),
    (settings.BASE_DIR / "por" / "programs", "*.py"),
)
_ID = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+")
LONGEST_ID = 60
#: The programme that says how all competencies are held.
_LIFE_CYCLE = "competency"
#: The programmes that are computed from what is stored, in the order in which they are shown. For the others, no file
#: brings all facts.
COMPUTED = (
    "competency.smcs",
    "competency.cloud_productivity",
    "competency.cloud_platform",
    "competency.enterprise_mobility_management",
    "competency.cloud_crm",
    "pcs.modern_work",
    "pcs.azure.data_ai",
    "pcs.azure.infrastructure",
    "pcs.azure.digital_app",
)


class Level(TextChoices):
    SILVER = "silver", _("Silver")
    GOLD = "gold", _("Gold")
    QUALIFIED = "qualified", pgettext_lazy("level", "Qualified")


def is_program(text: str) -> bool:
    """Return whether the text is the ID of a programme, such as competency.smcs.

    Only its form is checked. This is the one place that is asked, whichever programmes are known.
    """
    return len(text) <= LONGEST_ID and _ID.fullmatch(text) is not None


@cache
def programs() -> Mapping[str, Program]:
    """Return all programmes by ID, as the files of rules have them. Raises RuleErrors that name file, line and key."""
    return read_programs(FOLDERS, FOLDERS[0] / SOURCES)


@cache
def fingerprint() -> str:
    """Return the SHA-256 of the rules of competencies and of the code that measures and judges by them, as files.

    It differs once any of them is changed, so what another release has computed can be told from what this one would.
    """
    found = sha256()
    for path in sorted(one for folder, names in ((FOLDERS[0], "*.yaml"), *_CODE) for one in folder.glob(names)):
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


@cache
def sources() -> Mapping[str, str]:
    """Return the sources of figures, by the key that figures name them with."""
    return read_sources(FOLDERS[0] / SOURCES)


def problems_of_computed(program: Program) -> Iterator[str]:
    """Yield why a programme cannot be computed from what is stored, if it is one that should be."""
    for version in program.versions if program.id in COMPUTED else ():
        for name, metric in version.metrics.items():
            kinds = {kind for credit in metric.credit or version.credit for kind in credit.kinds}
            if isinstance(metric.score, BestOfOptions):
                kinds = set(map(Kind, metric.score.options))
            counts_units = metric.measure not in (None, Measure.PEOPLE)
            if counts_units and Kind.CPOR in kinds and not (metric.only or version.only).workload:
                yield (
                    f"{program.file}: {version.id}: metrics.{name}.only.workload: it is empty: claims are of "
                    "workloads, so name those that count"
                )


def computed_on(day: date) -> list[Program]:
    """Return the computed programmes that have rules in force on a day."""
    found = [programs()[one] for one in COMPUTED]
    return [one for one in found if (version := one.on(day)) is not None and version.begins <= day]


def without_rules(program_id: str, day: date) -> Program | None:
    """Return a computed programme if it has no rules in force on a day."""
    if program_id not in COMPUTED or any(one.id == program_id for one in computed_on(day)):
        return None
    return programs()[program_id]


def life_cycle_on(day: date) -> LifeCycle | None:
    """Return how all competencies are held on a day; None if there are no rules for that."""
    version = programs()[_LIFE_CYCLE].on(day)
    return None if version is None else version.lifecycle


def last_day_of_rules(program_id: str) -> date | None:
    """Return the last day on which a computed programme has rules; None if no end is known, or it is not computed."""
    return programs()[program_id].versions[-1].ends if program_id in COMPUTED else None
