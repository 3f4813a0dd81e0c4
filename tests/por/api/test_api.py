"""Rules of all addresses of the API: errors, sign-in, CSV, the page of its document, health and metrics."""

from __future__ import annotations

import logging
import re

import pytest
from django.db import DatabaseError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from por.accounts import actions as accounts
from por.api.lists import _csv
from por.api.views import problems
from por.celery import app
from por.history.actions import recording as history
from por.history.models import Outbox
from tests.api import Api
from tests.factories import make_member, make_staff, suspend
from tests.pages import scraped

# --- Errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/", "/api/v1/", "/api/v1/me", "/api/v1/subscriptions/1/", "/api/v2/me/"])
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_an_address_that_does_not_exist_is_answered_with_a_problem(path, method):
    response = getattr(Api(), method)(path, X_Request_ID="12345678")

    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"
    assert response.json() == {
        "type": "http://testserver/api/docs/#not_found",
        "title": "Not Found",
        "status": 404,
        "detail": "This does not exist, or you do not have access to it.",
        "code": "not_found",
        "request_id": "12345678",
    }


def test_an_unsupported_method_is_405_and_the_answer_lists_the_others(admin):
    response = Api(admin).post("me/")

    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert response["Allow"] == "GET, HEAD"
    assert Api(admin).client.options("/api/v1/me/").status_code == 401


@pytest.mark.parametrize("method", ["post", "put", "delete", "options"])
def test_the_document_answers_other_methods_with_a_problem_too(method):
    response = getattr(Client(enforce_csrf_checks=True), method)("/api/v1/schema/")

    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "method_not_allowed"


def test_a_request_for_another_format_is_406(admin):
    assert Api(admin).get("me/", Accept="text/html").json()["code"] == "not_acceptable"
    assert Api(admin).get("me/", Accept="text/html, */*").status_code == 200


def test_an_unexpected_error_is_logged_and_its_answer_gives_no_details(admin, monkeypatch, caplog):
    def fail(*args, **kwargs):
        raise DatabaseError("secret: the password of the database")

    api = Api(admin)
    monkeypatch.setattr("por.accounts.api._me", fail)
    api.client.raise_request_exception = False
    with caplog.at_level(logging.ERROR):
        response = api.get("me/")

    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert b"secret" not in response.content
    assert "secret" in caplog.text


def test_details_are_in_the_readers_language_and_codes_are_not(customer, subscription):
    api = Api(make_member(customer.organisation, language="sv"))

    response = api.put(f"subscriptions/{subscription.subscription_id}/partner-of-record/")

    assert response["Content-Language"] == "sv"
    assert response.json()["code"] == "precondition_required"
    assert Api().get("me/", Accept_Language="sv")["Content-Language"] == "sv"


def test_answers_are_not_cached_for_other_readers(admin):
    response = Api(admin).get("me/")

    assert {"Authorization", "Cookie", "Accept-Language"} <= set(re.split(", *", response["Vary"]))
    assert response["Cache-Control"] == "private, no-store"


# --- Who calls ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Bearer ", "Basic YTpi", "nonsense", "Bearer å"])
def test_an_invalid_token_is_401_and_never_falls_back_to_the_session(admin, header):
    api = Api()
    api.client.force_login(admin.user)

    response = api.get("me/", Authorization=header)

    assert (response.status_code, response.json()["code"]) == (401, "token_invalid")
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'
    assert api.get("me/").status_code == 200


def test_without_sign_in_it_is_401():
    response = Api().get("me/")

    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("loss", ["suspended", "revoked", "no longer a member"])
def test_lost_access_is_lost_immediately(admin, loss):
    api, session = Api(admin), Api()
    session.client.force_login(admin.user)
    assert api.get("me/").status_code == session.get("me/").status_code == 200

    match loss:
        case "suspended":
            suspend(admin)
            assert session.get("me/").status_code == 401
        case "revoked":
            accounts.revoke_token(admin.user, api.token.pk)
        case _:
            admin.user.memberships.all().delete()
            assert session.get("me/").json()["memberships"] == []
            assert session.get("subscriptions/").json()["results"] == []

    assert api.get("me/").status_code == 401


def test_writes_with_a_session_need_the_csrf_token(admin, subscription, partner):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin.user)
    path = f"/api/v1/subscriptions/{subscription.subscription_id}/partner-of-record/"

    def put(**headers):
        return client.put(
            path, {"mpn_id": partner.mpn_id}, content_type="application/json", headers={"If-Match": "*"} | headers
        )

    refused = put()
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")
    client.get("/api/docs/")
    client.cookies["csrf"] = "a" * 32
    assert put(**{"X-CSRFToken": "a" * 32}).status_code == 201


# --- CSV ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"])
def test_a_cell_never_starts_a_formula(start):
    _header, line = _csv([{"name": f"{start}1+1"}], ["name"])

    assert line.strip("\r\n").strip('"').startswith("'")


def test_numbers_stay_numbers():
    header, line = _csv([{"a": {"b": -5}, "c": "-12.50", "d": None, "e": True}], ["a.b", "c", "d", "e"])

    assert (header, line) == ("a_b,c,d,e\r\n", "-5,-12.50,,1\r\n")


# --- The page -------------------------------------------------------------------------------------------------------


def test_the_page_explains_every_operation_and_every_code_without_sign_in():
    page = Client().get(reverse("api_docs")).content.decode()

    assert "/api/v1/subscriptions/{subscription_id}/partner-of-record/undo/" in page
    for code in problems():
        assert f'id="{code}"' in page
    assert "<script>" not in page
    assert "style=" not in page
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


# --- Health ---------------------------------------------------------------------------------------------------------


def test_livez_does_not_use_the_database(django_assert_num_queries):
    with django_assert_num_queries(0):
        response = Client().get("/livez")

    assert (response.status_code, response.json()) == (200, {"status": "alive"})


def test_readyz_names_components_only():
    response = Client().get("/readyz")

    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "components": {"database": "ok", "migrations": "ok", "broker": "ok", "cache": "ok", "storage": "ok"},
    }


@pytest.mark.parametrize("away", ["redis://127.0.0.1:1/0", "amqp://127.0.0.1:1//"])
def test_readyz_is_503_while_the_broker_does_not_answer(away, monkeypatch):
    monkeypatch.setattr(app.conf, "broker_url", away)
    response = Client().get("/readyz")

    assert response.status_code == 503
    components = response.json()["components"]
    assert {name for name, state in components.items() if state == "failed"} == {"broker"}


def test_readyz_is_503_while_the_cache_does_not_answer(settings):
    away = settings.CACHES["default"] | {"LOCATION": ["redis://127.0.0.1:1/1"]}
    settings.CACHES = settings.CACHES | {"default": away}
    response = Client().get("/readyz")

    assert response.status_code == 503
    components = response.json()["components"]
    assert {name for name, state in components.items() if state == "failed"} == {"cache"}


def test_readyz_is_503_while_a_migration_is_missing(monkeypatch):
    applied = MigrationRecorder.applied_migrations
    last = ("associations", "0001_initial")
    without = {key: value for key, value in applied(MigrationRecorder(connection)).items() if key != last}
    monkeypatch.setattr(MigrationRecorder, "applied_migrations", lambda self: without)

    assert Client().get("/readyz").json()["components"]["migrations"] == "failed"


def test_metrics_count_what_waits_to_be_sent(customer):
    by = make_member(customer.organisation)
    about = history.ObjectRef("customer", "x", "x")
    for _ in range(3):
        event = history.record("thing.happened", about, by=by, at=timezone.now(), chain=customer.pk)
    Outbox.objects.filter(event_id=event).update(dead_at=timezone.now())

    text = scraped()

    assert "\noutbox_undone 2.0\n" in text
    assert "\noutbox_dead 1.0\n" in text
    assert re.search(r"\noutbox_oldest_age_seconds [0-9.]+\n", text)
    assert "\ndeliveries_waiting 0.0\n" in text
    assert "django_http_requests" in text


#: Where a request may say that it comes from.
PLACES = [
    {},
    {"REMOTE_ADDR": "::1"},
    {"REMOTE_ADDR": ""},
    {"REMOTE_ADDR": "203.0.113.9"},
    {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
    {"HTTP_FORWARDED": "for=127.0.0.1"},
    {"HTTP_X_REAL_IP": "127.0.0.1"},
]


@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("proxies", [0, 1])
def test_metrics_need_their_token_wherever_a_request_comes_from(place, proxies, settings):
    settings.TRUSTED_PROXIES = proxies
    token = settings.METRICS_TOKEN

    def status(*given: str) -> int:
        return Client().get("/metrics", **place, **dict(zip(["HTTP_AUTHORIZATION"], given, strict=False))).status_code

    refused = ["Bearer wrong", "Bearer ", f"Bearer {token} ", f"Basic {token}", token, "Bearer \N{SNOWMAN}"]
    assert [status(), *map(status, refused)] == [401] * 7
    assert status(f"Bearer {token}") == 200
    settings.METRICS_TOKEN = ""
    assert [status(), status("Bearer "), status("Bearer")] == [401] * 3, "no token is not an empty one"


def test_metrics_are_for_people_with_the_right_too(admin):
    def with_token(actor) -> int:
        return Client().get("/metrics", headers=Api(actor, read_only=True).headers).status_code

    assert with_token(make_staff("programme_administrator")) == 200
    assert with_token(admin) == 403
    session = Client()
    session.force_login(make_staff("auditor").user)
    assert session.get("/metrics").status_code == 200


def test_refusals_and_replays_are_counted_by_code(admin, subscription, partner):
    path = f"subscriptions/{subscription.subscription_id}/partner-of-record/"
    body = {"mpn_id": partner.mpn_id}
    api = Api(admin)

    def counted(line: str) -> float:
        found = re.search(rf"^{re.escape(line)} (\S+)$", scraped(), re.MULTILINE)
        return float(found[1]) if found else 0.0

    lines = [
        'refusals_total{code="no_partner_of_record",status="409"}',
        'refusals_total{code="not_found",status="404"}',
        'refusals_total{code="wrong_kind",status="403"}',
        "idempotent_replays_total",
    ]
    before = [counted(line) for line in lines]

    assert api.delete(path, {}, If_Match="*").status_code == 409
    assert api.get("subscriptions/x/").status_code == 404
    page = Client()
    page.force_login(admin.user)
    assert page.get("/a/").status_code == 403
    for _again in range(2):
        api.put(path, body, If_Match="*", Idempotency_Key="replayed")

    after = [counted(line) for line in lines]
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1, 1, 1]
