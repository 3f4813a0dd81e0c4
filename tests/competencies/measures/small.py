"""Small estates in which every edge is near: first and last days, kinds of one company, months without a row."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from random import Random
from typing import Any
from uuid import UUID

from tests import estates
from tests.competencies.measures.oracle import back, last_day, newest, year_ago

ACCOUNT, NORTH, SOUTH, ALONE, OTHER = "4000100", "4000101", "4000102", "4000200", "400030"
LOCATIONS = (NORTH, SOUTH, ALONE, OTHER)
OF_SUBSCRIPTION = ("dpor", "dpor", "csp", "transacting", "osa_form")
OF_TENANT = ("delegated_admin", "pal", "fasttrack")
SKUS = {
    "office365": ("ENTERPRISEPACK", "ENTERPRISEPREMIUM", "STANDARDPACK"),
    "intune": ("INTUNE_A",),
    "aadp": ("AAD_PREMIUM",),
    "ems": ("EMS",),
    "crm_online": ("CRMSTANDARD",),
    "azure": ("",),
}
WORKLOADS = {
    "office365": ("exo", "spo", "sfb", "teams", "yammer", "proplus"),
    "intune": ("intune",),
    "aadp": ("aadp",),
    "ems": ("intune", "aadp", "aip"),
    "crm_online": ("crm",),
    "azure": ("azure",),
}
CLAIMED = ("exo", "spo", "teams", "yammer", "proplus", "intune")
CREDENTIALS = ("exam:70-346", "exam:70-347", "cert:MCSA-O365")
SERVICES = ("Storage", "SQL Database", "Virtual Machines", "Virtual Machines Licenses")


class Small:
    """The rows of a small estate around a day, and of its corrections; `files` and `corrected` by name of the file."""

    def __init__(self, chance: Random, day: date) -> None:
        self.chance, self.day = chance, day
        self.newest = newest(day)
        self.days = self._edges()
        self.tenants = [str(UUID(int=number, version=4)) for number in range(1, 4)]
        self.subscriptions = [self._subscription(number) for number in range(101, 101 + chance.randint(5, 9))]
        self._replace_some()
        usage = list(self._usage())
        self.files: dict[str, list[dict[str, str]]] = {
            "partners": self._partners(),
            "customers": [
                estates.customer(tenant, domain=f"t{place}.example", segment=chance.choice(("smb", "enterprise", "")))
                for place, tenant in enumerate(self.tenants)
            ],
            "subscriptions": self.subscriptions,
            "associations": list(self._associations()),
            "claims": list(self._claims()),
            "usage": usage,
            "credentials": list(self._credentials()),
            "revenue": list(self._revenue()),
            "consumption": list(self._consumption()),
        }
        again = [row for row in usage if chance.random() < 0.1]
        self.corrected = {"usage": [row | self._figures(row["workload"]) for row in again]}

    def _edges(self) -> list[date]:
        """Return the days on which something may change sides, and those around them."""
        month = self.newest
        days = [
            self.day,
            year_ago(self.day),
            date(2016, 5, 24),
            *(last_day(back(month, at)) for at in (0, 1, 11, 12, 13)),
        ]
        around = {day + timedelta(days=by) for day in days for by in (-1, 0, 1)}
        return sorted({*around, back(month, 6), back(month, 30) + timedelta(days=14)})

    def _day(self, since: date | None = None, until: date | None = None) -> date | None:
        """Return one of the days, if any is left."""
        days = [day for day in self.days if (since is None or day >= since) and (until is None or day < until)]
        return self.chance.choice(days) if days else None

    def _early_or_any(self, since: date | None, until: date) -> date | None:
        """Return one of the days; half of the time the first one, so that much is in force on the day itself."""
        first = since or self.days[0]
        return first if self.chance.random() < 0.5 and first < until else self._day(since, until)

    def _partners(self) -> list[dict[str, str]]:
        own = self.tenants[0]
        return [
            estates.partner(ACCOUNT, kind="global"),
            estates.partner(NORTH, parent_mpn_id=ACCOUNT),
            estates.partner(SOUTH, parent_mpn_id=ACCOUNT, tenant_id=self.chance.choice(("", own)), market="developing"),
            estates.partner(ALONE, tenant_id=self.chance.choice(("", own)), status="suspended"),
            estates.partner(OTHER, status=self.chance.choice(("active", "closed"))),
        ]

    def _subscription(self, number: int) -> dict[str, str]:
        chance = self.chance
        product = chance.choice(("office365", "office365", "office365", "azure", "ems", "intune", "crm_online"))
        expired = chance.random() < 0.2
        started = self._early_or_any(None, self.day + timedelta(days=2)) or self.day
        renews = self._day(since=started + timedelta(days=1)) if expired else None
        return estates.subscription(
            str(UUID(int=number, version=4)),
            tenant_id=chance.choice(self.tenants),
            product=product,
            sku_string_id=chance.choice(SKUS[product]),
            agreement=chance.choice(("EAS", "MOSP", "OPEN", "CSP")),
            seats="" if product == "azure" else chance.choice(("", "1", "40", "150")),
            trial="1" if chance.random() < 0.15 else "0",
            started_on=str(started),
            renews_on=str(renews or "2036-06-30"),
            status="expired" if expired and renews else chance.choice(("active", "active", "grace", "suspended")),
        )

    def _replace_some(self) -> None:
        for place, one in enumerate(self.subscriptions[1:]):
            before = self.subscriptions[place]
            if before["tenant_id"] == one["tenant_id"] and self.chance.random() < 0.5:
                one["replaces_subscription_id"] = before["subscription_id"]

    def _associations(self) -> Iterable[dict[str, str]]:
        seen: set[tuple[str, ...]] = set()
        for _ in range(self.chance.randint(10, 30)):
            of_tenant = self.chance.random() < 0.3
            one = self.chance.choice(self.subscriptions)
            since = None if of_tenant else date.fromisoformat(one["started_on"])
            began = self._early_or_any(since, self.day + timedelta(days=2))
            if began is None:
                continue
            ended = self._day(since=began + timedelta(days=1)) if self.chance.random() < 0.4 else None
            row = estates.association(
                self.chance.choice(LOCATIONS),
                subscription_id="" if of_tenant else one["subscription_id"],
                tenant_id=one["tenant_id"] if of_tenant else "",
                kind=self.chance.choice(OF_TENANT if of_tenant else OF_SUBSCRIPTION),
                began_on=str(began),
                ended_on=str(ended or ""),
            )
            key = tuple(row[name] for name in ("subscription_id", "tenant_id", "mpn_id", "kind", "began_on"))
            if key not in seen:
                seen.add(key)
                yield row

    def _claims(self) -> Iterable[dict[str, str]]:
        if self.day < date(2019, 10, 1):
            return
        for number in range(self.chance.randint(1, 5)):
            words = self.chance.sample(
                ("exo", "spo", "teams", "yammer", "proplus", "intune"), self.chance.randint(1, 3)
            )
            yield estates.claim(
                f"CPR-{number + 1:06}",
                mpn_id=self.chance.choice(LOCATIONS),
                tenant_id=self.chance.choice(self.tenants),
                workloads=";".join(words),
                approved_on=str(self._day(since=date(2019, 10, 1)) or self.day),
            )

    def _months(self) -> list[date]:
        """Return the months with a report; now and then one is missing in the whole estate."""
        months = [back(self.newest, at) for at in (0, 1, 2, 6, 11, 12, 13, 24)]
        if self.chance.random() < 0.5:
            months += [back(self.newest, at) for at in (3, 4, 5, 7, 8, 9, 10)]
        if self.chance.random() < 0.4:
            months.remove(self.chance.choice(months))
        if self.day + timedelta(days=60) < date(2026, 6, 1):
            months.append((last_day(self.newest) + timedelta(days=1)).replace(day=1))  # after the newest whole one
        return months

    def _usage(self) -> Iterable[dict[str, str]]:
        for month in self._months():
            for one in self.subscriptions:
                started = date.fromisoformat(one["started_on"]).replace(day=1)
                for workload in WORKLOADS[one["product"]]:
                    if month >= started and self.chance.random() < 0.85:
                        yield estates.usage(
                            f"{month:%Y-%m}",
                            subscription_id=one["subscription_id"],
                            workload=workload,
                            **self._figures(workload),
                        )

    def _figures(self, workload: str) -> dict[str, str]:
        if workload == "azure":
            return {
                "paid_units": "",
                "active_users": "",
                "consumed_usd": self.chance.choice(("0", "50", "99.99", "100")),
            }
        paid = self.chance.choice(("", "0", "0", "10", "11", "150", "300", "301", "600"))
        active = self.chance.choice(("", "0", "4", "5", "60", "120", "121", "240"))
        return {"paid_units": paid, "active_users": active or ("7" if not paid else ""), "consumed_usd": ""}

    def _credentials(self) -> Iterable[dict[str, str]]:
        seen = set()
        for _ in range(self.chance.choice((0, 6, 8))):
            began = self._day(until=self.day + timedelta(days=2)) or self.day
            ended = self._day(since=began) if self.chance.random() < 0.5 else None
            person, credential = self.chance.choice("PQ"), self.chance.choice(CREDENTIALS)
            row = {"person": person, "mpn_id": self.chance.choice(LOCATIONS), "credential": credential}
            row |= {"valid_from": str(began), "valid_to": str(ended or "")}
            if (key := tuple(row.values())[:4]) not in seen:
                seen.add(key)
                yield row

    def _monthly(self, product: str, **choices: Any) -> Iterable[dict[str, str]]:
        if self.chance.random() < 0.3:
            return
        seen = set()
        months = [back(self.newest, at) for at in range(13)]
        for one in self.subscriptions * 4:
            if one["product"] == product:
                month = self.chance.choice(months)
                row = {"month": f"{month:%Y-%m}", "subscription_id": one["subscription_id"]}
                row |= {name: self.chance.choice(words) for name, words in choices.items()}
                key = (*list(row.values())[:2], row.get("kind"), row.get("service"))
                if key not in seen and month >= date.fromisoformat(one["started_on"]).replace(day=1):
                    seen.add(key)
                    yield row

    def _revenue(self) -> Iterable[dict[str, str]]:
        currencies = ("USD", "USD", "USD", "SEK")
        kinds = ("net_new_cloud", "net_new_cloud", "total")
        return self._monthly("crm_online", amount=("1000", "0.01", "-250"), currency=currencies, kind=kinds)

    def _consumption(self) -> Iterable[dict[str, str]]:
        return self._monthly("azure", service=SERVICES, amount_usd=("0", "10", "-5", "0.01"))
