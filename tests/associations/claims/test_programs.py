"""What can be claimed on a day, and the dated policies of claims."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from associations.claims import programs
from associations.claims.policies import POLICIES, policy_on
from associations.claims.programs import PROGRAMS, claimable, read_programs
from associations.claims.rules import Program
from associations.kinds.queries import what_counts
from associations.record.rules import AssociationKind
from por.directory.models import ServicePlan
from por.programs.policies import Term

FILE = Path(programs.__file__).parent / "programs.yaml"
STOCKHOLM = ZoneInfo("Europe/Stockholm")


def roles_on(program: str, day: str) -> dict[str, str] | None:
    """Return the roles of a programme on a day, with what each leads to; None before it began."""
    found = claimable(Program(program), date.fromisoformat(day))
    return None if found is None else {role.value: leads_to.value for role, leads_to in found.roles.items()}


@pytest.mark.parametrize(
    ("program", "by_day"),
    [
        ("osa_sell", {"2019-02-28": None, "2019-03-01": {"presales": "incentive"}}),
        ("osu_m365", {"2019-09-30": None, "2019-10-01": {"usage": "incentive"}, "2026-01-01": {"usage": "incentive"}}),
        ("osu_bizapps", {"2019-09-30": None, "2019-10-01": {"usage": "incentive"}}),
        ("osu_bizapps", {"2020-10-28": {"usage": "incentive", "revenue": "recognition"}}),
        ("osu_bizapps", {"2023-10-01": {"usage": "recognition", "revenue": "recognition"}}),
    ],
)  # fmt: skip
def test_each_role_leads_to_what_its_day_says(program, by_day):
    assert {day: roles_on(program, day) for day in by_day} == by_day


def test_workloads_are_claimed_for_a_tenant_and_business_applications_by_subscription():
    found = {program: claimable(program, date(2020, 1, 1)) for program in Program}
    assert all(bool(one.workloads) != bool(one.products) for one in found.values())
    assert [program for program, one in found.items() if one.workloads] == [Program.OSU_M365]
    assert set(found[Program.OSA_SELL].products) == set(found[Program.OSU_BIZAPPS].products) == {"crm_online"}


def test_every_workload_that_can_be_claimed_is_part_of_a_sku():
    claimed = {one for statement in PROGRAMS[Program.OSU_M365].workloads for one in statement.says}
    assert claimed <= set(ServicePlan.objects.filter(skus__isnull=False).values_list("workload", flat=True))


def test_programmes_take_claims_from_the_day_on_which_something_can_be_claimed():
    days = {one.since for known in PROGRAMS.values() for one in (*known.workloads, *known.products)} | {
        *POLICIES.by_start
    }
    for day in sorted(days | {day - timedelta(days=1) for day in days}):
        assert set(policy_on(day).takes_claims) == {one for one in Program if claimable(one, day)}, day


def test_types_of_association_agree_with_the_programmes():
    """kinds.yaml says since when there are claims, and since when they are of workloads too."""
    for day in (date(2019, 2, 28), date(2019, 3, 1), date(2019, 9, 30), date(2019, 10, 1), date(2026, 1, 1)):
        (row,) = [row for row in what_counts(day, ["of", "incentive"]) if row.kind == AssociationKind.CPOR]
        open_then = [found for program in Program if (found := claimable(program, day))]
        assert bool(row.answers) == bool(open_then), day
        if open_then:
            of, incentive = row.answers
            assert (of.says == "workload") == any(one.workloads for one in open_then), day
            assert (incentive.says == "crm") == (not any(one.workloads for one in open_then)), day


WRONG = {
    "no such programme": ("osa_sell:\n", "osa_buy:\n", "programs.yaml: osa_buy is not known"),
    "no such role": ("    presales:\n", "    sales:\n", "osa_sell: roles: sales is not known"),
    "no such workload": ("[exo, spo", "[exo, excel", "osu_m365: workloads: entry 1: says: 'excel' is none of exo"),
    "a workload twice": ("[exo, spo", "[exo, exo", "osu_m365: workloads: entry 1: says: a word is there twice"),
    "no workloads": ("[exo, spo, teams, yammer, proplus, intune, aadp, aip]", "[]", "says: .* is no list of words"),
    "nothing to claim": ("  products:\n", "  things:\n", "osu_bizapps: things is not known"),
    "no such effect": ("says: recognition", "says: glory", "osu_bizapps: roles: usage: entry 2: says: 'glory' is none"),
    "an earlier day": ("since: 2023-10-01", "since: 2019-10-01", "roles: usage: entry 2: since is no day after"),
    "no such status": ("status: inferred", "status: rumour", "osu_m365: workloads: entry 1: status: 'rumour' is none"),
    "no source": (', source: "KB4491739, 2019"', "", "osa_sell: products: entry 1: source is missing"),
}


@pytest.mark.parametrize(("old", "new", "message"), WRONG.values(), ids=WRONG)
def test_wrong_file_is_refused_with_its_name_entry_and_key(tmp_path, old, new, message):
    text = FILE.read_text(encoding="utf-8")
    assert old in text
    wrong = tmp_path / "programs.yaml"
    wrong.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_programs(wrong)


@pytest.mark.parametrize(
    ("day", "figure", "is_then"),
    [
        ("2019-09-30", "review_within", None),
        ("2019-10-01", "review_within", Term(5, business=True)),
        ("2019-10-01", "answer_within", Term(5, business=True)),
        ("2023-09-30", "answer_within", Term(5, business=True)),
        ("2023-10-01", "answer_within", Term(14, business=True)),
        ("2023-10-01", "start_review_within", Term(5, business=True)),
        ("2021-04-30", "consent_lapses_after", Term(5, business=True)),
        ("2021-05-01", "consent_lapses_after", Term(7)),
        ("2023-10-01", "consent_lapses_after", Term(5, business=True)),
        ("2023-09-30", "decline_after_consent", False),
        ("2023-10-01", "decline_after_consent", True),
        ("2023-10-01", "edit_submitted", False),
        ("2020-06-30", "most_recent_proof_first", False),
        ("2020-07-01", "most_recent_proof_first", True),
        ("2020-03-31", "proof_on_approved", False),
        ("2020-07-15", "migrated_proof_deadline", date(2020, 6, 30)),
        ("2021-01-01", "dispute_within", Term(30)),
        ("2021-01-01", "disputes", 1),
    ],
)
def test_each_figure_is_that_of_its_day(day, figure, is_then):
    assert getattr(policy_on(date.fromisoformat(day)), figure) == is_then


@pytest.mark.parametrize(
    ("approved", "lapses"),
    [  # the two published terms: five business days in 2020, seven days in 2021
        ("2020-11-02T09:00", "2020-11-09T23:00"),
        ("2021-06-01T09:00", "2021-06-08T09:00"),
    ],
)
def test_consent_lapses_by_the_policy_of_the_day_of_approval(approved, lapses):
    at = datetime.fromisoformat(f"{approved}+00:00")
    policy = policy_on(at.date())
    assert policy.consent_lapses_after.end(at, STOCKHOLM, policy.holidays) == datetime.fromisoformat(f"{lapses}Z")
