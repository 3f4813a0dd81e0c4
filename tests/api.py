"""A client of the API that checks every answer against the OpenAPI document, so that the two cannot differ."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from functools import cache
from typing import Any

from django.test import Client
from jsonschema import Draft202012Validator, FormatChecker

from por.accounts import actions
from por.accounts.models import Actor
from por.api.views import document

V1 = "/api/v1/"


class Api:
    """A client with a token of this actor, or with none."""

    def __init__(self, actor: Actor | None = None, *, read_only: bool = False) -> None:
        self.client = Client()
        self.headers: dict[str, str] = {}
        if actor is not None:
            assert actor.user
            assert actor.organisation
            self.token, secret = actions.create_token(actor.user, actor.organisation, name="test", read_only=read_only)
            self.headers["Authorization"] = f"Bearer {secret}"

    def get(self, path: str, query: dict[str, Any] | None = None, **headers: str) -> Any:
        return self._send("get", path, query=query, headers=headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._send("put", path, body, headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._send("post", path, body, headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._send("patch", path, body, headers)

    def delete(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._send("delete", path, body, headers)

    def _send(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, query: Any = None
    ) -> Any:
        path = path if path.startswith("/") else V1 + path
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        response = self.client.generic(
            method.upper(),
            path,
            content,
            content_type=given.pop("Content-Type", "application/json"),
            headers=self.headers | given,
            query_params=query,
        )
        check(method, path.partition("?")[0], response)
        return response


def check(method: str, path: str, response: Any) -> None:
    """Fail unless the document has this answer of this method and address."""
    paths = document()["paths"]
    for template, methods in sorted(paths.items(), key=lambda one: one[0] != path):  # the address itself comes first
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method in methods:
            break
    else:
        return  # an address or method that the document does not know
    answers = methods[method]["responses"]
    assert str(response.status_code) in answers, f"{method} {template} has no {response.status_code} in the document"
    content = answers[str(response.status_code)].get("content", {})
    media_type = response.get("Content-Type", "").partition(";")[0]
    if not content:
        assert not response.content
        return
    assert media_type in content, f"{method} {template} has no {media_type} in the document"
    if media_type != "text/csv":
        validator(json.dumps(content[media_type]["schema"])).validate(response.json())


@cache
def validator(schema: str) -> Draft202012Validator:
    """Return the validator of a schema of the document, given as JSON."""
    components = {name: _closed(one) for name, one in document()["components"]["schemas"].items()}
    whole = json.loads(schema) | {"components": {"schemas": components}}
    return Draft202012Validator(whole, format_checker=FormatChecker())


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema without room for other fields: the document has to name them all."""
    schema = deepcopy(schema)
    if "properties" in schema:
        schema["additionalProperties"] = False
    return schema
