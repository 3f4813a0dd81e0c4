"""What tests of pages have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext


def queries(load: Callable[[], Any]) -> int:
    """How many a page takes, once it has been loaded before."""
    load()
    with CaptureQueriesContext(connection) as captured:
        assert load().status_code == 200
    return len(captured)
