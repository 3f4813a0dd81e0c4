"""These tests run for minutes, so they are only collected if CHAOS_SECONDS is set, as `make chaos` does."""

from __future__ import annotations

import os

collect_ignore_glob = [] if "CHAOS_SECONDS" in os.environ else ["test_*.py"]
