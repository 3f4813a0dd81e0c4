"""Which subscription and which customer a row means: by the whole ID, or by its beginning as tables show it."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

from associations.jobs.models import Job, JobRow
from associations.record.access import all_visible_to, customers_visible_to
from por.accounts.models import Actor
from por.web.filters import guids_for


class Ids:
    """The IDs that the rows of a job mean. What the actor may see is only read for the beginning of an ID."""

    def __init__(self, actor: Actor, rows: Iterable[JobRow]) -> None:
        self.actor = actor
        self._subscriptions = {row.row: self._subscription(row) for row in rows}

    def subscription(self, row: JobRow) -> list[uuid.UUID]:
        """Return the subscriptions that the row can mean: none, one, or several that begin alike."""
        return self._subscriptions[row.row]

    def tenant(self, row: JobRow) -> list[uuid.UUID]:
        """Return the customers that the row can mean."""
        return guids_for(row.tenant_id, self.tenants)

    def _subscription(self, row: JobRow) -> list[uuid.UUID]:
        if row.job.action != Job.Action.INVITE:
            return guids_for(row.subscription_id, self._all)
        tenants = self.tenant(row)
        return guids_for(row.subscription_id, lambda: self._of_tenants[tenants[0]] if len(tenants) == 1 else [])

    def tenants(self) -> list[uuid.UUID]:
        """Return the customers that the actor knows."""
        return self._known_tenants

    def _all(self) -> list[uuid.UUID]:
        return self._known

    @cached_property
    def _known_tenants(self) -> list[uuid.UUID]:
        return sorted(customers_visible_to(self.actor).values_list("tenant_id", flat=True))

    @cached_property
    def _known(self) -> list[uuid.UUID]:
        return sorted(all_visible_to(self.actor).values_list("subscription_id", flat=True))

    @cached_property
    def _of_tenants(self) -> dict[uuid.UUID, list[uuid.UUID]]:
        found = defaultdict(list)
        visible = all_visible_to(self.actor).values_list("customer__tenant_id", "subscription_id")
        for tenant_id, subscription_id in visible.order_by("subscription_id"):
            found[tenant_id].append(subscription_id)
        return found
