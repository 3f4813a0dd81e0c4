"""Scanning files for malware with the daemon of ClamAV, which CLAMAV_URL names."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, BinaryIO, cast
from urllib.parse import unquote, urlsplit

from clamav_client.clamd import ClamdNetworkSocket, ClamdUnixSocket
from django.conf import settings

from por.documents.kinds import LARGEST

logger = logging.getLogger(__name__)

#: Seconds that the daemon may be silent.
PATIENCE = 60.0


class Outcome(StrEnum):
    CLEAN = "clean"
    INFECTED = "infected"
    FAILED = "failed"  # to be tried again
    NOT_SCANNED = "not_scanned"  # there is no scanner


@dataclass(frozen=True)
class Scan:
    """What the scanner says of a file. `found` is its name for the malware."""

    outcome: Outcome
    found: str = ""


def scan(file: IO[bytes]) -> Scan:
    """Return what the scanner says of a file. Only its clear word makes one clean; whatever goes wrong is a failure."""
    if not settings.CLAMAV_URL:
        return Scan(Outcome.NOT_SCANNED)
    try:
        if file.seek(0, os.SEEK_END) > LARGEST:  # the daemon hangs up on a file that is larger than it takes
            return Scan(Outcome.FAILED)
        file.seek(0)
        word, found = _scanner(PATIENCE).instream(cast(BinaryIO, file))["stream"]
    except Exception:
        logger.warning("A file could not be scanned", exc_info=True)
        return Scan(Outcome.FAILED)
    match word:
        case "OK":
            return Scan(Outcome.CLEAN)
        case "FOUND":
            return Scan(Outcome.INFECTED, str(found))
    logger.warning("A file could not be scanned: %s", found)
    return Scan(Outcome.FAILED)


def check_scanner(patience: float) -> None:
    """Raise an error unless the scanner answers within so many seconds."""
    scanner = _scanner(patience)
    try:
        if (answer := scanner.ping()) != "PONG":
            raise OSError(f"The scanner answered {answer}")
    finally:
        scanner.clamd_socket.close()  # the library leaves it open if nobody answers


def _scanner(patience: float) -> ClamdNetworkSocket:
    """Return a client of unix:///path or tcp://host:port."""
    url = urlsplit(settings.CLAMAV_URL)
    if url.scheme == "unix":
        return ClamdUnixSocket(path=unquote(url.path), timeout=patience)  # type: ignore[arg-type]  # takes any number
    return ClamdNetworkSocket(host=url.hostname or "", port=url.port or 3310, timeout=patience)
