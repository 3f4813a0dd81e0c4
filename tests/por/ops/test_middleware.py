"""Which requests pass the middlewares of pages, and what every answer carries."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils.module_loading import import_string
from prometheus_client import REGISTRY

from por.accounts.actions import create_token
from tests.factories import make_member
from tests.pages import signed_in

SESSION = f'"{Session._meta.db_table}"'


@pytest.fixture
def person(customer) -> Client:
    return signed_in(make_member(customer.organisation), language="sv")


@pytest.fixture
def token(partner) -> str:
    owner = make_member(partner.organisation)
    return f"Bearer {create_token(owner.user, partner.organisation, name='test', read_only=False)[1]}"


def reads_session(client: Client, path: str, **headers: str) -> bool:
    with CaptureQueriesContext(connection) as captured:
        client.get(path, headers=headers)
    return any(SESSION in query["sql"] for query in captured)


def test_a_call_with_a_token_reads_no_session(person, token):
    assert not reads_session(person, "/api/v1/me/", Authorization=token)
    assert not reads_session(person, "/api/v1/me/", Authorization="Bearer unknown")
    assert reads_session(person, "/api/v1/me/"), "without a token the session counts"
    assert reads_session(person, "/c/", Authorization=token), "on a page a token does not count"


def test_call_with_a_token_is_answered_in_the_language_of_its_owner(person, token):
    assert person.get("/api/v1/me/").headers["Content-Language"] == "sv"
    assert person.get("/api/v1/me/", headers={"Authorization": token}).headers["Content-Language"] == "en"
    anonymous = person.get("/api/v1/me/", headers={"Authorization": "Bearer unknown", "Accept-Language": "sv"})
    assert (anonymous.status_code, anonymous.headers["Content-Language"]) == (401, "sv")


def test_session_does_not_replace_an_invalid_token(person):
    assert person.get("/api/v1/me/").status_code == 200
    for given in ("Bearer unknown", "Basic abc", ""):
        assert person.get("/api/v1/me/", headers={"Authorization": given}).status_code == 401


CONTENT_POLICY = {
    *((f"{kind}-src", "'self'") for kind in ("default", "script", "style", "img", "font", "connect")),
    ("form-action", "'self'"),
    *((name, "'none'") for name in ("frame-ancestors", "base-uri", "object-src")),
    ("report-uri", "/csp-reports"),
}


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/api/v1/me/", "/api/v1/nothing/", "/login", "/static/nothing", "/static/mark.svg"]
)
def test_every_answer_has_the_security_headers(path, token):
    for headers in ({}, {"Authorization": token}):
        answer = Client().get(path, headers=headers)
        policy = answer.headers["Content-Security-Policy"]
        assert {tuple(part.split()) for part in policy.split(";")} == CONTENT_POLICY
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        forbidden = answer.headers["Permissions-Policy"].split(", ")
        assert {"camera=()", "geolocation=()", "microphone=()", "payment=()", "usb=()"} <= set(forbidden)
        assert answer.headers["X-Request-ID"]


def test_probes_read_no_session(person):
    for path in ("/livez", "/readyz"):
        assert not reads_session(person, path)
        assert "Cookie" not in person.get(path).headers["Vary"]


def test_the_middlewares_of_pages_have_no_hook_that_is_not_called():
    for name in settings.PAGE_MIDDLEWARE:
        assert not hasattr(import_string(name), "process_template_response"), name


def test_empty_authorization_header_counts_as_a_token_in_middleware_and_api():
    """Else a caller could choose a session's rights without the middlewares that limit them."""
    with override_settings(PAGE_MIDDLEWARE=[]):
        assert Client().get("/api/v1/me/", headers={"Authorization": ""}).status_code == 401


# --- Probes by IP address -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["10.1.2.3:8000", "[fd00::7]:8000", "pod-7", "not a host", ""])
@override_settings(SECURE_SSL_REDIRECT=True, ALLOWED_HOSTS=["por.example"])
def test_probes_are_answered_whatever_host_they_name_and_without_https(host):
    for path in ("/livez", "/readyz"):
        assert Client().get(path, HTTP_HOST=host).status_code == 200


@pytest.mark.parametrize("path", ["/login", "/metrics", "/api/v1/me/", "/static/nothing", "/livez/", "/readyz/x"])
def test_control_every_other_address_keeps_the_check_of_the_host_and_the_redirect_to_https(path):
    with override_settings(ALLOWED_HOSTS=["por.example"]):
        assert Client().get(path, HTTP_HOST="10.1.2.3:8000").status_code == 400
        with override_settings(SECURE_SSL_REDIRECT=True):
            assert Client().get(path, HTTP_HOST="por.example").status_code == 301


def counted(**labels: str) -> float:
    return REGISTRY.get_sample_value("django_http_requests_latency_seconds_by_view_method_count", labels) or 0.0


def test_answers_are_counted_by_address_and_method():
    before = counted(view="livez", method="GET"), counted(view="readyz", method="GET")
    for path in ("/livez", "/livez", "/readyz"):
        Client().get(path)
    assert (counted(view="livez", method="GET"), counted(view="readyz", method="GET")) == (before[0] + 2, before[1] + 1)


def test_a_caller_cannot_add_figures_with_methods_that_do_not_exist():
    before = counted(view="livez", method="<invalid method>")
    for method in ("BREW", "WHEN"):
        assert Client().generic(method, "/livez").status_code == 405
        assert counted(view="livez", method=method) == 0
    assert counted(view="livez", method="<invalid method>") == before + 2
