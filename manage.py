#!/usr/bin/env python
"""Django's commands, on the database of `make run`: the running one, or one that lives as long as the command."""

from __future__ import annotations

import os
import sys

from por.embedded.commands import surroundings
from por.embedded.processes import Trouble


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "por.settings")
    with surroundings() as environment:
        os.environ.update(environment)
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        sys.exit(str(trouble))
