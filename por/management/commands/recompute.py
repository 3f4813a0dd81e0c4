"""Computing what companies have reached, now and here, instead of waiting for the worker."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from competencies import actions
from competencies.models import Round
from por.directory.models import Partner
from por.directory.rules import normal_mpn_id


class Command(BaseCommand):
    help = "Compute the competencies of all companies, or of one, for today or another day, and store what differs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--as-of", metavar="DATE", help="the day, such as 2016-05-24; today if left out")
        parser.add_argument("--partner", metavar="MPN", help="the MPN ID of a company or of one of its locations")

    def handle(self, *args: Any, as_of: str | None, partner: str | None, **options: Any) -> None:
        day = _day(as_of) if as_of else None
        today = timezone.now().date()
        companies = [_company(partner)] if partner else None
        begun = actions.begin_round(Round.Reason.COMMAND, day or today, day=day, companies=companies)
        if begun is None:
            self.stdout.write("No company has an association or a credential, so there is nothing to compute.")
            return
        done = actions.finish(begun)
        self.stdout.write(
            f"Companies computed for {(day or today).isoformat()}: {done.done}. With another result: {done.changed}."
        )
        if done.done < done.companies:
            left = done.companies - done.done
            raise CommandError(f"Companies that could not be computed: {left}. The worker tries them again.")


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"{text} is no date. Write it as in 2016-05-24.") from error
    if day > timezone.now().date():
        raise CommandError(f"{text} is in the future. Choose today or an earlier day.")
    return day


def _company(mpn_id: str) -> int:
    partner = Partner.objects.select_related("organisation").filter(mpn_id=normal_mpn_id(mpn_id) or "").first()
    if partner is None:
        raise CommandError(f"There is no partner with the MPN ID {mpn_id}.")
    return partner.organisation.parent_id or partner.pk
