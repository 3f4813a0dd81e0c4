"""Whatever is sent to a form or as rows of CSV, the answer is no 500. Hypothesis chooses what is sent.

`make fuzz` does this for longer, each time with other values.
"""

from __future__ import annotations

import re
from collections import defaultdict
from html.parser import HTMLParser
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.urls import Resolver404, resolve
from hypothesis import strategies as st

from tests import test_permissions
from tests.api import Api
from tests.factories import make_customer, make_member
from tests.fuzzing import fuzz
from tests.test_permissions import ADDRESSES, ROLES, ROWS, Cast, row_of

cast = test_permissions.cast
#: Who has the page, by the start of its address; everyone has the others.
READERS = {"/c/": "customer_admin", "/p/": "partner_admin", "/a/": "programme_admin"}
FORMS = sorted(
    address
    for address in ADDRESSES
    if not address.startswith("/api/") and row_of(address) and (row_of(address), "POST") in ROWS
)

ODD = [
    "\0", "a\0b", "\ud800", "", " ", "\u202e", "null", "-1", "0", "1", str(2**31), str(2**63), "9" * 400, "1e400",
    "NaN", "0001-01-01", "9999-12-31", "2026-02-30", "=1+1", "00000000-0000-0000-0000-000000000000", "x@x.example",
    "on", "4471902", "subscription_id,mpn_id\n\0,\0", "'\"<script>", "../../etc/passwd", "http://[", "x" * 5000,
    "é\u0301",
]  # fmt: skip
values = st.one_of(st.sampled_from(ODD), st.text(max_size=40), st.dates().map(str), st.uuids().map(str))


class Names(HTMLParser):
    """The names of the fields of each form of a page, by the address that it is sent to, with their choices."""

    def __init__(self, page: str, path: str) -> None:
        super().__init__()
        self.path, self.found = path, defaultdict[str, dict[str, set[str]]](lambda: defaultdict(set))
        self.action, self.select = "", ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = given.get("action") or self.path
        if tag in {"input", "select", "textarea", "button"} and given.get("name"):
            self.found[self.action][given["name"]].add(given.get("value", ""))
            self.select = given["name"]
        if tag == "option":
            self.found[self.action][self.select].add(given.get("value", ""))


def utf8(text: str) -> str:
    """Return the text as a form can send it."""
    return text.encode("utf-8", "replace").decode()


def reader_of(address: str) -> str:
    return next((role for start, role in READERS.items() if address.startswith(start)), "customer_admin")


def path_of(cast: Cast, address: str) -> str:
    return re.sub(r"<(\w+)>", lambda found: str(cast.values.get(found[1], "1")), address)


@pytest.fixture(scope="module")
def fields(cast: Cast) -> dict[str, dict[str, set[str]]]:
    """Return the names and choices of the fields of all forms on all pages, by the route that they are sent to."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for address in ADDRESSES:
        row = ROWS.get((row_of(address) or "", "GET"))
        role = reader_of(address)
        if address.startswith("/api/") or row is None or row[ROLES.index(role)] != "200":
            continue
        path = path_of(cast, address) + "?change"  # with the form that a button opens
        with transaction.atomic():
            page = cast.clients[role].get(path)
            transaction.set_rollback(True)
        if page.status_code == 200 and page.get("Content-Type", "").startswith("text/html"):
            for action, names in Names(page.text, path).found.items():
                try:
                    route = resolve(action.partition("?")[0]).route
                except Resolver404:
                    continue
                for name, choices in names.items():
                    found[route][name] |= choices
    return found


@pytest.mark.crawl
def test_the_fields_of_forms_are_found(fields):
    assert "mpn_id" in fields["c/subscriptions/<uuid:subscription_id>/check/"]
    assert {"rows", "file", "manner"} <= set(fields["c/bulk/"])
    assert {"consent_name", "consent_email", "consent"} <= set(fields["p/activate/"])
    assert sum(len(names) for names in fields.values()) > 60


@pytest.mark.crawl
@pytest.mark.parametrize("address", FORMS)
def test_a_form_takes_anything_without_a_500(cast, fields, address):
    role, path = reader_of(address), path_of(cast, address)
    known = fields.get(resolve(path).route) or {"version": {"1"}, "reason": set(), "step": {"send"}, "text": set()}

    def choose(name: str) -> st.SearchStrategy[list[str]]:
        own = sorted(known[name])
        return st.lists(st.one_of(st.sampled_from(own), values) if own else values, max_size=2)

    sent = st.fixed_dictionaries({}, optional={name: choose(name) for name in sorted(known)})
    files = st.binary(max_size=200) | st.lists(values, max_size=5).map(
        lambda some: "\n".join(some).encode("utf-8", "replace")
    )
    raw = st.tuples(
        st.binary(max_size=200),
        st.sampled_from(
            ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "multipart/form-data", "x"]
        ),
    )

    def post(given: dict[str, list[str]], file: bytes, body: tuple[bytes, str], way: int, query: list[str]) -> None:
        client: Client = cast.clients[role]
        data: Any = {name: [utf8(one) for one in some] for name, some in given.items()}
        with transaction.atomic():
            parameters = {"next": [utf8(one) for one in query]}
            if way == 0:
                answer = client.generic("POST", path, body[0], content_type=body[1], query_params=parameters)
            else:
                if "file" in known and way < 4:
                    data["file"] = SimpleUploadedFile("usage.csv" if way == 1 else "x.zip", file)
                answer = client.post(path, data, query_params=parameters)
            if getattr(answer, "streaming", False):
                b"".join(answer.streaming_content)
            transaction.set_rollback(True)
        assert answer.status_code < 500

    ways, queries = st.integers(0, 5), st.lists(values, max_size=2)
    fuzz(post, 8, share=0.9 / len(FORMS), given=sent, file=files, body=raw, way=ways, query=queries)


def test_rows_of_csv_are_taken_or_refused():
    api = Api(make_member(make_customer().organisation))
    lines = st.lists(st.lists(values, max_size=3).map(",".join), max_size=5).map("\n".join)
    texts = st.one_of(
        st.text(max_size=200),
        lines,
        lines.map(lambda text: f"subscription_id,mpn_id\n{text}"),
        lines.map(lambda text: f"mpn_id;subscription_id\r\n{text}"),
    ).map(lambda text: text.encode("utf-8", "surrogatepass"))

    def send(body: bytes) -> None:
        with transaction.atomic():
            answer = api.post("bulk/partner-of-record/", body, Content_Type="text/csv")
            transaction.set_rollback(True)
        assert answer.status_code in {202, 422}

    fuzz(send, 150, share=0.1, body=st.one_of(st.binary(max_size=200), texts))
