"""How every endpoint writes: the order of refusals, versions, and Idempotency-Keys.

A request that breaks several rules is refused for the first of these: 404, 403, the Idempotency-Key, 428 or 412,
what was sent (413, 415, 422), 429, the state of the record (409).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadedfile import UploadedFile
from django.db import connection, transaction
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from por.accounts import actions
from por.accounts.authentication import actor_of
from por.accounts.models import Actor, IdempotencyKey
from por.api.endpoint import check_parameters, matches, only_version, takes_any
from por.api.problems import PreconditionRequired
from por.api.renderers import JSONRenderer
from por.errors import Forbidden, NotFound, Refused, Unavailable, VersionConflict

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

KEY_LENGTH = 255
#: The headers of a first answer that are kept with its body.
KEPT_HEADERS = ("ETag",)


@dataclass(frozen=True)
class Target:
    """What a write is about. `find` returns it if the actor may see it, else it raises NotFound.

    `stale` is the message for a version that is not the current one. It is empty where a write names no version;
    with `must_match` a write has to name one.
    """

    find: Callable[[], Any]
    stale: LazyText | str = ""
    must_match: bool = False


class _KeyRefused(Refused):
    """The Idempotency-Key cannot be used for this request."""


def write(
    request: Request, right: str, work: Callable[[int | None], Response], target: Target | None = None
) -> Response:
    """Return the answer of the work, or the first answer under the same Idempotency-Key. Raise the first refusal.

    Where `right` is empty, everyone who may write at all may do this. The work gets the version that its verb must
    find, None for any. The verb itself checks, under its lock, whether the actor may see the target and which version
    it has. So here the target is only looked up after a refusal, to refuse in the right order.
    """
    actor = actor_of(request)

    def checked_work() -> Response:
        version = _version(request, target)
        check_parameters(request)
        return work(version)

    try:
        _require(actor, right)
    except Forbidden:
        if target:
            target.find()
        raise
    try:
        return idempotent(request, checked_work)
    except (NotFound, Forbidden, PreconditionRequired, VersionConflict, Unavailable):
        raise
    except _KeyRefused:
        if target:
            target.find()
        raise
    except (Refused, APIException, SuspiciousOperation):
        if target:
            _check(request, target)
        raise


def _require(actor: Actor, right: str) -> None:
    if right:
        actor.require(right)
    else:
        actor.require_writing()


# --- Versions -------------------------------------------------------------------------------------------------------


def _version(request: Request, target: Target | None) -> int | None:
    """Return the version that If-Match names; None if any version will do."""
    if target is None or not _needs_version(request, target) or takes_any(request):
        return None
    return only_version(request) or _check(request, target)


def _check(request: Request, target: Target) -> int | None:
    """Return the target's version, if the request names it. Raise NotFound, PreconditionRequired or VersionConflict."""
    found = target.find()
    if not _needs_version(request, target):
        return None
    if not matches(request, found.version):
        raise VersionConflict("stale", target.stale)
    version: int = found.version
    return version


def _needs_version(request: Request, target: Target) -> bool:
    return target.must_match or bool(target.stale and request.headers.get("If-Match", "").strip())


# --- Once for each key ----------------------------------------------------------------------------------------------


def idempotent(request: Request, work: Callable[[], Response]) -> Response:
    """Return the answer of the work. With an Idempotency-Key, do the work once and then repeat its answer.

    Only success is kept, in the transaction of the work. A refusal does not roll that transaction back: the verb that
    refused has undone its own writes, and what it counted (tries at an ID) stays counted.
    """
    key = _key(request)
    if key is None:
        return work()
    refused: Refused | None = None
    with transaction.atomic():
        if first := _first_answer(request, key):
            return first
        try:
            response = work()
        except Refused as refusal:
            refused = refusal
        else:
            _keep(request, key, response)
    if refused is not None:
        raise refused
    return response


def _key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key.strip()) <= KEY_LENGTH or not key.isprintable():
        raise _KeyRefused(
            "idempotency_key_malformed",
            _("The idempotency key must have 1 to 255 printable characters."),
            field="Idempotency-Key",
        )
    return key.strip()


def _first_answer(request: Request, key: str) -> Response | None:
    """Return the stored answer if this request has been answered. Lock the key until the transaction ends."""
    organisation_id = actor_of(request).organisation_id
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [f"idempotency {organisation_id} {key}"]
        )
        (mine,) = cursor.fetchone()
    if not mine:
        raise _KeyRefused(
            "idempotency_in_progress",
            _("The first request with this key is still in progress. Wait a moment, then try again."),
        )
    stored = IdempotencyKey.objects.filter(organisation=organisation_id, key=key).first()
    if stored is None:
        return None
    if stored.request_digest != _digest(request):
        raise _KeyRefused(
            "idempotency_key_reused",
            _("This key was already used for a different request. Use a new key for each request."),
            field="Idempotency-Key",
        )
    body = json.loads(stored.body) if stored.body else None
    return Response(body, status=stored.status, headers={**stored.headers, "Idempotent-Replayed": "true"})


def _keep(request: Request, key: str, response: Response) -> None:
    actions.keep_answer(
        key,
        by=actor_of(request),
        request_digest=_digest(request),
        status=response.status_code,
        headers={name: response[name] for name in KEPT_HEADERS if name in response},
        body="" if response.data is None else JSONRenderer().render(response.data).decode(),
    )


def _digest(request: Request) -> str:
    """Return a digest of method, address and content, the same however the JSON is spaced and ordered."""
    data = request.data
    named = dict(data.lists()) if isinstance(data, MultiValueDict) else data
    content = json.dumps(named, sort_keys=True, default=_digest_of_file)
    return hashlib.sha256(f"{request.method} {request.get_full_path()}\n{content}".encode()).hexdigest()


def _digest_of_file(file: UploadedFile[bytes]) -> list[str | None]:
    file.seek(0)
    return [file.name, hashlib.file_digest(file, "sha256").hexdigest()]
