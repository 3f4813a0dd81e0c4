"""The addresses of broker and cache, as Celery and Django want them. The settings use it, so it reads none."""

from __future__ import annotations

import ssl
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from django.core.exceptions import ImproperlyConfigured

#: A wake that finds no broker gives up immediately; kombu would try for six seconds, on every commit.
AT_ONCE = {"max_retries": 0, "interval_start": 0, "interval_step": 0, "interval_max": 0}
REDIS = AT_ONCE | {
    "visibility_timeout": 600,  # longer than the longest task that is redelivered; due times are in rows
    "unacked_restore_interval": 2,  # kombu's defaults look for lost tasks every 100 s only
    "unacked_restore_throttle": 1,
    "unacked_mutex_expire": 15,
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
}


class Broker(NamedTuple):
    """Celery's settings of a broker."""

    url: str
    use_ssl: dict[str, Any] | None
    options: dict[str, Any]


class Sentinels(NamedTuple):
    """What `sentinel://[user:password@]host:port,host:port/database?master=name` says."""

    hosts: list[tuple[str, int]]
    master: str
    database: int
    username: str | None
    password: str | None


def numbered(url: str, number: int) -> str:
    """Return the address of a database of a Redis server."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"unix://{parts.path}?db={number}"
    return parts._replace(path=f"/{number}").geturl()


def broker(url: str, ca_file: str = "") -> Broker:
    """Return Celery's settings for a broker. The certificate of a server is always checked, with its host name."""
    parts = urlsplit(url)
    match parts.scheme:
        case "unix":
            number = dict(parse_qsl(parts.query)).get("db", "0")
            return Broker(f"redis+socket://{parts.path}?virtual_host={number}", None, REDIS)
        case "redis" | "rediss":
            return Broker(_checked(url, ca_file), None, REDIS)
        case "sentinel":
            login, at, hosts = parts.netloc.rpartition("@")
            urls = [f"sentinel://{login}{at}{host}{parts.path}" for host in hosts.split(",")]
            return Broker(";".join(urls), None, REDIS | {"master_name": sentinels(url).master})
        case "amqps":
            checks = {"cert_reqs": ssl.CERT_REQUIRED, "ca_certs": ca_file or None, "server_hostname": parts.hostname}
            return Broker(url, checks, AT_ONCE)
        case _:
            return Broker(url, None, AT_ONCE)


def cache(url: str, ca_file: str = "") -> dict[str, Any]:
    """Return Django's settings for a cache on a Redis server."""
    options: dict[str, Any] = {"socket_timeout": 1, "socket_connect_timeout": 1}
    if urlsplit(url).scheme == "sentinel":
        options["pool_class"] = "por.db.sentinel.MasterPool"
    return {
        "BACKEND": "por.db.cache.Cache",
        "LOCATION": [_checked(url, ca_file)],  # Django would split a text at its commas
        "OPTIONS": options,
    }


def sentinels(url: str) -> Sentinels:
    """Return the parts of the address of sentinels."""
    parts = urlsplit(url)
    login, _at, hosts = parts.netloc.rpartition("@")
    username, _colon, password = login.partition(":")
    master = dict(parse_qsl(parts.query)).get("master")
    if not master:
        raise ImproperlyConfigured(
            "The address of sentinels must say which master they watch: sentinel://…?master=name"
        )
    places = [host.rpartition(":") for host in hosts.split(",")]
    return Sentinels(
        [(host.strip("[]"), int(port)) for host, _colon, port in places],
        master,
        int(parts.path.strip("/") or 0),
        unquote(username) or None,
        unquote(password) or None,
    )


def _checked(url: str, ca_file: str) -> str:
    """Return the address, with what makes clients check the certificate of a `rediss` server, whatever it said."""
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        return url
    checks = {"ssl_cert_reqs": "required", "ssl_check_hostname": "true"} | (
        {"ssl_ca_certs": ca_file} if ca_file else {}
    )
    return parts._replace(query=urlencode(dict(parse_qsl(parts.query)) | checks)).geturl()
