"""What the child may use. It limits itself before it reads the file, and a limit cannot be taken back."""

from __future__ import annotations

import resource
import signal


def limit(memory: int, seconds: int, output: int) -> None:
    """Limit the memory, the processor time, the time and the output of this process, and let it open nothing more.

    Without a new file descriptor it reaches no file and no network, and starts no program.
    """
    for what, most in {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: output,
        resource.RLIMIT_NOFILE: 0,
        resource.RLIMIT_CORE: 0,
    }.items():
        resource.setrlimit(what, (most, most))
    signal.alarm(seconds * 5)  # if our parent is killed, nobody else ends us
