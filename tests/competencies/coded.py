"""One estate in which companies get every code that the rules can give: each company for a few of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests import estates
from tests.estates import Row

#: The companies, by what they are there for.
SELLER, NO_MARKET, CONSUMER, CRM, PAYER, LAPSED, GROWER, DEPLOYER, SMALL_BASE, LEADER = (
    f"44719{number:02}" for number in range(10, 20)
)
EMPTY = "4471930"


def subscription_id(number: int) -> str:
    return f"5c1d0f0e-7a53-4a86-8b0d-3f6f0f3f{number:04}"


def tenant_id(number: int) -> str:
    return f"0a2f6f52-5d0c-4a30-9d55-1d1f3f1f{number:04}"


def months(first: str, last: str) -> list[str]:
    """Return the months from one to another, both included."""
    (year, month), (last_year, last_month) = ([int(part) for part in one.split("-")] for one in (first, last))
    numbers = range(12 * year + month - 1, 12 * last_year + last_month)
    return [f"{number // 12}-{number % 12 + 1:02}" for number in numbers]


class Estate:
    """The rows of an estate while it is put together."""

    def __init__(self) -> None:
        self.files: dict[str, list[Row]] = {}

    def add(self, file: str, *rows: Row) -> None:
        self.files.setdefault(file, []).extend(rows)

    def partner(self, mpn_id: str, name: str, **cells: str) -> None:
        self.add("partners", estates.partner(mpn_id, **{"name": name, **cells}))

    def sell(
        self, mpn_id: str, *, customers: int = 1, kind: str = "dpor", began_on: str = "", **cells: str
    ) -> list[tuple[str, str]]:
        """Let a company have so many customers with a subscription each; return the keys of both."""
        found = []
        for _each in range(customers):
            number = len(self.files.get("subscriptions", ()))
            tenant, key = tenant_id(number), subscription_id(number)
            self.add("customers", estates.customer(tenant, name=f"Kund {number:02} AB", domain=f"c{number}.example"))
            self.add("subscriptions", estates.subscription(key, tenant_id=tenant, **cells))
            begins = began_on or cells["started_on"]
            self.add("associations", estates.association(mpn_id, subscription_id=key, kind=kind, began_on=begins))
            found.append((tenant, key))
        return found

    def use(self, key: str, of: Iterable[str], *, workload: str = "exo", **cells: str) -> None:
        nothing = {"paid_units": "", "active_users": "", "consumed_usd": "", "workload": workload}
        self.add("usage", *(estates.usage(one, subscription_id=key, **nothing | cells) for one in of))

    def azure(self, mpn_id: str, started_on: str) -> str:
        found = self.sell(mpn_id, product="azure", sku_string_id="", seats="", started_on=started_on)
        return found[0][1]


def coded() -> dict[str, list[Row]]:
    """Return the files of the estate."""
    of = Estate()
    _legacy(of)
    _scores(of)
    return of.files


def _legacy(of: Estate) -> None:
    of.partner(SELLER, "Säljarna AB")
    for number, (_tenant, key) in enumerate(of.sell(SELLER, customers=4, started_on="2015-09-01", seats="12")):
        of.use(key, ["2016-05"], paid_units="10", active_users="8" if number else "0")
    of.sell(SELLER, started_on="2015-10-01", seats="")

    of.partner(NO_MARKET, "Utan Marknad AB", market="")
    ((_tenant, key),) = of.sell(NO_MARKET, started_on="2014-01-01", seats="1500")
    of.use(key, ["2016-05"], paid_units="1500", active_users="1500")

    of.partner(CONSUMER, "Molnförbrukarna AB")
    key = of.azure(CONSUMER, "2014-01-01")
    of.use(key, months("2014-06", "2015-05"), workload="azure", consumed_usd="2500")

    of.partner(CRM, "CRM i Norr AB")
    ((_tenant, key),) = of.sell(CRM, product="crm_online", sku_string_id="", started_on="2017-01-01")
    sold = [("2018-01", "500000", "USD"), ("2018-02", "1", "SEK")]
    of.add(
        "revenue",
        *(
            estates.revenue(month, subscription_id=key, amount=amount, currency=currency, kind="net_new_cloud")
            for month, amount, currency in sold
        ),
    )

    of.partner(PAYER, "Betalarna AB")
    of.sell(PAYER, customers=5, started_on="2017-09-01", seats="40")
    of.partner(LAPSED, "Tappade Nivån AB")
    of.sell(LAPSED, customers=1, started_on="2017-09-01", seats="40")
    of.add(
        "holdings",
        estates.holding(PAYER, anniversary_on="2018-10-10", fee_paid_on="2017-10-10"),
        estates.holding(LAPSED, anniversary_on="2017-12-31", fee_paid_on="2016-12-31"),
    )
    of.partner(EMPTY, "Tomma AB")


def _scores(of: Estate) -> None:
    year = months("2023-05", "2024-05")
    of.partner(GROWER, "Tillväxt AB")
    for _tenant, key in of.sell(GROWER, customers=6, started_on="2022-01-01", seats="400"):
        of.use(key, year[:-1], paid_units="400", active_users="40")
        of.use(key, year[-1:], paid_units="400", active_users="140")

    of.partner(LEADER, "Ledarna AB")
    for _tenant, key in of.sell(LEADER, customers=2, started_on="2022-01-01", seats="5000"):
        of.use(key, year[:-1], paid_units="5000", active_users="100")
        of.use(key, year[-1:], paid_units="5000", active_users="2500")

    of.partner(DEPLOYER, "Driftsättarna AB")
    key = of.azure(DEPLOYER, "2022-01-01")
    of.use(key, year[:-1], workload="azure", consumed_usd="2000")
    of.use(key, year[-1:], workload="azure", consumed_usd="2300")
    for number in range(6):
        row = estates.consumption("2024-05", subscription_id=key, service=f"Azure Service {number}")
        of.add("consumption", row)

    of.partner(SMALL_BASE, "Liten Bas AB")
    key = of.azure(SMALL_BASE, "2022-01-01")
    of.use(key, year[:-1], workload="azure", consumed_usd="500")
    of.use(key, year[-1:], workload="azure", consumed_usd="2300")


def load(directory: Path) -> None:
    """Load the estate."""
    loaded = estates.load(estates.write(directory, **coded()))
    assert not loaded.errors, loaded.errors
