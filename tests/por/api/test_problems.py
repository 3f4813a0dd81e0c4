"""Every error below /api/ is a problem document, whoever answers: an endpoint, a middleware, the framework."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.core.exceptions import BadRequest, DisallowedHost, SuspiciousOperation, TooManyFieldsSent
from django.http import UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.middleware.common import CommonMiddleware
from django.test import Client, override_settings

from tests.api import Api
from tests.pages import signed_in

PROBLEM = "application/problem+json"


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == PROBLEM
    assert int(response.get("Content-Length", len(response.content))) == len(response.content)
    body = response.json()
    assert (body["status"], body["code"], body["request_id"]) == (status, code, response["X-Request-ID"])
    return body


ODD = [
    "/api/",
    "/api/v1/%00",
    "/api/v1/%FF%FE",
    "/api/v1/../",
    "/api//v1/me/",
    "/api/docs",
    "/api/v1/schema",
    "/api/\\",
]


@pytest.mark.parametrize("path", ODD)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "TRACE", "PROPFIND", "get"])
def test_an_address_that_does_not_exist_is_a_problem_for_every_method(path, method):
    response = Client(raise_request_exception=False).generic(method, path)

    assert (response.status_code, response["Content-Type"]) == (404, PROBLEM)


@pytest.mark.parametrize(
    "accept", ["text/html", "text/html;q=x", ";;", "*", "a/b/c", "\xff", "application/xml, image/*"]
)
def test_an_odd_accept_header_is_a_problem_at_most(admin, accept):
    problem(Api(admin).get("me/", Accept=accept), 406, "not_acceptable")


@pytest.mark.parametrize(
    "kind", ["text/html", "multipart/form-data", "multipart/form-data; boundary=x", "x", ";", "a/b/c"]
)
def test_a_body_of_another_kind_is_a_problem(admin, subscription, kind):
    path = f"subscriptions/{subscription.subscription_id}/partner-of-record/"

    problem(Api(admin).put(path, b"--x", If_Match="*", Content_Type=kind), 415, "unsupported_media_type")


@override_settings(ALLOWED_HOSTS=["localhost"])
@pytest.mark.parametrize("path", ["/api/v1/me/", "/api/docs/", "/api/nothing"])
@pytest.mark.parametrize("host", ["elsewhere.example", "a b", "[::1", "localhost:x", ""])
def test_a_host_that_is_not_ours_is_a_problem(path, host):
    problem(Client().get(path, HTTP_HOST=host), 400, "bad_request")


def test_a_page_below_api_answers_errors_with_problems_too(admin, monkeypatch):
    """The page of the documentation answers a wrong method itself, without a body."""
    assert problem(Client().post("/api/docs/"), 405, "method_not_allowed")["title"] == "Method Not Allowed"
    assert Client().post("/api/docs/")["Allow"] == "GET, HEAD"
    assert Client().get("/api/docs/")["Content-Type"].startswith("text/html")
    problem(Client(enforce_csrf_checks=True).post("/api/docs/"), 403, "no_right")


RAISED = [
    (SuspiciousOperation("secret"), 400, "bad_request"),
    (DisallowedHost("secret"), 400, "bad_request"),
    (TooManyFieldsSent("secret"), 400, "bad_request"),
    (BadRequest("secret"), 400, "bad_request"),
    (MultiPartParserError("secret"), 400, "bad_request"),
    (RuntimeError("secret"), 500, "internal_error"),
]


@pytest.mark.parametrize(("raised", "status", "code"), RAISED, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("where", ["middleware", "endpoint"])
def test_an_exception_anywhere_is_a_problem(admin, monkeypatch, raised, status, code, where):
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise raised

    api = Api(admin)
    api.client.raise_request_exception = False
    if where == "middleware":
        monkeypatch.setattr(CommonMiddleware, "process_response", fail)
    else:
        monkeypatch.setattr("por.accounts.api._me", fail)

    body = problem(api.get("me/"), status, code)

    assert "secret" not in json.dumps(body)


def test_a_body_that_breaks_off_is_a_problem(admin, monkeypatch):
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise UnreadablePostError("the client has gone")

    monkeypatch.setattr("por.accounts.api._me", fail)

    problem(Api(admin).get("me/"), 400, "bad_request")


def test_too_many_parameters_are_a_problem(admin):
    query = "&".join(f"a{number}=1" for number in range(1100))

    problem(Api(admin).get(f"subscriptions/?{query}"), 400, "bad_request")


def test_a_problem_is_in_the_language_of_the_request():
    swedish = problem(Client().post("/api/docs/", headers={"Accept-Language": "sv"}), 405, "method_not_allowed")

    assert swedish["detail"] == "Adressen tar inte emot den här metoden."
    assert "does not" in problem(Client().post("/api/docs/"), 405, "method_not_allowed")["detail"]


def test_pages_keep_their_error_pages(admin):
    assert Client().get("/nothing")["Content-Type"].startswith("text/html")
    assert signed_in(admin).get(f"/c/subscriptions/{uuid.uuid4()}/")["Content-Type"].startswith("text/html")
