"""Who is credited for what on a day: the first part of the statement of every measure.

A unit is a subscription, or a workload of one, with the company that is credited for it. A company is a global account
with its locations, or a location without one, and has each unit once, whatever its locations and kinds. The part is
SQL for all companies at once. With companies, it is the same SQL with one condition more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from associations.record.models import end_of
from associations.record.rules import TENANT_KINDS, AssociationKind
from por.directory.rules import Agreement, Product, Workload
from por.programs.rules import OwnTenant, Retroactive

#: From this day on, who sells a subscription as a Cloud Solution Provider is its transacting partner (our reading).
CSP_TRANSACTS_FROM = date(2016, 5, 24)


@dataclass(frozen=True)
class KindsSince:
    """Which kinds of association count from a day on. The better ones come first."""

    since: date
    kinds: tuple[AssociationKind, ...]


@dataclass(frozen=True)
class Credit:
    """Which associations count in a rule, and for which months.

    `yields` names kinds that count nothing where another partner, or the same one, holds a better kind of the same
    unit. With `one_per_subscription`, only one association of each is left: the first kind, then the one that began
    earlier, then the lower MPN ID. `programs` are the incentive programmes whose claims count.
    """

    kinds: tuple[KindsSince, ...]
    retroactive: Retroactive = Retroactive.WINDOW
    own_tenant: OwnTenant = OwnTenant.INCLUDE
    one_per_subscription: bool = False
    yields: tuple[tuple[AssociationKind, tuple[AssociationKind, ...]], ...] = ()
    programs: tuple[str, ...] = ("osu_m365",)

    def kinds_on(self, day: date) -> tuple[AssociationKind, ...]:
        """Return the kinds that count on a day, the better ones first; none before the first entry."""
        valid = [entry.kinds for entry in self.kinds if entry.since <= day]
        kinds = valid[-1] if valid else ()
        if AssociationKind.TRANSACTING in kinds and AssociationKind.CSP not in kinds and day >= CSP_TRANSACTS_FROM:
            kinds = (*kinds, AssociationKind.CSP)
        return kinds


@dataclass(frozen=True)
class Only:
    """Which subscriptions and workloads a rule is about. What is empty or None excludes nothing."""

    product: tuple[Product, ...] = ()
    workload: tuple[Workload, ...] = ()
    trial: bool | None = None
    agreement: tuple[Agreement, ...] = ()
    not_agreement: tuple[Agreement, ...] = ()
    not_sku: tuple[str, ...] = ()
    segment: tuple[str, ...] = ()


@dataclass(frozen=True)
class Supposed:
    """Associations as they would be if a company got some subscriptions and lost others at an instant.

    The subscriptions are named by their keys. The company is the partner of record of those it gets, and its
    associations with those it loses end. What it has with a whole tenant stays.
    """

    company: int
    at: datetime
    attached: tuple[int, ...] = ()
    detached: tuple[int, ...] = ()


@dataclass(frozen=True)
class Units:
    """The common table expressions that end with `units`, and their parameters.

    `units` has the columns `company`, `customer_id`, `subscription_id`, and `started_on` of the subscription. With
    `by_workload`, there is a `workload` as well; with `periods`, a multirange `held`. Without `periods`, it has who is
    credited at the end of the day.

    With `periods`, the units of a day also answer for each day before on which the same kinds count: at an instant of
    that day or earlier, and of subscriptions that had started by then.

    With `by_index`, they are of some companies, and what belongs to them is looked up; otherwise whole tables are read.
    """

    sql: str
    given: dict[str, Any]
    by_workload: bool
    periods: bool
    by_index: bool

    def held_at(self, instant: str, day: str = "") -> str:
        """Return the condition that a unit was held at an instant, as of a day. Both are SQL."""
        if not self.periods:
            return "true"
        held = contains("units.held", instant)
        return f"{held} AND units.started_on <= {day}" if day else held

    def with_usage(self, *conditions: str, of: str = "units", alias: str = "usage", on: Sequence[str] = ()) -> str:
        """Return the part of a FROM clause that joins units with what is known now of their usage.

        `conditions` are those of a row of usage alone, `on` those of a row and a unit. By index, the rows of each
        subscription are looked up once, for all its months and workloads.
        """
        own = [f"{alias}.superseded_at IS NULL", *conditions]
        both = [f"{alias}.subscription_id = {of}.subscription_id", *on]
        if self.by_workload:
            both.append(f"{alias}.workload = {of}.workload")
        rows = f"directory_usage AS {alias} WHERE {' AND '.join(own)}"
        if self.by_index:
            found = self.rows_of("directory_usage", alias, [f"{alias}.subscription_id = theirs.subscription_id", *own])
            # OFFSET keeps the planner from going through all units for each subscription.
            rows = f"(SELECT DISTINCT subscription_id FROM units) AS theirs {found} OFFSET 0"
        return f"JOIN (SELECT {alias}.* FROM {rows}) AS {alias} ON {' AND '.join(both)}"

    def rows_of(self, table: str, alias: str, on: Iterable[str]) -> str:
        """Return the part of a FROM clause that joins the rows of a table that fulfil these conditions."""
        return rows_of(table, alias, on, by_index=self.by_index)


def rows_of(table: str, alias: str, on: Iterable[str], *, by_index: bool) -> str:
    """Return the part of a FROM clause that joins the rows of a table that fulfil these conditions.

    By index, they are looked up for each row so far, whatever the planner takes the number of these for: OFFSET keeps
    it from reading the whole table.
    """
    where = " AND ".join(on)
    if by_index:
        return f"CROSS JOIN LATERAL (SELECT * FROM {table} AS {alias} WHERE {where} OFFSET 0) AS {alias}"
    return f"JOIN {table} AS {alias} ON {where}"


def contains(range_: str, instant: str) -> str:
    """Return the condition that a range, or several, contains an instant, as the planner should see it.

    It cannot know how many do, and takes them for a hundredth. Of a coalesce it takes half, which is near enough: it
    then neither looks for the rows of each unit nor compares all rows with all.
    """
    return f"coalesce({range_} @> {instant}, false)"


def units(
    credit: Credit,
    only: Only,
    day: date,
    companies: Collection[int] | None = None,
    *,
    customers: Collection[int] | None = None,
    periods: bool = False,
    supposed: Supposed | None = None,
) -> Units:
    """Return who is credited for what: at the end of a UTC day, or with the periods that had begun by then.

    `companies` are the keys of organisations: global accounts, and locations without one. None means all. With
    `customers`, only the units of these are returned: those of some companies. With `supposed`, the result is right
    for its company alone.
    """
    if customers is not None and companies is None:
        raise ValueError("The units of customers are those that some companies have.")
    kinds = credit.kinds_on(day)
    by_workload = AssociationKind.CPOR in kinds
    if by_workload and not only.workload:
        raise ValueError("Claims are of workloads, so a rule that counts them names its workloads.")
    is_ranked = credit.one_per_subscription or any(kind in kinds for kind, _better in credit.yields)
    given: dict[str, Any] = {
        "credit_end": end_of(day),
        "credit_day": day,
        "credit_of_subscription": [kind.value for kind in kinds if kind not in TENANT_KINDS],
        "credit_of_tenant": [kind.value for kind in kinds if kind in TENANT_KINDS],
        "credit_ranks": [kind.value for kind in kinds],
        "credit_programs": list(credit.programs),
        "credit_companies": list(companies or ()),
        "credit_customers": list(customers or ()),
        "credit_workloads": list(only.workload),
        "credit_products": list(only.product),
        "credit_trial": only.trial,
        "credit_agreement": list(only.agreement),
        "credit_not_agreement": list(only.not_agreement),
        "credit_not_sku": list(only.not_sku),
        "credit_segment": list(only.segment),
    }
    for kind, better in credit.yields:
        given[f"credit_better_than_{kind.value}"] = [one.value for one in better]
    if supposed is not None:
        given |= {
            "supposed_company": supposed.company,
            "supposed_at": supposed.at,
            "supposed_attached": list(supposed.attached),
            "supposed_detached": list(supposed.detached),
        }
    table = "associations_association" if supposed is None else f"({_SUPPOSED})"
    is_for_some, of_customers = companies is not None, customers is not None
    shape = _Shape(credit, kinds, only, by_workload, periods, is_ranked, is_for_some, of_customers, table)
    return Units(shape.sql(), given, by_workload, periods, is_for_some)


# For counting, a row of a file was recorded on the day it began: the file tells of a record kept elsewhere. A claim
# counts from its approval. A start that a person has moved back since counts from the start before.
_RECORDED_AT = """
    CASE WHEN one.source IN ('estate', 'claim') THEN greatest(one.began_at, one.began_at_before)
        ELSE greatest(one.began_at, one.attached_at) END
"""
_HELD_AT_END = "one.began_at < %(credit_end)s AND (one.ended_at IS NULL OR one.ended_at >= %(credit_end)s)"
# A tenant's association is for a subscription while it is this tenant's.
_HERE = "tstzrange(subscription.came_at, subscription.left_at)"
# An association with a subscription that has moved since may name the tenant of before.
_SUBSCRIPTIONS = "ARRAY(SELECT id FROM directory_subscription WHERE customer_id = ANY(%(credit_customers)s))"
_WHOSE_SUBSCRIPTIONS = f"""ARRAY(
    SELECT customer_id FROM associations_association WHERE subscription_id = ANY({_SUBSCRIPTIONS})
    UNION SELECT unnest(%(credit_customers)s::bigint[])
)"""


@dataclass(frozen=True)
class _Shape:
    """The parts of the statement that depend on the rule."""

    credit: Credit
    kinds: tuple[AssociationKind, ...]
    only: Only
    by_workload: bool
    periods: bool
    is_ranked: bool
    is_for_some: bool
    of_customers: bool
    associations: str

    def sql(self) -> str:
        ctes = [f"companies AS ({self._companies()})"]
        if self.is_for_some and self.is_ranked:
            ctes.append(f"their_customers AS ({self._their_customers()})")
        ctes.append(f"associated AS ({self._associated()})")
        if self.credit.own_tenant is OwnTenant.EXCLUDE:
            ctes.append(f"own_tenants AS ({self._own_tenants()})")
        ctes.append(f"units AS ({self._units()})")
        return ",\n".join(ctes)

    def _companies(self) -> str:
        columns = "partner.organisation_id AS partner_id, partner.mpn_id"
        if self.is_for_some:
            # The same as that `company` is one of them, but indexes answer it.
            return f"""
                SELECT {columns}, coalesce(organisation.parent_id, organisation.id) AS company
                FROM accounts_organisation AS organisation
                {self._rows("directory_partner", "partner", ["partner.organisation_id = organisation.id"])}
                WHERE organisation.parent_id = ANY(%(credit_companies)s)
                    OR (organisation.parent_id IS NULL AND organisation.id = ANY(%(credit_companies)s))
            """
        # By the table of partners, so that the planner knows that each association has one of them.
        return f"""
            SELECT {columns}, coalesce(organisation.parent_id, organisation.id) AS company
            FROM directory_partner AS partner
            JOIN accounts_organisation AS organisation ON organisation.id = partner.organisation_id
        """

    def _rows(self, table: str, alias: str, on: Iterable[str]) -> str:
        return rows_of(table, alias, on, by_index=self.is_for_some)

    def _associated(self) -> str:
        """Return SQL with a row for each association and each of its subscriptions, or workloads of these."""
        branches = []
        if any(kind not in TENANT_KINDS for kind in self.kinds) or not self.kinds:
            each = "CROSS JOIN unnest(%(credit_workloads)s::text[]) AS of (workload)" if self.by_workload else ""
            of = "one.kind = ANY(%(credit_of_subscription)s)"
            if self.by_workload:
                of += " AND (one.kind <> 'cpor' OR one.program = ANY(%(credit_programs)s))"
            branches.append(self._branch("subscription.id = one.subscription_id", each, of, is_of_tenant=False))
        if any(kind in TENANT_KINDS for kind in self.kinds):
            each = "CROSS JOIN unnest(%(credit_workloads)s::text[]) AS of (workload)" if self.by_workload else ""
            of = "one.kind = ANY(%(credit_of_tenant)s)"
            branches.append(self._branch("subscription.customer_id = one.customer_id", each, of, is_of_tenant=True))
        if self.by_workload:
            each = "CROSS JOIN LATERAL (SELECT one.workload) AS of"
            of = (
                "one.kind = 'cpor' AND one.workload = ANY(%(credit_workloads)s)"
                " AND one.program = ANY(%(credit_programs)s)"
            )
            branches.append(self._branch("subscription.customer_id = one.customer_id", each, of, is_of_tenant=True))
        return " UNION ALL ".join(branches)

    def _branch(self, join: str, each: str, of: str, *, is_of_tenant: bool) -> str:
        columns = ["companies.company", "subscription.customer_id", "subscription.id AS subscription_id"]
        columns.append("subscription.started_on")
        if self.by_workload:
            columns.append("of.workload")
        if self.is_ranked:
            columns += ["one.id AS association_id", "one.kind", "one.began_at", "companies.mpn_id"]
        conditions = [of, "one.undone_at IS NULL"]
        if self.of_customers:
            theirs = "one.customer_id = ANY(%(credit_customers)s)"
            conditions.append(theirs if is_of_tenant else f"one.subscription_id = ANY({_SUBSCRIPTIONS})")
        recorded = _RECORDED_AT if self.credit.retroactive is Retroactive.FROM_ATTACH else "one.began_at"
        here = "true"
        if self.periods:
            held = f"tstzrange({recorded}, one.ended_at)"
            columns.append(f"{held} * {_HERE} AS held" if is_of_tenant else f"{held} AS held")
            conditions.append(f"({recorded}) < least(one.ended_at, %(credit_end)s)")
        else:
            conditions += [_HELD_AT_END, f"({recorded}) < %(credit_end)s"]
            if is_of_tenant:
                here = f"{_HERE} @> %(credit_end)s - interval '1 microsecond'"
        if self.is_for_some and self.is_ranked:
            rows = self._rows(self.associations, "one", ["one.customer_id = theirs.customer_id", *conditions])
            # What a better kind takes away may be of any company.
            associations = f"their_customers AS theirs {rows} CROSS JOIN LATERAL ({_HOLDER}) AS companies"
        else:
            rows = self._rows(self.associations, "one", ["one.partner_id = companies.partner_id", *conditions])
            associations = f"companies {rows}"
        subscriptions = [join, "subscription.started_on <= %(credit_day)s", *self._filters()]
        return f"""
            SELECT {", ".join(columns)}
            FROM {associations} {self._rows("directory_subscription", "subscription", subscriptions)} {each}
            WHERE {here}
        """

    def _their_customers(self) -> str:
        of_theirs = ["of_theirs.partner_id = theirs.partner_id", "of_theirs.undone_at IS NULL"]
        if self.of_customers:
            of_theirs.append(f"of_theirs.customer_id = ANY({_WHOSE_SUBSCRIPTIONS})")
        return f"""
            SELECT DISTINCT of_theirs.customer_id FROM companies AS theirs
            {self._rows(self.associations, "of_theirs", of_theirs)}
        """

    def _own_tenants(self) -> str:
        of_partner = ["partner.organisation_id = companies.partner_id", "partner.own_tenant_id IS NOT NULL"]
        return f"""
            SELECT company, customer.organisation_id AS customer_id
            FROM companies {self._rows("directory_partner", "partner", of_partner)}
            {self._rows("directory_customer", "customer", ["customer.tenant_id = partner.own_tenant_id"])}
        """

    def _filters(self) -> list[str]:
        only = self.only
        filters = {
            "subscription.product = ANY(%(credit_products)s)": only.product,
            "subscription.is_trial = %(credit_trial)s": only.trial is not None,
            "subscription.agreement = ANY(%(credit_agreement)s)": only.agreement,
            "subscription.agreement <> ALL(%(credit_not_agreement)s)": only.not_agreement,
            """coalesce(subscription.sku_id, 0) <> ALL(
                ARRAY(SELECT id FROM directory_sku WHERE string = ANY(%(credit_not_sku)s))
            )""": only.not_sku,
            _SEGMENT_OF_ONE if self.is_for_some else _OF_SEGMENT: only.segment,
        }
        return [condition for condition, is_asked in filters.items() if is_asked]

    def _units(self) -> str:
        unit = ["company", "customer_id", "subscription_id", "started_on", *(["workload"] if self.by_workload else [])]
        columns, of_one = ", ".join(unit), ", ".join(f"associated.{column}" for column in unit)
        conditions = []
        if self.is_ranked and self.is_for_some:
            conditions.append("associated.company = ANY(%(credit_companies)s)")
        if self.credit.own_tenant is OwnTenant.EXCLUDE:
            conditions.append(
                "(associated.company, associated.customer_id) NOT IN (SELECT company, customer_id FROM own_tenants)"
            )
        if self.is_ranked and not self.periods:
            conditions.append(f"NOT EXISTS (SELECT FROM associated AS better WHERE {self._is_better()})")
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        if not self.periods:
            return f"SELECT DISTINCT {of_one} FROM associated {where}"
        left_over = f"SELECT * FROM associated {where}"
        if self.is_ranked:
            left_over = f"""
                SELECT {of_one}, associated.held::tstzmultirange - coalesce(range_agg(better.held), '{{}}') AS held
                FROM associated LEFT JOIN associated AS better ON {self._is_better()} {where}
                GROUP BY associated.association_id, {of_one}, associated.held
            """
        return f"SELECT {columns}, range_agg(held) AS held FROM ({left_over}) AS left_over GROUP BY {columns}"

    def _is_better(self) -> str:
        """Return the condition that an association takes the same unit away from another one."""
        yields = " ".join(
            f"WHEN '{kind.value}' THEN better.kind = ANY(%(credit_better_than_{kind.value})s)"
            for kind, _better in self.credit.yields
            if kind in self.kinds
        )
        conditions = [f"CASE associated.kind {yields} ELSE false END"] if yields else []
        if self.credit.one_per_subscription:
            rank = (
                '(array_position(%(credit_ranks)s::text[], {0}.kind::text), {0}.began_at, {0}.mpn_id COLLATE "C",'
                " {0}.association_id)"
            )
            conditions.append(f"{rank.format('better')} < {rank.format('associated')}")
        workload = "AND better.workload = associated.workload" if self.by_workload else ""
        return f"better.subscription_id = associated.subscription_id {workload} AND ({' OR '.join(conditions)})"


_OF_SEGMENT = """subscription.customer_id IN (
    SELECT organisation_id FROM directory_customer WHERE segment = ANY(%(credit_segment)s)
)"""
# The planner makes no join of this, which would read all customers for each subscription that is looked up.
_SEGMENT_OF_ONE = """(
    SELECT segment FROM directory_customer WHERE organisation_id = subscription.customer_id
) = ANY(%(credit_segment)s)"""
_HOLDER = """
    SELECT partner.mpn_id, coalesce(organisation.parent_id, organisation.id) AS company
    FROM directory_partner AS partner JOIN accounts_organisation AS organisation ON organisation.id = one.partner_id
    WHERE partner.organisation_id = one.partner_id OFFSET 0
"""
# The associations as they would be. What ends before it begins has no instant, and no condition on instants takes it.
_SUPPOSED = """
    SELECT stored.id, stored.kind, stored.program, stored.workload, stored.customer_id, stored.subscription_id,
        stored.partner_id, stored.began_at, stored.began_at_before, stored.attached_at, stored.undone_at, stored.source,
        CASE WHEN stored.subscription_id = ANY(%(supposed_detached)s) AND stored.partner_id IN (
            SELECT id FROM accounts_organisation
            WHERE parent_id = %(supposed_company)s OR (parent_id IS NULL AND id = %(supposed_company)s)
        ) THEN least(stored.ended_at, %(supposed_at)s::timestamptz) ELSE stored.ended_at END AS ended_at
    FROM associations_association AS stored
    UNION ALL
    SELECT -subscription.id, 'dpor', '', '', subscription.customer_id, subscription.id,
        %(supposed_company)s::bigint, %(supposed_at)s::timestamptz, NULL, %(supposed_at)s::timestamptz, NULL,
        'customer', NULL
    FROM directory_subscription AS subscription WHERE subscription.id = ANY(%(supposed_attached)s)
"""
