"""The format of a mail. Names and reasons can break neither its headers nor its markup."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone, translation

from por.history.models import Event
from por.notifications import messages
from por.notifications.models import Delivery

HEADERS = {
    "Auto-Submitted",
    "Content-Type",
    "Date",
    "From",
    "List-Unsubscribe",
    "MIME-Version",
    "Message-ID",
    "Subject",
    "To",
    "X-Request-ID",
}
VALUES: dict[str, Any] = {
    "customer": "Västerhamn Energi AB",
    "partner": "Nordvik Cloud AB",
    "subscription": "Office 365 E3",
    "source": "customer",
    "since": "24 Nov 2026",
    "rows": [("Seats", "420")],
    "reason": [],
}
PAGE = "/p/subscriptions/"


@pytest.fixture
def compose(partner, monkeypatch):
    """Return a function that composes a mail with these values in place of the usual ones."""

    def compose(language: str = "en", **values: Any) -> EmailMultiAlternatives:
        def context(event: Event) -> dict[str, Any]:
            active = f"{translation.get_language()}, {timezone.get_current_timezone_name()}"
            return VALUES | {"rows": [*VALUES["rows"], ("active", active)]} | values

        mail = messages._mails["record_attached"]._replace(context=context, action="Open", url=lambda event: PAGE)
        monkeypatch.setitem(messages._mails, "record_attached", mail)
        return messages.compose(
            Delivery(
                event=Event(request_id="request-4711"),
                organisation=partner.organisation,
                user_id=1,
                recipient="a@nordvik.example",
                template="record_attached",
                language=language,
                time_zone="Asia/Tokyo",
            )
        )

    return compose


def html_of(mail: EmailMultiAlternatives) -> str:
    (alternative,) = mail.alternatives
    return str(alternative[0])


def test_mail_has_a_subject_a_text_and_the_same_text_as_html(compose):
    mail = compose(reason=["We work with them."])
    assert mail.subject == "Västerhamn Energi AB attached you as the partner of record for Office 365 E3"
    for content in (mail.body, html_of(mail)):
        assert (
            "Västerhamn Energi AB has attached Nordvik Cloud AB as the partner of record for Office 365 E3" in content
        )
        assert "We work with them." in content
        assert "http://testserver/p/subscriptions/" in content
        assert "http://testserver/me/mail/" in content
    assert "Seats: 420" in mail.body
    assert mail.body.startswith(mail.subject)
    assert set(mail.message().keys()) == HEADERS


@pytest.mark.parametrize("language", ["en", "sv"])
def test_mail_is_in_the_language_and_time_zone_of_the_recipient(compose, language):
    with translation.override("en" if language == "sv" else "sv"):
        mail = compose(language)
    assert f"active: {language}, Asia/Tokyo" in mail.body
    assert f'<html lang="{language}">' in html_of(mail)


@pytest.mark.parametrize("name", ["Evil\r\nBcc: all@example.com", "Evil\nX-Spam: no", "Evil\u2028Bcc: x@example.com"])
def test_name_with_a_line_break_adds_no_header_and_no_line(compose, name):
    mail = compose(customer=name, partner=name, subscription=name)
    assert set(mail.message().keys()) == HEADERS
    assert mail.recipients() == ["a@nordvik.example"]
    assert not [line for line in mail.body.splitlines() if line.startswith(("Bcc", "X-Spam"))]


def test_name_cannot_change_the_direction_of_the_text(compose):
    assert "\u202e" not in compose(customer="gnp.exe\u202e").body


def test_markup_in_names_and_reasons_is_escaped(compose):
    evil = '<img src=x onerror="alert(1)">'
    mail = compose(customer=evil, subscription=evil, rows=[(evil, evil)], reason=[evil, "{{ partner }}"])
    html = html_of(mail)
    assert "<img" not in html
    assert html.count("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;") >= 4
    assert "{{ partner }}" in html
    assert evil in mail.body
    assert mail.subject == f"{evil} attached you as the partner of record for {evil}"


def test_lines_of_a_reason_stay_quoted(compose):
    mail = compose(reason=["Bye.", "", "-- ", "Seats: 0"])
    quoted = [line for line in mail.body.splitlines() if line.startswith(">")]
    assert quoted == ["> Bye.", "> ", "> -- ", "> Seats: 0"]
