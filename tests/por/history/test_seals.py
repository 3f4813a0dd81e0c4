"""Heads are signed outside the database: later rewriting, and changes to the files, are reported."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, transaction
from django.db.models.functions import Now
from django.test import override_settings
from django.utils import timezone

from por.accounts.models import SYSTEM
from por.db.grants import as_owner
from por.files.bucket import Bucket
from por.history.actions import recording as history
from por.history.actions import sealing
from por.history.actions.verifying import examine
from por.history.models import ChainHead, Seal, SignedHead
from por.queue.models import PeriodicRun
from tests.pages import scraped


def record(of: int | None = 7, *, times: int = 1) -> None:
    for number in range(times):
        about = history.ObjectRef("thing", str(number), "A “thing”")
        history.record("thing.done", about, by=SYSTEM, at=timezone.now(), chain=of, parties=[11, 12])


def seal() -> Path:
    """Sign the heads as if an hour had passed; return the name of the file."""
    PeriodicRun.objects.filter(name=sealing.PERIODIC_RUN).update(done_at=Now() - timedelta(hours=1))
    sealed = sealing.seal()
    assert sealed is not None
    return Path(sealed.name)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def verify_history() -> str:
    output = StringIO()
    try:
        call_command("verify_history", stdout=output)
    except CommandError as error:
        output.write(f"! {error}")
    return output.getvalue()


# --- Signing --------------------------------------------------------------------------------------------------------


def test_heads_of_all_chains_are_signed_in_one_file(files: Path) -> None:
    record(times=3)
    record(None)
    opening, system, seven, closing = lines(files / seal())

    assert opening["previous"] == ""
    assert [(head["chain"], head["seq"], head["hash"]) for head in (system, seven)] == list(
        ChainHead.objects.order_by("chain").values_list("chain", "seq", "hash")
    )
    assert closing == {"signature": Seal.objects.get().signature}
    assert settings.SECRET_KEY not in (files / Seal.objects.get().name).read_text()


def test_only_changed_chains_are_signed_again_and_each_file_names_the_one_before(files: Path) -> None:
    record(7)
    record(8)
    first = lines(files / seal())
    record(8)
    second = lines(files / seal())

    assert [(line["chain"], line["seq"]) for line in second[1:-1]] == [("organisation:8", 2)]
    assert second[0]["previous"] == first[-1]["signature"]
    assert "signed heads: 3, the last at" in verify_history()


def test_without_changes_no_file_is_written_and_the_run_counts_as_done(files: Path) -> None:
    record()
    seal()
    PeriodicRun.objects.update(done_at=Now() - timedelta(hours=1))
    assert sealing.seal() is None
    assert len(list((files / sealing.FOLDER).iterdir())) == 1
    (age,) = re.findall(r"\nhistory_signed_head_age_seconds (.*)\n", scraped())
    assert float(age) < 3600


def test_heads_are_signed_once_an_hour(files: Path) -> None:
    record()
    assert sealing.seal()
    record()
    assert sealing.seal() is None
    PeriodicRun.objects.update(done_at=Now() - timedelta(hours=1))
    assert sealing.seal()


def test_number_of_queries_does_not_grow_with_the_chains(
    files: Path, django_assert_num_queries: Callable[..., Any]
) -> None:
    for number in range(30):
        record(number)
    with django_assert_num_queries(12):
        sealing.seal()
    assert len(lines(files / Seal.objects.get().name)) == 32


@pytest.mark.django_db(transaction=True)
def test_event_that_is_not_committed_is_signed_by_the_next_run(files: Path) -> None:
    record()
    with transaction.atomic():
        record()
        other = connection.copy()
        with other.cursor() as cursor:
            cursor.execute("SELECT seq FROM history_chainhead")
            assert cursor.fetchall() == [(1,)]
        other.close()
    seal()
    assert lines(files / Seal.objects.get().name)[1]["seq"] == 2


def test_outage_of_the_storage_is_logged_in_one_line_and_nothing_is_lost(
    files: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record()
    files.write_text("A file where the directory should be.")
    with caplog.at_level(logging.WARNING):
        assert sealing.seal() is None
    (line,) = caplog.records
    assert line.getMessage().startswith("The heads of history could not be signed (FileExistsError: ")
    assert line.exc_info is None
    assert not Seal.objects.exists()
    assert not SignedHead.objects.exists()
    assert "\nhistory_signed_head_age_seconds +Inf\n" in scraped()

    files.unlink()
    assert sealing.seal()  # by the next run, not an hour later
    assert "signed heads: 1," in verify_history()


def test_file_whose_row_was_lost_is_valid(files: Path) -> None:
    record()
    with transaction.atomic():
        seal()
        transaction.set_rollback(True)  # the storage has the file, but the commit failed
    record()
    seal()
    assert len(list((files / sealing.FOLDER).iterdir())) == 2
    assert "signed heads: 2," in verify_history()


def test_signed_heads_may_be_in_a_bucket(s3: dict[str, Any]) -> None:
    bucket = {"BACKEND": "por.files.bucket.Bucket", "OPTIONS": s3 | {"location": "of-this-test"}}
    wrong = bucket | {"OPTIONS": s3 | {"location": "of-this-test", "secret_key": "a wrong one"}}
    with override_settings(STORAGES=settings.STORAGES | {"default": wrong}):
        record()
        assert sealing.seal() is None
    with override_settings(STORAGES=settings.STORAGES | {"default": bucket}):
        assert sealing.seal()
        record()
        seal()
        assert "signed heads: 2, the last at" in verify_history()
        Bucket(**bucket["OPTIONS"]).delete(Seal.objects.order_by("pk").first().name)  # type: ignore[union-attr]
        assert "is not there any more" in verify_history()
    with override_settings(STORAGES=settings.STORAGES | {"default": wrong}):
        assert "! Every chain holds in itself, but whether one was rewritten is unknown: " in verify_history()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE history_seal SET signature = 'x'",
        "DELETE FROM history_seal",
        "DELETE FROM history_signedhead",
        "DELETE FROM history_round",
    ],
)
def test_application_cannot_change_a_seal(files: Path, sql: str) -> None:
    record()
    seal()
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)


# --- The files themselves -------------------------------------------------------------------------------------------


@pytest.fixture
def three(files: Path) -> list[Path]:
    """Return three signed files, one after each of three events of one chain."""
    sealed = []
    for _ in range(3):
        record()
        sealed.append(files / seal())
    return sealed


def unfit() -> list[tuple[str, str]]:
    findings = examine()
    assert findings.broken == []
    return [(Path(name).name, why) for name, why in findings.unfit]


def test_untouched_files_are_valid(three: list[Path]) -> None:
    assert unfit() == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"seq":2', '"seq":1'),
        ("organisation:7", "organisation:8"),
        ('"at":"20', '"at":"19'),
        ('"seq":2}\n', '"seq":2}\n\n'),
    ],
)
def test_changed_file_is_reported(three: list[Path], old: str, new: str) -> None:
    changed = three[1].read_text().replace(old, new)
    three[1].write_text(changed)
    assert unfit() == [(three[1].name, "its content does not fit its signature")]


@pytest.mark.parametrize("text", ["", "\n", "no json", "{}", "[]", '{"at": 5}', '{"at":"x","key":"y","previous":""}\n'])
def test_unreadable_file_is_reported(three: list[Path], text: str) -> None:
    three[1].write_text(text)
    assert unfit() == [(three[1].name, "it cannot be read as signed heads")]


def test_truncated_file_is_reported(three: list[Path]) -> None:
    three[1].write_bytes(three[1].read_bytes()[:-100])
    assert unfit() == [(three[1].name, "it cannot be read as signed heads")]


@pytest.mark.parametrize("which", [0, 1, 2])
def test_deleted_file_is_reported(three: list[Path], which: int) -> None:
    three[which].unlink()
    assert unfit() == [(three[which].name, "it was written and is not there any more")]


@pytest.mark.django_db(transaction=True)
def test_file_deleted_with_its_row_is_missed_by_the_next_file(three: list[Path]) -> None:
    three[1].unlink()
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM history_seal WHERE name LIKE %s", [f"%{three[1].name}"])
    assert unfit() == [(three[2].name, "the file before it is not there any more")]


def test_older_file_in_place_of_another_is_reported(three: list[Path]) -> None:
    three[1].write_bytes(three[0].read_bytes())
    assert unfit() == [(three[1].name, "another file was put in its place")]


def test_deletion_of_all_files_is_reported(three: list[Path]) -> None:
    for file in three:
        file.unlink()
    three[0].parent.rmdir()
    assert verify_history().endswith("! 3 files of signed heads cannot be relied on.")


# --- A new key ------------------------------------------------------------------------------------------------------


def test_files_stay_valid_while_the_old_key_is_known(three: list[Path]) -> None:
    old = settings.SECRET_KEY
    with override_settings(SECRET_KEY="a new one", SECRET_KEY_FALLBACKS=[old]):
        record()
        seal()
        assert unfit() == []
    with override_settings(SECRET_KEY="a new one", SECRET_KEY_FALLBACKS=[]):
        names, whys = zip(*unfit(), strict=True)
    assert list(names) == [file.name for file in three]
    assert all("is not known any more" in why for why in whys)


def test_control_signature_with_another_key_is_refused(three: list[Path]) -> None:
    """The control: a correct signature with another key is refused."""
    with override_settings(SECRET_KEY="another one"):
        record()
        forged = seal()
    assert [name for name, _ in unfit()] == [forged.name]
