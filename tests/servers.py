"""Real, temporary PostgreSQL and Valkey servers for the tests, unless the environment names others.

A pytest plugin (`-p tests.servers`), because the servers must be there before Django reads its settings. Processes of
pytest-xdist find the addresses in their environment and share the servers. With POOLER=1, the application reaches the
database through PgBouncer.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import subprocess
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
from tests import pooler
from tests.product import free_port

SETTINGS = {
    "SECRET_KEY": "only for tests, where nothing is secret",
    "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
    "SITE_URL": "http://testserver",
    "EMAIL_URL": "memorymail://",
    "METRICS_TOKEN": "only for tests",
    # The browser's driver runs an event loop in the thread of the tests: Django would think they are asynchronous.
    "DJANGO_ALLOW_ASYNC_UNSAFE": "true",
}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Set the environment and start the servers before pytest-django reads the settings."""
    os.environ.update(SETTINGS)
    static = tempfile.TemporaryDirectory(
        prefix="por-test-static-"
    )  # nothing is collected, but the directory must exist
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


#: What every scanner takes for malware, put together here so that no scanner finds it in our sources.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!" + b"$H+H*"


#: Bytes; more than the databases and logs of a run become. Containers often have only 64 MB.
ROOM = 4 * 2**30


def in_memory() -> Path | None:
    """Return a directory in memory with room for the servers' data; None if this machine has none.

    PostgreSQL makes and removes files all the time: a new database is hundreds of them. On ext4, finding a free place
    for each took between an eighth and a quarter of the processor time of PostgreSQL.
    """
    memory = Path("/dev/shm")
    with contextlib.suppress(OSError):
        if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM:
            return memory
    return None


@contextlib.contextmanager
def _throwaway_servers() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="por-test-", dir=in_memory()) as directory:
        home = Home(Path(directory))
        home.make()
        processes = Processes(home.logs, {})
        with servers.started(home, processes, throwaway=True) as addresses:
            if os.environ.get("POOLER"):
                through = pooler.start(processes, home.path / "pgbouncer", addresses["DATABASE_URL"])
                addresses |= {"DATABASE_URL": through}
            yield addresses


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


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Yield the options of a bucket of SeaweedFS, which checks signatures. It is started once, if a test needs it."""
    place = tmp_path_factory.mktemp("seaweedfs")
    key = {"accessKey": "owner", "secretKey": "only for tests"}
    (place / "s3.json").write_text(_keys())
    command = [Path(sys.executable).with_name("weed"), "server", f"-dir={place}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += ["-master.volumeSizeLimitMB=64", "-volume.max=20", "-volume.preStopSeconds=0", "-filer"]
    command += ["-s3", "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={place / 's3.json'}"]
    ports = {name: free_port() for name in SEAWEED_PORTS}
    command += [f"-{name}={port}" for name, port in ports.items()]
    options = {
        "bucket_name": "partner-of-record",
        "endpoint_url": f"http://127.0.0.1:{ports['s3.port']}",
        "access_key": key["accessKey"],
        "secret_key": key["secretKey"],
    }
    with Processes(place, {}) as processes:
        # It is slow to end on SIGTERM, and its data is not needed.
        server = processes.start("seaweedfs", command, stop_signal=signal.SIGKILL)
        processes.wait_for(server, lambda: _takes_a_file(options))
        yield options
    for socket_left in Path(tempfile.gettempdir()).glob("seaweedfs-*.sock"):
        if any(socket_left.stem.endswith(f"-{port}") for port in ports.values()):
            socket_left.unlink()


def _keys() -> str:
    """Return the keys and their rights as in the containers: of owner, worker (no prefix) and web server."""
    parts = {"OWNER_": "owner", "": "worker", "WEB_": "web"}
    names = {f"{prefix}AWS_ACCESS_KEY_ID": part for prefix, part in parts.items()}
    secrets = {f"{prefix}AWS_SECRET_ACCESS_KEY": "only for tests" for prefix in parts}
    environment = os.environ | {"BUCKET": "partner-of-record"} | names | secrets
    script = Path(__file__).parents[1] / "docker" / "keys.sh"
    return subprocess.run(["sh", script], env=environment, capture_output=True, text=True, check=True).stdout


#: The ports of each part. By default the second port is the first plus 10,000, which may be past the last port.
SEAWEED_PORTS = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]


def _takes_a_file(options: dict[str, Any]) -> bool:
    """Return whether the server takes a file. Its port opens seconds before it does."""
    from por.files.bucket import Bucket  # reads the settings

    try:
        bucket = Bucket(**options)
        bucket.make()
        bucket.save("probe", ContentFile(b"1"))
    except (ClientError, BotoCoreError):
        return False
    return True
