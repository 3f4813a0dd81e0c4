"""Signing the heads of the chains, every hour and outside the database, so that even a full rewrite is detected."""

from __future__ import annotations

import logging
import tempfile
from datetime import datetime, timedelta

from django.core.files import File
from django.core.files.storage import storages
from django.db import connection
from django.utils import timezone

from por.history import seals
from por.history.models import Seal, SignedHead
from por.queue.periodic import due

logger = logging.getLogger(__name__)

PERIODIC_RUN = "seal"
EVERY = timedelta(hours=1)
#: The folder of the files in the storage; their names sort by time.
FOLDER = "signed-heads"


class StorageAway(Exception):
    """The storage does not accept the file."""


def seal() -> Seal | None:
    """Write the heads of the chains that changed since the last run to one signed file; return its row, if any.

    It does so once an hour. If nothing has changed, it writes no file. If the storage does not accept the file, nothing
    counts as signed, and the next run tries again.
    """
    try:
        with due(PERIODIC_RUN, EVERY) as mine:
            return _seal(timezone.now()) if mine else None
    except StorageAway as away:
        logger.warning("The heads of history could not be signed (%s); the next run tries again.", away)
        return None


def _seal(at: datetime) -> Seal | None:
    if not _mark_changed(at):
        return None
    last = Seal.objects.order_by("pk").last()
    heads = SignedHead.objects.filter(signed_at=at).order_by("chain").values_list("chain", "seq", "hash")
    # A larger file goes to the disk, and the cursor is on the server, so memory does not grow with the chains.
    with tempfile.SpooledTemporaryFile(max_size=5_000_000) as file:
        sealed = seals.write(
            file, (seals.Head(*head) for head in heads.iterator()), at=at, previous=last.signature if last else ""
        )
        file.seek(0)
        try:
            name = storages["default"].save(f"{FOLDER}/{at:%Y-%m-%dT%H-%M-%S-%fZ}.jsonl", File(file))
        except Exception as error:  # an error of the disk, the network or the client
            raise StorageAway(f"{type(error).__name__}: {error}") from error
    return Seal.objects.create(name=name, at=at, signature=sealed.signature)


def _mark_changed(at: datetime) -> int:
    """Save the head of each chain that differs from its signed head, in one statement; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO history_signedhead (chain, seq, hash, signed_at)"
            " SELECT chain, seq, hash, %s FROM history_chainhead AS head WHERE NOT EXISTS (SELECT FROM"
            " history_signedhead AS signed WHERE signed.chain = head.chain AND signed.hash = head.hash)"
            " ON CONFLICT (chain) DO UPDATE"
            " SET seq = excluded.seq, hash = excluded.hash, signed_at = excluded.signed_at",
            [at],
        )
        changed: int = cursor.rowcount
    return changed
