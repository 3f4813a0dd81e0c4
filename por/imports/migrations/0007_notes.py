from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("estate", "0006_batches")]
    operations = [
        migrations.AddField(model_name="import", name="notes", field=models.JSONField(default=list)),
        migrations.AddField(model_name="import", name="rejected_file", field=models.TextField(blank=True, default="")),
    ]
