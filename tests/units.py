"""What of the tests goes together to one process of a parallel run, and what is begun first.

A file is a unit: its tests may share rows that are really committed, or a server. Some files are one unit together.
"""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling

#: Begun in this order, the longest first, so that all processes end at about the same time. The rest, by how many
#: tests are in it, comes after.
LONGEST = [
    ("tests/journeys/",),  # on one running product
    ("tests/test_permissions.py",),
    ("tests/por/embedded/",),
    ("tests/por/db/test_outages.py",),
    ("tests/por/history/test_seals.py", "tests/por/test_files.py"),  # on one S3 server
    ("tests/associations/record/test_state_machine.py",),
    ("tests/associations/record/test_races.py",),
]


def unit_of(test: str) -> str:
    file = test.partition("::")[0]
    return next((paths[0] for paths in LONGEST if file.startswith(paths)), file)


class Units(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)

    def _assign_work_unit(self, node: Any) -> None:
        for paths in reversed(LONGEST):
            if paths[0] in self.workqueue:
                self.workqueue.move_to_end(paths[0], last=False)
        super()._assign_work_unit(node)
