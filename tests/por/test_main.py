"""The command that starts worker and scheduler."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.product import ROOT

# It does all but to work.
SCRIPT = """
import json, sys
from celery.apps.beat import Beat
from celery.apps.worker import Worker
from por.__main__ import main
Beat.run = lambda self: print(json.dumps([self.schedule, self.loglevel]))
Worker.start = lambda self: print(json.dumps([self.hostname, self.concurrency]))
status = main(sys.argv[1:])
print(json.dumps([status, sorted(sys.modules)]))
"""


def started(*arguments: str, script: str = SCRIPT) -> list[list[object]]:
    """Return what the script prints, line by line."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        env=os.environ | {"CELERY_SKIP_CHECKS": "true"},
        check=True,
        capture_output=True,
        text=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["beat", "--schedule", "somewhere"], ["somewhere", 20]),
        (["worker", "--concurrency", "3", "--hostname", "worker7@here"], ["worker7@here", 3]),
    ],
    ids=["beat", "worker"],
)
def test_a_part_begins_as_it_is_told_without_the_commands_of_celery(arguments: list[str], shown: list[object]) -> None:
    told, (status, modules) = started(*arguments)
    assert told == shown
    assert status == 0
    assert "celery.apps.beat" in modules
    assert not {"celery.bin.celery", "click_repl", "prompt_toolkit"} & set(modules)


def test_the_worker_loads_the_pages_that_mails_lead_to_before_it_forks() -> None:
    before, after = started(
        script="""
import json, sys
from celery import signals
from por.celery import app
app.loader.import_default_modules()
for _ in range(2):
    print(json.dumps(["por.api_urls" in sys.modules, "associations.urls" in sys.modules]))
    signals.worker_before_create_process.send(sender=app)
"""
    )
    assert before == [False, False]
    assert after == [True, True]
