from __future__ import annotations

import os
import tempfile
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.change_requests import actions as change_requests
from associations.invitations import actions as invitations
from por.accounts.models import Actor, Membership, Organisation, User
from por.accounts.rules import PLATFORM, OrganisationKind, Role
from por.directory.models import Subscription
from por.directory.rules import Agreement, Product
from por.management.estates import cast
from por.management.estates.claiming import Claiming

SUBSCRIPTIONS = 120
SEED = 1


class Person(NamedTuple):
    """Someone who can sign in to the demo. `places` are (kind of organisation, its name); none means platform staff."""

    name: str
    role: Role
    places: tuple[tuple[OrganisationKind, str], ...] = ()
    language: str = "en"


PEOPLE = {
    "customer": Person("Elin Sandberg", Role.ADMINISTRATOR, ((OrganisationKind.CUSTOMER, "Västerhamn Energi AB"),)),
    "partner": Person("Arvid Holm", Role.ADMINISTRATOR, ((OrganisationKind.PARTNER, cast.NORDVIK),)),
    "rival": Person("Maja Ekdahl", Role.ADMINISTRATOR, ((OrganisationKind.PARTNER, cast.HALDEN),), language="sv"),
    "reviewer": Person("Ingrid Moen", Role.REVIEWER),
    "reviewer2": Person("Jonas Lindgren", Role.REVIEWER),
    "admin": Person("Sofia Rask", Role.PROGRAMME_ADMINISTRATOR),
    "admin2": Person("Henrik Dahl", Role.PROGRAMME_ADMINISTRATOR),
    "support": Person("Aino Salmi", Role.SUPPORT),
    "auditor": Person("Pieter Vos", Role.AUDITOR),
    "both": Person(
        "Karin Almgren",
        Role.ADMINISTRATOR,
        ((OrganisationKind.CUSTOMER, "Almviks kommun"), (OrganisationKind.PARTNER, cast.HALDEN)),
    ),
}


class Command(BaseCommand):
    help = "Fill an empty database with a fictional estate and people to sign in as, once."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("This database is not a demo: set DEMO=1 where fictional data is wanted.")
        password = os.environ.get("DEMO_PASSWORD")
        if not password:
            raise CommandError("Set DEMO_PASSWORD to the password that the people of the demo sign in with.")
        if User.objects.filter(email__in=map(_email, PEOPLE)).count() < len(PEOPLE):
            # All or nothing: the dates of an estate depend on the day it is made, so it could not be completed later.
            with transaction.atomic():
                self._import_estate()
                _add_people(password)
                _leave_open_requests()
                Claiming(_actor("partner"), _actor("rival"), _actor("reviewer")).make_all(_actor("customer"))
            self.stdout.write("The demo has its estate and its people.")
        else:
            changed = _update_passwords(password)
            self.stdout.write(f"The demo was there already; {changed} passwords were updated.")

    def _import_estate(self) -> None:
        with tempfile.TemporaryDirectory(prefix="por-demo-") as directory:
            today = timezone.now().date().isoformat()
            call_command(
                *("make_estate", directory, "--subscriptions", str(SUBSCRIPTIONS), "--seed", str(SEED)),
                # Back to the last year of the competencies that ended in October 2022.
                *("--today", today, "--months", "60"),
                stdout=self.stdout,
            )
            for part in (directory, f"{directory}/corrections"):
                call_command("load_estate", part, stdout=self.stdout, stderr=self.stderr)


def _email(name: str) -> str:
    return f"{name}@demo.example"


def _add_people(password: str) -> None:
    encoded = make_password(password)  # one hash for all: they share the password, and hashing is slow on purpose
    platform, _ = Organisation.objects.get_or_create(
        kind=OrganisationKind.STAFF, number=PLATFORM[0], defaults={"name": PLATFORM[1]}
    )
    for key, person in PEOPLE.items():
        user, _ = User.objects.update_or_create(
            email=_email(key), defaults={"name": person.name, "language": person.language, "password": encoded}
        )
        for organisation in [_organisation(*place) for place in person.places] or [platform]:
            Membership.objects.get_or_create(user=user, organisation=organisation, defaults={"role": person.role})


def _leave_open_requests() -> None:
    """Open a change request that waits for its customer, and an invitation, with the verbs that people use."""
    customer, partner, rival = (_actor(name) for name in ("customer", "partner", "rival"))
    subscriptions = Subscription.objects.filter(customer=customer.organisation_id)
    attached = subscriptions.get(product=Product.EMS)
    opened = attaching.attach(attached.subscription_id, cast.HALDEN, by=customer, note="They roll it out this spring.")
    assert opened.request is not None
    change_requests.submit_statement(
        opened.request.pk, "We have enrolled 300 devices and train the service desk.", by=rival
    )
    free = subscriptions.get(product=Product.OFFICE365, agreement=Agreement.EA, seats=60)
    tenant_id = free.customer.tenant_id
    invitations.invite(tenant_id, [free.subscription_id], by=partner, message="As we agreed when we met in May.")


def _actor(name: str) -> Actor:
    member = Membership.objects.select_related("user", "organisation").get(user__email=_email(name))
    return Actor(user=member.user, organisation=member.organisation, role=member.role)


def _organisation(kind: OrganisationKind, known_as: str) -> Organisation:
    """Return a partner by its MPN ID, or a customer by its name, because its tenant ID is random."""
    field = "number" if kind == OrganisationKind.PARTNER else "name"
    return Organisation.objects.get(kind=kind, **{field: known_as})


def _update_passwords(password: str) -> int:
    """Set the password of the people of the demo who have another one; return how many had."""
    people = User.objects.filter(email__in=map(_email, PEOPLE))
    others = [
        encoded
        for encoded in people.order_by("password").values_list("password", flat=True).distinct()
        if not check_password(password, encoded)
    ]
    return people.filter(password__in=others).update(password=make_password(password)) if others else 0
