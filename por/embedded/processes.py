"""Child processes that are started in order, watched and ended in reverse order. They never outlive their parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

Command = list[str | Path]
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


class Trouble(Exception):
    """A person must correct something; the message is one sentence that says what to do."""


class Stopped(Exception):
    """The run was asked to end (Ctrl-C, SIGTERM or a closed terminal)."""


_requests: list[int] = []


def stop_on_signals() -> None:
    """Make the next `pause` raise Stopped after a SIGINT, SIGTERM or SIGHUP; they interrupt nothing else."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Under nohup a closed terminal must not end the run.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _frame: _requests.append(number))


def pause(seconds: float = 0.05) -> None:
    """Wait. It is the only place where a run waits. Raise Stopped."""
    if _requests:
        raise Stopped
    time.sleep(seconds)


def end_with_parent(number: signal.Signals) -> None:
    """Ask the kernel for this signal when the parent dies, however it dies (Linux; survives exec)."""
    if sys.platform == "linux":
        LIBC.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)


#: A server that has died this often within a minute is not started again.
TOO_OFTEN = 5
MINUTE = 60.0
AGAIN = "; starting it again."
#: Variables that the processes of a run do not get. Without bytecode on disk, each would compile everything anew.
WITHHELD = {"PYTHONDONTWRITEBYTECODE"}
#: Seconds that a run waits for a process at most, and while none of its processes uses any processor time.
LONGEST = 600.0
QUIET = 120.0
#: Seconds between two lines that say what is waited for.
SAY_AFTER = 15.0
TAIL = 65536  # bytes at the end of a log that are searched for the last error


@dataclass
class Process:
    """A child by its name. `popen` is the process that runs now; after a death it is another one."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path
    stop_signal: signal.Signals
    grace: float
    lasting: bool
    launch: Callable[[], subprocess.Popen[bytes]]
    deaths: list[float] = field(default_factory=list)
    again_at: float | None = None

    def ended(self) -> bool:
        # Not poll(): until the process is reaped, no other process or group can get its number.
        return os.waitid(os.P_PID, self.popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def stop(self) -> int:
        """End it with its own signal, then kill the rest of its process group; return the exit status."""
        deadline = time.monotonic() + self.grace
        if not self.ended():
            self.popen.send_signal(self.stop_signal)
        while not self.ended() and time.monotonic() < deadline:
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        return self.popen.wait()

    def last_words(self) -> str:
        """Return the signal that killed it, if one did; else the line of the log that most likely has the error."""
        if (number := self._killed_by()) is not None:
            return f"killed by signal {number}"
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - TAIL))
            text = log.read().decode(errors="replace")
        text = text.rpartition(AGAIN)[2]  # leaves out the process before it
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        grave = [line for line in lines if "FATAL" in line or "PANIC" in line or "rror:" in line]
        return (grave or lines or ["no output"])[-1][:300]

    def _killed_by(self) -> int | None:
        if self.popen.returncode is not None:
            return -self.popen.returncode if self.popen.returncode < 0 else None
        end = os.waitid(os.P_PID, self.popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return end.si_status if end is not None and end.si_code in (os.CLD_KILLED, os.CLD_DUMPED) else None


class _Wait:
    """How long a process has been waited for, and how long nothing has worked."""

    def __init__(self, name: str, work: Callable[[], int]) -> None:
        self.name = name
        self.work = work
        self.began = self.looked = self.moved = self.said = time.monotonic()
        self.done = work()

    def seconds(self) -> float:
        return time.monotonic() - self.began

    def quiet_seconds(self) -> float:
        """Return for how long no process of the run has used the processor; it is looked at once a second."""
        now = time.monotonic()
        if now - self.looked >= 1:
            self.looked = now
            done = self.work()
            if done != self.done:
                self.done, self.moved = done, now
        return self.looked - self.moved

    def say(self) -> None:
        """Say from time to time what the run waits for."""
        if time.monotonic() - self.said >= SAY_AFTER:
            self.said = time.monotonic()
            print(f"Still waiting for {self.name} ({self.seconds():.0f} s) …", file=sys.stderr, flush=True)


class Processes:
    """The processes of one run. Leaving the block ends all of them, the youngest first."""

    def __init__(self, logs: Path, environment: dict[str, str], *, inherit: Sequence[int] = ()) -> None:
        self.logs = logs
        self.environment = environment
        self.inherit = tuple(inherit)
        self.running: list[Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self.running:
            self.running.pop().stop()

    def start(
        self,
        name: str,
        command: Command,
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
        orphan_signal: signal.Signals | None = None,
        grace: float = 10,
        lasting: bool = True,
        before_exec: Callable[[], None] | None = None,
        before_again: Callable[[], None] | None = None,
        pass_fds: Sequence[int] = (),
        without: Collection[str] = (),
    ) -> Process:
        """Start a process in a session of its own, so that a Ctrl-C in the terminal reaches the supervisor alone.

        The kernel sends `orphan_signal` to it if the supervisor is killed. A process that is not `lasting` is a step
        that ends: see `finish`. `before_again` cleans up before it is started again: see `watch`. The process does not
        get the variables `without`.
        """
        parent = os.getpid()

        def in_child() -> None:
            if before_exec:
                before_exec()
            # After before_exec: a change of credentials makes the kernel forget the signal.
            end_with_parent(orphan_signal or stop_signal)
            if os.getppid() != parent:
                os._exit(1)

        log = self.logs / f"{name}.log"

        def launch() -> subprocess.Popen[bytes]:
            outside = {key: value for key, value in os.environ.items() if key not in WITHHELD}
            given = {key: value for key, value in (outside | self.environment).items() if key not in without}
            try:
                with log.open("ab") as output:
                    return subprocess.Popen(
                        [str(part) for part in command],
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        env=given,
                        start_new_session=True,
                        preexec_fn=in_child,
                        pass_fds=(*self.inherit, *pass_fds),
                    )
            except (OSError, subprocess.SubprocessError) as error:
                raise Trouble(f"{name} could not be started ({error}): run `make clean` and then `make run`.") from None

        def launch_again() -> subprocess.Popen[bytes]:
            if before_again:
                before_again()
            return launch()

        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        process = Process(name, launch(), log, stop_signal, grace, lasting, launch_again)
        self.running.append(process)
        return process

    def finish(self, process: Process) -> int:
        """Wait for a step to end, however long; return its exit status. Raise Trouble if a server ends first."""
        wait = _Wait(process.name, self.work)
        while not process.ended():
            self.check()
            wait.say()
            pause()
        self.running.remove(process)
        return process.stop()

    def wait_for(self, process: Process, ready: Callable[[], bool]) -> None:
        """Wait until the process is ready. Raise Trouble if any server ends first, or at the end of our patience.

        A slow machine gets LONGEST. If no process of the run uses the processor for QUIET, nothing will happen.
        """
        wait = _Wait(process.name, self.work)
        while not ready():
            self.check()
            if wait.seconds() > LONGEST:
                raise Trouble(f"{process.name} did not get ready within {LONGEST:.0f} seconds: see {process.log}.")
            if wait.quiet_seconds() > QUIET:
                raise Trouble(f"{process.name} is not ready and has stopped working: see {process.log}.")
            wait.say()
            pause()

    def work(self) -> int:
        """Return the processor time that the processes and their descendants have used, in ticks (Linux; else 0)."""
        about: dict[int, list[str]] = {}
        for place in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                about[int(place.parent.name)] = place.read_text().rpartition(")")[2].split()
        ours = {process.popen.pid for process in self.running}
        while more := {number for number, fields in about.items() if int(fields[1]) in ours} - ours:
            ours |= more
        return sum(int(ticks) for number in ours & about.keys() for ticks in about[number][11:15])

    def check(self) -> None:
        """Raise Trouble if a server has ended."""
        for process in self.running:
            if process.lasting and process.ended():
                raise Trouble(
                    f"{process.name} has ended ({process.last_words()}): see {process.log}, then start again."
                )

    def watch(self, report: Callable[[str], None]) -> None:
        """Start again each process that dies, until Stopped is raised. Raise Trouble if one dies too often."""
        while True:
            for process in self.running:
                if process.again_at is None:
                    if process.ended():
                        self._plan_restart(process, report)
                elif time.monotonic() >= process.again_at:
                    process.again_at = None
                    process.stop()
                    process.popen = process.launch()
            pause(0.2)

    def _plan_restart(self, process: Process, report: Callable[[str], None]) -> None:
        """Report a death and set when the process is started again: immediately the first time, then ever later."""
        now = time.monotonic()
        process.deaths = [*(death for death in process.deaths if now - death < MINUTE), now]
        if len(process.deaths) >= TOO_OFTEN:
            raise Trouble(
                f"{process.name} has ended {TOO_OFTEN} times within a minute ({process.last_words()}):"
                f" see {process.log}, then start again."
            )
        line = f"{process.name} has ended ({process.last_words()}){AGAIN}"
        process.again_at = now + 2.0 ** (len(process.deaths) - 1) - 1
        with process.log.open("a") as log:
            log.write(f"{line}\n")
        report(line)
