"""Making an estate: companies that do not exist, with years of subscriptions, partners of record and usage.

Everything comes from one generator of random numbers, in one order, so the same arguments give the same bytes.
Each subscription is written immediately with its associations and usage, so any number of them fits in memory.
"""

from __future__ import annotations

import contextlib
import csv
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from associations.record.policies import digital_only
from por.management.estates import cast, claims, facts
from por.management.estates.catalogue import agreement_and_sku, workloads_of
from por.management.estates.names import NORDIC, PARTNER_TRADES, PLACES, TRADES, company, domain_of, language_of
from por.management.estates.usage import Figures, Month, corrected, last_months, usage_of

EARLIEST = date(2017, 1, 1)  # an earlier estate could not have legacy forms on both sides of their last day
FORMS_END = date(2016, 1, 1)  # from this day on, a legacy form earns nothing
OLDEST = 5000  # days; the age of the oldest subscription

USAGE = ("month", "subscription_id", "workload", "paid_units", "active_users", "consumed_usd")
CORRECTED = 0.004  # of all months

#: The programmes of made-up enrolments, and the share of locations in each.
PROGRAMS = {"incentive.osu_m365": 0.6, "incentive.osa_sell": 0.4}
COLUMNS = {
    "partners": (
        *("mpn_id", "name", "kind", "parent_mpn_id", "city", "country", "market", "status", "contact_email"),
        *("language", "tenant_id"),
    ),
    "customers": ("tenant_id", "name", "domain", "country", "segment", "contact_email", "language"),
    "subscriptions": (
        *("subscription_id", "tenant_id", "product", "sku_string_id", "agreement", "seats", "trial", "started_on"),
        *("renews_on", "status", "replaces_subscription_id"),
    ),
    "enrolments": ("mpn_id", "program", "agreement_signed_on", "bank_ok_on", "tax_ok_on"),
    "credentials": ("person", "mpn_id", "credential", "valid_from", "valid_to"),
    "holdings": ("mpn_id", "program", "level", "anniversary_on", "fee_paid_on"),
    "revenue": ("month", "subscription_id", "amount", "currency", "kind"),
    "consumption": ("month", "subscription_id", "service", "amount_usd"),
    "associations": ("subscription_id", "tenant_id", "mpn_id", "kind", "began_on", "ended_on"),
    "claims": (
        *("claim_number", "name", "mpn_id", "tenant_id", "program", "workloads", "subscription_ids", "approved_on"),
    ),
    "usage": USAGE,
    "corrections": USAGE,  # months that were corrected later; in a folder of their own, to be imported afterwards
}


class Partner(NamedTuple):
    mpn_id: str
    status: str


class Customer(NamedTuple):
    tenant_id: str
    segment: str
    usual: Partner  # the partner that it mostly works with


@dataclass(frozen=True)
class Subscription:
    subscription_id: str
    product: str
    sku: str
    agreement: str
    seats: int | None
    started_on: date
    renews_on: date
    status: str = "active"
    trial: bool = False
    replaces: str = ""

    def ended_on(self) -> date | None:
        """Return the day it expired, if it did; nothing happens to it after that day."""
        return self.renews_on if self.status == "expired" else None


class Period(NamedTuple):
    """A row of associations.csv, without its subscription or tenant."""

    partner: str
    kind: str
    began_on: date
    ended_on: date | None


class Maker:
    """The maker of one estate; `counts` is the number of rows of each file."""

    def __init__(
        self, directory: Path, *, seed: int, today: date, subscriptions: int, customers: int, partners: int, months: int
    ) -> None:
        self.directory = directory
        self.random = Random(seed)
        self.today = today
        self.wanted_subscriptions = subscriptions
        self.wanted_customers = customers
        self.wanted_partners = partners
        self.months: list[Month] = last_months(today, months)
        self.counts = dict.fromkeys(COLUMNS, 0)
        self.corrections_random = Random(f"corrections of {seed}")
        self.enrolments_random = Random(f"enrolments of {seed}")
        self.claims = claims.Maker(seed, today)
        self.facts = facts.Maker(Random(f"facts of {seed}"), today)
        self.locations: list[Partner] = []
        self.own_tenants: list[tuple[str, str, str, Partner]] = []  # name, country, tenant ID, partner
        self.cast_tenants: dict[str, str] = {}

    def make(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as files:
            self.files = {}
            for name, columns in COLUMNS.items():
                path = self.directory / ("corrections/usage.csv" if name == "corrections" else f"{name}.csv")
                path.parent.mkdir(exist_ok=True)
                file = files.enter_context(path.open("w", encoding="utf-8", newline=""))
                self.files[name] = csv.writer(file, lineterminator="\n")
                self.files[name].writerow(columns)
            self._partners()
            self._customers()

    def _write(self, file: str, *cells: Any) -> None:
        self.files[file].writerow(cells)
        self.counts[file] += 1

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def _day(self, when: int | str) -> date:
        """Return the date, or the day that many days ago."""
        return date.fromisoformat(when) if isinstance(when, str) else self.today - timedelta(when)

    # --- partners -----------------------------------------------------------------------------------------------

    def _partners(self) -> None:
        self.cast_tenants = {customer.name: self._uuid() for customer in cast.CUSTOMERS}
        for one in cast.PARTNERS:
            email = f"partner.{one.country.lower()}@{domain_of(one.name, one.country)}"
            own = self.cast_tenants[one.own_tenant] if one.own_tenant else ""
            cells = (one.mpn_id, one.name, one.kind, one.parent, one.city, one.country, "developed", one.status)
            self._write("partners", *cells, email, language_of(one.country), own)
            if one.kind == "location":
                self._location(Partner(one.mpn_id, one.status))
        others = self.wanted_partners - len(cast.PARTNERS)
        own_tenants = min(others // 4, (self.wanted_customers - len(cast.CUSTOMERS)) // 4)
        parent = ""
        for number in range(others):
            place = self.random.choice(PLACES)
            mpn_id = str(5_000_000 + 13 * number + self.random.randrange(13))
            name = company(number, PARTNER_TRADES, place.country)
            email = f"partner@{domain_of(name, place.country)}" if self.random.random() < 0.9 else ""
            status = self.random.choices(("active", "suspended", "closed"), (90, 6, 4))[0]
            tenant = ""
            # every ninth is a global account, and the three after it are its locations
            kind = "global" if number % 9 == 4 else "location"
            if kind == "global":
                parent, status = mpn_id, "active"
            else:
                self._location(Partner(mpn_id, status))
                if len(self.own_tenants) < own_tenants and status == "active":
                    tenant = self._uuid()
                    self.own_tenants.append((name, place.country, tenant, self.locations[-1]))
            above = parent if number % 9 in (5, 6, 7) else ""
            cells = (mpn_id, name, kind, above, place.city, place.country, place.market, status)
            self._write("partners", *cells, email, language_of(place.country), tenant)

    def _location(self, partner: Partner) -> None:
        """Keep a location, and write its people, what it holds, and in which programmes it is enrolled.

        A part of an enrolment may not be complete yet.
        """
        self.locations.append(partner)
        for credential in self.facts.credentials(partner.mpn_id):
            self._write("credentials", *credential)
        for holding in self.facts.holdings(partner.mpn_id):
            self._write("holdings", *holding)
        chance = self.enrolments_random
        for program, share in PROGRAMS.items():
            if chance.random() < share:
                signed = self.today - timedelta(chance.randrange(30, 2000))
                bank, tax = (
                    signed + timedelta(chance.randrange(30)) if chance.random() < complete else ""
                    for complete in (0.9, 0.85)
                )
                self._write("enrolments", partner.mpn_id, program, signed, bank, tax)

    def _some_partner(self) -> Partner:
        """Return a location; those at the beginning of the file get most of the business."""
        return self.locations[int(len(self.locations) * self.random.random() ** 2)]

    # --- customers ----------------------------------------------------------------------------------------------

    def _customers(self) -> None:
        left = self.wanted_subscriptions
        for one in cast.CUSTOMERS:
            tenant = self.cast_tenants[one.name]
            email = f"it@{one.domain}"
            self._write("customers", tenant, one.name, one.domain, "SE", one.segment, email, "sv")
            self._cast_subscriptions(tenant, one.subscriptions[:left])
            left -= len(one.subscriptions[:left])
            for held in one.held:
                self._associate("", tenant, [self._cast_period(held, since=None)])
            for row in self.claims.of_cast(tenant, one):
                self._write("claims", *row)
        others = self.wanted_customers - len(cast.CUSTOMERS)
        shares = [0] * others
        for _ in range(left):
            shares[int(others * self.random.random() ** 1.5)] += 1
        self.random.shuffle(shares)
        for number, share in enumerate(shares):
            customer = self._customer(number)
            self._tenant_associations(customer)
            self._subscriptions(customer, share)
            claimant = customer.usual.mpn_id if customer.usual.status == "active" else ""
            for row in self.claims.of(customer.tenant_id, claimant):
                self._write("claims", *row)

    def _customer(self, number: int) -> Customer:
        if number < len(self.own_tenants):
            name, country, tenant, usual = self.own_tenants[number]
            segment = "smb"
        else:
            segment = self.random.choices(("enterprise", "smb", "public_sector"), (3, 5, 2))[0]
            country = self.random.choice(NORDIC if segment == "public_sector" else PLACES).country
            name, tenant, usual = company(number, TRADES[segment], country), self._uuid(), self._some_partner()
        domain = domain_of(name, country)
        email = f"it@{domain}" if self.random.random() < 0.9 else ""
        known = segment if self.random.random() < 0.97 else ""
        self._write("customers", tenant, name, domain, country, known, email, language_of(country))
        return Customer(tenant, segment, usual)

    def _tenant_associations(self, customer: Customer) -> None:
        for kind, chance in (("delegated_admin", 0.3), ("pal", 0.15), ("fasttrack", 0.06)):
            if self.random.random() < chance:
                partner = self._partner_for(customer)
                began = self.today - timedelta(self.random.randrange(30, 1500))
                closed = partner.status == "closed" or self.random.random() < 0.25
                ended = self._between(began + timedelta(1), self.today) if closed else None
                self._associate("", customer.tenant_id, [Period(partner.mpn_id, kind, began, ended)])

    def _partner_for(self, customer: Customer) -> Partner:
        return customer.usual if self.random.random() < 0.7 else self._some_partner()

    # --- subscriptions ------------------------------------------------------------------------------------------

    def _cast_subscriptions(self, tenant: str, subscriptions: Sequence[cast.CastSubscription]) -> None:
        ids = [self._uuid() for _ in subscriptions]
        for subscription_id, one in zip(ids, subscriptions, strict=True):
            subscription = Subscription(
                subscription_id=subscription_id,
                product=one.product,
                sku=one.sku,
                agreement=one.agreement,
                seats=one.seats,
                started_on=self._day(one.age),
                renews_on=self.today + timedelta(one.renews_in),
                status=one.status,
                trial=one.trial,
                replaces="" if one.replaces is None else ids[one.replaces],
            )
            record = [self._cast_period(held, since=subscription.started_on) for held in one.held]
            self._subscription(subscription, tenant, record, growing=True)

    def _cast_period(self, held: cast.Held, *, since: date | None) -> Period:
        began, ended = self._day(held.since), None if held.until is None else self._day(held.until)
        return Period(held.mpn_id, held.kind, max(began, since) if since else began, ended)

    def _subscriptions(self, customer: Customer, share: int) -> None:
        expired: Subscription | None = None
        for _ in range(share):
            if expired is not None and self.random.random() < 0.6:
                subscription = self._successor(expired)
                expired = None
            else:
                subscription = self._new(customer)
                if subscription.status == "expired":
                    expired = subscription
            record = [*self._record(customer, subscription), *self._other_kinds(customer, subscription)]
            self._subscription(subscription, customer.tenant_id, record, growing=self.random.random() < 0.7)

    def _subscription(self, one: Subscription, tenant: str, record: Iterable[Period], *, growing: bool) -> None:
        """Write a subscription, its associations, and its figures by month."""
        self.claims.note(one.subscription_id, one.product, one.sku, one.started_on, is_over=one.status == "expired")
        cells = (one.subscription_id, tenant, one.product, one.sku, one.agreement)
        seats = "" if one.seats is None else one.seats
        dates = (one.started_on, one.renews_on)
        self._write("subscriptions", *cells, seats, int(one.trial), *dates, one.status, one.replaces)
        self._associate(one.subscription_id, "", record)
        months = [month for month in self.months if month.last >= one.started_on]
        if ended := one.ended_on():
            months = [month for month in months if month.first < ended]
        workloads = workloads_of(one.sku, self.random) if one.sku else ("azure",)
        figures = list(usage_of(months, workloads, one.seats, self.random, growing=growing))
        for used in figures:
            self._usage("usage", one, used)
            if self.corrections_random.random() < CORRECTED:
                self._usage("corrections", one, corrected(used, self.corrections_random))
        if one.product == "azure":
            for consumed in self.facts.consumption(one.subscription_id, figures):
                self._write("consumption", *consumed)
        elif one.product == "crm_online" and not one.trial:
            for row in self.facts.revenue(one.subscription_id, one.seats, months, one.started_on):
                self._write("revenue", *row)

    def _usage(self, file: str, one: Subscription, used: Figures) -> None:
        month, *rest = used
        self._write(file, month, one.subscription_id, *rest)

    def _new(self, customer: Customer) -> Subscription:
        product = self.random.choices(
            ("office365", "intune", "aadp", "crm_online", "ems", "azure"), (40, 10, 10, 12, 12, 16)
        )[0]
        agreement, sku = agreement_and_sku(product, customer.segment, self.random)
        big = {"enterprise": 900, "smb": 60, "public_sector": 600}[customer.segment]
        seats = None if product == "azure" else max(1, int(self.random.expovariate(1 / big)))
        chosen = self.random.random()
        if chosen < 0.03 and product != "azure":
            age = self.random.randrange(30)
            started, renews, status = self.today - timedelta(age), self.today + timedelta(30 - age), "active"
            trial, agreement, seats = True, "MOSP", 25
        else:
            trial = False
            status = self.random.choices(("active", "grace", "suspended", "expired"), (78, 5, 5, 12))[0]
            since = {"active": (-365, -1), "grace": (1, 30), "suspended": (31, 90), "expired": (91, 900)}[status]
            renews = self.today - timedelta(self.random.randint(*since))
            age = int(OLDEST * self.random.betavariate(1, 2.2))
            started = min(self.today - timedelta(age), renews - timedelta(365))
        if seats is not None and self.random.random() < 0.01:
            seats = None  # unknown
        return Subscription(
            subscription_id=self._uuid(),
            product=product,
            sku=sku,
            agreement=agreement,
            seats=seats,
            started_on=started,
            renews_on=renews,
            status=status,
            trial=trial,
        )

    def _successor(self, expired: Subscription) -> Subscription:
        """Return the subscription that replaces an expired one, from the day it expired."""
        started = expired.renews_on
        renews = started
        while renews <= self.today:
            renews += timedelta(365)
        return replace(
            expired,
            subscription_id=self._uuid(),
            started_on=started,
            renews_on=renews,
            status="active",
            replaces=expired.subscription_id,
        )

    # --- who is associated --------------------------------------------------------------------------------------

    def _record(self, customer: Customer, subscription: Subscription) -> Iterator[Period]:
        """Yield the partners of record, one after another: with gaps, without gaps, or none."""
        end = subscription.ended_on() or self.today
        chance = 0.2 if subscription.trial else 0.65
        if (end - subscription.started_on).days < 2 or self.random.random() > chance:
            return
        began = self._between(subscription.started_on, min(end - timedelta(1), subscription.started_on + timedelta(90)))
        partner = self._partner_for(customer)
        while True:
            may_last = subscription.ended_on() is None and partner.status != "closed"
            if may_last and self.random.random() < 0.7:
                yield Period(partner.mpn_id, "dpor", began, None)
                return
            ended = self._between(began + timedelta(1), end)
            yield Period(partner.mpn_id, "dpor", began, ended)
            gap = 0 if self.random.random() < 0.4 else self.random.randrange(1, 200)
            began = ended + timedelta(gap)
            following = self._some_partner()
            if began >= end or following == partner or self.random.random() < 0.3:
                return
            partner = following

    def _other_kinds(self, customer: Customer, subscription: Subscription) -> Iterator[Period]:
        started, ended = subscription.started_on, subscription.ended_on()
        if subscription.agreement == "CSP" or self.random.random() < 0.08:
            partner = self._partner_for(customer)
            stop = ended
            if stop is None and partner.status == "closed":
                stop = self.today
            if stop is None or stop > started:
                yield Period(partner.mpn_id, "transacting", started, stop)
                if subscription.agreement == "CSP":
                    yield Period(partner.mpn_id, "csp", started, stop)
        if started < FORMS_END - timedelta(60) and self.random.random() < 0.6:
            forms = list(self._forms(started, ended or self.today))
            if not digital_only(subscription.agreement, started):
                yield from forms

    def _forms(self, started: date, end: date) -> Iterator[Period]:
        """Yield legacy forms: some end before FORMS_END, some after it, and some begin after it."""
        before = min(FORMS_END, end) - timedelta(1)
        began = self._between(started, before)
        yield Period(self._some_partner().mpn_id, "osa_form", began, self._between(began + timedelta(1), end))
        late = FORMS_END + timedelta(self.random.randrange(0, 200))
        if late < end and self.random.random() < 0.4:
            yield Period(self._some_partner().mpn_id, "osa_form", late, self._between(late + timedelta(1), end))

    def _associate(self, subscription: str, tenant: str, periods: Iterable[Period]) -> None:
        for one in periods:
            self._write("associations", subscription, tenant, one.partner, one.kind, one.began_on, one.ended_on or "")

    def _between(self, first: date, last: date) -> date:
        """Return a random day from the first to the last."""
        return first + timedelta(self.random.randint(0, max(0, (last - first).days)))
