"""The one-command run, started, disturbed, killed and stopped for real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from por.embedded import servers, up
from por.embedded.home import Home
from por.embedded.processes import Processes
from tests.product import (
    OURS,
    ROOT,
    TIMEOUT,
    Product,
    alive,
    connected,
    descendants,
    environment,
    free_port,
    manage,
    refusal,
    running,
    wait_until,
)


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process that does not belong to the run."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def test_commands_find_a_run_it_survives_dead_parts_and_leaves_no_process_behind(
    tmp_path: Path, bystander: subprocess.Popen[bytes]
) -> None:
    port = free_port()
    with running(tmp_path, port) as run:
        # It answers, and a second run is refused.
        assert urllib.request.urlopen(f"http://127.0.0.1:{port}/livez").status == 200
        assert "in use by another" in refusal(tmp_path)
        assert f"Port {port} on 127.0.0.1 is in use" in refusal(tmp_path / "second", port)

        # A command uses the same servers; only their owner can read the addresses.
        published = tmp_path / "run" / "environment"
        assert published.stat().st_mode & 0o777 == 0o600
        addresses = json.loads(published.read_text())
        assert addresses["FILES_ROOT"] == str(tmp_path / "files")
        assert (tmp_path / "files").stat().st_mode & 0o777 == 0o700
        with connected(addresses["DATABASE_OWNER_URL"]) as cursor:
            cursor.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        script = "from django.conf import settings as s; print(s.DATABASES['default']['HOST'], s.EMAIL_PORT)"
        answer = manage(tmp_path, "shell", "--verbosity", "0", "--command", script)
        assert answer.split() == [str(tmp_path / "run" / "postgresql"), addresses["EMAIL_URL"].rpartition(":")[2]]

        # Web server and worker work as different roles, and the web server does not know the other one.
        product = Product(run, tmp_path, port)
        environments = {part: Path(f"/proc/{product.pid(part)}/environ").read_bytes() for part in ("web", "worker")}
        knows = {part: b"DATABASE_WORKER_URL=" in given for part, given in environments.items()}
        assert knows == {"web": False, "worker": True}
        assert product.sign_in("customer").status == 302
        wait_until(lambda: {"por_app", "por_worker"} <= roles_at_work(product))

        # Killed without a chance to clean up, it leaves no process behind.
        family = descendants(run.pid)
        assert len(alive(family)) > 10
        run.kill()
        wait_until(lambda: not alive(family))

    with running(tmp_path, port) as run:
        # The next run finds the data, also after each part has died and was started again.
        addresses = json.loads(published.read_text())
        assert_kept(addresses)
        for name in ("mail", "valkey", "postgresql", "worker", "beat", "web"):
            kill_and_wait_for_the_next(Product(run, tmp_path, port), name)
        wait_until(lambda: Product(run, tmp_path, port).status("/readyz") == 200)
        assert run.poll() is None
        assert json.loads(published.read_text()) == addresses
        assert_kept(addresses)

        # Ctrl-C ends all of it and nothing else.
        family = descendants(run.pid)
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=TIMEOUT)
        assert run.returncode == 0
        assert not alive(family)
        assert bystander.poll() is None
        assert "database system is shut down" in (tmp_path / "log" / "postgresql.log").read_text()
        assert not published.exists()


def roles_at_work(product: Product) -> set[str]:
    with product.database() as cursor:
        cursor.execute("SELECT DISTINCT usename FROM pg_stat_activity WHERE usename LIKE 'por\\_%'")
        return {name for (name,) in cursor}


def assert_kept(addresses: dict[str, str]) -> None:
    with connected(addresses["DATABASE_OWNER_URL"]) as cursor:
        cursor.execute("SELECT answer FROM kept")
        assert cursor.fetchall() == [(42,)]


def kill_and_wait_for_the_next(product: Product, name: str) -> None:
    before = product.pid(name)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: product.find(name) not in (None, before))
    line = product.next_line(f"{name} has ended")
    assert line == f"{name} has ended (killed by signal 9); starting it again.\n"
    assert line in (product.var / "log" / f"{name}.log").read_text()


def test_processes_write_bytecode_whatever_the_shell_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise each of them compiles the whole product anew, at every start."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    with Processes(tmp_path, {}) as processes:
        step = processes.start(
            "step", [sys.executable, "-c", "import sys; print(sys.dont_write_bytecode)"], lasting=False
        )
        assert processes.finish(step) == 0
    assert step.log.read_text() == "False\n"


@pytest.mark.crawl
def test_preparing_waits_for_a_database_that_starts_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OURS & os.environ.keys():
        monkeypatch.delenv(name)
    home = Home(tmp_path)
    home.make()
    processes = Processes(home.logs, home.settings())

    def begin(addresses: dict[str, str]) -> None:
        """Start nothing else until it has done what it can do alone."""
        up.start_preparing(processes, addresses)
        wait_until((tmp_path / "static" / "staticfiles.json").exists)
        time.sleep(1)

    with servers.started(home, processes, throwaway=True, early=begin) as addresses:
        up.finish_preparing(processes)
        with connected(addresses["DATABASE_URL"]) as cursor:
            cursor.execute("SELECT count(*) > 0 FROM directory_subscription")
            assert cursor.fetchall() == [(True,)]


@pytest.mark.parametrize(("port", "reason"), [("eighty", "a port is a number"), ("70000", "a port is a number")])
def test_an_invalid_port_is_refused(tmp_path: Path, port: str, reason: str) -> None:
    assert reason in refusal(tmp_path, port)  # type: ignore[arg-type]


def test_a_directory_without_a_database_is_refused_and_not_changed(tmp_path: Path) -> None:
    (tmp_path / "pg").mkdir()
    (tmp_path / "pg" / "holiday.jpg").write_text("precious")
    assert f"{tmp_path}/pg is not a PostgreSQL data directory" in refusal(tmp_path)
    assert (tmp_path / "pg" / "holiday.jpg").read_text() == "precious"


def test_a_broken_data_directory_is_named_in_the_message(tmp_path: Path) -> None:
    manage(tmp_path, "check")
    control = tmp_path / "pg" / "global" / "pg_control"
    whole = control.read_bytes()
    control.write_bytes(b"\0" * len(whole))
    assert f"PostgreSQL cannot use {tmp_path}/pg" in refusal(tmp_path)
    control.write_bytes(whole)
    [manifest] = (tmp_path / "valkey" / "appendonlydir").glob("*.manifest")
    manifest.write_text("not a manifest")
    assert f"Valkey cannot use {tmp_path}/valkey" in refusal(tmp_path)


def test_a_data_directory_that_cannot_be_made_is_refused_with_a_message(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file where a directory is needed")
    assert f"{tmp_path}/log" in refusal(tmp_path)


def test_the_application_is_neither_owner_nor_superuser_even_with_a_very_long_path(tmp_path: Path) -> None:
    var = tmp_path / ("long" * 30)
    script = (
        "from por.embedded.commands import surroundings\n"
        "with surroundings() as addresses: print(addresses['DATABASE_URL'], flush=True); input()"
    )
    command = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment(var),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    with connected(command.stdout.readline().strip()) as cursor:
        cursor.execute("SELECT rolname, rolsuper, rolcreatedb FROM pg_roles WHERE rolname LIKE 'por\\_%' ORDER BY 1")
        assert cursor.fetchall() == [(name, False, False) for name in ("por_app", "por_owner", "por_worker")]
        cursor.execute("SELECT count(*) FROM pg_auth_members WHERE roleid::regrole::text LIKE 'por\\_%'")
        assert cursor.fetchall() == [(0,)], "no role can become another one"
        cursor.execute("SELECT pg_get_userbyid(datdba), current_user FROM pg_database WHERE datname = 'por'")
        assert cursor.fetchall() == [("por_owner", "por_app")]
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("CREATE TABLE mine ()")
    family = descendants(command.pid)
    command.communicate("\n", timeout=TIMEOUT)
    assert not alive(family)


def test_servers_named_in_the_environment_are_used_and_none_is_started(tmp_path: Path) -> None:
    script = (
        "from por.embedded import servers, home, processes\nfrom pathlib import Path\n"
        f"place = home.Home(Path({str(tmp_path)!r})); place.make(); all = processes.Processes(place.logs, dict())\n"
        "with servers.started(place, all) as addresses: print(addresses, all.running)"
    )
    named = {
        "DATABASE_URL": "postgres://app@db/por",
        "REDIS_URL": "redis://broker:6379",
        "EMAIL_URL": "smtp://mail:25",
    }
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment(tmp_path) | named,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"{named} []"
