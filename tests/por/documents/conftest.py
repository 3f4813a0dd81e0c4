from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from por.documents import children


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
