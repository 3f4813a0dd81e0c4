"""What holds for every address of the product: headers, cookies, and that looking changes nothing and tells nothing.

Addresses and roles are those of tests/permissions.csv, so a new page is tried without a line about it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable
from contextlib import ExitStack, suppress
from copy import copy
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from typing import Any, NamedTuple
from zipfile import ZipFile, ZipInfo

import hypothesis
import pytest
from django.conf import settings
from django.core.cache import caches
from django.core.exceptions import SuspiciousFileOperation, ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client
from django.test.client import ClientHandler
from django.test.utils import override_settings
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from associations.attaching.actions import attach as attaching
from associations.claims.views.proofs import SANDBOXED
from associations.invitations import actions as invitations
from por.accounts import actions as accounts
from por.accounts.models import Organisation, Token, User
from por.directory.models import Partner
from por.documents import proof_forms
from por.history.actions.relaying import relay
from por.imports import uploads, whole
from por.notifications.models import Notification
from tests import test_permissions
from tests.factories import make_customer, make_member, make_partner, make_subscription
from tests.guards import stopped_by
from tests.product import ROOT
from tests.test_permissions import ADDRESSES, GUARDS, LISTED_CASES, REFUSALS, ROLES, ROWS, Cast, needed, row_of

cast = test_permissions.cast
#: As behind a proxy with TLS.
HTTPS = {
    "HTTPS": True,
    "SECURE_HSTS_SECONDS": 365 * 24 * 3600,
    "SECURE_HSTS_INCLUDE_SUBDOMAINS": True,
    "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_SECURE": True,
}
READERS = ("anonymous", "customer_admin", "partner_admin", "programme_admin", "token_write")
WRITES = re.compile(r'\s*(INSERT INTO|UPDATE|DELETE FROM) "?(\w+)', re.IGNORECASE)
#: What a request writes about itself: the last use of the session or the token.
OWN_TRACES = {"django_session", "accounts_usersession", "accounts_token"}


def near(name: str) -> st.SearchStrategy[str]:
    """Return names that are nearly this one, or lead to another folder."""
    odd = ["../", "..\\", "/", "./", "\0", "\n", "\u202e", " ", "a/", "C:", "~/", "%2e%2e/", "..;/", "．．/"]
    return st.tuples(st.sampled_from(odd), st.booleans()).map(
        lambda given: given[0] + name if given[1] else name + given[0]
    )


class Answer(NamedTuple):
    status: int
    headers: Any
    cookies: Any
    text: str


class Look(NamedTuple):
    """One address, looked at in one role, and the tables that this wrote to."""

    address: str
    role: str
    answer: Answer
    written: set[str]

    def __str__(self) -> str:
        return f"{self.address} as {self.role}"


def path_of(address: str, values: dict[str, Any]) -> str:
    return re.sub(r"<(\w+)>", lambda found: str(values.get(found[1], "1")), address)


def look(client: Client, path: str) -> tuple[Answer, set[str]]:
    """Get a page by https; return the answer, and the tables that were written to. What was written is undone."""
    written: set[str] = set()
    fresh = copy(client)
    fresh.cookies = client.cookies.copy()

    def note(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if found := WRITES.match(sql):
            written.add(found[2])
        return execute(sql, *rest)

    with transaction.atomic(), connection.execute_wrapper(note):
        answer: Any = fresh.get(path, secure=True)
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content
        transaction.set_rollback(True)
    return Answer(answer.status_code, answer.headers, answer.cookies, text_of(body)), written


def text_of(body: bytes) -> str:
    """Return all that is in an answer; of a generated document, without the time when it was made.

    A form that is made again is another document with the same content: its own time says when it was fetched.
    """
    if body.startswith(b"PK"):
        with ZipFile(BytesIO(body)) as archive:
            body = b"\n".join(part for name in archive.namelist() for part in (name.encode(), archive.read(name)))
        body = re.sub(rb"(<dcterms:(created|modified)\b[^>]*>)[^<]*", rb"\1", body)
    if body.startswith(b"%PDF"):
        body = re.sub(rb"/CreationDate \([^)]*\)|/ID \[[^]]*\]", b"", body)
    return body.decode(errors="backslashreplace")  # so that no two different bytes become the same text


def of_this_moment(client: Client, *, enforce_csrf_checks: bool = False) -> Client:
    """Return a client with the same session, whose middlewares read the settings of this moment."""
    fresh = copy(client)
    fresh.handler = ClientHandler(enforce_csrf_checks)
    return fresh


MARKUP = "<img src=x onerror=alert(1)>\"'"


@pytest.fixture(scope="module")
def looks(cast: Cast, tmp_path_factory: pytest.TempPathFactory) -> list[Look]:
    """Return a look at every address in each of these roles, while all names are markup.

    Where a guard answers (tests/guards.py), one look is enough for all addresses with it.
    """
    asked = needed([one for one in LISTED_CASES if one.method == "GET" and one.role in READERS])
    with (
        override_settings(**HTTPS, MAIL_SINK=str(tmp_path_factory.mktemp("mail") / "none")),
        transaction.atomic(),
    ):
        Organisation.objects.update(name=MARKUP)
        User.objects.update(name=MARKUP)
        Partner.objects.update(city=MARKUP)
        Token.objects.update(name=MARKUP)
        by_role = {role: of_this_moment(cast.clients[role]) for role in READERS}
        found = [
            Look(one.address, one.role, *look(by_role[one.role], path_of(one.address, cast.values))) for one in asked
        ]
        transaction.set_rollback(True)
    return found


def test_looking_at_a_page_changes_nothing(looks):
    assert [(str(one), one.written - OWN_TRACES) for one in looks if one.written - OWN_TRACES] == []


def test_control_a_change_by_a_get_request_is_found(cast, monkeypatch):
    def mark(_actor: Any) -> dict[str, str]:
        Notification.objects.update(done_at=None)
        return {}

    monkeypatch.setattr("por.accounts.api._me", mark)
    assert "notifications_notification" in look(cast.clients["token_write"], "/api/v1/me/")[1]


def test_every_answer_has_the_headers_for_browsers(looks):
    wrong = [
        (str(one), name)
        for one in looks
        for name, value in {
            "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }.items()
        if one.answer.headers.get(name) != value
    ]
    assert wrong == []
    policies = {str(one): one.answer.headers["Content-Security-Policy"] for one in looks}
    sandboxed = {one for one, policy in policies.items() if policy == SANDBOXED["Content-Security-Policy"]}
    assert {one for one, policy in policies.items() if "script-src 'self'" not in policy} == sandboxed
    assert all("/proofs/<number>/pages/<sheet>/" in one for one in sandboxed)


def test_no_cache_keeps_what_only_some_may_read(looks):
    private = [one for one in looks if one.role != "anonymous" and one.answer.status == 200]
    public = {one.address for one in looks if one.role == "anonymous" and one.answer.status == 200}
    assert [str(one) for one in private if one.address not in public and not keeps_out(one.answer)] == []
    assert len(private) > 100


def keeps_out(answer: Answer) -> bool:
    return bool({"no-store", "private"} & set(re.split(r",\s*", answer.headers.get("Cache-Control", ""))))


def test_every_cookie_is_for_https_and_our_own_pages_alone(looks):
    cookies = {
        (name, cookie["secure"], cookie["samesite"]) for one in looks for name, cookie in one.answer.cookies.items()
    }
    assert cookies
    assert {(secure, samesite) for _name, secure, samesite in cookies} == {(True, "Lax")}


def test_cookies_of_a_site_with_https_belong_to_this_host_alone():
    """Browsers take a name with this beginning from no other host and not without https."""
    code = "from por import settings as s; print(s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, s.DEVICES_COOKIE_NAME)"
    environment = os.environ | {"SITE_URL": "https://partner-of-record.example"}
    named = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert [name[:7] for name in named.stdout.split()] == ["__Host-"] * 3
    assert settings.SESSION_COOKIE_HTTPONLY


@pytest.mark.crawl
def test_a_file_is_for_saving_and_not_for_showing(cast):
    files = [
        answer
        for address in ADDRESSES
        for role in ("customer_admin", "partner_admin", "programme_admin")
        if (answer := look(cast.clients[role], f"{path_of(address, cast.values)}?format=csv")[0]).status == 200
        and answer.headers["Content-Type"].startswith("text/csv")
    ]
    assert len(files) > 10
    assert all(file.headers["Content-Disposition"].startswith("attachment;") for file in files)


def test_markup_in_a_name_is_text_on_every_page(looks):
    pages = [one for one in looks if one.answer.headers.get("Content-Type", "").startswith("text/html")]
    assert [str(one) for one in pages if "<img src=x" in one.answer.text] == []
    shown = {one.address for one in pages if "&lt;img src=x" in one.answer.text}
    assert len(shown) > 30, "the names are on the pages"


@given(st.one_of(st.text(max_size=40), st.sampled_from(whole.names()).flatmap(near)))
@hypothesis.settings(max_examples=50, deadline=None, database=None, derandomize=True)
def test_no_other_name_of_a_file_is_taken(name):
    """The name of a file becomes that of its object in the store, so it may be none that leads elsewhere."""
    packed = BytesIO()
    with ZipFile(packed, "w") as archive:
        archive.writestr(ZipInfo(name), b"a,b\n1,2\n")
    for given_name, content in ((name or "-", b"a,b\n1,2\n"), ("estate.zip", packed.getvalue())):
        with ExitStack() as scratch, suppress(ValidationError, SuspiciousFileOperation):
            found = uploads.files_of([SimpleUploadedFile(given_name, content)], scratch)
            entries = uploads.entries_of(found)
            assert set(entries) <= {"other-1.csv"}
            assert {file.name for file in found} <= {*whole.names(), *entries}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_every_change_by_a_session_needs_the_token_of_a_form(cast, method):
    """Another site can make a browser send a request with its cookies, but does not know the token."""
    accepted = []
    for role in ("customer_admin", "partner_admin", "programme_admin"):
        checked = of_this_moment(cast.clients[role], enforce_csrf_checks=True)
        for address in ADDRESSES:
            expected = dict(zip(ROLES, ROWS.get((row_of(address) or "", method), []), strict=False)).get(role)
            if expected is None or expected in REFUSALS | {"403", "404"}:
                continue
            client = copy(checked)
            client.cookies = checked.cookies.copy()
            with transaction.atomic():
                status = client.generic(method, path_of(address, cast.values)).status_code
                transaction.set_rollback(True)
            if status != 403:
                accepted.append((address, role, status))
    assert {address for address, *_rest in accepted} <= WITHOUT_TOKEN, accepted


#: Browsers send these by themselves; nothing of the product changes.
WITHOUT_TOKEN = {"/csp-reports"}


# --- What others have -------------------------------------------------------------------------------------------------

OUTSIDERS = ("other_customer", "other_partner")
#: Values that belong to nothing.
NOTHING = {
    "subscription_id": uuid.UUID(int=1, version=4),
    "tenant_id": uuid.UUID(int=2, version=4),
    "invitation_id": uuid.UUID(int=3, version=4),
    "mpn_id": "9999999999",
    "signed": "nothing",
}


def comparable(answer: Answer, path: str = "") -> tuple[int, str]:
    """Return the answer without what differs from request to request."""
    text = re.sub(r'(Last used">|Correct as of: )<time.*?</time>', r"\1", answer.text)  # both are of this moment
    text = re.sub(r'(csrfmiddlewaretoken" value=|csrf-token" content=|"request_id": ?)"[\w-]+"', r"\1", text)
    for one in (answer.headers.get("X-Request-ID", ""), path):
        text = text.replace(one, "…") if one else text
    return answer.status, text


@pytest.mark.parametrize(
    ("address", "role"),
    [
        (address, role)
        for address in ADDRESSES
        for role in OUTSIDERS
        if "<" in address and not stopped_by(GUARDS[address], "GET", role)  # a guard does not read the address
    ],
)
def test_what_others_have_looks_like_what_does_not_exist(cast, address, role):
    names = re.findall(r"<(\w+)>", address)
    nothing = cast.values | {name: NOTHING.get(name, 987_654_321) for name in names}
    client = cast.clients[role]
    theirs = look(client, there := path_of(address, cast.values))[0]
    none = look(client, nowhere := path_of(address, nothing))[0]

    if theirs.status == 200:
        assert ROWS[row_of(address) or "", "GET"][ROLES.index(role)] == "200", "as the table says"
        return
    assert comparable(theirs, there) == comparable(none, nowhere)


@pytest.mark.parametrize("write", [proof_forms.as_docx, proof_forms.as_pdf], ids=["docx", "pdf"])
def test_control_forms_differ_by_what_is_in_them_and_not_by_their_time(monkeypatch, write):
    facts = ("CPOR-1", "Usage", "usage", "Nordvik Cloud AB", "4471902", "Västerhamn Energi AB", "a.example", "1")
    form = proof_forms.ProofForm(*facts, units=["Teams"])
    first = write(form)
    tomorrow = timezone.now() + timedelta(days=1)
    monkeypatch.setattr(timezone, "now", lambda: tomorrow)
    again, other = write(form), write(replace(form, domain="b.example"))

    assert first != again
    assert text_of(first) == text_of(again) != text_of(other)


TENANTS = ("customer_admin", "customer_viewer", "partner_admin", "partner_viewer", "token_read")


@pytest.mark.crawl
def test_what_others_have_changes_no_page_and_no_answer(cast):
    """Figures, counts and filters too: the same pages are compared byte by byte before and after twins came."""

    def pages() -> dict[str, tuple[int, str]]:
        caches["local"].clear()
        return {
            f"{address} as {role}": comparable(look(cast.clients[role], path_of(address, cast.values))[0])
            for address in ADDRESSES
            for role in TENANTS
        }

    relay()
    before = pages()
    customer, partner = make_customer("Västerhamn Energi AB"), make_partner("Nordvik Cloud AB")
    admin, seller = make_member(customer.organisation), make_member(partner.organisation)
    subscription, asked_about = make_subscription(customer), make_subscription(customer)
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    for one in (partner, make_partner("Proposed partner")):
        attaching.attach(asked_about.subscription_id, one.mpn_id, by=admin)
    invitations.invite(customer.tenant_id, [make_subscription(customer).subscription_id], by=seller)
    accounts.create_token(admin.user, admin.organisation, name="twin", read_only=False)
    relay()
    after = pages()

    assert [name for name in before if before[name] != after[name]] == []
    assert sum(status == 200 for status, _text in before.values()) > 100
