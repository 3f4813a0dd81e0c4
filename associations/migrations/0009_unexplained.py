from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("associations", "0008_usage_sums"),
    ]

    operations = [
        migrations.CreateModel(
            name="Unexplained",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("chain", models.TextField()),
                ("association", models.TextField()),
                ("why", models.TextField()),
            ],
            options={
                "verbose_name": "unexplained association",
            },
        ),
    ]
