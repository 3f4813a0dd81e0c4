"""A real mail server in the process of the test, which gives the answers that a test sets."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from django.conf import LazySettings

from por.accounts.rules import OrganisationKind
from por.history.models import Event
from por.notifications import messages
from por.notifications.actions.delivering import deliver
from por.notifications.models import Topic
from tests.product import free_port


def context(event: Event) -> dict[str, object]:
    return {"customer": "Västerhamn Energi AB", "subscription": "Office 365 E3", "rows": []}


def home(event: Event) -> str:
    return "/"


NEWS = messages.Mail(
    "record_attached",
    Topic.RECORD,
    to=(OrganisationKind.PARTNER,),
    title="News",
    subject="News of %(customer)s",
    paragraphs=("%(subscription)s.",),
    context=context,
    action="Open",
    url=home,
    inbox="News",
)


@dataclass
class MailServer:
    """A mail server that accepts every mail, unless a test sets another answer for an address or for the next mail."""

    port: int
    received: list[EmailMessage] = field(default_factory=list)
    to_rcpt: dict[str, str] = field(default_factory=dict)
    to_data: list[str] = field(default_factory=list)
    hangs_up_on: set[str] = field(default_factory=set)
    kills: list[int | None] = field(default_factory=list)  # a process to kill, or none, per accepted mail

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if address in self.hangs_up_on:
            server.transport.close()
        answer = self.to_rcpt.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        answer = self.to_data.pop(0) if self.to_data else "250 OK"
        if answer.startswith("250"):
            mail = message_from_bytes(envelope.content, _class=EmailMessage, policy=policy.default)
            assert [mail["To"]] == envelope.rcpt_tos
            self.received.append(mail)
        if self.kills and (process := self.kills.pop(0)):  # before the answer
            os.kill(process, signal.SIGKILL)
        return answer

    @property
    def recipients(self) -> list[str]:
        return sorted(mail["To"] for mail in self.received)


@pytest.fixture
def no_mail_server(settings: LazySettings) -> int:
    """Send mail to a port of this machine without a server; return the port."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    settings.DEFAULT_FROM_EMAIL = "Partner of Record <no-reply@por.example>"
    return settings.EMAIL_PORT


@pytest.fixture
def mail_server(no_mail_server: int) -> Iterator[MailServer]:
    server = MailServer(no_mail_server)
    controller = Controller(server, hostname="127.0.0.1", port=server.port)
    controller.start()
    yield server
    controller.stop()


@pytest.fixture
def send(mail_server: MailServer) -> Any:
    """Return a function that sends the due mail and returns all mail that the server has received."""

    def send() -> list[EmailMessage]:
        deliver()
        return mail_server.received

    return send
