"""A run on a slow machine waits for its processes, says so, and gives up only on one that will never be ready."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from por.embedded import processes
from por.embedded.processes import Processes, Trouble

#: A server that needs the processor for a while before it is ready.
SLOW = (
    "import pathlib, sys, time\nend = time.process_time() + float(sys.argv[1])\nwhile time.process_time() < end: pass\n"
)
READY = "pathlib.Path(sys.argv[2]).touch()\ntime.sleep(600)"
IDLE = "import time; time.sleep(600)"


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path, {}) as run:
        yield run


def test_slow_server_is_waited_for_as_long_as_it_works_and_the_run_says_so(
    run: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(processes, "QUIET", 2.5)
    monkeypatch.setattr(processes, "SAY_AFTER", 0.5)
    mark = tmp_path / "ready"
    slow = run.start("slow", [sys.executable, "-c", SLOW + READY, "3", mark])

    run.wait_for(slow, mark.exists)

    assert "Still waiting for slow (" in capsys.readouterr().err


def test_server_is_waited_for_while_another_process_works(
    run: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "QUIET", 2.5)
    mark = tmp_path / "ready"
    run.start("busy", ["sh", "-c", f"{sys.executable} -c '{SLOW + READY}' 3 {mark}; true"])  # in a child of its own
    waiting = run.start("waiting", [sys.executable, "-c", IDLE])

    run.wait_for(waiting, mark.exists)


def test_server_that_has_stopped_working_is_given_up(run: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "QUIET", 1.0)
    idle = run.start("idle", [sys.executable, "-c", IDLE])

    with pytest.raises(Trouble, match=r"idle is not ready and has stopped working: see .*idle\.log"):
        run.wait_for(idle, lambda: False)


def test_server_that_works_for_ever_is_given_up_in_the_end(run: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LONGEST", 1.0)
    busy = run.start("busy", [sys.executable, "-c", SLOW, "600"])

    with pytest.raises(Trouble, match=r"busy did not get ready within 1 seconds"):
        run.wait_for(busy, lambda: False)


def test_run_waits_ten_minutes_and_gives_up_after_two_without_any_work() -> None:
    assert (processes.LONGEST, processes.QUIET) == (600, 120)
