"""Functions that make what tests need. States that a verb reaches are reached by that verb."""

from __future__ import annotations

import itertools
import uuid
from datetime import date
from typing import Any

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import transaction

from associations.delegated_admin import actions as administrators
from associations.record.models import Association
from por.accounts import actions as accounts
from por.accounts.models import SYSTEM, Actor, Membership, Organisation, User
from por.directory.models import Customer, Partner, Sku, Subscription

_numbers = itertools.count(1)
PASSWORD = "correct horse battery"


class OneRound(PBKDF2PasswordHasher):
    """The product's password hasher with one iteration, which makes it fast."""

    iterations = 1


def make_user(name: str = "Elin Sandberg", **fields: Any) -> User:
    number = next(_numbers)
    return User.objects.create_user(fields.pop("email", f"person{number}@people.example"), None, name=name, **fields)


def make_member(organisation: Organisation, role: str = "administrator", **fields: Any) -> Actor:
    """Return a new member of the organisation, as an actor."""
    user = make_user(**fields)
    Membership.objects.create(user=user, organisation=organisation, role=role)
    return Actor(user=user, organisation=organisation, role=role)


def make_customer(name: str = "Västerhamn Energi AB", **fields: Any) -> Customer:
    tenant_id = fields.pop("tenant_id", None) or uuid.uuid4()
    organisation = Organisation.objects.create(
        kind="customer", name=name, number=str(tenant_id), contact_email=fields.pop("contact_email", "")
    )
    return Customer.objects.create(organisation=organisation, tenant_id=tenant_id, country="SE", **fields)


def make_partner(name: str = "Nordvik Cloud AB", **fields: Any) -> Partner:
    mpn_id = fields.pop("mpn_id", None) or str(4471902 + 1000 * next(_numbers))
    organisation = Organisation.objects.create(
        kind="partner",
        name=name,
        number=mpn_id,
        parent=fields.pop("parent", None),
        contact_email=fields.pop("contact_email", ""),
        language=fields.pop("language", "en"),
    )
    return Partner.objects.create(organisation=organisation, mpn_id=mpn_id, city="Göteborg", country="SE", **fields)


def make_staff(role: str = "reviewer") -> Actor:
    organisation, _ = Organisation.objects.get_or_create(kind="staff", number="house", defaults={"name": "Platform"})
    return make_member(organisation, role)


def make_administrator(customer: Customer, partner: Partner) -> Association:
    """Make the partner a delegated administrator of the tenant; return the association."""
    with transaction.atomic():
        administrators.begin(administrators.locked_customer(customer.pk), partner, by=SYSTEM)
    return Association.objects.open().get(customer=customer, partner=partner, kind="delegated_admin")


def make_subscription(customer: Customer, **fields: Any) -> Subscription:
    sku = fields.pop("sku_string_id", "ENTERPRISEPACK")
    return Subscription.objects.create(
        **{
            "subscription_id": uuid.uuid4(),
            "customer": customer,
            "product": "office365",
            "sku": Sku.objects.get(string_id=sku),
            "agreement": "EA",
            "seats": 420,
            "started_on": date(2024, 7, 1),
            "renews_on": date(2036, 6, 30),  # far away: no notice is due in a test
        }
        | fields
    )


def suspend(person: Actor) -> None:
    """Suspend a person, as a programme administrator does."""
    assert person.user
    accounts.suspend(person.user.pk, by=make_staff("programme_administrator"))
