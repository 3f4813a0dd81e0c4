"""Comparing the product with the oracle: loading files into both, and what they say differently."""

from __future__ import annotations

from pathlib import Path

from competencies.measures.asking import measured
from competencies.measures.figures import Figure
from por.accounts.models import Organisation
from tests import estates
from tests.competencies.measures.cases import Case
from tests.competencies.measures.oracle import Known, Oracle


def known(figure: Figure) -> Known | tuple[None, str]:
    """Return a figure in the words of the oracle."""
    if figure.low is None:
        return None, "nothing"
    return figure.low, "exactly" if figure.high is not None else "at least"


def differences(case: Case, oracle: Oracle) -> list[str]:
    """Return the companies of which product and oracle say something else."""
    figures = measured(case.measure, case.ask)
    keys = dict(Organisation.objects.filter(kind="partner", parent=None).values_list("number", "pk"))
    found = []
    for company, (amount, certain) in case.oracle(oracle).items():
        wanted = (None, certain) if certain == "nothing" else (amount, certain)
        if (ours := known(figures.of(keys[company]))) != wanted:
            found.append(f"{case.name} on {case.ask.day}, {company}: {ours}, not {wanted}")
    return found


def load(directory: Path, files: dict[str, list[dict[str, str]]]) -> set[tuple[str, int]]:
    """Load the files, and return file and line of the rows that were refused."""
    directory.mkdir()
    errors = estates.load(estates.write(directory, **{name: rows for name, rows in files.items() if rows})).errors
    return {(row["file"], int(row["line"])) for row in errors}
