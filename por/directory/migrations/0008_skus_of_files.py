"""Let a SKU be known by its string alone, and by its former name; some strings have over 100 characters."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("directory", "0007_exact_amounts")]
    operations = [
        migrations.AlterField("sku", "string_id", models.CharField(max_length=150, unique=True)),
        migrations.AlterField("sku", "sku_id", models.UUIDField(blank=True, null=True, unique=True)),
        migrations.AddField(
            "sku", "former_name", models.CharField(blank=True, default="", max_length=200), preserve_default=False
        ),
    ]
