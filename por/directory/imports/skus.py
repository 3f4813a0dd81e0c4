"""The import of `skus.csv`: names and service plans of SKUs, as the catalogue has them."""

from __future__ import annotations

import csv
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol

from por.directory.models import ServicePlan, Sku
from por.directory.rules import DATA
from por.imports.loading import NOBODY, File, Line, Outcome
from por.imports.opening import Columns
from por.imports.reading import Cells


class Entry(Protocol):
    """A row of a list: a SKU, and one of its service plans."""

    sku_string_id: str
    sku_id: uuid.UUID
    sku_name: str
    service_plan_string_id: str
    service_plan_id: uuid.UUID
    service_plan_name: str


class Fate(Enum):
    CREATED = auto()
    CHANGED = auto()
    UNCHANGED = auto()


def workloads() -> Mapping[str, str]:
    """Return the workload of each service plan that has one, by its string."""
    with (DATA / "workloads.csv").open(encoding="utf-8", newline="") as file:
        return {row["service_plan_string_id"]: row["workload"] for row in csv.DictReader(file)}


def add(entries: Sequence[Entry], *, sku_model: Any, plan_model: Any) -> list[Fate]:
    """Add what the entries have and the catalogue has not; return the fate of each. Nothing is removed.

    A SKU is found by its ID; one that a file has named is found by its string. A new name replaces the old one, by
    which it is still found. The models are given, because migrations have their own.
    """
    skus = list(sku_model.objects.all())
    by_id = {sku.sku_id: sku for sku in skus if sku.sku_id}
    by_string = {sku.string_id: sku for sku in skus}
    plans = {plan.string_id: plan for plan in plan_model.objects.all()}
    pair_model = sku_model.plans.through
    pairs = set(pair_model.objects.values_list("sku__string_id", "serviceplan__string_id"))
    new_skus, new_plans, new_pairs = [], [], []
    touched: dict[int, Any] = {}
    outcomes = []
    belongs_to = workloads()
    for entry in entries:
        outcome = Fate.UNCHANGED
        sku = by_id.get(entry.sku_id)
        if sku is None:
            sku = by_string.get(entry.sku_string_id)
            if sku is None or sku.sku_id:
                string_id = f"{entry.sku_string_id} {entry.sku_id}" if sku else entry.sku_string_id
                sku = sku_model(string_id=string_id, sku_id=entry.sku_id, name=entry.sku_name)
                new_skus.append(sku)
                by_string[string_id] = sku
            else:
                sku.sku_id, sku.name = entry.sku_id, entry.sku_name
                touched[sku.pk] = sku
                outcome = Fate.CHANGED
            by_id[entry.sku_id] = sku
        elif sku.name != entry.sku_name and sku.pk:
            sku.former_name, sku.name = sku.name, entry.sku_name
            touched[sku.pk] = sku
            outcome = Fate.CHANGED
        if entry.service_plan_string_id not in plans:
            plan = plan_model(
                string_id=entry.service_plan_string_id,
                plan_id=entry.service_plan_id,
                name=entry.service_plan_name,
                workload=belongs_to.get(entry.service_plan_string_id, ""),
            )
            new_plans.append(plan)
            plans[entry.service_plan_string_id] = plan
        pair = sku.string_id, entry.service_plan_string_id
        if pair not in pairs:
            pairs.add(pair)
            new_pairs.append((sku, plans[entry.service_plan_string_id]))
            outcome = Fate.CREATED
        outcomes.append(outcome)
    sku_model.objects.bulk_create(new_skus)
    sku_model.objects.bulk_update(touched.values(), ["sku_id", "name", "former_name"])
    plan_model.objects.bulk_create(new_plans)
    pair_model.objects.bulk_create(pair_model(sku_id=sku.pk, serviceplan_id=plan.pk) for sku, plan in new_pairs)
    return outcomes


@dataclass(slots=True)
class SkuLine(Line):
    sku_string_id: str
    sku_id: uuid.UUID
    sku_name: str
    service_plan_string_id: str
    service_plan_id: uuid.UUID
    service_plan_name: str


def _parse(cells: Cells) -> SkuLine:
    return SkuLine(
        line=cells.line,
        sku_string_id=cells.name("sku_string_id", most=113),
        sku_id=cells.required_guid("sku_id"),
        sku_name=cells.name("sku_name", most=200),
        service_plan_string_id=cells.name("service_plan_string_id", most=100),
        service_plan_id=cells.required_guid("service_plan_id"),
        service_plan_name=cells.name("service_plan_name", most=200),
    )


def _merge(rows: Sequence[SkuLine], outcome: Outcome) -> None:
    outcomes = add(rows, sku_model=Sku, plan_model=ServicePlan)
    outcome.created[NOBODY] += outcomes.count(Fate.CREATED)
    outcome.changed[NOBODY] += outcomes.count(Fate.CHANGED)
    outcome.unchanged += outcomes.count(Fate.UNCHANGED)


_COLUMNS = (*("sku_string_id", "sku_id", "sku_name", "service_plan_string_id", "service_plan_id", "service_plan_name"),)
SKUS = File(
    name="skus.csv",
    columns=Columns(every=_COLUMNS, required=_COLUMNS),
    key=["sku_id", "service_plan_id"],
    stored="",
    line=SkuLine,
    parse=_parse,
    merge=_merge,
)
