from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email

from por.accounts.actions import add_to_staff_by_command
from por.accounts.adapter import password_link
from por.accounts.models import LANGUAGES
from por.accounts.rules import OrganisationKind, Role, roles_of
from por.errors import Refused


class Command(BaseCommand):
    help = (
        "Add a person to platform staff, such as the first programme administrator of a new installation. A person "
        "without a password gets a link to choose one, by email and as the last word printed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--role", required=True, choices=[role.value for role in roles_of(OrganisationKind.STAFF)])
        parser.add_argument("--name", help="of a new person; if not given, what is before the @ of the address")
        parser.add_argument("--language", choices=[code for code, _name in LANGUAGES], default="en")

    def handle(self, *args: Any, **options: Any) -> None:
        email = options["email"].strip()
        try:
            validate_email(email)
        except ValidationError as error:
            raise CommandError(f"{email} is not an email address.") from error
        name = options["name"] or email.partition("@")[0]
        try:
            person, was_added = add_to_staff_by_command(
                email, name=name, role=options["role"], language=options["language"]
            )
        except Refused as refused:
            raise CommandError(f"{email} was not added. {refused}") from refused
        done = "now has" if was_added else "already has"
        self.stdout.write(f"{person.email} {done} the role “{Role(options['role']).label}”.")
        if person.has_usable_password():
            self.stdout.write("They sign in as before.")
        else:
            if was_added:
                self.stdout.write(
                    "They will get an email with a link to choose a password. You can use this one instead."
                )
            self.stdout.write(
                "The link is shown only this once. It works once and expires after"
                f" {settings.PASSWORD_RESET_TIMEOUT // (24 * 3600)} days:"
            )
            self.stdout.write(f"{settings.SITE_URL}{password_link(person)}")
