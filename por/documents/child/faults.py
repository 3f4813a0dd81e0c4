"""What the child finds wrong with a file."""

from __future__ import annotations


class Fault(Exception):
    """The file may not be kept. por/documents/refusals.py has the sentence of each code."""

    def __init__(self, code: str, **details: str) -> None:
        super().__init__(code)
        self.code = code
        self.details = details
