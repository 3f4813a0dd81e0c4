"""The import of `skus.csv`, names and service plans as the catalogue has them; and SKUs that other files name."""

from __future__ import annotations

import csv
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol

from django.db import connection
from django.utils.translation import ngettext

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
#: What a file may name a SKU by, beside its string: the first that finds exactly one is taken.
_NAMES_OF_SKUS = ("sku_id::text", "upper(string)", "upper(name)", "upper(former_name)")
_UNKNOWN_SKUS = """
    SELECT DISTINCT sku_string_id AS given FROM estate_staged_subscriptions
    LEFT JOIN directory_sku ON string = sku_string_id
    WHERE sku_string_id <> '' AND directory_sku.id IS NULL
"""


NAMED = 20  # SKUs that a note names


def find_skus() -> list[str]:
    """Find SKUs that are named in other ways; keep those that the catalogue does not have, and return a note of them.

    Nothing is kept twice: only one import runs at a time.
    """
    with connection.cursor() as cursor:
        for name in _NAMES_OF_SKUS:
            cursor.execute(f"SELECT EXISTS ({_UNKNOWN_SKUS})")
            if not cursor.fetchone()[0]:
                return []
            cursor.execute(
                f"""
                UPDATE estate_staged_subscriptions AS staged SET sku_string_id = found.string
                FROM ({_UNKNOWN_SKUS}) AS unknown
                JOIN (
                    SELECT {name} AS name, min(string) AS string FROM directory_sku
                    WHERE {name} <> '' GROUP BY 1 HAVING count(*) = 1
                ) AS found ON name = {"lower" if name == "sku_id::text" else "upper"}(given)
                WHERE sku_string_id = given
                """
            )
        cursor.execute(
            "INSERT INTO directory_sku (string, name, former_name)"
            f" SELECT given, given, '' FROM ({_UNKNOWN_SKUS}) AS unknown RETURNING string"
        )
        kept = sorted(string for (string,) in cursor.fetchall())
    if not kept:
        return []
    text = ngettext(
        "%(count)s SKU is not in the catalogue, and was kept with its ID: %(first)s.",
        "%(count)s SKUs are not in the catalogue, and were kept with their IDs: %(first)s.",
        len(kept),
    )
    shown = ", ".join(kept[:NAMED]) + (" …" if len(kept) > NAMED else "")
    return [text % {"count": len(kept), "first": shown}]


SKUS = File(
    name="skus.csv",
    columns=Columns(every=_COLUMNS, required=_COLUMNS),
    key=["sku_id", "service_plan_id"],
    stored="",
    line=SkuLine,
    parse=_parse,
    merge=_merge,
)
