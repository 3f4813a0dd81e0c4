"""The contacts that files name: each becomes an administrator of its organisation, until a file names another."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from typing import NamedTuple

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.db.models.functions import Lower

from por.accounts.models import Membership, User
from por.accounts.rules import Role


class Contact(NamedTuple):
    email: str
    organisation: int
    language: str


def name_contacts(of: Iterable[Contact]) -> None:
    """Make each contact an administrator, without a password. Leave known users and members as they are."""
    contacts = sorted(of)
    people = {email: language for email, _pk, language in contacts}
    User.objects.bulk_create(
        [
            User(email=email, name=_name_of(email), language=language, password=_no_password())
            for email, language in people.items()
        ],
        ignore_conflicts=True,
    )
    found = User.objects.annotate(lower=Lower("email")).filter(lower__in=people)
    users = dict(found.values_list("lower", "pk"))
    Membership.objects.bulk_create(
        [
            Membership(user_id=users[email], organisation_id=pk, role=Role.ADMINISTRATOR)
            for email, pk, _language in contacts
        ],
        ignore_conflicts=True,
    )


def _no_password() -> str:
    """Return an unusable password like make_password(None), which would take most of the time of a new contact."""
    return UNUSABLE_PASSWORD_PREFIX + secrets.token_hex(20)


def _name_of(email: str) -> str:
    """Return a first name to show, made from the address: elin.sandberg@… becomes Elin Sandberg."""
    return re.sub(r"[._+-]+", " ", email.partition("@")[0]).strip().title()[:150] or email
