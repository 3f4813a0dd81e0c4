"""The floor of writing: the same statements by pgbench, without the product in front of the database."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from por.embedded.postgres import binaries
from tests.benchmarks.clients import percentiles
from tests.benchmarks.processor import cpu_of_commands


def run(scripts: list[str], url: str, *, clients: int, seconds: int) -> dict[str, Any]:
    """Return the figures of these scripts, taken at random. Each is one transaction that makes one change."""
    with tempfile.TemporaryDirectory(prefix="por-bench-") as directory:
        return _run(scripts, url, clients, seconds, Path(directory))


def _run(scripts: list[str], url: str, clients: int, seconds: int, directory: Path) -> dict[str, Any]:
    files = [directory / f"{number}.sql" for number in range(len(scripts))]
    for file, script in zip(files, scripts, strict=True):
        file.write_text(script)
    parts = urlsplit(url)
    command = [str(binaries() / "pgbench"), "--no-vacuum", "--random-seed", "1"]
    command += ["--client", str(clients), "--jobs", "2"]
    command += ["--time", str(seconds), "--log", "--log-prefix", str(directory / "log")]
    command += ["--host", unquote(parts.netloc.rpartition("@")[2]), "--username", parts.username or ""]
    for file in files:
        command += ["--file", str(file)]
    before = cpu_of_commands()
    done = subprocess.run([*command, parts.path.strip("/")], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"pgbench has failed:\n{done.stderr[-2000:]}")
    lines = [line.split() for log in directory.glob("log*") for line in log.read_text().splitlines()]
    latencies = [int(line[2]) / 1e6 for line in lines]
    rate = re.search(r"tps = ([\d.]+)", done.stdout)
    assert rate, done.stdout
    return {
        "answers": {"committed": len(latencies)},
        "seconds": len(latencies) / float(rate[1]),
        "cpu": cpu_of_commands() - before,
        **percentiles(latencies),
    }
