"""The OpenAPI document, written from the types of the answers, so that it cannot differ from the code."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from django import forms
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers

from por.api.lists import MAX_PAGE_SIZE, PAGE_SIZE
from por.api.problems import MEDIA_TYPE
from por.web.filters import Lines


def timestamp(moment: datetime) -> str:
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)  # the database gives all in UTC
    return f"{in_utc.isoformat()[:-6]}Z"


def money(amount: Decimal) -> str:
    """Return an amount with two decimals, or with all that it has."""
    return f"{amount:.2f}" if amount == round(amount, 2) else f"{amount:f}"


def page_of(example: dict[str, Any]) -> dict[str, Any]:
    return {"next": None, "previous": None, "results": [example]}


class Is:
    """What a JSON schema adds to the type of a value. Used to annotate types."""

    def __init__(self, **schema: Any) -> None:
        self.schema = schema


Timestamp = Annotated[str, Is(format="date-time", description="UTC, with Z.")]
Day = Annotated[str, Is(format="date")]
Guid = Annotated[str, Is(format="uuid")]
Money = Annotated[str, Is(pattern=r"^-?[0-9]+\.[0-9]{2,}$", description="Exact, as text.")]
Month = Annotated[str, Is(pattern="^[0-9]{4}-[0-9]{2}$")]

#: The names that JSON has for types of Python.
JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}

PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457). `code` is stable; `detail` is for people, in their language.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "Where the code is explained."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": "string", "description": "Quote it when you ask for help; also in X-Request-ID."},
        "errors": {
            "type": "array",
            "description": "The inputs at fault, if it is any one of them.",
            "items": {
                "type": "object",
                "required": ["field", "code", "detail"],
                "properties": {name: {"type": "string"} for name in ("field", "code", "detail")},
            },
        },
    },
}


#: The named types of answers; the document holds each once.
COMPONENTS: dict[str, dict[str, Any]] = {"Problem": PROBLEM}

#: The codes of errors at every address, by status.
ANYWHERE: dict[int, list[str]] = {
    400: ["bad_request"],
    401: ["not_authenticated", "token_invalid"],
    405: ["method_not_allowed"],
    406: ["not_acceptable"],
    422: ["not_storable", "unknown_parameter", "parameter_twice", "invalid"],
    500: ["internal_error"],
    503: ["unavailable"],
}

#: And at every address that writes.
WRITING: dict[int, list[str]] = {
    403: ["no_right", "token_is_read_only", "csrf_failed"],
    409: ["idempotency_in_progress"],
    413: ["body_too_large"],
    415: ["unsupported_media_type"],
    422: [
        "malformed_json",
        "body_not_an_object",
        "field_twice",
        "unknown_field",
        "required",
        "null",
        "invalid",
        "max_length",
        "null_characters_not_allowed",
        "surrogate_characters_not_allowed",
        "idempotency_key_malformed",
        "idempotency_key_reused",
    ],
    429: ["busy"],
}

LISTING: dict[int, list[str]] = {422: ["page_size_invalid", "cursor_invalid", "invalid_choice"]}

#: Codes of filters that are forms.
FILTERING: dict[int, list[str]] = {
    422: ["invalid", "invalid_choice", "max_length", "null_characters_not_allowed"],
}

VERSIONED: dict[int, list[str]] = {412: ["stale"], 428: ["precondition_required"]}

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Choose a new key for each request. If you send the same request again with the same key, you get the"
    " first answer and nothing changes. Keys are kept for at least 24 hours, for one organisation.",
)

IDEMPOTENT_REPLAYED = OpenApiParameter(
    "Idempotent-Replayed",
    {"type": "string", "enum": ["true"]},
    OpenApiParameter.HEADER,
    description="Only there when the answer is a replay.",
    response=[200, 201, 204],
)

IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    required=True,
    description="The ETag you last saw, or `*` for any.",
)

ETAG = OpenApiParameter(
    "ETag", str, OpenApiParameter.HEADER, description="The version, for If-Match.", response=[200, 201, 204]
)

FORMAT = OpenApiParameter(
    "format",
    str,
    enum=["json", "csv"],
    description="`csv`: all of it as a file, UTF-8 with a header; as with `Accept: text/csv`.",
)

PAGING = [
    OpenApiParameter("cursor", str, description="From `next` or `previous`; opaque."),
    OpenApiParameter("page_size", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE}),
    FORMAT,
]


class Schema(AutoSchema):
    """The library's part of the document, with the bodies of DELETE, which ours may have."""

    def _get_request_body(self, direction: str = "request") -> Any:
        method = self.method
        if method == "DELETE":
            self.method = "POST"
        try:
            return super()._get_request_body(direction)  # type: ignore[no-untyped-call]
        finally:
            self.method = method


View = TypeVar("View", bound=Callable[..., Any])


def described(
    name: str,
    summary: str,
    text: str = "",
    *,
    answers: Mapping[int, Any],
    example: Any = None,
    examples: Mapping[int, Any] | None = None,
    body: type[serializers.Serializer[Any]] | None = None,
    body_example: Any = None,
    query: type[serializers.Serializer[Any]] | None = None,
    problems: Mapping[int, Sequence[str]] | None = None,
    is_list: bool = False,
    is_file: bool = False,
    takes_csv: bool = False,
    writes: bool = False,
    versioned: bool = False,
    public: bool = False,
    filters: type[forms.Form] | None = None,
) -> Callable[[View], View]:
    """Return a decorator that puts a method into the document: the types of its answers and its codes, by status.

    `example` is that of all statuses that have none of their own in `examples`. `is_file` means that the answer is
    also there as CSV, `takes_csv` that the body is too.
    """
    codes: dict[int, list[str]] = {}
    groups = [{status: some for status, some in ANYWHERE.items() if not (public and status == 401)}, problems or {}]
    parameters: list[Any] = [query] if query else []
    if is_list:
        groups.append(LISTING)
        parameters += PAGING
    if is_file:
        parameters.append(FORMAT)
    if filters:
        groups.append(FILTERING)
        parameters += [_parameter(name, field) for name, field in filters.base_fields.items()]
    if writes:
        groups.append(WRITING)
        parameters += [IDEMPOTENCY_KEY, IDEMPOTENT_REPLAYED]
        if versioned:
            groups.append(VERSIONED)
            parameters.append(IF_MATCH)
    if versioned:
        parameters.append(ETAG)
    names = [one.name for one in parameters if isinstance(one, OpenApiParameter) and one.location == one.QUERY]
    names += query().fields if query else ()
    for group in groups:
        for status, some in group.items():
            codes.setdefault(status, []).extend(code for code in some if code not in codes.get(status, []))
    responses: dict[Any, Any] = {}
    for status, hint in answers.items():
        responses[status, "application/json"] = _answer(
            _page_of(hint) if is_list else schema_of(hint), (examples or {}).get(status, example)
        )
        if is_list or is_file:
            responses[status, "text/csv"] = OpenApiResponse({"type": "string"})
    for status, some in sorted(codes.items()):
        responses[status, MEDIA_TYPE] = OpenApiResponse(_problem(some), description="`" + "`, `".join(some) + "`")
    requests = [OpenApiExample("Request", value=body_example, request_only=True)] if body_example else []
    decorate: Callable[[View], View] = extend_schema(
        operation_id=name,
        summary=summary,
        description=inspect.cleandoc(text),
        request={"application/json": body, "text/csv": {"type": "string"}} if takes_csv else body,
        responses=responses,
        parameters=parameters,
        examples=requests,
    )

    def mark(view: View) -> View:
        view.gives_csv = is_list or is_file  # type: ignore[attr-defined]
        view.parameters = frozenset(names)  # type: ignore[attr-defined]
        view.several = frozenset(  # type: ignore[attr-defined]
            name for name, field in (filters.base_fields if filters else {}).items() if isinstance(field.widget, Lines)
        )
        return decorate(view)

    return mark


def _answer(schema: dict[str, Any] | None, example: Any) -> OpenApiResponse:
    if schema is None:
        return OpenApiResponse(description="Done; no content.")
    examples = [] if example is None else [OpenApiExample("Answer", value=example, response_only=True)]
    return OpenApiResponse(schema, examples=examples)


def _problem(codes: Sequence[str]) -> dict[str, Any]:
    return {
        "allOf": [
            {"$ref": "#/components/schemas/Problem"},
            {"type": "object", "properties": {"code": {"enum": list(codes)}}},
        ]
    }


def _page_of(hint: Any) -> dict[str, Any]:
    link = {"type": ["string", "null"], "format": "uri"}
    return {
        "type": "object",
        "required": ["next", "previous", "results"],
        "properties": {"next": link, "previous": link, "results": {"type": "array", "items": schema_of(hint)}},
    }


def _parameter(name: str, field: forms.Field) -> OpenApiParameter:
    """Return a filter as a parameter, with the schema of its form field."""
    schema: dict[str, Any] = {"type": "string"}
    if isinstance(field, forms.ChoiceField):
        schema["enum"] = [str(value) for value, _label in field.choices if value]  # type: ignore[union-attr,misc]
    if isinstance(field, forms.DateField):
        schema["format"] = "date"
    if isinstance(field, forms.UUIDField):
        schema["format"] = "uuid"
    if isinstance(field.widget, Lines):
        schema = {"type": "array", "items": schema}
    return OpenApiParameter(name, schema, description=str(field.help_text))


def schema_of(hint: Any) -> Any:
    """Return the JSON schema of a type; a TypedDict becomes a component with its name. Raise TypeError."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return schema_of(arguments[0]) | arguments[1].schema
    if origin is NotRequired:
        return schema_of(arguments[0])
    if origin is Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": schema_of(arguments[0])}
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema_of(one) for one in arguments]}
    if is_typeddict(hint):
        return _component(hint)
    if hint is None:
        return None
    if hint in JSON_TYPES:
        return {"type": JSON_TYPES[hint]}
    if hint is dict or origin is dict:
        return {"type": "object"}
    raise TypeError(f"no JSON schema for {hint!r}")


def _component(shape: Any) -> dict[str, Any]:
    name = shape.__name__.removesuffix("Shape")
    if name not in COMPONENTS:
        hints = get_type_hints(shape, include_extras=True)
        COMPONENTS[name] = {
            "type": "object",
            "description": inspect.cleandoc(shape.__doc__ or ""),
            "properties": {field: schema_of(hint) for field, hint in hints.items()},
            "required": [field for field, hint in hints.items() if get_origin(hint) is not NotRequired],
        }
    return {"$ref": f"#/components/schemas/{name}"}


def add_components(result: dict[str, Any], **_rest: Any) -> dict[str, Any]:
    """Add our components to those of the library. It calls this as its last step."""
    schemas = result["components"].setdefault("schemas", {})
    schemas.update(COMPONENTS)
    result["components"]["schemas"] = dict(sorted(schemas.items()))
    return result
