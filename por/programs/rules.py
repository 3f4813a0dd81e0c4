"""Programmes as they are read from YAML: versions with metrics, tests, gates, calendars and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from por.programs.attribution import Attribution
from por.programs.calendars import Step, Window
from por.programs.figures import Figure, Status
from por.programs.gates import Gate
from por.programs.lifecycle import LifeCycle
from por.programs.scoring import Score
from por.programs.tests import Compare, Test
from por.programs.values import Derivable

#: Fields whose key in YAML is a word of Python.
KEYS = {"begins": "from", "ends": "to"}


class Family(StrEnum):
    COMPETENCY = "competency"
    SCORE = "score"
    INCENTIVE = "incentive"
    BENEFIT = "benefit"


class Precision(StrEnum):
    """How exactly the days of a version are known."""

    DAY = "day"
    MONTH = "month"
    HALF_YEAR = "half_year"
    UNKNOWN = "unknown"


class Measure(StrEnum):
    """What the rooms count from their rows. The list is closed: a new measure is a review of code."""

    NEW_TENANTS = "new_tenants"
    NET_NEW_TENANTS = "net_new_tenants"
    LOST_TENANTS = "lost_tenants"
    TENANTS = "tenants"
    SEATS_OF_NEW_SUBSCRIPTIONS = "seats_of_new_subscriptions"
    ACTIVE_ENTITLEMENTS = "active_entitlements"
    ACTIVE_USERS = "active_users"
    PAID_UNITS = "paid_units"
    CONSUMPTION = "consumption"
    SERVICES = "services"
    DEPLOYED_TENANTS = "deployed_tenants"
    REVENUE = "revenue"
    PEOPLE = "people"
    CONSULTANTS_GROWTH = "consultants_growth"


#: What is counted by these is never below 0. A net, revenue less credits, a growth and what is compared with a year
#: before can be.
COUNTED = frozenset(Measure) - {
    Measure.NET_NEW_TENANTS,
    Measure.TENANTS,
    Measure.ACTIVE_USERS,
    Measure.DEPLOYED_TENANTS,
    Measure.REVENUE,
    Measure.CONSULTANTS_GROWTH,
}


class Unit(StrEnum):
    CUSTOMERS = "customers"
    SEATS = "seats"
    ENTITLEMENTS = "entitlements"
    USERS = "users"
    PEOPLE = "people"
    USD = "usd"
    PERCENT = "percent"
    SERVICES = "services"
    DEPLOYMENTS = "deployments"
    DEVICES = "devices"
    POINTS = "points"
    REFERENCES = "references"
    HOURS = "hours"


class Scope(StrEnum):
    COMPANY = "company"  #: a global account with its locations, or a location without one
    LOCATION = "location"


class Kind(StrEnum):
    """The kinds of association that a partner can be credited by."""

    DPOR = "dpor"
    CPOR = "cpor"
    PAL = "pal"
    DELEGATED_ADMIN = "delegated_admin"
    TRANSACTING = "transacting"
    CSP = "csp"
    OSA_FORM = "osa_form"
    FASTTRACK = "fasttrack"


class Product(StrEnum):
    OFFICE365 = "office365"
    INTUNE = "intune"
    AADP = "aadp"
    CRM_ONLINE = "crm_online"
    EMS = "ems"
    AZURE = "azure"


class Workload(StrEnum):
    EXO = "exo"
    SPO = "spo"
    SFB = "sfb"
    TEAMS = "teams"
    YAMMER = "yammer"
    PROPLUS = "proplus"
    INTUNE = "intune"
    AADP = "aadp"
    AIP = "aip"
    CRM = "crm"
    AZURE = "azure"


class Revenue(StrEnum):
    NET_NEW_CLOUD = "net_new_cloud"
    TOTAL = "total"


class Retroactive(StrEnum):
    """For which months an association counts."""

    WINDOW = "window"  #: who is credited at the end of the day has the whole window
    NONE = "none"  #: a month counts for who held at its end
    FROM_ATTACH = "from_attach"  #: so, but not before the day on which the association was recorded


class CreditDay(StrEnum):
    DAY = "day"  #: who is credited at the end of the day that is judged
    MONTH_END = "month_end"  #: who is credited at the end of each month
    EVENT = "event"  #: who is credited when it happens


class OwnTenant(StrEnum):
    """Whether what a company's own tenant uses counts for the company."""

    INCLUDE = "include"
    EXCLUDE = "exclude"


@dataclass(frozen=True, slots=True)
class Credit:
    """Which kinds of association credit a partner from a day on, the better kind first if they are in precedence."""

    kinds: tuple[Kind, ...]
    begins: date | None = None
    track: str = ""
    precedence: bool = False
    #: What the claims of a kind must be based on; empty for any.
    claims: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Only:
    """Which rows count. Empty: all."""

    product: tuple[Product, ...] = ()
    workload: tuple[Workload, ...] = ()
    trial: bool | None = None
    revenue: Revenue | None = None
    #: Services whose names begin so do not count.
    not_service: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CredentialSet:
    """Credentials that one person holds together. `until` is the last day on which they are accepted."""

    of: tuple[str, ...]
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """What a person must hold: one of these sets. `complete` is false where further names are not published."""

    any_of: tuple[CredentialSet, ...] = ()
    complete: bool = True

    def on(self, day: date) -> tuple[tuple[str, ...], ...]:
        """Return the sets that are accepted on a day."""
        return tuple(one.of for one in self.any_of if one.until is None or day <= one.until)


@dataclass(frozen=True, slots=True)
class Metric:
    """One quantity of a programme: where it comes from, who is credited for it, and what it is worth.

    The value is the fact with the metric's name; where there is none, `value` may say how it follows from others. What
    a metric does not say about counting holds as its version says it.
    """

    unit: Unit
    value: Derivable
    measure: Measure | None = None
    score: Score | None = None
    #: Too small an earlier value gives no points.
    base: Compare | None = None
    requires: Test | None = None
    credit: tuple[Credit, ...] = ()
    credit_day: CreditDay | None = None
    retroactive: Retroactive | None = None
    window: Window | None = None
    only: Only | None = None
    own_tenant: OwnTenant | None = None
    holding: Holding | None = None
    #: Each unit must pass this test of the version, or the one whose name ends in the track.
    unit_test: str = ""
    per: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class LevelOption:
    """One way to reach the levels. One that is `given_only` says nothing where none of its facts is known."""

    levels: Mapping[str, Test]
    begins: date | None = None
    given_only: bool = False


@dataclass(frozen=True, slots=True)
class Qualified:
    """What a score must reach on one day of the last months: a total, and more than that in each metric."""

    min_total: Figure
    each_above: Figure
    on_any_day_of_months: int | None = None


@dataclass(frozen=True, slots=True)
class OutcomeRule:
    """What comes out: levels by options, or a qualification by the total."""

    options: Mapping[str, LevelOption] = field(default_factory=dict)
    qualified: Qualified | None = None


@dataclass(frozen=True, slots=True)
class CreditPolicy:
    """Who is credited for a metric on a day, and for what."""

    kinds: tuple[Kind, ...]
    precedence: bool
    claims: tuple[str, ...]
    credit_day: CreditDay
    retroactive: Retroactive
    window: Window
    only: Only
    own_tenant: OwnTenant


@dataclass(frozen=True, slots=True)
class Version:
    """The rules of a programme from a day to a day."""

    id: str
    begins: date
    status: Status
    sources: tuple[str, ...]
    ends: date | None = None
    announced: date | None = None
    confirmed_until: date | None = None
    precision: Precision = Precision.DAY
    scope: Scope = Scope.COMPANY
    own_tenant: OwnTenant = OwnTenant.INCLUDE
    credit: tuple[Credit, ...] = ()
    credit_day: CreditDay = CreditDay.DAY
    retroactive: Retroactive = Retroactive.WINDOW
    window: Window = Window()
    only: Only = Only()
    keep_until: str = ""
    values: Mapping[str, Derivable] = field(default_factory=dict)
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    tests: Mapping[str, Test] = field(default_factory=dict)
    gates: tuple[Gate, ...] = ()
    outcome: OutcomeRule | None = None
    figures: Mapping[str, Figure] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    days: Mapping[str, date] = field(default_factory=dict)
    calendar: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    lifecycle: LifeCycle | None = None
    attribution: Attribution | None = None
    note: str = ""

    def policy(self, metric: str, day: date, track: str = "") -> CreditPolicy:
        """Return who is credited for a metric on a day, for a track."""
        own = self.metrics[metric]
        entries = [
            one
            for one in own.credit or self.credit
            if one.track in ("", track) and (one.begins is None or one.begins <= day)
        ]
        credit = entries[-1] if entries else Credit(())
        return CreditPolicy(
            credit.kinds,
            credit.precedence,
            credit.claims,
            own.credit_day or self.credit_day,
            own.retroactive or self.retroactive,
            own.window or self.window,
            own.only or self.only,
            own.own_tenant or self.own_tenant,
        )


class TrackRule(StrEnum):
    GIVEN = "given"  #: it must be known
    BEST_TOTAL = "best_total"  #: both are scored, and the better total counts


@dataclass(frozen=True, slots=True)
class Choice:
    """Values of which one applies. The first wins where totals are equal."""

    of: tuple[str, ...]
    how: TrackRule = TrackRule.GIVEN


@dataclass(frozen=True, slots=True)
class Program:
    """A programme with its versions, oldest first."""

    id: str
    family: Family
    title: str
    file: str
    versions: tuple[Version, ...]
    levels: tuple[str, ...] = ()
    currency: str = ""
    choices: Mapping[str, Choice] = field(default_factory=dict)
    facts: tuple[str, ...] = ()

    def at_least(self, level: str) -> tuple[str, ...]:
        """Return a level and those above it; none if the programme has no such level, as a score has none."""
        return self.levels[self.levels.index(level) :] if level in self.levels else ()

    def on(self, day: date) -> Version | None:
        """Return the version in force on a day, else the one announced by then; None if there is none."""
        return next(
            (one for one in self.versions if one.begins <= day and (one.ends is None or day <= one.ends)),
            next(
                (one for one in self.versions if one.announced is not None and one.announced <= day < one.begins), None
            ),
        )
