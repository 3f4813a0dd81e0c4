from __future__ import annotations

from argparse import ArgumentParser
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from por.management.estates import cast
from por.management.estates.making import EARLIEST, Maker

FEWEST_CUSTOMERS = len(cast.CUSTOMERS) + 1
FEWEST_PARTNERS = len(cast.PARTNERS)
MOST_MONTHS = 60


class Command(BaseCommand):
    help = "Write a fictional estate as files for load_estate. The same arguments give the same bytes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", type=Path, metavar="DIR")
        parser.add_argument("--subscriptions", type=int, required=True, metavar="N")
        parser.add_argument("--seed", type=int, required=True, metavar="S")
        parser.add_argument(
            "--today", type=date.fromisoformat, default=date(2026, 1, 1), help="2026-01-01 if not given"
        )
        parser.add_argument("--customers", type=int, help="a fifth of the subscriptions if not given")
        parser.add_argument("--partners", type=int, help="a hundredth of the subscriptions, at least 12, if not given")
        parser.add_argument("--months", type=int, default=12, help="how many months of usage; 12 if not given")

    def handle(self, *args: Any, **options: Any) -> None:
        subscriptions: int = options["subscriptions"]
        customers = options["customers"]
        partners = options["partners"]
        if customers is None:
            customers = max(FEWEST_CUSTOMERS, subscriptions // 5)
        if partners is None:
            partners = max(12, subscriptions // 100)
        if subscriptions < 1:
            raise CommandError("An estate has at least 1 subscription.")
        if customers < FEWEST_CUSTOMERS or partners < FEWEST_PARTNERS:
            raise CommandError(f"An estate has at least {FEWEST_CUSTOMERS} customers and {FEWEST_PARTNERS} partners.")
        if not 0 <= options["months"] <= MOST_MONTHS:
            raise CommandError(f"Usage can be made for 0 to {MOST_MONTHS} months.")
        if options["today"] < EARLIEST:
            raise CommandError(f"An estate cannot be of a day before {EARLIEST}.")
        maker = Maker(
            options["directory"],
            seed=options["seed"],
            today=options["today"],
            subscriptions=subscriptions,
            customers=customers,
            partners=partners,
            months=options["months"],
        )
        try:
            maker.make()
        except OSError as error:
            raise CommandError(f"The files cannot be written to {options['directory']}: {error.strerror}.") from error
        rows = ", ".join(f"{count:,} {name}" for name, count in maker.counts.items())
        self.stdout.write(f"Wrote to {options['directory']}: {rows}.")
