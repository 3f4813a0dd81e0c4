"""The files of a claim over the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.utils import timezone

from associations.claims.actions.examining import examine
from associations.claims.models import Claim, Proof
from associations.claims.rules import Scan
from por.accounts.models import Actor
from por.directory.models import Customer, Partner
from por.history.models import Event
from tests.api import Api
from tests.claims import add_proof, make_draft, make_submitted
from tests.factories import make_member, make_partner, make_staff
from tests.files import PDF, PNG, SAMPLES, stored_names, use_directory
from tests.pages import signed_in
from tests.por.documents import bad
from tests.test_bounds import CSRF, Body
from tests.test_bounds import send as send_body

DOCX = (SAMPLES / "libreoffice.docx").read_bytes()


@pytest.fixture(autouse=True)
def storage(tmp_path: Path, settings: Any) -> Path:
    settings.CLAMAV_URL = ""
    return use_directory(settings, tmp_path)


@pytest.fixture
def claimant(partner: Partner) -> Actor:
    return make_member(partner.organisation)


@pytest.fixture
def claim(customer: Customer, claimant: Actor) -> Claim:
    return make_draft(customer, claimant, "exo", "spo")


@pytest.fixture
def ours(claimant: Actor) -> Api:
    return Api(claimant)


def send(
    api: Api, claim: Claim, *uploads: tuple[str, bytes], headers: dict[str, str] | None = None, **fields: Any
) -> Any:
    given = {"units": ["exo"], "acknowledged_on": timezone.now().date().isoformat()} | fields
    given["file"] = [SimpleUploadedFile(name, content) for name, content in uploads]
    body = encode_multipart(BOUNDARY, {name: value for name, value in given.items() if value is not None})
    return api.post(f"claims/{claim.pk}/proofs/", body, **{"Content-Type": MULTIPART_CONTENT, **(headers or {})})


def wrong(answer: Any) -> tuple[int, str, list[str]]:
    problem = answer.json()
    return answer.status_code, problem["code"], [one["field"] for one in problem.get("errors", [])]


def test_files_are_uploaded_listed_and_read(ours, claim, claimant):
    answers = [
        send(ours, claim, one, units=["exo", "spo"], description="Signed") for one in (("a.pdf", PDF), ("b.png", PNG))
    ]

    assert [one.status_code for one in answers] == [201, 201]
    first, second = (one.json() for one in answers)
    assert (first["number"], first["filename"], first["scan"], first["units"]) == (
        1,
        "a.pdf",
        "pending",
        ["exo", "spo"],
    )
    assert second["description"] == "Signed"
    assert [one["number"] for one in ours.get(f"claims/{claim.pk}/proofs/").json()["results"]] == [2, 1]
    assert ours.get(f"claims/{claim.pk}/proofs/1/").json() == first
    assert ours.get(f"claims/{claim.pk}/proofs/3/").status_code == 404
    lines = ours.get(f"claims/{claim.pk}/proofs/", {"format": "csv"})
    assert b"a.pdf" in b"".join(lines.streaming_content)


def test_file_is_saved_by_its_link_without_a_token(ours, claim):
    send(ours, claim, ("a.pdf", PDF))
    assert wrong(ours.get(f"claims/{claim.pk}/proofs/1/content/")) == (409, "scan_pending", [])
    examine()

    link = ours.get(f"claims/{claim.pk}/proofs/1/content/")["Location"]

    assert link.startswith("/files/")
    answer = Client().get(link)
    assert b"".join(answer) == PDF
    assert answer["Content-Security-Policy"] == "sandbox; default-src 'none'"


def test_file_in_a_bucket_is_saved_by_its_link(ours, claim, s3, settings):
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": "por.files.bucket.Bucket", "OPTIONS": s3}}
    send(ours, claim, ("Godkännande.pdf", PDF))
    examine()

    link = ours.get(f"claims/{claim.pk}/proofs/1/content/")["Location"]

    answer = urlopen(link)
    assert answer.read() == PDF
    assert answer.headers["Content-Disposition"] == "attachment; filename*=utf-8''Godk%C3%A4nnande.pdf"
    page = signed_in(ours_of(claim)).get(f"/p/claims/{claim.pk}/proofs/1/pages/1/")
    assert page.content.startswith(b"\x89PNG")


def ours_of(claim: Claim) -> Actor:
    return make_member(claim.partner.organisation)


def test_each_opening_is_recorded_where_only_staff_read_it(ours, claim, claimant):
    send(ours, claim, ("a.pdf", PDF))
    send(ours, claim, ("b.docx", DOCX))
    examine()
    Claim.objects.filter(pk=claim.pk).update(status="submitted", submitted_at=timezone.now(), number="CPR-1")
    person = make_staff()

    for number in (1, 2):
        assert Api(person).get(f"claims/{claim.pk}/proofs/{number}/content/").status_code == 302
    signed_in(person).get(f"/a/claims/{claim.pk}/proofs/1/")
    signed_in(claimant).get(f"/p/claims/{claim.pk}/proofs/1/download/")

    opened = Event.objects.filter(verb="proof.opened").order_by("pk")
    assert [one.changes["proof"] for one in opened] == [1, 2, 1, 1]
    assert [one.actor_id for one in opened] == [person.user_id] * 3 + [claimant.user_id]
    assert {one.chain for one in opened} == {"house"}
    assert len(Api(person).get(f"claims/{claim.pk}/proofs/").json()["results"]) == 2


def test_one_file_comes_at_a_time(ours, claim):
    assert wrong(send(ours, claim, ("a.pdf", PDF), ("b.png", PNG)))[::2] == (422, ["file"])
    assert not Proof.objects.exists()


def test_infected_file_has_no_link(ours, claim, claimant):
    add_proof(claim, claimant, scan=Scan.INFECTED)
    assert wrong(ours.get(f"claims/{claim.pk}/proofs/1/content/")) == (409, "proof_infected", [])


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"units": []}, "required", "units"),
        ({"units": ["exo", "exo"]}, "unit_twice", "units"),
        ({"units": ["teams"]}, "unit_unknown", "units"),
        ({"units": ["x" * 41]}, "max_length", "units.0"),
        ({"acknowledged_on": "2100-01-01"}, "acknowledgement_in_future", "acknowledged_on"),
        ({"acknowledged_on": "2019-01-01"}, "acknowledgement_too_old", "acknowledged_on"),
        ({"acknowledged_on": "tomorrow"}, "invalid", "acknowledged_on"),
        ({"acknowledged_on": None}, "required", "acknowledged_on"),
        ({"description": "x" * 2001}, "max_length", "description"),
        ({"description": "a\0b"}, "null_characters_not_allowed", "description"),
        ({"unheard_of": "1"}, "unknown_field", "unheard_of"),
    ],
)
def test_what_is_wrong_is_named_with_its_field(ours, claim, fields, code, field):
    assert wrong(send(ours, claim, ("a.pdf", PDF), **fields)) == (422, code, [field])
    assert not Proof.objects.exists()
    assert stored_names() == set()


@pytest.mark.parametrize("ending", ["pdf", "docx", "xlsx", "png", "jpg", "eml"])
def test_bad_file_leaves_no_row_and_no_file(ours, claim, ending):
    _what, _ending, make, code = next(one for one in dict(bad.every()).values() if one[1] == ending)
    assert wrong(send(ours, claim, (f"a.{ending}", make()))) == (422, code, ["file"])
    assert not Proof.objects.exists()
    assert stored_names() == set()


@pytest.mark.parametrize(
    ("name", "code"), [("a.pdf.exe", "file_ending"), ("a.docm.pdf", "double_ending"), ("a\u202efdp.pdf", None)]
)
def test_name_of_a_file_is_checked(ours, claim, name, code):
    answer = send(ours, claim, (name, PDF))
    if code:
        assert wrong(answer) == (422, code, ["file"])
    else:
        assert "\u202e" not in answer.content.decode()


def test_form_without_a_file_or_that_is_none_is_refused(ours, claim):
    assert wrong(send(ours, claim)) == (422, "required", ["file"])
    place = f"claims/{claim.pk}/proofs/"
    assert wrong(ours.post(place, {"file": "x"}))[:2] == (415, "unsupported_media_type")
    for body in (b"", b"nonsense", b"--x\r\n"):
        answer = ours.post(place, body, **{"Content-Type": "multipart/form-data; boundary=x"})
        assert answer.status_code == 422
    assert wrong(ours.post(place, b"x", **{"Content-Type": "multipart/form-data"}))[:2] == (422, "malformed_form")
    assert not Proof.objects.exists()


def test_too_many_bytes_together_are_refused(ours, claim, monkeypatch):
    monkeypatch.setattr("associations.claims.api.proofs.MOST_BYTES_AT_ONCE", 500)
    assert wrong(send(ours, claim, ("a.pdf", PDF))) == (422, "files_too_large", ["file"])
    assert stored_names() == set()


def test_status_and_version_are_looked_at(ours, claim, customer, claimant):
    submitted = make_submitted(customer, claimant, "teams")
    stale = send(ours, submitted, ("a.pdf", PDF), units=["teams"], headers={"If-Match": '"1"'})
    assert wrong(stale) == (412, "stale", [])
    fresh = {"If-Match": f'"{submitted.version}"'}
    assert send(ours, submitted, ("a.pdf", PDF), units=["teams"], headers=fresh).status_code == 201
    Claim.objects.filter(pk=submitted.pk).update(status="rejected")
    assert wrong(send(ours, submitted, ("b.png", PNG), units=["teams"])) == (409, "claim_rejected", [])


def test_upload_that_is_sent_again_is_done_once(ours, claim):
    key = {"Idempotency-Key": "1"}
    first = send(ours, claim, ("a.pdf", PDF), headers=key)
    again = send(ours, claim, ("a.pdf", PDF), headers=key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert wrong(send(ours, claim, ("a.png", PNG), headers=key))[:2] == (422, "idempotency_key_reused")
    assert wrong(send(ours, claim, ("b.pdf", PDF), headers=key))[:2] == (422, "idempotency_key_reused")
    assert len(stored_names()) == Proof.objects.count() == 1


def test_strangers_learn_nothing(claim, customer, claimant):
    submitted = make_submitted(customer, claimant, "teams")
    rival = Api(make_member(make_partner("Rival AB").organisation))
    for path in ("", "1/", "1/content/"):
        there = wrong(rival.get(f"claims/{submitted.pk}/proofs/{path}"))
        assert there == wrong(rival.get(f"claims/{submitted.pk + 1000}/proofs/{path}")) == (404, "not_found", [])
    assert wrong(send(rival, submitted, ("a.pdf", PDF))) == (404, "not_found", [])


def test_session_needs_its_token_in_the_header_and_reads_no_body_without_it(claim, claimant):
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(claimant.user)
    careful.cookies["csrf"] = CSRF
    body = Body()
    answer = send_body(careful, f"/api/v1/claims/{claim.pk}/proofs/", body, "multipart/form-data; boundary=x")
    assert (answer.status_code, answer.json()["code"], body.taken) == (403, "csrf_failed", 0)
