"""`make run`: the whole product on one machine, from an empty directory to a page that answers."""

from __future__ import annotations

import errno
import http.client
import os
import shutil
import signal
import socket
import sys
from functools import partial

from . import servers
from .home import ROOT, Home
from .processes import Command, Processes, Trouble

MANAGE: Command = [sys.executable, ROOT / "manage.py"]
PART: Command = [sys.executable, "-m", "por"]

PEOPLE = {
    "customer": "administrator of a customer",
    "partner": "administrator of a partner",
    "rival": "administrator of another partner",
    "reviewer": "reviews claims and conflicts",
    "reviewer2": "the second pair of eyes",
    "admin": "programme administrator",
    "admin2": "the second programme administrator",
    "support": "support",
    "auditor": "reads everything, writes nothing",
    "both": "a customer and a partner in one person",
}


def up() -> None:
    """Start everything in order, print its address, and watch it until Stopped is raised. Raise Trouble."""
    home = Home.from_environment()
    with home.held() as lock, _listener() as listener:
        host, port = listener.getsockname()[:2]
        settings = home.settings(host, port)
        processes = Processes(home.logs, dict(settings), inherit=[lock])
        _say("Starting PostgreSQL, Valkey and the mail sink …")
        with servers.started(home, processes, early=partial(start_preparing, processes)):
            try:
                home.publish(processes.environment)
                _say("Preparing the database and the files …")
                _start_scheduler(processes, home)
                finish_preparing(processes)
                _say("Starting web and worker …")
                _start_product(processes, home, listener)
                _say(_greeting(settings))
                processes.watch(_say)
            finally:
                _say("Stopping …")


def _listener() -> socket.socket:
    """Take the port before anything is started; the web server inherits it."""
    host, port = os.environ.get("HOST") or "127.0.0.1", os.environ.get("PORT") or "8000"
    try:
        if not 0 <= int(port) <= 65535:
            raise ValueError(port)
        family, kind, _, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)  # gunicorn's own number; early connections wait instead of being refused
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise Trouble(
                f"Port {port} on {host} is in use: end what uses it, or choose another one,"
                " for example `make run PORT=8001`."
            ) from None
        reason = error.strerror if isinstance(error, OSError) else "a port is a number up to 65535"
        raise Trouble(
            f"The web server cannot have port {port} on {host} ({reason}): choose another PORT or HOST."
        ) from None
    return listener


def start_preparing(processes: Processes, addresses: dict[str, str]) -> None:
    """Start to prepare the database and the files. It loads Django while the database starts, and then waits for it."""
    processes.environment |= addresses
    processes.start("prepare", [*MANAGE, "prepare", "--wait"], lasting=False)


def finish_preparing(processes: Processes) -> None:
    """Wait until database and files are prepared. Raise Trouble."""
    step = next(process for process in processes.running if process.name == "prepare")
    if processes.finish(step) != 0:
        raise Trouble(f"`manage.py {step.name}` has failed ({step.last_words()}): see {step.log}, then start again.")


def _start_scheduler(processes: Processes, home: Home) -> None:
    """Start the scheduler. It needs the broker alone; what it sends before there is a worker waits or expires."""
    processes.start("beat", [*PART, "beat", "--schedule", home.path / "beat-schedule"])


def _start_product(processes: Processes, home: Home, listener: socket.socket) -> None:
    """Start worker and web server; return when the worker takes tasks and pages answer."""
    metrics = home.run / "metrics"  # metrics of dead processes must not be counted again
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir()
    processes.environment["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
    processes.environment["CELERY_SKIP_CHECKS"] = "true"  # `prepare` has run Django's
    worker = processes.start(
        "worker",
        [*PART, "worker", "--concurrency", "2"],
        grace=20,  # SIGTERM lets running tasks end; a task that is cut short is delivered again
        orphan_signal=signal.SIGKILL,  # its broker has ended too, and its pool dies with it
        before_exec=_lower_priority,
    )
    web = processes.start(
        "web",
        serving("por.wsgi:application", listener),
        pass_fds=[listener.fileno()],
        without=["DATABASE_WORKER_URL"],  # it works as a role that can only add to the queues
    )
    host, port = listener.getsockname()[:2]
    processes.wait_for(web, lambda: _answers(host, port))
    processes.wait_for(worker, lambda: b"ready." in worker.log.read_bytes())


def serving(application: str, listener: socket.socket) -> Command:
    """Return the command that serves a WSGI application on a socket that it inherits."""
    serve: Command = [sys.executable, "-m", "gunicorn", "--config", "python:por.serving", application]
    return [*serve, "--bind", f"fd://{listener.fileno()}", "--graceful-timeout", "5"]


def _lower_priority() -> None:
    """Lower the worker's priority, so that answers come before mails where both need the same processor."""
    os.nice(5)


def _answers(host: str, port: int) -> bool:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    client = http.client.HTTPConnection(reachable, port, timeout=5)
    try:
        client.request("GET", "/livez", headers={"Host": "localhost"})
        return client.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        client.close()


def _greeting(settings: dict[str, str]) -> str:
    people = "\n".join(f"  {name + '@demo.example':<26} {role}" for name, role in PEOPLE.items())
    return f"""
Partner of Record is ready: {settings["SITE_URL"]}

Sign in with the password {settings["DEMO_PASSWORD"]} as
{people}

Ctrl-C stops everything; the data stays."""


def _say(text: str) -> None:
    print(text, flush=True)
