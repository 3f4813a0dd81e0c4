"""How often imports are tried, how long their files are kept, and the bounds of mappings."""

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

#: How many mappings are kept, and the longest name of one.
MOST_KEPT = 200
LONGEST_NAME = 80
#: How much of a file is looked at before it is imported: bytes from its start.
LOOKED_AT = 4 * 1024 * 1024
#: What the page of a mapping shows of a file: rows, columns, characters of a cell, and distinct values of a column.
ROWS_SHOWN = 5
COLUMNS_SHOWN = 200
CELL_SHOWN = 60
VALUES_SHOWN = 60
