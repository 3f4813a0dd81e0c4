"""What endpoints have in common: how a request is read, the headers of each answer, and versions."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches
from itertools import islice
from typing import Any

from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from por.api.problems import FieldError, Invalid, PreconditionRequired
from por.api.renderers import CsvRenderer, JSONRenderer
from por.ops import metrics

#: How many errors an answer lists; a body may have thousands of rows.
MOST_ERRORS = 100


def wants_csv(request: Request) -> bool:
    """Return whether the answer is to be a file: by `?format=csv`, else by the Accept header. Raise Invalid."""
    accepted: str = request.accepted_renderer.format
    match request.query_params.get("format", accepted):
        case "json":
            request.accepted_renderer, request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type
            return False
        case "csv":
            return True
    raise invalid([FieldError("format", "invalid_choice", _("The format must be json or csv."))])


@extend_schema_field({"type": ["string", "integer"]})
class DigitsField(serializers.CharField):
    """Text of digits, which may also come as a whole number: an MPN ID."""


class TrueOrFalseField(serializers.BooleanField):
    """A boolean of JSON, and nothing that could stand for one: "false" as a text must not become true or false."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class NoBody(serializers.Serializer[Any]):
    """An empty body."""


class Endpoint(APIView):
    """One address of the API."""

    http_method_names = ["get", "head", "post", "put", "patch", "delete"]

    def get_renderers(self) -> list[Any]:
        """Return JSON, and CSV where the method also answers with a file."""
        method = (getattr(self, "request", None) and self.request.method or "").lower()
        gives_csv = getattr(getattr(self, method, None), "gives_csv", False)
        return [*super().get_renderers(), *([CsvRenderer()] if gives_csv else [])]

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Return the renderer and the media type. Most callers name JSON or nothing, and need no comparison."""
        if request.META.get("HTTP_ACCEPT", "*/*") in ("*/*", JSONRenderer.media_type):
            renderer = self.get_renderers()[0]
            return renderer, renderer.media_type
        return super().perform_content_negotiation(request, force)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Let the caller in, and check the query of a method that reads. A write does so in an order of its own."""
        super().initial(request, *args, **kwargs)
        if request.method in SAFE_METHODS:
            check_parameters(request)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        patch_vary_headers(response, ["Accept", "Authorization", "Cookie", "Accept-Language"])
        response.headers.setdefault("Cache-Control", "private, no-store")
        if "Idempotent-Replayed" in response:
            metrics.REPLAYS.inc()
        return response


def check_parameters(request: Request) -> None:
    """Raise Invalid for a parameter that the method does not know: it may be meant to change what the method does."""
    method = getattr(request.parser_context["view"], (request.method or "").lower(), None)
    known = getattr(method, "parameters", None)
    if known is not None:
        several: frozenset[str] = getattr(method, "several", frozenset())
        if errors := list(islice(_unfit_parameters(request, known, several), MOST_ERRORS)):
            raise invalid(errors)


def _unfit_parameters(request: Request, known: Iterable[str], several: Collection[str]) -> Iterator[FieldError]:
    """Yield the parameters of the query that there are not, and those that are there twice and may not be."""
    for name, values in request.query_params.lists():
        if name not in known:
            yield FieldError(name, "unknown_parameter", _unknown_parameter(name, known))
        elif len(values) > 1 and name not in several:
            yield FieldError(name, "parameter_twice", _("The query has this parameter twice. Send it once."))


def _unknown_parameter(name: str, known: Iterable[str]) -> str:
    if nearest := get_close_matches(name[:100], list(known), 1):
        return _("This parameter does not exist. Did you mean %(name)s?") % {"name": nearest[0]}
    return _("This parameter does not exist.")


def entered(request: Request, shape: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """Return the body, checked against its shape; no body counts as an empty object. Raise Invalid."""
    return checked(request.data, shape)


def checked(body: Any, shape: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """Return the body, checked against its shape at any depth: its fields, and the types of JSON. Raise Invalid."""
    if not isinstance(body, dict):
        raise Invalid("body_not_an_object", _("The request body must be a JSON object."))
    serializer = shape(data=body)
    return _valid(serializer, _misplaced(serializer, body))


def asked(request: Request, shape: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """Return the query parameters, checked against their shape. Raise Invalid."""
    return _valid(shape(data=request.query_params), [])


def _valid(serializer: serializers.Serializer[Any], misplaced: Iterable[FieldError]) -> dict[str, Any]:
    errors = {error.field: error for error in islice(misplaced, MOST_ERRORS)}
    if not serializer.is_valid():
        for error in islice(_walked(serializer.errors), MOST_ERRORS):
            errors.setdefault(error.field, error)
    if errors:
        raise invalid(list(errors.values())[:MOST_ERRORS])
    given: dict[str, Any] = serializer.validated_data
    return given


def _misplaced(field: Any, value: Any, *path: str) -> Iterator[FieldError]:
    """Yield the fields that the shape does not have, and the numbers and booleans where it has text."""
    match field, value:
        case serializers.Serializer(), dict():
            for name, one in value.items():
                if name in field.fields:
                    yield from _misplaced(field.fields[name], one, *path, name)
                else:
                    yield FieldError(".".join([*path, name]), "unknown_field", _unknown(name, field.fields))
        case ((serializers.ListField() | serializers.ListSerializer()), list()):
            for number, one in enumerate(value):
                yield from _misplaced(field.child, one, *path, str(number))
        case DigitsField(), int() if not isinstance(value, bool):
            return
        case ((serializers.CharField() | serializers.UUIDField() | serializers.DateField()), int() | float()):
            yield FieldError(".".join(path), "invalid", _("This must be text, in quotation marks."))


def _unknown(name: str, known: Iterable[str]) -> str:
    if nearest := get_close_matches(name[:100], list(known), 1):
        return _("This field does not exist. Did you mean %(name)s?") % {"name": nearest[0]}
    return _("This field does not exist.")


def _walked(errors: Any, *path: str) -> Iterator[FieldError]:
    """Yield what is wrong at any depth, with the path to it: `rows.3.mpn_id`."""
    if isinstance(errors, dict):
        for name, inside in errors.items():
            yield from _walked(inside, *path, *([] if name == api_settings.NON_FIELD_ERRORS_KEY else [str(name)]))
        return
    for number, error in enumerate(errors):
        if isinstance(error, dict):
            yield from _walked(error, *path, str(number))
        else:
            yield FieldError(".".join(path), error.code, str(error))


def invalid(errors: list[FieldError]) -> Invalid:
    """Return the refusal of these inputs: with the message of the only one, or a general message."""
    if len(errors) == 1:
        return Invalid(errors[0].code, errors[0].detail, errors=errors)
    return Invalid(
        "invalid", _("Several fields are not valid. Correct them and send the request again."), errors=errors
    )


# --- Versions -------------------------------------------------------------------------------------------------------

_TAG = re.compile(r'(?:W/)?"([^"]*)"')
_ONLY_VERSION = re.compile(r'(?:W/)?"([1-9][0-9]{0,17})"')


def etag(version: int) -> str:
    return f'"{version}"'


def takes_any(request: Request) -> bool:
    return request.headers.get("If-Match", "").strip() == "*"


def only_version(request: Request) -> int | None:
    """Return the version that If-Match names, if it names one and nothing else."""
    named = _ONLY_VERSION.fullmatch(request.headers.get("If-Match", "").strip())
    return int(named[1]) if named else None


def matches(request: Request, version: int) -> bool:
    """Return whether If-Match names this version, or any. Raise PreconditionRequired if the header is missing.

    A weak tag counts as the strong one: proxies that compress answers weaken it, and a version is exact either way.
    """
    given = request.headers.get("If-Match", "").strip()
    if not given:
        raise PreconditionRequired(
            "precondition_required",
            _("Send the ETag you last received in the If-Match header, so that you do not overwrite other changes."),
        )
    return takes_any(request) or str(version) in _TAG.findall(given)
