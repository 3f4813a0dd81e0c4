"""The child process: `python -m por.documents.child look|draw`. It reads the file from its standard input."""

from __future__ import annotations

import json
import mmap
import sys

from por.documents.child.limits import limit


def look(*most: int) -> None:
    """Write what the file is, or why it may not be kept, as JSON."""
    from por.documents.child import looking
    from por.documents.child.faults import Fault

    data = memoryview(mmap.mmap(sys.stdin.fileno(), 0, access=mmap.ACCESS_READ))
    looking.load(data)
    limit(*most)
    try:
        kind, facts = looking.look_into(data, sys.stdin.buffer)
        answer = {"kind": kind, "facts": facts}
    except Fault as fault:
        answer = {"code": fault.code, "details": fault.details}
    except (MemoryError, RecursionError):
        answer = {"code": "file_too_complex", "details": {}}
    except Exception:  # what the libraries raise for files that they cannot read has no common class
        answer = {"code": "file_damaged", "details": {}}
    sys.stdout.write(json.dumps(answer))


def draw(*most: int) -> None:
    """Write pictures of the first pages. Whatever goes wrong ends the process: then there are none."""
    from por.documents.child import drawing

    limit(*most)
    drawing.draw(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    {"look": look, "draw": draw}[sys.argv[1]](*map(int, sys.argv[2:]))
