"""What the worker does with files: it scans them, releases those that are clean, and draws their pages."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from datetime import timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from associations.claims.actions import proofs
from associations.claims.actions.shared import locked_by_system, next_instant, record, told_privately
from associations.claims.events.proofs import ProofEvent
from associations.claims.models import Proof
from associations.claims.rules import READABLE, Preview, Scan
from por.accounts.models import SYSTEM
from por.db import outages
from por.db.locks import advisory_lock
from por.documents import scanning
from por.documents.kinds import CONTENT_TYPES, Kind
from por.documents.previewing import draw
from por.errors import TryLater
from por.files import proofs as files
from por.queue.periodic import due

logger = logging.getLogger(__name__)

#: How many files are taken in one go, and how often those are tried again whose scan failed.
BATCH = 20
AGAIN = timedelta(minutes=5)
#: The outcomes of a scan that are told, with their events.
TOLD = {Scan.INFECTED: ProofEvent.INFECTED, Scan.FAILED: ProofEvent.SCAN_FAILED}
KINDS = {content_type: kind for kind, content_type in CONTENT_TYPES.items()}


def examine() -> int:
    """Scan the files that wait, and draw the pages of those that may be opened; return how many were looked at.

    One worker does it at a time. If it ends half-way, the next one begins again with the same file.
    """
    with advisory_lock("examine proofs") as mine:
        if not mine:
            return 0
        with due("scan-failed", AGAIN) as is_time:
            failed = list(_with_scan(Scan.FAILED)) if is_time else []
        pending = list(_with_scan(Scan.PENDING))
        _each(scan, [*pending, *failed])
        drawn = list(_ids(Proof.objects.filter(scan__in=READABLE, preview=Preview.PENDING)))
        _each(draw_pages, drawn)
    if len(pending) == BATCH or len(drawn) == BATCH:
        proofs.wake.now()
    return len(pending) + len(failed) + len(drawn)


def _with_scan(scan: Scan) -> Iterable[int]:
    return _ids(Proof.objects.filter(scan=scan))


def _ids(found: QuerySet[Proof]) -> Iterable[int]:
    return found.order_by("uploaded_at", "pk").values_list("pk", flat=True)[:BATCH]


def _each(verb: Callable[[int], None], ids: Collection[int]) -> None:
    """Call the verb for each file. If the storage is away, or someone else holds the claim, it is tried again."""
    for pk in ids:
        with suppress(TryLater):
            verb(pk)


def scan(proof_id: int) -> None:
    """Scan a file, and keep what the scanner says. Only its clear word releases the file.

    No lock is held meanwhile. A file that is damaged or gone has failed. Raises Unavailable if the storage is away.
    """
    proof = Proof.objects.get(pk=proof_id)
    found, stored_as = scanning.Scan(scanning.Outcome.FAILED), proof.stored_as
    with outages.of_storage():
        try:
            with files.fetched(proof.stored_as, proof.sha256) as file:
                found = scanning.scan(file)
            if found.outcome in (scanning.Outcome.CLEAN, scanning.Outcome.NOT_SCANNED):
                stored_as = files.release(proof.stored_as)
        except (FileNotFoundError, files.Damaged) as error:
            logger.error("The file of proof %s is not what was stored: %s", proof_id, error)
            found = scanning.Scan(scanning.Outcome.FAILED)
    _keep(proof, Scan(found.outcome.value), stored_as, found.found)


@transaction.atomic
def _keep(proof: Proof, outcome: Scan, stored_as: str, malware: str) -> None:
    """Keep what the scanner says. The uploader is told of malware, and of the first scan that fails."""
    waiting = Proof.objects.filter(pk=proof.pk, scan__in=[Scan.PENDING, Scan.FAILED])
    told = TOLD.get(outcome)
    if told is None:
        waiting.update(scan=outcome, stored_as=stored_as)
        return
    claim = locked_by_system(proof.claim_id)  # for the order of its events
    if not waiting.exclude(scan=outcome).update(scan=outcome):
        return
    if malware:
        logger.warning("Malware in proof %s: %s", proof.pk, malware)
    claim.name = claim.name or gettext("Draft")
    units = list(proof.units.select_related("subscription__sku").order_by("pk"))
    now = next_instant(claim)
    record([told_privately(told, claim, units, {"proof": proof.number})], by=SYSTEM, at=now)


def draw_pages(proof_id: int) -> None:
    """Draw the first pages of a file that may be opened, in a limited child process. Raises Unavailable."""
    proof = Proof.objects.get(pk=proof_id)
    pictures: list[bytes] = []
    with outages.of_storage():
        try:
            with files.fetched(proof.stored_as, proof.sha256) as file:
                pictures = draw(file, Kind(KINDS[proof.content_type])) or []
        except (FileNotFoundError, files.Damaged) as error:
            logger.error("The file of proof %s is not what was stored: %s", proof_id, error)
        for page, picture in enumerate(pictures, 1):
            files.keep_page(proof.stored_as, page, picture)
    state = Preview.DRAWN if pictures else Preview.NONE
    Proof.objects.filter(pk=proof_id, preview=Preview.PENDING).update(preview=state, pages=len(pictures))


def remove_unnamed() -> int:
    """Remove the files that no row names and that are older than a day; return how many."""
    with outages.of_storage():
        return files.remove_unnamed(_named, timezone.now())


def _named(names: Collection[str]) -> set[str]:
    """Return those of these names that a row names: as its file, or as the picture of one of its pages.

    A row that is released meanwhile names its file in quarantine no longer, and in `proofs/` already.
    """
    of = {name: files.file_of(name) for name in names}
    rows = Proof.objects.filter(Q(stored_as__in=set(of.values())))
    there = set(rows.values_list("stored_as", flat=True))
    return {name for name, file in of.items() if file in there}
