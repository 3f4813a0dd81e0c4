"""manage.py rules: for those who write rules."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from shutil import copytree

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from competencies.programs import FOLDERS


def rules(*arguments: str) -> str:
    out = StringIO()
    call_command("rules", *arguments, stdout=out)
    return out.getvalue()


def test_check_counts_what_it_read() -> None:
    assert "35 programmes, 61 versions" in rules("check")
    assert "No errors." in rules("check")


def test_check_names_every_error_with_file_line_and_key(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("program: x\nfamly: competency\ntitle: X\nversions: []\n", encoding="utf-8")
    with pytest.raises(CommandError) as error:
        rules("check", str(tmp_path))
    assert f"{tmp_path}/bad.yaml:2: famly: the key is not known; did you mean family?" in str(error.value)
    assert f"{tmp_path}/bad.yaml:1: family: it is missing" in str(error.value)
    assert "2 errors." in str(error.value)


@pytest.mark.parametrize(
    ("file", "before", "after", "error"),
    [
        (
            "pcs_modern_work.yaml",
            "only: {trial: false, workload: [exo, spo, teams, yammer, proplus, intune]}",
            "only: {trial: false}",
            "pcs-mw-2022: metrics.net_customer_adds.only.workload: it is empty: claims are of workloads",
        ),
        (
            "pcs_azure.yaml",
            "consumption_best_of_last_two_months, gte: 1000",
            "consumption_best_of_last_two_months, gte: {value: null, status: unknown}",
            "unit_test compares units with it, so it has to be one known number",
        ),
        (
            "pcs_azure.yaml",
            "gte: {enterprise: 1000, smb: 500}",
            "gte: {enterprise: 1000, smb: {value: null, status: unknown}}",
            "unit_test compares units with it, so it has to be one known number",
        ),
    ],
)
def test_check_names_what_a_computed_programme_cannot_be_measured_by(
    tmp_path: Path, file: str, before: str, after: str, error: str
) -> None:
    copytree(FOLDERS[0], tmp_path, dirs_exist_ok=True)
    written = (tmp_path / file).read_text(encoding="utf-8")
    assert before in written
    (tmp_path / file).write_text(written.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(CommandError) as found:
        rules("check", str(tmp_path))
    assert error in str(found.value)
    assert str(tmp_path / file) in str(found.value)


def test_check_of_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is no folder"):
        rules("check", str(tmp_path / "gone"))


def test_show_has_the_version_of_the_day_with_figures_statuses_and_sources() -> None:
    shown = rules("show", "competency.smcs", "--on", "2016-05-24")
    assert "Rules of 2016-05-24: smcs-2015, from 2015-09-01 to 2016-09-30" in shown
    assert "credit.kinds: dpor, delegated_admin, transacting, csp" in shown
    assert "outcome.levels.silver.all.1.seats_sold gte: 40 (secondary; RCP15, CW15, S3)" in shown
    assert "people gte: not published (unknown, only shown; RCP15, CW15, S3)" in shown
    assert "RCP15: rcpmag.com" in shown


def test_show_without_a_day_takes_today() -> None:
    assert "pcs-mw-2022" in rules("show", "pcs.modern_work")


def test_diff_shows_what_differs_between_two_days_of_one_version_too() -> None:
    assert rules("diff", "competency.smcs", "2016-05-23", "2016-05-24").splitlines() == [
        "- credit.kinds: dpor",
        "+ credit.kinds: dpor, delegated_admin, transacting, csp",
        "- credit.from: 2015-09-01",
        "+ credit.from: 2016-05-24",
    ]
    changed = rules("diff", "competency.cloud_platform", "2018-12-31", "2019-01-01")
    assert "+ retroactive: from_attach" in changed
    assert "exam:70-534" in changed


def test_diff_of_days_with_the_same_rules_says_so() -> None:
    same = rules("diff", "competency.smcs", "2016-05-24", "2016-09-30")
    assert same == "The rules of competency.smcs are the same on both days.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "competency.smc"), "no programme competency.smc. Did you mean competency.smcs?"),
        (("show", "x"), "There are: action_pack.extras"),
        (("show", "competency.smcs", "--on", "soon"), "soon is no date. Write it as in 2016-05-24."),
        (("diff", "competency.smcs", "2016-01-01", "2016-02-30"), "2016-02-30 is no date"),
        (("show", "competency.smcs", "--on", "2001-01-01"), "no rules on 2001-01-01. It has smcs-2014: 2014-09-01"),
        (("diff", "competency.smcs", "2016-01-01", "2030-01-01"), "no rules on 2030-01-01"),
        (("dance",), "invalid choice"),
    ],
)
def test_what_cannot_be_shown_is_an_error_that_says_why(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError, match=message.replace("(", r"\(")):
        rules(*arguments)
