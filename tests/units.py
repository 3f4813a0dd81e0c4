"""How a parallel run shares out the tests: in units that stay in one process, the longest first.

A file is a unit: its tests may share committed rows or a server. Some files together are one unit.
"""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling

#: The units that start first, in this order, so that all processes end at about the same time. The others follow, by
#: their number of tests.
LONGEST = [
    ("tests/journeys/",),  # on one running product
    ("tests/test_permissions.py",),
    ("tests/test_every_address.py",),
    ("tests/por/embedded/",),
    ("tests/por/db/test_outages.py",),
    ("tests/por/history/test_seals.py", "tests/por/test_files.py", "tests/por/test_proof_files.py"),  # on one S3 server
    ("tests/test_schemathesis.py",),
    ("tests/test_fuzz.py",),
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
