"""The files of a claim in the web, and who gets to see what of them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.utils import timezone

from associations.claims.actions.examining import examine
from associations.claims.models import Claim, Proof
from associations.claims.queries import proofs as queries
from associations.claims.queries.as_of import listed_then
from associations.claims.queries.claims import claims_for_listing, claims_with_all, proved_at
from associations.claims.queries.customers import claims_for_customer
from associations.claims.queries.reviews import claims_for_queue
from associations.claims.rules import CHECKLIST, READABLE, Scan
from associations.record.access import events_visible_to
from por.accounts.models import Actor
from por.accounts.rules import Role
from por.directory.models import Customer, Partner
from por.files import proofs as files
from por.history.models import Event
from tests.claims import add_proof, make_draft, make_submitted
from tests.factories import make_customer, make_member, make_partner, make_staff
from tests.files import PDF, PNG, SAMPLES, stored_names, use_directory
from tests.pages import signed_in
from tests.por.documents import bad

DOCX = (SAMPLES / "libreoffice.docx").read_bytes()
SECRET = "Secret name.pdf"


@pytest.fixture(autouse=True)
def storage(tmp_path: Path, settings: Any) -> Path:
    settings.CLAMAV_URL = ""
    return use_directory(settings, tmp_path)


@pytest.fixture
def claimant(partner: Partner) -> Actor:
    return make_member(partner.organisation)


@pytest.fixture
def reader(claimant: Actor) -> Actor:
    return claimant


def send(web: Client, claim: Claim, *uploads: tuple[str, bytes], **fields: Any) -> Any:
    given = {"units": ["exo"], "acknowledged_on": timezone.now().date().isoformat(), "description": ""} | fields
    given["file"] = [SimpleUploadedFile(name, content) for name, content in uploads]
    return web.post(f"/p/claims/{claim.pk}/proofs/", given)


# --- Uploading --------------------------------------------------------------------------------------------------------


def test_partner_uploads_files_and_finds_them_newest_first(customer, claimant, web):
    claim = make_draft(customer, claimant, "exo", "spo")

    answer = send(web, claim, ("Statement.pdf", PDF), ("Plan.png", PNG), units=["exo", "spo"])

    assert (answer.status_code, answer["Location"]) == (302, f"/p/claims/{claim.pk}/proofs/")
    page = web.get(answer["Location"]).content.decode()
    assert "2 files uploaded. They are being scanned." in page
    assert page.index("Plan.png") < page.index("Statement.pdf")
    assert "Being scanned" in page
    assert Proof.objects.filter(claim=claim, units__workload="spo").count() == 2


def test_form_is_shown_again_with_what_was_entered(customer, claimant, web):
    claim = make_draft(customer, claimant, "exo", "spo")

    answer = send(web, claim, ("a.pdf", PDF), units=["spo"], acknowledged_on="2019-01-01", description="My words")

    assert answer.status_code == 422
    page = answer.content.decode()
    assert "must not be older than 12 months" in page
    assert "My words" in page
    assert 'value="spo"' in page.replace("\n", " ")
    assert stored_names() == set()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"units": []}, "Choose at least one workload or subscription."),
        ({"acknowledged_on": ""}, "Enter the date"),
        ({"acknowledged_on": "tomorrow"}, "Enter a valid date."),
        ({"units": ["teams"]}, "Select a valid choice"),
    ],
)
def test_what_is_missing_is_said(customer, claimant, web, fields, message):
    answer = send(web, make_draft(customer, claimant), ("a.pdf", PDF), **fields)
    assert (answer.status_code, message in answer.content.decode()) == (422, True)


def test_upload_without_a_file_is_refused(customer, claimant, web):
    answer = send(web, make_draft(customer, claimant))
    assert answer.status_code == 422
    assert "Choose a file." in answer.content.decode()


@pytest.mark.parametrize("kind", ["PDF scripts", "macro", "empty"])
def test_bad_file_leaves_no_row_and_no_file(customer, claimant, web, kind):
    first = next(one for name, one in dict(bad.every()).items() if name.startswith(tuple(bad.KINDS)[0]))
    answer = send(web, make_draft(customer, claimant), (f"a.{first[1]}", first[2]()))
    assert answer.status_code == 422
    assert not Proof.objects.exists()
    assert stored_names() == set()


def test_files_that_are_too_large_together_are_refused_unread(customer, claimant, web, monkeypatch):
    monkeypatch.setattr("associations.claims.views.proofs.MOST_BYTES_AT_ONCE", 1000)
    answer = send(web, make_draft(customer, claimant), ("a.pdf", PDF), ("b.pdf", PDF))
    assert answer.status_code == 422
    assert "The files are too large. Together they can have up to" in answer.content.decode()
    assert not Proof.objects.exists()


def test_upload_that_stops_half_way_leaves_nothing(customer, claimant, web):
    claim = make_draft(customer, claimant)
    whole = SimpleUploadedFile("a.pdf", PDF)
    body = encode_multipart(BOUNDARY, {"units": "exo", "acknowledged_on": "2026-01-01", "file": whole})
    for length in (0, 10, len(body) // 2, len(body) - 30):
        answer = web.generic("POST", f"/p/claims/{claim.pk}/proofs/", body[:length], content_type=MULTIPART_CONTENT)
        assert answer.status_code in (400, 422)
    assert not Proof.objects.exists()
    assert stored_names() == set()


def test_form_needs_the_token_of_its_page(customer, claimant):
    careful = Client(enforce_csrf_checks=True)
    careful.cookies = signed_in(claimant).cookies
    answer = send(careful, make_draft(customer, claimant), ("a.pdf", PDF))
    assert answer.status_code == 403
    assert not Proof.objects.exists()


def test_claim_that_takes_no_files_has_no_form(customer, claimant, web):
    claim = make_submitted(customer, claimant)
    assert "data-upload" in web.get(f"/p/claims/{claim.pk}/proofs/").content.decode()
    Claim.objects.filter(pk=claim.pk).update(status="rejected")
    assert "data-upload" not in web.get(f"/p/claims/{claim.pk}/proofs/").content.decode()
    answer = send(web, claim, ("a.pdf", PDF))
    assert answer.status_code == 409
    assert "This claim has been rejected." in answer.content.decode()


def test_partner_checks_the_known_reasons(customer, claimant, web):
    claim = make_draft(customer, claimant, checked=[])
    address = f"/p/claims/{claim.pk}/proofs/checklist/"
    assert web.get(address)["Location"] == f"/p/claims/{claim.pk}/proofs/"
    assert web.post(address, {"checked": ["dates", "no_proof"]}).status_code == 302
    claim.refresh_from_db()
    assert claim.checked == ["no_proof", "dates"]
    assert web.post(address, {"checked": ["other"]}).status_code == 422
    page = web.get(f"/p/claims/{claim.pk}/proofs/").content.decode()
    assert all(str(one.label) in page for one in CHECKLIST)
    Claim.objects.filter(pk=claim.pk).update(status="withdrawn")
    assert web.post(address, {"checked": []}).status_code == 409


def test_form_for_the_customer_is_filled_in(customer, claimant, web):
    claim = make_draft(customer, claimant)
    for ending, mark in {"docx": b"PK", "pdf": b"%PDF"}.items():
        answer = web.get(f"/p/claims/{claim.pk}/proofs/form.{ending}")
        assert answer.content.startswith(mark)
        assert answer["Content-Disposition"].startswith("attachment; filename=")
    assert web.get(f"/p/claims/{claim.pk}/proofs/form.exe").status_code == 404
    form = queries.form_of(claim)
    assert (form.customer, form.units) == (customer.organisation.name, ["Exchange Online"])


# --- Looking ----------------------------------------------------------------------------------------------------------


def test_pages_are_shown_as_pictures_in_a_sandbox(customer, claimant, web):
    claim = make_draft(customer, claimant)
    send(web, claim, ("a.pdf", PDF))
    examine()

    place = f"/p/claims/{claim.pk}/proofs/1/"
    page = web.get(place).content.decode()
    picture = web.get(f"{place}pages/1/")

    assert f'src="{place}pages/1/"' in page
    assert "was not scanned for malware" in page
    assert picture.content.startswith(b"\x89PNG")
    assert picture["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert picture["Content-Type"] == "image/png"
    assert picture["X-Content-Type-Options"] == "nosniff"
    assert [web.get(f"{place}pages/{page}/").status_code for page in (0, 2, 99)] == [404] * 3


def test_file_is_saved_by_a_link_of_a_minute(customer, claimant, web, monkeypatch):
    claim = make_draft(customer, claimant)
    send(web, claim, ("Godkännande.pdf", PDF))
    examine()

    link = web.get(f"/p/claims/{claim.pk}/proofs/1/download/")["Location"]
    answer = Client().get(link)

    assert b"".join(answer) == PDF  # type: ignore[arg-type]
    assert answer["Content-Disposition"] == "attachment; filename*=utf-8''Godk%C3%A4nnande.pdf"
    assert answer["Content-Type"] == "application/pdf"
    assert answer["Content-Length"] == str(len(PDF))
    assert Client().get(link.replace("/files/", "/files/1")).status_code == 404
    monkeypatch.setattr(files, "LINK_SECONDS", -1)
    assert Client().get(link).status_code == 404


def test_link_of_a_file_that_was_found_infected_meanwhile_opens_nothing(customer, claimant, web):
    claim = make_draft(customer, claimant)
    send(web, claim, ("a.pdf", PDF))
    examine()
    link = web.get(f"/p/claims/{claim.pk}/proofs/1/download/")["Location"]
    Proof.objects.update(scan=Scan.INFECTED)
    assert Client().get(link).status_code == 404


@pytest.mark.parametrize("scan", [Scan.PENDING, Scan.FAILED, Scan.INFECTED])
def test_nobody_opens_a_file_before_its_scan(customer, claimant, web, scan):
    claim = make_draft(customer, claimant)
    add_proof(claim, claimant, scan=scan)
    for rest in ("", "pages/1/", "download/"):
        assert web.get(f"/p/claims/{claim.pk}/proofs/1/{rest}").status_code == 409
    assert 'href="/p/claims' not in web.get(f"/p/claims/{claim.pk}/proofs/").content.decode().split("tbody>")[1]


def test_storage_that_is_away_is_told(customer, claimant, web, settings):
    claim = make_draft(customer, claimant)
    send(web, claim, ("a.pdf", PDF))
    examine()
    bucket = {"bucket_name": "none", "endpoint_url": "http://127.0.0.1:1", "access_key": "a", "secret_key": "b"}
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": "por.files.bucket.Bucket", "OPTIONS": bucket}}
    assert web.get(f"/p/claims/{claim.pk}/proofs/1/pages/1/").status_code == 503
    assert send(web, claim, ("b.png", PNG)).status_code == 503
    assert Proof.objects.count() == 1


# --- Who sees what ----------------------------------------------------------------------------------------------------

#: What each reader gets: of the list, the viewer, a picture, the download of a drawn file, and of one without pictures.
SIGHT = {
    "claimant": ("p", 200, 200, 200, 302, 302),
    "incentives": ("p", 200, 200, 200, 302, 302),
    "viewer": ("p", 403, 403, 403, 403, 403),
    "rival": ("p", 404, 404, 404, 404, 404),
    "customer": ("p", 403, 403, 403, 403, 403),
    "customer at staff's": ("a", 403, 403, 403, 403, 403),
    "other customer": ("p", 403, 403, 403, 403, 403),
    "claimant at staff's": ("a", 403, 403, 403, 403, 403),
    "reviewer": ("a", 200, 200, 200, 302, 302),
    "support": ("a", 200, 403, 403, 403, 403),
    "auditor": ("a", 200, 403, 403, 403, 403),
    "programme": ("a", 403, 403, 403, 403, 403),
    "reviewer at the partner's": ("p", 403, 403, 403, 403, 403),
    "nobody": ("p", 302, 302, 302, 302, 302),
}


@pytest.fixture
def readers(customer: Customer, claimant: Actor) -> dict[str, Actor]:
    return {
        "claimant": claimant,
        "incentives": make_member(claimant.organisation, Role.INCENTIVES),
        "viewer": make_member(claimant.organisation, Role.VIEWER),
        "rival": make_member(make_partner("Rival AB").organisation),
        "customer": make_member(customer.organisation),
        "other customer": make_member(make_customer("Ekholmen AB").organisation),
        "reviewer": make_staff(),
        "support": make_staff("support"),
        "auditor": make_staff("auditor"),
        "programme": make_staff("programme_administrator"),
    }


def test_everyone_sees_what_they_may_and_no_more(customer, claimant, readers):
    claim = make_draft(customer, claimant)
    send(signed_in(claimant), claim, (SECRET, PDF), ("Secret too.docx", DOCX), description="Secret words")
    examine()
    Claim.objects.filter(pk=claim.pk).update(status="submitted", submitted_at=timezone.now(), number="CPR-1")
    found = {}
    for who, (area, *_expected) in SIGHT.items():
        reader = readers.get(who.partition(" at ")[0])
        client = signed_in(reader) if reader else Client()
        place = f"/{area}/claims/{claim.pk}/proofs/"
        answers = [client.get(f"{place}{rest}") for rest in ("", "1/", "1/pages/1/", "1/download/", "2/download/")]
        found[who] = (area, *(one.status_code for one in answers))
        if answers[0].status_code != 200:
            assert not any(b"Secret" in one.content for one in answers)
    assert found == SIGHT


def test_draft_and_its_files_are_seen_by_the_claimant_alone(customer, claimant, readers):
    claim = make_draft(customer, claimant)
    add_proof(claim, claimant)
    for who in ("reviewer", "support", "auditor"):
        assert signed_in(readers[who]).get(f"/a/claims/{claim.pk}/proofs/").status_code == 404


@pytest.mark.parametrize("scan", sorted(set(Scan) - set(READABLE)))
def test_newest_proof_of_every_list_is_the_newest_that_can_be_opened(customer, admin, claimant, scan):
    claim = make_submitted(customer, claimant)
    first = claim.proofs.get().uploaded_at
    add_proof(claim, claimant, scan=scan, uploaded_at=first + timedelta(seconds=1))
    lists = [
        claims_for_customer(admin),
        claims_for_queue(make_staff()),
        claims_for_listing(claimant),
        listed_then(claimant, timezone.now().date() + timedelta(days=1)),
    ]
    assert [one.newest_proof_at for found in lists for one in found] == [first] * 4
    (shown,) = claims_with_all(claimant)
    assert proved_at(shown) == first
    claim.proofs.filter(scan=scan).update(scan=Scan.CLEAN)
    assert [one.newest_proof_at for found in lists for one in found.all()] == [first + timedelta(seconds=1)] * 4
    claim.proofs.update(scan=Scan.INFECTED)
    assert [one.newest_proof_at for found in lists for one in found.all()] == [None] * 4


def test_history_of_the_customer_and_of_viewers_holds_no_file_name(customer, claimant, readers, web):
    claim = make_submitted(customer, claimant)
    send(web, claim, (SECRET, PDF), description="Secret words")

    assert not any("Secret" in str(one.changes) + one.reason for one in Event.objects.all())
    seen = {who: set(events_visible_to(readers[who]).values_list("verb", flat=True)) for who in ("customer", "viewer")}
    assert "claim.submitted" in seen["customer"]
    assert "proof.uploaded" not in seen["customer"]
    assert "proof.uploaded" in seen["viewer"]


def test_list_takes_the_same_queries_however_long_it_is(customer, claimant, web, django_assert_max_num_queries):
    claim = make_draft(customer, claimant, "exo", "spo")
    for _ in range(20):
        add_proof(claim, claimant)
    web.get(f"/p/claims/{claim.pk}/proofs/")
    with django_assert_max_num_queries(12):
        web.get(f"/p/claims/{claim.pk}/proofs/")


def test_pages_are_in_swedish_too(customer, claimant):
    claim = make_draft(customer, claimant)
    page = signed_in(claimant, language="sv").get(f"/p/claims/{claim.pk}/proofs/").content.decode()
    assert "Varför anspråk avslås" in page
