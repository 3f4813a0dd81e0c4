"""How often imports are tried, and how long their files are kept."""

from __future__ import annotations

from datetime import timedelta

#: How long the files of a dry run are kept for a later import. All others are deleted when their import has ended.
KEPT = timedelta(days=7)
#: How many failed rows a report shows; the file of errors has all of them.
SHOWN = 200
#: An import that killed this many workers is given up.
MAX_TRIES = 3
#: How long an import waits after an outage of a server.
PAUSE = timedelta(minutes=1)
