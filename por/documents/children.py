"""Child processes for the content of files: limited, without a network, and with no secret in their environment."""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from por.documents.kinds import MB, MOST_DRAWN

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Limits:
    """Bytes of memory and of output, and seconds of processor time. `patience` is the seconds that we wait."""

    memory: int
    seconds: int
    output: int
    patience: int


LOOK = Limits(memory=110 * MB, seconds=2, output=MB, patience=10)
DRAW = Limits(memory=512 * MB, seconds=15, output=2 * MOST_DRAWN, patience=75)


class Died(Exception):
    """The child ended before its answer: a limit, or an error of a library."""


@contextmanager
def answer_of(task: str, file: IO[bytes], limits: Limits) -> Iterator[IO[bytes]]:
    """Yield what the child says of a file that lies on disk. Raises Died."""
    file.flush()
    file.seek(0)
    command = [sys.executable, "-E", "-s", "-B", "-m", "por.documents.child", task]
    command += [str(one) for one in (limits.memory, limits.seconds, limits.output)]
    with tempfile.TemporaryFile() as answer:
        child = subprocess.Popen(
            command, cwd=ROOT, env={}, stdin=file.fileno(), stdout=answer, stderr=subprocess.DEVNULL, close_fds=True
        )
        try:
            code = child.wait(limits.patience)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        if code != 0:
            logger.info("The child that was to %s ended with %s", task, code)
            raise Died(code)
        answer.seek(0)
        yield answer
