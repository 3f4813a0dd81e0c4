"""The same proof for several claims at once: each has an outcome, rows and files of its own."""

from __future__ import annotations

import os
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from PIL import Image

from associations.claims.actions import drafting, several_proofs
from associations.claims.actions.examining import examine, remove_unnamed
from associations.claims.actions.several_proofs import upload_to_several
from associations.claims.models import Claim, Proof
from associations.claims.rules import MOST_CLAIMS_AT_ONCE, Scan
from por.accounts.models import Actor, Organisation
from por.directory.models import Customer
from por.errors import Forbidden, NotFound, Refused, Unavailable
from por.files import proofs as files
from por.history.models import Event
from tests import estates
from tests.claims import make_approved, make_draft
from tests.factories import make_member, make_partner
from tests.files import PDF, PNG, stored_names, use_directory
from tests.pages import signed_in

ADDRESS = "/p/claims/proofs/"


@pytest.fixture(autouse=True)
def storage(tmp_path: Path, settings: Any) -> Path:
    settings.CLAMAV_URL = ""
    return use_directory(settings, tmp_path / "files")


@pytest.fixture
def claimant(tmp_path: Path) -> Actor:
    """Return a member of a partner with three migrated claims on one customer."""
    workloads = ("exo;teams", "spo", "yammer")
    claims = [
        estates.claim(claim_number=f"CPR-{n}", workloads=one, approved_on="2020-03-02")
        for n, one in enumerate(workloads, 1)
    ]
    given: Any = {"partners": [estates.partner()], "customers": [estates.customer()], "claims": claims}
    estates.load(estates.write(tmp_path, **given))
    return make_member(Organisation.objects.get(number=estates.PARTNER))


@pytest.fixture
def claims(claimant: Actor) -> list[Claim]:
    return list(Claim.objects.order_by("number"))


def keys(claims: list[Claim]) -> list[int]:
    return [one.pk for one in claims]


def sent(content: bytes = PDF, name: str = "Statement.pdf") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def upload(claims: list[Claim], by: Actor, *uploads: SimpleUploadedFile, **said: Any) -> list[Any]:
    day: date = said.pop("acknowledged_on", timezone.now().date() - timedelta(days=10))
    return upload_to_several(keys(claims), uploads or (sent(),), day, by=by, **said)


def send(web: Client, claims: list[int], *uploads: tuple[str, bytes], **fields: Any) -> Any:
    given: dict[str, Any] = {"claim": claims, "acknowledged_on": timezone.now().date().isoformat(), "description": ""}
    given["file"] = [SimpleUploadedFile(name, content) for name, content in uploads]
    return web.post(ADDRESS, given | fields)


# --- The verb ---------------------------------------------------------------------------------------------------------


def test_each_claim_gets_rows_and_files_of_its_own_for_all_its_units(claims, claimant):
    outcomes = upload(claims, claimant, sent(), sent(PNG, "Plan.png"), description="Signed")

    assert [(one.claim.number, len(one.proofs), one.refused) for one in outcomes] == [
        ("CPR-1", 2, None),
        ("CPR-2", 2, None),
        ("CPR-3", 2, None),
    ]
    for claim, workloads in zip(claims, ({"exo", "teams"}, {"spo"}, {"yammer"}), strict=True):
        first, second = claim.proofs.order_by("number")
        assert (first.number, second.number) == (1, 2)
        assert (first.filename, second.filename) == ("Statement.pdf", "Plan.png")
        assert (first.description, first.uploaded_by, first.scan) == ("Signed", claimant.user, Scan.PENDING)
        assert {one.workload for one in first.units.all()} == workloads
    assert len(stored_names()) == Proof.objects.count() == 6
    for one in Proof.objects.all():
        with files.fetched(one.stored_as, one.sha256) as copy:
            assert copy.read() in (PDF, PNG)
    assert Event.objects.filter(verb="proof.uploaded").count() == 3


def test_scan_releases_each_copy_and_the_round_that_removes_files_leaves_them(claims, claimant, monkeypatch):
    upload(claims, claimant)
    examine()

    assert set(Proof.objects.values_list("scan", flat=True)) == {Scan.NOT_SCANNED}
    later = timezone.now() + timedelta(days=2)
    monkeypatch.setattr("associations.claims.actions.examining.timezone.now", lambda: later)
    remove_unnamed()
    for one in Proof.objects.all():
        with files.fetched(one.stored_as, one.sha256) as copy:
            assert copy.read() == PDF


def test_one_refusal_does_not_affect_the_others(claims, claimant):
    upload(claims[:1], claimant)
    customer = Customer.objects.get()
    withdrawn = make_draft(customer, claimant, "proplus")
    drafting.withdraw(withdrawn.pk, by=claimant)

    outcomes = upload([*claims, withdrawn], claimant)

    codes = {one.claim.pk: one.refused.code if one.refused else "" for one in outcomes}
    assert codes == {
        claims[0].pk: "proof_already_there",
        claims[1].pk: "",
        claims[2].pk: "",
        withdrawn.pk: "claim_withdrawn",
    }
    assert Proof.objects.count() == 3
    assert len(stored_names()) == 3


def test_same_upload_once_more_changes_nothing(claims, claimant):
    upload(claims, claimant)
    before = Proof.objects.count(), stored_names(), Event.objects.count()

    again = upload(claims, claimant)

    assert {one.refused.code for one in again} == {"proof_already_there"}
    assert (Proof.objects.count(), stored_names(), Event.objects.count()) == before


@pytest.mark.parametrize(
    ("code", "field", "change"),
    [
        ("file_missing", "file", {"uploads": []}),
        ("too_many_files", "file", {"uploads": [sent(name=f"{n}.pdf") for n in range(11)]}),
        ("file_empty", "file", {"uploads": [sent(), sent(b"", "b.pdf")]}),
        ("proof_already_there", "file", {"uploads": [sent(), sent(name="b.pdf")]}),
        ("claims_missing", "claim", {"claim_ids": []}),
        ("too_many_claims_at_once", "claim", {"claim_ids": list(range(MOST_CLAIMS_AT_ONCE + 1))}),
        ("acknowledgement_too_old", "acknowledged_on", {"acknowledged_on": date(2019, 1, 1)}),
        ("acknowledgement_in_future", "acknowledged_on", {"acknowledged_on": date(2199, 1, 1)}),
        ("description_too_long", "description", {"description": "x" * 2001}),
    ],
)
def test_what_is_wrong_with_all_is_refused_before_any_claim_has_a_file(claims, claimant, code, field, change):
    given = {"claim_ids": keys(claims), "uploads": [sent()], "acknowledged_on": timezone.now().date()} | change
    with pytest.raises(Refused) as refusal:
        upload_to_several(**given, by=claimant)
    assert (refusal.value.code, refusal.value.field) == (code, field)
    assert not Proof.objects.exists()
    assert stored_names() == set()


def test_copies_that_are_too_large_together_are_refused_before_any_is_stored(claims, claimant, monkeypatch):
    monkeypatch.setattr(several_proofs, "MOST_BYTES_OF_COPIES", 3 * len(PDF) - 1)
    with pytest.raises(Refused) as refusal:
        upload(claims, claimant)
    assert (refusal.value.code, refusal.value.field) == ("copies_too_large", "file")
    assert stored_names() == set()
    assert [len(one.proofs) for one in upload(claims[:2], claimant)] == [1, 1], "fewer claims have room"


def test_nobody_uploads_to_claims_of_others_or_without_the_right(claims, claimant):
    viewer = make_member(claimant.organisation, "viewer")
    with pytest.raises(Forbidden):
        upload(claims, viewer)
    with pytest.raises(NotFound):
        upload(claims, make_member(make_partner("Rival AB").organisation))
    rival = make_member(make_partner("Halden AB").organisation)
    theirs = make_draft(Customer.objects.get(), rival, "exo")
    with pytest.raises(NotFound):
        upload([*claims, theirs], claimant)
    assert not Proof.objects.exists()


def test_storage_that_goes_away_half_way_is_asked_once_more_and_not_for_each_claim(claims, claimant, monkeypatch):
    store, calls = files.store, []

    def failing(file: Any) -> Any:
        calls.append(file)
        if len(calls) > 1:
            raise Unavailable("unavailable", "The storage is away.", retry_after=60)
        return store(file)

    monkeypatch.setattr("associations.claims.actions.proofs.files.store", failing)
    outcomes = upload(claims, claimant)

    assert [one.refused and one.refused.code for one in outcomes] == [None, "unavailable", "unavailable"]
    assert len(calls) == 2
    assert {one.stored_as for one in Proof.objects.all()} == stored_names()


def test_bucket_stores_each_copy_whole(claims, claimant, s3):
    picture = BytesIO()
    Image.frombytes("RGB", (1800, 1800), os.urandom(3 * 1800**2)).save(picture, "PNG")
    large = picture.getvalue()  # so large that it is sent in parts
    upload(claims, claimant, sent(large, "Plan.png"))
    for one in Proof.objects.all():
        with files.fetched(one.stored_as, one.sha256) as copy:
            assert copy.read() == large
    assert Proof.objects.count() == 3


# --- The pages --------------------------------------------------------------------------------------------------------


def test_partner_selects_claims_in_the_view_and_uploads_once_for_all(claims, claimant):
    web = signed_in(claimant)
    view = web.get("/p/claims/", {"view": "without_proof"}).content.decode()
    for one in claims:
        assert f'value="{one.pk}"' in view
    assert 'name="claim"' not in web.get("/p/claims/").content.decode(), "only that view offers it"

    page = web.get(ADDRESS, {"claim": keys(claims)}).content.decode()
    assert "CPR-1" in page
    assert page.count('name="claim"') == 3

    done = send(web, keys(claims), ("Statement.pdf", PDF))

    assert done.status_code == 200
    assert "Proof uploaded for 3 claims." in done.content.decode()
    examine()
    assert web.get("/p/claims/", {"view": "without_proof"}).context["rows"] == []


def test_page_names_the_outcome_of_each_claim(claims, claimant):
    upload(claims[:1], claimant)
    page = send(signed_in(claimant), keys(claims), ("Statement.pdf", PDF)).content.decode()
    assert "Proof uploaded for 2 claims." in page
    assert "Statement.pdf is already with this claim." in page


def test_form_is_shown_again_with_the_claims_and_what_was_entered(claims, claimant):
    web = signed_in(claimant)
    page = send(web, keys(claims[:2]), ("a.pdf", PDF), acknowledged_on="2019-01-01", description="My words")
    assert page.status_code == 422
    text = page.content.decode()
    assert "must not be older than 12 months" in text
    assert "My words" in text
    assert text.count('name="claim"') == 2
    assert stored_names() == set()


@pytest.mark.parametrize("wrong", ["x", "-1", "1.5", "9" * 40, "²", "1\x00"])
def test_what_is_no_key_of_a_claim_is_said(claimant, wrong):
    web = signed_in(claimant)
    for answer in (web.get(ADDRESS, {"claim": wrong}), send(web, [wrong], ("a.pdf", PDF))):  # type: ignore[list-item]
        assert answer.status_code in (400, 422)
    assert web.get(ADDRESS, {"claim": "9" * 18}).status_code == 404


def test_page_without_a_selection_says_where_to_select(claimant):
    web = signed_in(claimant)
    assert "No claims selected" in web.get(ADDRESS).content.decode()
    assert send(web, [], ("a.pdf", PDF)).status_code == 422
    too_many = [str(one) for one in range(1, MOST_CLAIMS_AT_ONCE + 2)]
    answer = web.get(ADDRESS, {"claim": too_many})
    assert (answer.status_code, "Select at most 50 claims" in answer.content.decode()) == (422, True)


def test_files_that_are_too_large_together_are_refused_unread(claims, claimant, monkeypatch):
    monkeypatch.setattr("associations.claims.views.proofs.MOST_BYTES_AT_ONCE", 1000)
    answer = send(signed_in(claimant), keys(claims), ("a.pdf", PDF), ("b.pdf", PDF))
    assert answer.status_code == 422
    assert "The files are too large. Together they can have up to" in answer.content.decode()
    assert not Proof.objects.exists()


def test_form_needs_the_token_of_its_page(claims, claimant):
    careful = Client(enforce_csrf_checks=True)
    careful.cookies = signed_in(claimant).cookies
    assert send(careful, keys(claims), ("a.pdf", PDF)).status_code == 403
    assert not Proof.objects.exists()


def test_claim_that_takes_no_proof_now_is_shown_and_not_selected(claims, claimant):
    customer = Customer.objects.get()
    withdrawn = make_draft(customer, claimant, "proplus")
    drafting.withdraw(withdrawn.pk, by=claimant)
    page = signed_in(claimant).get(ADDRESS, {"claim": [withdrawn.pk, claims[0].pk]}).content.decode()
    assert "This claim has been withdrawn." in page
    assert page.count("checked") == 1


def test_approved_claim_of_the_wizard_takes_the_same_proof_too(claims, claimant):
    approved = make_approved(Customer.objects.get(), claimant, "proplus")
    assert [len(one.proofs) for one in upload([approved, *claims], claimant)] == [1, 1, 1, 1]
