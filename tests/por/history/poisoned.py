"""The product's Celery application with an extra handler, which kills its process for each event `thing.poison`.

Start a worker with it: `celery --app tests.por.history.poisoned:app worker`. Leases are short, so that twelve
deaths take seconds instead of twelve minutes.
"""

from __future__ import annotations

import os
import signal
from datetime import timedelta

import django

django.setup()

from por.celery import app  # noqa: E402, F401
from por.history.actions import recording as history  # noqa: E402
from por.history.actions import relaying  # noqa: E402

relaying.Relay.lease = timedelta(seconds=0.5)
history.on("thing.poison", lambda _event: os.kill(os.getpid(), signal.SIGKILL))
