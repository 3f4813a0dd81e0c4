"""Draws docs/life-cycles.md from the tables."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from associations.change_requests.rules import CHANGE_REQUEST
from associations.invitations.rules import INVITATION
from associations.record.state_machines import StateMachine

ALL = [CHANGE_REQUEST, INVITATION]


FILE = settings.BASE_DIR / "docs" / "life-cycles.md"


HEAD = """# Life cycles

This page is drawn from the state machines in the `rules.py` of the features by `manage.py draw_life_cycles`. A test
checks that they match. Steps in brackets happen automatically, because of time or of an import. Any other step is
refused with 409 and the code of the current status.
"""


class Command(BaseCommand):
    help = "Draws docs/life-cycles.md from the tables of what may follow what."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        FILE.write_text(drawn(), encoding="utf-8")
        self.stdout.write(f"Wrote {FILE}.")


def drawn() -> str:
    """The whole document."""
    return "\n".join([HEAD, *(_drawn(one) for one in ALL)])


def _drawn(cycle: StateMachine) -> str:
    ends = sorted({str(status) for status in cycle.refusals if status not in cycle.steps})
    lines = [
        f"## {cycle.name.capitalize()}",
        "",
        "```mermaid",
        "stateDiagram-v2",
        f"    [*] --> {cycle.begins}",
        *(f"    {at} --> {to}: {verb}" for at, steps in cycle.steps.items() for verb, to in steps.items()),
        *(f"    {status} --> [*]" for status in ends),
        "```",
        "",
        "| Status | Message for a step that is not allowed | Code |",
        "|---|---|---|",
        *(f"| {status} | {sentence} | `{code}` |" for status, (code, sentence) in cycle.refusals.items()),
        "",
    ]
    return "\n".join(lines)
