"""What a session begins with comes from the database, and the check of a deployment asks for it."""

from __future__ import annotations

import pytest
from django.db import connection, transaction

from por.db import defaults
from por.ops.checks import check_sessions


@pytest.mark.django_db(transaction=True)
def test_a_session_begins_with_the_defaults_although_the_product_asks_for_none():
    connection.close()

    assert "options" not in connection.get_connection_params()
    assert defaults.missing() == []
    assert check_sessions() == []


def test_the_check_names_what_a_session_does_not_begin_with():
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = 0; SET LOCAL TimeZone = 'Europe/Stockholm'")
        (warning,) = check_sessions()

    assert warning.id == "por.W006"
    assert "TimeZone, lock_timeout" in warning.msg
