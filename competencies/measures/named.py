"""The measures by the names that rules use."""

from __future__ import annotations

from collections.abc import Mapping

from competencies.measures.asking import Measure
from competencies.measures.growth import active_users, deployed_tenants
from competencies.measures.people import people
from competencies.measures.seats import seats_of_new_subscriptions
from competencies.measures.sums import active_entitlements, consumption, paid_units, revenue, services
from competencies.measures.tenants import lost_tenants, net_new_tenants, new_tenants, tenants

MEASURES: Mapping[str, Measure] = {
    measure.__name__: measure
    for measure in (
        new_tenants,
        net_new_tenants,
        lost_tenants,
        tenants,
        seats_of_new_subscriptions,
        active_entitlements,
        active_users,
        paid_units,
        consumption,
        services,
        deployed_tenants,
        revenue,
        people,
    )
}
