"""Files are added to a claim: whole, checked, and by the claimant alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files import File
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.utils import timezone

from associations.claims.actions import drafting, proofs, reviewing, submitting
from associations.claims.actions.proofs import Said, upload
from associations.claims.models import Claim, Proof
from associations.claims.rules import ClaimStatus, Preview, Scan
from por.accounts.models import Actor
from por.accounts.rules import Role
from por.directory.models import Partner
from por.errors import Forbidden, NotFound, Refused, Unavailable, VersionConflict
from por.files import proofs as files
from por.history.models import Event
from tests.claims import make_approved, make_draft, make_submitted, make_under_review
from tests.factories import make_member, make_partner, make_staff
from tests.files import PDF, PNG, stored_names, use_directory
from tests.por.documents import bad
from tests.por.documents.some import first_of_each


@pytest.fixture(autouse=True)
def storage(tmp_path: Path, settings: Any) -> Path:
    return use_directory(settings, tmp_path)


@pytest.fixture
def claimant(partner: Partner) -> Actor:
    return make_member(partner.organisation)


@pytest.fixture
def rival() -> Actor:
    return make_member(make_partner("Rival AB").organisation)


def sent(content: bytes = PDF, name: str = "Statement.pdf") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def said(*units: str, **fields: Any) -> Said:
    return Said(units or ("exo",), **{"acknowledged_on": timezone.now().date() - timedelta(days=10)} | fields)


@contextmanager
def refused(code: str, field: str | None = None) -> Iterator[None]:
    """Expect a refusal that leaves no row and no file."""
    before = Proof.objects.count(), stored_names()
    with pytest.raises(Refused) as refusal:
        yield
    assert (refusal.value.code, refusal.value.field) == (code, field)
    assert (Proof.objects.count(), stored_names()) == before


# --- What an upload leaves -------------------------------------------------------------------------------------------


def test_files_are_numbered_within_their_claim_and_wait_for_their_scan(customer, claimant):
    claim = make_draft(customer, claimant, "exo", "spo")

    first = upload(claim.pk, [sent()], said("exo", "spo", description=" Signed by Karin. "), by=claimant)
    second, third = upload(claim.pk, [sent(PNG, "Plan.png"), sent(PDF + b"\n", "b.pdf")], said("spo"), by=claimant)

    proof = Proof.objects.get(pk=first[0].pk)
    assert [proof.number, second.number, third.number] == [1, 2, 3]
    assert (proof.filename, proof.content_type, proof.size) == ("Statement.pdf", "application/pdf", len(PDF))
    assert (proof.description, proof.uploaded_by, proof.uploaded_by_name) == (
        "Signed by Karin.",
        claimant.user,
        claimant.name,
    )
    assert (proof.scan, proof.preview, proof.pages) == (Scan.PENDING, Preview.PENDING, 0)
    assert {one.workload for one in proof.units.all()} == {"exo", "spo"}
    assert [one.workload for one in second.units.all()] == ["spo"]
    assert stored_names() == {one.stored_as for one in Proof.objects.all()}
    assert proof.stored_as.startswith("quarantine/")
    with files.fetched(proof.stored_as, proof.sha256) as copy:
        assert copy.read() == PDF


def test_upload_to_a_submitted_claim_stands_in_the_chain_of_the_claimant_and_names_no_file(customer, claimant):
    claim = make_submitted(customer, claimant)
    version = claim.version

    (proof,) = upload(claim.pk, [sent(name="Secret name.pdf")], said(), by=claimant)

    event = Event.objects.get(verb="proof.uploaded")
    assert (event.chain, event.changes["proofs"]) == (f"organisation:{claim.partner_id}", [proof.number])
    assert event.parties == []
    assert "Secret" not in str(event.changes)
    assert Claim.objects.get(pk=claim.pk).version == version + 1


def test_files_of_a_draft_are_no_event(customer, claimant):
    upload(make_draft(customer, claimant).pk, [sent()], said(), by=claimant)

    assert not Event.objects.filter(verb="proof.uploaded").exists()


def test_later_upload_has_a_later_instant_even_if_the_clock_stands_still(customer, claimant, monkeypatch):
    claim = make_draft(customer, claimant)
    now = timezone.now()
    monkeypatch.setattr("django.utils.timezone.now", lambda: now)

    found = [upload(claim.pk, [sent(PDF + bytes([10] * n))], said(), by=claimant)[0] for n in range(3)]

    assert [one.uploaded_at for one in found] == sorted({one.uploaded_at for one in found})


def test_uploaded_proof_lets_its_claim_be_submitted(customer, claimant):
    claim = make_draft(customer, claimant)
    with pytest.raises(Refused, match="proof of execution"):
        submitting.submit(claim.pk, by=claimant)

    upload(claim.pk, [sent()], said(), by=claimant)

    assert submitting.submit(claim.pk, by=claimant).status == ClaimStatus.SUBMITTED


# --- Who, and when ---------------------------------------------------------------------------------------------------


def test_only_the_claimant_uploads(customer, claimant, rival, admin):
    claim = make_submitted(customer, claimant)
    viewer = make_member(claimant.organisation, Role.VIEWER)
    for who, error in {rival: NotFound, admin: Forbidden, make_staff(): Forbidden, viewer: Forbidden}.items():
        with pytest.raises(error):
            upload(claim.pk, [sent()], said(), by=who)
    assert stored_names() == set()


def test_colleague_with_incentives_role_uploads(customer, claimant):
    colleague = make_member(claimant.organisation, Role.INCENTIVES)
    assert upload(make_draft(customer, claimant).pk, [sent()], said(), by=colleague)


@pytest.mark.parametrize(
    ("status", "takes"), [(status, status in proofs.TAKES_PROOF) for status in ClaimStatus if status != "approved"]
)
def test_status_says_whether_files_can_be_added(customer, claimant, status, takes):
    claim = make_submitted(customer, claimant)
    fields = {"end_reason": "support"} if status == ClaimStatus.ENDED else {}
    if status == ClaimStatus.DRAFT:
        fields["submitted_at"] = None
    Claim.objects.filter(pk=claim.pk).update(status=status, **fields)
    if takes:
        assert upload(claim.pk, [sent()], said(), by=claimant)
    else:
        with refused(f"claim_{status}"):
            upload(claim.pk, [sent()], said(), by=claimant)


def test_claim_under_review_takes_files_while_a_conflict_is_open(customer, claimant, rival):
    claim = make_under_review(customer, claimant)
    with refused("claim_under_review"):
        upload(claim.pk, [sent()], said(), by=claimant)

    make_submitted(customer, rival)

    assert upload(claim.pk, [sent()], said(), by=claimant)


def test_approved_claim_takes_files_from_the_day_the_policy_lets_it(customer, claimant, monkeypatch):
    claim = make_approved(customer, claimant)
    assert upload(claim.pk, [sent()], said(), by=claimant)
    for day, takes in ((date(2020, 3, 31), False), (date(2020, 4, 1), True)):
        assert proofs.takes_proof(Claim.objects.get(pk=claim.pk), day) is takes


def test_unit_that_was_lost_takes_no_files(customer, claimant):
    claim = make_approved(customer, claimant, "exo", "spo")
    claim.units.filter(workload="spo").update(outcome="lost", live=False)
    with refused("unit_unknown", "units"):
        upload(claim.pk, [sent()], said("spo"), by=claimant)


def test_stale_version_is_refused_and_leaves_nothing(customer, claimant):
    claim = make_submitted(customer, claimant)
    with pytest.raises(VersionConflict):
        upload(claim.pk, [sent()], said(), by=claimant, version=claim.version + 1)
    assert stored_names() == set()


# --- What is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"units": ()}, "units_missing", "units"),
        ({"units": ("exo", "EXO")}, "unit_twice", "units"),
        ({"units": ("teams",)}, "unit_unknown", "units"),
        ({"units": ("3f2b6a1e-5c6d-4f0e-9a51-6d1c2b7a8e90",)}, "unit_unknown", "units"),
        ({"acknowledged_on": date(2100, 1, 1)}, "acknowledgement_in_future", "acknowledged_on"),
        ({"acknowledged_on": date(2019, 1, 1)}, "acknowledgement_too_old", "acknowledged_on"),
        ({"description": "x" * 2001}, "description_too_long", "description"),
    ],
)
def test_wrong_words_about_a_file_are_refused(customer, claimant, fields, code, field):
    claim = make_draft(customer, claimant)
    given = {"units": ("exo",), "acknowledged_on": timezone.now().date()} | fields
    with refused(code, field):
        upload(claim.pk, [sent()], Said(**given), by=claimant)


def test_acknowledgement_of_today_and_of_a_year_ago_are_accepted(customer, claimant):
    claim = make_draft(customer, claimant)
    today = claimant.today
    upload(claim.pk, [sent()], said(acknowledged_on=today), by=claimant)
    year_ago = proofs.months_before(today, 12)
    upload(claim.pk, [sent(PNG, "a.png")], said(acknowledged_on=year_ago), by=claimant)
    with refused("acknowledgement_too_old", "acknowledged_on"):
        upload(claim.pk, [sent()], said(acknowledged_on=year_ago - timedelta(days=1)), by=claimant)


FIRST = {kind: next(name for name in dict(bad.every()) if name.startswith(kind)) for kind in bad.KINDS}


@pytest.mark.parametrize("what", first_of_each(FIRST.values(), lambda what: what.rpartition(" ")[2]))
def test_bad_file_leaves_no_row_and_no_file(customer, claimant, what):
    _what, ending, make, code = dict(bad.every())[what]
    claim = make_draft(customer, claimant)
    with refused(code, "file"):
        upload(claim.pk, [sent(), sent(make(), f"Proof.{ending}")], said(), by=claimant)


def test_same_file_is_with_a_claim_once(customer, claimant):
    claim, other = make_draft(customer, claimant), make_draft(customer, claimant, "spo")
    upload(claim.pk, [sent()], said(), by=claimant)
    with refused("proof_already_there", "file"):
        upload(claim.pk, [sent(name="Other name.pdf")], said(), by=claimant)
    with refused("proof_already_there", "file"):
        upload(claim.pk, [sent(PNG, "a.png"), sent(PNG, "b.png")], said(), by=claimant)
    assert upload(other.pk, [sent()], said("spo"), by=claimant)


def test_number_of_files_and_bytes_is_bounded(customer, claimant, monkeypatch):
    claim = make_draft(customer, claimant)
    with refused("file_missing", "file"):
        upload(claim.pk, [], said(), by=claimant)
    with refused("too_many_files", "file"):
        upload(claim.pk, [sent()] * 11, said(), by=claimant)
    upload(claim.pk, [sent()], said(), by=claimant)
    monkeypatch.setattr(proofs, "MOST_PROOFS", 1)
    with refused("too_many_proofs"):
        upload(claim.pk, [sent(PNG, "a.png")], said(), by=claimant)
    monkeypatch.undo()
    monkeypatch.setattr(proofs, "MOST_BYTES_OF_A_COMPANY", len(PDF) + len(PNG) - 1)
    with refused("too_many_bytes"):
        upload(make_draft(customer, claimant, "spo").pk, [sent(PNG, "a.png")], said("spo"), by=claimant)


# --- Faults ----------------------------------------------------------------------------------------------------------


def test_claim_that_changes_while_the_file_is_stored_keeps_nothing_of_it(customer, claimant, monkeypatch):
    claim = make_draft(customer, claimant)
    store = files.store

    def withdrawn(file: Any) -> files.Stored:
        kept = store(file)
        drafting.withdraw(claim.pk, by=claimant)
        return kept

    monkeypatch.setattr(files, "store", withdrawn)
    with refused("claim_withdrawn"):
        upload(claim.pk, [sent()], said(), by=claimant)


def test_no_lock_is_held_while_a_file_is_checked_and_stored(customer, claimant, monkeypatch):
    claim = make_draft(customer, claimant)
    store, asked = files.store, []

    def seen(file: Any) -> files.Stored:
        asked.append([query["sql"] for query in connection.queries_log if "FOR NO KEY UPDATE" in query["sql"]])
        return store(file)

    monkeypatch.setattr(files, "store", seen)
    connection.force_debug_cursor = True
    try:
        connection.queries_log.clear()
        upload(claim.pk, [sent()], said(), by=claimant)
        assert [query for query in connection.queries_log if "FOR NO KEY UPDATE" in query["sql"]]
    finally:
        connection.force_debug_cursor = False
    assert asked == [[]]


def test_full_disk_is_told_and_leaves_no_row(customer, claimant, monkeypatch):
    claim = make_draft(customer, claimant)

    def full(file: Any) -> files.Stored:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "store", full)
    with pytest.raises(Unavailable):
        upload(claim.pk, [sent()], said(), by=claimant)
    assert not Proof.objects.exists()


def test_process_that_dies_between_file_and_row_leaves_a_file_that_is_removed_after_a_day(
    customer, claimant, monkeypatch
):
    claim = make_draft(customer, claimant)

    def dies(*_args: Any, **_named: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(proofs, "_keep", dies)
    with pytest.raises(KeyboardInterrupt):
        upload(claim.pk, [sent()], said(), by=claimant)
    assert not Proof.objects.exists()
    assert len(stored_names()) == 1


def test_reviewer_who_decides_by_an_older_version_is_told(customer, claimant, rival):
    claim = make_under_review(customer, claimant)
    make_submitted(customer, rival)
    seen = Claim.objects.get(pk=claim.pk).version
    upload(claim.pk, [sent()], said(), by=claimant)
    with pytest.raises(VersionConflict):
        reviewing.reject(claim.pk, ["no_proof"], by=make_staff(), version=seen)


def test_file_in_memory_and_on_disk_are_stored_alike(customer, claimant, tmp_path):
    path = tmp_path / "large.pdf"
    path.write_bytes(PDF)
    with path.open("rb") as file:
        (proof,) = upload(make_draft(customer, claimant).pk, [File(file, "large.pdf")], said(), by=claimant)
    assert proof.sha256 == files.store(BytesIO(PDF)).sha256
