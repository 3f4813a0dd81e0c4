"""Drawing docs/life-cycles.md from the state machines."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from associations.change_requests.rules import CHANGE_REQUEST
from associations.claims.rules import CLAIM, CONFLICT, CONSENT
from associations.invitations.rules import INVITATION
from associations.record.state_machines import StateMachine
from competencies.overrides.rules import OVERRIDE

ALL = [CHANGE_REQUEST, INVITATION, CLAIM, CONSENT, CONFLICT, OVERRIDE]
FILE = settings.BASE_DIR / "docs" / "life-cycles.md"

HEAD = """# Life cycles

This page is drawn from the state machines in the `rules.py` of the features by `manage.py draw_life_cycles`. A test
checks that they match. Steps in brackets happen automatically, because of time or of an import. Any other step is
refused with 409 and the code of the current status.
"""


class Command(BaseCommand):
    help = "Draw docs/life-cycles.md from the state machines."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        FILE.write_text(drawn(), encoding="utf-8")
        self.stdout.write(f"Wrote {FILE}.")


def drawn() -> str:
    """Return the whole document."""
    return "\n".join([HEAD, *(_drawn(one) for one in ALL)])


def _drawn(machine: StateMachine) -> str:
    ends = sorted({str(status) for status in machine.refusals if status not in machine.steps})
    lines = [
        f"## {machine.name.capitalize()}",
        "",
        "```mermaid",
        "stateDiagram-v2",
        f"    [*] --> {machine.begins}",
        *(f"    {at} --> {to}: {verb}" for at, steps in machine.steps.items() for verb, to in steps.items()),
        *(f"    {status} --> [*]" for status in ends),
        "```",
        "",
        "| Status | Message for a step that is not allowed | Code |",
        "|---|---|---|",
        *(f"| {status} | {message} | `{code}` |" for status, (code, message) in machine.refusals.items()),
        "",
    ]
    return "\n".join(lines)
