"""The errors of the API: one shape for all of them (RFC 9457), with a code that programs can rely on."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.signals import got_request_exception
from django.http import Http404, HttpResponse, JsonResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.utils import translation
from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.response import Response

from por import errors as refusals
from por.errors import Refused, TryLater, VersionConflict
from por.ops import metrics
from por.ops.logs import request_id
from por.web.bounds import too_large_text
from por.web.refusals import refusal_of

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

logger = logging.getLogger("por.api")

MEDIA_TYPE = "application/problem+json"


class FieldError(NamedTuple):
    """What is wrong with one input."""

    field: str
    code: str
    detail: str


class Invalid(Refused):
    """What was sent cannot be used. `errors` lists the inputs at fault; it is empty if no single input is."""

    def __init__(self, code: str, message: str | LazyText, *, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(code, message)
        self.errors = errors


class PreconditionRequired(Refused):
    """The caller must name the version it saw, and did not."""


def handler(exception: Exception, context: Mapping[str, Any]) -> Response:
    """Return the answer to an exception behind an endpoint. Log an unexpected one; its answer gives no details."""
    match exception:
        case Refused():
            return _refused(exception)
        case Http404():
            return problem(404, "not_found", _text_of("not_found"))
        case PermissionDenied():
            return problem(403, "no_right", _text_of("no_right"))
        case RequestDataTooBig():
            return problem(413, "body_too_large", too_large_text())
        case SuspiciousOperation() | BadRequest() | MultiPartParserError() | UnreadablePostError():
            return problem(400, "bad_request", _text_of("bad_request"))
        case exceptions.APIException():
            return _of_the_framework(exception)
    if refused := refusal_of(exception):
        return _refused(refused)
    request = context["request"]._request
    got_request_exception.send(sender=type(context["view"]), request=request)
    logger.error("%s failed", context["view"].__class__.__name__, exc_info=exception)
    return problem(500, "internal_error", _text_of("internal_error"))


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
    why: Refused | None = None,
) -> Response:
    """Return an error as RFC 9457 has it, with our `code` and `request_id`, and `errors` where inputs are at fault.

    Count it as a refusal.
    """
    body = _body(status, code, detail)
    metrics.refused(code, status, why)
    if errors:
        body["errors"] = [error._asdict() for error in errors]
    return Response(body, status=status, headers=dict(headers or {}), content_type=MEDIA_TYPE)


#: The codes of errors that no endpoint has answered, by status.
CODES = {
    400: "bad_request",
    401: "not_authenticated",
    403: "no_right",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
}


def in_place_of(response: HttpResponse) -> HttpResponse:
    """Return the problem document for a page of an error, with its other headers.

    The page of a refusal has its code and its message.
    """
    status = response.status_code
    with translation.override(response.get("Content-Language", settings.LANGUAGE_CODE)):
        refused = getattr(response, "refused", None)
        if refused is not None:
            status = _status_of(refused)
            body = _body(status, refused.code, str(refused))
        else:
            code = CODES.get(status, "bad_request" if status < 500 else "internal_error")
            metrics.refused(code, status)
            body = _body(status, code, _text_of(code))
    answer = JsonResponse(body, status=status, content_type=MEDIA_TYPE)
    answer["Content-Length"] = str(len(answer.content))
    for name, value in response.items():
        answer.headers.setdefault(name, value)
    answer.cookies = response.cookies
    return answer


def _text_of(code: str) -> str:
    match code:
        case "not_found":
            return _("This does not exist, or you do not have access to it.")
        case "no_right":
            return _("Your role does not allow this.")
        case "not_authenticated":
            return _("Sign in, or send a token.")
        case "method_not_allowed":
            return _("This address does not support this method.")
        case "body_too_large":
            return too_large_text()
        case "bad_request":
            return _("We cannot understand the request. Check it and send it again.")
    return _("Something went wrong on our side. Try again. If you ask for help, quote the request ID.")


def _body(status: int, code: str, detail: str) -> dict[str, Any]:
    return {
        "type": f"{settings.SITE_URL}/api/docs/#{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id.get(),
    }


def _refused(refused: Refused) -> Response:
    errors: Sequence[FieldError] = ()
    if isinstance(refused, Invalid):
        errors = refused.errors
    elif refused.field:
        errors = [FieldError(refused.field, refused.code, str(refused))]
    status, headers = _status_of(refused), _retry_after(refused)
    return problem(status, refused.code, str(refused), errors=errors, headers=headers, why=refused)


def _retry_after(refused: Refused) -> dict[str, str]:
    return {"Retry-After": str(refused.retry_after)} if isinstance(refused, TryLater) else {}


def _status_of(refused: Refused) -> int:
    """Return the status of a page, but 412, 428 and 422 where a page has only 409."""
    match refused:
        case VersionConflict():
            return 412
        case PreconditionRequired():
            return 428
        case Invalid():
            return 422
    status = refusals.status_of(refused)
    return 422 if status == 409 and refused.field else status


def _of_the_framework(exception: exceptions.APIException) -> Response:
    match exception:
        case exceptions.NotAuthenticated():
            code, detail = "not_authenticated", _text_of("not_authenticated")
        case exceptions.AuthenticationFailed():
            code, detail = (
                "token_invalid",
                _("This token does not exist or has been revoked, or its owner can no longer use it."),
            )
        case exceptions.MethodNotAllowed():
            code, detail = "method_not_allowed", _text_of("method_not_allowed")
        case exceptions.NotAcceptable():
            code, detail = "not_acceptable", _("The API responds in JSON only. To get a list as CSV, add ?format=csv.")
        case exceptions.UnsupportedMediaType():
            code, detail = "unsupported_media_type", _("Send the request body as application/json.")
        case _:
            code, detail = "bad_request", _text_of("bad_request")
    # HTTP requires this header of a 401, and only a 401 has it.
    challenge = getattr(exception, "auth_header", None)
    headers = {"WWW-Authenticate": challenge} if challenge else None
    return problem(exception.status_code, code, detail, headers=headers)
