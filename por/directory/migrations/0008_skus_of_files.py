"""Let a SKU be known by its string alone, and by its former name; some strings have over 100 characters.

The longer strings get a column of their own. The release before reads `string_id` within its transactions, from
statements that the server keeps: with another length these would fail once on each connection. The column goes in a
later release.
"""

from django.db import migrations, models

COLUMN = """
ALTER TABLE directory_sku ADD COLUMN string varchar(150);
UPDATE directory_sku SET string = string_id;
ALTER TABLE directory_sku ALTER COLUMN string SET NOT NULL, ALTER COLUMN string_id DROP NOT NULL;
CREATE UNIQUE INDEX directory_sku_string ON directory_sku (string);
"""
NO_COLUMN = """
UPDATE directory_sku SET string_id = string;
ALTER TABLE directory_sku DROP COLUMN string, ALTER COLUMN string_id SET NOT NULL;
"""


class Migration(migrations.Migration):
    dependencies = [("directory", "0007_exact_amounts")]
    operations = [
        migrations.RunSQL(
            COLUMN,
            NO_COLUMN,
            [
                migrations.AlterField(
                    "sku", "string_id", models.CharField(db_column="string", max_length=150, unique=True)
                )
            ],
        ),
        migrations.AlterField("sku", "sku_id", models.UUIDField(blank=True, null=True, unique=True)),
        migrations.AddField(
            "sku", "former_name", models.CharField(blank=True, default="", max_length=200), preserve_default=False
        ),
    ]
