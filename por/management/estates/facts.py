"""What programmes count in a made-up estate: credentials, holdings, revenue, and consumption by service.

Its chance is its own, so that the other files of an estate are as they would be without it. The customers and the usage
of an estate differ so much from partner to partner that some stand just below a threshold of a programme and some just
above; the people and levels here do the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from random import Random
from typing import NamedTuple

from por.management.estates import cast
from por.management.estates.usage import Figures, Month

FIRST_NAMES = ("Tove", "Åke", "Mira", "Jonas", "Elin", "Piotr", "Saga", "Henrik", "Aino", "Lars", "Ines", "Bogdan")
LAST_NAMES = ("Lind", "Öst", "Berg", "Moen", "Salmi", "Vos", "Nowak", "Dahl", "Holm", "Popa", "Rask", "Ek")

#: The exams of the competencies were given until then, and from then on those of today.
LAST_EXAMS, NEW_EXAMS = date(2021, 1, 31), date(2021, 2, 1)
#: Competencies were held until then; designations began on the day after.
LAST_HOLDING = date(2022, 10, 2)
#: What a person has: enough for a competency, or a part of that.
EXAMS: Sequence[Sequence[str]] = (
    ("exam:70-346", "exam:70-347"),
    ("exam:70-346", "exam:70-347", "cert:MCSA-O365"),
    ("exam:70-347",),
    ("exam:70-346",),
    ("cert:MCSA-O365",),
    ("exam:70-533",),
    ("exam:70-532", "cert:MCSA-LINUX-ON-AZURE"),
    ("assessment:EMS-OVERVIEW", "assessment:MDM"),
    ("assessment:EMS-OVERVIEW",),
)
EXAMS_OF_TODAY: Sequence[Sequence[str]] = (
    ("exam:AZ-104",),
    ("exam:AZ-104", "exam:AZ-305"),
    ("exam:MS-102",),
    ("exam:SC-300", "exam:MD-102"),
)
#: How many people a location has: none, one or two of the two that are asked for, or more; and how often.
PEOPLE, PEOPLE_SHARES = (0, 1, 2, 3, 4, 7), (30, 22, 18, 12, 10, 8)


class Stage(NamedTuple):
    """How far a partner of the cast is: what its people have, of whom only the first is named, and its level."""

    people: int
    first: Sequence[str]
    level: str


#: So that the demo has someone at every stage.
CAST = {
    cast.NORDVIK: Stage(4, ("exam:70-346", "exam:70-347", "cert:MCSA-O365"), "gold"),
    cast.HALDEN: Stage(1, ("exam:70-347",), "silver"),
    cast.NORDVIK_OY: Stage(2, ("cert:MCSA-O365",), ""),
    cast.SULDAL: Stage(1, ("exam:70-346",), ""),
    cast.LYNGBY: Stage(0, (), "silver"),
}

COMPETENCIES = ("competency.smcs", "competency.cloud_productivity", "competency.cloud_platform")
DESIGNATIONS = ("pcs.modern_work", "pcs.azure.infrastructure", "pcs.azure.data_ai", "pcs.security")

#: The services that Azure is made of, and the share of consumption that each takes at most.
SERVICES = {
    "Virtual Machines": 0.6,
    "Virtual Machines Licenses": 0.2,
    "Storage": 0.3,
    "SQL Database": 0.4,
    "Azure App Service": 0.35,
    "Azure Kubernetes Service": 0.3,
    "Azure Cosmos DB": 0.25,
    "Azure Monitor": 0.15,
    "Key Vault": 0.05,
    "Bandwidth": 0.1,
}
#: What a seat of CRM Online is worth in a month, by the currency that it is billed in.
PRICES = {"EUR": 45, "USD": 50, "SEK": 480}

Credential = tuple[str, str, str, date, date | str]
Holding = tuple[str, str, str, date, date | str]
Revenue = tuple[str, str, str, str, str]
Consumption = tuple[str, str, str, str]


class Person(NamedTuple):
    name: str
    mpn_id: str


class Maker:
    def __init__(self, chance: Random, today: date) -> None:
        self.chance = chance
        self.today = today
        self._number = 1_000_000
        self._leaving: Person | None = None

    # --- partners -----------------------------------------------------------------------------------------------

    def credentials(self, mpn_id: str) -> Iterator[Credential]:
        """Yield the credentials of the people at a location. Someone may come from the location before it."""
        stage = CAST.get(mpn_id)
        (count,) = [stage.people] if stage else self.chance.choices(PEOPLE, PEOPLE_SHARES)
        for place in range(count):
            person = self._person(mpn_id)
            if stage and place == 0:
                yield from self._earned(person, stage.first, date(2016, 1, 1), date(2016, 12, 31), may_end=False)
            else:
                yield from self._of_person(person)

    def _person(self, mpn_id: str) -> Person:
        self._number += self.chance.randint(1, 90)
        name = f"{self.chance.choice(FIRST_NAMES)} {self.chance.choice(LAST_NAMES)} {self._number}"
        comes = self._leaving if self._leaving and self._leaving.mpn_id != mpn_id else None
        if comes is not None:
            self._leaving = None
            return Person(comes.name, mpn_id)
        person = Person(name, mpn_id)
        if mpn_id not in CAST and self.chance.random() < 0.03:
            self._leaving = person
        return person

    def _of_person(self, person: Person) -> Iterator[Credential]:
        """Yield the credentials of a person, of the time of competencies or of today."""
        is_old = self.today < NEW_EXAMS or self.chance.random() < 0.6
        names = self.chance.choice(EXAMS if is_old else EXAMS_OF_TODAY)
        first, last = (date(2014, 6, 1), LAST_EXAMS) if is_old else (NEW_EXAMS, self.today)
        yield from self._earned(person, names, first, last, may_end=True)

    def _earned(
        self, person: Person, names: Sequence[str], first: date, last: date, *, may_end: bool
    ) -> Iterator[Credential]:
        """Yield these credentials, one after the other; some have an end, which may have passed."""
        began = self._day(first, min(last, self.today))
        for name in names:
            ends = may_end and self.chance.random() < 0.25
            end = began + timedelta(self.chance.choice((730, 1095))) if ends else ""
            yield person.name, person.mpn_id, name, began, end
            began = min(began + timedelta(self.chance.randint(7, 120)), self.today)

    def holdings(self, mpn_id: str) -> Iterator[Holding]:
        """Yield what a location holds and held: year by year, the last one perhaps without its fee."""
        stage = CAST.get(mpn_id)
        (level,) = [stage.level] if stage else self.chance.choices(("", "silver", "gold"), (55, 30, 15))
        if not level:
            return
        program = COMPETENCIES[0] if stage else self.chance.choice(COMPETENCIES)
        yield from self._years(mpn_id, program, level, min(self.today, LAST_HOLDING), self.chance.randint(1, 4))
        if self.today > LAST_HOLDING + timedelta(365) and (stage or self.chance.random() < 0.7):
            program = DESIGNATIONS[0] if stage else self.chance.choice(DESIGNATIONS)
            yield from self._years(mpn_id, program, "qualified", self.today, self.chance.randint(1, 2))

    def _years(self, mpn_id: str, program: str, level: str, last: date, years: int) -> Iterator[Holding]:
        """Yield a row for each year. The last anniversary is in the year that follows the given day, or on it."""
        anniversary = last + timedelta(self.chance.randint(1, 360) if last == self.today else 0)
        for year in reversed(range(years)):
            day = anniversary - timedelta(365 * year)
            paid: date | str = day - timedelta(self.chance.randint(340, 364))
            is_open = day > self.today and self.chance.random() < 0.15
            yield mpn_id, program, level, day, "" if is_open else min(paid, self.today)

    # --- subscriptions ------------------------------------------------------------------------------------------

    def revenue(
        self, subscription_id: str, seats: int | None, months: Sequence[Month], began: date
    ) -> Iterator[Revenue]:
        """Yield what a subscription of CRM Online is worth by month; the first month after its start is net new."""
        currency = self.chance.choice(tuple(PRICES))
        price = (seats or 20) * PRICES[currency]
        for month in months:
            amount = f"{price * self.chance.uniform(0.95, 1.05):.2f}"
            yield month.name, subscription_id, amount, currency, "total"
            if month.first <= began <= month.last:
                yield month.name, subscription_id, amount, currency, "net_new_cloud"

    def consumption(self, subscription_id: str, used: Sequence[Figures]) -> Iterator[Consumption]:
        """Yield what an Azure subscription consumed of each of its services; together less than all of its usage."""
        services = self.chance.sample(tuple(SERVICES), self.chance.choice((1, 1, 2, 2, 3, 5)))
        shares = {name: SERVICES[name] * self.chance.uniform(0.3, 1) for name in services}
        whole = max(1.0, sum(shares.values()))
        for figures in used:
            for name, share in shares.items():
                yield figures.month, subscription_id, name, f"{float(figures.consumed_usd) * share / whole:.2f}"

    def _day(self, first: date, last: date) -> date:
        return first + timedelta(self.chance.randint(0, max(0, (last - first).days)))
