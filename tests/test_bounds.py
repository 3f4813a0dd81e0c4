"""How large a request may be: whatever address it is for, too large a body is not even read."""

from __future__ import annotations

import contextlib
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import Resolver404, resolve

from associations.attaching.actions import moving
from associations.claims import rules as claims
from associations.jobs.actions import bulk
from associations.jobs.actions import rows as sent
from associations.jobs.forms import BulkForm
from associations.jobs.models import Job
from por import serving
from por.accounts import writes
from por.accounts.models import Actor
from por.api import parsers
from por.api.views import document
from por.breaches import rules as breaches
from por.documents import kinds
from por.imports import mapping, uploads
from por.imports import rules as imports
from por.wsgi import application
from tests.api import Api, check
from tests.factories import make_member, make_partner, make_staff
from tests.pages import signed_in
from tests.test_permissions import ROWS

MANY = 64 * 1024 * 1024
#: The addresses that take larger bodies and have a bound of their own.
BOUND_ITSELF = {
    "/a/loads/",
    "/p/claims/proofs/",
    "/p/claims/<claim_id>/proofs/",
    "/api/v1/claims/<claim_id>/proofs/",
}
CSRF = "a" * 32


class Body:
    """A body of so many bytes, which counts how many of them are read."""

    def __init__(self, length: int = MANY) -> None:
        self.left, self.taken = length, 0

    def read(self, size: int = -1) -> bytes:
        taken = self.left if size < 0 else min(size, self.left)
        self.left -= taken
        self.taken += taken
        return b"0" * taken

    readline = read


def send(client: Client, path: str, body: Body, kind: str, *, method: str = "POST", **environ: str) -> Any:
    given = {"PATH_INFO": path, "REQUEST_METHOD": method, "CONTENT_TYPE": kind, "CONTENT_LENGTH": str(body.left)}
    return client.request(**{**given, **environ, "wsgi.input": body})


FORM = "application/x-www-form-urlencoded"
FILES = "multipart/form-data; boundary=x"


def path_of(address: str) -> str:
    """Return a path of this address. Nothing need be there."""

    for one in ("1", str(uuid.UUID(int=1)), "x"):
        with contextlib.suppress(Resolver404):
            path = re.sub(r"<\w+>", one, address)
            resolve(path)
            return path
    raise LookupError(address)


PAGES = sorted({url for url, method in ROWS if method == "POST" and not url.startswith(("/api/", "/admin/"))})
CALLS = sorted({(url, method) for url, method in ROWS if method != "GET" and url.startswith("/api/v")})


@pytest.mark.parametrize("kind", [FORM, FILES])
@pytest.mark.parametrize("address", PAGES)
def test_page_reads_nothing_of_a_body_that_is_too_large(address: str, kind: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.cookies["csrf"] = CSRF
    body = Body()
    answer = send(client, path_of(address), body, kind)
    assert body.taken == 0
    if address in BOUND_ITSELF:
        assert answer.status_code in (302, 403), "who may not upload is refused before that"
    else:
        assert answer.status_code == 413
        assert "It can have at most 1.0" in answer.text


@pytest.mark.parametrize(("address", "method"), CALLS)
@pytest.mark.parametrize("kind", ["application/json", "text/csv", FILES])
def test_api_reads_nothing_of_a_body_that_is_too_large(admin: Actor, address: str, method: str, kind: str) -> None:
    api = Api(admin)
    body = Body()
    answer = send(
        api.client, path_of(address), body, kind, method=method, HTTP_AUTHORIZATION=api.headers["Authorization"]
    )
    assert body.taken == 0
    assert answer.status_code in (403, 404, 405, 413, 415, 428)


def test_every_operation_without_parameters_says_the_bound(admin: Actor) -> None:
    found = [
        path
        for path, methods in document()["paths"].items()
        if "requestBody" in methods.get("post", {}) and "{" not in path
    ]
    assert "/api/v1/bulk/partner-of-record/" in found
    for path in found:
        for actor in (admin, make_member(make_partner().organisation), make_staff()):
            api = Api(actor)
            answer = send(api.client, path, Body(), "application/json", HTTP_AUTHORIZATION=api.headers["Authorization"])
            check("post", path, answer)
            if answer.status_code != 403:
                break
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large"), path
        assert "at most 1.0" in answer.json()["detail"]


def test_only_views_of_the_list_have_a_bound_of_their_own() -> None:
    views = {url: resolve(path_of(url)).func for url, _method in ROWS if "**" not in url}
    assert {url for url, view in views.items() if hasattr(view, "bounds_its_body")} == BOUND_ITSELF


def test_session_of_the_api_stores_no_files_of_a_form(admin: Actor) -> None:
    body = Body()
    answer = send(signed_in(admin), "/api/v1/bulk/partner-of-record/", body, FILES)
    assert (answer.status_code, body.taken) == (415, 0)


def test_control_without_the_bound_the_whole_body_is_read(admin: Actor, settings: Any) -> None:
    settings.MIDDLEWARE = [one for one in settings.MIDDLEWARE if "bounds" not in one]
    api, body = Api(admin), Body(3 * 1024 * 1024)
    path = "/api/v1/bulk/partner-of-record/"
    send(api.client, path, body, "text/csv", HTTP_AUTHORIZATION=api.headers["Authorization"])
    assert body.left == 0


def test_body_in_chunks_is_read_up_to_the_bound(admin: Actor) -> None:
    body = Body()
    environ = Client()._base_environ(
        PATH_INFO="/login", REQUEST_METHOD="POST", CONTENT_TYPE=FORM, HTTP_TRANSFER_ENCODING="chunked"
    )
    application({**environ, "wsgi.input": body}, lambda *_: None)
    assert body.taken <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 65_536


# --- Many small things ------------------------------------------------------------------------------------------------


def test_form_and_query_have_at_most_a_thousand_fields(admin: Actor) -> None:
    web = signed_in(admin)
    many = "&".join(["a"] * 1001)
    assert web.post("/theme", many, content_type=FORM).status_code == 413
    assert web.get(f"/c/subscriptions/?{many}").status_code == 400, "a query is no body"
    answer = Api(admin).client.get(f"/api/v1/subscriptions/?{many}", headers=Api(admin).headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    "text",
    [
        "subscription_id,mpn_id\n" + "x,1\n" * 1001,
        "subscription_id,mpn_id\n" + "\n" * 10_001 + "x,1",
        "subscription_id,mpn_id" + ",x" * 100 + "\nx,1",
    ],
)
def test_rows_lines_and_columns_of_a_csv_have_a_bound(admin: Actor, text: str) -> None:
    answer = Api(admin).post("bulk/partner-of-record/", text.encode(), Content_Type="text/csv")
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_rows")
    page = signed_in(admin).post("/c/bulk/", {"rows": text, "manner": "dry"})
    assert page.status_code == 422
    assert not Job.objects.exists()


@pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: {"rows": rows}])
def test_rows_of_json_are_counted_before_they_are_looked_at(admin: Actor, wrap: Any) -> None:
    answer = Api(admin).post("bulk/partner-of-record/", wrap([None] * 1001))
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_rows")


# --- The list ---------------------------------------------------------------------------------------------------------


def test_list_of_bounds_in_the_documentation_is_true() -> None:
    text = (Path(__file__).parents[1] / "docs" / "operations.md").read_text("utf-8")
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", text.split("## How large a request may be")[1], re.MULTILINE
    )
    listed = {
        what: [int(one.replace(",", "")) for one in re.findall(r"\d[\d,]*\d|\d", most)] for what, most in rows[1:19]
    }
    assert listed == {
        "the head of a request": [serving.SMALL, 4094, 100, 8190],
        "the body of a request: JSON, CSV, a form with its files": [settings.DATA_UPLOAD_MAX_MEMORY_SIZE],
        "the fields of a form or of a query; the files of a form": [
            settings.DATA_UPLOAD_MAX_NUMBER_FIELDS,
            settings.DATA_UPLOAD_MAX_NUMBER_FILES,
        ],
        "the levels of JSON within each other": [parsers.DEEPEST],
        "the rows of one job": [bulk.MOST],
        "the lines and columns of its CSV": [sent.LINES, sent.WIDEST],
        "the subscriptions of one move between locations": [moving.MOST],
        "the file on its page": [BulkForm.LARGEST],
        "a message of a browser about what it blocked, and the reports that are taken from it": [
            breaches.LARGEST,
            breaches.MOST_AT_ONCE,
        ],
        "an `Idempotency-Key`": [writes.KEY_LENGTH],
        "the files of an import, all together and unpacked": [settings.LARGEST_UPLOAD // 1024**2],
        "the entries of its zip, and the list of them": [uploads.MOST_ENTRIES, uploads.LONGEST_READ],
        "its files of other programs; what is looked at of each; the columns and values that its page shows": [
            uploads.MOST_SOURCES,
            imports.LOOKED_AT,
            imports.COLUMNS_SHOWN,
            imports.VALUES_SHOWN,
        ],
        "the mappings that are kept; the text and the name of one": [
            imports.MOST_KEPT,
            mapping.LONGEST,
            imports.LONGEST_NAME,
        ],
        "the files of one upload of proof; one of them, and all together": [
            claims.MOST_FILES_AT_ONCE,
            kinds.LARGEST // 1024**2,
            claims.MOST_BYTES_AT_ONCE // 1024**2,
        ],
        "the name of such a file, and what is said about it": [kinds.LONGEST_NAME, claims.DESCRIPTION_LENGTH],
        "the claims that get the same files at once; the bytes of all copies": [
            claims.MOST_CLAIMS_AT_ONCE,
            claims.MOST_BYTES_OF_COPIES // 1024**2,
        ],
        "the files of one claim; the bytes of all files of a company": [
            claims.MOST_PROOFS,
            claims.MOST_BYTES_OF_A_COMPANY // 1024**3,
        ],
    }
