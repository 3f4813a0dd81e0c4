"""The claims of a made-up estate, approved elsewhere: some were migrated without proof, some are of subscriptions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random

from associations.claims.programs import claimable_then
from associations.claims.rules import MIGRATED, Program
from por.management.estates.cast import CastCustomer
from por.management.estates.catalogue import all_workloads_of

#: The first day on which claims of this estate were approved, and the last one of those that were migrated.
FIRST, MIGRATED_UNTIL = date(2019, 10, 1), date(2020, 6, 1)
#: The share of customers with claims of workloads, and of CRM Online.
WORKLOADS, CRM = 0.12, 0.3

#: number, name, MPN ID, tenant, programme, workloads, subscriptions, approved on
Row = tuple[str, str, str, str, str, str, str, date]


class Maker:
    """What a customer has, subscription by subscription, and then the rows of its claims.

    Its chance is its own, so that the other files of an estate are as they would be without claims. The numbers of
    claims depend on the seed, so that another estate can be loaded into the same database.
    """

    def __init__(self, seed: int, today: date) -> None:
        self.chance = Random(f"claims of {seed}")
        self.series = Random(f"numbers of claims of {seed}").randrange(10**6)
        self.today = today
        self.number = 0
        self._workloads: dict[str, date] = {}  # with the first day on which a subscription has it
        self._crm: list[tuple[str, date]] = []

    def note(self, subscription_id: str, product: str, sku: str, started_on: date, *, is_over: bool) -> None:
        """Note a subscription of the customer that is being made, unless it is over."""
        if is_over:
            return
        if product == "crm_online":
            self._crm.append((subscription_id, started_on))
        for workload in all_workloads_of(sku):
            self._workloads[workload] = min(started_on, self._workloads.get(workload, started_on))

    def of_cast(self, tenant_id: str, customer: CastCustomer) -> Iterator[Row]:
        """Yield the claims of a customer of the cast."""
        workloads, crm = self._taken()
        for one in customer.claims:
            day = one.approved_on if isinstance(one.approved_on, date) else self.today - timedelta(one.approved_on)
            if not FIRST <= day < self.today:
                continue
            units = [unit for unit in one.workloads if unit in workloads]
            ids = [subscription_id for subscription_id, started in crm if started <= day]
            if units:
                yield self._row(one.name, one.mpn_id, tenant_id, Program.OSU_M365, units, [], day)
            elif one.of_crm and ids:
                yield self._row(one.name, one.mpn_id, tenant_id, Program.OSU_BIZAPPS, [], ids, day)

    def of(self, tenant_id: str, mpn_id: str) -> Iterator[Row]:
        """Yield the claims of the partner that a customer mostly works with; none without one."""
        workloads, crm = self._taken()
        if not mpn_id:
            return
        offered = claimable_then(Program.OSU_M365, self.today).workloads
        if self.chance.random() < WORKLOADS:
            found = sorted(unit for unit in workloads if unit in offered)
            if found and (day := self._day(FIRST)):
                units = sorted(self.chance.sample(found, min(len(found), self.chance.randint(1, 3))))
                is_migrated = day <= MIGRATED_UNTIL
                name = f"{MIGRATED} {self.number + 1}" if is_migrated else f"Usage {self.number + 1}"
                yield self._row(name, mpn_id, tenant_id, Program.OSU_M365, units, [], day)
        if crm and self.chance.random() < CRM:
            since = max(FIRST, *(started for _id, started in crm))
            if day := self._day(since):
                ids = [subscription_id for subscription_id, _started in crm]
                yield self._row(f"Dynamics {self.number + 1}", mpn_id, tenant_id, Program.OSU_BIZAPPS, [], ids, day)

    def _taken(self) -> tuple[dict[str, date], list[tuple[str, date]]]:
        """Return what has been noted of this customer, and begin anew for the next one."""
        found = self._workloads, self._crm
        self._workloads, self._crm = {}, []
        return found

    def _day(self, since: date) -> date | None:
        """Return a day from then until a month ago; every other one is in the time of the migrated claims."""
        last = self.today - timedelta(30)
        if self.chance.random() < 0.5:
            last = min(last, MIGRATED_UNTIL)
        if last < since:
            last = self.today - timedelta(30)
        return since + timedelta(self.chance.randint(0, (last - since).days)) if since <= last else None

    def _row(
        self, name: str, mpn_id: str, tenant_id: str, program: str, workloads: list[str], ids: list[str], day: date
    ) -> Row:
        self.number += 1
        number = f"CPR-{self.series:06d}-{self.number:06d}"
        return number, name, mpn_id, tenant_id, program, ";".join(workloads), ";".join(ids), day
