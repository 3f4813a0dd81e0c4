"""Prepared queries return what their querysets would return."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date

import psycopg2
import pytest
from django.conf import settings
from django.db import InternalError, NotSupportedError, ProgrammingError, connection, transaction
from django.db.models import Count, F, Q
from django.test.utils import CaptureQueriesContext

from por.db import prepared
from por.db.base import DatabaseWrapper
from por.db.prepared import AnyOf, Param, PreparedQuery, Statement, known_to
from por.directory.models import Customer, Sku, Subscription
from tests.factories import make_customer, make_subscription

OF_A_CUSTOMER = PreparedQuery(
    lambda: (
        Subscription.objects.filter(customer=Param("customer"), seats__gte=Param("seats"))
        .select_related("customer__organisation", "sku", "replaces")
        .order_by("seats")
    )
)


def test_a_prepared_query_returns_models_with_their_related_models(customer, django_assert_num_queries):
    many, few = make_subscription(customer, seats=9), make_subscription(customer, seats=7, replaces=None)
    make_subscription(customer, seats=1)
    make_subscription(make_customer("Other"))
    OF_A_CUSTOMER.all(customer=0, seats=0)

    with django_assert_num_queries(1):
        found = OF_A_CUSTOMER.all(customer=customer.pk, seats=5)
        names = [one.customer.organisation.name for one in found]
        skus = [one.sku and one.sku.string_id for one in found]

    assert found == [few, many]
    assert names == [customer.organisation.name] * 2
    assert skus == ["ENTERPRISEPACK"] * 2
    assert [one.replaces for one in found] == [None, None]
    found[0].seats = 8
    found[0].save()
    assert Subscription.objects.get(pk=few.pk).seats == 8


def test_values_are_never_part_of_the_sql(customer):
    named = PreparedQuery(lambda: Customer.objects.filter(organisation__name=Param("name")))
    organisation = customer.organisation
    organisation.name = "100 %s of O'Brien's; DROP TABLE"
    organisation.save()

    assert named.one(name=organisation.name) == customer
    assert named.one(name="' OR '1'='1") is None


def test_a_prepared_query_returns_annotations(customer):
    counted = PreparedQuery(
        lambda: Customer.objects.filter(tenant_id=Param("tenant")).annotate(size=Count("subscriptions"))
    )
    make_subscription(customer)
    make_subscription(customer)

    assert counted.one(tenant=customer.tenant_id).size == 2
    assert counted.one(tenant=uuid.uuid4()) is None


def test_a_prepared_query_is_built_once(customer):
    builds = []

    def build():
        builds.append(1)
        return Customer.objects.filter(pk=Param("pk"))

    query = PreparedQuery(build)

    assert [query.one(pk=pk) for pk in (customer.pk, customer.pk, 0)] == [customer, customer, None]
    assert builds == [1]


def test_a_query_that_can_match_no_row_does_not_ask_the_database(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert PreparedQuery(Customer.objects.none).all() == []


def test_a_lock_is_part_of_the_sql(customer):
    locked = PreparedQuery(lambda: Customer.objects.filter(pk=Param("pk")), lock="FOR SHARE")

    with CaptureQueriesContext(connection) as captured:
        locked.one(pk=customer.pk)

    assert captured.captured_queries[0]["sql"].endswith(" FOR SHARE")


@pytest.mark.django_db(transaction=True)
def test_every_thread_uses_its_own_connection(monkeypatch):
    monkeypatch.setattr(prepared, "compiled", {})
    customers = [make_customer(f"Customer {number}") for number in range(8)]
    by_id = PreparedQuery(lambda: Customer.objects.filter(pk=Param("pk")).select_related("organisation"))

    def find(customer: Customer) -> list[str]:
        try:
            return [by_id.one(pk=customer.pk).organisation.name for _ in range(20)]
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(find, customers))

    assert found == [[customer.organisation.name] * 20 for customer in customers]


# --- Kept by the server -------------------------------------------------------------------------------------------

BY_ID = PreparedQuery(lambda: Customer.objects.filter(pk__gt=0).filter(AnyOf(F("pk"), Param("ids"))).order_by("pk"))


def kept_by_the_server(part: str = "directory_customer") -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements WHERE statement LIKE %s", [f"%{part}%"])
        return [row[0] for row in cursor.fetchall()]


@pytest.fixture
def fresh(db):
    """A connection for which the server keeps nothing yet."""
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
    known_to(connection).clear()


def test_the_server_keeps_a_statement_with_its_constants_and_is_asked_once(fresh, customer):
    with CaptureQueriesContext(connection) as captured:
        assert BY_ID.all(ids=[customer.pk]) == [customer]
        assert BY_ID.all(ids=[]) == []

    (kept,) = kept_by_the_server()
    assert '"organisation_id" > 0' in kept
    assert "ANY($1::bigint[])" in kept
    assert len(captured) == 2
    assert all("ANY" in query["sql"] for query in captured.captured_queries)


def test_a_listener_sees_the_sql_and_the_values(fresh, customer):
    seen = []

    def listen(execute, sql, values, many, context):
        seen.append((sql.startswith("SELECT"), values))
        return execute(sql, values, many, context)

    with connection.execute_wrapper(listen):
        BY_ID.all(ids=[customer.pk])

    assert seen == [(True, [0, [customer.pk]])]


def test_a_statement_of_a_transaction_that_is_rolled_back_is_still_kept(fresh, customer):
    with transaction.atomic():
        BY_ID.all(ids=[customer.pk])
        transaction.set_rollback(True)

    assert len(kept_by_the_server()) == 1
    assert BY_ID.all(ids=[customer.pk]) == [customer]


def test_a_statement_that_failed_in_an_aborted_transaction_works_in_the_next(fresh, customer):
    with transaction.atomic(), connection.cursor() as cursor:
        with pytest.raises(ProgrammingError):
            cursor.execute("SELECT no_such_column")
        connection.needs_rollback = False  # so that it is the server that refuses
        with pytest.raises(InternalError):
            BY_ID.all(ids=[customer.pk])
        transaction.set_rollback(True)

    assert BY_ID.all(ids=[customer.pk]) == [customer]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("forgetting", ["DISCARD ALL", "DEALLOCATE ALL"])
def test_a_statement_that_the_server_has_forgotten_is_asked_again(fresh, customer, forgetting):
    BY_ID.all(ids=[customer.pk])
    with connection.cursor() as cursor:
        cursor.execute(forgetting)

    assert BY_ID.all(ids=[customer.pk]) == [customer]
    assert BY_ID.all(ids=[customer.pk]) == [customer]
    assert len(kept_by_the_server()) == 1


@pytest.mark.django_db(transaction=True)
def test_a_new_connection_is_told_the_statement_again(customer):
    BY_ID.all(ids=[customer.pk])
    connection.close()

    assert BY_ID.all(ids=[customer.pk]) == [customer]
    assert len(kept_by_the_server()) == 1


def test_nothing_is_prepared_behind_a_pooler(fresh, customer, monkeypatch):
    monkeypatch.setattr(DatabaseWrapper, "is_direct", False)

    assert BY_ID.all(ids=[customer.pk]) == [customer]
    assert kept_by_the_server() == []


def test_nothing_is_kept_of_a_query_that_is_planned_each_time(fresh, customer):
    query = PreparedQuery(lambda: Customer.objects.filter(pk=Param("pk")), planned_each_time=True)

    assert query.one(pk=customer.pk) == customer
    assert kept_by_the_server() == []


def test_values_of_every_type_reach_the_server(fresh, customer):
    found = make_subscription(customer, seats=9, renews_on=date(2031, 5, 1))
    query = PreparedQuery(
        lambda: Subscription.objects.filter(
            Q(customer__tenant_id=Param("tenant"), renews_on__lt=Param("day"), product=Param("product")),
            Q(started_on__lte=Param("started")),
        )
    )
    given = {"tenant": customer.tenant_id, "day": date(2031, 5, 2), "product": found.product, "started": date.today()}

    assert query.all(**given) == [found]
    for missing in given:
        assert query.all(**given | {missing: None}) == []


@pytest.mark.parametrize(
    ("given", "type_"),
    [
        ([1, -2, 2**62], "bigint[]"),
        ([], "bigint[]"),
        ([1, None], "bigint[]"),
        ([True, False], "boolean[]"),
        (["a,b", '"', "\\", "å", ""], "text[]"),
    ],
    ids=["keys", "none", "with a null", "booleans", "texts"],
)
def test_lists_reach_the_server_as_they_are(fresh, given, type_):
    asked = Statement(f"SELECT %s::{type_}", [Param("given")])
    assert [asked.rows({"given": given}) for _ in range(2)] == [[(given,)]] * 2


def as_owner(sql: str) -> None:
    owner = settings.DATABASE_OWNER
    given = {"host": owner["HOST"], "port": owner["PORT"] or None, "user": owner["USER"], "password": owner["PASSWORD"]}
    with closing(psycopg2.connect(dbname=connection.settings_dict["NAME"], **given)) as other:
        other.autocommit = True
        other.cursor().execute(sql)


@pytest.mark.django_db(transaction=True)
def test_a_statement_whose_columns_a_migration_has_changed_is_asked_again(fresh):
    as_owner("CREATE TABLE changing AS SELECT 7 AS id; GRANT SELECT ON changing TO PUBLIC")
    statement = Statement("SELECT * FROM changing WHERE id = %s", [Param("id")])
    try:
        assert statement.rows({"id": 7}) == [(7,)]
        as_owner("ALTER TABLE changing ADD COLUMN name text DEFAULT 'new'")

        assert statement.rows({"id": 7}) == [(7, "new")]
        assert statement.rows({"id": 7}) == [(7, "new")]
        assert len(kept_by_the_server("FROM changing")) == 1
    finally:
        as_owner("DROP TABLE changing")


def ask_before_and_after_a_longer_column() -> list[str]:
    """Return names that one connection reads, at last in a transaction, while a migration makes their column longer."""
    named = PreparedQuery(lambda: Sku.objects.filter(string_id=Param("string")))
    found = [named.one(string="ENTERPRISEPACK").name]
    as_owner("ALTER TABLE directory_sku ALTER COLUMN name TYPE varchar(201)")
    try:
        with transaction.atomic():
            return [*found, named.one(string="ENTERPRISEPACK").name]
    finally:
        as_owner("ALTER TABLE directory_sku ALTER COLUMN name TYPE varchar(200)")


@pytest.mark.django_db(transaction=True)
def test_a_transaction_does_not_fail_because_a_migration_has_made_a_column_longer(fresh):
    assert ask_before_and_after_a_longer_column() == ["Office 365 E3"] * 2


@pytest.mark.django_db(transaction=True)
def test_without_that_care_the_transaction_fails(fresh, monkeypatch):
    monkeypatch.setattr(
        prepared, "_without_lengths", lambda get_select, _connection, *given, **more: get_select(*given, **more)
    )

    with pytest.raises(NotSupportedError, match="cached plan must not change result type"):
        ask_before_and_after_a_longer_column()


def test_a_connection_forgets_the_statement_that_was_not_used_for_longest(fresh, customer, monkeypatch):
    monkeypatch.setattr(prepared, "MOST_KEPT", 2)
    most = [10**9, 10**9 + 1, 10**9 + 2]
    queries = [PreparedQuery(lambda n=n: Customer.objects.filter(pk=Param("pk"), pk__lt=n)) for n in most]

    for number in (0, 1, 0, 2, 0, 1, 2):
        assert queries[number].one(pk=customer.pk) == customer
        assert len(kept_by_the_server()) == len(known_to(connection)) <= 2

    assert [number for number in most if any(f"< {number}" in sql for sql in kept_by_the_server())] == most[1:]


@pytest.mark.django_db(transaction=True)
def test_a_full_connection_whose_statements_the_server_has_forgotten_works(fresh, customer, monkeypatch):
    monkeypatch.setattr(prepared, "MOST_KEPT", 1)
    other = PreparedQuery(lambda: Customer.objects.filter(pk=Param("pk")))
    BY_ID.all(ids=[customer.pk])
    with connection.cursor() as cursor:
        cursor.execute("DISCARD ALL")

    assert other.one(pk=customer.pk) == customer
    assert other.one(pk=customer.pk) == customer
    assert len(kept_by_the_server()) == 1


def test_a_full_connection_keeps_what_it_has_when_its_transaction_has_failed(fresh, customer, monkeypatch):
    monkeypatch.setattr(prepared, "MOST_KEPT", 1)
    other = PreparedQuery(lambda: Customer.objects.filter(pk=Param("pk")))
    BY_ID.all(ids=[customer.pk])
    with transaction.atomic(), connection.cursor() as cursor:
        with pytest.raises(ProgrammingError):
            cursor.execute("SELECT no_such_column")
        connection.needs_rollback = False  # so that it is the server that refuses
        with pytest.raises(InternalError):
            other.one(pk=customer.pk)
        transaction.set_rollback(True)

    assert other.one(pk=customer.pk) == customer
    assert BY_ID.all(ids=[customer.pk]) == [customer]


# --- Settings -------------------------------------------------------------------------------------------------------

SETTINGS = ["enable_nestloop = off", "plan_cache_mode = force_generic_plan"]
NOW = "current_setting('enable_nestloop'), current_setting('plan_cache_mode')"


def with_settings(sql: str) -> Statement:
    return Statement(sql, [Param("pk")], settings=SETTINGS)


@pytest.mark.parametrize("listened_to", [False, True])
@pytest.mark.parametrize("direct", [False, True])
def test_settings_hold_for_the_statement_alone(fresh, customer, monkeypatch, direct, listened_to):
    monkeypatch.setattr(DatabaseWrapper, "is_direct", direct)
    statement = with_settings(f"SELECT {NOW}, count(*) FROM directory_customer WHERE organisation_id = %s")
    found = []
    for _each in range(2):
        if listened_to:
            with CaptureQueriesContext(connection):
                found += statement.rows({"pk": customer.pk})
        else:
            found += statement.rows({"pk": customer.pk})
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {NOW}")
            assert cursor.fetchone() == ("on", "auto")

    assert found == [("off", "force_generic_plan", 1)] * 2


def test_a_statement_with_a_generic_plan_is_planned_once(fresh, customer):
    statement = with_settings("SELECT count(*) FROM directory_customer WHERE organisation_id = %s")
    for _each in range(3):
        statement.rows({"pk": customer.pk})
    with connection.cursor() as cursor:
        cursor.execute("SELECT generic_plans, custom_plans FROM pg_prepared_statements")
        assert cursor.fetchall() == [(3, 0)]


def test_a_statement_without_rows_returns_none(fresh, customer):
    statement = with_settings("UPDATE directory_customer SET segment = '' WHERE organisation_id = %s")
    assert statement.rows({"pk": customer.pk}) == []
