"""The catalogue as of August 2026, from `directory/data/skus-2026-08.csv`."""

import csv
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

from django.db import migrations

from por.directory.imports.skus import add

FILE = Path(__file__).parent.parent / "data" / "skus-2026-08.csv"


def load(apps, schema_editor):
    with FILE.open(encoding="utf-8", newline="") as file:
        entries = [
            SimpleNamespace(**row | {"sku_id": UUID(row["sku_id"]), "service_plan_id": UUID(row["service_plan_id"])})
            for row in csv.DictReader(file)
        ]
    add(entries, sku_model=apps.get_model("directory", "Sku"), plan_model=apps.get_model("directory", "ServicePlan"))


class Migration(migrations.Migration):
    dependencies = [("directory", "0008_skus_of_files")]
    operations = [migrations.RunPython(load, migrations.RunPython.noop)]
