"""Uploads at the same time: each file has a number of its own, a file is there once, and no decision is overlooked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from associations.claims.actions import examining, proofs
from associations.claims.actions.proofs import Said, upload
from associations.claims.models import Claim, Proof
from associations.claims.rules import Scan
from por.accounts.models import Actor
from por.errors import Refused
from por.files import proofs as files
from tests import requests_as_web
from tests.claims import make_draft, make_submitted
from tests.factories import make_customer, make_member, make_partner
from tests.files import PDF, stored_names, use_directory
from tests.rivals import unlocked

pytestmark = pytest.mark.django_db(transaction=True)
CALLERS = 4


@pytest.fixture(autouse=True)
def storage(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings.CLAMAV_URL = ""
    return use_directory(settings, tmp_path)


@pytest.fixture
def claimant() -> Actor:
    return make_member(make_partner().organisation)


@pytest.fixture
def claim(claimant: Actor) -> Claim:
    return make_draft(make_customer(), claimant)


def sent(number: int) -> SimpleUploadedFile:
    return SimpleUploadedFile(f"{number}.pdf", PDF + b"\n" * number)


def said() -> Said:
    return Said(["exo"], timezone.now().date())


def at_once(work: Callable[[int], Any]) -> list[Any]:
    """Return the results of this work, or its refusals, done by some callers at the same time."""

    def run(number: int) -> Any:
        try:
            return work(number)
        except (Refused, DatabaseError) as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(CALLERS) as threads:
        return list(threads.map(run, range(CALLERS)))


@contextmanager
def met(monkeypatch: pytest.MonkeyPatch, moment: Callable[[], None]) -> Iterator[None]:
    """Let all callers wait for each other after their files are stored, before they lock."""
    keep = proofs._keep

    def wait(*args: Any, **named: Any) -> Any:
        moment()
        return keep(*args, **named)

    monkeypatch.setattr(proofs, "_keep", wait)
    yield
    monkeypatch.setattr(proofs, "_keep", keep)


def barrier() -> Callable[[], None]:
    gate = Barrier(CALLERS)
    return lambda: gate.wait(60) and None


def test_files_that_come_together_have_numbers_and_instants_of_their_own(claim, claimant, monkeypatch):
    with met(monkeypatch, barrier()):
        found = at_once(lambda number: upload(claim.pk, [sent(number)], said(), by=claimant))

    assert not [one for one in found if isinstance(one, Exception)]
    stored = list(Proof.objects.order_by("number"))
    assert [one.number for one in stored] == list(range(1, CALLERS + 1))
    assert [one.uploaded_at for one in stored] == sorted({one.uploaded_at for one in stored})
    assert stored_names() == {one.stored_as for one in stored}
    assert Claim.objects.get(pk=claim.pk).version == claim.version + CALLERS


def test_control_without_the_lock_two_files_want_one_number(claim, claimant, monkeypatch):
    def alone(number: int) -> Any:
        with connection.execute_wrapper(unlocked):
            return upload(claim.pk, [sent(number)], said(), by=claimant)

    both = barrier()
    last = proofs._after

    def late(*args: Any) -> Any:
        both()  # all have read the last number
        return last(*args)

    monkeypatch.setattr(proofs, "_after", late)
    found = at_once(alone)

    assert [one for one in found if isinstance(one, DatabaseError)], "the constraint refuses them"


def test_same_file_that_comes_together_is_there_once(claim, claimant, monkeypatch):
    with met(monkeypatch, barrier()):
        found = at_once(lambda _number: upload(claim.pk, [sent(0)], said(), by=claimant))

    refusals = [one.code for one in found if isinstance(one, Refused)]
    assert refusals == ["proof_already_there"] * (CALLERS - 1)
    assert stored_names() == {Proof.objects.get().stored_as}


def test_two_workers_examine_each_file_once(claimant):
    claim = make_submitted(make_customer(), claimant)
    for number in range(3):
        upload(claim.pk, [sent(number)], said(), by=claimant)

    assert sum(at_once(lambda _number: examining.examine())) >= 3

    assert {one.scan for one in Proof.objects.filter(number__gt=1)} == {Scan.NOT_SCANNED}
    for one in Proof.objects.filter(number__gt=1):
        with files.fetched(one.stored_as, one.sha256) as copy:
            assert copy.read().startswith(PDF)


def test_web_server_cannot_say_that_a_file_is_clean(claim, claimant):
    upload(claim.pk, [sent(0)], said(), by=claimant)
    changes = [{"scan": "clean"}, {"stored_as": "proofs/x"}, {"sha256": "x"}, {"acknowledged_on": "2026-01-01"}]
    with ExitStack() as stack:
        stack.callback(requests_as_web.end_request)
        requests_as_web._begin()
        for change in changes:
            with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
                Proof.objects.update(**change)
    for change in changes[2:]:  # nor can the worker change what was uploaded
        with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
            Proof.objects.update(**change)
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM claims_proof")
    assert Proof.objects.update(scan="clean") == 1
