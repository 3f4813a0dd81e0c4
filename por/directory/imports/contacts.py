"""The contacts that files name: each becomes an administrator of its organisation, until a file names another."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.db.models.functions import Lower

from por.accounts.events import PeopleEvent
from por.accounts.models import Membership, User
from por.accounts.rules import Role
from por.history.actions import recording as history


class Contact(NamedTuple):
    email: str
    organisation: int
    language: str


def name_contacts(of: Iterable[Contact]) -> None:
    """Make each contact an administrator, without a password. Leave known users and members as they are."""
    contacts = sorted(of)
    users = _people({email: language for email, _pk, language in contacts})
    Membership.objects.bulk_create(
        [
            Membership(user_id=users[email], organisation_id=pk, role=Role.ADMINISTRATOR, by_file=True)
            for email, pk, _language in contacts
        ],
        ignore_conflicts=True,
    )


def change_contacts(of: Sequence[Contact]) -> list[history.EventDraft]:
    """Make each contact an administrator instead of whom earlier files have named; return the events, in their chains.

    Who is a member for another reason stays one. Of a membership from before files were noted, the reason is unknown.
    """
    if not of:
        return []
    organisations = [one.organisation for one in of]
    before = set(Membership.objects.filter(organisation__in=organisations).values_list("pk", flat=True))
    name_contacts(of)
    members = Membership.objects.filter(organisation__in=organisations).select_related("user")
    named = {(one.organisation, one.email) for one in of}
    added = [one for one in members if one.pk not in before]
    ended = [one for one in members if one.by_file and (one.organisation_id, one.user.email.lower()) not in named]
    Membership.objects.filter(pk__in=[one.pk for one in ended]).delete()
    return [
        *(_event(PeopleEvent.REMOVED_BY_FILE, one) for one in ended),
        *(_event(PeopleEvent.ADDED_BY_FILE, one) for one in added),
    ]


def _event(verb: PeopleEvent, member: Membership) -> history.EventDraft:
    about = history.ObjectRef("person", str(member.user_id), member.user.name)
    return history.EventDraft(member.organisation_id, {"role": member.role}, about, verb=verb)


def _people(languages: Mapping[str, str]) -> dict[str, int]:
    """Return the people with these addresses, by address; create those who are new, each with a language."""
    User.objects.bulk_create(
        [
            User(email=email, name=_name_of(email), language=language, password=_no_password())
            for email, language in languages.items()
        ],
        ignore_conflicts=True,
    )
    found = User.objects.annotate(lower=Lower("email")).filter(lower__in=languages)
    return dict(found.values_list("lower", "pk"))


def _no_password() -> str:
    """Return an unusable password like make_password(None), which would take most of the time of a new contact."""
    return UNUSABLE_PASSWORD_PREFIX + secrets.token_hex(20)


def _name_of(email: str) -> str:
    """Return a first name to show, made from the address: elin.sandberg@… becomes Elin Sandberg."""
    return re.sub(r"[._+-]+", " ", email.partition("@")[0]).strip().title()[:150] or email
