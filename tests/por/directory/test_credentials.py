"""Credentials: what files say of the exams and certificates of people at a location."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from por.directory.models import Credential, Partner
from por.history.models import Event
from tests import estates
from tests.estates import GLOBAL, PARTNER, RIVAL, UNKNOWN, credential

SECOND = "4471904"


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """Import a global account with two locations, and another company."""
    partners = [
        estates.partner(GLOBAL, kind="global"),
        *(estates.partner(one, parent_mpn_id=GLOBAL) for one in (PARTNER, SECOND)),
        estates.partner(RIVAL),
    ]
    assert estates.load(estates.write(tmp_path, partners=partners)).failure == ""
    return tmp_path


def stored() -> list[tuple[str, ...]]:
    found = Credential.objects.order_by("person", "partner__mpn_id", "credential", "valid_from")
    rows = found.values_list("person", "partner__mpn_id", "credential", "valid_from", "valid_to")
    return [tuple(str(one or "") for one in row) for row in rows]


def day(ahead: int) -> str:
    return (timezone.now().date() + timedelta(days=ahead)).isoformat()


def test_file_gives_credentials_and_the_same_file_changes_nothing(estate):
    rows = [
        credential(),
        credential(credential="cert:MCSA-O365", valid_to="2026-06-30"),
        credential(RIVAL, person="Åke Öst"),
    ]
    assert "3 created, 0 changed, 0 unchanged, 0 failed" in estates.load_one(estate, "credentials", *rows).out
    assert stored() == [
        ("Tove Lind", PARTNER, "cert:MCSA-O365", "2024-07-01", "2026-06-30"),
        ("Tove Lind", PARTNER, "exam:70-347", "2024-07-01", ""),
        ("Åke Öst", RIVAL, "exam:70-347", "2024-07-01", ""),
    ]
    loaded = Event.objects.filter(verb="estate.loaded", object_id="credentials.csv")
    assert sorted(event.changes["created"] for event in loaded) == [1, 2]
    assert "Nothing has changed" in estates.load_one(estate, "credentials", *rows).out


def test_events_of_an_import_name_no_person(estate):
    estates.load_one(estate, "credentials", credential())
    estates.load_one(estate, "credentials", credential(valid_to="2025-06-30"))
    told = list(Event.objects.filter(object_id="credentials.csv").order_by("pk"))
    assert [event.changes["changed"] for event in told] == [0, 1]
    assert not [event for event in told if "Tove" in f"{event.changes}{event.reason}{event.object_name}"]


def test_later_file_corrects_the_end_and_an_empty_cell_takes_it_back(estate):
    estates.load_one(estate, "credentials", credential(), credential(RIVAL, person="Åke Öst"))
    loaded = estates.load_one(estate, "credentials", credential(valid_to="2025-06-30"))
    assert "0 created, 1 changed, 0 unchanged, 0 failed" in loaded.out
    assert [row[-1] for row in stored()] == ["2025-06-30", ""]
    estates.load_one(estate, "credentials", credential())
    assert [row[-1] for row in stored()] == ["", ""]


def test_credential_can_be_earned_again_from_another_day(estate):
    again = credential(valid_from="2026-07-01")
    estates.load_one(estate, "credentials", credential(valid_to="2026-06-30"), again)
    assert [row[3] for row in stored()] == ["2024-07-01", "2026-07-01"]


@pytest.mark.parametrize("written", ["exam:70-347", "Exam: 70-347", " EXAM :70-347"])
def test_credential_is_stored_in_one_form(estate, written):
    assert estates.load_one(estate, "credentials", credential(credential=written)).failure == ""
    assert [row[2] for row in stored()] == ["exam:70-347"]


@pytest.mark.parametrize("written", ["70-347", "exam", "exam:", ":70-347", "exam:70 347", "exam:70-347;70-346", "7:a"])
def test_credential_of_another_form_is_refused_with_an_example(estate, written):
    loaded = estates.load_one(estate, "credentials", credential(credential=written))
    assert loaded.codes == [("2", "credential", "credential_malformed")]
    assert "exam:70-347" in loaded.errors[0]["reason"]


@pytest.mark.parametrize(
    ("cells", "column", "code"),
    [
        ({"mpn_id": "4999999"}, "mpn_id", "unknown_partner"),
        ({"mpn_id": GLOBAL}, "mpn_id", "partner_is_global"),
        ({"mpn_id": UNKNOWN}, "mpn_id", "mpn_id_malformed"),
        ({"person": ""}, "person", "missing_value"),
        ({"person": "n" * 201}, "person", "too_long"),
        ({"person": "Tove\u202eLind"}, "person", "direction_mark"),
        ({"valid_to": "2024-06-30"}, "valid_to", "ends_before_it_begins"),
        ({"valid_from": "soon"}, "valid_from", "malformed_date"),
        ({"valid_from": day(400)}, "valid_from", "day_far_ahead"),
        ({"valid_from": "1899-12-30"}, "valid_from", "day_too_early"),
    ],
)
def test_row_that_cannot_be_is_refused_alone(estate, cells, column, code):
    loaded = estates.load_one(estate, "credentials", credential(**cells), credential(RIVAL))
    assert loaded.codes == [("2", column, code)]
    assert [row[1] for row in stored()] == [RIVAL]


def test_credential_may_begin_soon_and_last_one_day(estate):
    loaded = estates.load_one(estate, "credentials", credential(valid_from=day(300), valid_to=day(300)))
    assert loaded.failure == ""


def test_database_keeps_no_credential_twice_and_none_that_ends_before_it_begins(estate):
    partner = Partner.objects.get(mpn_id=PARTNER)
    given = {"person": "Tove", "partner": partner, "credential": "exam:70-347", "valid_from": date(2025, 1, 1)}
    Credential.objects.create(**given)
    with pytest.raises(IntegrityError, match="one_credential_from_a_day"), transaction.atomic():
        Credential.objects.create(**given)
    with pytest.raises(IntegrityError, match="a_credential_ends_after_it_begins"), transaction.atomic():
        Credential.objects.create(**given | {"person": "Åke", "valid_to": date(2024, 12, 31)})


# --- A person at two companies ---------------------------------------------------------------------------------------


def warned(loaded: estates.Loaded) -> list[str]:
    return [line for line in loaded.out.splitlines() if "two companies" in line]


def test_person_at_two_companies_at_once_is_a_note_that_names_nobody_and_no_failure(estate):
    rows = [credential(person="Åke Öst"), credential(), credential(RIVAL, credential="exam:70-346")]
    loaded = estates.load_one(estate, "credentials", *rows)
    assert (loaded.failure, loaded.errors) == ("", [])
    (note,) = warned(loaded)
    assert "1 person has" in note
    assert note.endswith("See line 3.")
    assert not [name for name in ("Tove", PARTNER, RIVAL, "Nordvik") if name in note]
    assert len(stored()) == 3


def test_person_who_is_stored_at_another_company_is_noted_and_again_with_each_import(estate):
    estates.load_one(estate, "credentials", credential())
    for _time in range(2):
        (note,) = warned(estates.load_one(estate, "credentials", credential(RIVAL)))
        assert note.endswith("See line 2.")


@pytest.mark.parametrize(
    "other",
    [
        {"mpn_id": SECOND},  # another location of the company
        {"mpn_id": RIVAL, "valid_from": "2025-07-01"},  # the day after
        {"mpn_id": RIVAL, "valid_from": "2024-01-01", "valid_to": "2024-06-30"},  # the day before
        {"mpn_id": RIVAL, "person": "Åke Öst"},
        {"mpn_id": "4999999"},  # unknown, so it fails
    ],
)
def test_person_at_one_company_at_a_time_is_not_noted(estate, other):
    rows = [credential(valid_to="2025-06-30"), credential(**other)]
    assert warned(estates.load_one(estate, "credentials", *rows)) == []


def test_row_that_corrects_the_end_ends_the_overlap_too(estate):
    estates.load_one(estate, "credentials", credential())
    rows = [credential(valid_to="2025-06-30"), credential(RIVAL, valid_from="2025-07-01")]
    assert warned(estates.load_one(estate, "credentials", *rows)) == []


def test_last_day_of_one_and_first_day_of_the_other_are_the_same_day(estate):
    rows = [credential(valid_to="2025-06-30"), credential(RIVAL, valid_from="2025-06-30")]
    assert len(warned(estates.load_one(estate, "credentials", *rows))) == 1


def test_note_names_twenty_lines_at_most(estate):
    people = [f"Person {number:02}" for number in range(25)]
    rows = [credential(mpn_id, person=one) for mpn_id in (PARTNER, RIVAL) for one in people]
    (note,) = warned(estates.load_one(estate, "credentials", *rows))
    assert "25 people have" in note
    assert note.endswith("20, 21, ….")
