"""Broker and cache apart, and of other kinds: what the settings make of addresses, and that certificates count."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache.backends.redis import RedisCache
from django.core.exceptions import ImproperlyConfigured
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from por import brokers
from por.queue.wake import ENOUGH, Wake
from tests.brokers import Certificates, Watched, behind_tls, celery_of, certificates, watched
from tests.product import ROOT, wait_until

CHECKED = "ssl_cert_reqs=required&ssl_check_hostname=true"


@pytest.mark.parametrize(
    ("url", "for_celery", "for_django"),
    [
        ("redis://:pw@host:6379/3", "redis://:pw@host:6379/3", "redis://:pw@host:6379/3"),
        (
            "unix:///run/valkey.sock?db=2",
            "redis+socket:///run/valkey.sock?virtual_host=2",
            "unix:///run/valkey.sock?db=2",
        ),
        ("rediss://host/1", f"rediss://host/1?{CHECKED}", f"rediss://host/1?{CHECKED}"),
        ("rediss://host/1?ssl_cert_reqs=none&ssl_check_hostname=false", *[f"rediss://host/1?{CHECKED}"] * 2),
        (
            "sentinel://me:pw@one:1,two:2/4?master=por",
            "sentinel://me:pw@one:1/4;sentinel://me:pw@two:2/4",
            "sentinel://me:pw@one:1,two:2/4?master=por",
        ),
        ("amqp://me:pw@host:5672/place", "amqp://me:pw@host:5672/place", None),
    ],
)
def test_address_becomes_what_celery_and_django_want(url, for_celery, for_django):
    assert brokers.broker(url).url == for_celery
    if for_django:
        assert brokers.cache(url)["LOCATION"] == [for_django]


def test_certificate_of_rabbitmq_is_checked_with_its_host_name():
    chosen = brokers.broker("amqps://me@host.example:5671//", "/etc/authority.pem")
    assert chosen.use_ssl is not None
    assert chosen.use_ssl["cert_reqs"].name == "CERT_REQUIRED"
    assert (chosen.use_ssl["server_hostname"], chosen.use_ssl["ca_certs"]) == ("host.example", "/etc/authority.pem")


def test_address_of_sentinels_must_name_the_master():
    with pytest.raises(ImproperlyConfigured, match="master"):
        brokers.broker("sentinel://one:26379/0")


ADDRESSES = {"REDIS_URL": "", "BROKER_URL": "", "CACHE_URL": "", "TLS_CA_FILE": ""}


def set_up(**addresses: str) -> subprocess.CompletedProcess[str]:
    given = {name: value for name, value in (ADDRESSES | addresses).items() if value}
    rest = {name: value for name, value in os.environ.items() if name not in ADDRESSES}
    script = "from django.conf import settings as s; print(s.CELERY_BROKER_URL, *s.CACHES['default']['LOCATION'])"
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=rest | given | {"DJANGO_SETTINGS_MODULE": "por.settings"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ({"REDIS_URL": "redis://all"}, "redis://all/0 redis://all/1"),
        ({"REDIS_URL": "redis://all", "BROKER_URL": "amqp://rabbit//"}, "amqp://rabbit// redis://all/1"),
        ({"REDIS_URL": "redis://all", "CACHE_URL": "redis://fast/7"}, "redis://all/0 redis://fast/7"),
        ({"BROKER_URL": "amqp://rabbit//", "CACHE_URL": "redis://fast/7"}, "amqp://rabbit// redis://fast/7"),
        (
            {"REDIS_URL": "rediss://all", "TLS_CA_FILE": "/ca"},
            f"rediss://all/0?{CHECKED}&ssl_ca_certs=%2Fca rediss://all/1?{CHECKED}&ssl_ca_certs=%2Fca",
        ),
    ],
)
def test_broker_and_cache_are_apart_or_on_one_server(given, chosen):
    assert set_up(**given).stdout.strip() == chosen


@pytest.mark.parametrize("given", [{"BROKER_URL": "amqp://rabbit//"}, {"CACHE_URL": "redis://fast/7"}])
def test_one_address_alone_is_not_enough(given):
    assert "Set the REDIS_URL environment variable" in set_up(**given).stderr


# --- Servers --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secure(made: Certificates) -> Iterator[int]:
    """Yield a port with TLS before the tests' Valkey."""
    with behind_tls(os.environ["REDIS_URL"].removeprefix("unix://"), made) as port:
        yield port


def cache_at(url: str, ca_file: str = "") -> Any:
    entry = brokers.cache(url, ca_file)
    return RedisCache(entry["LOCATION"], {"OPTIONS": entry["OPTIONS"]})


def nothing() -> None:
    """Do what a task of these tests does."""


def wake_until_enough(url: str, ca_file: str = "") -> None:
    """Wake a task more often than the broker may hold messages; check that it holds no more than that."""
    app = celery_of(url, ca_file)
    app.conf.task_default_queue = "of-this-test"
    wake = Wake(app.task(nothing))
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        app.amqp.queues["of-this-test"].bind(channel).declare()
        channel.queue_purge("of-this-test")
        for _ in range(ENOUGH + 3):
            wake._send()
        try:
            assert app.amqp.queues["of-this-test"].bind(channel).queue_declare().message_count == ENOUGH
        finally:
            channel.queue_delete("of-this-test")
            app.close()


def test_broker_and_cache_with_a_certificate_of_our_authority_are_used(secure, made):
    place = f"rediss://localhost:{secure}/14"
    cache = cache_at(place, str(made.authority))
    cache.set("who", "is there", 60)

    assert cache.get("who") == "is there"
    wake_until_enough(place, str(made.authority))


def unsafe_places(port: int, made: Certificates, tmp_path: Path) -> dict[str, tuple[str, str]]:
    """Return addresses of the server whose certificate must not be accepted, each with an authority."""
    ours = str(made.authority)
    other = str(certificates(tmp_path).authority)
    return {
        "an authority that the system does not know": (f"rediss://localhost:{port}/14", ""),
        "another authority": (f"rediss://localhost:{port}/14", other),
        "another name": (f"rediss://127.0.0.1:{port}/14", ours),
        "an address that asks for no check": (f"rediss://localhost:{port}/14?ssl_cert_reqs=none", ""),
    }


def test_certificate_that_cannot_be_trusted_is_refused_by_broker_and_cache(secure, made, tmp_path):
    for url, ca_file in unsafe_places(secure, made, tmp_path).values():
        with pytest.raises(RedisError, match="certificate verify failed"):
            cache_at(url, ca_file).get("who")
        app = celery_of(url, ca_file)
        with app.connection_for_write() as broker, pytest.raises(OperationalError, match="certificate verify failed"):
            broker.ensure_connection(max_retries=0)


def test_control_without_the_check_each_of_these_certificates_is_accepted(secure, made, tmp_path, monkeypatch):
    def unchecked(url: str, _ca_file: str) -> str:
        return f"{url.partition('?')[0]}?ssl_cert_reqs=none&ssl_check_hostname=false"

    monkeypatch.setattr(brokers, "_checked", unchecked)
    for url, ca_file in unsafe_places(secure, made, tmp_path).values():
        assert cache_at(url, ca_file).get("nobody") is None
        with celery_of(url, ca_file).connection_for_write() as connection:
            connection.ensure_connection(max_retries=0)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(tmp_path_factory.mktemp("watched")) as servers:
        yield servers


def test_broker_and_cache_follow_the_master_that_the_sentinel_names(pair):
    cache = cache_at(pair.url(1))
    cache.set("who", "the first", 600)
    wake_until_enough(pair.url(0))
    wait_until(lambda: "'db1': {'keys': 1" in pair.says("second", "INFO", "keyspace"))

    pair.kill_master()

    def answers() -> bool:
        try:
            return bool(cache.get("who") == "the first")
        except RedisError:  # until the sentinel has told
            return False

    wait_until(answers)
    cache.set("who", "the second", 600)
    assert cache.get("who") == "the second"
    wake_until_enough(pair.url(0))
