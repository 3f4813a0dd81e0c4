"""The roles of the database: the owner migrates; web server and worker work; neither can change or drop history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection

#: Both may read and write everything, with three limits: history, the steps and comments of claims, and the results of
#: competencies only grow; the trigger alone writes the heads of history; of a proof of execution only what the scan and
#: the preview say can change, and not which units it is for. They create nothing: on a table of its own, a role could
#: use the trigger's function.
GRANTS = """
REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION history_chain_event() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION history_replay_event(bigint), notifications_replay_delivery(bigint) FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role};
GRANT EXECUTE ON FUNCTION history_replay_event(bigint), notifications_replay_delivery(bigint) TO {role};
REVOKE UPDATE, DELETE ON history_event, history_party, history_seal FROM {role};
REVOKE DELETE ON history_outbox, history_signedhead, history_round FROM {role};
REVOKE INSERT, UPDATE, DELETE ON history_chainhead, django_migrations FROM {role};
REVOKE UPDATE, DELETE ON claims_claimstep, claims_comment, claims_proof, competencies_attainment FROM {role};
REVOKE UPDATE ON claims_proofunit FROM {role};
GRANT UPDATE (scan, stored_as, pages, preview) ON claims_proof TO {role};
"""
#: Where the worker has a role of its own, it alone works on the queues and signs history. The web server adds to the
#: queues: events that wait, mails, and files to be scanned. It can neither mark a row as done nor delay, change or
#: delete one, nor say that a file is clean. It adds no result of competencies.
WEB_SERVER_ONLY_ADDS = """
REVOKE INSERT, UPDATE, DELETE ON history_outbox FROM {role};
GRANT INSERT (event_id, next_at, attempts, last_error, priority) ON history_outbox TO {role};
REVOKE UPDATE, DELETE ON notifications_delivery FROM {role};
REVOKE INSERT, UPDATE ON history_seal, history_signedhead, history_round FROM {role};
REVOKE INSERT, UPDATE, DELETE ON associations_unexplained, competencies_recompute, competencies_round FROM {role};
REVOKE INSERT ON competencies_attainment FROM {role};
REVOKE INSERT, UPDATE, DELETE ON competencies_keptpart FROM {role};
REVOKE UPDATE (scan, stored_as, pages, preview) ON claims_proof FROM {role};
"""


@contextmanager
def as_owner() -> Iterator[None]:
    """Use all of DATABASE_OWNER_URL for the default connection; use what was there before after the block."""
    mine = {key: connection.settings_dict[key] for key in ("USER", "PASSWORD", "HOST", "PORT", "NAME", "OPTIONS")}
    connection.close()
    connection.settings_dict.update({key: settings.DATABASE_OWNER[key] for key in mine})
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(mine)


def grant() -> None:
    """Give web server and worker their rights, as owner; give none to a role that is the owner itself."""
    quote, database = connection.ops.quote_name, connection.settings_dict["NAME"]
    given = ""
    for role in sorted({settings.WEB_ROLE, settings.WORKER_ROLE} - {"", connection.settings_dict["USER"]}):
        given += GRANTS.format(role=quote(role), database=quote(database))
        if role != settings.WORKER_ROLE:
            given += WEB_SERVER_ONLY_ADDS.format(role=quote(role))
    if given:  # in one transaction, so that no role has a right for a moment only
        with connection.cursor() as cursor:
            cursor.execute(given)
