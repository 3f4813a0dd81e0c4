from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from por.history.actions import verify
from por.history.models import Event


class Command(BaseCommand):
    help = "Checks every chain of events and names the first broken event of each that does not hold."

    def handle(self, *args: Any, **options: Any) -> None:
        broken = list(verify())
        for one in broken:
            self.stdout.write(f"{one.chain}, event {one.seq}: {one.why}")
        if broken:
            raise CommandError("1 chain does not hold." if len(broken) == 1 else f"{len(broken)} chains do not hold.")
        events = Event.objects.count()
        chains = Event.objects.values("chain").distinct().count()
        self.stdout.write(f"Every chain holds (events checked: {events}, chains: {chains}).")
