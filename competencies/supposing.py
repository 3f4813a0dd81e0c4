"""What a company would reach if it got some subscriptions, lost others or more people had credentials."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple
from uuid import UUID

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from associations.credit import Supposed
from associations.record.access import customers_visible_to, subscriptions_visible_to
from associations.record.models import start_of
from competencies.measures.asking import Group, Suppose
from competencies.queries import absent, asked_about, attained
from competencies.results import Result
from por.accounts.models import Actor, Organisation
from por.directory.models import Subscription
from por.directory.rules import normal_credential
from por.errors import Refused

#: How many subscriptions and groups of people one question may name, how many people a group has, and how many
#: credentials each of them.
MOST_ROWS, MOST_PEOPLE, MOST_CREDENTIALS = 200, 1000, 20
_GROUP = re.compile(r"\s*([0-9]{1,9})\s*:(.*)", re.DOTALL)


class Both(NamedTuple):
    """What a company has reached in a programme, and what it would reach."""

    today: Result
    supposed: Result


@dataclass(frozen=True)
class WhatIf:
    """What somebody asks: the subscriptions that the company gets and loses, and the people who join it.

    Refusals name the place of what is wrong, such as people.0.count.
    """

    attach: Sequence[UUID] = ()
    detach: Sequence[UUID] = ()
    people: Sequence[Group] = ()

    def results(self, company: Organisation, day: date, actor: Actor) -> list[Both]:
        """Return what the company has reached and would reach in each programme of a day. Nothing is written.

        Raises Refused for what cannot be asked; NotFound for a subscription that the actor may not see.
        """
        suppose = self._suppose(company, day, actor)
        with asked_about(company):  # what the supposition does not change is asked for both together
            pairs = zip(attained(company, day), attained(company, day, suppose), strict=True)
            return [Both(*pair) for pair in pairs]

    def unseen(self, actor: Actor) -> list[UUID]:
        """Return the subscriptions that the actor may not see, or that do not exist."""
        found = self._keys(actor)
        return [one for one in dict.fromkeys([*self.attach, *self.detach]) if one not in found]

    def _suppose(self, company: Organisation, day: date, actor: Actor) -> Suppose:
        self._check_rows()
        people = tuple(self._group(number) for number in range(len(self.people)))
        keys = self._keys(actor)
        if not keys.keys() >= {*self.attach, *self.detach}:
            raise absent()
        units = Supposed(
            company.pk,
            # The reader's day may not have begun in UTC: a partner that is attached now is so from now on.
            min(start_of(day), timezone.now()),
            tuple(keys[one] for one in self.attach),
            tuple(keys[one] for one in self.detach),
        )
        return Suppose(day, units, people)

    def _check_rows(self) -> None:
        for field, rows in (("attach", self.attach), ("detach", self.detach), ("people", self.people)):
            if rows and len(self.attach) + len(self.detach) + len(self.people) > MOST_ROWS:
                text = _("Enter at most %(most)s subscriptions and groups of people in all.") % {"most": MOST_ROWS}
                raise Refused("too_many_rows", text, field=field)
        attached = set(self.attach)
        for number, one in enumerate(self.detach):
            if one in attached:
                text = _("Subscription %(id)s is in both lists. Remove it from one of them.") % {"id": one}
                raise Refused("attached_and_detached", text, field=f"detach.{number}.subscription_id")

    def _group(self, number: int) -> Group:
        """Return a group with its credentials as they are compared."""
        group = self.people[number]
        if not 1 <= group.count <= MOST_PEOPLE:
            text = _("Enter a number of people from 1 to %(most)s.") % {"most": MOST_PEOPLE}
            raise Refused("count_out_of_range", text, field=f"people.{number}.count")
        if not 1 <= len(group.credentials) <= MOST_CREDENTIALS:
            text = _("Enter 1 to %(most)s credentials for each group of people.") % {"most": MOST_CREDENTIALS}
            raise Refused("credentials_out_of_range", text, field=f"people.{number}.credentials")
        return Group(group.count, tuple(self._credential(number, one) for one in range(len(group.credentials))))

    def _credential(self, number: int, place: int) -> str:
        found = normal_credential(self.people[number].credentials[place])
        if found is None:
            text = _("Enter the type of the credential, a colon and its name, such as exam:70-347 or cert:MCSA-O365.")
            raise Refused("credential_malformed", text, field=f"people.{number}.credentials.{place}")
        return found

    def _keys(self, actor: Actor) -> dict[UUID, int]:
        """Return the keys of those subscriptions that the actor sees, or whose customers it sees."""
        named = Subscription.objects.filter(subscription_id__in={*self.attach, *self.detach})
        seen = Q(pk__in=subscriptions_visible_to(actor).values("pk"))
        of_customers = Q(customer__in=customers_visible_to(actor).values("pk"))
        return dict(named.filter(seen | of_customers).values_list("subscription_id", "pk"))


def group_of(text: str) -> Group:
    """Return a group of people as an address has it: 2:exam:70-347+exam:70-346. An address may have blanks for plus.

    Raises Refused for the field `people`.
    """
    found = _GROUP.fullmatch(text)
    if found is None:
        message = _("Enter a number of people, a colon and their credentials, such as 2:exam:70-347+exam:70-346.")
        raise Refused("people_malformed", message, field="people")
    return Group(int(found[1]), tuple(one for one in re.split(r"[+\s,;]+", found[2]) if one))
