from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from por.history.actions import verify
from por.history.models import ChainHead, Event


class Command(BaseCommand):
    help = "Checks every chain of history; names the first broken event of each that does not hold."

    def handle(self, **options: Any) -> None:
        broken = list(verify())
        for chain, seq, why in broken:
            self.stdout.write(f"{chain}: event {seq}: {why}.")
        if broken:
            raise CommandError(f"History does not hold in {len(broken)} chain(s).")
        self.stdout.write(f"History holds: {Event.objects.count()} events in {ChainHead.objects.count()} chains.")
