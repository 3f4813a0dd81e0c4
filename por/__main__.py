"""`python -m por worker` and `python -m por beat`: start the worker, or the scheduler.

Celery's own command would load all its commands and a shell, which take 10 MB in each of the two.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence


def parser() -> ArgumentParser:
    """Return the parser of the arguments."""
    arguments = ArgumentParser(prog="python -m por", description=__doc__)
    parts = arguments.add_subparsers(dest="part", required=True)
    worker = parts.add_parser("worker", help="do the work that waits")
    worker.add_argument("--concurrency", type=int, default=2, help="how many processes work")
    worker.add_argument("--hostname", help="its name, which no other worker has: name@host")
    beat = parts.add_parser("beat", help="send the names of tasks when they are due; only one may run")
    beat.add_argument("--schedule", required=True, help="the file that it writes")
    return arguments


def main(given: Sequence[str]) -> int:
    """Run the part until it is asked to end; return the exit status."""
    arguments = parser().parse_args(given)
    return _beat(arguments) if arguments.part == "beat" else _work(arguments)


def _beat(arguments: Namespace) -> int:
    from por.clock import app  # loads neither Django's applications nor tasks

    app.Beat(schedule=arguments.schedule, loglevel="INFO", quiet=True).run()
    return 0


def _work(arguments: Namespace) -> int:
    from por.celery import app

    worker = app.Worker(
        hostname=arguments.hostname,
        concurrency=arguments.concurrency,
        loglevel="INFO",
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    )
    worker.start()
    return worker.exitcode or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
