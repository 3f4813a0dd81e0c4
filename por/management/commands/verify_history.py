from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from associations.record import checking
from por.history.actions.verifying import examine
from por.history.models import Event


class Command(BaseCommand):
    help = (
        "Check every chain of events, also against its signed heads, and name the first broken event of each; "
        "then compare every association with its events."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        findings = examine()
        for one in findings.broken:
            self.stdout.write(f"{one.chain}, event {one.seq}: {one.why}")
        for name, why in findings.unfit:
            self.stdout.write(f"{name}: {why}")
        unexplained = 0
        for found in checking.examine():
            self.stdout.write(f"{found.chain}, association {found.association}: {found.why}")
            unexplained += 1
        trouble = []
        if broken := len(findings.broken):
            trouble.append("1 chain does not hold." if broken == 1 else f"{broken} chains do not hold.")
        if unexplained:
            differ = "association differs" if unexplained == 1 else "associations differ"
            trouble.append(f"{unexplained} {differ} from the events.")
        if unfit := len(findings.unfit):
            trouble.append(f"{unfit} file{'s' * (unfit > 1)} of signed heads cannot be relied on.")
        if findings.away:
            prefix = "" if broken else "Every chain holds in itself, but whether one was rewritten is unknown: "
            trouble.append(f"{prefix}the signed heads could not be read ({findings.away}).")
        if trouble:
            raise CommandError(" ".join(trouble))
        signed = "no head is signed yet"
        if findings.last_at:
            signed = f"signed heads: {findings.heads}, the last at {findings.last_at:%Y-%m-%d %H:%M} UTC"
        chains = Event.objects.values("chain").distinct().count()
        self.stdout.write(f"Every chain holds (events checked: {Event.objects.count()}, chains: {chains}; {signed}).")
