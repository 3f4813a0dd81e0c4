from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from por.accounts.actions import create_token
from por.accounts.models import Membership
from por.errors import Refused


class Command(BaseCommand):
    help = "Makes an API token for one organisation. The token is the last word printed; it is kept nowhere."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--name", required=True, help="what the token is for")
        parser.add_argument("--organisation", metavar="NUMBER", help="an MPN ID or a tenant id; needed with several")
        parser.add_argument("--read-only", action="store_true")

    def handle(self, *, email: str, name: str, organisation: str | None, read_only: bool, **options: Any) -> None:
        memberships = list(Membership.objects.usable().filter(user__email__iexact=email).order_by("pk"))
        if not memberships:
            raise CommandError(f"Nobody with the address {email} acts for an organisation: check the address.")
        chosen = [one for one in memberships if organisation in {None, one.organisation.number}]
        if len(chosen) != 1:
            choices = ", ".join(f"{one.organisation.number} ({one.organisation.name})" for one in memberships)
            raise CommandError(f"Say for which organisation with --organisation NUMBER, one of: {choices}.")
        try:
            _token, secret = create_token(chosen[0].user, chosen[0].organisation, name=name, read_only=read_only)
        except Refused as refused:
            raise CommandError(str(refused)) from None
        kind = "read-only" if read_only else "read-write"
        self.stdout.write(f"A {kind} token for {chosen[0].organisation.name}, shown this once: {secret}")
