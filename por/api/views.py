"""The API's own addresses: its document, the page that explains it, and the 404 of all other addresses."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from rest_framework.request import Request

from por.api.endpoint import Endpoint
from por.api.problems import MEDIA_TYPE

METHODS = ("get", "post", "put", "patch", "delete")


class Nothing(Endpoint):
    """The 404 of every address under /api/ that does not exist."""

    authentication_classes = ()
    permission_classes = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise Http404


_one_at_a_time = Lock()  # the library keeps what it works on in global variables


def document() -> dict[str, Any]:
    """Return the OpenAPI document, made once in each process: it depends on the code only."""
    with _one_at_a_time:
        return made()


@cache
def made() -> dict[str, Any]:
    result: dict[str, Any] = SchemaGenerator().get_schema(public=True)  # type: ignore[no-untyped-call]
    return result


class Schema(Endpoint):
    """The document itself; no sign-in is needed."""

    schema = None  # the document leaves itself out
    authentication_classes = ()
    permission_classes = ()

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        return super().perform_content_negotiation(request, force=True)  # it has one format only

    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(json.dumps(document(), ensure_ascii=False), content_type="application/vnd.oai.openapi+json")


@login_not_required
@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """Show the same document to people, on a page without scripts."""
    return render(
        request,
        "api/docs.html",
        {"site": settings.SITE_URL, "groups": groups(), "problems": problems(), "shapes": shapes()},
    )


# --- The document as the page shows it -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parameter:
    name: str
    where: str
    required: bool
    kind: str
    text: str


@dataclass(frozen=True)
class Answer:
    status: str
    text: str
    kind: str
    codes: list[str]


@dataclass(frozen=True)
class Shape:
    text: str
    fields: list[Parameter]


@dataclass(frozen=True)
class Operation:
    """One method of one address."""

    id: str
    method: str
    path: str
    summary: str
    text: str
    parameters: list[Parameter]
    body: list[Parameter]
    answers: list[Answer]
    example: str
    curl: str


def groups() -> dict[str, list[Operation]]:
    """Return the operations, by the first part of their address."""
    result: dict[str, list[Operation]] = {}
    for path, methods in document()["paths"].items():
        for method in METHODS:
            if method in methods:
                operation = methods[method]
                result.setdefault(operation["tags"][0], []).append(_operation(path, method, operation))
    return result


def problems() -> dict[str, list[str]]:
    """Return every code in the document with the statuses it comes with, in alphabetical order."""
    found: dict[str, list[str]] = {}
    for operations in groups().values():
        for operation in operations:
            for answer in operation.answers:
                for code in answer.codes:
                    found.setdefault(code, []).append(answer.status)
    return {code: sorted(set(statuses)) for code, statuses in sorted(found.items())}


def shapes() -> dict[str, Shape]:
    """Return the named types of bodies and answers."""
    components = document()["components"]["schemas"]
    return {name: Shape(_text(shape), _fields(shape)) for name, shape in components.items()}


def _operation(path: str, method: str, operation: dict[str, Any]) -> Operation:
    body = _body(operation)
    answers = [_answer(status, answer) for status, answer in sorted(operation["responses"].items())]
    parameters = [
        Parameter(one["name"], one["in"], one.get("required", False), _kind(one["schema"]), _text(one))
        for one in operation.get("parameters", [])
        if one["in"] != "path"
    ]
    sent = next((example["value"] for example in body.get("examples", {}).values()), None)
    return Operation(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        text=_text(operation),
        parameters=parameters,
        body=_fields(_resolved(body["schema"])) if body else [],
        answers=answers,
        example=_example(operation),
        curl=_curl(path, method, parameters, sent),
    )


def _body(operation: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return content


def _example(operation: dict[str, Any]) -> str:
    """Return the first example of an answer; an empty text if there is none."""
    for answer in operation["responses"].values():
        for example in answer.get("content", {}).get("application/json", {}).get("examples", {}).values():
            return json.dumps(example["value"], ensure_ascii=False, indent=2)
    return ""


def _answer(status: str, answer: dict[str, Any]) -> Answer:
    content = answer.get("content", {})
    if MEDIA_TYPE in content:
        codes = content[MEDIA_TYPE]["schema"]["allOf"][1]["properties"]["code"]["enum"]
        return Answer(status, "", "Problem", codes)
    kind = _kind(content["application/json"]["schema"]) if "application/json" in content else ""
    return Answer(status, answer.get("description", ""), kind, [])


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    resolved: dict[str, Any] = document()["components"]["schemas"][_named(schema)]
    return resolved


def _named(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _fields(schema: dict[str, Any]) -> list[Parameter]:
    required = schema.get("required", [])
    return [
        Parameter(name, "body", name in required, _kind(field), _text(field))
        for name, field in schema.get("properties", {}).items()
    ]


def _text(described: dict[str, Any]) -> str:
    """Return the description without backticks."""
    return str(described.get("description", "")).replace("`", "")


def _kind(schema: dict[str, Any]) -> str:
    """Return a type in a few words: `string (date-time)`, `Partner or null`, `list of Subscription`."""
    if "$ref" in schema:
        return _named(schema)
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    if "results" in schema.get("properties", {}):
        return f"page of {_kind(schema['properties']['results']['items'])}"
    kinds = schema.get("type", "any")
    words = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    return f"{words} ({schema['format']})" if "format" in schema else words


def _curl(path: str, method: str, parameters: list[Parameter], sent: Any) -> str:
    """Return a command line that works once the token and the id are filled in."""
    parts = ["curl", "-H", '"Authorization: Bearer $TOKEN"']
    if method != "get":
        parts[1:1] = ["-X", method.upper()]
        parts += ["-H", '"Idempotency-Key: $(uuidgen)"']
    if any(one.name == "If-Match" for one in parameters):
        parts += ["-H", "'If-Match: \"7\"'"]
    if sent is not None:
        parts += ["-H", "'Content-Type: application/json'", "-d", shlex.quote(json.dumps(sent, ensure_ascii=False))]
    asked = "&".join(f"{one.name}=…" for one in parameters if one.where == "query" and one.required)
    address = f"{settings.SITE_URL}{path}" + (f"?{asked}" if asked else "")
    return " ".join([*parts, shlex.quote(address)])
