"""PostgreSQL and Valkey for the tests, real and thrown away afterwards, unless the environment names others.

A pytest plugin (`-p tests.servers`): the servers must be there before Django reads its settings. Processes of
pytest-xdist find the addresses in their environment and share them.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.base import ContentFile

from por.embedded import servers
from por.embedded.home import Home
from por.embedded.processes import Processes

SETTINGS = {
    "SECRET_KEY": "only for tests, where nothing is secret",
    "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
    "SITE_URL": "http://testserver",
    "EMAIL_URL": "memorymail://",
    # The browser's driver keeps an event loop in the thread of the tests; Django would take them for asynchronous.
    "DJANGO_ALLOW_ASYNC_UNSAFE": "true",
}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Around pytest-django's own hook, which reads the settings."""
    os.environ.update(SETTINGS)
    static = tempfile.TemporaryDirectory(prefix="por-test-static-")  # nothing is collected, but it must be there
    early_config.add_cleanup(static.cleanup)
    os.environ["STATIC_ROOT"] = static.name
    files = tempfile.TemporaryDirectory(prefix="por-test-files-")
    early_config.add_cleanup(files.cleanup)
    os.environ["FILES_ROOT"] = files.name
    for name in ("DEBUG", "DEMO", "AWS_STORAGE_BUCKET_NAME"):
        os.environ.pop(name, None)
    if not ("DATABASE_URL" in os.environ and "REDIS_URL" in os.environ):
        stack = contextlib.ExitStack()
        early_config.add_cleanup(stack.close)
        os.environ.update(stack.enter_context(_throwaway_servers()))
    yield


@contextlib.contextmanager
def _throwaway_servers() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="por-test-") as directory:
        home = Home(Path(directory))
        home.make()
        with servers.started(home, Processes(home.logs, {}), throwaway=True) as addresses:
            yield addresses


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The options of a bucket of SeaweedFS, which checks signatures; started once, for the tests that ask for it."""
    place = tmp_path_factory.mktemp("seaweedfs")
    key = {"accessKey": "product", "secretKey": "only for tests"}
    keys = {"identities": [{"name": "product", "credentials": [key], "actions": ["Admin", "Read", "Write", "List"]}]}
    (place / "s3.json").write_text(json.dumps(keys))
    command = [Path(sys.executable).with_name("weed"), "server", f"-dir={place}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += ["-master.volumeSizeLimitMB=64", "-volume.max=20", "-volume.preStopSeconds=0", "-filer"]
    command += ["-s3", "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={place / 's3.json'}"]
    ports = dict(zip(SEAWEED_PORTS, _free_ports(len(SEAWEED_PORTS)), strict=True))
    command += [f"-{name}={port}" for name, port in ports.items()]
    options = {
        "bucket_name": "partner-of-record",
        "endpoint_url": f"http://127.0.0.1:{ports['s3.port']}",
        "access_key": key["accessKey"],
        "secret_key": key["secretKey"],
    }
    with Processes(place, {}) as processes:
        # It takes its time over SIGTERM, and nothing it holds is worth the wait.
        server = processes.start("seaweedfs", command, stop_signal=signal.SIGKILL)
        processes.wait_for(server, lambda: _takes_a_file(options))
        yield options
    for socket_left in Path(tempfile.gettempdir()).glob("seaweedfs-*.sock"):
        if any(socket_left.stem.endswith(f"-{port}") for port in ports.values()):
            socket_left.unlink()


#: Where each part listens; by themselves the second ports would be the first plus 10,000, past the last there is.
SEAWEED_PORTS = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _takes_a_file(options: dict[str, Any]) -> bool:
    """Its port opens seconds before it can do anything."""
    from por.files.bucket import Bucket  # reads the settings

    try:
        bucket = Bucket(**options)
        bucket.make()
        bucket.save("probe", ContentFile(b"1"))
    except (ClientError, BotoCoreError):
        return False
    return True
