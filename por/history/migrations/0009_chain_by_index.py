"""The chain's function looks its head up by the index, whatever it knew of the table when it was planned.

PostgreSQL plans the statements of a function once for each connection. On a connection that was opened while there were
few chains, it kept a sequential scan, and an import that makes thousands of chains read all of them for each event.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("history", "0008_periodic_run")]
    operations = [
        migrations.RunSQL(
            "ALTER FUNCTION public.history_chain_event() SET enable_seqscan = off",
            "ALTER FUNCTION public.history_chain_event() RESET enable_seqscan",
        )
    ]
