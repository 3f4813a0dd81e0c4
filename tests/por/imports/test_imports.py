"""Imports in the browser: uploads, dry runs, the worker, and the same report as on the terminal."""

from __future__ import annotations

import csv
import io
import warnings
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from por.accounts.models import Actor
from por.directory.models import Customer, Partner, Subscription
from por.history.models import Event
from por.imports import rules, tasks, whole
from por.imports import uploads as uploads_of_imports
from por.imports.actions import requests as imports
from por.imports.actions import running
from por.imports.loading import only_import
from por.imports.models import Import
from tests import estates
from tests.estates import TENANT, association, customer, partner, subscription, usage
from tests.factories import make_staff
from tests.pages import packed, signed_in

LOADS = "/a/loads/"
NAMES = ["partners.csv", "customers.csv", "subscriptions.csv", "usage.csv", "associations.csv"]


@pytest.fixture(autouse=True)
def kept(settings: Any, tmp_path: Path) -> Path:
    """Store files in a directory of the test; return the directory."""
    place = tmp_path / "kept"
    directory = {"BACKEND": "por.files.directory.Directory", "OPTIONS": {"location": str(place)}}
    settings.STORAGES = settings.STORAGES | {"default": directory}
    return place


@pytest.fixture
def reader() -> Actor:
    return make_staff("programme_administrator")


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """Write the five files, with one bad row in customers.csv; return their directory."""
    directory = tmp_path / "estate"
    directory.mkdir()
    return estates.write(
        directory,
        partners=[partner()],
        customers=[customer(), customer("no guid")],
        subscriptions=[subscription()],
        usage=[usage(), usage("2025-04")],
        associations=[association()],
    )


def uploads(estate: Path) -> list[SimpleUploadedFile]:
    return [SimpleUploadedFile(name, (estate / name).read_bytes()) for name in NAMES]


def upload(web: Client, files: list[Any], manner: str = "dry") -> Any:
    return web.post(LOADS, {"file": files, "manner": manner}, follow=True)


def zipped(**files: bytes) -> SimpleUploadedFile:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return SimpleUploadedFile("estate.zip", packed.getvalue())


def files_in(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())


# --- From the files to the report -----------------------------------------------------------------------------------


def test_files_are_imported_after_a_dry_run_with_the_figures_of_the_command(web, estate, kept):
    command = estates.load(estate, "--dry-run")
    expected = [line.split(":", 1)[1].strip() for line in command.out.splitlines()[:6]]

    page = upload(web, uploads(estate))
    tried = Import.objects.get()
    assert page.redirect_chain == [(f"{LOADS}{tried.pk}/", 302)]
    assert "Waiting to start" in page.text
    assert 'hx-trigger="every 2s"' in page.text
    assert len(files_in(kept)) == 5
    tasks.run()

    page = web.get(f"{LOADS}{tried.pk}/")
    assert "so nothing was saved" in page.text
    assert "hx-trigger" not in page.text
    assert not Partner.objects.exists()
    rows = [tally for _name, tally in page.context["import"].tally_rows]
    figures = [f"{t.created} created, {t.changed} changed, {t.unchanged} unchanged, {t.failed} failed" for t in rows]
    assert figures == expected
    assert "rows per second" in page.text
    assert "malformed_guid" in page.text

    page = web.post(f"{LOADS}{tried.pk}/load/", follow=True)
    assert web.post(f"{LOADS}{tried.pk}/load/", follow=True).redirect_chain == page.redirect_chain
    import_ = Import.objects.get(dry_run=False)
    tasks.run()
    assert Subscription.objects.get().seats == 420
    assert Import.objects.get(pk=import_.pk).figures == Import.objects.get(pk=tried.pk).figures
    back = [f"load-errors/{one.pk}.{ending}" for one in (tried, import_) for ending in ("csv", "zip")]
    assert files_in(kept) == sorted(back)
    assert "View import" in web.get(f"{LOADS}{tried.pk}/").text

    packed = {name: (estate / name).read_bytes() for name in NAMES} | {"__MACOSX/._usage.csv": b"x"}
    upload(web, [zipped(**packed)], "load")
    tasks.run()
    assert "Nothing has changed." in web.get(f"{LOADS}{Import.objects.latest('pk').pk}/").text
    of_imports = Import.objects.values_list("request_id", flat=True)
    assert set(Event.objects.filter(verb="estate.loaded").values_list("request_id", flat=True)) <= set(of_imports)
    verbs = Event.objects.filter(chain="house", object_kind="load").order_by("pk").values_list("verb", flat=True)
    assert list(verbs) == ["estate.load_requested", "estate.load_ended"] * 3
    page = web.get("/a/history/?search=associations.csv")
    assert "Import requested:" in page.text
    event = Event.objects.filter(verb="estate.load_ended").latest("pk")
    assert f"{LOADS}{event.object_id}/" in web.get(f"/a/history/{event.pk}/").text


@pytest.mark.parametrize(("complete", "missing"), [("yes", True), ("no", False), ("", False)])
def test_person_says_whether_the_files_are_complete(web, tmp_path, complete, missing):
    """One of three subscriptions is less than half. What was said of a dry run holds for its import."""
    ids = [f"{number:08}-7a53-4a86-8b0d-3f6f0f3f7b21" for number in range(3)]
    estates.load_one(tmp_path, "customers", customer())
    estates.load_one(tmp_path, "subscriptions", *map(subscription, ids))
    estates.write(tmp_path, subscriptions=[subscription(ids[0])])
    file = SimpleUploadedFile("subscriptions.csv", (tmp_path / "subscriptions.csv").read_bytes())
    web.post(LOADS, {"file": [file], "manner": "dry", "complete": complete})
    tasks.run()
    assert not Subscription.objects.filter(missing_since__isnull=False).exists(), "it was a dry run"
    web.post(f"{LOADS}{Import.objects.get().pk}/load/")
    tasks.run()
    found = Subscription.objects.filter(missing_since__isnull=False).values_list("subscription_id", flat=True)
    assert sorted(map(str, found)) == (ids[1:] if missing else [])
    page = web.get(f"{LOADS}{Import.objects.latest('pk').pk}/")
    assert ("but not these: 2." in page.text) == missing
    assert ("Nothing has changed." in page.text) != missing


def test_imports_run_in_the_order_of_request_and_can_be_cancelled_before_they_start(web, estate, kept):
    upload(web, uploads(estate), "load"), upload(web, uploads(estate), "load")
    first, second = Import.objects.order_by("pk")
    with only_import():
        assert running.run() == 0

    page = web.post(f"{LOADS}{second.pk}/cancel/", follow=True)
    assert "Cancelled before it started." in page.text
    assert web.post(f"{LOADS}{second.pk}/load/").status_code == 409
    assert running.run() == 1
    assert Import.objects.get(pk=first.pk).status == "done"
    page = web.post(f"{LOADS}{first.pk}/cancel/")
    assert page.status_code == 409
    assert "you can no longer cancel it" in page.text
    assert web.post(f"{LOADS}4711/cancel/").status_code == web.post(f"{LOADS}4711/load/").status_code == 404


def test_first_failed_rows_are_shown_and_all_are_in_a_file(web, tmp_path):
    rows = [customer(f"no guid {number}") for number in range(rules.SHOWN + 5)]
    content = estates.write(tmp_path, customers=rows) / "customers.csv"
    upload(web, [SimpleUploadedFile("customers.csv", content.read_bytes())])
    running.run()
    import_ = Import.objects.get()

    page = web.get(f"{LOADS}{import_.pk}/")
    assert page.text.count("<code>malformed_guid</code>") == rules.SHOWN
    assert f"Showing the first {rules.SHOWN} of {len(rows)} rows." in page.text
    response = web.get(f"{LOADS}{import_.pk}/?format=csv")
    lines = list(csv.DictReader(b"".join(response).decode("utf-8-sig").splitlines()))
    assert len(lines) == len(rows)
    assert lines[-1].items() >= {"file": "customers.csv", "line": str(len(rows) + 1), "code": "malformed_guid"}.items()
    storages["default"].delete(import_.errors_file)
    assert web.get(f"{LOADS}{import_.pk}/?format=csv").status_code == 404


def test_reasons_are_in_the_language_of_the_person_who_requested_the_import(estate):
    web = signed_in(make_staff("programme_administrator"), language="sv")
    assert "Välj filerna" in upload(web, []).text
    upload(web, uploads(estate))
    running.run()
    page = web.get(f"{LOADS}{Import.objects.get().pk}/").text
    assert "Provkörning" in page
    assert "GUID: 32 hexadecimala siffror" in page
    assert "Läs in filerna nu" in page


# --- Invalid uploads ------------------------------------------------------------------------------------------------

GOOD = SimpleUploadedFile("partners.csv", b"mpn_id,name\n")


def bad_zip() -> SimpleUploadedFile:
    whole_one = zipped(**{"partners.csv": b"mpn_id\n" * 1000}).read()
    return SimpleUploadedFile("estate.zip", whole_one[:60] + b"damage" + whole_one[66:])


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], ["Choose the files, or a .zip file that contains them."]),
        ([("notes.pdf", b"x")], ["notes.pdf is not an estate file. Use these file names: partners.csv, "]),
        (
            [("notes.csv", b"x")],
            ["notes.csv has no rows below its first line, and is none of these files: partners.csv,"],
        ),
        (
            [("Partners.csv", b"x"), ("usage.txt", b'"a,b\n1,2')],
            ["Partners.csv has no rows", "usage.txt: The quotation marks in the line do not match."],
        ),
        ([("notes.csv", b"a,b\n1,2"), ("notes.csv", b"a,b\n1,2")], ["You chose notes.csv twice"]),
        ([(f"{one}.csv", b"a,b\n1,2") for one in range(21)], ["Choose at most 20 files of other programs at a time."]),
        ([("usage.csv", b"x"), ("usage.csv", b"y")], ["You chose usage.csv twice"]),
        ([("usage.csv", b"")], ["usage.csv is empty"]),
        ([("usage.csv", b"PK\3\4\0\0")], ["usage.csv is a workbook", "CSV UTF-8 (comma delimited)"]),
        ([("Licences.xlsx", b"PK\3\4\0\0")], ["Licences.xlsx is a workbook", "CSV UTF-8 (comma delimited)"]),
        ([("Licences.xls", b"x")], ["Licences.xls is a workbook"]),
        ([zipped(**{"Licences.xlsx": b"PK\3\4\0\0"})], ["Licences.xlsx is a workbook"]),
        (
            [("licences.csv", f"{TENANT},Alm AB\n{TENANT},Ek AB".encode())],
            ["licences.csv has no line with the names of its columns: it begins with “0a2f6f52-5d0c-4a30-9d55-"],
        ),
        ([("usage.csv", b"m\0o\0")], ["usage.csv is not a CSV file"]),
        ([("estate.zip", b"no zip at all")], ["We cannot unpack estate.zip"]),
        ([bad_zip()], ["We cannot unpack estate.zip"]),
        ([zipped(**{"../usage.csv": b"x"})], ["estate.zip contains ../usage.csv", "not in a folder"]),
        ([zipped(**{"estate/usage.csv": b"x"})], ["estate.zip contains estate/usage.csv"]),
        ([zipped(**{"usage.csv": b"x"}), ("usage.csv", b"x")], ["You chose usage.csv twice"]),
        ([zipped(**{"usage.csv": b"0" * 3_000_000})], ["The maximum total size is 2.0"]),
        ([("usage.csv", b"0" * 3_000_000)], ["The maximum total size is 2.0"]),
        ([("usage.csv", b"0" * 1_500_000), ("partners.csv", b"0" * 1_500_000)], ["The maximum total size is 2.0"]),
    ],
)
def test_invalid_upload_is_refused_with_reasons_and_nothing_is_kept(web, settings, kept, files, words):
    settings.LARGEST_UPLOAD = 2 * 1024 * 1024
    given = [SimpleUploadedFile(*one) if isinstance(one, tuple) else one for one in files]
    for one in given:
        one.seek(0)
    page = upload(web, given)
    assert page.status_code == 422
    for text in words:
        assert text in page.context["form"].errors.as_text()
    assert not Import.objects.exists()
    assert not kept.exists() or files_in(kept) == []


@pytest.mark.parametrize("name", ["subscriptions.csv", "name{}.csv"])
def test_zip_of_five_thousand_files_is_refused_before_it_is_read(web, name, monkeypatch):
    packed = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(packed, "w") as archive:
        warnings.simplefilter("ignore")  # one name several times
        for number in range(5_000):
            archive.writestr(name.format(number), b"x")
    many = SimpleUploadedFile("estate.zip", packed.getvalue())
    with monkeypatch.context() as patched:
        patched.setattr(uploads_of_imports, "ZipFile", None)
        answer = upload(web, [many])
    assert answer.status_code == 422
    assert "estate.zip contains 5,000 files." in answer.text
    # With a false number of them, the list of contents is too long to be read.
    false = packed.getvalue()[:-14] + bytes([1, 0, 1, 0]) + packed.getvalue()[-10:]
    assert "We cannot unpack" in upload(web, [SimpleUploadedFile("estate.zip", false)]).text


def test_zip_with_one_name_twice_is_refused_before_it_is_unpacked(web, monkeypatch):
    packed = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(packed, "w") as archive:
        warnings.simplefilter("ignore")
        for _ in range(100):
            archive.writestr("usage.csv", b"x")
    monkeypatch.setattr(uploads_of_imports, "_unpack", None)
    page = upload(web, [SimpleUploadedFile("estate.zip", packed.getvalue())])
    assert "You chose usage.csv twice. Choose only one." in page.text


def test_person_without_the_right_reads_and_cannot_upload(web, estate):
    upload(web, uploads(estate))
    import_ = Import.objects.get()
    auditor = signed_in(make_staff("auditor"))
    for path in (LOADS, f"{LOADS}{import_.pk}/"):
        page = auditor.get(path)
        assert page.status_code == 200
        assert "<form" not in page.text.partition("<main")[2]
    assert auditor.post(LOADS, {"file": [GOOD]}).status_code == 403
    forged = signed_in(make_staff("programme_administrator"), enforce_csrf_checks=True)
    assert forged.post(LOADS, {"file": [GOOD], "manner": "load"}).status_code == 403
    assert Import.objects.count() == 1


def test_number_of_queries_does_not_grow_and_polling_gets_the_report_alone(web, estate, django_assert_num_queries):
    upload(web, uploads(estate))
    with CaptureQueriesContext(connection) as asked:
        web.get(LOADS)
    few = len(asked)
    for _ in range(3):
        upload(web, uploads(estate))
    with django_assert_num_queries(few):
        assert "4 imports" in web.get(LOADS).text
    part = web.get(f"{LOADS}{Import.objects.first().pk}/", headers={"HX-Request": "true"}).text
    assert packed(part).startswith('<div class="stack" id="report"')


# --- Workers and servers that fail ----------------------------------------------------------------------------------


def test_import_of_a_killed_worker_is_run_again_with_the_same_result(web, estate):
    upload(web, uploads(estate), "load")
    import_ = Import.objects.get()
    # What a killed worker leaves: the row as it took it, and some batches. The database has released its lock.
    dead = running._take()
    assert dead == import_
    part = estate / "part"
    part.mkdir()
    for name in ("partners.csv", "customers.csv"):
        (part / name).write_bytes((estate / name).read_bytes())
    estates.load(part)
    assert running._take() == import_
    running._fail(dead, Import.Failure.DEFECT)  # the slow first worker may not change the row
    assert "Import in progress" in web.get(f"{LOADS}{import_.pk}/").text

    tasks.run()

    import_.refresh_from_db()
    assert (import_.status, import_.tries) == ("done", 3)
    assert (import_.total.created, import_.total.unchanged, import_.total.failed) == (4, 2, 1)
    assert Customer.objects.count() == Subscription.objects.count() == 1


def test_import_that_kills_every_worker_is_given_up_and_the_next_one_runs(web, estate, kept):
    upload(web, uploads(estate), "load"), upload(web, uploads(estate))
    poison, other = Import.objects.order_by("pk")
    for _ in range(3):
        assert running._take() == poison
    assert running.run() == 1
    poison.refresh_from_db()
    assert (poison.status, poison.failure) == ("failed", "killed")
    assert not storages["default"].exists(poison.folder)
    assert "three times in a row" in web.get(f"{LOADS}{poison.pk}/").text
    assert Import.objects.get(pk=other.pk).status == "done"
    verbs = Event.objects.filter(object_kind="load", object_id=str(poison.pk)).values_list("verb", flat=True)
    assert set(verbs) == {"estate.load_requested", "estate.load_failed"}


@pytest.mark.parametrize(
    ("error", "status", "failure"),
    [
        (OSError(28, "No space left on device"), "queued", ""),
        (ZeroDivisionError(), "failed", "defect"),
        (FileNotFoundError(), "failed", "files_gone"),
    ],
)
def test_outage_requeues_an_import_and_any_other_error_ends_it(web, estate, monkeypatch, error, status, failure):
    def fail(report: Any) -> None:
        raise error

    monkeypatch.setattr(whole, "_last", [fail])
    upload(web, uploads(estate), "load")
    assert running.run() == 1
    import_ = Import.objects.get()
    assert (import_.status, import_.failure) == (status, failure)
    assert web.get(f"{LOADS}{import_.pk}/").status_code == 200
    if status == "queued":
        assert import_.tries == 0
        assert running.run() == 0, "it is not due yet"
        assert "Interrupted" in web.get(f"{LOADS}{import_.pk}/").text


@pytest.mark.django_db(transaction=True)
def test_progress_of_a_dry_run_is_visible_and_a_lost_connection_requeues_it(web, estate, monkeypatch):
    seen: list[dict[str, Any]] = []

    def look_and_cut(report: Any) -> None:
        other = connection.copy()
        with other.cursor() as cursor:
            cursor.execute("SELECT bytes_done, figures, status FROM estate_load")
            seen.append(dict(zip(("bytes", "figures", "status"), cursor.fetchone(), strict=True)))
        other.close()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        raise AssertionError("the connection was not cut")

    monkeypatch.setattr(running, "REPORT_EVERY", 0.0)
    monkeypatch.setattr(whole, "_last", [look_and_cut])
    upload(web, uploads(estate))
    import_ = Import.objects.get()

    running.run()

    assert seen[0]["status"] == "running"
    assert seen[0]["bytes"] == import_.size
    import_.refresh_from_db()
    assert (import_.status, import_.tries) == ("queued", 0)
    assert not Partner.objects.exists()
    monkeypatch.setattr(whole, "_last", [])
    Import.objects.update(next_at=timezone.now())
    assert running.run() == 1
    assert Import.objects.get().status == "done"


# --- What is kept, and for how long ---------------------------------------------------------------------------------


def test_files_that_no_import_needs_are_deleted(web, estate, kept):
    for _ in range(3):
        upload(web, uploads(estate))
    old, recent, waiting = Import.objects.order_by("pk")
    Import.objects.exclude(pk=waiting.pk).update(status="done", started_at=timezone.now(), ended_at=timezone.now())
    Import.objects.filter(pk=old.pk).update(ended_at=timezone.now() - timedelta(days=8))
    store = storages["default"]
    store.save("loads/2026-01-01-left-by-a-crash/usage.csv", ContentFile(b"x"))
    fresh = store.save(f"loads/{timezone.now():%Y-%m-%d}-being-uploaded/usage.csv", ContentFile(b"x"))

    tasks.forget()

    left = {str(Path(name).parent) for name in files_in(kept)}
    assert left == {recent.folder, waiting.folder, str(Path(fresh).parent)}
    assert "Import these files now" in web.get(f"{LOADS}{recent.pk}/").text
    page = web.get(f"{LOADS}{old.pk}/")
    assert "The files have been deleted." in page.text
    assert "Import these files now" not in page.text
    assert web.post(f"{LOADS}{old.pk}/load/").status_code == 409


@pytest.fixture
def bucket(s3: dict[str, Any], settings: Any) -> Any:
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": "por.files.bucket.Bucket", "OPTIONS": s3}}
    return storages["default"]


@pytest.mark.xdist_group("s3")
def test_uploaded_files_may_be_in_a_bucket(web, estate, bucket, settings):
    upload(web, [zipped(**{name: (estate / name).read_bytes() for name in NAMES})])
    import_ = Import.objects.get()
    assert sorted(bucket.listdir(import_.folder)[1]) == sorted(NAMES)
    running.run()
    import_.refresh_from_db()
    assert import_.total.created == 6
    assert "malformed_guid" in b"".join(web.get(f"{LOADS}{import_.pk}/?format=csv")).decode()
    imports.forget(import_.folder)
    assert bucket.listdir(import_.folder) == ([], [])

    away = settings.STORAGES["default"]["OPTIONS"] | {"endpoint_url": "http://127.0.0.1:1"}
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": "por.files.bucket.Bucket", "OPTIONS": away}}
    page = upload(web, uploads(estate))
    assert page.status_code == 503
    assert "We cannot save or fetch files at the moment." in page.text
    assert Import.objects.count() == 1
    assert web.get(f"{LOADS}{import_.pk}/?format=csv").status_code == 503
