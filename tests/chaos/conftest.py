"""What runs for minutes: only `make chaos` collects it, by saying for how many seconds."""

from __future__ import annotations

import os

collect_ignore_glob = [] if "CHAOS_SECONDS" in os.environ else ["test_*.py"]
