"""Fixtures of all tests. The owner's role makes the database; tests use those of web server and worker."""

from __future__ import annotations

import fcntl
import gc
import os
import sys
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import caches
from django.db import transaction
from django.test import Client, TransactionTestCase
from django.test.utils import override_settings
from django.utils import translation
from pytest_django.plugin import blocking_manager_key

from por.accounts.models import Actor
from por.celery import app
from por.directory.models import Customer, Partner, Subscription
from tests import databases, factories, requests_as_web, things  # noqa: F401  # things registers the tests' own events
from tests.api import Api
from tests.pages import signed_in
from tests.units import Units


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Units:
    return Units(config, log)


#: Files whose tests try one thing with many values. Of each such test, one of so many cases runs every day, and the
#: crawl has the others.
ONE_OF = {
    "tests/associations/attaching/test_rivals.py": 4,
    "tests/associations/claims/test_rivals.py": 4,
    "tests/associations/claims/test_sight.py": 3,
    "tests/associations/record/test_sums.py": 2,
    "tests/associations/record/test_visibility.py": 2,
    "tests/associations/renewals/test_actions.py": 3,
    "tests/associations/subscriptions/test_prepared_list.py": 3,
    "tests/associations/test_corrections.py": 3,
    "tests/associations/test_days.py": 2,
    "tests/competencies/measures/test_oracle.py": 4,
    "tests/journeys/test_attach.py": 2,
    "tests/journeys/test_change.py": 2,
    "tests/journeys/test_claims.py": 2,
    "tests/journeys/test_mapping.py": 2,
    "tests/journeys/test_proofs.py": 2,
    "tests/journeys/test_staff.py": 2,
    "tests/por/directory/test_imports.py": 2,
    "tests/por/directory/test_monthly_facts.py": 2,
    "tests/por/documents/test_checking.py": 3,
    "tests/por/imports/test_forms_of_exports.py": 4,
    "tests/por/imports/test_opening.py": 4,
    "tests/test_bodies.py": 5,
    "tests/test_prepared_pages.py": 3,
    "tests/test_prepared_queries.py": 5,
    "tests/test_refusals.py": 8,
    "tests/test_storable.py": 6,
    "tests/test_versions_of_forms.py": 4,
    "tests/test_writes.py": 5,
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark for the crawl the cases that do not run every day."""
    seen: Counter[str] = Counter()
    for item in items:
        name = item.nodeid.partition("[")[0]
        share = ONE_OF.get(item.nodeid.partition("::")[0], 1)
        if hasattr(item, "callspec") and item.get_closest_marker("crawl") is None:
            if seen[name] % share:
                item.add_marker(pytest.mark.crawl)
            seen[name] += 1


@pytest.fixture(scope="session", autouse=True)
def _own_valkey() -> Iterator[None]:
    """Give each process of a parallel run its own databases of cache and broker, which hold limits and wakes."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    app.conf.broker_url = f"{settings.CELERY_BROKER_URL.removesuffix('0')}{9 + worker}"
    default = settings.CACHES["default"]
    location = [f"{default['LOCATION'][0].removesuffix('1')}{2 + worker}"]
    with override_settings(CACHES={**settings.CACHES, "default": {**default, "LOCATION": location}}):
        yield


@pytest.fixture(autouse=True)
def _empty_local_cache() -> None:
    """Empty the cache: primary keys repeat from test to test, and so would the figures kept for them."""
    caches["local"].clear()


@pytest.fixture(autouse=True)
def _no_language_of_another_test() -> None:
    """Forget the language that a request of an earlier test has left active in this process."""
    translation.deactivate()


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: Any, django_db_modify_db_settings: None) -> Iterator[None]:
    with django_db_blocker.unblock():
        databases.use_clone()
        requests_as_web.open_requests()
    yield
    with django_db_blocker.unblock():
        databases.drop_clone()


@pytest.fixture(scope="module", autouse=True)
def _few_dead_rows(django_db_setup: None, django_db_blocker: Any) -> None:
    """Vacuum the database of this process before each file of tests."""
    with django_db_blocker.unblock():
        databases.vacuum()


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, Any, Any]:
    """Let one process of a parallel run read the tests before the others if none of them is compiled yet.

    Otherwise each process compiles all of them, which takes more than half of its start. Another process migrates the
    template of the databases meanwhile. No test runs before all have read the tests, and each needs a database.
    """
    if os.environ.get("PYTEST_XDIST_WORKER") == "gw1":
        with session.config.stash[blocking_manager_key].unblock():
            databases.make_template()
    here = Path(__file__).with_name("__pycache__")
    if sys.dont_write_bytecode or "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    with (here / "reading").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not any(here.glob("test_writes.*.pyc")):  # one of the last
            return (yield)
    return (yield)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Let the collector of garbage not walk again and again over all modules and tests, which stay to the end."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Drop the template after all processes of a parallel run have ended."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        databases.drop_template()


# In place of Django's flush, which truncates every table.
TransactionTestCase._fixture_teardown = lambda self: databases.empty()  # type: ignore[method-assign]


@pytest.fixture(scope="session", autouse=True)
def _plain_static_files() -> Iterator[None]:
    """Serve static files from the sources by their plain names: nothing is collected for a test."""
    plain = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
    with override_settings(STORAGES=settings.STORAGES | plain, WHITENOISE_AUTOREFRESH=True):
        yield


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    with override_settings(PASSWORD_HASHERS=["tests.factories.OneRound"]):
        yield


@pytest.fixture(autouse=True)
def _as_worker() -> None:
    """Let no request of an earlier test go on: its answer may not have been read to its end."""
    requests_as_web.end_request()


@pytest.fixture(autouse=True)
def _database(request: pytest.FixtureRequest, _as_worker: None) -> None:
    """Let every test use the database."""
    if "django_db" not in request.keywords and not {"transactional_db", "committed"} & set(request.fixturenames):
        request.getfixturevalue("db")


@pytest.fixture(scope="module")
def shared(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Keep what module fixtures write for all tests of the file; what a test writes is rolled back as usual.

    For files with many tests on the same estate: making it takes longer than most of them.
    """
    around = transaction.atomic()
    around._from_testcase = True  # type: ignore[attr-defined]  # verbs may insist on being the outermost
    with django_db_blocker.unblock(), around:
        yield
        transaction.set_rollback(True)


@pytest.fixture(scope="module")
def committed(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Commit what the tests of a file write, and empty the tables once, after the last of them.

    For files with many tests that need several sessions: emptying the tables takes longer than most of them.
    """
    with django_db_blocker.unblock():
        yield
        databases.empty()


@pytest.fixture(scope="module")
def any_time(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Let the product record events at the time that a test sets, however far it is from the database's clock."""
    with django_db_blocker.unblock(), databases.any_time():
        yield


@pytest.fixture
def customer() -> Customer:
    return factories.make_customer()


@pytest.fixture
def partner() -> Partner:
    return factories.make_partner()


@pytest.fixture
def subscription(customer: Customer) -> Subscription:
    return factories.make_subscription(customer)


# --- People, and how they reach the product ---------------------------------------------------------------------------


@pytest.fixture
def admin(customer: Customer) -> Actor:
    """Return an administrator of the customer."""
    return factories.make_member(customer.organisation, name="Elin Sandberg", email="elin@vasterhamn.example")


@pytest.fixture
def amira(partner: Partner) -> Actor:
    """Return an administrator of the partner."""
    return factories.make_member(partner.organisation, name="Amira Haddad")


@pytest.fixture
def reader(admin: Actor) -> Actor:
    """Return the person at the browser of `web`. Files about other people's pages override this."""
    return admin


@pytest.fixture
def web(reader: Actor) -> Client:
    """Return a browser with the reader signed in."""
    return signed_in(reader)


@pytest.fixture
def api(admin: Actor) -> Api:
    """Return a client of the API with a token of the customer's administrator."""
    return Api(admin)
