"""The measures again, in plain SQL of DuckDB over the CSV files of an estate. It imports nothing of the product.

It counts in days, not instants, and looks at one day after another: nothing here is made to be fast. Companies are
named by MPN ID. A figure is a pair: what is known, and what is certain of it, "exactly", "at least" or "nothing".
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import duckdb

Known = tuple[Decimal, str]
COLUMNS = {
    "partners": ("mpn_id", "parent_mpn_id", "status", "tenant_id"),
    "customers": ("tenant_id", "segment"),
    "subscriptions": (
        *("subscription_id", "tenant_id", "product", "sku_string_id", "agreement", "seats", "trial", "started_on"),
        *("renews_on", "status", "replaces_subscription_id"),
    ),
    "associations": ("subscription_id", "tenant_id", "mpn_id", "kind", "began_on", "ended_on"),
    "claims": ("mpn_id", "tenant_id", "program", "workloads", "approved_on"),
    "usage": ("month", "subscription_id", "workload", "paid_units", "active_users", "consumed_usd"),
    "credentials": ("person", "mpn_id", "credential", "valid_from", "valid_to"),
    "revenue": ("month", "subscription_id", "amount", "currency", "kind"),
    "consumption": ("month", "subscription_id", "service", "amount_usd"),
}
#: What makes a row of a file that is corrected by a later one.
KEYS = {
    "usage": "month, subscription_id, workload",
    "revenue": "month, subscription_id, kind",
    "consumption": "month, subscription_id, service",
}
OF_TENANT = ("delegated_admin", "pal", "fasttrack")

TABLES = """
CREATE TABLE partner AS
    SELECT mpn_id, coalesce(parent_mpn_id, mpn_id) AS company, status, lower(tenant_id) AS tenant FROM partners;
CREATE TABLE subscription AS
    SELECT subscription_id AS id, tenant_id AS tenant, product, sku_string_id AS sku, agreement, seats::int AS seats,
        trial = '1' AS trial, started_on::date AS started_on, renews_on::date AS renews_on, status,
        replaces_subscription_id AS replaces
    FROM subscriptions;
CREATE TABLE used AS
    SELECT subscription_id AS id, (month || '-01')::date AS month, workload, paid_units::int AS paid,
        active_users::int AS active, consumed_usd::decimal(30, 10) AS usd
    FROM usage;
CREATE TABLE period AS
    SELECT partner.company, partner.mpn_id, one.kind, subscription.id, subscription.tenant, NULL AS workload,
        one.began_on::date AS began_on, CASE
            WHEN one.ended_on IS NOT NULL THEN one.ended_on::date
            WHEN one.kind = 'dpor' AND subscription.status = 'expired' THEN
                CASE WHEN one.began_on::date < renews_on AND renews_on <= getvariable('today') THEN renews_on
                    ELSE getvariable('today') END
            WHEN partner.status = 'closed' THEN getvariable('today')
        END AS ended_on
    FROM associations AS one JOIN partner USING (mpn_id)
    JOIN subscription ON subscription.id = one.subscription_id OR subscription.tenant = one.tenant_id
    UNION ALL
    SELECT partner.company, partner.mpn_id, 'cpor', subscription.id, subscription.tenant, claimed.workload,
        claimed.approved_on::date, CASE WHEN partner.status = 'closed' THEN getvariable('today') END
    FROM (
        SELECT mpn_id, tenant_id, approved_on, unnest(string_split(workloads, ';')) AS workload
        FROM claims WHERE program = 'osu_m365'
    ) AS claimed JOIN partner USING (mpn_id) JOIN subscription ON subscription.tenant = claimed.tenant_id;
"""


@dataclass(frozen=True)
class Rule:
    """What is asked, in plain words: see the measures below."""

    kinds: tuple[str, ...]
    day: date
    whole_window: bool = True  # who holds at the end of the day has all months
    products: tuple[str, ...] = ()
    workloads: tuple[str, ...] = ()
    paid_only: bool = True
    not_agreements: tuple[str, ...] = ()
    not_skus: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    own_tenant: bool = True
    sold_before_linked: bool = False  # a partner admin link counts nothing where a CSP partner sells
    claims_first: bool = False  # a partner of record counts nothing where a claim holds
    one_per_subscription: bool = False
    months: int = 12


def listed(words: Collection[str]) -> str:
    return "(" + ", ".join(f"'{word}'" for word in words) + ")"


def month_before(day: date) -> date:
    return (day.replace(day=1) - timedelta(days=1)).replace(day=1)


def back(month: date, count: int) -> date:
    for _ in range(count):
        month = month_before(month)
    return month


def last_day(month: date) -> date:
    return (month + timedelta(days=40)).replace(day=1) - timedelta(days=1)


def year_ago(day: date) -> date:
    return date(day.year - 1, 2, 28) if (day.month, day.day) == (2, 29) else day.replace(year=day.year - 1)


def newest(day: date) -> date:
    month = day.replace(day=1)
    return month if last_day(month) == day else month_before(day)


def by_workload(rule: Rule, periods: str) -> str:
    """Return SQL of periods with a row for each workload: one without a workload is of all that the rule is about."""
    workloads = f"CASE WHEN workload IS NULL THEN {list(rule.workloads)} ELSE [workload] END"
    return f"SELECT * REPLACE (unnest({workloads}) AS workload) FROM ({periods})"


class Oracle:
    """The files of an estate, without the lines that the product refused, and the measures over them."""

    def __init__(self, *directories: Path, today: date, refused: Mapping[str, Collection[int]] = {}) -> None:
        self.db = duckdb.connect()
        self.today = today
        for name, columns in COLUMNS.items():
            rows: dict[Any, tuple[str | None, ...]] = {}
            for place, directory in enumerate(directories):
                for number, row in self._lines(directory / f"{name}.csv"):
                    if number in refused.get(f"{place}/{name}.csv", ()):
                        continue
                    cells = tuple(self._cell(row.get(column, "")) for column in columns)
                    key = tuple(row[one] for one in KEYS[name].split(", ")) if name in KEYS else (place, number)
                    if name not in KEYS or key not in rows or rows[key][0] != place:
                        rows[key] = (place, *cells)
            self.db.execute(f"CREATE TABLE {name} ({', '.join(f'{column} VARCHAR' for column in columns)})")
            self._insert(name, columns, [row[1:] for row in rows.values()])
        self.db.execute(f"SET VARIABLE today = DATE '{today}'")
        self.db.execute(TABLES)
        self.reported = {row[0] for row in self.db.execute("SELECT DISTINCT month FROM used").fetchall()}
        self.companies = {row[0] for row in self.db.execute("SELECT DISTINCT company FROM partner").fetchall()}

    def _insert(self, name: str, columns: tuple[str, ...], rows: list[tuple[str | None, ...]]) -> None:
        """Insert rows by a file, which DuckDB reads far faster than single rows."""
        types = ", ".join(f"'{column}': 'VARCHAR'" for column in columns)
        with NamedTemporaryFile("w", suffix=".csv", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([columns, *rows])
            file.flush()
            self.db.execute(
                f"INSERT INTO {name} SELECT * FROM read_csv('{file.name}', header = true, auto_detect = false,"
                f" delim = ',', quote = '\"', nullstr = '', columns = {{{types}}})"
            )

    def _lines(self, path: Path) -> list[tuple[int, dict[str, str]]]:
        if not path.exists():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            return list(enumerate(csv.DictReader(file), start=2))

    def _cell(self, text: str) -> str | None:
        return text or None

    def _ask(self, sql: str) -> dict[str, Decimal]:
        return {company: Decimal(str(amount or 0)) for company, amount in self.db.execute(sql).fetchall()}

    # --- Who is credited --------------------------------------------------------------------------------------------

    def _subscriptions(self, rule: Rule) -> str:
        conditions = [f"started_on <= DATE '{rule.day}'"]
        if rule.products:
            conditions.append(f"product IN {listed(rule.products)}")
        if rule.paid_only:
            conditions.append("NOT trial")
        if rule.not_agreements:
            conditions.append(f"agreement NOT IN {listed(rule.not_agreements)}")
        if rule.not_skus:
            conditions.append(f"coalesce(sku, '') NOT IN {listed(rule.not_skus)}")
        if rule.segments:
            conditions.append(f"tenant IN (SELECT tenant_id FROM customers WHERE segment IN {listed(rule.segments)})")
        return f"SELECT id FROM subscription WHERE {' AND '.join(conditions)}"

    def _periods(self, rule: Rule) -> str:
        kinds = set(rule.kinds)
        if "transacting" in kinds and rule.day >= date(2016, 5, 24):
            kinds.add("csp")
        own = (
            ""
            if rule.own_tenant
            else (
                "AND NOT EXISTS (FROM partner AS own WHERE own.company = period.company AND own.tenant = period.tenant)"
            )
        )
        return f"""SELECT * FROM period
            WHERE kind IN {listed(kinds)} AND id IN ({self._subscriptions(rule)}) {own}"""

    def _held(self, rule: Rule, on: date) -> str:
        """Return SQL of company, subscription, workload (NULL: all) and tenant at the end of a day."""
        in_force = f"began_on <= DATE '{on}' AND (ended_on IS NULL OR ended_on > DATE '{on}')"
        better = []
        if rule.sold_before_linked:
            better.append("one.kind = 'pal' AND other.kind = 'csp'")
        if rule.one_per_subscription:
            rank = f"list_position({list(rule.kinds)}, {{0}}.kind), {{0}}.began_on, {{0}}.mpn_id"
            better.append(f"({rank.format('other')}) < ({rank.format('one')})")
        periods = f"SELECT * FROM ({self._periods(rule)}) WHERE {in_force}"
        if rule.claims_first:
            better.append("one.kind = 'dpor' AND other.kind = 'cpor' AND other.workload = one.workload")
            periods = by_workload(rule, periods)
        without = ""
        if better:
            without = f"""
                WHERE NOT EXISTS (FROM now AS other WHERE other.id = one.id AND ({" OR ".join(better)}))
            """
        # A claim of other workloads is no unit of the rule.
        counted = f"WHERE workload IS NULL OR workload IN {listed(rule.workloads)}" if rule.workloads else ""
        return f"""
            SELECT DISTINCT company, id, workload, tenant FROM (
                WITH now AS ({periods}) SELECT * FROM now AS one {without}
            ) {counted}
        """

    def _of_month(self, rule: Rule, month: date) -> str:
        return self._held(rule, rule.day if rule.whole_window else last_day(month))

    def _has_units(self, rule: Rule, month: date) -> set[str]:
        return self._with_begun(self._of_month(rule, month), last_day(month))

    def _with_begun(self, held: str, day: date) -> set[str]:
        """Return the companies with a subscription that had begun by a day: others had nothing until then."""
        rows = self.db.execute(f"""
            SELECT DISTINCT company FROM ({held}) JOIN subscription USING (id) WHERE started_on <= DATE '{day}'
        """).fetchall()
        return {row[0] for row in rows}

    # --- Sums of months ---------------------------------------------------------------------------------------------

    def sum_of(self, rule: Rule, figure: str, months: list[date]) -> dict[str, Known]:
        totals = dict.fromkeys(self.companies, Decimal(0))
        open_for: set[str] = set()
        workloads = f"AND used.workload IN {listed(rule.workloads)}" if rule.workloads else ""
        for month in months:
            if month not in self.reported:
                open_for |= self._has_units(rule, month)
            # A row once for a company, by whatever units of it.
            rows = self._ask(f"""
                SELECT company, sum({figure}) FROM (
                    SELECT DISTINCT held.company, used.id, used.workload, used.{figure}
                    FROM ({self._of_month(rule, month)}) AS held JOIN used ON used.id = held.id
                        AND (held.workload IS NULL OR held.workload = used.workload)
                    WHERE used.month = DATE '{month}' {workloads}
                ) GROUP BY company
            """)
            for company, amount in rows.items():
                totals[company] += amount
        return {one: (total, "at least" if one in open_for else "exactly") for one, total in totals.items()}

    def active_entitlements(self, rule: Rule) -> dict[str, Known]:
        return self.sum_of(rule, "active", [newest(rule.day)])

    def paid_units(self, rule: Rule) -> dict[str, Known]:
        return self.sum_of(rule, "paid", [newest(rule.day)])

    def consumption(self, rule: Rule) -> dict[str, Known]:
        return self.sum_of(rule, "usd", [back(newest(rule.day), count) for count in range(rule.months)])

    # --- New, lost, seats -------------------------------------------------------------------------------------------

    def _new(self, rule: Rule, first_of: tuple[str, ...]) -> str:
        products = f"AND product IN {listed(first_of)}" if first_of else ""
        return f"""
            SELECT DISTINCT held.company, held.tenant FROM ({self._held(rule, rule.day)}) AS held
            WHERE (
                SELECT min(started_on) FROM subscription
                WHERE tenant = held.tenant AND NOT trial AND started_on <= DATE '{rule.day}' {products}
            ) > DATE '{year_ago(rule.day)}'
        """

    def new_tenants(self, rule: Rule, first_of: tuple[str, ...]) -> dict[str, Known]:
        found = self._ask(f"SELECT company, count(*) FROM ({self._new(rule, first_of)}) GROUP BY company")
        return {company: (found.get(company, Decimal(0)), "exactly") for company in self.companies}

    def lost_tenants(self, rule: Rule) -> dict[str, Known]:
        day, month = rule.day, newest(rule.day)
        lost = self.db.execute(f"""
            WITH reports AS (
                SELECT id, month, max(paid) AS paid FROM used
                WHERE month <= DATE '{month}' AND paid IS NOT NULL GROUP BY id, month
            ), ended AS (
                SELECT subscription.id, tenant, (
                    SELECT CASE WHEN arg_max(paid, month) = 0 THEN coalesce(
                        (max(month) FILTER (paid > 0) + INTERVAL 1 MONTH)::date, started_on
                    ) END FROM reports WHERE reports.id = subscription.id
                ) AS unpaid_on, CASE WHEN status = 'expired' AND renews_on <= DATE '{day}' THEN renews_on END AS over_on
                FROM subscription WHERE product = 'office365' AND NOT trial AND started_on <= DATE '{day}'
            )
            SELECT tenant, max(least(coalesce(unpaid_on, over_on), coalesce(over_on, unpaid_on))) AS lost_on
            FROM ended GROUP BY tenant
            HAVING bool_and(unpaid_on IS NOT NULL OR over_on IS NOT NULL)
        """).fetchall()
        counts = dict.fromkeys(self.companies, Decimal(0))
        for tenant, lost_on in lost:
            if year_ago(day) < lost_on <= day:
                before = lost_on - timedelta(days=1)
                held = f"SELECT * FROM ({self._held(rule, before)}) WHERE tenant = '{tenant}'"
                for company in self._with_begun(held, before):
                    counts[company] += 1
        return {company: (count, "exactly") for company, count in counts.items()}

    def net_new_tenants(self, rule: Rule, first_of: tuple[str, ...]) -> dict[str, Known]:
        new, lost = self.new_tenants(rule, first_of), self.lost_tenants(rule)
        return {company: (new[company][0] - lost[company][0], "exactly") for company in self.companies}

    def seats_of_new_subscriptions(self, rule: Rule) -> dict[str, Known]:
        found = self.db.execute(f"""
            SELECT held.company, subscription.seats, (
                SELECT max(paid) FROM used
                WHERE used.id = held.id AND used.month = (
                    SELECT max(month) FROM used AS any_month
                    WHERE any_month.id = held.id AND paid IS NOT NULL AND month <= DATE '{newest(rule.day)}'
                )
            ) AS paid
            FROM (SELECT DISTINCT company, id FROM ({self._held(rule, rule.day)})) AS held
            JOIN subscription ON subscription.id = held.id
            WHERE replaces IS NULL AND started_on > DATE '{year_ago(rule.day)}'
        """).fetchall()
        sold: dict[str, Known] = dict.fromkeys(self.companies, (Decimal(0), "exactly"))
        for company, seats, paid in found:
            known = paid if paid is not None else seats
            total, certain = sold[company]
            sold[company] = total + (known or 0), "at least" if known is None else certain
        return sold

    # --- By the size of tenants -------------------------------------------------------------------------------------

    def _sizes(self, rule: Rule, month: date) -> dict[str, int]:
        return dict(
            self.db.execute(f"""
                SELECT tenant, max(paid) FROM (
                    SELECT tenant, workload, sum(paid) AS paid FROM used JOIN subscription USING (id)
                    WHERE NOT trial AND month = DATE '{month}' AND workload IN {listed(rule.workloads)}
                    GROUP BY tenant, workload
                ) WHERE paid IS NOT NULL GROUP BY tenant
            """).fetchall()
        )

    def _of_size(self, rule: Rule, month: date, track: str) -> tuple[set[str], set[str]]:
        """Return the tenants of a track in a month, and those of which nobody knows."""
        now, before = self._sizes(rule, month), self._sizes(rule, back(month, 12))
        if track == "enterprise":
            return {one for one, size in now.items() if size > 300}, set()
        small = {one for one, size in now.items() if 11 <= size <= 300}
        large = {one for one, size in now.items() if size > 300}
        if back(month, 12) not in self.reported:
            begun = self._begun_by(last_day(back(month, 12)))
            return small, large & begun
        return small | {one for one in large if 11 <= before.get(one, 0) <= 300}, set()

    def _begun_by(self, day: date) -> set[str]:
        """Return the tenants with a paid subscription that had begun by a day."""
        rows = self.db.execute(f"SELECT tenant FROM subscription WHERE NOT trial AND started_on <= DATE '{day}'")
        return {row[0] for row in rows.fetchall()}

    def _used_by(self, rule: Rule, month: date) -> list[tuple[str, str, str, str, int | None, int | None]]:
        """Return company, tenant, subscription, workload, active and paid of the units held at the end of a month."""
        return self.db.execute(f"""
            SELECT DISTINCT held.company, held.tenant, used.id, used.workload, used.active, used.paid
            FROM ({self._held(rule, last_day(month))}) AS held JOIN used ON used.id = held.id
                AND (held.workload IS NULL OR held.workload = used.workload)
            WHERE used.month = DATE '{month}' AND used.workload IN {listed(rule.workloads)}
        """).fetchall()

    def _differences(
        self, rule: Rule, count: Callable[[date], tuple[dict[str, set[str]], set[str]]]
    ) -> dict[str, Known]:
        """Return tenants of the newest month less those of a year before. `count` returns them and the uncertain."""
        month = newest(rule.day)
        now, unsure_now = count(month)
        before, unsure_before = count(back(month, 12))
        unsure = unsure_now | unsure_before
        return {
            one: (
                Decimal(len(now.get(one, ())) - len(before.get(one, ()))),
                "nothing" if one in unsure else "exactly",
            )
            for one in self.companies
        }

    def _holders(self, rule: Rule, month: date) -> set[str]:
        return self._with_begun(self._held(rule, last_day(month)), last_day(month))

    def tenants_of_size(self, rule: Rule, track: str) -> dict[str, Known]:
        def count(month: date) -> tuple[dict[str, set[str]], set[str]]:
            if month not in self.reported:
                return {}, self._holders(rule, month)
            right, unsure = self._of_size(rule, month, track)
            found: dict[str, set[str]] = {}
            uncertain = set()
            for company, tenant, *_rest in self._used_by(rule, month):
                if tenant in right:
                    found.setdefault(company, set()).add(tenant)
                if tenant in unsure:
                    uncertain.add(company)
            return found, uncertain

        return self._differences(rule, count)

    def spending_tenants(self, rule: Rule, least: int) -> dict[str, Known]:
        def count(month: date) -> tuple[dict[str, set[str]], set[str]]:
            found: dict[str, set[str]] = {}
            uncertain: set[str] = set()
            for one in (month, month_before(month)):
                if one not in self.reported:
                    uncertain |= self._holders(rule, one)
                rows = self.db.execute(f"""
                    SELECT company, tenant FROM ({self._held(rule, last_day(one))}) AS held JOIN used USING (id)
                    WHERE used.month = DATE '{one}' GROUP BY company, tenant HAVING sum(usd) >= {least}
                """).fetchall()
                for company, tenant in rows:
                    found.setdefault(company, set()).add(tenant)
            return found, uncertain

        return self._differences(rule, count)

    def growth(self, rule: Rule, track: str) -> dict[str, Known]:
        month = newest(rule.day)
        year_before, end = back(month, 12), last_day(month)
        right, unsure = self._of_size(rule, month, track)
        since = self.db.execute(f"""
            WITH period AS ({by_workload(rule, self._periods(rule))}), held AS (
                SELECT DISTINCT company, id, workload, tenant FROM period
                WHERE began_on <= DATE '{end}' AND (ended_on IS NULL OR ended_on > DATE '{end}')
            )
            SELECT held.company, held.id, held.workload, max(start.began_on)
            FROM held JOIN period AS start ON start.company = held.company AND start.id = held.id
                AND start.workload = held.workload AND start.began_on <= DATE '{end}'
            WHERE NOT EXISTS (
                FROM period AS earlier WHERE earlier.company = start.company AND earlier.id = start.id
                    AND earlier.workload = start.workload AND earlier.began_on < start.began_on
                    AND (earlier.ended_on IS NULL OR earlier.ended_on >= start.began_on)
            ) GROUP BY ALL
        """).fetchall()
        compared = {
            (company, subscription, workload): max(year_before, began.replace(day=1))
            for company, subscription, workload, began in since
        }
        totals: dict[str, Known] = dict.fromkeys(self.companies, (Decimal(0), "exactly"))
        starts = dict(self.db.execute("SELECT id, started_on FROM subscription").fetchall())
        for (company, subscription, _workload), base in compared.items():
            for one in (month, base):
                if one not in self.reported and starts[subscription] <= last_day(one):
                    totals[company] = totals[company][0], "nothing"
        for company, tenant, subscription, workload, active, _paid in self._used_by(rule, month):
            if active is None or tenant not in right | unsure:
                continue
            base = compared[company, subscription, workload]
            row = self.db.execute(
                "SELECT active FROM used WHERE id = ? AND workload = ? AND month = ?", [subscription, workload, base]
            ).fetchone()
            total, certain = totals[company]
            totals[company] = total + active - ((row and row[0]) or 0), "nothing" if tenant in unsure else certain
        return totals

    def deployed(self, rule: Rule, track: str) -> dict[str, Known]:
        def count(month: date) -> tuple[dict[str, set[str]], set[str]]:
            if month not in self.reported:
                return {}, self._holders(rule, month)
            right, unsure = self._of_size(rule, month, track)
            sums: dict[tuple[str, str, str], list[int]] = {}
            for company, tenant, _id, workload, active, paid in self._used_by(rule, month):
                one = sums.setdefault((company, tenant, workload), [0, 0])
                one[0] += active or 0
                one[1] += paid or 0
            found: dict[str, set[str]] = {}
            uncertain = set()
            for (company, tenant, workload), (active, paid) in sums.items():
                if paid == 0 or active * 10 < paid * 4:
                    continue
                if rule.kinds == ("cpor",) and self._was_above(rule, company, tenant, workload, month):
                    continue
                if tenant in right:
                    found.setdefault(company, set()).add(tenant)
                if tenant in unsure:
                    uncertain.add(company)
            return found, uncertain

        return self._differences(rule, count)

    def _was_above(self, rule: Rule, company: str, tenant: str, workload: str, month: date) -> bool:
        """Return whether a claim was made in the twelve months before, when the workload was in use already."""
        end = last_day(month)
        [(claimed,)] = self.db.execute(f"""
            SELECT min(began_on) FROM ({self._periods(rule)})
            WHERE company = '{company}' AND tenant = '{tenant}' AND workload = '{workload}'
                AND began_on <= DATE '{end}' AND (ended_on IS NULL OR ended_on > DATE '{end}')
        """).fetchall()
        if claimed <= year_ago(end):
            return False
        [(active, paid)] = self.db.execute(f"""
            SELECT coalesce(sum(active), 0), coalesce(sum(paid), 0) FROM used
            WHERE workload = '{workload}' AND month = DATE '{claimed.replace(day=1)}' AND id IN (
                SELECT id FROM subscription WHERE tenant = '{tenant}' AND id IN ({self._subscriptions(rule)})
            )
        """).fetchall()
        return active * 10 > paid * 4

    # --- Other files ------------------------------------------------------------------------------------------------

    def people(self, rule: Rule, sets: Collection[tuple[str, ...]]) -> dict[str, Known]:
        rows = self.db.execute(f"""
            SELECT person, company, mpn_id, credential, valid_from::date
            FROM credentials JOIN partner USING (mpn_id)
            WHERE valid_from::date <= DATE '{rule.day}' AND (valid_to IS NULL OR valid_to::date >= DATE '{rule.day}')
        """).fetchall()
        [(count,)] = self.db.execute("SELECT count(*) FROM credentials").fetchall()
        totals = dict.fromkeys(self.companies, Decimal(0))
        for person in {row[0] for row in rows}:
            theirs = [row for row in rows if row[0] == person]
            company = min(theirs, key=lambda row: (row[4], row[2]))[1]
            held = {row[3] for row in theirs if row[1] == company}
            totals[company] += any(held >= set(wanted) for wanted in sets)
        return {one: (total, "exactly" if count else "at least") for one, total in totals.items()}

    def _monthly(self, rule: Rule, table: str, select: str, where: str) -> tuple[list[tuple[Any, ...]], set[str]]:
        months = [back(newest(rule.day), count) for count in range(rule.months)]
        reported = {f"{row[0]}" for row in self.db.execute(f"SELECT DISTINCT month FROM {table}").fetchall()}
        rows, unsure = [], set()
        for month in months:
            if f"{month:%Y-%m}" not in reported:
                unsure |= self._has_units(rule, month)
            rows += self.db.execute(f"""
                SELECT held.company, {select} FROM (
                    SELECT DISTINCT company, id FROM ({self._of_month(rule, month)})
                ) AS held JOIN {table} AS fact ON fact.subscription_id = held.id
                WHERE fact.month = '{month:%Y-%m}' AND {where}
            """).fetchall()
        return rows, unsure

    def services(self, rule: Rule) -> dict[str, Known]:
        where = "amount_usd::decimal(30, 10) > 0 AND NOT starts_with(service, 'Virtual Machines')"
        rows, unsure = self._monthly(rule, "consumption", "service", where)
        found: dict[str, set[str]] = {}
        for company, service in rows:
            found.setdefault(company, set()).add(service)
        return {
            one: (Decimal(len(found.get(one, ()))), "at least" if one in unsure else "exactly")
            for one in self.companies
        }

    def revenue(self, rule: Rule, kind: str) -> dict[str, Known]:
        rows, unsure = self._monthly(rule, "revenue", "amount::decimal(30, 10), currency", f"kind = '{kind}'")
        totals = dict.fromkeys(self.companies, Decimal(0))
        differ = {company for company, _amount, currency in rows if currency != "USD"}
        for company, amount, currency in rows:
            if currency == "USD":
                totals[company] += amount
        known = {one: (total, "at least" if one in unsure else "exactly") for one, total in totals.items()}
        return known | {one: (known[one][0], "nothing") for one in differ}
