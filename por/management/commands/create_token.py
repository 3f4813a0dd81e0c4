from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from por.accounts.actions import create_token
from por.accounts.models import Membership, Organisation
from por.errors import Refused


class Command(BaseCommand):
    help = "Create an API token for a person and one organisation; the token is the last word printed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--name", required=True, help="the name of the token in the person's list")
        parser.add_argument(
            "--organisation", metavar="NUMBER", help="MPN ID or tenant ID; required if there are several"
        )
        parser.add_argument("--read-only", action="store_true")
        parser.add_argument("--days", type=int, help=f"how long it works; default: {settings.TOKEN_DAYS}")

    def handle(self, *args: Any, **options: Any) -> None:
        memberships = list(Membership.objects.usable().filter(user__email__iexact=options["email"]))
        if not memberships:
            raise CommandError(f"No one with the address {options['email']} is a member of an organisation.")
        organisation = _chosen([one.organisation for one in memberships], options["organisation"])
        try:
            _, secret = create_token(
                memberships[0].user,
                organisation,
                name=options["name"],
                read_only=options["read_only"],
                days=options["days"],
            )
        except Refused as refused:
            raise CommandError(str(refused)) from refused
        rights = "read-only" if options["read_only"] else "read-write"
        self.stdout.write(f"A {rights} token for {organisation.name}, shown only this once: {secret}")


def _chosen(organisations: list[Organisation], number: str | None) -> Organisation:
    if number is None and len(organisations) == 1:
        return organisations[0]
    choices = ", ".join(f"{one.number} ({one.name})" for one in sorted(organisations, key=lambda one: one.name))
    if number is None:
        raise CommandError(
            f"This person is a member of several organisations. Choose one with --organisation: {choices}."
        )
    for one in organisations:
        if one.number == number.strip().lower():
            return one
    raise CommandError(f"This person is not a member of {number}. Choose one with --organisation: {choices}.")
