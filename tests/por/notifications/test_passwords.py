"""The mail with a link to choose a new password: it is queued, and no one learns whether an address is known."""

from __future__ import annotations

import re
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from django.core.cache import cache
from django.db import IntegrityError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from por.accounts.models import User
from por.history.models import Event
from por.notifications.actions.delivering import deliver
from por.notifications.models import Delivery
from tests.factories import PASSWORD, make_partner, make_staff, make_user
from tests.pages import signed_in

KNOWN, UNKNOWN = "elin@vasterhamn.example", "nobody@vasterhamn.example"
NEW = {"password1": "a new phrase here", "password2": "a new phrase here"}


@pytest.fixture(autouse=True)
def elin() -> User:
    cache.clear()
    user = make_user("Elin Sandberg", email=KNOWN)
    user.set_password(PASSWORD)
    user.language = "sv"
    user.save()
    return user


def ask(email: str, client: Client | None = None) -> Any:
    return (client or Client()).post("/password/reset/", {"email": email})


def link_in(mail: EmailMessage) -> str:
    body = mail.get_body(["plain"])
    assert body is not None
    found = re.search(r"https?://[^/]+(/password/reset/\S+)", body.get_content())
    assert found is not None
    return found[1]


def test_mail_in_the_language_of_its_reader_has_a_link_that_works_once(send: Any, client: Client) -> None:
    assert ask(" Elin@Vasterhamn.example ").status_code == 302
    [mail] = send()
    assert (mail["To"], mail["Subject"]) == (KNOWN, "Välj ett nytt lösenord")
    form = client.get(link_in(mail), follow=True)
    assert client.post(form.context["action_url"], NEW).status_code == 302
    assert "no longer works" in Client().get(link_in(mail)).text
    assert client.post("/login", {"login": KNOWN, "password": NEW["password1"]}).status_code == 302


def test_link_is_in_no_row(send: Any) -> None:
    ask(KNOWN)
    waiting = Delivery.objects.values().get()
    [mail] = send()
    key = link_in(mail).rstrip("/").rpartition("-")[2]
    assert len(key) >= 20
    assert key not in str(waiting)
    assert key not in str(Delivery.objects.values().get())


def test_known_and_unknown_addresses_get_the_same_answer_and_the_same_work(no_mail_server: int) -> None:
    answers, work = [], []
    for email in (KNOWN, UNKNOWN):
        with CaptureQueriesContext(connection) as queries:
            answer = ask(email)
        answers.append((answer.status_code, answer.url, answer.headers.keys() - {"X-Request-ID"}))
        work.append([re.sub(r"'[^']*'", "'…'", one["sql"]) for one in queries])
    assert answers[0] == answers[1]
    assert work[0] == work[1]
    assert "accounts_user" not in str(work), "no one looks the address up"
    assert any("notifications_delivery" in one for one in work[0]), "a control: this is where the work is seen"


def test_mail_is_not_lost_while_the_mail_server_is_gone(no_mail_server: int, request: pytest.FixtureRequest) -> None:
    assert ask(KNOWN).status_code == ask(UNKNOWN).status_code == 302
    deliver()
    assert Delivery.objects.waiting().count() == 2
    request.getfixturevalue("mail_server")
    Delivery.objects.update(next_at=timezone.now() - timedelta(seconds=1))
    [mail] = request.getfixturevalue("send")()
    assert mail["To"] == KNOWN


def test_nothing_is_kept_of_an_address_that_no_active_person_has(send: Any, elin: User) -> None:
    User.objects.filter(pk=elin.pk).update(is_active=False)
    ask(UNKNOWN)
    ask(KNOWN)
    assert not send()
    assert not Delivery.objects.exists()


def test_five_mails_an_hour_go_to_one_address(send: Any) -> None:
    for number in range(7):
        Client().post("/password/reset/", {"email": KNOWN}, REMOTE_ADDR=f"192.0.2.{number}")
    assert len(send()) == 5


def test_no_request_of_signing_in_sends_mail_itself(no_mail_server: int, client: Client, elin: User) -> None:
    """The adapter refuses to send, so a mail of the library would be an error here."""
    assert client.post("/login", {"login": KNOWN, "password": "wrong"}).status_code == 422
    assert client.post("/login", {"login": KNOWN, "password": PASSWORD}).status_code == 302
    answer = client.post("/me/password/", {"oldpassword": PASSWORD, **NEW})
    assert answer.status_code == 302
    assert client.post("/logout").status_code == 302
    ask(KNOWN, client)


def test_control_a_mail_of_the_library_would_be_an_error(client: Client, settings: Any, elin: User) -> None:
    settings.ACCOUNT_EMAIL_NOTIFICATIONS = True
    client.post("/login", {"login": KNOWN, "password": PASSWORD})
    with pytest.raises(NotImplementedError, match="password_changed"):
        client.post("/me/password/", {"oldpassword": PASSWORD, **NEW})


def test_staff_see_the_mail_and_send_it_again(mail_server: Any, send: Any) -> None:
    mail_server.to_rcpt[KNOWN] = "550 No such mailbox"
    ask(KNOWN)
    send()
    ask(UNKNOWN)
    failed = Delivery.objects.failed().get()
    staff = signed_in(make_staff("programme_administrator"))
    for path in ("/a/deliveries/", f"/a/deliveries/{failed.pk}/"):
        text = staff.get(path).text
        assert "New password" in text
        assert "Their own account" in text
    waiting = Delivery.objects.waiting().get()
    assert "Looked up when it is sent" in staff.get(f"/a/deliveries/{waiting.pk}/").text
    assert KNOWN in b"".join(staff.get("/a/deliveries/?format=csv")).decode()
    assert staff.post(f"/a/deliveries/{failed.pk}/replay/").status_code == 302
    assert Event.objects.get(object_kind="delivery").changes == {"status": "refused", "attempts": 1}
    assert "was sent again" in staff.get(f"/a/deliveries/{failed.pk}/").text
    mail_server.to_rcpt.clear()
    assert [mail["To"] for mail in send()] == [KNOWN]


def test_delivery_has_an_event_and_an_organisation_or_neither() -> None:
    organisation = make_partner().organisation
    with pytest.raises(IntegrityError):
        Delivery.objects.create(
            organisation=organisation, recipient=KNOWN, template="x", language="en", time_zone="UTC"
        )
