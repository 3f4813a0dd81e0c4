"""The worker scans files, releases those that are clean, draws their pages, and removes what no row names."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from associations.claims import tasks
from associations.claims.actions import examining, reviewing, submitting
from associations.claims.actions.examining import examine
from associations.claims.actions.proofs import Said, upload
from associations.claims.models import Claim, Proof
from associations.claims.rules import ClaimStatus, Preview, Scan
from por.accounts.models import Actor, Membership
from por.directory.models import Customer, Partner
from por.documents import scanning
from por.errors import Refused
from por.files import proofs as files
from por.history.actions.relaying import relay
from por.history.models import Event
from por.notifications.messages import compose
from por.notifications.models import Delivery, Notification
from por.queue.models import PeriodicRun
from tests.claims import make_draft
from tests.factories import make_member, make_staff
from tests.files import PDF, PNG, stored_names, use_directory
from tests.por.documents.test_scanning import answering
from tests.servers import EICAR

DOCX = (Path(__file__).parents[2] / "por" / "documents" / "samples" / "libreoffice.docx").read_bytes()
INFECTED = PDF.replace(b"\nstartxref", b"\n% " + EICAR + b"\nstartxref")


@pytest.fixture(autouse=True)
def storage(tmp_path: Path, settings: Any) -> Path:
    settings.CLAMAV_URL = ""
    return use_directory(settings, tmp_path)


@pytest.fixture
def claimant(partner: Partner) -> Actor:
    return make_member(partner.organisation)


@pytest.fixture
def claim(customer: Customer, claimant: Actor) -> Claim:
    return make_draft(customer, claimant)


def add(claim: Claim, by: Actor, content: bytes = PDF, name: str = "a.pdf") -> Proof:
    said = Said(["exo"], timezone.now().date() - timedelta(days=1))
    return upload(claim.pk, [SimpleUploadedFile(name, content)], said, by=by)[0]


def later(minutes: int) -> None:
    """Let so many minutes pass for the round that tries failed scans again."""
    PeriodicRun.objects.filter(name="scan-failed").update(done_at=timezone.now() - timedelta(minutes=minutes))


# --- The scan ---------------------------------------------------------------------------------------------------------


def test_clean_file_is_released_and_drawn(claim, claimant, settings, clamd):
    settings.CLAMAV_URL = f"unix://{clamd}"
    proof = add(claim, claimant)

    examine()

    proof.refresh_from_db()
    assert (proof.scan, proof.preview, proof.pages) == (Scan.CLEAN, Preview.DRAWN, 1)
    assert proof.stored_as.startswith("proofs/")
    with files.fetched(proof.stored_as, proof.sha256) as copy:
        assert copy.read() == PDF
    assert b"".join(files.pieces(files.page_name(proof.stored_as, 1))).startswith(b"\x89PNG")


def test_infected_file_stays_in_quarantine_and_its_uploader_is_told(claim, claimant, settings, clamd):
    settings.CLAMAV_URL = f"unix://{clamd}"
    proof = add(claim, claimant, INFECTED)
    make_member(claimant.organisation)

    examine()

    proof.refresh_from_db()
    assert (proof.scan, proof.preview) == (Scan.INFECTED, Preview.PENDING)
    assert proof.stored_as.startswith("quarantine/")
    event = Event.objects.get(verb="proof.infected")
    assert (event.chain, event.changes["proof"]) == (f"organisation:{claim.partner_id}", 1)
    relay()
    assert [one.membership.user for one in Notification.objects.filter(event=event)] == [claimant.user]
    with pytest.raises(Refused, match="proof of execution"):
        submitting.submit(claim.pk, by=claimant)


def test_colleagues_are_told_of_malware_if_the_uploader_has_left(claim, claimant, settings, clamd):
    settings.CLAMAV_URL = f"unix://{clamd}"
    colleague = make_member(claimant.organisation)
    add(claim, claimant, INFECTED)
    Membership.objects.filter(user=claimant.user).delete()

    examine()
    relay()

    assert [one.membership.user for one in Notification.objects.all()] == [colleague.user]


def test_without_a_scanner_a_file_is_not_scanned_and_can_be_opened(claim, claimant):
    proof = add(claim, claimant, DOCX, "a.docx")

    examine()

    proof.refresh_from_db()
    assert (proof.scan, proof.preview, proof.pages) == (Scan.NOT_SCANNED, Preview.NONE, 0)
    assert proof.stored_as.startswith("proofs/")


def test_failed_scan_waits_and_is_tried_again(claim, claimant, settings):
    settings.CLAMAV_URL = "tcp://127.0.0.1:1"
    proof = add(claim, claimant)
    submitting.submit(claim.pk, by=claimant)
    examine()
    proof.refresh_from_db()
    assert (proof.scan, proof.stored_as.partition("/")[0]) == (Scan.FAILED, "quarantine")
    with pytest.raises(Refused, match="malware scan"):
        reviewing.start_review(claim.pk, by=make_staff())

    with answering(b"stream: OK\n") as settings.CLAMAV_URL:
        examine()
        assert Proof.objects.get().scan == Scan.FAILED  # its time has not come
        later(minutes=6)
        examine()

    assert Proof.objects.get().scan == Scan.CLEAN
    assert reviewing.start_review(claim.pk, by=make_staff()).status == ClaimStatus.UNDER_REVIEW


@pytest.mark.parametrize(
    ("language", "words"), [("en", "could not be scanned yet"), ("sv", "har inte kunnat genomsökas än")]
)
def test_uploader_is_told_once_of_a_scan_that_fails(claim, claimant, settings, language, words):
    claimant.user.language = language
    claimant.user.save()
    settings.CLAMAV_URL = "tcp://127.0.0.1:1"
    make_member(claimant.organisation)
    add(claim, claimant)
    examine()
    for _each in range(2):
        later(minutes=6)
        examine()

    event = Event.objects.get(verb="proof.scan_failed")
    assert (event.chain, event.changes["proof"], event.parties) == (f"organisation:{claim.partner_id}", 1, [])
    assert "a.pdf" not in str(event.changes), "some who read events read no names of files"
    relay()
    (told,) = Notification.objects.filter(event=event)
    assert told.membership.user == claimant.user
    (sent,) = Delivery.objects.filter(event=event)
    mail = compose(sent)
    assert words in mail.subject
    assert "a.pdf" in mail.body


def test_malware_that_a_later_scan_finds_is_told_too(claim, claimant, settings):
    settings.CLAMAV_URL = "tcp://127.0.0.1:1"
    add(claim, claimant)
    examine()
    with answering(b"stream: Eicar FOUND\n") as settings.CLAMAV_URL:
        later(minutes=6)
        examine()
    assert list(Event.objects.order_by("pk").filter(object_kind="claim").values_list("verb", flat=True)) == [
        "proof.scan_failed",
        "proof.infected",
    ]


def test_file_that_someone_changed_or_that_is_gone_is_never_clean(claim, claimant, storage, settings):
    changed, gone = add(claim, claimant), add(claim, claimant, PNG, "a.png")
    (storage / changed.stored_as).write_bytes(PNG)
    (storage / gone.stored_as).unlink()

    with answering(b"stream: OK\n") as settings.CLAMAV_URL:
        examine()

    assert {one.scan for one in Proof.objects.all()} == {Scan.FAILED}
    assert not any(name.startswith("proofs/") for name in stored_names())


def test_outage_of_the_storage_leaves_files_waiting(claim, claimant, settings, storage):
    proof = add(claim, claimant)
    settings.STORAGES = settings.STORAGES | {
        "default": {
            "BACKEND": "por.files.bucket.Bucket",
            "OPTIONS": {
                "bucket_name": "none",
                "endpoint_url": "http://127.0.0.1:1",
                "access_key": "a",
                "secret_key": "b",
                "region_name": "us-east-1",
            },
        }
    }
    examine()
    assert Proof.objects.get().scan == Scan.PENDING

    use_directory(settings, storage.parent)
    examine()
    proof.refresh_from_db()
    assert (proof.scan, proof.preview) == (Scan.NOT_SCANNED, Preview.DRAWN)


def test_scan_that_was_overtaken_changes_nothing(claim, claimant, monkeypatch):
    proof = add(claim, claimant)
    monkeypatch.setattr(scanning, "scan", lambda file: scanning.Scan(scanning.Outcome.INFECTED, "x"))
    Proof.objects.update(scan=Scan.CLEAN)

    examining.scan(proof.pk)

    assert Proof.objects.get().scan == Scan.CLEAN
    assert not Event.objects.filter(verb="proof.infected").exists()


def test_worker_that_dies_between_release_and_row_leaves_the_file_waiting(claim, claimant, monkeypatch):
    proof = add(claim, claimant)
    keep = examining._keep

    def dies(*_args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(examining, "_keep", dies)
    with pytest.raises(KeyboardInterrupt):
        examine()
    assert Proof.objects.get().scan == Scan.PENDING
    monkeypatch.setattr(examining, "_keep", keep)

    examine()

    proof.refresh_from_db()
    assert proof.scan == Scan.NOT_SCANNED
    with files.fetched(proof.stored_as, proof.sha256) as copy:
        assert copy.read() == PDF


def test_worker_that_dies_while_it_draws_draws_again(claim, claimant, monkeypatch):
    proof = add(claim, claimant)
    examining.scan(proof.pk)
    proof.refresh_from_db()
    files.keep_page(proof.stored_as, 1, b"from before")

    examine()

    proof.refresh_from_db()
    assert (proof.preview, proof.pages) == (Preview.DRAWN, 1)
    assert examine() == 0


def test_task_examines_what_waits(claim, claimant):
    add(claim, claimant)
    tasks.examine_proofs()
    assert Proof.objects.get().scan == Scan.NOT_SCANNED


# --- What no row names ----------------------------------------------------------------------------------------------


def test_only_files_that_no_row_names_are_removed_after_a_day(claim, claimant, monkeypatch):
    released, waiting = add(claim, claimant), add(claim, claimant, PNG, "a.png")
    Proof.objects.filter(pk=waiting.pk).update(scan=Scan.INFECTED)
    examine()
    released.refresh_from_db()
    named = {released.stored_as, files.page_name(released.stored_as, 1), waiting.stored_as}
    files.keep_page("proofs/none", 1, b"of no row")
    assert len(stored_names() - named) == 2  # and the one in quarantine that was released

    assert examining.remove_unnamed() == 0
    then = timezone.now() + timedelta(days=2)
    monkeypatch.setattr(timezone, "now", lambda: then)
    assert examining.remove_unnamed() == 2

    assert stored_names() == named


def test_unnamed_files_are_removed_once_an_hour(claim, claimant, monkeypatch):
    removed: list[int] = []
    monkeypatch.setattr(examining, "remove_unnamed", lambda: removed.append(1))
    tasks.remove_unnamed_files()
    tasks.remove_unnamed_files()
    assert removed == [1]
