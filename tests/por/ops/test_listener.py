"""The metrics of each process on a port of its own: of a web server, of a worker, of the scheduler."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from por.celery import app
from por.history import tasks
from tests.por.history.test_worker import a_worker
from tests.por.test_serving import started
from tests.product import ROOT, TIMEOUT, free_port, wait_until

TOKEN = {"Authorization": f"Bearer {settings.METRICS_TOKEN}"}


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return the port that a process started in the test opens for its metrics."""
    number = free_port()
    directory = tmp_path / "metrics"
    directory.mkdir()
    monkeypatch.setenv("METRICS_PORT", str(number))
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(directory))
    return number


def ask(port: int, path: str = "/metrics", **headers: str) -> tuple[int, str]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    with contextlib.closing(client):
        client.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = client.getresponse()
        return answer.status, answer.read().decode()


def has(port: int, line: str) -> bool:
    """Return whether the metrics have a line that begins like this; False while the port is not open."""
    with contextlib.suppress(OSError):
        status, text = ask(port, **TOKEN)
        return status == 200 and any(one.startswith(line) for one in text.splitlines())
    return False


def assert_closed_to_others(port: int) -> None:
    assert ask(port) == (401, "")
    for header in ({"Authorization": "Bearer wrong"}, {"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}):
        assert ask(port, **header) == (401, "")
    assert ask(port, "/livez", **TOKEN)[0] == 404, "it shows nothing but metrics"


def test_web_server_shows_what_its_processes_count(port, tmp_path):
    with started(tmp_path / "metrics", "por.wsgi:application") as server:
        for _ in range(4):
            server.status("/readyz")
        assert has(port, 'django_http_requests_total_by_method_total{method="GET"} ')
        assert_closed_to_others(port)


@pytest.mark.django_db(transaction=True)
def test_worker_shows_what_its_children_count(port, tmp_path):
    app.control.purge()
    with a_worker(tmp_path) as log:
        tasks.relay.delay()
        wait_until(lambda: has(port, 'tasks_total{state="SUCCESS",task="por.history.tasks.relay"} '))
        wait_until(lambda: has(port, 'task_seconds_total{task="por.history.tasks.relay"} '))
        assert_closed_to_others(port)
        assert "por.history.tasks.relay[" not in log.read_text(), "such tasks run every few seconds, day and night"


@contextlib.contextmanager
def scheduler(tmp_path: Path) -> Iterator[Path]:
    log = tmp_path / "beat.log"
    command = [sys.executable, "-m", "celery", "--app", "por.clock:app", "--broker", app.conf.broker_url, "beat"]
    command += ["--schedule", str(tmp_path / "schedule"), "--pidfile", "", "--loglevel", "INFO"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ, stdout=output, stderr=output)
    try:
        yield log
    finally:
        process.terminate()
        process.wait(TIMEOUT)
        app.control.purge()


def waiting() -> int:
    with app.connection_for_read() as broker:
        return int(broker.default_channel.queue_declare("celery").message_count)


def test_scheduler_shows_what_it_has_sent(port, tmp_path):
    with scheduler(tmp_path) as log:
        wait_until(lambda: has(port, 'scheduler_sent_total{task="por.history.tasks.relay"} '))
        assert_closed_to_others(port)
        assert "Sending" not in log.read_text(), "it sends every few seconds, day and night"


def test_port_that_is_taken_is_logged_and_stops_nothing(port, tmp_path):
    with socket.create_server(("", port)), scheduler(tmp_path) as log:
        wait_until(lambda: "The metrics of this process have no port" in log.read_text())
        app.control.purge()
        wait_until(lambda: waiting() > 0)
