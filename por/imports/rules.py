"""How loads are asked for, run again and forgotten."""

from __future__ import annotations

from datetime import timedelta

#: How long the files of a dry run wait to be loaded. All others are deleted when their load has ended.
KEPT = timedelta(days=7)
#: Rows that failed which a report shows; the file of errors has all of them.
SHOWN = 200
#: A load that ended this many workers is not given to another one.
MAX_TRIES = 3
#: After a server did not do its part, a load waits so long.
PAUSE = timedelta(minutes=1)
