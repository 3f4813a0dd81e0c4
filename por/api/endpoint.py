"""What endpoints have in common: how a request is read, the headers of each answer, and versions."""

from __future__ import annotations

import re
from typing import Any

from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from por.api.problems import FieldError, Invalid, PreconditionRequired
from por.ops import metrics


class Endpoint(APIView):
    """One address of the API."""

    http_method_names = ["get", "head", "post", "put", "patch", "delete"]

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        patch_vary_headers(response, ["Authorization", "Cookie", "Accept-Language"])
        response.headers.setdefault("Cache-Control", "private, no-cache")
        if "Idempotent-Replayed" in response:
            metrics.REPLAYS.inc()
        return response


def entered(request: Request, shape: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """Return the body, checked against its shape; no body counts as an empty object. Raise Invalid."""
    if not isinstance(request.data, dict):
        raise Invalid("body_not_an_object", _("The request body must be a JSON object."))
    serializer = shape(data=request.data)
    unknown = [
        FieldError(name, "unknown_field", _("This field does not exist."))
        for name in request.data
        if name not in serializer.fields
    ]
    return _valid(serializer, unknown)


def asked(request: Request, shape: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """Return the query parameters, checked against their shape. Raise Invalid."""
    return _valid(shape(data=request.query_params), [])


def _valid(serializer: serializers.Serializer[Any], errors: list[FieldError]) -> dict[str, Any]:
    if not serializer.is_valid():
        for field, details in serializer.errors.items():
            errors += [FieldError(field, detail.code, str(detail)) for detail in details]
    if errors:
        raise invalid(errors)
    given: dict[str, Any] = serializer.validated_data
    return given


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
