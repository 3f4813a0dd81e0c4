"""The catalogue of SKUs and service plans, from the files in `directory/data`."""

import csv
from collections import Counter, defaultdict
from pathlib import Path

from django.db import migrations

DATA = Path(__file__).parent.parent / "data"


def rows(name):
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def best_name(names):
    """The catalogue writes a plan's name in several ways: the commonest that is not shouted, then by alphabet."""
    return min(names, key=lambda name: (name.isupper(), -names[name], name))


def load(apps, schema_editor):
    Sku, ServicePlan = apps.get_model("directory", "Sku"), apps.get_model("directory", "ServicePlan")
    workloads = {row["service_plan_string_id"]: row["workload"] for row in rows("workloads.csv")}
    catalogue = rows("skus.csv")
    plans = {row["service_plan_string_id"]: row for row in reversed(catalogue)}
    skus = {row["sku_string_id"]: row for row in reversed(catalogue)}
    names = defaultdict(Counter)
    for row in catalogue:
        names[row["service_plan_string_id"]][row["service_plan_name"]] += 1
    ServicePlan.objects.bulk_create(
        ServicePlan(
            string_id=string_id,
            plan_id=row["service_plan_id"],
            name=best_name(names[string_id]),
            workload=workloads.get(string_id, ""),
        )
        for string_id, row in sorted(plans.items())
    )
    Sku.objects.bulk_create(
        Sku(string_id=string_id, sku_id=row["sku_id"], name=row["sku_name"]) for string_id, row in sorted(skus.items())
    )
    plan_pk = dict(ServicePlan.objects.values_list("string_id", "pk"))
    sku_pk = dict(Sku.objects.values_list("string_id", "pk"))
    Pair = Sku.plans.through
    pairs = {(sku_pk[row["sku_string_id"]], plan_pk[row["service_plan_string_id"]]) for row in catalogue}
    Pair.objects.bulk_create(Pair(sku_id=sku, serviceplan_id=plan) for sku, plan in sorted(pairs))


class Migration(migrations.Migration):
    dependencies = [("directory", "0002_usage")]
    operations = [migrations.RunPython(load, migrations.RunPython.noop)]
