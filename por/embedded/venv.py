"""Install the packages of a lock file into `.venv`. Runs on a bare Python, before anything is installed.

python3 -m por.embedded.venv requirements.lock [a larger lock file that is good enough if installed]
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
STAMP = VENV / "installed-from"
UV = "uv==0.13.9"


def main(lock: str, *supersets: str) -> int:
    """Install what the lock file names, by hash, unless it is installed already; return the exit status."""
    python = VENV / "bin" / "python"
    if _works(python) and STAMP.exists() and STAMP.read_text() in {_stamp(name) for name in (lock, *supersets)}:
        return 0
    if not _works(python) and (problem := _create()):
        print(problem, file=sys.stderr)
        return 1
    STAMP.unlink(missing_ok=True)
    print(f"Installing {lock} into .venv …", flush=True)
    if not (_install_with_uv(python, lock) or _install_with_pip(python, lock)):
        print(
            f"The packages of {lock} could not be installed (see above): check that the package index"
            " can be reached and that the disk has 500 MB free, then start again.",
            file=sys.stderr,
        )
        return 1
    STAMP.write_text(_stamp(lock))
    return 0


def _stamp(lock: str) -> str:
    return f"{lock} {hashlib.sha256((ROOT / lock).read_bytes()).hexdigest()}"


def _works(python: Path, *arguments: str) -> bool:
    with contextlib.suppress(OSError):
        command = [str(python), *(arguments or ("-c", ""))]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    return False


def _create() -> str | None:
    """Make an empty virtual environment; return None, or one sentence on why it could not be made."""
    package = f"python3.{sys.version_info.minor}-venv"
    remedy = f"run `apt-get install {package}` as root, then start again"
    if importlib.util.find_spec("ensurepip") is None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            return f"This Python cannot make virtual environments: {remedy}."
        print(f"Installing {package} …", flush=True)
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        if subprocess.run(["apt-get", "install", "-y", "-qq", package], check=False).returncode != 0:
            return f"{package} could not be installed (see above): {remedy}."
    print(f"Making .venv with Python {sys.version.split()[0]} …", flush=True)
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", VENV], check=False)
    return None if made.returncode == 0 else f"{VENV} could not be made (see above): remove it, then start again."


def _install_with_uv(python: Path, lock: str) -> bool:
    """Install with uv, in a third of the time that pip takes; return whether it worked. If not, pip does the same."""
    uv = VENV / "bin" / "uv"
    install_uv = ["install", "--quiet", "--disable-pip-version-check", UV]
    if not (
        _works(uv, "--version")
        # The pip of this Python, if it has one: to put another into .venv takes longer than all the packages.
        or _works(Path(sys.executable), "-m", "pip", "--python", str(python), *install_uv)
        or (_has_pip(python) and _works(python, "-m", "pip", *install_uv))
    ):
        return False
    command = [str(uv), "pip", "install", "--quiet", "--python", str(python), "--require-hashes"]
    return subprocess.run([*command, "-r", str(ROOT / lock)], check=False).returncode == 0


def _install_with_pip(python: Path, lock: str) -> bool:
    if not _has_pip(python):
        return False
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    return subprocess.run([*command, "-r", str(ROOT / lock)], check=False).returncode == 0


def _has_pip(python: Path) -> bool:
    """Return whether .venv has pip, after an attempt to put it there."""
    return _works(python, "-m", "pip", "--version") or _works(python, "-m", "ensurepip", "--default-pip")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
