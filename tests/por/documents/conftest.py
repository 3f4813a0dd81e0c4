from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from por.documents import children
from por.embedded.processes import Processes

#: What every scanner takes for malware, put together here so that no scanner finds it in our sources.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!" + b"$H+H*"


@pytest.fixture
def run_child() -> Callable[[str], int]:
    """Run an expression in a process that is limited as a child is; return how the process ended."""

    def run(expression: str) -> int:
        most = children.LOOK
        code = (
            "import os, socket, subprocess, resource; from por.documents.child.limits import limit; "
            f"limit({most.memory}, 1, {most.output}); {expression}"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=children.ROOT, env={}, capture_output=True, check=False)
        return done.returncode

    return run


@pytest.fixture(scope="session")
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the socket of ClamAV's daemon. It knows one piece of malware: the EICAR test file, anywhere in a file."""
    program = shutil.which("clamd", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"])
    if program is None:
        pytest.skip("clamd is not installed: `make tools`, or `apt-get install clamav-daemon`")
    place = tmp_path_factory.mktemp("clamd")
    (place / "db").mkdir()
    (place / "db" / "tests.ndb").write_text(f"Partner.Test.EICAR:0:*:{EICAR.hex()}\n")
    socket = place / "clamd.sock"
    settings = ["Foreground yes", f"DatabaseDirectory {place / 'db'}", f"LocalSocket {socket}", "StreamMaxLength 25M"]
    settings += ["MaxFileSize 25M", f"User {getpass.getuser()}", f"TemporaryDirectory {place}"]
    (place / "clamd.conf").write_text("\n".join(settings) + "\n")
    with Processes(place, {}) as processes:
        server = processes.start("clamd", [program, "-c", place / "clamd.conf"])
        processes.wait_for(server, socket.is_socket)
        yield socket
