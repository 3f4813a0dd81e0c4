from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0002_figures")]

    operations = [
        migrations.AlterField(
            model_name="preference",
            name="topic",
            field=models.CharField(
                choices=[
                    ("record", "Partner of record: attached, removed or undone"),
                    ("change", "Changes of partner: questions, statements, answers"),
                    ("invitation", "Invitations and activations"),
                    ("renewal", "Renewals and changes of subscriptions"),
                    ("legacy", "Legacy form and its deadline"),
                ],
                max_length=20,
            ),
        )
    ]
