"""The OpenAPI document is valid, public and complete."""

from __future__ import annotations

import json
import re

import pytest
from django.conf import settings
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from por.api.views import document, made
from tests.api import Api, validator
from tests.factories import make_member, make_partner, make_staff

#: The addresses that need no sign-in.
PUBLIC = {"/api/v1/receipts/{signed}/"}


def operations():
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_the_document_is_openapi_3_1_and_public():
    response = Client().get("/api/v1/schema/")

    assert response.status_code == 200
    read = json.loads(response.content)
    assert read["openapi"].startswith("3.1")
    validate(read)


def test_the_library_makes_the_document_without_warnings(capsys):
    made.cache_clear()
    document()

    assert "Warning" not in capsys.readouterr().err


def test_the_document_has_every_endpoint_and_method():
    known = {(re.sub(r"\{(\w+)\}", r"<\1>", path), method) for path, method, _operation in operations()}
    served = set()

    def walk(patterns, prefix: str) -> None:
        for pattern in patterns:
            route = prefix + re.sub(r"<\w+:(\w+)>", r"<\1>", str(pattern.pattern))
            if isinstance(pattern, URLResolver):
                walk(pattern.url_patterns, route)
            elif isinstance(pattern, URLPattern) and route.startswith("/api/v1/") and hasattr(pattern.callback, "cls"):
                view = pattern.callback.cls
                if view.schema is None:  # the address of the document
                    continue
                served.update((route, method) for method in view.http_method_names if hasattr(view, method))

    walk(get_resolver().url_patterns, "/")
    assert served == known


def test_every_operation_has_its_security_and_its_errors():
    for path, method, operation in operations():
        public = operation["security"] == [{}]
        assert public or operation["security"] == [{"token": []}, {"session": []}], path
        assert public == (path in PUBLIC) == ("401" not in operation["responses"]), path
        assert operation["summary"]
        assert "500" in operation["responses"], (path, method)
    assert set(document()["components"]["securitySchemes"]) == {"token", "session"}


def test_every_write_takes_an_idempotency_key_and_a_replacement_takes_a_version():
    for path, method, operation in operations():
        if method != "get":
            parameters = {one["name"] for one in operation["parameters"]}
            assert "Idempotency-Key" in parameters, (path, method)
            assert {"409", "422", "429"} <= set(operation["responses"]), (path, method)
            replaces = method in {"put", "patch", "delete"} or path.endswith("/undo/")
            assert ("If-Match" in parameters) == replaces, (path, method)
            assert not replaces or {"412", "428"} <= set(operation["responses"]), (path, method)


def test_every_answer_has_examples_that_fit_its_schema():
    for path, method, operation in operations():
        for content in [operation.get("requestBody", {}), *operation["responses"].values()]:
            body = content.get("content", {}).get("application/json", {})
            examples = [example["value"] for example in body.get("examples", {}).values()]
            assert examples or not body or content is operation.get("requestBody"), (path, method)
            for example in examples:
                validator(json.dumps(body["schema"])).validate(example)


def test_the_document_has_its_server_and_explains_every_tag_it_uses():
    assert [server["url"] for server in document()["servers"]] == [settings.SITE_URL]
    tags = [tag["name"] for tag in document()["tags"]]
    assert tags == sorted({tag for _path, _method, operation in operations() for tag in operation["tags"]})
    assert all(tag["description"] for tag in document()["tags"])


def test_a_body_of_rows_is_also_text():
    (body,) = [one["requestBody"] for _path, _method, one in operations() if one["operationId"] == "bulk"]

    assert set(body["content"]) == {"application/json", "text/csv"}
    assert body["content"]["text/csv"]["schema"] == {"type": "string"}


@pytest.mark.parametrize("path", [path for path, methods in document()["paths"].items() if "{" not in path])
def test_a_list_is_a_file_where_the_caller_accepts_one(admin, path):
    """As with `format=csv`. What is no list says that it has no such form."""
    operation = document()["paths"][path].get("get")
    if operation is None:
        return
    is_list = "text/csv" in operation["responses"]["200"]["content"]
    api = next(one for one in map(Api, readers(admin)) if one.get(path).status_code not in (403, 404))

    answer = api.get(path, Accept="text/csv")

    if not is_list:
        assert (answer.status_code, answer["Content-Type"]) == (406, "application/problem+json")
        return
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert "Accept" in answer["Vary"]
    assert api.get(path, Accept="*/*")["Content-Type"] == "application/json"
    assert api.get(f"{path}?format=json", Accept="text/csv")["Content-Type"] == "application/json"
    refused = api.get(f"{path}?page_size=0&cursor=x&status=x&format=x", Accept="text/csv")
    assert (refused.status_code, refused["Content-Type"]) == (422, "application/problem+json")
    assert api.get(f"{path}?page_size=0", Accept="text/csv").status_code == 422


def readers(admin):
    """Yield a customer, a partner and staff: each list is for one of them at least."""
    yield admin
    yield make_member(make_partner().organisation)
    yield make_staff("auditor")


def test_every_component_is_a_json_schema():
    for schema in document()["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
