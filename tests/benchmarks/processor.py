"""How much processor time a process has used, and how much memory it has."""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path

from tests.product import descendants

TICK = 1000 / os.sysconf("SC_CLK_TCK")  # milliseconds


def cpu_of(pid: int) -> float:
    """Return the milliseconds that a process and its children that have ended have used."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) * TICK
    return 0.0


def cpu_of_all(pid: int) -> float:
    """Return the milliseconds that a process and all below it have used."""
    return cpu_of(pid) + sum(cpu_of(child) for child, _since in descendants(pid))


def cpu_of_commands() -> float:
    """Return the milliseconds that the commands which this process has started, and which have ended, have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1000


def memory_of(pid: int) -> tuple[float, float]:
    """Return the megabytes of a process: RSS, and PSS, which counts once what processes share. 0 if it has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        sizes = {name: int(size.split()[0]) / 1024 for name, size in (line.split(":") for line in lines)}
        return sizes["Rss"], sizes["Pss"]
    return 0.0, 0.0
