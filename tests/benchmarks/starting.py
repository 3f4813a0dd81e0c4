"""How long `make run` takes from a fresh clone, and the second time. Everything it installs is in the package cache."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from tests.benchmarks.processor import cpu_of_commands
from tests.benchmarks.rows import say
from tests.product import OURS, ROOT, free_port

HEAD = ["`make run`, until it is ready", "Seconds", "CPU s, until it has stopped", "Seconds to stop"]


def measure() -> list[list[str]]:
    """Return a row for the first start of a fresh clone of the last commit, and for the second."""
    with tempfile.TemporaryDirectory(prefix="por-bench-") as directory:
        clone = Path(directory) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        say("Filling the package cache …")
        subprocess.run(["make", "runtime"], cwd=clone, env=_environment(), stdout=subprocess.DEVNULL, check=True)
        subprocess.run(["make", "clean"], cwd=clone, check=True)
        rows = []
        for title in ("first start, fresh clone, warm package cache", "second start"):
            say(f"{title} …")
            rows.append([title, *_start(clone)])
    return rows


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in OURS | {"VAR", "VIRTUAL_ENV"}}


def _start(clone: Path) -> list[str]:
    began, before = time.monotonic(), cpu_of_commands()
    run = subprocess.Popen(
        ["make", "run", f"PORT={free_port()}"],
        cwd=clone,
        env=_environment(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert run.stdout is not None
    try:
        lines = []
        for line in run.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        seconds = time.monotonic() - began
        assert "is ready" in "".join(lines), "".join(lines)
    finally:
        asked = time.monotonic()
        os.killpg(run.pid, signal.SIGINT)
        run.communicate(timeout=60)
    stopped = time.monotonic() - asked
    return [f"{seconds:.1f}", f"{(cpu_of_commands() - before) / 1000:.1f}", f"{stopped:.1f}"]
