"""Collecting the texts of the files of rules that a reader sees, so that makemessages finds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from competencies.programs import programs
from por.programs.rules import Program

FILE = settings.BASE_DIR / "competencies" / "rule_texts.py"
LINE = 120
_HEAD = '''"""The texts of the files of rules that a reader sees. manage.py collect_rule_texts writes this file."""

from __future__ import annotations

from django.utils.translation import gettext_noop

'''


class Command(BaseCommand):
    help = "Collect the texts of the files of rules that a reader sees in competencies/rule_texts.py."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        FILE.write_text(collected(), encoding="utf-8")
        self.stdout.write(f"Wrote {FILE}.")


def collected() -> str:
    """Return the module with the texts of all programmes, each once."""
    return _HEAD + "".join(_call(text) for text in dict.fromkeys(texts(programs().values())))


def texts(found: Iterable[Program]) -> Iterator[str]:
    """Yield the titles of programmes, and the notes of their versions and metrics."""
    for program in found:
        yield program.title
        for version in program.versions:
            yield from (one for one in (version.note, *(metric.note for metric in version.metrics.values())) if one)


def _call(text: str) -> str:
    """Return the code that marks a text, in lines that are not too long."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    if len(line := f'gettext_noop("{escaped}")\n') <= LINE:
        return line
    parts = wrap(escaped, LINE - 8, break_long_words=False, break_on_hyphens=False)
    lines = "".join(f'    "{part} "\n' for part in parts[:-1]) + f'    "{parts[-1]}"\n'
    return f"gettext_noop(\n{lines})\n"
